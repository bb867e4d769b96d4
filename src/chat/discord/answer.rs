//! Meaning of Discord's responses: a status, and JSON with a code
//! (<https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>).

use std::time::Duration;

use serde_json::Value;

use crate::chat::{Failure, MessageRef, Outcome, Posted, Reason};
use crate::http_client::{Answer, seconds_of};

/// Returns the outcome that a response means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    // The response to a banned IP address is HTML.
    let json: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let closed = |reason, help| Outcome::Closed(Failure::with_help(reason, said(answer, &json), help));
    let rejected = |reason| Outcome::Rejected(Failure::new(reason, said(answer, &json)));
    if answer.status == 429 {
        let after = wait(answer, &json);
        return Outcome::Retry { failure: Failure::new(Reason::RateLimited, said(answer, &json)), after };
    }
    // A block by Cloudflare in Discord's format.
    if json["code"] == 40333 {
        return answer.not_the_chat();
    }
    if (200..300).contains(&answer.status) && answer.whole {
        if !json.is_object() && !answer.text.trim().is_empty() {
            return answer.not_the_chat();
        }
        let message = json["id"].as_str().map(MessageRef::new);
        return Outcome::Delivered(Posted { message, pause: pause(answer), instead: None });
    }
    match json["code"].as_u64() {
        Some(10015) => closed(Reason::Gone, "the webhook was deleted: create a new one and set its URL"),
        Some(10003) => {
            closed(Reason::Gone, "the channel was deleted: create a webhook in another channel and set its URL")
        }
        Some(50027) => closed(Reason::Forbidden, "the webhook's token is invalid: copy the complete webhook URL again"),
        Some(50001 | 50013) => {
            closed(Reason::Forbidden, "the webhook is not allowed to post here: check its permissions")
        }
        Some(50083 | 160_005) => {
            closed(Reason::Forbidden, "the thread is archived or locked: reopen it, or use another thread")
        }
        Some(220_001..=220_004) => {
            closed(Reason::Forbidden, "the webhook belongs to a forum: add `?thread_id=…` to its URL")
        }
        // The message to edit was deleted.
        Some(10008) => rejected(Reason::Gone),
        // Of a message older than an hour, only a few edits are allowed.
        Some(200_000 | 200_001 | 30046) => rejected(Reason::Blocked),
        Some(40005 | 50006 | 50035 | 40060) => rejected(Reason::InvalidMessage),
        _ => match (answer.common(), answer.status) {
            (Some(common), _) => common,
            (None, 404) => closed(Reason::Gone, "no webhook exists at this URL: create a new one and set its URL"),
            (None, 401 | 403) => {
                closed(Reason::Forbidden, "Discord does not allow this webhook to post: check its permissions")
            }
            (None, 400 | 413) => rejected(Reason::InvalidMessage),
            (None, _) => answer.unexpected(),
        },
    }
}

/// Returns Discord's error text, its code, and the place of the error in the message.
fn said(answer: &Answer, json: &Value) -> String {
    let Some(message) = json["message"].as_str() else { return answer.said() };
    let code = json["code"].as_u64().map(|code| format!(" ({code})")).unwrap_or_default();
    let errors = if json["errors"].is_object() { format!(" {}", json["errors"]) } else { String::new() };
    answer.saying(&format!("{message}{code}{errors}"))
}

/// Returns the wait after too many messages. The header of the bucket is in seconds with fractions. The other values
/// are in seconds in the current API, and in milliseconds in an older one that the webhook URL may name: then they are
/// about a thousand times the bucket's value.
fn wait(answer: &Answer, json: &Value) -> Option<Duration> {
    let reset = header(answer, "x-ratelimit-reset-after").and_then(seconds_of);
    let asked = json["retry_after"].as_f64().and_then(seconds_of).max(answer.retry_after());
    match (reset, asked) {
        (Some(reset), Some(asked)) if asked > reset * 100 => Some(reset),
        (reset, asked) => asked.or(reset),
    }
}

fn header(answer: &Answer, name: &str) -> Option<f64> {
    answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Returns the wait before the next message, if this one was the last that fits into the bucket.
fn pause(answer: &Answer) -> Option<Duration> {
    let used_up = header(answer, "x-ratelimit-remaining").is_some_and(|left| left < 1.0);
    header(answer, "x-ratelimit-reset-after").filter(|_| used_up).and_then(seconds_of)
}
