//! Which webhooks Hookbell has created, in a file next to the store. Without the file, they are found by their URL.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::event::SourceName;
use crate::source::hooks::Place;
use crate::store::StoreUrl;
use crate::text_file;

/// A webhook that Hookbell has created or taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownHook {
    pub(super) source: SourceName,
    /// `workspace` or `workspace/repo`.
    pub(super) place: String,
    /// Id on the host.
    pub(super) id: String,
    /// Hash of the id and the secret that was set last.
    pub(super) secret: String,
}

/// The known webhooks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) hooks: Vec<KnownHook>,
}

/// Error of the file.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("cannot read or write `{}`: {error}", path.display())]
    Inaccessible {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        error: io::Error,
    },
    /// The file is not valid.
    #[error("`{}` is not valid: {error}; remove it: the webhooks are found by their URL", path.display())]
    Invalid {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        error: serde_json::Error,
    },
    /// Another command writes the file.
    #[error("another `hookbell hooks` is running: wait until it is done")]
    InUse,
}

/// Returns the hash that tells whether the secret of a webhook has changed.
pub(super) fn secret_hash(id: &str, secret: &SecretString) -> String {
    let hash = Sha256::new().chain_update(bare(id)).chain_update([0]).chain_update(secret.expose_secret());
    hex::encode(hash.finalize())
}

/// Returns an id without the braces that some of a host's texts have, for comparison.
pub(super) fn bare(id: &str) -> String {
    id.trim_matches(['{', '}']).to_ascii_lowercase()
}

impl Known {
    /// Reads the file; nothing is known if there is none.
    pub(super) fn read(store: &StoreUrl) -> Result<Self, StateError> {
        let path = path(store);
        match text_file::read_text(&path, text_file::MAX_FILE) {
            Ok(text) => parse(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(StateError::Inaccessible { path, error }),
        }
    }

    pub(super) fn find(&self, source: &SourceName, place: &Place) -> Option<&KnownHook> {
        let place = place.to_string();
        self.hooks.iter().find(|hook| hook.source == *source && hook.place == place)
    }
}

fn path(store: &StoreUrl) -> PathBuf {
    store.file("hooks")
}

fn parse(path: &Path, text: &str) -> Result<Known, StateError> {
    if text.trim().is_empty() {
        return Ok(Known::default());
    }
    serde_json::from_str(text).map_err(|error| StateError::Invalid { path: path.to_owned(), error })
}

/// The file, locked against other commands.
pub(super) struct State {
    path: PathBuf,
    file: File,
    pub(super) known: Known,
}

impl State {
    /// Opens or creates the file.
    pub(super) fn open(store: &StoreUrl) -> Result<Self, StateError> {
        let path = path(store);
        let shown = |error| StateError::Inaccessible { path: path.clone(), error };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(shown)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse),
            Err(TryLockError::Error(error)) => return Err(shown(error)),
        }
        let mut text = String::new();
        Read::by_ref(&mut file).take(text_file::MAX_FILE).read_to_string(&mut text).map_err(shown)?;
        let known = parse(&path, &text)?;
        Ok(Self { path, file, known })
    }

    /// Stores the webhook of a place.
    pub(super) fn set(&mut self, hook: KnownHook) -> Result<(), StateError> {
        self.known.hooks.retain(|other| other.source != hook.source || other.place != hook.place);
        self.known.hooks.push(hook);
        self.write()
    }

    /// Forgets a webhook.
    pub(super) fn forget(&mut self, source: &SourceName, id: &str) -> Result<(), StateError> {
        self.known.hooks.retain(|hook| hook.source != *source || bare(&hook.id) != bare(id));
        self.write()
    }

    fn write(&mut self) -> Result<(), StateError> {
        let write = |file: &mut File, known: &Known| {
            let text = serde_json::to_string_pretty(known).map_err(io::Error::from)?;
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        let path = &self.path;
        write(&mut self.file, &self.known).map_err(|error| StateError::Inaccessible { path: path.clone(), error })
    }
}
