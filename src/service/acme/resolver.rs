//! Chooses the certificate of a handshake: the current one, or that of a challenge.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::tls::{CHALLENGE_PROTOCOL, challenge_key};

/// Certificates of a listener.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    /// By domain.
    challenges: RwLock<BTreeMap<String, Arc<CertifiedKey>>>,
}

/// Reason why a challenge cannot be answered.
#[derive(Debug, Error)]
pub(super) enum ChallengeError {
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Resolver {
    /// Shows this certificate from now on.
    pub(super) fn set(&self, key: Arc<CertifiedKey>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// Answers the challenge for a domain, whose key authorization has this digest.
    pub(super) fn add_challenge(&self, domain: &str, digest: &[u8]) -> Result<(), ChallengeError> {
        let mut parameters = CertificateParams::new(vec![domain.to_owned()])?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let key = challenge_key(certificate.der().clone(), private)?;
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).insert(domain.to_ascii_lowercase(), key);
        Ok(())
    }

    /// Answers no challenges any longer.
    pub(super) fn forget_challenges(&self) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_challenge = hello.alpn().is_some_and(|mut offered| offered.any(|name| name == CHALLENGE_PROTOCOL));
        if is_challenge {
            let domain = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.read().unwrap_or_else(PoisonError::into_inner).get(&domain).cloned();
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
