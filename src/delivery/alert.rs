//! Telling people that something needs them: in the log always, and in the channels that `[delivery] alerts` names.
//!
//! An alert is stored and delivered like any event, of a source of our own; a cause is told once, by the same look at
//! what was seen before that tells a host's duplicates.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::Bells;
use crate::chat::Failure;
use crate::config::Live;
use crate::event::{ChannelName, DeliveryId, EventId, RequestId};
use crate::store::{Accepted, Decided, Delivery, Lane, Millis, NewDelivery, NewEvent, NewRequest, Store};

/// The source that alerts come from; no config can name it, because a source's name has no space.
const SOURCE: &str = "hookbell itself";

/// The template that draws them, and their kind.
const ALERT: &str = "alert";

/// A day, in milliseconds.
const DAY: Millis = 24 * 60 * 60 * 1000;

/// Something that needs somebody.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Alert {
    /// The channel that it is about.
    channel: ChannelName,
    /// What is the matter, in one sentence's end: "is closed".
    what: &'static str,
    /// What the chat said, or we.
    said: String,
    /// What to do about it.
    remedy: String,
    /// What tells this cause from others; with the day, where it may come again.
    #[serde(skip)]
    cause: Cause,
    /// The lane that it is about takes messages: it may be told there too.
    #[serde(skip)]
    is_open: bool,
}

#[derive(Clone, Debug)]
enum Cause {
    Once(String),
    Daily(String),
}

impl Alert {
    /// A channel's destination is gone.
    pub(super) fn closed(delivery: &Delivery, failure: &Failure) -> Self {
        let Delivery { id, channel, attempts, .. } = delivery;
        let remedy = failure.remedy.map(|remedy| format!("{remedy}; then: ")).unwrap_or_default();
        Self {
            channel: channel.clone(),
            what: "is closed: its messages wait",
            said: failure.said.clone(),
            remedy: format!("{remedy}hookbell channels reopen {channel}"),
            // Whoever reopens it in vain is told again.
            cause: Cause::Once(format!("closed {id} {attempts}")),
            is_open: false,
        }
    }

    /// Something on the way to a channel answers in its chat's place.
    pub(super) fn blocked(delivery: &Delivery, failure: &Failure) -> Self {
        Self {
            channel: delivery.channel.clone(),
            what: "is not reached: its messages are queued, and tried again",
            said: failure.said.clone(),
            remedy: failure.remedy.unwrap_or("look at what is on the way to the chat").to_owned(),
            cause: Cause::Daily(format!("not the chat {}", delivery.channel)),
            is_open: false,
        }
    }

    /// A message ended without being delivered.
    pub(super) fn ended(channel: &ChannelName, reason: &str, said: &str) -> Self {
        Self {
            channel: channel.clone(),
            what: "did not get a message",
            said: said.to_owned(),
            remedy: format!("hookbell deliveries --channel {channel} lists them, hookbell replay sends one again"),
            cause: Cause::Daily(format!("{reason} {channel}")),
            is_open: false,
        }
    }

    /// A template failed, and the next one made the message.
    pub(super) fn template_failed(channel: &ChannelName, path: &str, said: &str) -> Self {
        Self {
            channel: channel.clone(),
            what: "got a message by another template: the one that was to make it failed",
            said: said.to_owned(),
            remedy: "hookbell check tries all templates on all samples; an edit takes effect when it is saved"
                .to_owned(),
            cause: Cause::Daily(format!("template {path}")),
            is_open: true,
        }
    }

    /// A lane's task panicked, and is restarted.
    pub(super) fn panicked(channel: &ChannelName) -> Self {
        Self {
            channel: channel.clone(),
            what: "met a defect of Hookbell, and goes on",
            said: "its task panicked and was restarted".to_owned(),
            remedy: "please report it, with the lines of the log around `panicked`".to_owned(),
            cause: Cause::Daily(format!("panic {channel}")),
            is_open: true,
        }
    }

    fn key(&self, now: Millis) -> String {
        match &self.cause {
            Cause::Once(cause) => cause.clone(),
            Cause::Daily(cause) => format!("{cause} {}", now / DAY),
        }
    }
}

/// Who is to be told.
#[derive(Clone)]
pub(super) struct Alerts {
    pub(super) live: Live,
    pub(super) bells: Bells,
    pub(super) store: Arc<dyn Store>,
}

impl Alerts {
    /// Tells of something in `failing`, through all channels that do not lead there.
    pub(super) async fn tell(&self, alert: Alert, failing: &Lane, now: Millis) {
        let settings = self.live.now();
        let alerted = settings.delivery.alerts.iter().filter_map(|name| settings.lanes.get_key_value(name));
        let alerted = alerted.filter(|(_, lane)| alert.is_open || *lane != failing);
        let to: Vec<_> = alerted.map(|(name, lane)| (name.clone(), lane.clone())).collect();
        if to.is_empty() {
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
            subjects: vec![],
        };
        let decide = move |_: &_| {
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
            });
            let sends: Vec<NewDelivery> = deliveries.collect();
            let told: Vec<_> =
                sends.iter().map(|send| json!({ "route": send.route, "channel": send.channel })).collect();
            let event = NewEvent {
                id: event,
                kind: ALERT,
                repository: None,
                subject: None,
                json: json.clone(),
                same: None,
                decision: json!({ "sends": told }).to_string(),
                is_undecided: false,
            };
            Decided { receipt: "{}".to_owned(), events: vec![event], deliveries: sends, ..Decided::default() }
        };
        match self.store.accept(Arc::new(request), Box::new(decide)).await {
            Ok(Accepted::Stored { lanes, .. }) => {
                lanes.iter().for_each(|lane| self.bells.arrival(lane));
            }
            Ok(Accepted::Duplicate { .. }) => {}
            Err(error) => tracing::error!(%error, "could not store an alert; it stands in this log alone"),
        }
    }
}
