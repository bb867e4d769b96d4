//! Meaning of a program's responses, which depends on the status only.

use crate::chat::{Failure, Outcome, Posted, Reason};
use crate::http_client::Answer;

/// Returns the outcome that a response means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    // A program may respond with any body, even a web page.
    if (200..300).contains(&answer.status) && answer.whole {
        return Outcome::Delivered(Posted::default());
    }
    if let Some(common) = answer.common() {
        return common;
    }
    match answer.status {
        // Standard Webhooks specification: a receiver that responds with 410 wants no more webhooks.
        410 => Outcome::Closed(Failure::with_help(
            Reason::Gone,
            answer.said(),
            "the program does not want any more events: remove the channel from the configuration, or reopen it",
        )),
        _ => answer.unexpected(),
    }
}
