//! What Discord's answers mean: a status, and JSON with a code
//! (<https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>).

use std::time::Duration;

use serde_json::Value;

use crate::chat::{Failure, Outcome, Reason, Receipt};
use crate::http_client::{Answer, seconds_of};

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    // A ban by address answers with HTML.
    let json: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let closed = |reason, remedy| Outcome::Closed(Failure::with_remedy(reason, said(answer, &json), remedy));
    let rejected = |reason| Outcome::Rejected(Failure::new(reason, said(answer, &json)));
    if answer.status == 429 {
        let after = wait(answer, &json);
        return Outcome::Retry { failure: Failure::new(Reason::RateLimited, said(answer, &json)), after };
    }
    // Cloudflare's block in Discord's form.
    if json["code"] == 40333 {
        return answer.not_the_chat();
    }
    if (200..300).contains(&answer.status) && answer.whole {
        if !json.is_object() && !answer.text.trim().is_empty() {
            return answer.not_the_chat();
        }
        let message_id = json["id"].as_str().map(ToOwned::to_owned);
        return Outcome::Delivered(Receipt { message_id, pause: pause(answer), instead: None });
    }
    match json["code"].as_u64() {
        Some(10015) => closed(Reason::Gone, "the webhook was deleted: make a new one, and set its address"),
        Some(10003) => closed(Reason::Gone, "the channel was deleted: make a webhook in another one"),
        Some(50027) => closed(Reason::Forbidden, "the webhook's token is not right: copy its address again, whole"),
        Some(50001 | 50013) => closed(Reason::Forbidden, "the webhook may not post there: look at its permissions"),
        Some(50083 | 160_005) => {
            closed(Reason::Forbidden, "the thread is archived or locked: open it again, or choose another")
        }
        Some(220_001..=220_004) => {
            closed(Reason::Forbidden, "this is a forum's webhook: add `?thread_id=…` to its address")
        }
        Some(200_000 | 200_001) => rejected(Reason::Blocked),
        Some(40005 | 50006 | 50035 | 40060 | 30046) => rejected(Reason::InvalidMessage),
        _ => match (answer.common(), answer.status) {
            (Some(common), _) => common,
            (None, 404) => closed(Reason::Gone, "there is no webhook at this address: make a new one"),
            (None, 401 | 403) => closed(Reason::Forbidden, "Discord does not let this webhook post"),
            (None, 400 | 413) => rejected(Reason::InvalidMessage),
            (None, _) => answer.unexpected(),
        },
    }
}

/// What Discord said: its own words, and where in the message the fault is.
fn said(answer: &Answer, json: &Value) -> String {
    let Some(message) = json["message"].as_str() else { return answer.said() };
    let code = json["code"].as_u64().map(|code| format!(" ({code})")).unwrap_or_default();
    let errors = if json["errors"].is_object() { format!(" {}", json["errors"]) } else { String::new() };
    answer.saying(&format!("{message}{code}{errors}"))
}

/// How long to wait after too many messages. The bucket's own header counts in seconds, with fractions; the others count so in
/// today's API, and in milliseconds where an address leads to an older one: then all three differ by a thousand.
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

/// How long to wait before the next message, where this one was the last that the bucket had room for.
fn pause(answer: &Answer) -> Option<Duration> {
    let used_up = header(answer, "x-ratelimit-remaining").is_some_and(|left| left < 1.0);
    header(answer, "x-ratelimit-reset-after").filter(|_| used_up).and_then(seconds_of)
}
