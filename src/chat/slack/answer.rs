//! What Slack's answers mean: a status and one word. The pairing of the two has varied, so the word counts first.
//!
//! Words: <https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>, and reports.

use crate::chat::{Failure, Outcome, Reason, Receipt};
use crate::http_client::Answer;

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    let word = answer.text.trim();
    if answer.status == 200 && word == "ok" {
        return Outcome::Delivered(Receipt::default());
    }
    let closed = |reason, remedy| Outcome::Closed(Failure::with_remedy(reason, answer.said(), remedy));
    let rejected = |reason| Outcome::Rejected(Failure::new(reason, answer.said()));
    match word {
        "no_service" | "no_active_hooks" | "no_team" | "invalid_token" => {
            closed(Reason::Gone, "the webhook was removed or its app disabled: make a new one, and set its address")
        }
        "channel_not_found" => {
            closed(Reason::Gone, "the webhook's channel was deleted: make a webhook for another channel")
        }
        "channel_is_archived" => closed(Reason::Gone, "unarchive the channel, or make a webhook for another one"),
        "action_prohibited" | "posting_to_general_channel_denied" => {
            closed(Reason::Forbidden, "the workspace's owners do not let this webhook post there: ask them")
        }
        "user_not_found" => closed(Reason::Gone, "the webhook posts to a user who is gone: make a new one"),
        "rollup_error" => Outcome::Retry { failure: Failure::new(Reason::ServerError, answer.said()), after: None },
        "invalid_payload"
        | "invalid_blocks"
        | "invalid_attachments"
        | "no_text"
        | "too_many_attachments"
        | "missing_text_or_fallback_or_attachments"
        | "msg_blocks_too_long"
        | "msg_too_long" => rejected(Reason::InvalidMessage),
        _ => match (answer.common(), answer.status) {
            (Some(common), _) => common,
            (None, 404 | 410) => {
                closed(Reason::Gone, "there is no webhook at this address: make a new one, and set its address")
            }
            (None, 401 | 403) => closed(Reason::Forbidden, "the workspace does not let this webhook post"),
            (None, 200..=299) => answer.not_the_chat(),
            (None, _) => answer.unexpected(),
        },
    }
}
