//! Sources that have gone silent: no request has arrived for as long as `expect_every`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::delivery::{Alert, Alerts, Outage};
use super::health::Health;
use super::intake::SourceUses;
use crate::config::Live;
use crate::event::SourceName;
use crate::store::{Store, StoreError};
use crate::time::{Millis, millis, timestamp};

/// Interval between checks.
const INTERVAL: Duration = Duration::from_secs(60);

/// Maximum time after a start in which no source counts as silent: the service itself may have been away.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Watches the sources with `expect_every`.
pub(super) struct Watch {
    pub(super) store: Arc<dyn Store>,
    pub(super) live: Live,
    pub(super) health: Health,
    pub(super) uses: SourceUses,
    pub(super) started: Millis,
    pub(super) clock: fn() -> Millis,
}

/// What is known of a source.
#[derive(Default)]
struct Known {
    /// Last request before the start; if it is older than `expect_every`, the time from which the source is late.
    before: Option<Millis>,
    /// True if the source was silent at the last check.
    is_silent: bool,
}

impl Watch {
    /// Checks once a minute. Never returns.
    pub(super) async fn run(self) {
        let mut known = BTreeMap::new();
        loop {
            if let Err(error) = self.check(&mut known).await {
                tracing::warn!(%error, "cannot check for silent sources; trying again in a minute");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn check(&self, known: &mut BTreeMap<SourceName, Known>) -> Result<(), StoreError> {
        let settings = self.live.now();
        let now = (self.clock)();
        let alerts = Alerts { live: self.live.clone(), store: self.store.clone() };
        known.retain(|name, _| {
            let is_watched = settings.sources.get(name).is_some_and(|entry| entry.expect_every.is_some());
            if !is_watched {
                self.health.report(&problem(name), None);
            }
            is_watched
        });
        for (name, every) in settings.sources.iter().filter_map(|(name, entry)| Some((name, entry.expect_every?))) {
            let outage = Outage::Source(name.clone());
            if !known.contains_key(name) {
                let before = self.store.last_request(name, now.saturating_sub(millis(every))).await?;
                let is_silent = alerts.outage_since(&outage).await?.is_some();
                known.insert(name.clone(), Known { before, is_silent });
            }
            let Some(known) = known.get_mut(name) else { continue };
            let last = self.uses.last_request(name).or(known.before);
            let silent_since = silent_since(last, self.started, every, now);
            let described = silent_since.map(|since| {
                let since = timestamp(since);
                format!("source `{name}` is silent: no request since {since}; check its webhook on the host, or change `expect_every`")
            });
            self.health.report(&problem(name), described);
            metrics::gauge!("hookbell_source_silent", "source" => name.to_string()).set(if silent_since.is_some() {
                1.0
            } else {
                0.0
            });
            match silent_since {
                Some(since) if !known.is_silent => {
                    tracing::warn!(source = %name, since = %timestamp(since), "source is silent");
                    alerts.send(Alert::silent(name, since, every, now), None, now).await;
                    known.is_silent = true;
                }
                // Silent before the start, and still within the time after it.
                None if known.is_silent && last.is_some_and(|last| now.saturating_sub(last) < millis(every)) => {
                    tracing::info!(source = %name, "source sends again");
                    if let Some(since) = alerts.outage_since(&outage).await? {
                        alerts.recovered(&outage, since, now).await;
                    }
                    known.is_silent = false;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns the name of the problem in the service's health.
fn problem(source: &SourceName) -> String {
    format!("silent {source}")
}

/// Returns since when a source is silent; `None` if it is not. A source that never sent anything counts from the start.
fn silent_since(last: Option<Millis>, started: Millis, every: Duration, now: Millis) -> Option<Millis> {
    let from = last.unwrap_or(started);
    let is_late = now.saturating_sub(from) > millis(every);
    let has_started = now.saturating_sub(started) >= millis(every.min(GRACE));
    (is_late && has_started).then_some(from)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::store::{Decide, Decided, Filter, Generation, NewRequest, Receipt};

    const MINUTE: Millis = 60_000;

    #[test]
    fn source_is_silent_after_its_time() {
        let day = Duration::from_secs(24 * 60 * 60);
        let of = |last: Option<Millis>, now: Millis| silent_since(last.map(|n| n * MINUTE), 0, day, now * MINUTE);
        let full = 24 * 60;
        assert_eq!(of(None, full), None);
        assert_eq!(of(None, full + 1), Some(0));
        assert_eq!(of(Some(60), full + 60), None);
        assert_eq!(of(Some(60), full + 61), Some(60 * MINUTE));
        // The last request came long before the start.
        assert_eq!(of(Some(-3 * full), 9), None);
        assert_eq!(of(Some(-3 * full), 10), Some(-3 * full * MINUTE));
    }

    /// The time of the test.
    static NOW: AtomicI64 = AtomicI64::new(1_000_000 * MINUTE);

    fn test_now() -> Millis {
        NOW.load(Ordering::Relaxed)
    }

    const CONFIG: &str = r#"
[sources.busy]
kind = "bitbucket-cloud"
secret = "s3cret"
expect_every = "30min"

[sources.quiet]
kind = "bitbucket-cloud"
secret = "s3cret"

[channels.ops]
kind = "console"

[delivery]
alerts = ["ops"]

[[routes]]
event = "@all"
to = "ops"
"#;

    #[tokio::test]
    async fn silence_and_its_end_are_reported_once_also_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let settings = crate::config::testing::settings(directory.path(), CONFIG);
        let store = settings.store.open_at(test_now).unwrap();
        let (health, live, source) = (Health::default(), Live::new(settings), SourceName::from("busy"));
        let watch = |uses: &SourceUses| Watch {
            store: store.clone(),
            live: live.clone(),
            health: health.clone(),
            uses: uses.clone(),
            started: test_now(),
            clock: test_now,
        };
        let titles = || async {
            let events = store.events(Filter { limit: 10, ..Filter::default() }).await.unwrap();
            let mut titles = vec![];
            for event in events {
                let json = store.event_json(&event.id).await.unwrap().unwrap();
                let text = |key: &str| json["alert"][key].as_str().unwrap().to_owned();
                titles.push(format!("{}: {}", text("title"), text("detail")));
            }
            titles
        };
        let request = Arc::new(NewRequest {
            source: source.clone(),
            hook: None,
            key: None,
            received_at: test_now(),
            headers: serde_json::json!({}),
            body: "{}".into(),
            digest: None,
            subjects: vec![],
        });
        let decide: Decide = Arc::new(|_, ids| Decided::empty(Receipt::empty(ids.request())));
        store.accept(request, Generation::default(), decide).await.unwrap();

        // 25 minutes after the last request, the service starts.
        NOW.fetch_add(25 * MINUTE, Ordering::Relaxed);
        let (uses, mut known) = (SourceUses::default(), BTreeMap::new());
        let first = watch(&uses);
        first.check(&mut known).await.unwrap();
        NOW.fetch_add(9 * MINUTE, Ordering::Relaxed);
        first.check(&mut known).await.unwrap();
        assert_eq!((titles().await, health.problems()), (vec![], vec![]));
        NOW.fetch_add(MINUTE, Ordering::Relaxed);
        for _ in 0..2 {
            first.check(&mut known).await.unwrap();
        }
        let silent = "Source busy is silent: no request for 35 min; one is expected every 30 min";
        assert_eq!(titles().await, [silent]);
        assert!(
            health.problems()[0].starts_with("source `busy` is silent: no request since "),
            "{:?}",
            health.problems()
        );

        // A restart does not report it again, and not its end before a request comes.
        NOW.fetch_add(MINUTE, Ordering::Relaxed);
        let (uses, mut known) = (SourceUses::default(), BTreeMap::new());
        let second = watch(&uses);
        second.check(&mut known).await.unwrap();
        assert_eq!(health.problems(), Vec::<String>::new());
        NOW.fetch_add(11 * MINUTE, Ordering::Relaxed);
        second.check(&mut known).await.unwrap();
        assert_eq!((titles().await, health.problems().len()), (vec![silent.to_owned()], 1));
        NOW.fetch_add(29 * MINUTE, Ordering::Relaxed);
        uses.add(&source, None, test_now());
        for _ in 0..2 {
            second.check(&mut known).await.unwrap();
        }
        let recovered = "Source busy sends again: a request arrived; the silence was reported 41 min ago";
        assert_eq!((titles().await, health.problems()), (vec![silent.to_owned(), recovered.to_owned()], vec![]));
    }
}
