//! Shared HTTP client, with limits on every wait and on every response size. It sends messages to chats and fetches a
//! few public files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT as USER_AGENT_HEADER};
use reqwest::{Certificate, Client, Method, NoProxy, Proxy, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::tls::Identity;

/// Maximum time to establish a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Maximum time without data from the chat, before and within its response.
const SILENT: Duration = Duration::from_secs(10);

/// Maximum time for a request and its response.
const WHOLE: Duration = Duration::from_secs(20);

/// Time for which an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Maximum size of a response that is read, in bytes; chats respond with a few hundred.
const MAX_ANSWER: usize = 64 * 1024;

/// Maximum size of a public file that is read, in bytes.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// Maximum wait that a chat can request. A longer one is an error, or the chat repeats the request.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// Settings for outgoing requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// URL of the proxy for all requests. Without it, no proxy is used, regardless of the environment.
    pub proxy: Option<String>,
    /// Certificate files (PEM) that are trusted in addition to the system's.
    pub ca: Vec<PathBuf>,
}

/// HTTP client shared by all channels.
#[derive(Clone)]
pub struct Http(Arc<Client>);

/// Certificates that a command trusts when it connects to Hookbell.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Those of the system, and this one, if it names the host.
    SystemAnd(Option<&'a Identity>),
    /// Only this one, at any address.
    Only(&'a Identity),
}

/// Creates a client for requests of a command to Hookbell itself: without a proxy and without redirects.
pub(crate) fn to_hookbell(timeout: Duration, trust: Trust<'_>) -> reqwest::Result<Client> {
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout).no_proxy();
    let builder = match trust {
        Trust::SystemAnd(None) => builder,
        Trust::SystemAnd(Some(own)) => builder.tls_certs_merge(Certificate::from_der(own.certificate())),
        // A client without these settings trusts the system's certificates only.
        Trust::Only(own) => match own.client() {
            Ok(client) => builder.tls_backend_preconfigured(client),
            Err(_) => builder,
        },
    };
    builder.build()
}

/// Response of a chat.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Start of the body, as text.
    pub(crate) text: String,
    /// True if the body ended regularly, or exceeded the maximum size.
    pub(crate) whole: bool,
    /// URL of the request.
    pub(crate) target: Target,
}

/// Error in the settings, described without secrets.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Invalid proxy.
    #[error("`proxy` is not a valid proxy URL")]
    Proxy,
    /// The certificate file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    UnreadableCertificates {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        error: std::io::Error,
    },
    /// The certificate file is not in PEM format.
    #[error("`{}` is not a valid PEM file", .0.display())]
    InvalidCertificates(PathBuf),
    /// The certificate file is empty.
    #[error("`{}` contains no certificate", .0.display())]
    NoCertificates(PathBuf),
    /// The client cannot be created.
    #[error("{0}")]
    Client(reqwest::Error),
}

/// Reason why a request has no response. The text contains no URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{cause}")]
pub(crate) struct NoAnswer {
    /// True if the request was not sent, because no connection was established.
    pub(crate) is_unsent: bool,
    /// True if the time was up.
    pub(crate) is_timeout: bool,
    cause: String,
}

impl NoAnswer {
    fn of(error: &reqwest::Error) -> Self {
        Self { is_unsent: error.is_connect(), is_timeout: error.is_timeout(), cause: root_cause(error) }
    }
}

/// Error in a webhook URL. Neither text contains the URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct AddressError {
    /// Description of the error.
    pub message: &'static str,
    /// Instructions that fix the error.
    pub help: &'static str,
}

/// Type of the sent bodies.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `User-Agent` of requests, unless a chat requires another one.
pub(crate) const USER_AGENT: &str = concat!("Hookbell/", env!("CARGO_PKG_VERSION"));

/// Error while fetching a public file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// No response arrived, for this reason.
    #[error("{0}")]
    NoResponse(String),
    /// The server refused.
    #[error("status {0}")]
    Status(u16),
    /// The file is too large.
    #[error("larger than {} MB", MAX_FILE / 1024 / 1024)]
    TooLarge,
    /// The connection broke.
    #[error("response cut off")]
    CutOff,
}

impl HttpError {
    /// Advice on how to fix the error.
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Proxy => Some("write a URL such as `http://proxy.example:3128`"),
            Self::Client(_) => None,
            _ => Some("set the path of a PEM file with certificates: `-----BEGIN CERTIFICATE-----`"),
        }
    }
}

impl Http {
    /// Creates the client.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENT)
            .timeout(WHOLE)
            .pool_idle_timeout(IDLE)
            // A webhook URL is a secret, which redirects must not reveal.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if let Some(proxy) = &settings.proxy {
            let proxy = Proxy::all(proxy).map_err(|_| HttpError::Proxy)?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")));
        }
        for path in &settings.ca {
            let pem = crate::text_file::read(path, crate::text_file::MAX_FILE)
                .map_err(|error| HttpError::UnreadableCertificates { path: path.clone(), error })?;
            let certificates = Certificate::from_pem_bundle(&pem);
            let certificates = certificates.map_err(|_| HttpError::InvalidCertificates(path.clone()))?;
            if certificates.is_empty() {
                return Err(HttpError::NoCertificates(path.clone()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| HttpError::Client(error.without_url()))?;
        Ok(Self(Arc::new(client)))
    }

    /// Sends JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &Target,
        user_agent: &'static str,
        headers: HeaderMap,
        body: String,
    ) -> Result<Answer, NoAnswer> {
        let request = self
            .0
            .request(method, Url::clone(&target.0))
            .headers(headers)
            .header(USER_AGENT_HEADER, HeaderValue::from_static(user_agent))
            .header(CONTENT_TYPE, JSON)
            .body(body);
        let mut response = request.send().await.map_err(|error| NoAnswer::of(&error))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let (bytes, whole) = read(&mut response, MAX_ANSWER).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { status, headers, text, whole, target: target.clone() })
    }

    /// Fetches a public file of less than [`MAX_FILE`] bytes.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.0.get(url).header(USER_AGENT_HEADER, USER_AGENT);
        let mut response = request.send().await.map_err(|error| FetchError::NoResponse(root_cause(&error)))?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        match read(&mut response, MAX_FILE).await {
            (bytes, true) if bytes.len() < MAX_FILE => Ok(bytes),
            (_, true) => Err(FetchError::TooLarge),
            (_, false) => Err(FetchError::CutOff),
        }
    }
}

/// Reads at most `largest` bytes of a response's body. Returns false if the connection broke before the end.
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

/// Returns the innermost cause. The outer errors of reqwest name the operation, not the failure.
pub(crate) fn last_cause(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// Describes the innermost cause, without a URL.
fn root_cause(error: &reqwest::Error) -> String {
    let cause = last_cause(error);
    if cause.is::<reqwest::Error>() { "no response".to_owned() } else { cause.to_string() }
}

impl Answer {
    /// Returns the wait that `Retry-After` requests, as seconds or as a date.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse::<f64>() {
            Ok(seconds) => seconds_of(seconds)?,
            Err(_) => {
                let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
                Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_WAIT))
    }

    /// Returns the chat's response, short enough to be stored and shown.
    pub(crate) fn said(&self) -> String {
        self.saying(&self.text)
    }

    /// Formats a text taken from the chat's response like [`Self::said`]. Echoed parts of the URL are masked: they are
    /// secret, and "not found" pages often repeat them.
    pub(crate) fn saying(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.target.secrets() {
            text = masked(&text, &secret);
        }
        let text = crate::text::cut_text(text.trim(), 300);
        if text.is_empty() { format!("status {}", self.status) } else { format!("status {}: {text}", self.status) }
    }

    /// Returns true for a web page. No chat responds with one.
    pub(crate) fn is_page(&self) -> bool {
        let text = self.text.trim_start_matches('\u{feff}').trim_start();
        let begins = |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"].into_iter().any(begins)
    }

    /// Returns true for a block by Cloudflare, which protects some chats
    /// (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/>).
    pub(crate) fn is_block(&self) -> bool {
        let code = self.text.trim().strip_prefix("error code: ").unwrap_or_default();
        self.status >= 400 && code.len() == 4 && code.starts_with("10")
    }
}

/// Length from which parts of a URL are masked everywhere. Shorter ones also occur as words, or within words.
const SHORT_PART: usize = 6;

/// Masks a secret in a text; a short one only where it is a separate word.
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

/// Converts a number of seconds to a wait of at most [`MAX_WAIT`], if it is a valid number.
pub(crate) fn seconds_of(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok().map(|wait| wait.min(MAX_WAIT))
}

/// A validated webhook URL.
#[derive(Clone)]
pub(crate) struct Target(Arc<Url>);

impl Target {
    /// Validates a URL. `http` is for this machine only, unless the configuration sets `insecure`.
    pub(crate) fn parse(url: &SecretString) -> Result<Self, AddressError> {
        let wrong = |message: &'static str, help| Err(AddressError { message, help });
        let Ok(url) = Url::parse(url.expose_secret()) else {
            return wrong("the webhook URL is not a valid URL", "copy the complete URL; it begins with `https://`");
        };
        if url.query().is_some_and(|query| query.contains("amp;")) {
            return wrong(
                "the webhook URL contains `&amp;`",
                "replace `&amp;` with `&`: the URL was copied from the source of a web page",
            );
        }
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return wrong(
                "the webhook URL is not an HTTP URL with a host",
                "copy the complete URL; it begins with `https://`",
            );
        }
        Ok(Self(url.into()))
    }

    /// Returns true if messages would cross a network unencrypted.
    pub(crate) fn is_exposed(&self) -> bool {
        let loopback = match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        self.0.scheme() == "http" && !loopback
    }

    /// Returns the secret parts of the URL: path and query, complete and in parts, as written and decoded.
    fn secrets(&self) -> Vec<String> {
        /// Minimum length of a secret part. A single character occurs everywhere.
        const MIN_LENGTH: usize = 2;
        /// Well-known parts of webhook URLs.
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
        secrets.retain(|secret| secret.len() >= MIN_LENGTH && !COMMON.contains(&secret.as_str()));
        // Longest first: one part may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// Returns true if the host is this domain or a subdomain of it.
    pub(crate) fn is_within(&self, domain: &str) -> bool {
        self.0
            .host_str()
            .and_then(|host| host.strip_suffix(domain))
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// Returns the value of a query parameter, unless it is empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.0.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    }

    /// Returns true if there is a query parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.0.query_pairs().any(|(known, _)| known == name)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path()
    }

    /// Returns the URL with the path prefix `from` replaced by `to`, or unchanged if the path has another prefix.
    pub(crate) fn with_path_prefix(&self, from: &str, to: &str) -> Self {
        let mut url = Url::clone(&self.0);
        if let Some(rest) = self.0.path().strip_prefix(from) {
            url.set_path(&format!("{to}{rest}"));
        }
        Self(url.into())
    }

    /// Returns the URL with a query parameter added, unless it has one of this name.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Self {
        let mut url = Url::clone(&self.0);
        if !self.has_parameter(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
        Self(url.into())
    }

    /// Returns the URL with further segments of the path, and the same query.
    pub(crate) fn below(&self, segments: &[&str]) -> Self {
        let mut url = Url::clone(&self.0);
        // A URL with a host always has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url.into())
    }

    /// Returns an identifier of the destination that reveals nothing about the URL.
    pub(crate) fn destination(&self, kind: &str) -> String {
        format!("{kind}:{}", hex::encode(&Sha256::digest(self.0.as_str().as_bytes())[..8]))
    }
}

/// Returns true if a channel with this URL needs `insecure = true`.
pub fn is_exposed(url: &SecretString) -> bool {
    Target::parse(url).is_ok_and(|target| target.is_exposed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_urls_are_masked() {
        let target =
            Target::parse(&"https://x.example/hook/p%40ss-word/ab1/q?sig=S%2Bx&v=1".to_owned().into()).unwrap();
        let answer = |text: &str| Answer {
            status: 404,
            headers: HeaderMap::new(),
            text: text.to_owned(),
            whole: true,
            target: target.clone(),
        };
        for (text, response) in [
            ("no /hook/p%40ss-word/ab1/q here", "status 404: no *** here"),
            ("unknown: p%40ss-word", "status 404: unknown: ***"),
            ("unknown: p@ss-word", "status 404: unknown: ***"),
            ("`ab1` and cab12", "status 404: `***` and cab12"),
            ("sig S%2Bx or S+x", "status 404: sig *** or ***"),
            ("a hook at v 1", "status 404: a hook at v 1"),
        ] {
            assert_eq!(answer(text).said(), response);
        }
    }

    /// The response timeout continues while `1xx` responses arrive; then the connection is closed.
    #[tokio::test]
    async fn endless_interim_responses_end() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {}
        });
        let (http, target) = (Http::new(&HttpSettings::default()).unwrap(), Target::parse(&url.into()).unwrap());
        let began = std::time::Instant::now();
        let outcome = http.send(Method::POST, &target, "test", HeaderMap::new(), "{}".to_owned()).await.err().unwrap();
        assert!(!outcome.is_unsent, "{outcome:?}");
        assert!(began.elapsed() < SILENT + Duration::from_secs(5), "{:?}", began.elapsed());
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
    }
}
