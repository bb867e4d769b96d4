//! Where requests come from: verifying them, and saying what happened in our words.
//!
//! Each provider is a folder of its own, all of one shape: `mod.rs` (its [`Source`]), a file for each family of
//! events, `samples/`. Nothing outside a provider's folder knows it, but for the list [`PROVIDERS`].

pub mod addresses;
pub mod bitbucket_cloud;
mod json;
mod signature;

use std::borrow::Cow;
use std::sync::LazyLock;

use http::HeaderMap;
use regex::Regex;
use secrecy::SecretString;
use serde_json::Value;
use thiserror::Error;

use crate::event::{Event, Kind, SourceName};
use crate::memory::{Memory, Recall};
use crate::routing::pattern::Patterns;
use addresses::Published;

/// A code host's side of webhooks.
pub trait Source: Send + Sync {
    /// The largest body, in bytes, that the host sends.
    fn largest_body(&self) -> usize;

    /// The headers that are kept with a request: what the host says of it, and no secret.
    fn telling_headers(&self) -> &'static [&'static str];

    /// The host's word for what a request says happened; nobody has verified it yet.
    fn key(&self, headers: &HeaderMap) -> Option<String>;

    /// Checks what can be checked before the body is read: that the headers which the host always sends are there, and of
    /// the right form.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), Refusal>;

    /// Whether the request comes from whom it says, judged by the raw bytes, in constant time.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Refusal>;

    /// What happened. Call it after [`verify`](Self::verify).
    ///
    /// Fields may be missing, null, retyped or new: that makes a poorer event, not an error. An error is a body
    /// that is no JSON, or of another sort than its headers say.
    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Refusal>;
}

/// A request, understood.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The host's word for what happened: `repo:push`.
    pub key: String,
    /// The webhook that sent it, by the host's id.
    pub hook: Option<String>,
    /// What the host calls this request; it stays the same when it sends the request again.
    pub request_key: Option<String>,
    /// What happened. May be empty: a push that moved nothing.
    pub events: Vec<Event>,
    /// Why there is no event, or what is to be known of those that there are.
    pub note: Option<String>,
}

/// How it is known that a request comes from whom it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which of the source's secrets signed it, the first being 0; none where the source takes unsigned requests.
    pub secret: Option<usize>,
}

/// Why a request is refused. The text goes to whoever sent it, so it holds nothing of ours.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// There is no signature.
    #[error("no {header} header: set the webhook's secret")]
    Unsigned {
        /// The header that should hold it.
        header: &'static str,
    },
    /// There is a signature, and it is not ours.
    #[error("signature does not match")]
    WrongSignature,
    /// The source's settings do not let requests come from there.
    #[error("requests from {client} are not allowed here")]
    ForeignAddress {
        /// The address that the request came from.
        client: String,
    },
    /// The source's settings do not let it speak for this repository.
    #[error("this source may not speak for {repository}")]
    ForeignRepository {
        /// `workspace/slug`.
        repository: String,
    },
    /// It comes from another program than this source is for. The text names it, and says what to change.
    #[error("{0}")]
    OtherHost(String),
    /// The headers say that the body is not JSON.
    #[error("the body must be JSON: send `Content-Type: application/json`")]
    NotJson,
    /// The body is no JSON, or not what the headers say it is.
    #[error("{0}")]
    Malformed(String),
}

/// The most values that a body of this many bytes may hold. Each takes up to some 300 bytes while it is read, so that
/// reading takes at most some twenty times the body. Hosts spend 19 bytes a value at the least, and mostly twice that.
const fn most_values(bytes: usize) -> usize {
    2_048 + bytes / 16
}

/// Reads a body that must be a JSON object. How deep it may nest has an end too: serde_json's, 128.
fn json_object(body: &[u8]) -> Result<Value, Refusal> {
    // Most bodies have less of these characters than that in all, whether in texts or not.
    let marks = |byte: &&u8| matches!(**byte, b',' | b'{' | b'[');
    let most = most_values(body.len());
    if body.iter().filter(marks).count() > most && values(body) > most {
        return Err(Refusal::Malformed(format!("the body holds more than {most} values")));
    }
    match json::parse(body) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(Refusal::Malformed("the body is not a JSON object".to_owned())),
        Err(error) => Err(Refusal::Malformed(format!("the body is not valid JSON: {error}"))),
    }
}

/// How many values some JSON holds at the least: what begins and what separates them, outside of texts.
fn values(body: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in body {
        match (in_text, byte) {
            _ if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b',' | b'{' | b'[') => count += 1,
            _ => {}
        }
    }
    count
}

/// An address's name and password: `https://name:password@host`.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static CREDENTIALS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@:]*:[^\s/?#@]*@").expect("a valid pattern"));

/// A text whose addresses have lost their passwords: a message shows them to everybody in its channel.
fn without_credentials(text: &str) -> Cow<'_, str> {
    if text.contains('@') && text.contains("://") { CREDENTIALS.replace_all(text, "$1") } else { text.into() }
}

/// What a source needs to know of its settings.
pub struct SourceSettings {
    /// The secrets that a request may be signed with; during a rotation, the old one too.
    pub secrets: Vec<SecretString>,
    /// Requests need no signature.
    pub unsigned: bool,
    /// Names of accounts that are machines.
    pub bots: Patterns,
}

/// A code host that Hookbell knows.
pub struct Provider {
    /// What `kind = "…"` in `[sources.NAME]` says.
    pub kind: &'static str,
    /// Makes its source.
    pub build: fn(SourceSettings) -> Box<dyn Source>,
    /// The addresses that its host publishes as its own.
    pub addresses: Option<&'static Published>,
    /// The words by which its host calls what happened.
    pub keys: &'static [HostKey],
    /// Its built-in sample requests.
    pub samples: &'static [Sample],
    /// The headers that its host sends beside a body, but for the signature.
    pub headers: fn(key: &str, request_key: &str) -> HeaderMap,
    /// The header and value that sign a body.
    pub sign: fn(secret: &SecretString, body: &[u8]) -> (&'static str, String),
}

/// A host's word for what happened, and what becomes of it.
pub struct HostKey {
    /// The word: `repo:push`.
    pub name: &'static str,
    /// The kinds of events that it may become.
    pub kinds: &'static [Kind],
    /// The objects that a body of this key must have at its top.
    pub needs: &'static [&'static str],
}

/// A realistic request of our own making.
pub struct Sample {
    /// Its name: a kind of event, with a variant where there are several (`push.forced`).
    pub name: &'static str,
    /// The host's word for it.
    pub key: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// The sample that must have come before it, for those that are named by what was seen before.
    pub after: Option<&'static str>,
    /// The body, JSON.
    pub body: &'static str,
}

/// Every code host that Hookbell knows; the first is what commands assume.
pub static PROVIDERS: &[Provider] = &[bitbucket_cloud::PROVIDER];

/// The provider of this kind.
pub fn provider(kind: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.kind == kind)
}

impl Provider {
    /// The sample of this name.
    pub fn sample(&self, name: &str) -> Option<&'static Sample> {
        self.samples.iter().find(|sample| sample.name == name)
    }

    /// The samples that must have come before one, the first one first, and then it.
    pub fn story(&self, sample: &'static Sample) -> Vec<&'static Sample> {
        let before = std::iter::successors(Some(sample), |sample| self.sample(sample.after?));
        let mut story: Vec<_> = before.collect();
        story.reverse();
        story
    }

    /// A source without settings.
    pub fn plain(&self) -> Box<dyn Source> {
        (self.build)(SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() })
    }

    /// What happened in a body, for looking at it without a request, and with nothing remembered.
    pub fn parse(&self, key: &str, body: &[u8]) -> Result<Parsed, Refusal> {
        self.parse_by(self.plain().as_ref(), key, body)
    }

    /// The same, as a source of this kind understands it.
    pub fn parse_by(&self, source: &dyn Source, key: &str, body: &[u8]) -> Result<Parsed, Refusal> {
        self.parse_after(source, &mut Memory::new(), key, body)
    }

    fn parse_after(&self, source: &dyn Source, memory: &mut Memory, key: &str, body: &[u8]) -> Result<Parsed, Refusal> {
        let mut parsed = source.parse(&(self.headers)(key, "sample"), body)?;
        let source = SourceName::from("sample");
        let mut recall = Recall::new(&source, memory, 0);
        for event in &mut parsed.events {
            recall.name(event);
        }
        let after = recall.into_memory();
        memory.extend(after);
        Ok(parsed)
    }

    /// What happened in a sample, with what must have come before it remembered.
    pub fn parse_sample(&self, sample: &'static Sample) -> Result<Parsed, Refusal> {
        self.parse_sample_by(self.plain().as_ref(), sample)
    }

    /// The same, as a source of this kind understands it.
    pub fn parse_sample_by(&self, source: &dyn Source, sample: &'static Sample) -> Result<Parsed, Refusal> {
        let mut memory = Memory::new();
        let story = self.story(sample).into_iter();
        let last = story.map(|sample| self.parse_after(source, &mut memory, sample.key, sample.body.as_bytes())).last();
        last.unwrap_or_else(|| Err(Refusal::Malformed("no such sample".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_passwords() {
        for (text, left) in [
            ("https://bob:hunter2@ci.example/log", "https://ci.example/log"),
            ("see HTTPS://bob:p%40ss@x.example, and git+ssh://a:b@h/x", "see HTTPS://x.example, and git+ssh://h/x"),
            ("https://:token@x.example/", "https://x.example/"),
            ("ssh://git@bitbucket.org/acme/api", "ssh://git@bitbucket.org/acme/api"),
            ("https://x.example/a:b@c and mail@x.example", "https://x.example/a:b@c and mail@x.example"),
        ] {
            assert_eq!(without_credentials(text), left);
        }
    }

    #[test]
    fn texts_may_hold_what_they_like_and_values_have_an_end() {
        let text = format!(r#"{{"text":"{}"}}"#, r#",[{\""#.repeat(32_000));
        assert!(json_object(text.as_bytes()).is_ok());
        let refused = |body: &str| json_object(body.as_bytes()).unwrap_err().to_string();
        let values = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(4_000));
        assert_eq!(refused(&values), "the body holds more than 2548 values");
        assert_eq!(refused(&"[".repeat(4_000)), "the body holds more than 2298 values");
        assert!(refused(&"[".repeat(1_000)).starts_with("the body is not valid JSON: recursion limit exceeded"));
    }
}
