//! TLS of the listeners: certificates and keys in PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::Time;

use crate::text_file;

/// Protocols that are offered, best first (ALPN).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Protocol in which an authority checks that this server has a domain: a handshake, and nothing else
/// (<https://www.rfc-editor.org/rfc/rfc8737>).
pub(crate) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificate of a listener, with its key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    /// Start of its validity.
    pub since: Timestamp,
    /// End of its validity.
    pub until: Timestamp,
    /// True if it was signed with its own key, so that no host trusts it.
    pub is_self_signed: bool,
}

/// Error in the files of a certificate.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        error: io::Error,
    },
    /// The file has no certificate.
    #[error("`{}` contains no certificate in PEM format", .0.display())]
    NoCertificate(PathBuf),
    /// The file has no key.
    #[error("`{}` contains no unencrypted private key in PEM format", .0.display())]
    NoKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("`{}` is not the key of the certificate in `{}`", key.display(), cert.display())]
    OtherKey {
        /// File with the certificate.
        cert: PathBuf,
        /// File with the key.
        key: PathBuf,
    },
    /// The certificate or the key is of an unsupported kind.
    #[error("`{}` and its key cannot be used: {error}", cert.display())]
    Unusable {
        /// File with the certificate.
        cert: PathBuf,
        /// Reason.
        error: rustls::Error,
    },
}

impl TlsError {
    /// Returns true if a file does not exist or is not accessible.
    pub fn is_missing(&self) -> bool {
        let kinds = [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied];
        matches!(self, Self::Unreadable { error, .. } if kinds.contains(&error.kind()))
    }

    /// Advice on how to fix the error.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "set the paths of PEM files that the user who runs Hookbell can read",
            Self::NoCertificate(_) => {
                "set the file with the whole chain: `-----BEGIN CERTIFICATE-----`, as certbot's `fullchain.pem`"
            }
            Self::NoKey(_) => {
                "set the file with the private key: `-----BEGIN PRIVATE KEY-----`, as certbot's `privkey.pem`"
            }
            Self::OtherKey { .. } => "set the two files that were made together",
            Self::Unusable { .. } => "use an ECDSA, Ed25519 or RSA key, and a certificate of version 3",
        }
    }
}

impl Identity {
    /// Reads a certificate chain and its key from PEM files within `directory`. Errors name the paths as they are given.
    pub fn read(directory: &Path, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            text_file::read(&directory.join(path), text_file::MAX_FILE)
                .map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
        };
        Self::parse((cert, &read(cert)?), (key, &read(key)?))
    }

    /// Reads a certificate chain and its key from PEM texts.
    pub(crate) fn of_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::parse((Path::new("certificate"), cert), (Path::new("key"), key))
    }

    /// Parses PEM texts, which errors call by their names.
    fn parse((cert, chain): (&Path, &[u8]), (key, private): (&Path, &[u8])) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.unwrap_or_default();
        let certificate = chain.first().cloned().ok_or_else(|| TlsError::NoCertificate(cert.to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(private).map_err(|_| TlsError::NoKey(key.to_owned()))?;
        let wrong = |error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { cert: cert.to_owned(), key: key.to_owned() },
            error => TlsError::Unusable { cert: cert.to_owned(), error },
        };
        let key = certified(chain, private).map_err(wrong)?;
        let resolver = Arc::new(SingleCertAndKey::from(key.clone()));
        let config = serving(resolver, &PROTOCOLS).map_err(wrong)?;
        let (since, until, is_self_signed) = described(&certificate).unwrap_or((Timestamp::MIN, Timestamp::MAX, false));
        Ok(Self { key, config, certificate, since, until, is_self_signed })
    }

    /// Returns the settings of a listener that shows this certificate.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Returns the certificate with its key.
    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }

    /// Returns the certificate's bytes (DER), for a comparison.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Creates the settings of a client that connects to the owner of this certificate and to nobody else, at any
    /// address: a command reaches its own service at a local address, which the certificate does not name.
    pub(crate) fn client(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = provider();
        let verifier = OnlyThis { certificate: self.certificate.clone(), provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
    }
}

/// Returns the start and the end of a certificate's validity, and whether it is signed with its own key.
fn described(certificate: &[u8]) -> Option<(Timestamp, Timestamp, bool)> {
    let parsed = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let time = |time: Time| Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok();
    let validity = parsed.validity;
    Some((time(validity.not_before)?, time(validity.not_after)?, parsed.issuer == parsed.subject))
}

/// Joins the certificate of a challenge and its key. Its critical extension, which only authorities know, does not allow
/// the check that they belong together.
pub(crate) fn challenge_key(
    certificate: CertificateDer<'static>,
    private: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let key = provider().key_provider.load_private_key(private)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

/// Checks that a key belongs to a certificate, and joins them.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    private: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    Ok(Arc::new(CertifiedKey::from_der(chain, private, &provider())?))
}

/// Returns the settings of a listener that shows the certificates of `resolver`, and also answers challenges.
pub(crate) fn serving_challenges(resolver: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let [h2, http_1] = PROTOCOLS;
    serving(resolver, &[h2, http_1, CHALLENGE_PROTOCOL])
}

fn serving(resolver: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config.into())
}

/// Does the server's part of a handshake. Returns `None` if it was only a challenge of an authority.
pub(crate) async fn accept(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let is_challenge = stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_PROTOCOL);
    Ok((!is_challenge).then_some(stream))
}

/// Returns the scheme of the URLs of a listener.
pub const fn scheme(has_tls: bool) -> &'static str {
    if has_tls { "https" } else { "http" }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts one certificate, whose key the server proves to have.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        found: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *found == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("the service has another certificate than the one in the configuration".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
