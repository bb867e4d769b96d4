//! Meaning of Slack's responses: a status and an error word. Slack has paired them differently over time, so the word
//! is checked first.
//!
//! Words: <https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>, and user reports.

use crate::chat::{Failure, Outcome, Posted, Reason};
use crate::http_client::Answer;

/// Returns the outcome that a response means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    let word = answer.text.trim();
    if answer.status == 200 && word == "ok" {
        return Outcome::Delivered(Posted::default());
    }
    let closed = |reason, help| Outcome::Closed(Failure::with_help(reason, answer.said(), help));
    let rejected = |reason| Outcome::Rejected(Failure::new(reason, answer.said()));
    match word {
        "no_service" | "no_active_hooks" | "no_team" | "invalid_token" => {
            closed(Reason::Gone, "the webhook was removed or its app was disabled: create a new one and set its URL")
        }
        "channel_not_found" => {
            closed(Reason::Gone, "the channel was deleted: create a webhook for another channel and set its URL")
        }
        "channel_is_archived" => closed(Reason::Gone, "unarchive the channel, or create a webhook for another channel"),
        "action_prohibited" | "posting_to_general_channel_denied" => {
            closed(Reason::Forbidden, "the workspace does not allow this webhook to post there: ask a workspace owner")
        }
        "user_not_found" => {
            closed(Reason::Gone, "the webhook posts to a user who no longer exists: create a new one and set its URL")
        }
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
                closed(Reason::Gone, "no webhook exists at this URL: create a new one and set its URL")
            }
            (None, 401 | 403) => closed(
                Reason::Forbidden,
                "the webhook URL is wrong, or the workspace does not allow it to post: copy the URL again, or ask an owner",
            ),
            (None, 200..=299) => answer.not_the_chat(),
            (None, _) => answer.unexpected(),
        },
    }
}
