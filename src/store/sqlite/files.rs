//! Files of the database: detection of removed or replaced files, and of missing committed data.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::database::Database;
use super::{private_file, sibling};
use crate::store::ids::time_of;
use crate::time::{Millis, timestamp};

/// Open files. Data that is written to a file without a name is lost when the process ends, so nothing may be
/// acknowledged in that case.
pub(super) struct Files {
    database: (PathBuf, Identity),
    /// Size of the database in bytes.
    size: u64,
    /// Write-ahead log; the first write creates it.
    log: (PathBuf, Option<Identity>),
}

/// Identity of a file, independent of its name.
#[derive(Clone, Copy, PartialEq)]
struct Identity(u64, u64);

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

impl Files {
    pub(super) fn of(path: &Path, database: &File) -> std::io::Result<Self> {
        // SQLite puts the log next to the target of a link.
        let log = super::with_suffix(&path.canonicalize()?, "-wal");
        let identity = Identity::of(&database.metadata()?);
        Ok(Self { database: (path.to_owned(), identity), size: 0, log: (log, None) })
    }

    /// Returns the path of the write-ahead log.
    pub(super) fn log(&self) -> &Path {
        &self.log.0
    }

    /// Returns the reason why nothing may be written: a file was removed or replaced.
    pub(super) fn fault(&mut self) -> Option<String> {
        let (path, identity) = &self.database;
        let fault = |path: &Path| {
            format!(
                "`{}` was removed, replaced or truncated while the store was open; restore it, or restart Hookbell",
                path.display()
            )
        };
        let Ok(metadata) = std::fs::metadata(path) else { return Some(fault(path)) };
        // SQLite does not shrink the file.
        if Identity::of(&metadata) != *identity || metadata.len() < self.size {
            return Some(fault(path));
        }
        self.size = metadata.len();
        let (path, known) = &mut self.log;
        let found = Identity::at(path);
        match (*known, found) {
            (Some(known), found) if found != Some(known) => Some(fault(path)),
            (None, found) => {
                *known = found;
                None
            }
            _ => None,
        }
    }
}

/// Highest number of committed data, in its own file. A database with a lower one has lost data, for example because it
/// was restored from a backup or its write-ahead log was removed.
///
/// The file is not synced. After a power cut its value may be too low, never too high.
pub(super) struct Reached {
    file: File,
    number: i64,
}

/// Maximum time by which a number may plausibly be ahead of the clock, in milliseconds.
const PLAUSIBLE: Millis = 24 * 60 * 60 * 1_000;

/// Number of digits of the highest number. All numbers are padded to it, so that a shorter one overwrites a longer one.
const DIGITS: usize = 19;

impl Reached {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = private_file(&sibling(path, "seq"))?;
        let mut digits = [0; DIGITS];
        let read = file.read_at(&mut digits, 0)?;
        let text = digits.get(..read).and_then(|digits| std::str::from_utf8(digits).ok());
        // A file that a power cut truncated is ignored.
        let number = text.filter(|_| read == DIGITS).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Self { file, number })
    }

    /// Compares the file with the database. New numbers start above both, so that none is used twice.
    pub(super) fn compare(&mut self, db: &mut Database, now: Millis) -> Option<String> {
        let (held, reached) = (db.numbers.last(), self.number);
        // A number of the far future is implausible: the file itself is damaged.
        if held >= reached || time_of(reached) > now.saturating_add(PLAUSIBLE) {
            self.number = held;
            return None;
        }
        db.numbers.use_up_to(reached);
        db.committed();
        let until = if held == 0 { "is empty".to_owned() } else { format!("ends at {}", timestamp(time_of(held))) };
        Some(format!(
            "the database lacks committed data: it {until}, but data was stored until {}; it was restored from a \
             backup, or its `-wal` file was removed; send later events again from the host's webhook page",
            timestamp(time_of(reached))
        ))
    }

    /// Writes the highest number of the database to the file.
    pub(super) fn keep(&mut self, number: i64) {
        if number > self.number {
            // The file is only a safeguard, so a failure is ignored.
            let _ = self.file.write_all_at(format!("{number:0DIGITS$}").as_bytes(), 0);
            self.number = number;
        }
    }
}
