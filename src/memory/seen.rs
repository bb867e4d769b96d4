//! A body that was seen before: sent by a second webhook, or sent again.
//!
//! Only the body is signed. The host's name for a request is not, so a recorded delivery could be sent again under a new
//! one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Memory, Millis, Recall, reference};
use crate::event::{Event, Repository, RequestId, SourceName};

/// Time within which a second webhook sends the same event, in milliseconds.
const TWO_WEBHOOKS: Millis = 60_000;

/// The request that brought a body first.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    hook: Option<String>,
    request: String,
    at: Millis,
}

/// Whether a body was seen before.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not, or what it says may well have happened once more.
    New,
    /// Another webhook sent it just before, as this request. If both a workspace and a repository have a webhook,
    /// Bitbucket sends each event twice.
    ByOtherHook(String),
    /// It is the same event as this request's.
    Before(String),
}

/// What must be remembered of a body. Bodies that say the same of different families of events are told apart: hosts send
/// the same body under two keys.
pub fn subject_of_body(source: &SourceName, events: &[Event], body: &[u8]) -> String {
    let kind = events.first().map_or("none", |event| family(event));
    format!("body:{source}:{kind}:{}", hex::encode(&Sha256::digest(body)[..16]))
}

/// Under which of their keys the same comment or vote came makes no difference.
fn family(event: &Event) -> &'static str {
    let is_vote = ["approv", "changes_"].iter().any(|part| event.kind.as_str().contains(part));
    match event.kind.family() {
        _ if event.comment.is_some() => "comment",
        "pull_request" if is_vote => "vote",
        _ => event.kind.as_str(),
    }
}

/// Whether a body was seen before; and what to remember of it.
///
/// A body that carries its event's own time cannot say two things. That of a push can: a branch may be created, deleted,
/// and created again at the same commit. It is the same push as long as all of its refs are where it left them.
pub fn seen(
    (subject, events): (&str, &[Event]),
    (hook, request, now): (Option<&str>, &RequestId, Millis),
    recall: &Recall<'_>,
    after: &mut Memory,
) -> Seen {
    let known = recall.before.get(subject).and_then(|state| Known::deserialize(state).ok());
    let seen = match known {
        Some(known) if known.hook.as_deref() != hook && (now - known.at).abs() <= TWO_WEBHOOKS => {
            Seen::ByOtherHook(known.request)
        }
        Some(known) if !events.is_empty() && events.iter().all(|event| is_same(event, recall)) => {
            Seen::Before(known.request)
        }
        _ => Seen::New,
    };
    if seen == Seen::New {
        let now = Known { hook: hook.map(ToOwned::to_owned), request: request.to_string(), at: now };
        after.extend(serde_json::to_value(now).ok().map(|state| (subject.to_owned(), state)));
    }
    seen
}

/// Whether an event that a known body tells of is the one that it told of before.
fn is_same(event: &Event, recall: &Recall<'_>) -> bool {
    match (&event.push, event.repository.as_deref().and_then(Repository::identity)) {
        (Some(push), Some(repository)) => reference::is_still_there(push, repository, recall),
        (Some(_), None) => false,
        (None, _) => event.time.is_some(),
    }
}
