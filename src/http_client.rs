//! The one HTTP client, with an end to every wait and to every answer's size: for sending to chats, and for the few
//! public files that are fetched.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, NoProxy, Proxy, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::chat::{AddressError, Failure, Outcome, Reason};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the chat may be silent, before its answer and within.
const SILENT: Duration = Duration::from_secs(10);

/// How long sending may take in all.
const WHOLE: Duration = Duration::from_secs(20);

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The most bytes of an answer that are read; chats answer in a few hundred.
const LARGEST_ANSWER: usize = 64 * 1024;

/// The most bytes of a public file that are read.
const LARGEST_FILE: usize = 4 * 1024 * 1024;

/// The longest wait that a chat may ask for: what is beyond it is a mistake, or the chat says so again.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What the config says of outgoing requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// The proxy that requests go through; none, whatever the environment says, where there is none here.
    pub proxy: Option<String>,
    /// Files of certificates (PEM) that are trusted beside the system's.
    pub ca: Vec<PathBuf>,
}

/// The client that all channels share.
#[derive(Clone)]
pub struct Http(Arc<Client>);

/// What a chat answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The beginning of the body, as text.
    pub(crate) text: String,
    /// Whether the body ended as it should, or was larger than anybody wants to know.
    pub(crate) whole: bool,
    /// What of the address an answer may echo and nobody may see.
    pub(crate) secrets: Vec<String>,
    /// The names of the address's parameters.
    pub(crate) parameters: Vec<String>,
}

/// What of the settings is wrong, in words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The proxy.
    Proxy(String),
    /// A file of certificates.
    Certificates(String),
    /// None of both: there is no client to be had.
    Client(String),
}

impl Http {
    /// Makes the client.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENT)
            .timeout(WHOLE)
            .pool_idle_timeout(IDLE)
            // An address is a secret; nobody may send it elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if let Some(proxy) = &settings.proxy {
            let proxy = Proxy::all(proxy).map_err(|_| HttpError::Proxy("`proxy` is no proxy's address".to_owned()))?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")));
        }
        for path in &settings.ca {
            let shown = path.display();
            let wrong = |message: String| HttpError::Certificates(message);
            let pem = crate::text_file::read(path, crate::text_file::MAX_FILE)
                .map_err(|error| wrong(format!("cannot read `{shown}`: {error}")))?;
            let certificates = Certificate::from_pem_bundle(&pem);
            let certificates = certificates.map_err(|_| wrong(format!("`{shown}` is no PEM file")))?;
            if certificates.is_empty() {
                return Err(wrong(format!("`{shown}` holds no certificate")));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| HttpError::Client(error.without_url().to_string()))?;
        Ok(Self(Arc::new(client)))
    }

    /// Posts JSON. The error is the outcome that no answer means.
    pub(crate) async fn post(
        &self,
        target: &Target,
        user_agent: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<Answer, Outcome> {
        let request = self
            .0
            .post(target.0.clone())
            .headers(headers)
            .header(reqwest::header::USER_AGENT, user_agent)
            .header(reqwest::header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body);
        let mut response = request.send().await.map_err(|error| unanswered(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (bytes, whole) = read(&mut response, LARGEST_ANSWER).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let parameters = target.0.query_pairs().map(|(name, _)| name.into_owned()).collect();
        Ok(Answer { status, headers, text, whole, secrets: target.secrets(), parameters })
    }

    /// Gets a public file of at most [`LARGEST_FILE`] bytes. An error says why there is none.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let request = self.0.get(url).header(reqwest::header::USER_AGENT, crate::chat::USER_AGENT);
        let mut response = request.send().await.map_err(|error| root_cause(&error))?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        match read(&mut response, LARGEST_FILE).await {
            (bytes, true) if bytes.len() < LARGEST_FILE => Ok(bytes),
            (_, true) => Err(format!("larger than {} MB", LARGEST_FILE / 1024 / 1024)),
            (_, false) => Err("the answer broke off".to_owned()),
        }
    }
}

/// The beginning of an answer's body, and whether it ended as it should, or was larger than anybody wants to know.
async fn read(response: &mut reqwest::Response, largest: usize) -> (Vec<u8>, bool) {
    let mut bytes = vec![];
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = largest.saturating_sub(bytes.len());
                bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if bytes.len() >= largest {
                    return (bytes, true);
                }
            }
            Ok(None) => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

/// What went wrong in the end: reqwest says what it did, the last cause what failed.
pub(crate) fn last_cause(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// The same in words, without an address.
fn root_cause(error: &reqwest::Error) -> String {
    let cause = last_cause(error);
    if cause.is::<reqwest::Error>() { "no answer".to_owned() } else { cause.to_string() }
}

/// What it means that there was no answer. The text holds no address.
fn unanswered(error: &reqwest::Error) -> Outcome {
    let said = root_cause(error);
    if error.is_connect() {
        let reason = if error.is_timeout() { Reason::Timeout } else { Reason::Network };
        return Outcome::Retry { failure: Failure::new(reason, said), after: None };
    }
    // The request was on its way, so the message may be there.
    let reason = if error.is_timeout() { Reason::Timeout } else { Reason::Network };
    Outcome::Unknown(Failure::new(reason, said))
}

impl Answer {
    /// How long the chat asks to wait, by `Retry-After`: seconds, or a date.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse::<f64>() {
            Ok(seconds) => seconds_of(seconds)?,
            Err(_) => {
                let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
                Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }

    /// What the chat said, short enough to be kept and shown.
    pub(crate) fn said(&self) -> String {
        self.saying(&self.text)
    }

    /// The same, of what somebody made of the chat's words. Whatever it echoes of the address is made illegible: that is
    /// a secret, and pages that say "not found" like to repeat it.
    pub(crate) fn saying(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in &self.secrets {
            text = masked(&text, secret);
        }
        let text = crate::message::fit::cut_text(text.trim(), 300);
        if text.is_empty() { format!("status {}", self.status) } else { format!("status {}: {text}", self.status) }
    }

    /// What an answer means that nobody has seen yet: no more than that it is not the one that was hoped for.
    pub(crate) fn unexpected(&self) -> Outcome {
        let failure = Failure::new(Reason::Unexpected, self.said());
        match self.status {
            400 | 413 | 422 => Outcome::Rejected(failure),
            _ => Outcome::Retry { failure, after: self.retry_after() },
        }
    }

    /// Whether this is a web page: no chat answers with one.
    fn is_page(&self) -> bool {
        let text = self.text.trim_start_matches('\u{feff}').trim_start();
        let begins = |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"].into_iter().any(begins)
    }

    /// Whether this is a block by Cloudflare, which stands before some chats
    /// (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/>).
    fn is_block(&self) -> bool {
        let code = self.text.trim().strip_prefix("error code: ").unwrap_or_default();
        self.status >= 400 && code.len() == 4 && code.starts_with("10")
    }

    /// The outcome of an answer that something on the way gave: the message did not arrive, and nothing is wrong with it or
    /// with its destination.
    pub(crate) fn not_the_chat(&self) -> Outcome {
        let failure = Failure::with_remedy(
            Reason::NotTheChat,
            format!("this is not the chat's answer: {}", self.said()),
            "something on the way answered (a proxy, a gateway, a filter): let this machine reach the chat, or set `[http] proxy`",
        );
        Outcome::Retry { failure, after: self.retry_after() }
    }

    /// What answers mean that all chats have in common; `None` for a chat's own.
    pub(crate) fn common(&self) -> Option<Outcome> {
        let said = self.said();
        match self.status {
            429 if self.is_page() => {
                Some(Outcome::Retry { failure: Failure::new(Reason::RateLimited, said), after: self.retry_after() })
            }
            500..=599 => {
                Some(Outcome::Retry { failure: Failure::new(Reason::ServerError, said), after: self.retry_after() })
            }
            _ if self.is_page() || self.is_block() => Some(self.not_the_chat()),
            200..=299 if !self.whole => Some(Outcome::Unknown(Failure::new(Reason::Network, "the answer broke off"))),
            429 => Some(Outcome::Retry { failure: Failure::new(Reason::RateLimited, said), after: self.retry_after() }),
            408 | 425 => {
                Some(Outcome::Retry { failure: Failure::new(Reason::ServerError, said), after: self.retry_after() })
            }
            300..=399 => Some(Outcome::Closed(Failure::with_remedy(
                Reason::Unexpected,
                said,
                "the address leads elsewhere, and a secret address is not followed: set the new one",
            ))),
            _ => None,
        }
    }
}

/// Parts of an address that are shorter are words, or within words, that stand elsewhere too.
const SHORT_PART: usize = 6;

/// A text in which a secret is made illegible: a short one where it stands as a word of its own.
fn masked(text: &str, secret: &str) -> String {
    if secret.len() >= SHORT_PART {
        return text.replace(secret, "***");
    }
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        let within =
            before.chars().next_back().or_else(|| masked.chars().next_back()).is_some_and(char::is_alphanumeric)
                || behind.chars().next().is_some_and(char::is_alphanumeric);
        masked.push_str(before);
        masked.push_str(if within { secret } else { "***" });
        rest = behind;
    }
    masked + rest
}

/// A number of seconds, if it is one.
pub(crate) fn seconds_of(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok().map(|wait| wait.min(LONGEST_WAIT))
}

/// A webhook's address, checked.
#[derive(Clone)]
pub(crate) struct Target(Url);

impl Target {
    /// Checks an address. `http` is for this machine alone, unless the config says otherwise.
    pub(crate) fn parse(url: &SecretString) -> Result<Self, AddressError> {
        let wrong = |message: &str, help| Err(AddressError { message: message.to_owned(), help });
        let Ok(url) = Url::parse(url.expose_secret()) else {
            return wrong("the webhook's address is no URL", "copy it whole: it begins with `https://`");
        };
        if url.query().is_some_and(|query| query.contains("amp;")) {
            return wrong(
                "the webhook's address has `&amp;` in it",
                "write `&` instead: it was copied from a web page's source",
            );
        }
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return wrong("the webhook's address is not one of the web", "copy it whole: it begins with `https://`");
        }
        Ok(Self(url))
    }

    /// Whether messages would cross a network unencrypted.
    pub(crate) fn is_exposed(&self) -> bool {
        let loopback = match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        self.0.scheme() == "http" && !loopback
    }

    /// What of the address may not be shown: its path and query, whole and in parts, as typed and decoded.
    fn secrets(&self) -> Vec<String> {
        /// A single character stands everywhere.
        const SHORTEST: usize = 2;
        /// Parts of addresses that everybody knows.
        const COMMON: &[&str] = &["api", "hook", "hooks", "services", "v1", "v10", "webhook", "webhooks", "workflows"];
        let query = self.0.query().unwrap_or_default();
        let mut secrets: Vec<String> = [self.0.path(), query].map(ToOwned::to_owned).into();
        secrets.extend(self.0.path_segments().into_iter().flatten().map(ToOwned::to_owned));
        secrets.extend(query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        secrets.extend(self.0.query_pairs().map(|(_, value)| value.into_owned()));
        let decoded: Vec<_> = secrets
            .iter()
            .map(|secret| percent_decode_str(secret).decode_utf8_lossy().into_owned())
            .filter(|decoded| !secrets.contains(decoded))
            .collect();
        secrets.extend(decoded);
        secrets.retain(|secret| secret.len() >= SHORTEST && !COMMON.contains(&secret.as_str()));
        // The longest first: a part may be within another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// Whether the host is this domain, or below it.
    pub(crate) fn is_within(&self, domain: &str) -> bool {
        self.0
            .host_str()
            .and_then(|host| host.strip_suffix(domain))
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.0.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path()
    }

    /// The same address whose path begins otherwise, if it begins so.
    pub(crate) fn with_path_prefix(&self, from: &str, to: &str) -> Self {
        let mut url = self.0.clone();
        if let Some(rest) = self.0.path().strip_prefix(from) {
            url.set_path(&format!("{to}{rest}"));
        }
        Self(url)
    }

    /// The same address with one more parameter.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Self {
        let mut url = self.0.clone();
        if !url.query_pairs().any(|(known, _)| known == name) {
            url.query_pairs_mut().append_pair(name, value);
        }
        Self(url)
    }

    /// A name for the destination that tells nothing of the address.
    pub(crate) fn destination(&self, kind: &str) -> String {
        format!("{kind}:{}", hex::encode(&Sha256::digest(self.0.as_str().as_bytes())[..8]))
    }
}

/// Whether a channel of this address needs `insecure = true`.
pub fn is_exposed(url: &SecretString) -> bool {
    Target::parse(url).is_ok_and(|target| target.is_exposed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_echoes_of_an_address_is_made_illegible() {
        let target =
            Target::parse(&"https://x.example/hook/p%40ss-word/ab1/q?sig=S%2Bx&v=1".to_owned().into()).unwrap();
        let answer = |text: &str| Answer {
            status: 404,
            headers: HeaderMap::new(),
            text: text.to_owned(),
            whole: true,
            secrets: target.secrets(),
            parameters: vec![],
        };
        for (text, said) in [
            ("no /hook/p%40ss-word/ab1/q here", "status 404: no *** here"),
            ("unknown: p%40ss-word", "status 404: unknown: ***"),
            ("unknown: p@ss-word", "status 404: unknown: ***"),
            ("`ab1` and cab12", "status 404: `***` and cab12"),
            ("sig S%2Bx or S+x", "status 404: sig *** or ***"),
            ("a hook at v 1", "status 404: a hook at v 1"),
        ] {
            assert_eq!(answer(text).said(), said);
        }
    }

    /// The time for an answer runs on while `1xx` answers come, and then the connection is closed.
    #[tokio::test]
    async fn an_endless_run_of_interim_answers_ends() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {}
        });
        let (http, target) = (Http::new(&HttpSettings::default()).unwrap(), Target::parse(&url.into()).unwrap());
        let began = std::time::Instant::now();
        let outcome = http.post(&target, "test", HeaderMap::new(), "{}".to_owned()).await.err().unwrap();
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert!(began.elapsed() < SILENT + Duration::from_secs(5), "{:?}", began.elapsed());
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
    }
}
