//! Structure of events: checks paths against the JSON Schema.

use std::sync::LazyLock;

use serde_json::Value;

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

/// Error for a path without a value.
pub(super) struct Nowhere {
    pub(super) message: String,
    pub(super) help: Option<String>,
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
    pub(super) fn step(&self, part: &str, whole: &str) -> Result<Self, Nowhere> {
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
                Err(_) if is_length(part) => Err(Nowhere {
                    message: format!("`{whole}`: a list has no field `{part}`"),
                    help: Some(format!("write `{{{{len {}}}}}`", before(whole, part))),
                }),
                Err(_) => Err(Nowhere {
                    message: format!("`{whole}`: a list has no field `{part}`"),
                    help: Some(
                        "loop over the list with `{{#each …}}`, or join it: `{{join list \", \" \"name\"}}`".to_owned(),
                    ),
                }),
            };
        }
        let Some(properties) = node["properties"].as_object() else {
            let message = format!("`{whole}`: the value before `.{part}` has no fields");
            if is_length(part) {
                let help = format!("for the number of characters, write `{{{{len {}}}}}`", before(whole, part));
                return Err(Nowhere { message, help: Some(help) });
            }
            return Err(Nowhere { message, help: Some(format!("remove `.{part}`")) });
        };
        let near = nearest(part, properties.keys().map(String::as_str).chain((part == whole).then_some("else")));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("available fields: {}", properties.keys().cloned().collect::<Vec<_>>().join(", ")),
        };
        let message = if part == whole {
            format!("unknown field `{part}`")
        } else {
            format!("unknown field `{part}` in `{whole}`")
        };
        Err(Nowhere { message, help: Some(help) })
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

    /// Returns help for using the value as a single value, if it is a list or an object.
    pub(super) fn several(&self, whole: &str) -> Option<String> {
        let Self::Known(node, _) = self else { return None };
        let node = resolved(node);
        if is(node, "array") {
            return Some(format!("loop over the list: `{{{{#each {whole}}}}}…{{{{/each}}}}`"));
        }
        let names: Vec<_> = node["properties"].as_object()?.keys().map(String::as_str).collect();
        Some(format!("use one of its fields: {}", names.join(", ")))
    }

    /// Returns the shape of a list's items.
    pub(super) fn items(&self, whole: &str) -> Result<Self, Nowhere> {
        let Self::Known(node, _) = self else { return Ok(Self::Any) };
        let node = resolved(node);
        if is(node, "array") {
            return Ok(Self::Known(&node["items"], None));
        }
        if whole == "this" && self.path().is_some_and(str::is_empty) {
            let help = "use a list, for example `{{#each push.commits}}`".to_owned();
            return Err(Nowhere { message: format!("`{whole}` is the event, not a list"), help: Some(help) });
        }
        if node["properties"].is_object() {
            return Ok(Self::Any);
        }
        let help = "use a list, for example `{{#each push.commits}}`".to_owned();
        Err(Nowhere { message: format!("`{whole}` is not a list"), help: Some(help) })
    }
}

/// Returns true if other template languages use this name for the length of a list.
fn is_length(part: &str) -> bool {
    matches!(part, "length" | "size" | "count")
}

/// Returns a path without its last part.
fn before<'a>(whole: &'a str, part: &str) -> &'a str {
    whole.strip_suffix(part).map_or(whole, |before| before.trim_end_matches('.'))
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
