//! Structure of events: checks paths against the JSON Schema.

use std::sync::LazyLock;

use serde_json::Value;

use super::super::problems::{PathError, Several};
use crate::event::{Kind, schema};
use crate::problem::nearest;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(schema()).unwrap_or_default());

/// Structure of the value at a path.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Schema of a part of an event, and its path from the root, if it is unique.
    Known(&'static Value, Option<String>),
    /// Structure that is only known when rendering.
    Any,
}

impl Shape {
    /// Returns the shape of the whole event.
    pub(super) fn event() -> Self {
        Self::Known(&SCHEMA, Some(String::new()))
    }

    /// Returns the path from the root of the event.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Known(_, path) => path.as_deref(),
            Self::Any => None,
        }
    }

    /// Returns the shape of a field or item; `whole` is the complete path, for error messages.
    pub(super) fn step(&self, part: &str, whole: &str) -> Result<Self, PathError> {
        let Self::Known(node, path) = self else { return Ok(Self::Any) };
        let node = resolved(node);
        let longer =
            || path.as_ref().map(|path| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") });
        if let Some(next) = node["properties"].get(part) {
            return Ok(Self::Known(next, longer()));
        }
        if is(node, "array") {
            return match part.parse::<usize>() {
                Ok(_) => Ok(Self::Known(&node["items"], longer())),
                Err(_) => Err(PathError::FieldOfList { whole: whole.to_owned(), part: part.to_owned() }),
            };
        }
        let Some(properties) = node["properties"].as_object() else {
            return Err(PathError::FieldOfScalar { whole: whole.to_owned(), part: part.to_owned() });
        };
        let near = nearest(part, properties.keys().map(String::as_str).chain((part == whole).then_some("else")));
        Err(PathError::UnknownField {
            whole: whole.to_owned(),
            part: part.to_owned(),
            known: properties.keys().cloned().collect(),
            near: near.map(ToOwned::to_owned),
        })
    }

    /// Returns true if the value may be a number.
    pub(super) fn may_be_number(&self) -> bool {
        let Self::Known(node, _) = self else { return true };
        let node = resolved(node);
        node["type"].is_null() || is(node, "integer") || is(node, "number")
    }

    /// Returns true if the value may be an account, a list of accounts, or a name.
    pub(super) fn may_be_account(&self) -> bool {
        let Self::Known(node, _) = self else { return true };
        let node = resolved(node);
        let one = if is(node, "array") { resolved(&node["items"]) } else { node };
        !one["properties"].is_object() || one["properties"]["nickname"].is_object()
    }

    /// Returns the parts of the value, if it is a list or an object.
    pub(super) fn several(&self) -> Option<Several> {
        let Self::Known(node, _) = self else { return None };
        let node = resolved(node);
        if is(node, "array") {
            return Some(Several::Items);
        }
        Some(Several::Fields(node["properties"].as_object()?.keys().cloned().collect()))
    }

    /// Returns the shape of a list's items.
    pub(super) fn items(&self, whole: &str) -> Result<Self, PathError> {
        let Self::Known(node, _) = self else { return Ok(Self::Any) };
        let node = resolved(node);
        if is(node, "array") {
            return Ok(Self::Known(&node["items"], None));
        }
        if whole == "this" && self.path().is_some_and(str::is_empty) {
            return Err(PathError::EventIsNotAList(whole.to_owned()));
        }
        if node["properties"].is_object() {
            return Ok(Self::Any);
        }
        Err(PathError::NotAList(whole.to_owned()))
    }
}

/// Resolves references and nullable types.
fn resolved(mut node: &'static Value) -> &'static Value {
    loop {
        if let Some(name) = node["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            node = &SCHEMA["$defs"][name];
        } else if let Some(some) = node["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"))
        {
            node = some;
        } else {
            return node;
        }
    }
}

fn is(node: &Value, sort: &str) -> bool {
    match &node["type"] {
        Value::Array(sorts) => sorts.iter().any(|one| one == sort),
        one => one == sort,
    }
}

/// Returns those of the kinds whose events never have the path.
pub(super) fn without(path: &str, kinds: &[Kind]) -> Vec<Kind> {
    let part = path.split('.').next().unwrap_or(path);
    let is_part = Kind::Other.parts().contains(&part);
    kinds.iter().copied().filter(|kind| is_part && !kind.parts().contains(&part)).collect()
}
