//! Why an event went where it went, or nowhere: what each rule said of it, and what became of its messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventId, RequestId, SourceName};
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
    let explained = Explained {
        id: None,
        request: None,
        source: source.clone(),
        at,
        kind: event.kind.to_string(),
        key: event.key.clone(),
        repository: event.repository.as_ref().and_then(|repository| repository.full_name.clone()),
        about: about(event),
        actor: event.actor.as_ref().map(|actor| actor.name.clone()),
        rules: Rules::Now,
        silent: None,
        muted: decision.muted.clone(),
        said,
        notes: vec![],
        deliveries: vec![],
    };
    (explained, decision)
}

/// What an event is about, in a few words.
fn about(event: &Event) -> Option<String> {
    let numbered = |id: Option<u64>, title: Option<&str>| {
        let number = id.map(|id| format!("#{id}"));
        let words: Vec<_> = number.into_iter().chain(title.map(ToOwned::to_owned)).collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    if let Some(pull_request) = &event.pull_request {
        return numbered(pull_request.id, pull_request.title.as_deref());
    }
    if let Some(issue) = &event.issue {
        return numbered(issue.id, issue.title.as_deref());
    }
    let push = event.push.as_ref().and_then(|push| push.name());
    let build = event.build.as_ref().and_then(|build| build.name.as_deref());
    push.or(build).or_else(|| event.branch()).map(ToOwned::to_owned)
}
