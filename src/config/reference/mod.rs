//! Reference of all configuration keys: type, default and meaning. It generates the JSON Schema for editors and the
//! documentation page. A test compares it with the keys that the program reads.

mod schema;

use crate::chat::{ChannelKey, KeyType, kinds};
use crate::routing::Key;
use crate::source::providers;
use crate::store::StoreUrl;
pub use schema::schema;

/// A type of table.
pub struct Table {
    /// Name in the config file: `server`, `channels.NAME`, `routes`; empty for the top level.
    pub name: &'static str,
    /// True for a list of tables, such as `[[routes]]`.
    pub is_list: bool,
    /// Purpose of the table, in full sentences.
    pub about: &'static str,
    /// Keys of the table.
    pub keys: Vec<Entry>,
}

/// A key of a table.
pub struct Entry {
    /// Name of the key.
    pub key: &'static str,
    /// Type of the value.
    pub shape: Shape,
    /// Default value as text; empty if the key is required or has no default.
    pub default: &'static str,
    /// Meaning of the key.
    pub about: &'static str,
    /// The table is invalid without the key.
    pub is_required: bool,
}

/// Type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A string or a list of strings.
    Texts,
    /// `true` or `false`.
    Flag,
    /// One of these strings.
    OneOf(fn() -> Vec<&'static str>),
    /// A number of days, hours or minutes: `30d`.
    Duration,
    /// A number per time unit: `5/s`.
    Pace,
    /// A date or a time.
    DateTime,
    /// A secret: a string, or a table with its location.
    Secret,
    /// A secret or a list of secrets.
    Secrets,
    /// Patterns of a matcher.
    Patterns,
    /// A table of matchers.
    Matchers,
    /// A table of matchers that can have an `unless` table.
    Accept,
    /// A certificate and its key.
    Tls,
    /// A certificate to request.
    Acme,
}

impl Shape {
    /// The type in words, for the documentation.
    pub fn words(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Texts => "string or list of strings".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::OneOf(all) => all().iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "),
            Self::Duration => "duration: `30d`, `12h`, `90min`".to_owned(),
            Self::Pace => "pace: `5/s`, `30/min`".to_owned(),
            Self::DateTime => "date or time".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Secrets => "secret or list of secrets".to_owned(),
            Self::Patterns => "pattern or list of patterns".to_owned(),
            Self::Matchers | Self::Accept => "table of matchers".to_owned(),
            Self::Tls => "`{ cert = \"cert.pem\", key = \"key.pem\" }`".to_owned(),
            Self::Acme => "`{ domains = \"a.example\", email = \"…\", directory = \"https://…\" }`".to_owned(),
        }
    }
}

fn entry(key: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Entry {
    Entry { key, shape, default, about, is_required: false }
}

fn required(key: &'static str, shape: Shape, about: &'static str) -> Entry {
    Entry { is_required: true, ..entry(key, shape, "", about) }
}

fn matcher(key: Key) -> Entry {
    let about = match key {
        Key::Source => "name of the source in this configuration",
        Key::Repo => "`workspace/slug`, case-insensitive; `*` stops at `/`, `**` crosses it",
        Key::Workspace => "owner of the repository",
        Key::Project => "key of the project",
        Key::Visibility => "`public` or `private`",
        Key::Fork => "`true` if the repository is a fork",
        Key::Event => "event kind (`pull_request.*`), set (`@calm`), or the host's event key (`pullrequest:created`)",
        Key::Branch => {
            "branch of a push or a build, or target branch of a pull request; case-sensitive; `*` stops at `/`"
        }
        Key::SourceBranch => "source branch of a pull request",
        Key::TargetBranch => "target branch of a pull request",
        Key::Tag => "name of the tag",
        Key::Actor => "account that caused the event: name, nickname or id",
        Key::ActorKind => "`user`, `bot`, `app` or `team`; see `bots` of a source",
        Key::Author => "author of the pull request, the issue or the newest commit",
        Key::Reviewer => "any requested reviewer",
        Key::Title => "title of the pull request or the issue",
        Key::Label => "any label; only from hosts that have labels",
        Key::State => {
            "pull request: `open`, `merged`, `declined`, `superseded`; build: such as `failed`; issue: the host's state"
        }
        Key::Draft => "`true` if the pull request is a draft",
        Key::Forced => "`true` if a push rewrote history",
        Key::Via => "`pull_request` for a push that merges or closes a pull request",
        Key::Path => "any file changed by a push; only from hosts that send paths",
    };
    entry(key.as_str(), Shape::Patterns, "", about)
}

fn matchers() -> Vec<Entry> {
    Key::ALL.iter().map(|key| matcher(*key)).collect()
}

const ENABLED: (&str, Shape, &str, &str) =
    ("enabled", Shape::Flag, "true", "`false` disables the rule; it is still validated");

/// All tables, in the order of the documentation.
pub fn tables() -> Vec<Table> {
    use Shape::{DateTime, Duration, Flag, Matchers, OneOf, Secret, Secrets, Text, Texts};
    let enabled = || entry(ENABLED.0, ENABLED.1, ENABLED.2, ENABLED.3);
    let table = |name, about, keys| Table { name, is_list: false, about, keys };
    let list = |name, about, keys| Table { name, is_list: true, about, keys };
    let with_matchers = |own: Vec<Entry>| {
        let unless = entry("unless", Matchers, "", "excludes events that match all of these matchers");
        own.into_iter().chain(matchers()).chain([unless]).collect()
    };
    vec![
        table(
            "",
            "Keys at the top of the file, before any table.",
            vec![
                entry(
                    "include",
                    Texts,
                    "",
                    "more files with routes, mutes and channels, `routes.d/*.toml`; evaluated before this file's rules",
                ),
                entry(
                    "templates",
                    Text,
                    "the built-in templates",
                    "directory with your templates; built-in templates are used for missing files",
                ),
            ],
        ),
        table(
            "server",
            "Listeners of the service.",
            vec![
                entry(
                    "listen",
                    Text,
                    "127.0.0.1:8080",
                    "listen address for webhooks, `/healthz` and `/readyz`; `systemd` selects the socket that systemd passes in",
                ),
                entry(
                    "admin_listen",
                    Text,
                    "127.0.0.1:8081",
                    "address for `/api/v1`, `/metrics`, `/readyz` and `/-/reload`",
                ),
                entry(
                    "tls",
                    Shape::Tls,
                    "none: plain HTTP",
                    "TLS for `listen`; the files are read again when they change",
                ),
                entry(
                    "acme",
                    Shape::Acme,
                    "none",
                    "requests the certificate of `listen` from an authority and renews it; Let's Encrypt, unless `directory` names another",
                ),
                entry("admin_tls", Shape::Tls, "none: plain HTTP", "TLS for `admin_listen`"),
                entry(
                    "trusted_proxies",
                    Texts,
                    "none",
                    "networks of proxies whose `X-Forwarded-For` header is trusted; it is read from its right end",
                ),
            ],
        ),
        table(
            "store",
            "The database for events and messages.",
            vec![
                entry("url", Text, StoreUrl::DEFAULT, StoreUrl::ABOUT),
                entry(
                    "keep",
                    Duration,
                    "30d",
                    "retention of events, deliveries and attempts; queued messages are always kept",
                ),
                entry(
                    "keep_raw",
                    Duration,
                    "7d",
                    "retention of original request bodies, which contain e-mail addresses",
                ),
            ],
        ),
        table(
            "sources.NAME",
            "A code host. Its webhooks post to `/hooks/NAME`.",
            vec![
                required("kind", OneOf(source_kinds), "the code host"),
                entry(
                    "secret",
                    Secrets,
                    "",
                    "required unless `unsigned`: signs webhooks; to rotate it, use a list with the new secret first",
                ),
                entry(
                    "unsigned",
                    Flag,
                    "false",
                    "accepts requests without a secret; anyone who knows the URL can then forge events",
                ),
                entry("repo", Texts, "**", "patterns of the repositories that this source may send events for"),
                entry(
                    "allow_from",
                    Texts,
                    "anywhere",
                    "allowed networks, in addition to the secret; `atlassian` is the host's published list",
                ),
                entry(
                    "expect_every",
                    Duration,
                    "never",
                    "reports a source from which no request has come for this time, in alerts, metrics and `/readyz`",
                ),
                entry(
                    "bots",
                    Texts,
                    "none",
                    "patterns of names and nicknames of bots; events of these accounts have `actor_kind = \"bot\"`",
                ),
            ],
        ),
        table(
            "hooks",
            "Webhooks on the code host that `hookbell hooks` creates, repairs and removes, and `hookbell doctor` checks.",
            vec![
                required("workspace", Text, "short name of the workspace, as in its URL"),
                entry(
                    "repos",
                    Texts,
                    "one webhook of the whole workspace",
                    "short names of repositories with a webhook each",
                ),
                entry("source", Text, "the only one", "name of the source that the webhooks post to"),
                required(
                    "public_url",
                    Text,
                    "address at which the host reaches Hookbell: `https://hookbell.acme.example`",
                ),
                required("token", Secret, "token of the host's API; only commands need it, the service does not"),
                entry("email", Text, "none", "account of an API token; leave it out for an access token"),
                entry("api_url", Text, "the host's API", "URL of the API, for a proxy"),
            ],
        ),
        table("channels.NAME", "A destination for messages.", channel_keys()),
        list(
            "mutes",
            "Events that are not posted. Mutes are evaluated before all routes.",
            with_matchers(vec![
                entry("name", Text, "its number", "name in responses and in `explain`"),
                entry("channels", Texts, "all", "channels to mute; other channels still get the event"),
                entry("until", DateTime, "never", "end of the mute: a date (00:00 UTC), or a time with a UTC offset"),
                enabled(),
            ]),
        ),
        list(
            "routes",
            "Rules that send events to channels. They are evaluated in order; each route that matches adds its channels.",
            with_matchers(vec![
                entry("name", Text, "its number", "name in responses and in `explain`"),
                required("to", Texts, "the channels; each gets an event once, through the first route that names it"),
                entry("template", Text, "by event kind", "the template to try first"),
                entry("style", OneOf(styles), "the channel's", "style of this route's messages"),
                entry("final", Flag, "false", "if this route matches, later routes are not evaluated"),
                entry("otherwise", Flag, "false", "matches only if no route above sent the event anywhere"),
                enabled(),
            ]),
        ),
        table(
            "delivery",
            "Retries and alerts.",
            vec![
                entry("max_age", Duration, "7d", "maximum time to retry a message"),
                entry(
                    "alerts",
                    Texts,
                    "none",
                    "channels that get alerts about closed channels, lost messages and a rejected configuration",
                ),
            ],
        ),
        table(
            "http",
            "Outgoing requests to chats.",
            vec![
                entry("proxy", Text, "none", "URL of the proxy: `http://proxy.example:3128`"),
                entry("ca", Texts, "none", "PEM files with certificates to trust in addition to the system's"),
            ],
        ),
        table(
            "admin",
            "Access to the admin listener. Anyone who can read the generated token next to the store has full access.",
            vec![entry(
                "hosts",
                Texts,
                "none",
                "names allowed in the `Host` header on `admin_listen`, in addition to IP addresses and `localhost`",
            )],
        ),
        table(
            "people.NAME",
            "A person's chat accounts, for pings with `{{mention …}}`. NAME is the id, nickname or name of the account \
             on the code host, as shown by `hookbell events ID --json`. Prefer the id: another account can take a \
             nickname or a name. The actor of an event is never pinged.",
            member_keys(),
        ),
        list(
            "admin.tokens",
            "A token for the admin listener.",
            vec![
                entry("name", Text, "its number", "owner of the token"),
                required("token", Secret, "the secret value"),
                entry("role", OneOf(roles), "read", "`read` allows viewing; `operate` also allows changes"),
            ],
        ),
    ]
}

fn source_kinds() -> Vec<&'static str> {
    providers().iter().map(|provider| provider.kind).collect()
}

fn channel_kinds() -> Vec<&'static str> {
    kinds().iter().map(|kind| kind.name()).collect()
}

/// Keys of `[channels.NAME]`: those of all kinds of chats, and those of some.
fn channel_keys() -> Vec<Entry> {
    let mut keys = vec![required(
        "kind",
        Shape::OneOf(channel_kinds),
        "chat service; `webhook` posts each event as JSON to your own service",
    )];
    for key in kinds().iter().flat_map(|kind| kind.keys()) {
        if keys.iter().all(|known| known.key != key.key) {
            keys.push(of_kind(key));
        }
    }
    keys.extend([
        entry("style", Shape::OneOf(styles), "full", "style of messages; `line` is one line per message"),
        entry(
            "avatars",
            Shape::Flag,
            "true",
            "shows the picture of the person who caused the event; the chat loads it",
        ),
        entry("pace", Shape::Pace, "the chat's own limits", "maximum rate of messages"),
        entry(
            "insecure",
            Shape::Flag,
            "false",
            "allows `http://` to other machines; use it only on a network that you trust",
        ),
        entry(
            "accept",
            Shape::Accept,
            "everything",
            "guard: the channel blocks events that do not match, regardless of the routes",
        ),
    ]);
    keys
}

fn of_kind(key: &ChannelKey) -> Entry {
    let shape = match key.value {
        KeyType::Text => Shape::Text,
        KeyType::Flag => Shape::Flag,
        KeyType::Secret => Shape::Secret,
    };
    entry(key.key, shape, key.default, key.about)
}

/// Keys of `[people.NAME]`: the chats that can ping.
fn member_keys() -> Vec<Entry> {
    let members = kinds().iter().filter_map(|kind| Some((kind.name(), kind.members()?)));
    members.map(|(chat, members)| entry(chat, Shape::Text, "none", members.about)).collect()
}

fn styles() -> Vec<&'static str> {
    vec!["full", "line"]
}

fn roles() -> Vec<&'static str> {
    vec!["read", "operate"]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::build;

    /// For each type of table, the reference has exactly the keys that the program reads.
    #[test]
    fn reference_matches_the_keys_that_are_read() {
        let asked = build::asked_keys();
        let mut written: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for table in tables() {
            written.entry(table.name.to_owned()).or_default().extend(table.keys.iter().map(|entry| entry.key));
        }
        // The program reads a nested table as a key of the outer one.
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
