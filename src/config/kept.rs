//! The rules of a configuration as kept in the store, so that their decisions can be explained after they change.

use figment::value::{Dict, Value};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

/// Routes, mutes and the channels' `accept` guards: everything that decides where an event goes. Contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Identifier of the rules, stored with each decision: 12 hex digits of a SHA-256.
    pub hash: String,
    /// The rules as JSON.
    pub text: String,
}

impl Kept {
    /// Extracts the rules of the files, in reading order.
    pub(super) fn new<'a>(files: impl Iterator<Item = &'a Dict> + Clone) -> Self {
        let rules = |key: &'static str, what: &str| {
            let all = files.clone().filter_map(move |file| file.get(key)?.as_array()).flatten();
            let named = all.enumerate().map(|(n, rule)| {
                let mut rule = json(rule);
                if let Some(rule) = rule.as_object_mut() {
                    rule.entry("name").or_insert_with(|| unnamed(what, n).into());
                }
                rule
            });
            named.collect::<Vec<_>>()
        };
        let channels = files.clone().filter_map(|file| file.get("channels")?.as_dict()).flatten();
        let accepts = channels.map(|(name, channel)| {
            let accept = channel.as_dict().and_then(|channel| channel.get("accept"));
            (name.clone(), accept.map_or_else(|| json!({}), |accept| json!({ "accept": json(accept) })))
        });
        let channels: Map<_, _> = accepts.collect();
        let all = json!({ "channels": channels, "mutes": rules("mutes", "mute"), "routes": rules("routes", "route") });
        let text = all.to_string();
        Self { hash: hex::encode(&Sha256::digest(text.as_bytes())[..6]), text }
    }
}

fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Name of a rule without `name`, from its position among all rules: `route 3`.
pub(super) fn unnamed(what: &str, n: usize) -> String {
    format!("{what} {}", n + 1)
}
