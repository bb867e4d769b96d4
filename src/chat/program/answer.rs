//! What a program's answers mean: its status alone.

use crate::chat::{Failure, Outcome, Reason, Receipt};
use crate::http_client::Answer;

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    if let Some(common) = answer.common() {
        return common;
    }
    match answer.status {
        200..=299 => Outcome::Delivered(Receipt::default()),
        // By the Standard Webhooks specification, whoever answers so wants no more of them.
        410 => Outcome::Closed(Failure::with_remedy(
            Reason::Gone,
            answer.said(),
            "the program says that it wants no more events: take the channel out of the config, or reopen it",
        )),
        _ => answer.unexpected(),
    }
}
