//! Webhook sources: verify requests and convert them into events.
//!
//! Each provider has its own folder, and all folders have the same layout: `mod.rs` (its [`Source`]), one file per
//! family of events, and `samples/`. No code outside a provider's folder refers to it, except the list of [`providers`].

pub mod addresses;
pub mod bitbucket_cloud;
pub mod hooks;
mod json;
mod signature;

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use http::HeaderMap;
use regex::Regex;
use secrecy::SecretString;
use thiserror::Error;

use crate::event::{Event, Kind, SourceName, Words};
use crate::memory::{Memory, Recall};
use crate::pattern::Patterns;
use crate::routing::Key;
use addresses::Published;
use hooks::HookApiKind;
use json::Json;

/// Webhook protocol of a code host.
///
/// For example, a source that requires a signature:
///
/// ```
/// use hookbell::pattern::Patterns;
/// use hookbell::source::{SourceSettings, provider};
///
/// let bitbucket = provider("bitbucket-cloud").expect("a built-in provider");
/// let secrets = vec!["correct horse battery staple".to_owned().into()];
/// let source = (bitbucket.build)(SourceSettings {
///     secrets: secrets.clone(),
///     unsigned: false,
///     bots: Patterns::default(),
/// });
/// let body = bitbucket.sample("push").expect("a built-in sample").body;
/// let mut headers = (bitbucket.headers)("repo:push", "b6c4b3f2");
/// assert!(source.verify(&headers, body.as_bytes()).is_err());
/// let (name, signature) = (bitbucket.sign)(&secrets[0], body.as_bytes());
/// headers.insert(name, signature.parse().expect("a header value"));
/// assert!(source.verify(&headers, body.as_bytes()).is_ok());
/// assert_eq!(source.parse(&headers, body.as_bytes())?.events.len(), 1);
/// # Ok::<(), hookbell::source::Rejection>(())
/// ```
pub trait Source: Send + Sync {
    /// Returns the maximum size of a body in bytes.
    fn max_body(&self) -> usize;

    /// Returns the names of the headers that are stored with a request: metadata from the host, and no secret.
    fn kept_headers(&self) -> &'static [&'static str];

    /// Returns the host's event key, which is not verified at this point.
    fn key(&self, headers: &HeaderMap) -> Option<String>;

    /// Checks what can be checked before the body is read: the headers that the host always sends must be present and
    /// well formed.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), Rejection>;

    /// Verifies the request's signature over the raw bytes of the body, in constant time.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Rejection>;

    /// Parses the events of a request. Call it after [`verify`](Self::verify).
    ///
    /// Fields may be missing, null, new or of another type; then the event has less information, and there is no error.
    /// It is an error if the body is not JSON, or does not match its headers.
    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Rejection>;
}

/// Parsed request.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Event key of the host: `repo:push`.
    pub key: String,
    /// Id of the webhook on the host.
    pub hook: Option<String>,
    /// Id of the request on the host; stays the same when the host sends the request again.
    pub request_key: Option<String>,
    /// Events in the request. Empty if there is nothing to report, such as a push that moved no ref.
    pub events: Vec<Event>,
    /// Reason why there are no events, or a remark about the events.
    pub note: Option<String>,
}

/// Result of a successful verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Index of the secret that signed the request, starting at 0; `None` if the source accepts unsigned requests.
    pub secret: Option<usize>,
}

/// Reason for rejecting a request. The text is sent to the client, so it must not contain anything confidential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// The request has no signature.
    #[error("missing `{header}` header; set the webhook's secret to the source's secret")]
    Unsigned {
        /// Name of the missing header.
        header: &'static str,
    },
    /// No secret of the source matches the signature.
    #[error("signature does not match; set the webhook's secret to the source's secret")]
    WrongSignature,
    /// The source's `allow_from` does not allow the client address.
    #[error("client address `{client}` is not allowed; add it to the source's `allow_from`")]
    ForeignAddress {
        /// Client address of the request.
        client: String,
    },
    /// The source's `repo` does not allow the repository.
    #[error("`{repository}` is not allowed by the source's `repo`; add it there")]
    ForeignRepository {
        /// `workspace/slug`, or the name of a workspace.
        repository: String,
    },
    /// The request comes from another program than the source is for. The text names the program and says what to
    /// change.
    #[error("{0}")]
    OtherHost(String),
    /// The headers say that the body is not JSON.
    #[error("the content type is not JSON; send the body as `Content-Type: application/json`")]
    NotJson,
    /// The body is not valid JSON, or does not match its headers.
    #[error("{0}")]
    Malformed(String),
}

/// Returns the maximum number of values in a body of this size in bytes. Parsing takes up to about 300 bytes per value,
/// so parsing takes at most about twenty times the size of the body. Hosts send at least 19 bytes per value, and
/// usually twice as many.
const fn most_values(bytes: usize) -> usize {
    2_048 + bytes / 16
}

/// Parses a body that must be a JSON object. serde_json limits the nesting depth to 128.
fn json_object<'a>(body: &'a [u8], room: &'a mut String) -> Result<Json<'a>, Rejection> {
    // Fast path: most bodies have fewer of these characters than `most`, even if those inside strings are counted.
    let most = most_values(body.len());
    if marks(body) > most && values(body) > most {
        return Err(Rejection::Malformed(format!("the body has more than {most} values, the maximum for its size")));
    }
    match json::parse(body, room) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) => Err(Rejection::Malformed("the body is not a JSON object".to_owned())),
        Err(error) => Err(Rejection::Malformed(format!("the body is not valid JSON: {error}"))),
    }
}

/// Counts the characters that start or separate values, also those inside strings.
fn marks(body: &[u8]) -> usize {
    // The sum of a chunk fits into a byte, so the compiler counts many bytes at once.
    let in_chunk = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(matches!(byte, b',' | b'{' | b'['))).sum::<u8>();
    body.chunks(255).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

/// Returns a lower bound for the number of values in JSON: the number of characters outside of strings that start or
/// separate values.
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

/// User name and password in a URL: `https://name:password@host`.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static CREDENTIALS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@:]*:[^\s/?#@]*@").expect("a valid pattern"));

/// Removes passwords from the URLs in a text, because messages show the text to everyone in the channel.
fn without_credentials(text: &str) -> Cow<'_, str> {
    if text.contains('@') && text.contains("://") { CREDENTIALS.replace_all(text, "$1") } else { text.into() }
}

/// Settings of a source.
pub struct SourceSettings {
    /// Secrets that may sign a request; during a rotation, these include the old secret.
    pub secrets: Vec<SecretString>,
    /// `true` if requests need no signature.
    pub unsigned: bool,
    /// Name patterns of machine accounts.
    pub bots: Patterns,
}

/// Code host that Hookbell supports.
pub struct Provider {
    /// Value of `kind` in `[sources.NAME]`.
    pub kind: &'static str,
    /// Creates a source.
    pub build: fn(SourceSettings) -> Box<dyn Source>,
    /// Returns true if a text has the form of an account id of this host. A display name of that form pings nobody.
    pub is_account_id: fn(&str) -> bool,
    /// Keys of rules for which no event of this host has a value.
    pub unsent: &'static [Key],
    /// Kinds of updates of pull requests that the host itself distinguishes. Memory neither renames nor suppresses events
    /// of these kinds, and does not report their changes a second time.
    pub named: &'static [Kind],
    /// Returns true if a pattern of a rule has the form of this host's event keys, also of one that Hookbell does not know
    /// yet. A pattern for Hookbell's own kinds (`pull_request.*`) should not have it.
    pub is_event_key: fn(&str) -> bool,
    /// The host's words for a pull request.
    pub words: Words,
    /// Address list that the host publishes.
    pub addresses: Option<&'static Published>,
    /// The host's API for webhooks.
    pub hooks: Option<&'static HookApiKind>,
    /// Event keys that the host sends.
    pub keys: &'static [HostKey],
    /// Built-in sample requests.
    pub samples: &'static [Sample],
    /// Returns the headers that the host sends with a body, except the signature.
    pub headers: fn(key: &str, request_key: &str) -> HeaderMap,
    /// Signs a body; returns the name and value of the signature header.
    pub sign: fn(secret: &SecretString, body: &[u8]) -> (&'static str, String),
}

/// Event key of a host, and the kinds of events that it stands for.
pub struct HostKey {
    /// The key: `repo:push`.
    pub name: &'static str,
    /// Kinds that an event with this key may have.
    pub kinds: &'static [Kind],
    /// Objects that a body with this key must have at the top level.
    pub needs: &'static [&'static str],
}

/// Realistic request, written for Hookbell.
pub struct Sample {
    /// Name of the sample: a kind of event, with a suffix for variants (`push.forced`).
    pub name: &'static str,
    /// Event key of the host.
    pub key: &'static str,
    /// Short description.
    pub about: &'static str,
    /// Sample that must be received before this one, because the memory of it determines the kind of this event.
    pub after: Option<&'static str>,
    /// Body as JSON.
    pub body: &'static str,
}

/// The built-in code hosts.
static PROVIDERS: &[&Provider] = &[&bitbucket_cloud::PROVIDER];

/// All code hosts, once they are in use.
static ALL: OnceLock<Vec<&'static Provider>> = OnceLock::new();

/// Returns all supported code hosts. Commands use the first by default.
pub fn providers() -> &'static [&'static Provider] {
    ALL.get_or_init(|| PROVIDERS.to_vec())
}

/// Adds code hosts to the built-in ones, for programs that embed Hookbell. Returns `false`, and adds nothing, if code
/// hosts are in use already: call it before the configuration is read.
pub fn add_providers(providers: &[&'static Provider]) -> bool {
    ALL.set(PROVIDERS.iter().chain(providers).copied().collect()).is_ok()
}

/// Returns the provider of this kind.
pub fn provider(kind: &str) -> Option<&'static Provider> {
    providers().iter().copied().find(|provider| provider.kind == kind)
}

/// Returns true if a pattern is for event keys of a host, by its form.
pub fn is_event_key(pattern: &str) -> bool {
    providers().iter().any(|provider| (provider.is_event_key)(pattern))
}

impl Provider {
    /// Returns the sample with this name.
    pub fn sample(&self, name: &str) -> Option<&'static Sample> {
        self.samples.iter().find(|sample| sample.name == name)
    }

    /// Returns the sample and all samples that must be received before it, in order.
    pub fn story(&self, sample: &'static Sample) -> Vec<&'static Sample> {
        let before = std::iter::successors(Some(sample), |sample| self.sample(sample.after?));
        let mut story: Vec<_> = before.collect();
        story.reverse();
        story
    }

    /// Creates a source with default settings.
    pub fn plain(&self) -> Box<dyn Source> {
        (self.build)(SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() })
    }

    /// Parses the events of a body without a request, with an empty memory.
    pub fn parse(&self, key: &str, body: &[u8]) -> Result<Parsed, Rejection> {
        self.parse_by(self.plain().as_ref(), key, body)
    }

    /// Parses the events of a body as [`parse`](Self::parse) does, but with the given source.
    pub fn parse_by(&self, source: &dyn Source, key: &str, body: &[u8]) -> Result<Parsed, Rejection> {
        self.parse_after(source, &mut Memory::new(), key, body)
    }

    fn parse_after(
        &self,
        source: &dyn Source,
        memory: &mut Memory,
        key: &str,
        body: &[u8],
    ) -> Result<Parsed, Rejection> {
        let mut parsed = source.parse(&(self.headers)(key, "sample"), body)?;
        let source = SourceName::from("sample");
        let mut recall = Recall::new(&source, self.named, memory, 0);
        for event in &mut parsed.events {
            event.words = self.words.clone();
            recall.identify(event);
            recall.name(event);
        }
        let after = recall.into_memory();
        memory.extend(after);
        Ok(parsed)
    }

    /// Parses the events of a sample, after the samples that must be received before it.
    pub fn parse_sample(&self, sample: &'static Sample) -> Result<Parsed, Rejection> {
        self.parse_sample_by(self.plain().as_ref(), sample)
    }

    /// Parses the events of a sample as [`parse_sample`](Self::parse_sample) does, but with the given source.
    pub fn parse_sample_by(&self, source: &dyn Source, sample: &'static Sample) -> Result<Parsed, Rejection> {
        let mut memory = Memory::new();
        let story = self.story(sample).into_iter();
        let last = story.map(|sample| self.parse_after(source, &mut memory, sample.key, sample.body.as_bytes())).last();
        last.unwrap_or_else(|| Err(Rejection::Malformed("unknown sample".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_for_kinds_are_not_for_event_keys() {
        for pattern in ["*updated", "repo*", "*push", "pull_request.*", "issue*", "build.failed"] {
            assert!(!is_event_key(pattern), "{pattern}");
        }
        for key in providers().iter().flat_map(|provider| provider.keys) {
            assert!(is_event_key(key.name), "{}", key.name);
        }
        assert!(is_event_key("repo:*") && is_event_key("repo:of_tomorrow"));
    }

    #[test]
    fn urls_are_shown_without_passwords() {
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
    fn values_end_with_control_characters_escaped() {
        let text = format!(r#"{{"text":"{}"}}"#, r#",[{\""#.repeat(32_000));
        assert!(json_object(text.as_bytes(), &mut String::new()).is_ok());
        let refused = |body: &str| json_object(body.as_bytes(), &mut String::new()).unwrap_err().to_string();
        let values = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(4_000));
        assert_eq!(refused(&values), "the body has more than 2548 values, the maximum for its size");
        assert_eq!(refused(&"[".repeat(4_000)), "the body has more than 2298 values, the maximum for its size");
        assert!(refused(&"[".repeat(1_000)).starts_with("the body is not valid JSON: recursion limit exceeded"));
    }
}
