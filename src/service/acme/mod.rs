//! Certificates from a public authority: ACME ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)) with the challenge
//! TLS-ALPN-01 ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)), which the listener answers itself.

mod kept;
mod resolver;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, HttpClient,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::time::Instant;

use super::health::Health;
use crate::config::{AcmeSettings, Live, Settings};
use crate::http_client::{Http, NoAnswer};
use crate::store::StoreUrl;
use crate::tls::{Identity, TlsError, serving_challenges};
use kept::Kept;
use resolver::{ChallengeError, Resolver};

/// Maximum time for the authority to check the challenges, and to issue a certificate.
const PATIENCE: Duration = Duration::from_secs(120);

/// First and maximum pause after a failure. Authorities limit failed orders: Let's Encrypt to five an hour
/// (<https://letsencrypt.org/docs/rate-limits/>).
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 60 * 60));

/// Factor by which the pause grows.
const GROWTH: u32 = 4;

/// Maximum time between checks of a certificate.
const CHECK: Duration = Duration::from_secs(12 * 60 * 60);

/// Certificate that Hookbell requests and renews.
pub struct Acme {
    resolver: Arc<Resolver>,
    /// `None` if the TLS library is unusable.
    config: Option<Arc<ServerConfig>>,
    path: PathBuf,
}

/// Reason why no new certificate was received.
#[derive(Debug, Error)]
enum AcmeError {
    #[error("{0}")]
    Acme(instant_acme::Error),
    #[error("cannot reach the authority: {0}")]
    Unreachable(NoAnswer),
    #[error("the authority cannot check {domain} by TLS-ALPN-01")]
    NoChallenge { domain: String },
    #[error("the authority refuses {domain}: {reason}")]
    Refused { domain: String, reason: String },
    #[error("the authority ended the order as {0:?}")]
    Ended(OrderStatus),
    #[error("cannot create a certificate for the challenge: {0}")]
    Challenge(#[from] ChallengeError),
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] TlsError),
    #[error("cannot read or write `{}`: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("`[http]` is not valid")]
    NoHttp,
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Other(cause) => match cause.downcast::<NoAnswer>() {
                Ok(none) => Self::Unreachable(*none),
                Err(cause) => Self::Acme(instant_acme::Error::Other(cause)),
            },
            error => Self::Acme(error),
        }
    }
}

impl AcmeError {
    /// Advice on how to fix the error.
    const fn help(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::NoHttp => "check the network, `directory`, and `[http] proxy` and `ca`",
            Self::File { .. } => "make the file and its directory writable for the user that runs Hookbell",
            _ => "the authority must reach port 443 of each name here, with TLS passed through unchanged",
        }
    }

    /// Returns true if another try costs the authority nothing.
    const fn is_free(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoHttp | Self::File { .. })
    }
}

/// Returns the certificate that was last received for a store; `None` if there is none.
pub fn last_certificate(store: &StoreUrl) -> Option<Identity> {
    Kept::read(&path(store)).ok()??.identity().ok()
}

fn path(store: &StoreUrl) -> PathBuf {
    store.file("acme")
}

impl Acme {
    /// Starts with the certificate that was received before, if these settings request one.
    pub fn new(settings: &Settings) -> Self {
        let resolver = Arc::new(Resolver::default());
        if settings.acme.is_some()
            && let Some(identity) = last_certificate(&settings.store)
        {
            resolver.set(identity.key());
        }
        Self { config: serving_challenges(resolver.clone()).ok(), resolver, path: path(&settings.store) }
    }

    /// Returns the settings of a listener: it shows the current certificate, and answers challenges.
    pub fn config(&self) -> Option<Arc<ServerConfig>> {
        self.config.clone()
    }

    /// Requests certificates and renews them. Never returns.
    pub(super) async fn run(self: Arc<Self>, live: Live, health: Health) {
        let mut settings = live.now();
        let mut pause = PAUSES.0;
        loop {
            // True if the next change of the configuration may solve the problem.
            let mut is_free = false;
            let wait = match &settings.acme {
                None => {
                    health.report(PROBLEM, None);
                    CHECK
                }
                Some(wanted) => match self.keep_valid(wanted, settings.http.as_ref()).await {
                    Ok(wait) => {
                        health.report(PROBLEM, None);
                        pause = PAUSES.0;
                        wait
                    }
                    Err(error) => {
                        let (domains, wait) = (wanted.domains.join(", "), pause);
                        tracing::error!(%error, domains, seconds = wait.as_secs(), "no certificate; trying again");
                        health.report(PROBLEM, Some(described(&domains, &error)));
                        is_free = error.is_free();
                        pause = (pause * GROWTH).min(PAUSES.1);
                        wait
                    }
                },
            };
            settings = changed(&live, settings, Instant::now() + wait, is_free).await;
        }
    }

    /// Requests a certificate if there is none for these domains, or if it is time to renew it. Returns the time until
    /// the next check.
    async fn keep_valid(&self, wanted: &AcmeSettings, http: Option<&Http>) -> Result<Duration, AcmeError> {
        let kept = self.on_disk(Kept::read).await?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.fits(wanted))
            && let Ok(identity) = kept.identity()
        {
            self.resolver.set(identity.key());
            if let Some(wait) = until_renewal(&identity, Timestamp::now()) {
                return Ok(wait.min(CHECK));
            }
        }
        let http = http.ok_or(AcmeError::NoHttp)?;
        let account = kept.filter(|kept| kept.directory == wanted.directory).map(|kept| kept.account);
        let (account, credentials) = self.account(wanted, account, http).await?;
        let ordered = self.order(&account, &wanted.domains).await;
        self.resolver.forget_challenges();
        let (certificate, key) = ordered?;
        let kept = Kept {
            directory: wanted.directory.clone(),
            domains: wanted.domains.clone(),
            account: credentials,
            certificate,
            key,
        };
        let identity = kept.identity()?;
        self.on_disk(move |path| kept.write(path)).await?;
        self.resolver.set(identity.key());
        tracing::info!(domains = wanted.domains.join(", "), until = %identity.until, "certificate received");
        Ok(until_renewal(&identity, Timestamp::now()).unwrap_or(CHECK).min(CHECK))
    }

    /// Uses the known account, or creates one.
    async fn account(
        &self,
        wanted: &AcmeSettings,
        known: Option<serde_json::Value>,
        http: &Http,
    ) -> Result<(Account, serde_json::Value), AcmeError> {
        let builder = || Account::builder_with_http(Box::new(Client(http.clone())));
        if let Some(known) = known
            && let Ok(credentials) = serde_json::from_value::<AccountCredentials>(known.clone())
        {
            return Ok((builder().from_credentials(credentials).await?, known));
        }
        let contact: Vec<_> = wanted.email.iter().map(|email| format!("mailto:{email}")).collect();
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder().create(&new, wanted.directory.clone(), None).await?;
        Ok((account, serde_json::to_value(credentials).map_err(instant_acme::Error::from)?))
    }

    /// Orders a certificate. Returns its chain and its key as PEM.
    async fn order(&self, account: &Account, domains: &[String]) -> Result<(String, String), AcmeError> {
        let identifiers: Vec<_> = domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let domain = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(AcmeError::NoChallenge { domain });
            };
            self.resolver.add_challenge(&domain, challenge.key_authorization().digest().as_ref())?;
            challenge.set_ready().await?;
        }
        let retries = RetryPolicy::new().timeout(PATIENCE);
        let status = order.poll_ready(&retries).await;
        if !matches!(status, Ok(OrderStatus::Ready)) {
            return Err(refusal(&mut order, status).await);
        }
        let key = order.finalize().await?;
        Ok((order.poll_certificate(&retries).await?, key))
    }

    /// Reads or writes the file, on a thread that may wait.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, AcmeError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&path)).await.map_err(std::io::Error::other);
        done.flatten().map_err(|error| AcmeError::File { path: self.path.clone(), error })
    }
}

/// Name of the problem in the service's health.
const PROBLEM: &str = "certificate";

fn described(domains: &str, error: &AcmeError) -> String {
    format!("no new certificate for {domains}: {error}; {}", error.help())
}

/// Waits until this time, or until the settings of the certificate have changed, or any if `any` is true. Returns the
/// settings in use.
async fn changed(live: &Live, mut settings: Arc<Settings>, due: Instant, any: bool) -> Arc<Settings> {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => return live.now(),
            new = live.after(&settings) => {
                let has_changed = any || new.acme != settings.acme;
                settings = new;
                if has_changed {
                    return settings;
                }
            }
        }
    }
}

/// Returns the time until two thirds of a certificate's life have passed; `None` if they have.
fn until_renewal(identity: &Identity, now: Timestamp) -> Option<Duration> {
    let life = identity.until.duration_since(identity.since);
    let renewal = identity.until.checked_sub(SignedDuration::from_secs(life.as_secs() / 3)).ok()?;
    Duration::try_from(renewal.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

/// Returns the reason why an order failed, as the authority gives it for a domain.
async fn refusal(order: &mut Order, status: Result<OrderStatus, instant_acme::Error>) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        let domain = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(error) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let reason = error.detail.clone().unwrap_or_else(|| error.to_string());
            return AcmeError::Refused { domain, reason };
        }
    }
    match status {
        Ok(status) => AcmeError::Ended(status),
        Err(error) => error.into(),
    }
}

/// Sends the requests of the ACME library.
struct Client(Http);

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let http = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // A body in memory cannot fail.
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let sent = http.pass(http::Request::from_parts(parts, body)).await;
            let response = sent.map_err(|none| instant_acme::Error::Other(Box::new(none)))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_renewed_after_two_thirds_of_its_life() {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let mut identity = Identity::of_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let day = |n: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * n);
        (identity.since, identity.until) = (day(0), day(90));
        let days = |n: u64| Some(Duration::from_secs(n * 24 * 60 * 60));
        assert_eq!(until_renewal(&identity, day(0)), days(60));
        assert_eq!(until_renewal(&identity, day(59)), days(1));
        assert_eq!((until_renewal(&identity, day(60)), until_renewal(&identity, day(99))), (None, None));
        (identity.since, identity.until) = (day(0), day(6));
        assert_eq!(until_renewal(&identity, day(1)), days(3));
    }
}
