//! Tests for every chat's rendering: samples with hostile text, or far too much text, in every string.

use std::collections::BTreeMap;

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{AddressError, Chat, Keys, MessageRef, Pace};
use crate::http_client::{Answer, Http, HttpSettings, Target};

use crate::message::{Field, Inline, Message, Person, Ping, Style};
use crate::source::providers;
use crate::template::{Context, Library};

/// Hostile texts of untrusted users.
pub(crate) const HOSTILE: &[&str] = &[
    "<!channel> <!here|x> <@U1> <#C1> <!subteam^S1> <!date^0^{time}|x>",
    "@everyone @here <@1> <@&2> <#3> <t:1:R> <:a:1> :smile:",
    "<at>x</at> {{DATE(2026-01-01T00:00:00Z,SHORT)}} ${x} {{#if x}} {{{DATE()}}} {{{{a}}}} ${{b}} $${c}",
    "[x](https://evil.example) ![y](https://evil.example/y.png) <https://evil.example|z>",
    "[a]: https://evil.example\n\n[a]",
    "*a* _b_ **c** __d__ ~e~ ~~f~~ ||g|| `h` ```i``` \\",
    "# a\n## b\n> c\n- d\n+ e\n* f\n1. g\n1) h\n-# i\n>>> j\n--- \n===\n| k | l |\n|---|---|",
    "a\nb\r\nc\td\u{202e}e\u{2066}f\u{200f}g\u{1b}[31mh\u{9b}i\u{0}j",
    "&amp; &lt; &#42; &nbsp; \" ' \\n \\u0041",
    "fix(api): [JIRA-1] a_b_c d*e*f `g`",
    " ",
    "",
    "。「日本語」 – “quoted” 👩‍👩‍👧 é",
];

/// Renders the messages of a payload with the built-in templates.
pub(crate) fn messages(key: &str, payload: &Value) -> Vec<Message> {
    let library = Library::built_in();
    let parsed = providers()[0].parse(key, payload.to_string().as_bytes());
    let events = parsed.map(|parsed| parsed.events).unwrap_or_default();
    events.iter().map(|event| library.render(&Context::of(event), None).message).collect()
}

/// Renders the message of a sample's first event.
pub(crate) fn sample(name: &str) -> Message {
    let sample = providers()[0].sample(name).unwrap();
    messages(sample.key, &serde_json::from_str(sample.body).unwrap()).remove(0)
}

/// Returns a message with a fact that names two people, of whom the chats know one.
pub(crate) fn pinging_fact() -> Message {
    let ids = [("slack", "U0B"), ("teams", "bo@acme.example"), ("discord", "80351110224678912")];
    let bo = Ping { name: "Bo Lindqvist".to_owned(), person: ids.into_iter().collect() };
    let cy = Ping { name: "Cy Okafor".to_owned(), person: Person::default() };
    let value = vec![Inline::Mention(bo.clone()), Inline::Text(", ".to_owned()), Inline::Mention(cy)];
    Message {
        fields: vec![Field { name: "Reviewers".to_owned(), value }],
        pings: vec![bo],
        ..sample("pull_request.approved")
    }
}

/// A message that pings a person in every chat, two people with the same name, a group, and hostile names.
pub(crate) fn pinging() -> Message {
    let ping = |name: &str, [slack, teams, discord]: [&str; 3]| {
        let ids = [("slack", slack), ("teams", teams), ("discord", discord)];
        Ping { name: name.to_owned(), person: ids.into_iter().filter(|(_, id)| !id.is_empty()).collect() }
    };
    let pings = vec![
        ping("Bo Lindqvist", ["U0B", "bo@acme.example", "80351110224678912"]),
        ping("Bo Lindqvist", ["", "bo.l@acme.example", ""]),
        ping("reviewers", ["S0R", "", "&165511591545143296"]),
        ping("</at> {{DATE()}} ${x} **[a](https://evil.example)**", ["U0H", "h@acme.example", ""]),
        ping("👩‍👩‍👧", ["", "f@acme.example", ""]),
        ping(&"x".repeat(100_000), ["", "x@acme.example", ""]),
    ];
    Message { pings, ..sample("pull_request.opened") }
}

/// Replaces every string with a text, except for URLs, and for Markdown of users, in which links are allowed.
fn poison(value: &mut Value, with: &str, key: &str) {
    match value {
        Value::String(text) if key != "raw" && key != "description" && key != "type" && !text.starts_with("http") => {
            *text = with.to_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, with, key)),
        Value::Object(map) => map.iter_mut().for_each(|(key, item)| poison(item, with, key)),
        _ => {}
    }
}

/// Renders every sample with every hostile text in every string, in both styles, and checks the result.
pub(crate) fn hold_against_strangers(draw: fn(&Message) -> String, check: impl Fn(&Value, &str)) {
    for sample in providers()[0].samples {
        for hostile in HOSTILE {
            let mut payload = serde_json::from_str(sample.body).unwrap();
            poison(&mut payload, hostile, "");
            for message in messages(sample.key, &payload) {
                for style in [Style::Full, Style::Line] {
                    let body = serde_json::from_str(&draw(&style.of(message.clone()))).unwrap();
                    check(&body, &format!("{} with {hostile:?}", sample.name));
                }
            }
        }
    }
}

/// Renders samples with far too much text, or none, in one string at a time, and checks the result.
pub(crate) fn hold_against_sizes(draw: fn(&Message) -> String, check: impl Fn(&Value, &str)) {
    let names: Vec<_> = providers()[0].samples.iter().map(|sample| sample.name).collect();
    let unit =
        prop::sample::select(vec!["a", "word ", "é", "😀", "*", "<", "\"", "{{", "\n", "漢", "- x\n", "> ", "`"]);
    let size = prop::sample::select(vec![0_usize, 1, 100, 255, 257, 1_100, 3_001, 9_000, 30_000, 200_000, 1_000_000]);
    let strategy = (prop::sample::select(names), any::<prop::sample::Index>(), unit, size, any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    let result = runner.run(&strategy, |(name, index, unit, size, line)| {
        let sample = providers()[0].sample(name).unwrap();
        let mut payload: Value = serde_json::from_str(sample.body).unwrap();
        let mut strings = vec![];
        pointers(&payload, "", &mut strings);
        let pointer = index.get(&strings);
        *payload.pointer_mut(pointer).unwrap() = unit.repeat(size / unit.len()).into();
        for message in messages(sample.key, &payload) {
            let style = if line { Style::Line } else { Style::Full };
            let body = serde_json::from_str(&draw(&style.of(message))).unwrap();
            check(&body, &format!("{name}{pointer}: {size} of {unit:?}"));
        }
        Ok(())
    });
    result.unwrap();
    // Everything at once: a push with as many commits as fit into a request, each with a long message.
    for (commits, length) in [(2_000, 100), (50, 3_000), (5, 20_000)] {
        let sample = providers()[0].sample("push").unwrap();
        let mut payload: Value = serde_json::from_str(sample.body).unwrap();
        let mut commit = payload["push"]["changes"][0]["commits"][0].take();
        commit["message"] = "é😀<*".repeat(length / 4).into();
        payload["push"]["changes"][0]["commits"] = vec![commit; commits].into();
        for message in messages(sample.key, &payload) {
            check(&serde_json::from_str(&draw(&message)).unwrap(), &format!("{commits} commits of {length}"));
        }
    }
}

/// Collects the JSON pointer of every string that a message may show.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, v)| pointers(v, &format!("{at}/{n}"), found)),
        Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != "type").for_each(|(k, v)| pointers(v, &format!("{at}/{k}"), found));
        }
        _ => {}
    }
}

/// Collects every value under a key with this name, at any depth.
pub(crate) fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, name, found)),
        Value::Object(map) => {
            for (key, item) in map {
                if key == name {
                    found.push(item);
                }
                all(item, name, found);
            }
        }
        _ => {}
    }
}

/// Returns every string under a key with this name.
pub(crate) fn texts<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    let mut found = vec![];
    all(value, name, &mut found);
    found.into_iter().filter_map(Value::as_str).collect()
}

/// Returns the markup that a Markdown parser finds in a text: URLs of links and images, and other markup.
pub(crate) fn markup(text: &str) -> Vec<String> {
    use pulldown_cmark::{Event, Options, Parser, Tag};
    let mut found = vec![];
    for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Paragraph) => {}
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => found.push(dest_url.to_string()),
            Event::Start(tag) => found.push(format!("{tag:?}")),
            Event::Html(html) | Event::InlineHtml(html) => found.push(html.to_string()),
            Event::Rule => found.push("rule".to_owned()),
            _ => {}
        }
    }
    found
}

/// Returns true if a URL links to the attackers' host.
pub(crate) fn leads_astray(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(|host| host.contains("evil")))
}

/// Returns the length as chats count it, in UTF-16 units.
pub(crate) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Asserts that a body contains no control characters, bidirectional controls or shield characters.
pub(crate) fn assert_clean(body: &Value, what: &str) {
    fn walk(value: &Value, what: &str) {
        match value {
            Value::String(text) => {
                let bad = |c: char| {
                    (c.is_control() && c != '\n')
                        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                        || u32::from(c) >= 0xF_0000
                };
                assert!(!text.contains(bad), "{what}: {text:?}");
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, what)),
            Value::Object(map) => map.values().for_each(|item| walk(item, what)),
            _ => {}
        }
    }
    walk(body, what);
}

/// Creates a response to interpret.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], text: &str) -> Answer {
    let mut map = reqwest::header::HeaderMap::new();
    for (name, value) in headers {
        map.insert(reqwest::header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    Answer {
        status,
        headers: map,
        text: text.to_owned(),
        whole: true,
        target: Target::parse(&"https://x.example/?sig=a".to_owned().into()).unwrap(),
    }
}

/// Summarizes an outcome: its name, its reason and its wait.
pub(crate) fn short(outcome: &super::Outcome) -> String {
    use super::Outcome;
    match outcome {
        Outcome::Delivered(posted) => {
            format!("delivered {:?} {:?}", posted.message.as_ref().map(MessageRef::as_str), posted.pause)
        }
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Retry { failure, after } => format!("retry {} {after:?}", failure.reason.as_str()),
        Outcome::Rejected(failure) => format!("rejected {}", failure.reason.as_str()),
        Outcome::Closed(failure) => {
            assert!(failure.help.is_some(), "closed without help: {failure:?}");
            format!("closed {}", failure.reason.as_str())
        }
        Outcome::Unknown(failure) => format!("unknown {}", failure.reason.as_str()),
    }
}

/// Keys of a channel: strings and secrets by key.
pub(crate) struct GivenKeys {
    secrets: BTreeMap<&'static str, String>,
    rejected: Option<AddressError>,
}

impl Keys for GivenKeys {
    fn is_set(&self, key: &'static str) -> bool {
        self.secrets.contains_key(key)
    }

    fn secret(&mut self, key: &'static str) -> Option<SecretString> {
        self.secrets.get(key).map(|secret| secret.clone().into())
    }

    fn url(&mut self, key: &'static str) -> Option<SecretString> {
        self.secret(key)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.secrets.get(key).cloned()
    }

    fn flag(&mut self, _key: &'static str) -> bool {
        false
    }

    fn pace(&mut self) -> Option<Pace> {
        None
    }

    fn http(&self) -> Option<Http> {
        Http::new(&HttpSettings::default()).ok()
    }

    fn reject(&mut self, _key: &'static str, error: AddressError) {
        self.rejected = Some(error);
    }
}

/// Creates a channel of a kind from secrets.
pub(crate) fn channel<const N: usize>(
    kind: &str,
    secrets: [(&'static str, &str); N],
) -> Result<Box<dyn Chat>, AddressError> {
    let secrets = secrets.map(|(key, secret)| (key, secret.to_owned())).into();
    let mut keys = GivenKeys { secrets, rejected: None };
    let built = super::kind(kind).unwrap().build(&mut keys);
    built.ok_or_else(|| keys.rejected.unwrap())
}

/// Answers each connection with the next of these bodies and statuses. Returns the server's URL, and the requests: the
/// first line and the body of each.
pub(crate) async fn serve(answers: Vec<(u16, &'static str)>) -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel(answers.len());
    tokio::spawn(async move {
        for (status, answer) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).await.unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(text) = line.strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n");
            let answer = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send((first.trim().to_owned(), serde_json::from_slice(&body).unwrap())).await.unwrap();
        }
    });
    (url, requests)
}
