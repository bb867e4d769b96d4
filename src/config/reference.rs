//! Every key of the config, with what it may be, its default and its meaning: for the JSON Schema that editors use, and for
//! the page of the documentation. A test holds it to what the program asks for.

use serde_json::{Map, Value, json};

use crate::chat::KINDS;
use crate::event::Kind;
use crate::routing::{Key, SETS};
use crate::source::PROVIDERS;

/// A sort of table.
pub struct Table {
    /// How the config writes it: `server`, `channels.NAME`, `routes`; empty for the top.
    pub name: &'static str,
    /// Whether there may be many, as `[[routes]]`.
    pub is_list: bool,
    /// What it is for.
    pub about: &'static str,
    /// Its keys.
    pub keys: Vec<Entry>,
}

/// A key of a table.
pub struct Entry {
    /// The key.
    pub key: &'static str,
    /// What it may be.
    pub shape: Shape,
    /// What it is where nothing is said; empty where it must be said, or there is nothing then.
    pub default: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text.
    Text,
    /// A text, or a list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
    /// A number of days, hours or minutes: `30d`.
    Duration,
    /// So many within a time: `5/s`.
    Pace,
    /// A date or a time.
    Moment,
    /// A secret: a text, or where it is.
    Secret,
    /// A secret or a list of them.
    Secrets,
    /// Patterns of a matcher.
    Patterns,
    /// A table of matchers.
    Matchers,
    /// The same, with an `unless` of its own.
    Accept,
}

impl Shape {
    /// In words, for a table of the documentation.
    pub fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Texts => "text or list of texts".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::OneOf(all) => all().iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "),
            Self::Duration => "time: `30d`, `12h`, `90min`".to_owned(),
            Self::Pace => "pace: `5/s`, `30/min`".to_owned(),
            Self::Moment => "date or time".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Secrets => "secret or list of secrets".to_owned(),
            Self::Patterns => "pattern or list of patterns".to_owned(),
            Self::Matchers | Self::Accept => "table of matchers".to_owned(),
        }
    }

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
            // TOML's own dates come as texts, or as whatever a validator makes of them.
            Self::Moment => json!({}),
            Self::Secret => json!({ "$ref": "#/$defs/secret" }),
            Self::Secrets => list_of(json!({ "$ref": "#/$defs/secret" })),
            Self::Patterns => list_of(json!({ "type": ["string", "boolean"], "minLength": 1 })),
            Self::Matchers => json!({ "$ref": "#/$defs/matchers" }),
            Self::Accept => json!({ "$ref": "#/$defs/accept" }),
        }
    }
}

fn entry(key: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Entry {
    Entry { key, shape, default, about }
}

fn matcher(key: Key) -> Entry {
    let about = match key {
        Key::Source => "the source's name in this config",
        Key::Repo => "`workspace/slug`; case is ignored, `*` stays between slashes, `**` crosses them",
        Key::Workspace => "the repository's owner",
        Key::Project => "the project's key",
        Key::Visibility => "`public`, `private`",
        Key::Fork => "whether the repository is a fork",
        Key::Event => {
            "what happened: a kind (`pull_request.*`), a host's own word (`pullrequest:created`), a set (`@calm`)"
        }
        Key::Branch => "the ref of a push, a pull request's target, what a build is for; case matters, `/` separates",
        Key::SourceBranch => "where a pull request comes from",
        Key::TargetBranch => "where a pull request goes",
        Key::Tag => "the tag's name",
        Key::Actor => "who did it: name, nickname or id",
        Key::ActorKind => "`user`, `bot`, `app`, `team`; see a source's `bots`",
        Key::Author => "who wrote the pull request, the issue, or the newest commit",
        Key::Reviewer => "anyone who was asked for a review",
        Key::Title => "the pull request's or the issue's",
        Key::Label => "any label, from hosts that have labels",
        Key::State => {
            "of a pull request `open`, `merged`, `declined`, `superseded`; of a build `failed` and its like; of an issue the host's word"
        }
        Key::Draft => "whether the pull request is a draft",
        Key::Forced => "whether a push rewrote history",
        Key::Via => "`pull_request`: a push that merges or closes one",
        Key::Path => "any file that a push changes, from hosts that send them",
    };
    entry(key.as_str(), Shape::Patterns, "", about)
}

fn matchers() -> Vec<Entry> {
    Key::ALL.iter().map(|key| matcher(*key)).collect()
}

const ENABLED: (&str, Shape, &str, &str) = ("enabled", Shape::Flag, "true", "`false`: it is checked, and not read");

/// Every table, in the order in which the documentation has them.
pub fn tables() -> Vec<Table> {
    use Shape::{Accept, Duration, Flag, Matchers, Moment, OneOf, Pace, Secret, Secrets, Text, Texts};
    let enabled = || entry(ENABLED.0, ENABLED.1, ENABLED.2, ENABLED.3);
    let table = |name, about, keys| Table { name, is_list: false, about, keys };
    let list = |name, about, keys| Table { name, is_list: true, about, keys };
    let with_matchers = |own: Vec<Entry>| {
        let unless = entry("unless", Matchers, "", "leaves out what fits all of these matchers");
        own.into_iter().chain(matchers()).chain([unless]).collect()
    };
    vec![
        table(
            "",
            "At the top of the file, before any table.",
            vec![
                entry(
                    "include",
                    Texts,
                    "",
                    "files of routes, mutes and channels, `routes.d/*.toml`; read before this file's own",
                ),
                entry(
                    "templates",
                    Text,
                    "the built-in ones",
                    "the directory of your templates; built-in ones serve where a file is missing",
                ),
            ],
        ),
        table(
            "server",
            "Where the service listens.",
            vec![
                entry(
                    "listen",
                    Text,
                    "127.0.0.1:8080",
                    "where webhooks and `/healthz` come in; `systemd`: the socket that systemd passes in",
                ),
                entry(
                    "admin_listen",
                    Text,
                    "127.0.0.1:8081",
                    "where you look after it: `/api/v1`, `/metrics`, `/readyz`, `/-/reload`",
                ),
                entry(
                    "trusted_proxies",
                    Texts,
                    "none",
                    "networks whose `X-Forwarded-For` is believed, from its right end",
                ),
            ],
        ),
        table(
            "store",
            "Where events and messages are kept.",
            vec![
                entry(
                    "url",
                    Text,
                    "sqlite:hookbell.db",
                    "the store's file, made if it is not there, readable for you alone",
                ),
                entry(
                    "keep",
                    Duration,
                    "30d",
                    "how long events, deliveries and attempts are kept; what still waits is kept",
                ),
                entry("keep_raw", Duration, "7d", "how long untouched bodies are kept; they hold e-mail addresses"),
            ],
        ),
        table(
            "sources.NAME",
            "A code host: its webhooks post to `/hooks/NAME`.",
            vec![
                entry("kind", OneOf(source_kinds), "", "required: the host"),
                entry(
                    "secret",
                    Secrets,
                    "",
                    "required unless `unsigned`: what webhooks are signed with; while you change it, a list with the new one first",
                ),
                entry(
                    "unsigned",
                    Flag,
                    "false",
                    "instead of a secret: whoever knows the address can then make up events",
                ),
                entry("repo", Texts, "**", "the repositories that this secret may speak for, as patterns"),
                entry(
                    "allow_from",
                    Texts,
                    "anywhere",
                    "networks that requests may come from, beside the secret; `atlassian`: the host's own list",
                ),
                entry(
                    "bots",
                    Texts,
                    "none",
                    "accounts that are machines, as patterns over name and nickname: `actor_kind = \"bot\"`",
                ),
            ],
        ),
        table(
            "channels.NAME",
            "Where messages go.",
            vec![
                entry(
                    "kind",
                    OneOf(channel_kinds),
                    "",
                    "required: the chat; `webhook` is a program that gets each event as JSON",
                ),
                entry("webhook_url", Secret, "", "required but for the console: the address that the chat gave you"),
                entry(
                    "secret",
                    Secret,
                    "",
                    "required for `webhook`: what requests are signed with, as Standard Webhooks says",
                ),
                entry("style", OneOf(styles), "full", "`line`: one line a message"),
                entry("pace", Pace, "the chat's own limits", "how fast messages may follow each other"),
                entry("insecure", Flag, "false", "`http://` is fine: the network is yours"),
                entry("accept", Accept, "everything", "a guard: what the channel accepts, whatever the routes say"),
            ],
        ),
        list(
            "mutes",
            "What nobody is to hear of; looked at before all routes.",
            with_matchers(vec![
                entry("name", Text, "its number", "what answers and `explain` call it"),
                entry("channels", Texts, "all", "the channels in which it silences; in others the event is told"),
                entry(
                    "until",
                    Moment,
                    "for ever",
                    "a day (from its begin, in UTC) or a time from which it silences nothing any more",
                ),
                enabled(),
            ]),
        ),
        list(
            "routes",
            "Who hears of what; read in order, and each that matches adds its channels.",
            with_matchers(vec![
                entry("name", Text, "its number", "what answers and `explain` call it"),
                entry(
                    "to",
                    Texts,
                    "",
                    "required: the channels; each gets an event once, by the first route that names it",
                ),
                entry("template", Text, "by kind", "the template to use first"),
                entry("style", OneOf(styles), "the channel's", "how much of the message"),
                entry("final", Flag, "false", "nothing below is read once it matched"),
                entry("otherwise", Flag, "false", "only for what no route above sent anywhere"),
                enabled(),
            ]),
        ),
        table(
            "delivery",
            "What becomes of messages that do not arrive.",
            vec![
                entry("max_age", Duration, "7d", "for how long a message is tried again"),
                entry(
                    "alerts",
                    Texts,
                    "none",
                    "the channels that get alerts: closed channels, lost messages, a rejected configuration",
                ),
            ],
        ),
        table(
            "http",
            "How requests to chats go out.",
            vec![
                entry("proxy", Text, "none", "the proxy that they go through: `http://proxy.example:3128`"),
                entry("ca", Texts, "none", "files of certificates (PEM) that are trusted beside the system's"),
            ],
        ),
        table(
            "admin",
            "Who may look after the service, beside whoever can read the token next to the store.",
            vec![entry(
                "hosts",
                Texts,
                "none",
                "names that `admin_listen` may be called by, beside addresses and `localhost`",
            )],
        ),
        table(
            "people.NAME",
            "Who somebody is in the chats: `{{mention …}}` pings them. NAME is the account's id, nickname or name on the host, as \
             `hookbell events ID --json` shows them; only an id cannot be taken by somebody else. Whoever made the event is never pinged.",
            vec![
                entry("slack", Text, "none", "the member's ID, `U024BE7LH`, or a user group's, `S0614TZR7`"),
                entry(
                    "teams",
                    Text,
                    "none",
                    "the user's principal name, or the object's ID in Entra; a flow posts nothing at all if there is no such user",
                ),
                entry("discord", Text, "none", "the user's ID, `80351110224678912`, or behind `&` a role's"),
            ],
        ),
        list(
            "admin.tokens",
            "A token for the admin listener.",
            vec![
                entry("name", Text, "its number", "whose it is"),
                entry("token", Secret, "", "required"),
                entry("role", OneOf(roles), "read", "`read` looks, `operate` changes too"),
            ],
        ),
    ]
}

fn source_kinds() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.kind).collect()
}

fn channel_kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

fn styles() -> Vec<&'static str> {
    vec!["full", "line"]
}

fn roles() -> Vec<&'static str> {
    vec!["read", "operate"]
}

/// The JSON Schema of a config file, for editors: put `#:schema hookbell.schema.json` into its first line.
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
    let mut matchers = object(&matchers(), "All of these must fit.");
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    let sets = SETS.iter().map(|set| format!("@{}", set.name));
    matchers["properties"]["event"]["examples"] = sets.chain(kinds).collect();
    let mut accept = matchers.clone();
    accept["properties"]["unless"] = json!({ "$ref": "#/$defs/matchers" });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Hookbell's config",
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
    let required =
        entries.iter().filter(|entry| entry.about.split(':').next() == Some(REQUIRED)).map(|entry| entry.key);
    let required: Vec<_> = required.collect();
    json!({
        "type": "object",
        "description": about,
        "properties": keys(entries),
        "required": required,
        "additionalProperties": false,
    })
}

/// What the words on a key say, or begin with before a colon, that must be there.
const REQUIRED: &str = "required";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::build;

    /// What the program asks for, sort of table by sort of table, is what is written here.
    #[test]
    fn the_reference_is_what_the_program_asks_for() {
        let asked = build::asked_keys();
        let mut written: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for table in tables() {
            written.entry(table.name.to_owned()).or_default().extend(table.keys.iter().map(|entry| entry.key));
        }
        // Tables within tables are asked for as keys.
        let top: Vec<_> = written.keys().filter(|name| !name.is_empty()).cloned().collect();
        let matchers: BTreeSet<&str> = Key::ALL.iter().map(|key| key.as_str()).collect();
        for name in ["channels.NAME.accept", "channels.NAME.accept.unless", "routes.unless", "mutes.unless"] {
            written.insert(name.to_owned(), matchers.clone());
        }
        written.entry("channels.NAME.accept".to_owned()).or_default().insert("unless");
        written.entry("admin".to_owned()).or_default().insert("tokens");
        let of_top = top.iter().map(|name| name.split('.').next().unwrap());
        let of_top: BTreeSet<&str> = of_top.collect();
        written.entry(String::new()).or_default().extend(of_top);
        for (table, keys) in &asked {
            assert_eq!(Some(keys), written.get(table), "`{table}`");
        }
        assert_eq!(asked.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    }
}
