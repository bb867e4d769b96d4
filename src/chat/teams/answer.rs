//! What a flow's answers mean. `202` says that the flow has begun, not that the message is there: a card that Teams
//! does not take fails later, where nobody hears of it.

use crate::chat::{Failure, Outcome, Reason};
use crate::http_client::Answer;

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    let closed = |reason, remedy| Outcome::Closed(Failure::with_remedy(reason, answer.said(), remedy));
    match (answer.common(), answer.status) {
        (Some(common), _) => common,
        (None, 200..=299) => Outcome::Accepted,
        (None, 401 | 403) if needs_sign_in(&answer.text) => closed(
            Reason::Forbidden,
            "the flow wants its callers to sign in: open its trigger and set \"Who can trigger the flow\" to \"Anyone\"",
        ),
        (None, 401 | 403) => closed(
            Reason::Forbidden,
            "the address's signature is not, or no longer, right: copy it again from the flow's trigger, whole",
        ),
        (None, 404 | 410) => {
            closed(Reason::Gone, "the flow was deleted, or is turned off: make a new one, and set its address")
        }
        (None, 400 | 413) => Outcome::Rejected(Failure::with_remedy(
            Reason::InvalidMessage,
            answer.said(),
            "the flow's trigger does not take this message: it must be \"When a Teams webhook request is received\"",
        )),
        (None, _) => answer.unexpected(),
    }
}

fn needs_sign_in(text: &str) -> bool {
    text.contains("DirectApiAuthorizationRequired") || text.contains("OAuth authorization scheme is required")
}
