//! The URL of a store, and the engines that can be one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Store, StoreError, sqlite};
use crate::time::{Millis, now};

/// All engines: the scheme of their URLs, and the database that the rest of a URL names. Relative paths start at a
/// directory.
const ENGINES: &[(&str, Locate)] = &[(sqlite::SCHEME, sqlite::locate)];

/// Returns the database that the rest of a URL names; `None` if it names none.
type Locate = fn(rest: &str, directory: &Path) -> Option<Arc<dyn Engine>>;

/// A database that is or can become a store.
pub(super) trait Engine: Send + Sync {
    /// Opens the store with this clock; creates the database if it does not exist.
    fn open(&self, clock: fn() -> Millis) -> Result<Arc<dyn Store>, StoreError>;

    /// Returns `true` if the database exists.
    fn exists(&self) -> bool;

    /// Returns the address of the process that uses the store, if the process has [set](Store::set_address) it.
    fn address(&self) -> Option<String>;

    /// Copies the store, which may be in use, into a new file, and checks the copy. The copy is a snapshot of one point
    /// in time, with access for its owner only.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;

    /// Returns the faults of the database; none if it is intact.
    fn check(&self) -> Result<Vec<String>, StoreError>;

    /// Returns the path of a file of this process that belongs to the store, such as a cache.
    fn file(&self, extension: &str) -> PathBuf;

    /// Returns the files of the database itself, which only their owner should be able to read.
    fn files(&self) -> Vec<PathBuf>;

    /// Returns the name of the database for people, without secrets.
    fn shown(&self) -> String;

    /// Returns everything that identifies the database, and how it is reached. It may contain secrets.
    fn location(&self) -> String;
}

/// Location of a store: `[store] url`.
#[derive(Clone)]
pub struct StoreUrl(Arc<dyn Engine>);

impl StoreUrl {
    /// URL of the store that is used by default.
    pub const DEFAULT: &'static str = sqlite::DEFAULT_URL;

    /// Meaning of the default URL.
    pub const ABOUT: &'static str = sqlite::ABOUT;

    /// Forms of a URL, with an example.
    pub const FORMS: &'static str = sqlite::FORMS;

    /// Parses a URL; relative paths in it start at the current directory.
    pub fn parse(url: &str) -> Option<Self> {
        Self::parse_in(url, Path::new(""))
    }

    /// Parses a URL; relative paths in it start at a directory.
    pub fn parse_in(url: &str, directory: &Path) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (_, locate) = ENGINES.iter().find(|(known, _)| *known == scheme)?;
        Some(Self(locate(rest, directory)?))
    }

    /// Opens the store, or creates it.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.0.open(now)
    }

    /// Opens the store with another clock than the system's.
    pub fn open_at(&self, clock: fn() -> Millis) -> Result<Arc<dyn Store>, StoreError> {
        self.0.open(clock)
    }

    /// Returns `true` if the store exists.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Returns the address of the process that uses the store, if it has set one.
    pub fn address(&self) -> Option<String> {
        self.0.address()
    }

    /// Copies the store, which may be in use, into a new file, and checks the copy.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.0.backup(to)
    }

    /// Returns the faults of the database; none if it is intact.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        self.0.check()
    }

    /// Returns the path of a file that belongs to the store, such as a cache, by its extension.
    pub fn file(&self, extension: &str) -> PathBuf {
        self.0.file(extension)
    }

    /// Returns the files of the database itself, which only their owner should be able to read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.files()
    }
}

impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.location() == other.0.location()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
