//! The database's files: noticing that they were removed or replaced, and that what was committed is missing.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::{beside, private_file};

/// The files that are open. What is written to a file without a name is lost when the process ends, so nothing may be
/// acknowledged then.
pub(super) struct Files {
    database: (PathBuf, Identity),
    /// Its size, in bytes.
    size: u64,
    /// The write-ahead log; it is made by the first write.
    log: (PathBuf, Option<Identity>),
}

/// A file, whatever its name.
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
        // SQLite puts the log beside the file that a link leads to.
        let log = super::with_suffix(&path.canonicalize()?, "-wal");
        let identity = Identity::of(&database.metadata()?);
        Ok(Self { database: (path.to_owned(), identity), size: 0, log: (log, None) })
    }

    /// Why nothing may be written: a file was removed or replaced.
    pub(super) fn fault(&mut self) -> Option<String> {
        let (path, identity) = &self.database;
        let fault = |path: &Path| {
            format!(
                "`{}` was removed, replaced or cut while the store was open; restore it, or restart",
                path.display()
            )
        };
        let Ok(metadata) = std::fs::metadata(path) else { return Some(fault(path)) };
        // SQLite makes the file no smaller.
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

/// The highest `seq` of a delivery that was committed, in a file of its own: a database that holds less has lost
/// something, for example because it was restored from a backup, or its write-ahead log was removed.
///
/// The file is not synced. After a power cut it may say less than was committed, never more.
pub(super) struct Reached {
    file: File,
    seq: i64,
}

/// Deliveries that a database may lack.
const PLAUSIBLE: i64 = 1 << 40;

/// Digits of the largest number, so that a shorter one leaves nothing of a longer one.
const DIGITS: usize = 19;

impl Reached {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = private_file(&beside(path, "seq"))?;
        let mut digits = [0; DIGITS];
        let read = file.read_at(&mut digits, 0)?;
        let text = digits.get(..read).and_then(|digits| std::str::from_utf8(digits).ok());
        // A file that was cut short by a power cut says nothing.
        let seq = text.filter(|_| read == DIGITS).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Self { file, seq })
    }

    /// Compares the file with what the database holds. Numbers go on above both, so that none is used twice.
    pub(super) fn compare(&mut self, db: &Connection) -> rusqlite::Result<Option<String>> {
        let held = highest(db)?;
        // No store has lost so many: the file itself is damaged.
        if held >= self.seq || self.seq - held > PLAUSIBLE {
            self.seq = held;
            return Ok(None);
        }
        let update = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'deliveries'";
        if db.execute(update, [self.seq])? == 0 {
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', ?1)", [self.seq])?;
        }
        let missing = self.seq - held;
        Ok(Some(format!(
            "the database lacks {missing} deliveries that were committed (it holds up to {held} of {}): it was restored from \
             a backup, or its `-wal` file was removed; events since then can be sent again from the host's webhook page",
            self.seq
        )))
    }

    /// Keeps what the database holds now.
    pub(super) fn keep(&mut self, db: &Connection) {
        if let Ok(seq) = highest(db)
            && seq > self.seq
        {
            // It is a safeguard: without it, everything else goes on.
            let _ = self.file.write_all_at(format!("{seq:0DIGITS$}").as_bytes(), 0);
            self.seq = seq;
        }
    }
}

/// The highest `seq` that was ever given.
fn highest(db: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'";
    db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional().map(Option::unwrap_or_default)
}
