//! Authorization of admin requests: a token, and an allowed `Host` header, so that no web page can make a browser send
//! requests (DNS rebinding).

use std::path::PathBuf;
use std::time::Duration;

use poem::http::{StatusCode, header};
use poem::{Request, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::answer;
use crate::config::{Live, Role};
use crate::store::StoreUrl;
use crate::telemetry::LogLimit;
use crate::text::sanitized;
use crate::text_file;

/// Checks tokens and `Host` headers.
pub struct Authorizer {
    failures: Failures,
    /// Token that was generated at the start.
    generated: SecretString,
    live: Live,
}

impl Authorizer {
    /// For the admin listener. The generated token may do everything; tokens in the configuration have their own role.
    pub fn new(live: Live, generated: SecretString) -> Self {
        Self { failures: Failures::default(), generated, live }
    }

    /// Like [`rejection`](Self::rejection), but logs and counts an invalid token, and pauses before the rejection.
    pub(super) async fn rejection_slowly(&self, request: &Request, role: Role) -> Option<Response> {
        let rejection = self.rejection(request, role)?;
        if rejection.status() != StatusCode::UNAUTHORIZED || !request.headers().contains_key(header::AUTHORIZATION) {
            return Some(rejection);
        }
        metrics::counter!("hookbell_admin_rejected_total").increment(1);
        let client = request.remote_addr().as_socket_addr().map(|address| tracing::field::display(address.ip()));
        let path = sanitized(request.uri().path());
        self.failures.logged.log(|skipped| tracing::warn!(client, path, skipped, "invalid admin token"));
        let Ok(_place) = self.failures.places.try_acquire() else {
            let message = "too many requests with invalid tokens; try again later";
            return Some(answer::error(StatusCode::TOO_MANY_REQUESTS, message));
        };
        tokio::time::sleep(FAILURE_PAUSE).await;
        Some(rejection)
    }

    /// Returns the rejection of a request that may not use operations of this role, if any.
    pub(super) fn rejection(&self, request: &Request, role: Role) -> Option<Response> {
        let settings = self.live.now();
        if let Some(rejection) = self.host_rejection(request) {
            return Some(rejection);
        }
        let claimed = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let claimed = claimed.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim();
        // All tokens are compared, so that the time reveals nothing.
        let configured = settings.admin.tokens.iter().map(|token| (&token.token, token.role));
        let found =
            configured.chain([(&self.generated, Role::Operate)]).fold(None, |found: Option<Role>, (token, role)| {
                let same = bool::from(token.expose_secret().as_bytes().ct_eq(claimed.as_bytes()));
                if same { found.max(Some(role)) } else { found }
            });
        match found {
            Some(found) if found >= role => None,
            Some(_) => Some(answer::error(
                StatusCode::FORBIDDEN,
                "the token has the role `read`; this operation needs `operate`",
            )),
            None => {
                let message =
                    "missing or invalid token: send `Authorization: Bearer …`; see the `.token` file next to the store";
                let mut response = answer::error(StatusCode::UNAUTHORIZED, message);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
                Some(response)
            }
        }
    }

    /// Returns the rejection of a request with a `Host` header that is not allowed, if any.
    pub(super) fn host_rejection(&self, request: &Request) -> Option<Response> {
        let message = "`Host` header not allowed: add the name to `[admin] hosts`";
        (!is_ours(request, &self.live.now().admin.hosts)).then(|| answer::error(StatusCode::FORBIDDEN, message))
    }
}

/// Pause before the response to an invalid token.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Maximum number of concurrent pauses for invalid tokens. Further requests are rejected without a pause.
const MAX_FAILURES: usize = 16;

/// Limits for requests with invalid tokens.
struct Failures {
    logged: LogLimit,
    places: Semaphore,
}

impl Default for Failures {
    fn default() -> Self {
        Self { logged: LogLimit::default(), places: Semaphore::new(MAX_FAILURES) }
    }
}

/// Returns `true` if the `Host` header is an IP address, `localhost` or a name in the configuration. A web page could
/// reach this listener through any other name that resolves to its address.
fn is_ours(request: &Request, hosts: &[String]) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().host()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok()
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// Returns the path of the generated token of a store.
pub fn token_path(store: &StoreUrl) -> PathBuf {
    store.file("token")
}

/// Error of the generated token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read or created.
    #[error("cannot read or create the admin token `{}`: {error}", path.display())]
    Inaccessible {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        error: std::io::Error,
    },
    /// The file is empty.
    #[error("the admin token `{}` is empty; delete the file to generate a new one", .0.display())]
    Empty(PathBuf),
}

/// Reads the token of a store. Generates it if there is none, readable only by its owner.
pub fn generate_token(store: &StoreUrl) -> Result<SecretString, TokenError> {
    let path = token_path(store);
    let shown = |error: std::io::Error| TokenError::Inaccessible { path: path.clone(), error };
    match text_file::read_text(&path, text_file::MAX_SECRET) {
        Ok(token) if token.trim().is_empty() => {
            return Err(TokenError::Empty(path));
        }
        Ok(token) => return Ok(token.trim().to_owned().into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(shown(error)),
    }
    crate::config::secret::generated(&path).map(Into::into).map_err(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminToken;

    fn authorizer() -> Authorizer {
        let token = |name: &str, role| AdminToken { name: name.to_owned(), token: name.to_owned().into(), role };
        let directory = tempfile::tempdir().unwrap();
        let mut settings = crate::config::testing::settings(directory.path(), "");
        settings.admin.hosts = vec!["hookbell.example".to_owned()];
        settings.admin.tokens = vec![token("reader", Role::Read), token("operator", Role::Operate)];
        Authorizer::new(Live::new(settings), "made".to_owned().into())
    }

    fn asked(host: &str, token: &str, role: Role) -> u16 {
        let mut request = Request::builder().header("host", host);
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        authorizer().rejection(&request.finish(), role).map_or(200, |rejection| rejection.status().as_u16())
    }

    #[test]
    fn token_is_required_and_limited_to_its_role() {
        for token in ["", "Bearer ", "Bearer x", "reader", "Basic reader", "Bearer readers", "Bearer reade"] {
            assert_eq!(asked("127.0.0.1:8081", token, Role::Read), 401, "{token}");
        }
        assert_eq!(asked("127.0.0.1:8081", "Bearer reader", Role::Read), 200);
        assert_eq!(asked("127.0.0.1:8081", "Bearer reader", Role::Operate), 403);
        assert_eq!(asked("127.0.0.1:8081", "Bearer operator", Role::Operate), 200);
        assert_eq!(asked("127.0.0.1:8081", "Bearer made", Role::Operate), 200);
    }

    #[test]
    fn unknown_host_header_is_rejected() {
        for (host, status) in [
            ("localhost", 200),
            ("LOCALHOST:8081", 200),
            ("10.1.2.3", 200),
            ("[::1]:8081", 200),
            ("hookbell.example", 200),
            ("Hookbell.Example:80", 200),
            ("evil.example", 403),
            ("localhost.evil.example:8081", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(asked(host, "Bearer made", Role::Read), status, "{host}");
        }
    }

    #[test]
    fn token_is_generated_once_and_readable_only_by_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::parse_in("sqlite:h.db", directory.path()).unwrap();
        let token = generate_token(&store).unwrap();
        assert_eq!(token.expose_secret().len(), 64);
        assert_eq!(generate_token(&store).unwrap().expose_secret(), token.expose_secret());
        let mode = std::fs::metadata(token_path(&store)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = generate_token(&StoreUrl::parse("sqlite:/no/such/place/h.db").unwrap()).err().unwrap().to_string();
        assert!(error.starts_with("cannot read or create the admin token `/no/such/place/h.db.token`"), "{error}");
    }
}
