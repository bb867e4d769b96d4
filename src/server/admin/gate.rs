//! Who may ask: a token always; a `Host` that is ours, so that no web page can have a browser ask in its name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use poem::http::{StatusCode, header};
use poem::{Request, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::answer;
use crate::config::{Live, Role};
use crate::message::shield::harmless;
use crate::server::log_limit::LogLimit;
use crate::text_file;

/// The tokens, and the names that we may be called by.
pub struct Gate {
    failures: Failures,
    /// The token that was made beside the store, and what the config says; `None` where whoever asks is the same process.
    known: Option<(SecretString, Live)>,
}

impl Gate {
    /// For the listener: the token that was made beside the store may do everything, the config's what they say.
    pub fn new(live: Live, made: SecretString) -> Self {
        Self { failures: Failures::default(), known: Some((made, live)) }
    }

    /// For the process itself.
    pub fn open() -> Self {
        Self { failures: Failures::default(), known: None }
    }

    /// The same; an invalid token is logged, counted, and answered after a pause.
    pub(super) async fn refusal_slowly(&self, request: &Request, role: Role) -> Option<Response> {
        let refusal = self.refusal(request, role)?;
        if refusal.status() != StatusCode::UNAUTHORIZED || !request.headers().contains_key(header::AUTHORIZATION) {
            return Some(refusal);
        }
        metrics::counter!("hookbell_admin_rejected_total").increment(1);
        let client = request.remote_addr().as_socket_addr().map(|address| tracing::field::display(address.ip()));
        let path = harmless(request.uri().path());
        self.failures.logged.log(|skipped| tracing::warn!(client, path, skipped, "invalid admin token"));
        let Ok(_place) = self.failures.places.try_acquire() else {
            let message = "too many invalid tokens at once: try again later";
            return Some(answer::error(StatusCode::TOO_MANY_REQUESTS, message));
        };
        tokio::time::sleep(FAILURE_PAUSE).await;
        Some(refusal)
    }

    /// Why a request may not do what `role` may; none where it may.
    pub(super) fn refusal(&self, request: &Request, role: Role) -> Option<Response> {
        let (made, live) = self.known.as_ref()?;
        let settings = live.now();
        if let Some(refusal) = self.stranger(request) {
            return Some(refusal);
        }
        let claimed = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let claimed = claimed.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim();
        // All are looked at, so that the time tells nothing.
        let configured = settings.admin.tokens.iter().map(|token| (&token.token, token.role));
        let found = configured.chain([(made, Role::Operate)]).fold(None, |found: Option<Role>, (token, role)| {
            let same = bool::from(token.expose_secret().as_bytes().ct_eq(claimed.as_bytes()));
            if same { found.max(Some(role)) } else { found }
        });
        match found {
            Some(found) if found >= role => None,
            Some(_) => Some(answer::error(StatusCode::FORBIDDEN, "this token may only look: it has the role `read`")),
            None => {
                let message = "a token is needed: `Authorization: Bearer …`, with what stands in the `.token` file beside the store";
                let mut response = answer::error(StatusCode::UNAUTHORIZED, message);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
                Some(response)
            }
        }
    }

    /// Why a request may not even look at what needs no token; none where it may.
    pub(super) fn stranger(&self, request: &Request) -> Option<Response> {
        let message = "this listener is not called that: add the name to `hosts` in `[admin]`";
        let (_, live) = self.known.as_ref()?;
        (!is_ours(request, &live.now().admin.hosts)).then(|| answer::error(StatusCode::FORBIDDEN, message))
    }
}

/// Pause before an invalid token is answered.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Invalid tokens that may be answered at once; further ones are turned away without a pause.
const MAX_FAILURES: usize = 16;

/// Requests with invalid tokens.
struct Failures {
    logged: LogLimit,
    places: Semaphore,
}

impl Default for Failures {
    fn default() -> Self {
        Self { logged: LogLimit::default(), places: Semaphore::new(MAX_FAILURES) }
    }
}

/// Whether the request calls us by an address, `localhost`, or a name of the config. A name that leads to us without
/// being ours is how a web page would ask from within.
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

/// Where a store's token is.
pub fn token_path(store: &Path) -> PathBuf {
    crate::store::sqlite::beside(store, "token")
}

/// The token beside a store; it is made where there is none, readable for its owner alone.
pub fn generate_token(store: &Path) -> Result<SecretString, String> {
    let path = token_path(store);
    let shown = |error: std::io::Error| format!("cannot keep the admin token in `{}`: {error}", path.display());
    match text_file::read_text(&path, text_file::MAX_SECRET) {
        Ok(token) if token.trim().is_empty() => {
            return Err(format!("the admin token `{}` is empty: remove the file, a new one is made", path.display()));
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

    fn gate() -> Gate {
        let token = |name: &str, role| AdminToken { name: name.to_owned(), token: name.to_owned().into(), role };
        let directory = tempfile::tempdir().unwrap();
        let mut settings = crate::config::testing::settings(directory.path(), "");
        settings.admin.hosts = vec!["hookbell.example".to_owned()];
        settings.admin.tokens = vec![token("reader", Role::Read), token("operator", Role::Operate)];
        Gate::new(Live::new(settings), "made".to_owned().into())
    }

    fn asked(host: &str, token: &str, role: Role) -> u16 {
        let mut request = Request::builder().header("host", host);
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        gate().refusal(&request.finish(), role).map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn a_token_is_always_needed_and_is_good_for_its_role() {
        for token in ["", "Bearer ", "Bearer x", "reader", "Basic reader", "Bearer readers", "Bearer reade"] {
            assert_eq!(asked("127.0.0.1:8081", token, Role::Read), 401, "{token}");
        }
        assert_eq!(asked("127.0.0.1:8081", "Bearer reader", Role::Read), 200);
        assert_eq!(asked("127.0.0.1:8081", "Bearer reader", Role::Operate), 403);
        assert_eq!(asked("127.0.0.1:8081", "Bearer operator", Role::Operate), 200);
        assert_eq!(asked("127.0.0.1:8081", "Bearer made", Role::Operate), 200);
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
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
    fn a_token_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("h.db");
        let token = generate_token(&store).unwrap();
        assert_eq!(token.expose_secret().len(), 64);
        assert_eq!(generate_token(&store).unwrap().expose_secret(), token.expose_secret());
        let mode = std::fs::metadata(token_path(&store)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = generate_token(Path::new("/no/such/place/h.db")).err().unwrap();
        assert!(error.starts_with("cannot keep the admin token in `/no/such/place/h.db.token`"), "{error}");
    }
}
