//! Prometheus metrics. Label values are names from the configuration and fixed words, so their number is bounded.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::Response;
use poem::http::StatusCode;
use tokio::sync::Mutex;

use super::answer;
use crate::service::operations::{ChannelState, Operations};
use crate::time::now;

/// Metrics recorder of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle, Arc<Mutex<()>>);

/// Histogram buckets for durations, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// Histogram buckets for the number of writes per commit.
const BATCH: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Interval at which histogram samples are aggregated, so that they do not accumulate.
const UPKEEP: Duration = Duration::from_secs(5);

impl Metrics {
    /// Installs the recorder. Returns `None` if this process already has another recorder.
    pub fn start() -> Option<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch".to_owned()), &BATCH));
        let handle = builder.ok()?.install_recorder().ok()?;
        describe();
        Some(Self(handle, Arc::default()))
    }

    /// Aggregates histogram samples periodically. Never returns.
    pub async fn keep_small(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }

    /// Returns all metrics in the Prometheus text format.
    pub(super) async fn show(&self, service: &Operations) -> Response {
        // Counting is expensive, so requests take turns.
        let _turn = self.1.lock().await;
        match service.channels().await {
            Ok(channels) => {
                metrics::gauge!("hookbell_pending_routing").set(count(channels.pending_routing));
                let parked = channels.channels.iter().map(|status| status.parked).sum();
                // A gauge of a channel that is no longer in the configuration would keep its last value forever.
                for status in channels.channels.into_iter().filter(|status| status.kind.is_some()) {
                    let channel = status.channel.to_string();
                    let oldest = status.lane.oldest.map_or(0, |oldest| now().saturating_sub(oldest).max(0));
                    let gauge =
                        |name: &'static str, value: f64| metrics::gauge!(name, "channel" => channel.clone()).set(value);
                    gauge("hookbell_lane_queued", count(status.lane.queued));
                    gauge("hookbell_lane_oldest_seconds", Duration::from_millis(oldest.unsigned_abs()).as_secs_f64());
                    gauge("hookbell_lane_open", if status.lane.state == ChannelState::Open { 1.0 } else { 0.0 });
                    gauge("hookbell_channel_dead", count(status.dead));
                }
                metrics::gauge!("hookbell_parked").set(count(parked));
            }
            Err(_) => return answer::error(StatusCode::SERVICE_UNAVAILABLE, "the store does not respond"),
        }
        metrics::counter!("hookbell_log_lines_lost_total").absolute(crate::telemetry::lost_lines());
        self.0.run_upkeep();
        Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(self.0.render())
    }
}

/// Converts a count to a gauge value. Exact up to 9 · 10¹⁵.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn count(n: u64) -> f64 {
    n as f64
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("hookbell_requests_total", "Webhook requests, by source and result");
    describe_counter!(
        "hookbell_requests_verified_total",
        "Accepted webhook requests, by source and number of the secret that verified them"
    );
    describe_counter!("hookbell_requests_rejected_total", "Rejected webhook requests, by source and reason");
    describe_counter!("hookbell_requests_misdirected_total", "Requests to no known source, by cause");
    describe_gauge!("hookbell_connections", "Open connections, by listener");
    describe_counter!("hookbell_connections_closed_total", "Connections closed by Hookbell, by listener and cause");
    describe_counter!("hookbell_admin_rejected_total", "Admin API requests with an invalid token");
    describe_counter!("hookbell_panics_total", "Caught panics, by task; each is a bug in Hookbell");
    describe_counter!("hookbell_log_lines_lost_total", "Log lines that could not be written");
    describe_histogram!("hookbell_commit_seconds", "Time to commit a batch of writes to the store, in seconds");
    describe_histogram!("hookbell_commit_batch", "Writes per commit");
    describe_counter!("hookbell_attempts_total", "Delivery attempts, by channel and outcome");
    describe_counter!(
        "hookbell_template_errors_total",
        "Messages rendered by a fallback template because their own failed, by channel"
    );
    describe_histogram!(
        "hookbell_delivery_seconds",
        "Time from receiving an event to delivering it, in seconds, by channel"
    );
    describe_gauge!("hookbell_lane_queued", "Queued messages in the channel's lane");
    describe_gauge!(
        "hookbell_lane_oldest_seconds",
        "Age of the oldest queued message in the channel's lane, in seconds"
    );
    describe_gauge!("hookbell_lane_open", "1 if the channel's lane is open, 0 if it is closed or paused");
    describe_gauge!("hookbell_channel_dead", "Stored messages of the channel that are dead or suspect");
    describe_gauge!(
        "hookbell_pending_routing",
        "Events that are pending routing because the routing configuration is invalid"
    );
    describe_gauge!(
        "hookbell_config_valid",
        "1 if the configuration files are valid and in use, 0 if they have errors"
    );
    describe_gauge!(
        "hookbell_source_silent",
        "1 if the source has sent nothing for longer than its `expect_every`, otherwise 0"
    );
    describe_gauge!("hookbell_parked", "Messages whose channel is not in the configuration");
}
