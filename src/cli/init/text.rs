//! The text of a new configuration.

use std::fmt::Write as _;

use super::answers::{Answers, URL};
use crate::source::providers;

/// Address of the service without a proxy.
pub(super) const LOCAL: &str = "http://127.0.0.1:8080";

/// Name of the source: the first word of its kind.
fn source() -> &'static str {
    kind().split('-').next().unwrap_or_default()
}

/// File with the secret of the source.
pub(super) fn secret() -> String {
    format!("{}.secret", source())
}

fn kind() -> &'static str {
    providers().first().map_or("", |provider| provider.kind)
}

/// Path of the webhook.
pub(super) fn hook() -> String {
    format!("/hooks/{}", source())
}

/// Writes the configuration.
pub(super) fn config(answers: &Answers) -> String {
    let Answers { chats, public_url, repo } = answers;
    let mut text = String::new();
    let names: Vec<_> = chats.iter().map(|chat| quoted(chat.kind.name())).collect();
    let to = if let [one] = &names[..] { one.clone() } else { format!("[{}]", names.join(", ")) };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r#"# Hookbell configuration. `hookbell check` validates this file and shows the position of each error. Edits take
# effect when you save. Paths are relative to this file.

[server]
listen = "127.0.0.1:8080"               # webhooks, /healthz, /readyz
admin_listen = "127.0.0.1:8081"         # /api/v1 (needs a token), /metrics
"#
    );
    if let Some(url) = public_url {
        let _ = write!(
            text,
            r#"# The code host posts to {url}{}, where a proxy on this machine terminates TLS. Without a proxy:
# listen = "0.0.0.0:443" and acme = {{ domains = {} }}
trusted_proxies = ["127.0.0.1"]         # networks whose X-Forwarded-For is trusted
"#,
            hook(),
            quoted(url.split("://").nth(1).unwrap_or_default().split(['/', ':']).next().unwrap_or_default()),
        );
    }
    let _ = write!(
        text,
        r#"
[store]
url = "sqlite:hookbell.db"              # created if missing, readable only by its owner
keep = "30d"                            # events, deliveries, attempts; queued messages are always kept

{}
kind = {}
{}
{}
bots = ["renovate*", "*-bot"]           # accounts to treat as bots: actor_kind = "bot"
"#,
        line(&format!("[sources.{}]", source()), &format!("a webhook posts to {}", hook())),
        quoted(kind()),
        line(&format!("secret = {{ file = {} }}", quoted(&secret())), "enter it in the webhook's settings"),
        line(&format!("repo = {}", quoted(repo)), "repositories that may send events"),
    );
    if let (Some(url), Some(workspace)) = (public_url, repo.strip_suffix("/*").filter(|name| !name.contains('*'))) {
        let _ = write!(
            text,
            r#"
# Remove the `# ` below, and `hookbell hooks sync` creates the webhook. Only that command needs the token.
# [hooks]
# workspace = {}
# email = "you@example.com"               # account of the API token
# token = {{ env = "BITBUCKET_TOKEN" }}
# public_url = {}
"#,
            quoted(workspace),
            quoted(url),
        );
    }
    for chat in chats {
        let name = chat.kind.name();
        let _ = write!(text, "\n[channels.{name}]\nkind = {}\n", quoted(name));
        if let Some(file) = chat.file() {
            let value = format!("{URL} = {{ file = {} }}", quoted(&file));
            let _ = writeln!(text, "# To get the URL: {}.\n{value}", chat.kind.setup());
        }
    }
    let _ = write!(
        text,
        r#"
# Mutes are evaluated before all routes.
[[mutes]]
name = "bots"
actor_kind = ["bot", "app"]
event = "!build.failed"                 # a bot's failed build is still news

# Routes are evaluated in order, and each route that matches adds its channels. `hookbell explain push` shows the result
# of each rule for an event.
[[routes]]
name = "low-noise defaults"
event = "@calm"                         # sets: @calm @review @builds @all; kinds: push, pull_request.*, …
to = {to}
"#
    );
    text
}

/// Writes a line with its comment, aligned with the others.
fn line(text: &str, comment: &str) -> String {
    format!("{text:<39} # {comment}")
}

/// Quotes a string for TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
