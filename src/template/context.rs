//! An event as templates see it.

use serde::Deserialize;
use serde_json::Value;

use crate::event::{Event, Kind, Words};

/// Maximum number of items per list that templates see. No message shows a thousand items.
const MAX_LIST: usize = 1_000;

/// Event as templates see it. Created once and used for all messages of the event.
pub struct Context {
    pub(super) kind: Kind,
    pub(super) context: handlebars::Context,
}

impl Context {
    /// Creates a context from the JSON that [`Event`] serializes to.
    pub fn new(mut event: Value) -> Self {
        cap(&mut event);
        complete(&mut event);
        let kind = event["kind"].as_str().and_then(Kind::parse).unwrap_or(Kind::Other);
        Self { kind, context: handlebars::Context::from(event) }
    }

    /// Creates a context that uses the current time if the event has none, as pushes do: they are posted on arrival.
    pub fn as_of_now(event: &Event) -> Self {
        let time = event.time.or_else(|| Some(jiff::Timestamp::now()));
        Self::of(&Event { time, ..event.clone() })
    }

    /// Returns the event as templates see it.
    pub fn event(&self) -> &Value {
        self.context.data()
    }

    /// Returns the event with its lists truncated.
    pub(crate) fn into_event(mut self) -> Value {
        std::mem::take(self.context.data_mut())
    }

    /// Creates a context from an event.
    pub fn of(event: &Event) -> Self {
        Self::new(serde_json::to_value(event).unwrap_or_default())
    }
}

/// Truncates lists to [`MAX_LIST`], which bounds loops over them. Removes private-use characters that only shielding
/// may write, so that no value can forge them if a template outputs it unescaped.
fn cap(value: &mut Value) {
    match value {
        // In UTF-8, characters of planes 15 and 16 start with these bytes; few others do.
        Value::String(text) if text.bytes().any(|byte| byte >= 0xF3) => text.retain(|c| u32::from(c) < 0xF_0000),
        Value::Array(items) => {
            items.truncate(MAX_LIST);
            items.iter_mut().for_each(cap);
        }
        Value::Object(map) => map.values_mut().for_each(cap),
        _ => {}
    }
}

/// Adds what is not stored: the usual words, and references to pull requests.
pub(crate) fn complete(event: &mut Value) {
    if !event.is_object() {
        return;
    }
    let words = Words::deserialize(&event["words"]).unwrap_or_default();
    for (part, number, reference) in [
        ("pull_request", "id", "reference"),
        ("push", "pull_request", "pull_request_reference"),
        ("build", "pull_request", "pull_request_reference"),
    ] {
        if event[part].is_object() {
            event[part][reference] = event[part][number].as_u64().map(|number| words.reference(number)).into();
        }
    }
    event["words"] = serde_json::to_value(words).unwrap_or_default();
}
