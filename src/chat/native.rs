//! Bodies that chat-native templates rendered: replaces shielded values, each escaped as its slot requires.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::message::WebUrl;
use crate::message::flatten::flatten;
use crate::message::splice::{Run, runs};
use crate::message::{Block, Ping, plain_text};
use crate::problem::{one_of, or_near};

/// Error in a body that a chat-native template rendered: the chat would reject it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The JSON is not an object.
    #[error("renders to JSON that is not an object")]
    NotAnObject,
    /// Error in the value of this key.
    #[error("`{key}`: {error}")]
    In {
        /// Key that contains the error.
        key: String,
        /// The error.
        error: Box<BodyError>,
    },
    /// A link or picture does not have an HTTP URL.
    #[error("`{0}` is not a valid web address")]
    InvalidUrl(String),
    /// The chat requires a part that is missing; the text says which.
    #[error("{0}")]
    Incomplete(&'static str),
    /// A text or a list exceeds the chat's limit.
    #[error("{part} has {found} {unit}; the maximum is {most}")]
    TooLarge {
        /// Part of the body.
        part: String,
        /// Its size.
        found: usize,
        /// Maximum size.
        most: usize,
        /// Unit of both sizes.
        unit: &'static str,
    },
    /// The value at this path has another type than expected.
    #[error("`{path}` must be {expected}")]
    WrongType {
        /// Path of the value.
        path: String,
        /// Expected type.
        expected: &'static str,
    },
    /// An object has no `type`.
    #[error("`{path}` has no `type`; expected one of: {}", known.join(", "))]
    NoType {
        /// Path of the object.
        path: String,
        /// Types that the chat allows there.
        known: Vec<&'static str>,
    },
    /// An object has a `type` that the chat does not allow there.
    #[error("`{path}.type`: `{name}` is not valid here; {}", one_of(*near, known))]
    UnknownType {
        /// Path of the object.
        path: String,
        /// The type.
        name: String,
        /// The most similar type.
        near: Option<&'static str>,
        /// Types that the chat allows there.
        known: Vec<&'static str>,
    },
    /// An object lacks a required field.
    #[error("`{path}`: `{of}` requires `{}`", fields.join("` or `"))]
    MissingField {
        /// Path of the object.
        path: String,
        /// Type of the object.
        of: &'static str,
        /// Fields of which one is required.
        fields: Vec<&'static str>,
    },
    /// An object has a field that the chat does not know.
    #[error("`{path}`: unknown field `{field}` in `{of}`{}", or_near(near.as_deref()))]
    UnknownField {
        /// Path of the object.
        path: String,
        /// Type of the object.
        of: &'static str,
        /// The field.
        field: String,
        /// The most similar field.
        near: Option<String>,
    },
    /// A text is empty.
    #[error("`{path}` is empty, which {chat} rejects")]
    Empty {
        /// Path of the text.
        path: String,
        /// Name of the chat.
        chat: &'static str,
    },
    /// A value is not one of those that the chat allows.
    #[error("`{path}`: {found} is not valid; expected one of: {}", known.join(", "))]
    UnknownValue {
        /// Path of the value.
        path: String,
        /// The value as JSON.
        found: String,
        /// Values that the chat allows.
        known: &'static [&'static str],
    },
}

/// Kind of a string in a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Text that the chat parses as markup.
    Markup,
    /// Text that the chat shows as is, such as a name, a number or an id.
    Plain,
    /// Target of a link or an image.
    Url,
}

/// Markup rules of a chat.
pub(super) struct Dialect {
    /// Returns the kind of the string under `key` in the object `within`, which is nested `depth` objects deep.
    pub(super) slot: fn(key: &str, within: &Map<String, Value>, depth: usize) -> Slot,
    /// Escapes plain text for a markup slot.
    pub(super) escape: fn(&str) -> String,
    /// Renders blocks in the chat's markup.
    pub(super) draw: fn(&[Block]) -> String,
    /// Returns the chat's mark for a mention; `None` if only the person's name can be shown.
    pub(super) mention: fn(&Ping) -> Option<String>,
}

impl Dialect {
    /// Replaces all shielded values of a body.
    pub(super) fn turned_back(&self, body: Value) -> Result<Value, BodyError> {
        match body {
            Value::Object(body) => Ok(Value::Object(self.object(body, 0)?)),
            _ => Err(BodyError::NotAnObject),
        }
    }

    fn object(&self, object: Map<String, Value>, depth: usize) -> Result<Map<String, Value>, BodyError> {
        // The chat interprets a text by its key and its object's type, so resolve these first: a value may be in them.
        let named = object.into_iter().map(|(key, value)| match (plain(&key), value) {
            (key, Value::String(sort)) if key == "type" => (key, plain(&sort).into()),
            named => named,
        });
        let object: Map<_, _> = named.collect();
        let slots: Vec<_> = object.keys().map(|key| (self.slot)(key, &object, depth)).collect();
        let turned = object.into_iter().zip(slots).map(|((key, value), slot)| match self.value(value, slot, depth) {
            Ok(value) => Ok((key, value)),
            Err(error) => Err(BodyError::In { key, error: Box::new(error) }),
        });
        turned.collect()
    }

    fn value(&self, value: Value, slot: Slot, depth: usize) -> Result<Value, BodyError> {
        Ok(match value {
            Value::String(text) => match slot {
                Slot::Plain => plain(&text),
                Slot::Markup => self.markup(&text),
                Slot::Url => url(&text)?,
            }
            .into(),
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.value(item, slot, depth));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(object) => Value::Object(self.object(object, depth + 1)?),
            other => other,
        })
    }

    fn markup(&self, text: &str) -> String {
        let drawn = runs(text).map(|run| match run {
            Run::Own(own) => own.to_owned(),
            Run::Value(value) => (self.escape)(&value),
            Run::Tree(tree) => (self.draw)(&tree),
            Run::Mention(ping) => (self.mention)(&ping).unwrap_or_else(|| (self.escape)(&ping.name)),
        });
        drawn.collect()
    }
}

/// Returns the text as a reader sees it.
fn plain(text: &str) -> String {
    let read = runs(text).map(|run| match run {
        Run::Own(own) => own.to_owned(),
        Run::Value(value) => value,
        Run::Tree(tree) => plain_text(&flatten(tree)),
        Run::Mention(ping) => ping.name,
    });
    read.collect()
}

/// Returns a URL: either a value that is a whole URL, or the template's own URL with values percent-encoded.
fn url(text: &str) -> Result<String, BodyError> {
    let read = WebUrl::join(runs(text).map(|run| match run {
        Run::Own(own) => (own.into(), false),
        Run::Value(value) => (value.into(), true),
        Run::Tree(tree) => (plain_text(&flatten(tree)).into(), true),
        Run::Mention(ping) => (ping.name.into(), true),
    }));
    WebUrl::parse(&read).map(|url| url.to_string()).ok_or(BodyError::InvalidUrl(read))
}

/// Escapes each line separately, because some marks are markup only at the start of a line.
pub(super) fn by_line(text: &str, escape: impl Fn(&str) -> String) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// Checks a length or a count against a chat's limit.
pub(super) fn at_most(part: &str, found: usize, most: usize, unit: &'static str) -> Result<(), BodyError> {
    if found > most { Err(BodyError::TooLarge { part: part.to_owned(), found, most, unit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::chat::kind;
    use crate::message::shield::shield;
    use crate::message::splice::Splice;

    const HOSTILE: &str =
        "<!channel> @everyone <@U1> [x](https://evil.example) *b* _i_ ~s~ `c`\n> quote {{DATE()}} ${x} &lt;";

    fn finished(chat: &str, body: serde_json::Value) -> Result<serde_json::Value, super::BodyError> {
        let finish = kind(chat).unwrap().native().unwrap();
        finish(body).map(|body| serde_json::from_str(&body).unwrap())
    }

    /// Returns a body for a chat with this text in slots of each kind.
    fn body(chat: &str, text: &str) -> serde_json::Value {
        match chat {
            "slack" => json!({
                "text": format!("*new* {text}"),
                "blocks": [
                    { "type": "section", "text": { "type": "mrkdwn", "text": format!("*new* {text}") } },
                    { "type": "section", "text": { "type": "plain_text", "text": text } },
                ],
            }),
            "discord" => json!({
                "content": format!("**new** {text}"),
                "embeds": [{ "description": format!("**new** {text}"), "footer": { "text": text } }],
            }),
            _ => json!({ "type": "message", "attachments": [{ "content": { "type": "AdaptiveCard", "body": [
                { "type": "TextBlock", "text": format!("**new** {text}") },
                { "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text }] },
                { "type": "FactSet", "facts": [{ "title": "T", "value": text }] },
            ] } }] }),
        }
    }

    #[test]
    fn template_text_is_markup_and_values_are_text() {
        let slack = finished("slack", body("slack", &shield(HOSTILE))).unwrap();
        let text = slack["blocks"][0]["text"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("*new* &lt;!channel&gt;") || text.starts_with("*new* &lt;!channel\u{2060}&gt;"),
            "{text}"
        );
        assert!(!text.contains(['<', '>']) && text.contains("\u{2060}*\u{2060}b"), "{text}");
        assert_eq!(slack["blocks"][1]["text"]["text"], HOSTILE);
        assert_eq!((&slack["unfurl_links"], &slack["unfurl_media"]), (&json!(false), &json!(false)));
        let discord = finished("discord", body("discord", &shield(HOSTILE))).unwrap();
        let text = discord["content"].as_str().unwrap();
        assert!(text.starts_with("**new** \\<!channel> \\@everyone") && text.contains("\\[x\\]("), "{text}");
        assert_eq!(discord["embeds"][0]["footer"]["text"], HOSTILE);
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
        let teams = finished("teams", body("teams", &shield(HOSTILE))).unwrap();
        let card = &teams["attachments"][0]["content"]["body"];
        let text = card[0]["text"].as_str().unwrap();
        assert!(
            text.starts_with("**new** \\<\\!channel") && text.contains("\\[x\\]") && !text.contains("{{"),
            "{text}"
        );
        assert!(text.contains("\n\\> quote"), "{text}");
        assert_eq!(card[1]["inlines"][0]["text"], HOSTILE);
    }

    #[test]
    fn shielded_keys_and_types_keep_their_meaning() {
        let hostile = shield(HOSTILE);
        for (sort, key) in [(shield("mrkdwn"), "text".to_owned()), ("mrkdwn".to_owned(), shield("text"))] {
            let text = json!({ "type": sort, key: hostile });
            let slack = finished("slack", json!({ "blocks": [{ "type": "section", "text": text }] })).unwrap();
            let text = slack["blocks"][0]["text"]["text"].as_str().unwrap();
            assert!(!text.contains(['<', '>']), "{text}");
        }
        let discord = finished("discord", json!({ shield("content"): hostile })).unwrap();
        assert!(discord["content"].as_str().unwrap().contains("\\@everyone"), "{discord}");
        let block = json!({ "type": shield("TextBlock"), shield("text"): hostile });
        let card = json!({ "type": "AdaptiveCard", "body": [block] });
        let teams = finished("teams", json!({ "type": "message", "attachments": [{ "content": card }] })).unwrap();
        let text = teams["attachments"][0]["content"]["body"][0]["text"].as_str().unwrap();
        assert!(text.contains("\\[x\\]"), "{text}");
    }

    #[test]
    fn helper_markup_is_rendered_per_chat() {
        let link = Splice::Link { url: "https://x.example/a?b=1&c=2", text: "a|b <c>" }.shielded();
        let code = Splice::Code("`x` & y").shielded();
        let users = Splice::Markdown("**bold** [l](https://l.example)", usize::MAX).shielded();
        let text = format!("{link} {code} {users}");
        let of =
            |chat: &str, pointer: &str| finished(chat, body(chat, &text)).unwrap().pointer(pointer).unwrap().clone();
        assert_eq!(
            of("slack", "/blocks/0/text/text"),
            "*new* <https://x.example/a?b=1&amp;c=2|a¦b &lt;c\u{2060}&gt;> `ˋxˋ &amp; y` *bold* <https://l.example/|l>"
        );
        assert_eq!(of("slack", "/blocks/1/text/text"), "a|b <c> `x` & y bold l");
        let discord = of("discord", "/content");
        assert!(
            discord
                .as_str()
                .unwrap()
                .contains("](<https://x.example/a?b=1&c=2>) `ˋxˋ & y` **bold** [l](<https://l.example/>)"),
            "{discord}"
        );
        let teams = of("teams", "/attachments/0/content/body/0/text");
        assert!(teams.as_str().unwrap().contains("](https://x.example/a?b=1&c=2)"), "{teams}");
    }

    #[test]
    fn mentions_ping_only_the_mentioned_people() {
        let person = |slack: &str, discord: &str| {
            crate::message::Person::from_iter([("slack", slack), ("teams", "bo@acme.example"), ("discord", discord)])
        };
        let (bo, all) = (person("U0B", "80351110224678912"), person("S0R", "&165511591545143296"));
        let text = format!("{} {}", Splice::Mention("Bo <L>", &bo).shielded(), Splice::Mention("all", &all).shielded());
        let of = |chat: &str| finished(chat, body(chat, &text)).unwrap();
        let slack = of("slack");
        assert_eq!(slack["blocks"][0]["text"]["text"], "*new* <@U0B> <!subteam^S0R>");
        assert_eq!(slack["blocks"][1]["text"]["text"], "Bo <L> all");
        let discord = of("discord");
        assert_eq!(discord["content"], "**new** <@80351110224678912> <@&165511591545143296>");
        let (users, roles) = (["80351110224678912"], ["165511591545143296"]);
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [], "users": users, "roles": roles }));
        assert_eq!(of("teams")["attachments"][0]["content"]["body"][0]["text"], "**new** Bo \\<L> all");
    }

    #[test]
    fn urls_are_complete_or_encoded() {
        let of = |url: &str| {
            let label = json!({ "type": "plain_text", "text": "Go" });
            let button = json!({ "type": "button", "text": label, "url": url, "action_id": shield("a-b") });
            let block = json!({ "type": "actions", "elements": [button] });
            finished("slack", json!({ "blocks": [block] })).map(|body| body["blocks"][0]["elements"][0].clone())
        };
        let whole = of(&shield("https://x.example:8443/a%20b?c=d&e")).unwrap();
        assert_eq!((&whole["url"], &whole["action_id"]), (&json!("https://x.example:8443/a%20b?c=d&e"), &json!("a-b")));
        let own = of(&format!("https://x.example/{}?q={}", shield("feature/x y"), shield("a&b=c#d"))).unwrap();
        assert_eq!(own["url"], "https://x.example/feature/x%20y?q=a%26b%3Dc%23d");
        for wrong in ["javascript:alert(1)", "", "ftp://x"] {
            let error = of(&shield(wrong)).unwrap_err().to_string();
            assert!(
                error.contains("`blocks`: `elements`: `url`: ") && error.contains("is not a valid web address"),
                "{error}"
            );
        }
    }

    #[test]
    fn oversized_and_incomplete_bodies_are_rejected_by_name() {
        let refused = |chat: &str, body: serde_json::Value| finished(chat, body).unwrap_err().to_string();
        let long = "x".repeat(5_000);
        let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": long } });
        assert_eq!(
            refused("slack", json!({ "blocks": [block] })),
            "`blocks[0].text.text` has 5000 characters; the maximum is 3000"
        );
        let blocks: Vec<_> = (0..51).map(|_| json!({ "type": "divider" })).collect();
        assert_eq!(refused("slack", json!({ "blocks": blocks })), "`blocks` has 51 blocks; the maximum is 50");
        assert!(refused("slack", json!({})).contains("Slack requires"));
        assert!(refused("slack", json!([])).contains("not an object"));
        assert_eq!(
            refused("discord", json!({ "content": long })),
            "`content` has 5000 characters; the maximum is 2000"
        );
        let embeds: Vec<_> = (0..2).map(|_| json!({ "description": "y".repeat(4_000) })).collect();
        assert!(refused("discord", json!({ "embeds": embeds })).starts_with("the text of all `embeds` has 8000"));
        assert!(refused("discord", json!({ "content": " " })).contains("Discord requires"));
        assert!(refused("teams", json!({ "type": "message" })).contains("Teams requires"));
        let card = json!({ "type": "AdaptiveCard", "body": [{ "type": "TextBlock", "text": "z".repeat(30_000) }] });
        assert!(refused("teams", json!({ "attachments": [{ "content": card }] })).starts_with("the message has 30"));
    }

    proptest! {
        /// Only the template can write markup, whatever a value contains.
        #[test]
        fn values_cannot_open_or_close_markup(value in "[ -~\\n<>@*_`~\\[\\]()|{}$&#]{1,60}") {
            for chat in ["slack", "discord", "teams"] {
                let finished = finished(chat, body(chat, &shield(&value))).unwrap();
                let (markup, plain) = match chat {
                    "slack" => (&finished["text"], &finished["blocks"][1]["text"]["text"]),
                    "discord" => (&finished["content"], &finished["embeds"][0]["footer"]["text"]),
                    _ => {
                        let card = &finished["attachments"][0]["content"]["body"];
                        (&card[0]["text"], &card[1]["inlines"][0]["text"])
                    }
                };
                prop_assert_eq!(plain, &value);
                let markup = markup.as_str().unwrap();
                match chat {
                    "slack" => prop_assert!(!markup.contains(['<', '>']), "{}", markup),
                    "teams" => prop_assert!(!markup.contains("{{") && !markup.contains("${"), "{}", markup),
                    // A bare URL is not escaped; any other character that opens markup is.
                    _ => {
                        let plain = markup.trim_start_matches("**new** ").split(' ').filter(|word| !word.contains("://"));
                        for word in plain {
                            let mut before = ' ';
                            for c in word.chars() {
                                prop_assert!(!"<@[`*_".contains(c) || before == '\\', "{}", markup);
                                before = if before == '\\' { ' ' } else { c };
                            }
                        }
                    }
                }
            }
        }
    }
}
