//! An event as templates see it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;

use crate::event::{Content, Event, Kind, Words};

/// Maximum number of items per list that templates see. No message shows a thousand items.
const MAX_LIST: usize = 1_000;

/// Event as templates see it, shared by all messages of the event. It is built when a template needs it.
pub struct Context {
    /// `None` if the context is built already.
    content: Option<Content>,
    built: OnceLock<Built>,
}

struct Built {
    kind: Kind,
    context: handlebars::Context,
}

impl Built {
    fn of(mut event: Value) -> Self {
        cap(&mut event);
        complete(&mut event);
        let kind = event["kind"].as_str().and_then(Kind::parse).unwrap_or(Kind::Other);
        Self { kind, context: handlebars::Context::from(event) }
    }
}

impl From<Content> for Context {
    fn from(content: Content) -> Self {
        Self { content: Some(content), built: OnceLock::new() }
    }
}

impl Context {
    /// Creates a context from the JSON that [`Event`] serializes to.
    pub fn new(event: Value) -> Self {
        Self { content: None, built: Built::of(event).into() }
    }

    /// Creates a context that uses the current time if the event has none, as pushes do: they are posted on arrival.
    pub fn as_of_now(event: &Event) -> Self {
        let time = event.time.or_else(|| Some(jiff::Timestamp::now()));
        Self::of(&Event { time, ..event.clone() })
    }

    /// Creates a context from an event.
    pub fn of(event: &Event) -> Self {
        Self::from(Content::Event(Arc::new(event.clone())))
    }

    /// Returns the event as templates see it.
    pub fn event(&self) -> &Value {
        self.context().data()
    }

    pub(super) fn kind(&self) -> Kind {
        self.built().kind
    }

    pub(super) fn context(&self) -> &handlebars::Context {
        &self.built().context
    }

    fn built(&self) -> &Built {
        self.built.get_or_init(|| Built::of(self.content.as_ref().map(Content::to_value).unwrap_or_default()))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event().fmt(f)
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
