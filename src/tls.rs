//! TLS of the listeners: certificates and keys in PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::text_file;

/// Protocols that are offered, best first (ALPN).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificate of a listener, with its key.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
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
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(cert)?).collect();
        let chain = chain.unwrap_or_default();
        let certificate = chain.first().cloned().ok_or_else(|| TlsError::NoCertificate(cert.to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| TlsError::NoKey(key.to_owned()))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, private));
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { cert: cert.to_owned(), key: key.to_owned() },
            error => TlsError::Unusable { cert: cert.to_owned(), error },
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        let (until, is_self_signed) = described(&certificate).unwrap_or((Timestamp::MAX, false));
        Ok(Self { config: config.into(), certificate, until, is_self_signed })
    }

    /// Does the server's part of a handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.clone()).accept(stream).await
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

/// Returns the end of a certificate's validity, and whether it is signed with its own key.
fn described(certificate: &[u8]) -> Option<(Timestamp, bool)> {
    let parsed = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let until = parsed.validity.not_after.to_unix_duration();
    let until = Timestamp::from_second(i64::try_from(until.as_secs()).ok()?).ok()?;
    Some((until, parsed.issuer == parsed.subject))
}

/// Returns the scheme of the URLs of a listener.
pub const fn scheme(certificate: Option<&Identity>) -> &'static str {
    if certificate.is_some() { "https" } else { "http" }
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
