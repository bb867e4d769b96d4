//! What is measured, for Prometheus. Labels are names from the config and words of ours, so there is an end to them.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::Response;
use poem::http::StatusCode;
use tokio::sync::Mutex;

use super::answer;
use super::answers::Openness;
use super::desk::Desk;
use crate::store::now;

/// The recorder of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle, Arc<Mutex<()>>);

/// Bounds of histograms of time, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// Bounds of how many share a commit.
const BATCH: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// How often histograms are gathered, so that they do not grow.
const UPKEEP: Duration = Duration::from_secs(5);

impl Metrics {
    /// Starts measuring in this process. `None` where it is measured already, in a way of somebody else's.
    pub fn start() -> Option<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch".to_owned()), &BATCH));
        let handle = builder.ok()?.install_recorder().ok()?;
        describe();
        Some(Self(handle, Arc::default()))
    }

    /// Gathers what was measured, again and again. It never ends by itself.
    pub async fn keep_small(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }

    /// All of it, in Prometheus' text format.
    pub(super) async fn show(&self, desk: &Desk) -> Response {
        // Counting is work; however many ask, it is done for one at a time.
        let _turn = self.1.lock().await;
        match desk.channels().await {
            Ok(channels) => {
                metrics::gauge!("hookbell_undecided").set(count(channels.undecided));
                let parked = channels.channels.iter().map(|status| status.parked).sum();
                // Of channels that left the config nothing would be said any more, and the last would stand for ever.
                for status in channels.channels.into_iter().filter(|status| status.kind.is_some()) {
                    let channel = status.channel.to_string();
                    let oldest = status.lane.oldest.map_or(0, |oldest| now().saturating_sub(oldest).max(0));
                    let gauge =
                        |name: &'static str, value: f64| metrics::gauge!(name, "channel" => channel.clone()).set(value);
                    gauge("hookbell_lane_waiting", count(status.lane.waiting));
                    gauge("hookbell_lane_oldest_seconds", Duration::from_millis(oldest.unsigned_abs()).as_secs_f64());
                    gauge("hookbell_lane_open", if status.lane.state == Openness::Open { 1.0 } else { 0.0 });
                    gauge("hookbell_channel_dead", count(status.dead));
                }
                metrics::gauge!("hookbell_parked").set(count(parked));
            }
            Err(_) => return answer::error(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
        }
        metrics::counter!("hookbell_log_lines_lost_total").absolute(crate::telemetry::lost_lines());
        self.0.run_upkeep();
        Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(self.0.render())
    }
}

/// Exact up to 9 · 10¹⁵; nobody has more messages.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn count(n: u64) -> f64 {
    n as f64
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("hookbell_requests_total", "Webhook requests, by source and what became of them");
    describe_counter!("hookbell_requests_verified_total", "Requests stored, by source and the secret that signed them");
    describe_counter!("hookbell_requests_refused_total", "Requests refused, by source and reason");
    describe_counter!("hookbell_requests_misdirected_total", "Requests that reached no webhook, by cause");
    describe_gauge!("hookbell_connections", "Open connections, by listener");
    describe_counter!("hookbell_connections_closed_total", "Connections closed by Hookbell, by listener and cause");
    describe_counter!("hookbell_admin_rejected_total", "Requests to the admin API with an invalid token");
    describe_counter!("hookbell_panics_total", "Panics that were caught, by task; each is a defect of Hookbell");
    describe_counter!("hookbell_log_lines_lost_total", "Lines of the log that could not be written");
    describe_histogram!("hookbell_commit_seconds", "How long the store took to commit a batch");
    describe_histogram!("hookbell_commit_batch", "How many writes shared a commit");
    describe_counter!("hookbell_attempts_total", "Attempts to send, by channel and outcome");
    describe_counter!(
        "hookbell_template_errors_total",
        "Messages whose template failed, made by the next one, by channel"
    );
    describe_histogram!("hookbell_delivery_seconds", "From taking an event in to its delivery, by channel");
    describe_gauge!("hookbell_lane_waiting", "Messages that wait in a channel's lane");
    describe_gauge!("hookbell_lane_oldest_seconds", "Age of the oldest message that waits in a channel's lane");
    describe_gauge!("hookbell_lane_open", "1 where a channel's lane is open, 0 where it is closed or paused");
    describe_gauge!("hookbell_channel_dead", "Messages that are dead or suspect, of those that are kept");
    describe_gauge!("hookbell_undecided", "Events that wait for the rules to be mended");
    describe_gauge!("hookbell_config_valid", "1 where the configuration in its files is in use, 0 where it has errors");
    describe_gauge!("hookbell_parked", "Messages whose channel is not in the config");
}
