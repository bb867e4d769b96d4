//! The certificate, its key and the account, in a file next to the store that only its owner can read.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::AcmeSettings;
use crate::text_file;
use crate::tls::{Identity, TlsError};

/// Content of the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// Directory URL of the authority.
    pub(super) directory: String,
    /// Names in the certificate.
    pub(super) domains: Vec<String>,
    /// Account at the authority, with its key.
    pub(super) account: serde_json::Value,
    /// Chain of the certificate, as PEM.
    pub(super) certificate: String,
    /// Key of the certificate, as PEM.
    pub(super) key: String,
}

impl Kept {
    /// Reads the file. `None` if there is none, or if it is not valid: then a new certificate is requested.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match text_file::read_text(path, text_file::MAX_FILE) {
            Ok(text) => Ok(serde_json::from_str(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file. After a crash, the old or the new one is there.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("acme-new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        text_file::create(&new, 0o600, &serde_json::to_string_pretty(self)?)?;
        std::fs::rename(&new, path)
    }

    /// Returns true if the certificate is for these settings.
    pub(super) fn fits(&self, wanted: &AcmeSettings) -> bool {
        self.directory == wanted.directory && self.domains == wanted.domains
    }

    /// Returns the certificate with its key.
    pub(super) fn identity(&self) -> Result<Identity, TlsError> {
        Identity::of_pem(self.certificate.as_bytes(), self.key.as_bytes())
    }
}
