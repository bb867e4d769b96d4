//! Repeated bodies: sent by a second webhook, or sent again.
//!
//! Only the body is signed. The host's id of a request is not, so a recorded delivery could be sent again with another
//! id.

use sha2::{Digest, Sha256};

use super::{Millis, Recall, reference};
use crate::event::{Event, Repository, RequestId, SourceName};

/// Maximum time between the deliveries of one event by two webhooks, in milliseconds.
const TWO_WEBHOOKS: Millis = 60_000;

/// Earlier request with the same body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameBody {
    /// Its id.
    pub request: RequestId,
    /// Id of the webhook on the host that sent it.
    pub hook: Option<String>,
    /// Time of its receipt.
    pub at: Millis,
}

/// Digest of a body, its source, and the family of its events.
pub type BodyDigest = [u8; 16];

/// Result of the check for a repeated body.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// The body is new, or its event may have happened again.
    New,
    /// Another webhook sent the body shortly before, in this request. If both a workspace and a repository have a
    /// webhook, Bitbucket sends each event twice.
    ByOtherHook(RequestId),
    /// The event is the same as in this request.
    Before(RequestId),
}

/// Returns the digest of a body. The same body has one digest per family of events, because hosts send the same body
/// with two keys.
pub fn digest_of_body(source: &SourceName, events: &[Event], body: &[u8]) -> BodyDigest {
    let family = events.first().map_or("none", |event| family(event));
    digest_of_subject(&format!("body:{source}:{family}:{}", hex::encode(short_digest(body))))
}

/// Returns the digest of a body from the name that it had in the memory of earlier versions.
pub(crate) fn digest_of_subject(subject: &str) -> BodyDigest {
    short_digest(subject.as_bytes())
}

fn short_digest(bytes: &[u8]) -> BodyDigest {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(bytes)[..16]);
    short
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

/// Checks whether the body of these events is repeated; `known` is the last request with the same one.
///
/// A body that contains the time of its event can describe only one event. The body of a push can describe several: a
/// branch may be created, deleted, and created again at the same commit. It is the same push as long as all of its refs
/// are where the push moved them.
pub fn seen(
    events: &[Event],
    (hook, now): (Option<&str>, Millis),
    known: Option<&SameBody>,
    recall: &Recall<'_>,
) -> Seen {
    match known {
        Some(known) if known.hook.as_deref() != hook && (now - known.at).abs() <= TWO_WEBHOOKS => {
            Seen::ByOtherHook(known.request.clone())
        }
        Some(known) if !events.is_empty() && events.iter().all(|event| is_same(event, recall)) => {
            Seen::Before(known.request.clone())
        }
        _ => Seen::New,
    }
}

/// Returns `true` if an event of a known body is the event that was reported before.
fn is_same(event: &Event, recall: &Recall<'_>) -> bool {
    match (&event.push, event.repository.as_deref().and_then(Repository::identity)) {
        (Some(push), Some(repository)) => reference::is_still_there(push, repository, recall),
        (Some(_), None) => false,
        (None, _) => event.time.is_some(),
    }
}
