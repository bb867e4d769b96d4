//! Explanation of an event's routing: the result of each rule, and the event's deliveries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Settings, SourceEntry};
use crate::event::{Event, EventId, RequestId, SourceName, Summary};
use crate::routing::{Decision, Explanation, Router, Subject};
use crate::source::Provider;
use crate::store::DeliveryDetail;
use crate::time::{Millis, now, timestamp};

/// An event with the explanation of its routing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// Id of the event; null if it is not stored.
    pub id: Option<EventId>,
    /// Id of the request that contained the event, with the prefix `req_`; null if the event is not stored.
    pub request: Option<RequestId>,
    /// Source that received the event, or would receive it.
    pub source: SourceName,
    /// Time of receipt, in milliseconds since 1970; the current time if the event is not stored.
    pub at: Millis,
    /// Hookbell's event kind: `pull_request.opened`.
    pub kind: String,
    /// The code host's event key: `pullrequest:created`.
    pub key: String,
    /// Full name of the repository: `workspace/slug`.
    pub repository: Option<String>,
    /// Subject of the event: `#482 Add rate limits`, `main`.
    pub title: Option<String>,
    /// Name of the account that caused the event.
    pub actor: Option<String>,
    /// Version of the rules that the event is explained by.
    pub rules: Rules,
    /// Reason why the event is suppressed, regardless of the rules.
    pub suppressed: Option<String>,
    /// Name of the mute that suppresses the event in all channels.
    pub muted: Option<String>,
    /// Result of each rule.
    #[serde(flatten)]
    pub verdicts: Explanation,
    /// Additional remarks.
    pub notes: Vec<String>,
    /// Deliveries of the event, with their attempts.
    pub deliveries: Vec<DeliveryDetail>,
}

/// Version of the rules that an event is explained by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rules {
    /// The rules that routed the event; they are still in use.
    Same,
    /// The rules that routed the event; the current rules differ.
    Then,
    /// The current rules.
    Now,
}

/// Explains the routing of an event that a source receives at this time, in milliseconds since 1970.
pub(super) fn explain(event: &Event, source: &SourceName, at: Millis, router: &Router) -> (Explained, Decision) {
    let (decision, verdicts) = router.explain(Subject { source, event, at: timestamp(at) });
    let summary = Summary::of(&serde_json::to_value(event).unwrap_or_default());
    let explained = Explained {
        id: None,
        request: None,
        source: source.clone(),
        at,
        kind: event.kind.to_string(),
        key: event.key.clone(),
        repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
        title: summary.title,
        actor: summary.actor,
        rules: Rules::Now,
        suppressed: None,
        muted: decision.muted.clone(),
        verdicts,
        notes: vec![],
        deliveries: vec![],
    };
    (explained, decision)
}

/// Returns the source that would receive events of a provider.
pub fn through<'a>(settings: &'a Settings, provider: &Provider) -> Option<(&'a SourceName, &'a SourceEntry)> {
    settings.sources.iter().find(|(_, entry)| entry.provider.kind == provider.kind)
}

/// Explains events of a provider with the current rules, as if they were received now.
pub fn explain_as_received(events: &[Event], provider: &Provider, settings: &Settings) -> Vec<Explained> {
    let through = through(settings, provider);
    let explained = events.iter().map(|event| {
        let name = through.map_or_else(|| SourceName::from(provider.kind), |(name, _)| name.clone());
        let (mut explained, _) = explain(event, &name, now(), &settings.router);
        explained.notes.extend(match through {
            Some((name, entry)) => entry
                .foreign_place(event)
                .map(|place| format!("`{place}` is not allowed by `repo` of source `{name}`: the request is rejected")),
            None => {
                Some(format!("no source of kind `{}` is configured, so the event cannot be received", provider.kind))
            }
        });
        explained
    });
    explained.collect()
}
