//! Alerts. A problem that needs an operator is always logged, and is also posted to the channels in `[delivery]
//! alerts`.
//!
//! An alert is stored and delivered like any event, with Hookbell's own source. The detection of duplicate requests
//! ensures that a cause is reported once. An outage is stored, so that its end is reported too.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::chat::Failure;
use crate::config::{Live, Settings};
use crate::event::{ChannelName, Content, DeliveryId, EventId, SourceName, Summary};
use crate::memory::Memory;
use crate::store::{
    Decided, Delivery, Ids, Known, Lane, NewDelivery, NewEvent, NewRequest, Receipt, Store, StoreError, StoredDecision,
    Target,
};
use crate::time::{Millis, millis, timestamp};

/// Source of alerts. No configured source can have this name, because it contains a space.
const SOURCE: &str = "hookbell itself";

/// Name of the template for alerts, and their kind and key.
const ALERT: &str = "alert";

/// Length of a day in milliseconds.
const DAY: Millis = 24 * 60 * 60 * 1000;

/// A problem that needs an operator, or its end, as templates see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alert {
    /// Summary in one sentence.
    title: String,
    /// Response of the chat, or the error.
    detail: String,
    /// Instructions for the operator; empty if there is nothing to do.
    help: String,
    /// Channel that the alert is about.
    channel: Option<ChannelName>,
    /// Message that the alert is about.
    message: Option<About>,
    /// True if the alert reports the end of an outage.
    is_recovery: bool,
    /// Identifies the cause, so that it is not reported repeatedly.
    #[serde(skip)]
    cause: Cause,
    /// Outage that begins or ends with this alert.
    #[serde(skip)]
    outage: Option<Outage>,
    /// True if the channel's lane accepts messages, so that the alert can be posted there too.
    #[serde(skip)]
    is_open: bool,
}

/// Message that an alert is about.
#[derive(Clone, Debug, Serialize)]
struct About {
    delivery: DeliveryId,
    event: EventId,
    kind: String,
    repository: Option<String>,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Clone, Debug)]
enum Cause {
    /// Reported once.
    Once(String),
    /// Reported once a day.
    Daily(String),
}

/// A failure with a start and an end, both of which are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Messages to a channel do not arrive.
    Channel(ChannelName),
    /// Changes to the configuration do not take effect.
    Config,
    /// A source sends nothing.
    Source(SourceName),
}

impl Outage {
    /// Returns the subject under which the outage is stored.
    fn subject(&self) -> String {
        match self {
            Self::Channel(name) => format!("{SOURCE}:channel:{name}"),
            Self::Config => format!("{SOURCE}:config"),
            Self::Source(name) => format!("{SOURCE}:source:{name}"),
        }
    }
}

impl Alert {
    fn of(delivery: &Delivery, title: String, response: &str, help: String, cause: Cause) -> Self {
        let text =
            |pointer: &str| delivery.event.event().pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let about = About {
            delivery: delivery.id.clone(),
            event: delivery.event_id.clone(),
            kind: text("/kind").unwrap_or_default(),
            repository: text("/repository/full_name"),
            summary: Summary::of(delivery.event.event()),
        };
        Self {
            title,
            detail: response.to_owned(),
            help,
            channel: Some(delivery.channel.clone()),
            message: Some(about),
            is_recovery: false,
            cause,
            outage: None,
            is_open: false,
        }
    }

    fn beginning_outage(self, delivery: &Delivery) -> Self {
        Self { outage: Some(Outage::Channel(delivery.channel.clone())), ..self }
    }

    /// Alert: the chat reports that a channel's destination does not accept messages.
    pub(super) fn closed(delivery: &Delivery, failure: &Failure) -> Self {
        let Delivery { id, channel, attempts, .. } = delivery;
        let help = failure.help.map(|help| format!("{help}; then ")).unwrap_or_default();
        let title = format!("Channel {channel} is closed: its messages stay queued");
        let help = format!("{help}run: hookbell channels reopen {channel}");
        // If the channel is reopened and closes again, that is reported again.
        let cause = Cause::Once(format!("closed {id} {attempts}"));
        Self::of(delivery, title, &failure.response, help, cause).beginning_outage(delivery)
    }

    /// Alert: a proxy, gateway or filter responds instead of a channel's chat.
    pub(super) fn blocked(delivery: &Delivery, failure: &Failure) -> Self {
        let channel = &delivery.channel;
        let title = format!("Channel {channel} cannot be reached: its messages stay queued and are retried");
        let help = failure.help.unwrap_or("check the proxies and firewalls between Hookbell and the chat").to_owned();
        let cause = Cause::Daily(format!("not the chat {channel}"));
        Self::of(delivery, title, &failure.response, help, cause).beginning_outage(delivery)
    }

    /// Alert: a message was not delivered, for this reason, and will not be retried.
    pub(super) fn ended(delivery: &Delivery, reason: &str, response: &str, advice: Option<&str>) -> Self {
        let channel = &delivery.channel;
        let title = format!("A message to channel {channel} was not delivered");
        let advice = advice.map(|advice| format!("{advice}; then ")).unwrap_or_default();
        let help = format!("{advice}run: hookbell replay {}", delivery.id);
        Self::of(delivery, title, response, help, Cause::Daily(format!("{reason} {channel}")))
    }

    /// Alert: a message was dropped because its channel failed for too long.
    pub(super) fn expired(delivery: &Delivery, response: &str) -> Self {
        let advice = Some("check the channel with: hookbell doctor");
        Self::ended(delivery, "max_age", response, advice).beginning_outage(delivery)
    }

    /// Alert: a template failed, and the next one rendered the message.
    pub(super) fn template_failed(delivery: &Delivery, path: &str, response: &str) -> Self {
        let title = format!("A template failed for channel {}: another template was used", delivery.channel);
        let help = "to test all templates, run: hookbell check; a saved fix takes effect at once".to_owned();
        let alert = Self::of(delivery, title, response, help, Cause::Daily(format!("template {path}")));
        Self { is_open: true, ..alert }
    }

    fn general(title: String, detail: String, help: &str, cause: Cause) -> Self {
        Self {
            title,
            detail,
            help: help.to_owned(),
            channel: None,
            message: None,
            is_recovery: false,
            cause,
            outage: None,
            is_open: true,
        }
    }

    /// Alert: a lane's task panicked and was restarted.
    pub(super) fn panicked(channel: &ChannelName) -> Self {
        let title = format!("A bug in Hookbell interrupted channel {channel}: its task was restarted");
        let help = "report the bug with the log lines around `panicked`";
        let alert =
            Self::general(title, "the task panicked".to_owned(), help, Cause::Daily(format!("panic {channel}")));
        Self { channel: Some(channel.clone()), ..alert }
    }

    /// Alert: a channel delivers again.
    fn channel_recovered(channel: &ChannelName, since: Millis, now: Millis) -> Self {
        let response = format!("messages are delivered again after {}", duration(now.saturating_sub(since)));
        let cause = Cause::Once(format!("recovered {channel} {since}"));
        let alert = Self::general(format!("Channel {channel} has recovered"), response, "", cause);
        let outage = Some(Outage::Channel(channel.clone()));
        Self { channel: Some(channel.clone()), is_recovery: true, outage, ..alert }
    }

    /// Alert: a changed configuration was rejected. `errors` lists the errors with their places; `since` is the time of
    /// the first rejected change.
    pub(crate) fn config_rejected(errors: &str, in_use: &str, since: Millis) -> Self {
        let title = format!("The changed configuration was rejected: {in_use}");
        let help = "run `hookbell check` to list all errors; Hookbell reloads the file when you save it";
        let response = format!("{errors}\nsince {}", timestamp(since));
        // Report each outage, and each change of the errors during an outage.
        let cause = Cause::Once(format!("config {since} {errors}"));
        let alert = Self::general(title, response, help, cause);
        Self { outage: Some(Outage::Config), ..alert }
    }

    /// Alert: the configuration is valid again.
    fn config_recovered(since: Millis, now: Millis) -> Self {
        let response = format!("the configuration was rejected for {}", duration(now.saturating_sub(since)));
        let cause = Cause::Once(format!("config recovered {since}"));
        let alert = Self::general("The configuration is valid again".to_owned(), response, "", cause);
        Self { is_recovery: true, outage: Some(Outage::Config), ..alert }
    }

    /// Alert: a source has sent nothing for longer than expected.
    pub(crate) fn silent(source: &SourceName, since: Millis, every: Duration, now: Millis) -> Self {
        let title = format!("Source {source} is silent");
        let (silent, every) = (duration(now.saturating_sub(since)), duration(millis(every)));
        let response = format!("no request for {silent}; one is expected every {every}");
        let help = "check its webhook on the host and the way from there: hookbell doctor";
        let alert = Self::general(title, response, help, Cause::Once(format!("silent {source} {since}")));
        Self { outage: Some(Outage::Source(source.clone())), ..alert }
    }

    /// Alert: a source sends again.
    fn source_recovered(source: &SourceName, since: Millis, now: Millis) -> Self {
        let response =
            format!("a request arrived; the silence was reported {} ago", duration(now.saturating_sub(since)));
        let cause = Cause::Once(format!("source recovered {source} {since}"));
        let alert = Self::general(format!("Source {source} sends again"), response, "", cause);
        Self { is_recovery: true, outage: Some(Outage::Source(source.clone())), ..alert }
    }

    /// Returns true if the alert reports the start of an outage.
    pub(super) const fn begins_outage(&self) -> bool {
        self.outage.is_some() && !self.is_recovery
    }

    fn key(&self, now: Millis) -> String {
        match &self.cause {
            Cause::Once(cause) => cause.clone(),
            Cause::Daily(cause) => format!("{cause} {}", now / DAY),
        }
    }
}

/// Formats a duration in its two largest units.
fn duration(millis: Millis) -> String {
    let minutes = millis.max(0) / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours @ 1..48, minutes) => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// Stores alerts for the channels in `[delivery] alerts`.
#[derive(Clone)]
pub(crate) struct Alerts {
    pub(in crate::service) live: Live,
    pub(in crate::service) store: Arc<dyn Store>,
}

impl Alerts {
    /// Sends an alert to all channels in `[delivery] alerts`, except channels of the `failing` lane if that lane does
    /// not accept messages.
    pub(crate) async fn send(&self, alert: Alert, failing: Option<&Lane>, now: Millis) {
        let mut settings = self.live.now();
        while let Err(error) = self.store(&settings, &alert, failing, now).await {
            if !matches!(error, StoreError::Outdated) {
                tracing::error!(%error, "alert not stored");
                return;
            }
            settings = self.live.after(&settings).await;
        }
    }

    async fn store(
        &self,
        settings: &Settings,
        alert: &Alert,
        failing: Option<&Lane>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let alerted = settings.delivery.alerts.iter().filter_map(|name| settings.lanes.get_key_value(name));
        let alerted = alerted.filter(|(_, lane)| alert.is_open || Some(*lane) != failing);
        let to: Vec<_> = alerted.map(|(name, _)| name.clone()).collect();
        let subject = alert.outage.as_ref().map(Outage::subject);
        if settings.delivery.alerts.is_empty() || (to.is_empty() && subject.is_none()) {
            return Ok(());
        }
        let time = jiff::Timestamp::from_millisecond(now).ok();
        let json = json!({ "kind": ALERT, "key": ALERT, "time": time, "alert": alert });
        let content = Content::Json(Arc::new(json));
        let request = NewRequest {
            source: SOURCE.into(),
            hook: None,
            key: Some(alert.key(now)),
            received_at: now,
            headers: json!({}),
            body: Bytes::new(),
            digest: None,
            subjects: subject.iter().cloned().collect(),
        };
        let is_recovery = alert.is_recovery;
        let decide = move |known: &Known, ids: &Ids| {
            decided(ids, &content, &to, remembered(subject.as_deref(), is_recovery, &known.memory, now))
        };
        self.store.accept(Arc::new(request), settings.generation, Arc::new(decide)).await.map(|_| ())
    }

    /// Returns the start of an outage that was reported and has not ended.
    pub(crate) async fn outage_since(&self, outage: &Outage) -> Result<Option<Millis>, StoreError> {
        let state = self.store.remembered(&outage.subject()).await?;
        Ok(state.and_then(|state| state["since"].as_i64()))
    }

    /// Reports the end of an outage that began at `since`.
    pub(crate) async fn recovered(&self, outage: &Outage, since: Millis, now: Millis) {
        let alert = match outage {
            Outage::Channel(channel) => Alert::channel_recovered(channel, since, now),
            Outage::Config => Alert::config_recovered(since, now),
            Outage::Source(source) => Alert::source_recovered(source, since, now),
        };
        self.send(alert, None, now).await;
    }
}

/// Returns the state of an outage after an alert about it: its start, or null after its end.
fn remembered(subject: Option<&str>, is_recovery: bool, memory: &Memory, now: Millis) -> Memory {
    let Some(subject) = subject else { return Memory::new() };
    let before = memory.get(subject).and_then(|state| state["since"].as_i64());
    let state = if is_recovery { Value::Null } else { json!({ "since": before.unwrap_or(now) }) };
    Memory::from([(subject.to_owned(), state)])
}

fn decided(ids: &Ids, content: &Content, to: &[ChannelName], memory: Memory) -> Decided {
    let deliveries = to.iter().map(|channel| NewDelivery {
        template: Some(ALERT.to_owned()),
        ..NewDelivery::new(ids.event(0), channel.clone(), "alerts")
    });
    let sends: Vec<NewDelivery> = deliveries.collect();
    let targets = sends.iter().map(|send| Target { route: send.route.clone(), channel: send.channel.clone() });
    let event = NewEvent {
        kind: ALERT,
        repository: None,
        subject: None,
        content: content.clone(),
        decision: StoredDecision { targets: targets.collect(), ..StoredDecision::default() },
    };
    Decided { events: vec![event], deliveries: sends, memory, ..Decided::empty(Receipt::empty(ids.request())) }
}
