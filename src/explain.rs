//! Why an event went where it went, or nowhere: what each rule said of it, and what became of its messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventId, RequestId, SourceName, Summary};
use crate::routing::{Decision, Explanation, Router, Subject};
use crate::store::{Millis, WholeDelivery, moment};

/// An event, with why it went where it went.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// Its id; none where it is not stored.
    pub id: Option<EventId>,
    /// The request that brought it.
    pub request: Option<RequestId>,
    /// The source that it came through, or would.
    pub source: SourceName,
    /// When it came, in milliseconds since 1970; now, where it is not stored.
    pub at: Millis,
    /// What happened, in our word: `pull_request.opened`.
    pub kind: String,
    /// What happened, in the host's: `pullrequest:created`.
    pub key: String,
    /// `workspace/slug`.
    pub repository: Option<String>,
    /// What it is about: `#482 Add rate limits`, `main`.
    pub about: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// Which rules these are.
    pub rules: Rules,
    /// Why nobody is to hear of it, whatever the rules say.
    pub silent: Option<String>,
    /// The mute that silenced it everywhere.
    pub muted: Option<String>,
    /// What each rule says of it.
    #[serde(flatten)]
    pub said: Explanation,
    /// What is to be known beside.
    pub notes: Vec<String>,
    /// What became of its messages.
    pub deliveries: Vec<WholeDelivery>,
}

/// Which rules an event is explained by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rules {
    /// Those that it was routed by, and they are in use still.
    Same,
    /// Those that it was routed by; others are in use now.
    Then,
    /// Those of now.
    Now,
}

/// What the rules say of an event, which came through a source at a moment.
pub fn explain(event: &Event, source: &SourceName, at: Millis, router: &Router) -> (Explained, Decision) {
    let (decision, said) = router.explain(Subject { source, event, at: moment(at) });
    let summary = Summary::of(&serde_json::to_value(event).unwrap_or_default());
    let explained = Explained {
        id: None,
        request: None,
        source: source.clone(),
        at,
        kind: event.kind.to_string(),
        key: event.key.clone(),
        repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
        about: summary.title,
        actor: summary.actor,
        rules: Rules::Now,
        silent: None,
        muted: decision.muted.clone(),
        said,
        notes: vec![],
        deliveries: vec![],
    };
    (explained, decision)
}
