//! The same body by another webhook: a workspace's webhook beside a repository's sends each event twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Memory, Millis};
use crate::event::{RequestId, SourceName};

/// For how long a body is known.
const WITHIN: Millis = 60_000;

/// Who sent a body last.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    hook: Option<String>,
    request: String,
    at: Millis,
}

/// What must be remembered of a body.
pub fn subject_of_body(source: &SourceName, body: &[u8]) -> String {
    format!("body:{source}:{}", hex::encode(&Sha256::digest(body)[..16]))
}

/// The request that brought this very body by another webhook a moment ago, if one did; and what to remember.
///
/// The same body by the same webhook is another event that looks alike.
pub fn twin(
    subject: &str,
    (hook, request, now): (Option<&str>, &RequestId, Millis),
    before: &Memory,
    after: &mut Memory,
) -> Option<String> {
    let known = before.get(subject).and_then(|state| Known::deserialize(state).ok());
    let twin = known.filter(|known| known.hook.as_deref() != hook && (now - known.at).abs() <= WITHIN);
    if twin.is_none() {
        let now = Known { hook: hook.map(ToOwned::to_owned), request: request.to_string(), at: now };
        after.extend(serde_json::to_value(now).ok().map(|state| (subject.to_owned(), state)));
    }
    twin.map(|known| known.request)
}
