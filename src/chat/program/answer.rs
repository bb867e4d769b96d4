//! What a program's answers mean: its status alone.

use crate::chat::{Failure, Outcome, Reason, Receipt};
use crate::http_client::Answer;

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    // A program may answer with what it likes, a web page too.
    if (200..300).contains(&answer.status) && answer.whole {
        return Outcome::Delivered(Receipt::default());
    }
    if let Some(common) = answer.common() {
        return common;
    }
    match answer.status {
        // By the Standard Webhooks specification, whoever answers so wants no more of them.
        410 => Outcome::Closed(Failure::with_remedy(
            Reason::Gone,
            answer.said(),
            "the program says that it wants no more events: take the channel out of the config, or reopen it",
        )),
        _ => answer.unexpected(),
    }
}
