//! Shared HTTP client, with limits on every wait and on every response size. It sends messages to chats, calls the APIs
//! of code hosts, and fetches a few public files.

mod answer;
mod target;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, USER_AGENT as USER_AGENT_HEADER};
use reqwest::{Certificate, Client, Method, NoProxy, Proxy, Url};
use thiserror::Error;

use crate::tls::Identity;
pub(crate) use answer::{Answer, seconds_of, wait_of};
pub use target::{AddressError, is_exposed};
pub(crate) use target::{Target, below, is_loopback};

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
pub struct Http(Arc<Shared>);

struct Shared {
    client: Client,
    /// Time of the local clock minus that of the last server of a [probe](Http::probe) or an API.
    ahead: Mutex<Option<SignedDuration>>,
}

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
        Ok(Self(Arc::new(Shared { client, ahead: Mutex::default() })))
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
            .client
            .request(method, target.url())
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

    /// Calls a JSON API. Redirects are not followed, so that no other server gets the authorization.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: Url,
        authorization: &HeaderValue,
        body: Option<String>,
    ) -> Result<http::Response<Bytes>, NoAnswer> {
        let request = self.0.client.request(method, url).header(AUTHORIZATION, authorization);
        let request = request.header(USER_AGENT_HEADER, USER_AGENT);
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, JSON).body(body),
            None => request,
        };
        self.exchange(request.build()).await
    }

    /// Sends any request.
    pub(crate) async fn pass(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, NoAnswer> {
        self.exchange(reqwest::Request::try_from(request)).await
    }

    /// Sends a request, and returns the response with its body, of at most [`MAX_FILE`] bytes.
    async fn exchange(&self, request: reqwest::Result<reqwest::Request>) -> Result<http::Response<Bytes>, NoAnswer> {
        let request = request.map_err(|error| NoAnswer::of(&error))?;
        let mut response = self.0.client.execute(request).await.map_err(|error| NoAnswer::of(&error))?;
        self.compare_clocks(&response);
        let (bytes, whole) = read(&mut response, MAX_FILE).await;
        if !whole {
            let cause = "the response was cut off".to_owned();
            return Err(NoAnswer { is_unsent: false, is_timeout: false, cause });
        }
        let mut answer = http::Response::new(Bytes::from(bytes));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    /// Requests the first page of a webhook's server, whatever that is: any response shows that the server is reachable.
    /// The request contains no secret.
    pub(crate) async fn probe(&self, target: &Target) -> Result<(), NoAnswer> {
        let request = self.0.client.get(target.server()).header(USER_AGENT_HEADER, USER_AGENT);
        let response = request.send().await.map_err(|error| NoAnswer::of(&error))?;
        self.compare_clocks(&response);
        Ok(())
    }

    /// Returns how far the local clock is ahead of that of the last server of a [probe](Self::probe) or an API; negative if it is behind, `None` if no response had a `Date` header.
    pub(crate) fn clock_ahead(&self) -> Option<SignedDuration> {
        *self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare_clocks(&self, response: &reqwest::Response) {
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date {
            let ahead = Timestamp::now().duration_since(date.timestamp());
            *self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
    }

    /// Fetches a public file of less than [`MAX_FILE`] bytes.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.0.client.get(url).header(USER_AGENT_HEADER, USER_AGENT);
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

#[cfg(test)]
mod tests {
    use super::*;

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
