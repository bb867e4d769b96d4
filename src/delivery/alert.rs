//! Alerts: what needs an operator goes to the log always, and to the channels that `[delivery] alerts` names.
//!
//! An alert is stored and delivered like any event, of a source of our own. A cause is reported once, by the same
//! mechanism that finds a host's duplicates. An outage is remembered, so that its end is reported too.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::Bells;
use crate::chat::Failure;
use crate::config::Live;
use crate::event::{ChannelName, DeliveryId, EventId, RequestId, Summary};
use crate::memory::Memory;
use crate::store::{
    Accepted, Decided, Delivery, Lane, Millis, NewDelivery, NewEvent, NewRequest, Store, StoreError, moment,
};

/// The source that alerts come from; no config can name it, because a source's name has no space.
const SOURCE: &str = "hookbell itself";

/// The template that draws them, and their kind.
const ALERT: &str = "alert";

/// A day, in milliseconds.
const DAY: Millis = 24 * 60 * 60 * 1000;

/// Something that needs an operator, as templates see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alert {
    /// What happened, in a sentence.
    title: String,
    /// What the chat answered, or the error.
    said: String,
    /// What to do about it; empty where there is nothing to do.
    remedy: String,
    /// The channel that it is about.
    channel: Option<ChannelName>,
    /// The message that it is about.
    message: Option<About>,
    /// The end of what was reported before.
    is_recovery: bool,
    /// What tells this cause from others.
    #[serde(skip)]
    cause: Cause,
    /// The outage that begins, or ends, with this.
    #[serde(skip)]
    outage: Option<Outage>,
    /// The lane of the channel takes messages: the alert may go there too.
    #[serde(skip)]
    is_open: bool,
}

/// The message that an alert is about.
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

/// What is down until it recovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// A channel: its messages do not arrive.
    Channel(ChannelName),
    /// The configuration: changes to it do not take effect.
    Config,
}

impl Outage {
    /// The subject that it is remembered by.
    fn subject(&self) -> String {
        match self {
            Self::Channel(name) => format!("{SOURCE}:channel:{name}"),
            Self::Config => format!("{SOURCE}:config"),
        }
    }
}

impl Alert {
    fn of(delivery: &Delivery, title: String, said: &str, remedy: String, cause: Cause) -> Self {
        let text = |pointer: &str| delivery.event.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let about = About {
            delivery: delivery.id.clone(),
            event: delivery.event_id.clone(),
            kind: text("/kind").unwrap_or_default(),
            repository: text("/repository/full_name"),
            summary: Summary::of(&delivery.event),
        };
        Self {
            title,
            said: said.to_owned(),
            remedy,
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

    /// The chat says that a channel's destination is gone.
    pub(super) fn closed(delivery: &Delivery, failure: &Failure) -> Self {
        let Delivery { id, channel, attempts, .. } = delivery;
        let remedy = failure.remedy.map(|remedy| format!("{remedy}; then: ")).unwrap_or_default();
        let title = format!("Channel {channel} is closed: its messages stay queued");
        let remedy = format!("{remedy}hookbell channels reopen {channel}");
        // Reopened in vain, it is reported again.
        let cause = Cause::Once(format!("closed {id} {attempts}"));
        Self::of(delivery, title, &failure.said, remedy, cause).beginning_outage(delivery)
    }

    /// Something on the way to a channel answers in its chat's place.
    pub(super) fn blocked(delivery: &Delivery, failure: &Failure) -> Self {
        let channel = &delivery.channel;
        let title = format!("Channel {channel} cannot be reached: its messages stay queued and are tried again");
        let remedy = failure.remedy.unwrap_or("check the proxies and filters between Hookbell and the chat").to_owned();
        let cause = Cause::Daily(format!("not the chat {channel}"));
        Self::of(delivery, title, &failure.said, remedy, cause).beginning_outage(delivery)
    }

    /// A message ended without being delivered, for this reason.
    pub(super) fn ended(delivery: &Delivery, reason: &str, said: &str, advice: Option<&str>) -> Self {
        let channel = &delivery.channel;
        let title = format!("A message to channel {channel} was not delivered");
        let advice = advice.map(|advice| format!("{advice}; then: ")).unwrap_or_default();
        let remedy = format!("{advice}hookbell replay {}", delivery.id);
        Self::of(delivery, title, said, remedy, Cause::Daily(format!("{reason} {channel}")))
    }

    /// A message was given up because its channel failed for too long.
    pub(super) fn expired(delivery: &Delivery, said: &str) -> Self {
        let advice = Some("hookbell doctor says how the channel is");
        Self::ended(delivery, "max_age", said, advice).beginning_outage(delivery)
    }

    /// A template failed, and the next one made the message.
    pub(super) fn template_failed(delivery: &Delivery, path: &str, said: &str) -> Self {
        let title = format!("A template failed for channel {}: another one made the message", delivery.channel);
        let remedy =
            "hookbell check tries all templates on all samples; an edit takes effect when it is saved".to_owned();
        let alert = Self::of(delivery, title, said, remedy, Cause::Daily(format!("template {path}")));
        Self { is_open: true, ..alert }
    }

    fn general(title: String, said: String, remedy: &str, cause: Cause) -> Self {
        Self {
            title,
            said,
            remedy: remedy.to_owned(),
            channel: None,
            message: None,
            is_recovery: false,
            cause,
            outage: None,
            is_open: true,
        }
    }

    /// A lane's task panicked, and is restarted.
    pub(super) fn panicked(channel: &ChannelName) -> Self {
        let title = format!("A bug in Hookbell interrupted channel {channel}: its task was restarted");
        let remedy = "report it, with the lines of the log around `panicked`";
        let alert =
            Self::general(title, "the task panicked".to_owned(), remedy, Cause::Daily(format!("panic {channel}")));
        Self { channel: Some(channel.clone()), ..alert }
    }

    /// A channel delivers again, after so long.
    fn channel_recovered(channel: &ChannelName, since: Millis, now: Millis) -> Self {
        let said = format!("messages arrive again, after {}", duration(now.saturating_sub(since)));
        let cause = Cause::Once(format!("recovered {channel} {since}"));
        let alert = Self::general(format!("Channel {channel} has recovered"), said, "", cause);
        let outage = Some(Outage::Channel(channel.clone()));
        Self { channel: Some(channel.clone()), is_recovery: true, outage, ..alert }
    }

    /// A changed configuration was rejected, for these errors with their places; it has errors since then.
    pub(crate) fn config_rejected(errors: &str, in_use: &str, since: Millis) -> Self {
        let title = format!("The changed configuration was rejected: {in_use}");
        let remedy = "fix the file, it is read again when it is saved; hookbell check shows all errors";
        let said = format!("{errors}\nsince {}", moment(since));
        // Each outage is reported, and each change of the errors in it.
        let cause = Cause::Once(format!("config {since} {errors}"));
        let alert = Self::general(title, said, remedy, cause);
        Self { outage: Some(Outage::Config), ..alert }
    }

    /// The configuration is valid again, after so long.
    fn config_recovered(since: Millis, now: Millis) -> Self {
        let said = format!("it was rejected for {}", duration(now.saturating_sub(since)));
        let cause = Cause::Once(format!("config recovered {since}"));
        let alert = Self::general("The configuration is valid again".to_owned(), said, "", cause);
        Self { is_recovery: true, outage: Some(Outage::Config), ..alert }
    }

    /// Whether this reports an outage whose end is to be reported too.
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

/// A duration in its two largest units.
fn duration(millis: Millis) -> String {
    let minutes = millis.max(0) / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours @ 1..48, minutes) => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// Stores alerts for the channels that want them.
#[derive(Clone)]
pub(crate) struct Alerts {
    pub(super) live: Live,
    pub(super) bells: Bells,
    pub(super) store: Arc<dyn Store>,
}

impl Alerts {
    /// Sends an alert to all channels that want it, but for those whose lane it is about, if that does not take messages.
    pub(crate) async fn send(&self, alert: Alert, failing: Option<&Lane>, now: Millis) {
        let settings = self.live.now();
        let alerted = settings.delivery.alerts.iter().filter_map(|name| settings.lanes.get_key_value(name));
        let alerted = alerted.filter(|(_, lane)| alert.is_open || Some(*lane) != failing);
        let to: Vec<_> = alerted.map(|(name, lane)| (name.clone(), lane.clone())).collect();
        let subject = alert.outage.as_ref().map(Outage::subject);
        if settings.delivery.alerts.is_empty() || (to.is_empty() && subject.is_none()) {
            return;
        }
        let time = jiff::Timestamp::from_millisecond(now).ok();
        let json = json!({ "kind": ALERT, "key": ALERT, "time": time, "alert": alert }).to_string();
        let request = NewRequest {
            id: RequestId::fresh(),
            source: SOURCE.into(),
            hook: None,
            key: Some(alert.key(now)),
            received_at: now,
            headers: json!({}),
            body: Bytes::new(),
            subjects: subject.iter().cloned().collect(),
        };
        let is_recovery = alert.is_recovery;
        let decide =
            move |memory: &Memory| decided(&json, &to, remembered(subject.as_deref(), is_recovery, memory, now));
        match self.store.accept(Arc::new(request), Box::new(decide)).await {
            Ok(Accepted::Stored { lanes, .. }) => {
                lanes.iter().for_each(|lane| self.bells.arrival(lane));
            }
            Ok(Accepted::Duplicate { .. }) => {}
            Err(error) => tracing::error!(%error, "alert not stored"),
        }
    }

    /// When an outage began that was reported and did not end yet.
    pub(crate) async fn outage_since(&self, outage: &Outage) -> Result<Option<Millis>, StoreError> {
        let state = self.store.remembered(&outage.subject()).await?;
        Ok(state.and_then(|state| state["since"].as_i64()))
    }

    /// Reports the end of an outage that began then.
    pub(crate) async fn recovered(&self, outage: &Outage, since: Millis, now: Millis) {
        let alert = match outage {
            Outage::Channel(channel) => Alert::channel_recovered(channel, since, now),
            Outage::Config => Alert::config_recovered(since, now),
        };
        self.send(alert, None, now).await;
    }
}

/// The state of an outage after an alert about it: since when it is, or nothing after its end.
fn remembered(subject: Option<&str>, is_recovery: bool, memory: &Memory, now: Millis) -> Memory {
    let Some(subject) = subject else { return Memory::new() };
    let before = memory.get(subject).and_then(|state| state["since"].as_i64());
    let state = if is_recovery { Value::Null } else { json!({ "since": before.unwrap_or(now) }) };
    Memory::from([(subject.to_owned(), state)])
}

fn decided(json: &str, to: &[(ChannelName, Lane)], memory: Memory) -> Decided {
    let event = EventId::fresh();
    let deliveries = to.iter().cloned().map(|(channel, lane)| NewDelivery {
        id: DeliveryId::fresh(),
        event: event.clone(),
        channel,
        lane,
        route: "alerts".to_owned(),
        template: Some(ALERT.to_owned()),
        style: None,
        replay_of: None,
        joins: None,
        also: vec![],
    });
    let sends: Vec<NewDelivery> = deliveries.collect();
    let told: Vec<_> = sends.iter().map(|send| json!({ "route": send.route, "channel": send.channel })).collect();
    let event = NewEvent {
        id: event,
        kind: ALERT,
        repository: None,
        subject: None,
        json: json.to_owned(),
        same: None,
        decision: json!({ "sends": told }).to_string(),
        is_undecided: false,
    };
    Decided { receipt: "{}".to_owned(), events: vec![event], deliveries: sends, memory, duplicate_of: None }
}
