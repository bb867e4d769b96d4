//! Repeated bodies: sent by a second webhook, or sent again.
//!
//! Only the body is signed. The host's id of a request is not, so a recorded delivery could be sent again with another
//! id.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Memory, Millis, Recall, reference};
use crate::event::{Event, Repository, RequestId, SourceName};

/// Maximum time between the deliveries of one event by two webhooks, in milliseconds.
const TWO_WEBHOOKS: Millis = 60_000;

/// First request with a body.
#[derive(Debug, Serialize, Deserialize)]
struct BodyMemory {
    hook: Option<String>,
    request: String,
    at: Millis,
}

/// Result of the check for a repeated body.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// The body is new, or its event may have happened again.
    New,
    /// Another webhook sent the body shortly before, in this request. If both a workspace and a repository have a
    /// webhook, Bitbucket sends each event twice.
    ByOtherHook(String),
    /// The event is the same as in this request.
    Before(String),
}

/// Returns the subject of a body. The same body has one subject per family of events, because hosts send the same body
/// with two keys.
pub fn subject_of_body(source: &SourceName, events: &[Event], body: &[u8]) -> String {
    let kind = events.first().map_or("none", |event| family(event));
    format!("body:{source}:{kind}:{}", hex::encode(&Sha256::digest(body)[..16]))
}

/// Returns the family of an event. All events of a comment or a vote have the same family, whichever key they were sent
/// with.
fn family(event: &Event) -> &'static str {
    let is_vote = ["approv", "changes_"].iter().any(|part| event.kind.as_str().contains(part));
    match event.kind.family() {
        _ if event.comment.is_some() => "comment",
        "pull_request" if is_vote => "vote",
        _ => event.kind.as_str(),
    }
}

/// Checks whether a body is repeated, and stores it if it is new.
///
/// A body that contains the time of its event can describe only one event. The body of a push can describe several: a
/// branch may be created, deleted, and created again at the same commit. It is the same push as long as all of its refs
/// are where the push moved them.
pub fn seen(
    (subject, events): (&str, &[Event]),
    (hook, request, now): (Option<&str>, &RequestId, Millis),
    recall: &Recall<'_>,
    after: &mut Memory,
) -> Seen {
    let known = recall.before.get(subject).and_then(|state| BodyMemory::deserialize(state).ok());
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
        let now = BodyMemory { hook: hook.map(ToOwned::to_owned), request: request.to_string(), at: now };
        after.extend(serde_json::to_value(now).ok().map(|state| (subject.to_owned(), state)));
    }
    seen
}

/// Returns `true` if an event of a known body is the event that was reported before.
fn is_same(event: &Event, recall: &Recall<'_>) -> bool {
    match (&event.push, event.repository.as_deref().and_then(Repository::identity)) {
        (Some(push), Some(repository)) => reference::is_still_there(push, repository, recall),
        (Some(_), None) => false,
        (None, _) => event.time.is_some(),
    }
}
