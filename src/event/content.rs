//! The content of an event: what is stored, and what templates see.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Event;

/// Content of an event. It is stored as the JSON that templates see.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Event of a host.
    Event(Arc<Event>),
    /// Another event, such as an alert.
    Json(Arc<Value>),
}

impl Content {
    /// Returns the event as JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Event(event) => serde_json::to_value(event.as_ref()).unwrap_or_default(),
            Self::Json(value) => value.as_ref().clone(),
        }
    }
}
