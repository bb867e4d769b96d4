//! The JSON Schema of the config file, made from the reference.

use serde_json::{Map, Value, json};

use super::{Entry, Shape, matchers, tables};
use crate::event::Kind;
use crate::routing::SETS;

impl Shape {
    /// Returns the schema of a value.
    fn schema(self) -> Value {
        let list_of = |one: Value| json!({ "anyOf": [one.clone(), { "type": "array", "items": one, "minItems": 1 }] });
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Texts => {
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
            }
            Self::Flag => json!({ "type": "boolean" }),
            Self::OneOf(all) => json!({ "enum": all() }),
            Self::Duration => json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(d|h|min)$" }),
            Self::Pace => json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*/\\s*(s|m|min|h)\\s*$" }),
            // Validators represent TOML dates as strings or in other ways.
            Self::DateTime => json!({}),
            Self::Secret => json!({ "$ref": "#/$defs/secret" }),
            Self::Secrets => list_of(json!({ "$ref": "#/$defs/secret" })),
            Self::Patterns => list_of(json!({ "type": ["string", "boolean"], "minLength": 1 })),
            Self::Matchers => json!({ "$ref": "#/$defs/matchers" }),
            Self::Accept => json!({ "$ref": "#/$defs/accept" }),
            Self::Tls => json!({
                "type": "object", "additionalProperties": false, "required": ["cert", "key"],
                "properties": { "cert": { "type": "string" }, "key": { "type": "string" } },
            }),
            Self::Acme => json!({
                "type": "object", "additionalProperties": false, "required": ["domains"],
                "properties": {
                    "domains": Self::Texts.schema(), "email": { "type": "string" }, "directory": { "type": "string" },
                },
            }),
        }
    }
}

/// The JSON Schema of the config file, for editors. The first line of the file must be `#:schema hookbell.schema.json`.
pub fn schema() -> Value {
    let tables = tables();
    let mut properties = Map::new();
    for table in &tables {
        let object = object(&table.keys, table.about);
        match (table.name.split_once('.'), table.is_list) {
            (None, _) if table.name.is_empty() => properties.extend(keys(&table.keys)),
            (None, false) => drop(properties.insert(table.name.to_owned(), object)),
            (None, true) => {
                let list = json!({ "type": "array", "items": object, "description": table.about });
                properties.insert(table.name.to_owned(), list);
            }
            (Some((outer, "NAME")), _) => {
                let named = json!({ "type": "object", "additionalProperties": object, "description": table.about });
                properties.insert(outer.to_owned(), named);
            }
            (Some((outer, inner)), _) => {
                let list = json!({ "type": "array", "items": object, "description": table.about });
                properties[outer]["properties"][inner] = list;
            }
        }
    }
    let in_table = |key: &str, more: Value| {
        let mut properties = Map::from_iter([(key.to_owned(), json!({ "type": "string" }))]);
        properties.extend(more.as_object().cloned().unwrap_or_default());
        json!({ "type": "object", "properties": properties, "required": [key], "additionalProperties": false })
    };
    let secret = json!({ "anyOf": [
        { "type": "string", "minLength": 1 },
        in_table("env", json!({})),
        in_table("file", json!({ "generate": { "type": "boolean" } })),
    ] });
    let mut matchers = object(&matchers(), "All of these must match.");
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    let sets = SETS.iter().map(|set| format!("@{}", set.name));
    matchers["properties"]["event"]["examples"] = sets.chain(kinds).collect();
    let mut accept = matchers.clone();
    accept["properties"]["unless"] = json!({ "$ref": "#/$defs/matchers" });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Hookbell configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": { "secret": secret, "matchers": matchers, "accept": accept },
    })
}

fn keys(entries: &[Entry]) -> Map<String, Value> {
    let one = |entry: &Entry| {
        let mut schema = entry.shape.schema();
        let default = if entry.default.is_empty() { String::new() } else { format!(" Default: {}.", entry.default) };
        if schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] });
        }
        schema["description"] = format!("{}.{default}", entry.about).into();
        (entry.key.to_owned(), schema)
    };
    entries.iter().map(one).collect()
}

fn object(entries: &[Entry], about: &str) -> Value {
    let required: Vec<_> = entries.iter().filter(|entry| entry.is_required).map(|entry| entry.key).collect();
    json!({
        "type": "object",
        "description": about,
        "properties": keys(entries),
        "required": required,
        "additionalProperties": false,
    })
}
