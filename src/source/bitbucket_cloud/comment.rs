//! Comments, and mentions of people in texts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::source::json::Json;
use regex::{Captures, Regex};

use super::Reader;
use super::json::{flag, long_text, number, page, text, time, without_braces};
use crate::event::{Comment, Event, Kind};

/// Mention in a text, by account id: `@{712020:…}`.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static MENTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"@\{([^{}\s]{1,128})\}").expect("a valid pattern"));

/// The same mention in the HTML version of the text, which also contains the name.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)data-atlassian-id="([^"]{1,128})"[^>]*>\s*@?([^<]{1,128})<"#).expect("a valid pattern")
});

impl Reader<'_> {
    pub(super) fn commit_comment_event(&self) -> Event {
        let mut event = self.event(Kind::CommitCommentAdded);
        event.comment = self.commented();
        event.time = event.comment.as_ref().and_then(|comment| comment.created);
        event.commit = self.commit(&self.payload["commit"]).or_else(|| self.commit(&self.payload["comment"]["commit"]));
        event
    }

    /// Returns the comment at the top level of the payload.
    pub(super) fn commented(&self) -> Option<Comment> {
        let comment = &self.payload["comment"];
        if !comment.is_object() {
            return None;
        }
        let (inline, resolution) = (&comment["inline"], &comment["resolution"]);
        // `to` is null for a comment on a removed line.
        let (old, new) = (number(&inline["from"]), number(&inline["to"]));
        // The payload may still contain the text of a deleted comment, which must not be shown.
        let deleted = flag(&comment["deleted"]) || self.key == "pullrequest:comment_deleted";
        Some(Comment {
            id: number(&comment["id"]),
            text: if deleted { None } else { self.content(&comment["content"]) },
            author: comment["user"].is_object().then(|| self.account(&comment["user"])),
            url: page(comment),
            path: text(&inline["path"]),
            line: new.or(old),
            removed_line: new.or(old).map(|_| new.is_none()),
            outdated: inline["outdated"].as_bool(),
            reply_to: number(&comment["parent"]["id"]),
            parent: None,
            resolved: resolution.is_object() || self.key == "pullrequest:comment_resolved",
            resolved_by: resolution["user"].is_object().then(|| self.account(&resolution["user"])),
            created: time(&comment["created_on"]),
            updated: time(&comment["updated_on"]),
        })
    }

    /// Returns a text that a person wrote, with mentions replaced by names.
    pub(super) fn content(&self, content: &Json<'_>) -> Option<String> {
        let raw = without_attributes(long_text(&content["raw"])?);
        if !raw.contains("@{") {
            return Some(raw);
        }
        let mut names = BTreeMap::new();
        collect_names(self.payload, &mut names, 0);
        let html = content["html"].as_str().unwrap_or_default();
        names.extend(NAMED.captures_iter(html).map(|named| (named[1].to_owned(), unescaped(named[2].trim()))));
        let name = |mention: &Captures<'_>| format!("@{}", names.get(&mention[1]).map_or("someone", String::as_str));
        Some(MENTION.replace_all(&raw, name).into_owned())
    }
}

/// Attribute lists that Bitbucket's editor writes after links and pictures or on a line of their own, and its marker
/// for a table of contents. Bitbucket shows none of them.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static ATTRIBUTES: LazyLock<Regex> = LazyLock::new(|| {
    let attribute = r#"(?:[.#][\w-]+|[\w-]+=(?:"[^"\n]{0,200}"|'[^'\n]{0,200}'|[^\s{}"']{1,200}))"#;
    let list = format!(r"\{{(?::[^{{}}\n]{{0,300}}|(?:[ \t]*{attribute})+[ \t]*)\}}");
    Regex::new(&format!(r"(?m)(?P<before>[)\]]){list}|^[ \t]*(?:{list}|\[TOC\])[ \t]*$")).expect("a valid pattern")
});

fn without_attributes(raw: String) -> String {
    if raw.contains(['{']) || raw.contains("[TOC]") {
        ATTRIBUTES.replace_all(&raw, "$before").into_owned()
    } else {
        raw
    }
}

/// Collects the names of all accounts in a payload, by account id.
fn collect_names(value: &Json<'_>, names: &mut BTreeMap<String, String>, depth: usize) {
    /// Maximum nesting depth that is searched; no body has accounts below it.
    const MAX_DEPTH: usize = 16;
    match value {
        _ if depth > MAX_DEPTH => {}
        Json::Object(map) => {
            let name = ["display_name", "nickname"].iter().find_map(|key| text(map.get(key)?));
            for id in ["account_id", "uuid"].iter().filter_map(|key| map.get(key)?.as_str()) {
                names.extend(name.clone().map(|name| (without_braces(id), name)));
            }
            map.values().for_each(|value| collect_names(value, names, depth + 1));
        }
        Json::Array(items) => items.iter().for_each(|item| collect_names(item, names, depth + 1)),
        _ => {}
    }
}

/// Decodes the entities in an HTML text.
fn unescaped(html: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    named.iter().fold(html.to_owned(), |text, (entity, character)| text.replace(entity, character))
}
