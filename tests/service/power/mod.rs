//! Power cuts: the program is killed, and what it wrote since the last sync is dropped, all of it or a random part. A
//! preloaded library (`shim.c`) notes each write and each sync.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use rusqlite::Connection;

use crate::chats::config;
use crate::crash::{flood, numbers};
use crate::fakes::{Fake, Kind};
use crate::program::{Home, Service};

/// Number of rounds under load, and of those in which a store is migrated.
const ROUNDS: usize = 40;
const MIGRATIONS: usize = 10;

/// The preloaded library, and the journal of the current run.
struct Power {
    library: PathBuf,
    journal: PathBuf,
}

impl Power {
    /// Builds the library.
    fn new(home: &Home) -> Self {
        let (library, journal) = (home.path().join("shim.so"), home.path().join("journal"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/power/shim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(compiler.status().unwrap().success(), "the library cannot be compiled");
        Self { library, journal }
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = home.command(&[]);
        command.env("LD_PRELOAD", &self.library).env("POWER_JOURNAL", &self.journal);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn serve(&self, home: &Home) -> Service {
        Home::running(self.command(home).spawn().unwrap())
    }

    /// Cuts the power of a program that was killed: drops what was not synced, each change with this probability. Returns
    /// the number of dropped changes.
    fn cut(&self, home: &Home, probability: f64) -> usize {
        let changes = unsynced(&std::fs::read(&self.journal).unwrap_or_default());
        for (path, changes) in &changes {
            // The program removed it; what it contained is synced elsewhere.
            let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) else { continue };
            for change in changes.iter().rev() {
                file.write_all_at(&change.old, change.offset).unwrap();
                file.set_len(change.size).unwrap();
            }
            for change in changes.iter().filter(|_| !rand::random_bool(probability)) {
                match &change.new {
                    Some(new) => file.write_all_at(new, change.offset).unwrap(),
                    None => file.set_len(change.offset).unwrap(),
                }
            }
        }
        let _ = std::fs::remove_file(&self.journal);
        // It is never synced: SQLite builds it again.
        let _ = std::fs::remove_file(home.path().join("hookbell.db-shm"));
        changes.values().map(Vec::len).sum()
    }
}

/// Change of a file.
struct Change {
    offset: u64,
    /// Size of the file before.
    size: u64,
    old: Vec<u8>,
    /// `None` if the file was truncated to `offset`.
    new: Option<Vec<u8>>,
}

/// Returns the changes of each file since its last sync. `shim.c` has the format.
fn unsynced(journal: &[u8]) -> BTreeMap<PathBuf, Vec<Change>> {
    let (mut rest, mut changes) = (journal, BTreeMap::<PathBuf, Vec<Change>>::new());
    while let Some((header, behind)) = rest.split_first_chunk::<48>() {
        let number = |n: usize| u64::from_ne_bytes(header[n * 8..n * 8 + 8].try_into().unwrap());
        let [kind, path, offset, size, old, new] = std::array::from_fn(number);
        let parts = [path, old, new].map(|length| usize::try_from(length).unwrap());
        if behind.len() < parts.iter().sum() {
            break;
        }
        let (path, behind) = behind.split_at(parts[0]);
        let (old, behind) = behind.split_at(parts[1]);
        let (new, behind) = behind.split_at(parts[2]);
        rest = behind;
        let path = PathBuf::from(std::str::from_utf8(path).unwrap().trim_end_matches(" (deleted)"));
        let of_path = changes.entry(path).or_default();
        match kind {
            2 => of_path.clear(),
            _ => of_path.push(Change { offset, size, old: old.to_vec(), new: (kind == 1).then(|| new.to_vec()) }),
        }
    }
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_lose_no_acknowledged_request() {
    let fake = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &fake)], "").replace("1000/s", "100000/s"));
    let power = Power::new(&home);
    let (next, mut acknowledged, mut dropped) = (Arc::new(AtomicUsize::new(0)), BTreeSet::new(), 0);
    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    for round in 0..ROUNDS {
        let service = power.serve(&home);
        let (url, killed) = (service.url("/hooks/bitbucket"), Arc::new(AtomicBool::new(false)));
        let senders: Vec<_> =
            (0..6).map(|_| tokio::spawn(flood(client.clone(), url.clone(), next.clone(), killed.clone()))).collect();
        // At a random time, from its start to full load.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..400))).await;
        if round % 4 == 3 {
            // During the checkpoint of a clean stop.
            Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        }
        service.stop("KILL");
        killed.store(true, Ordering::Relaxed);
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
        dropped += power.cut(&home, if round % 2 == 0 { 1.0 } else { 0.5 });
    }
    assert!(acknowledged.len() > ROUNDS, "{} acknowledged in {ROUNDS} rounds", acknowledged.len());
    assert!(dropped > ROUNDS, "{dropped} changes dropped in {ROUNDS} rounds");
    let _service = power.serve(&home);
    let (status, _, said) = home.run(&["channels"]);
    assert!(status == 0 && !said.contains("lacks committed data"), "{said}");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let shown: BTreeSet<_> = numbers(&fake).into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&shown).collect();
        if lost.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "lost {lost:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{} acknowledged, {dropped} changes dropped", acknowledged.len());
}

/// Number of events in a store that is migrated.
const EVENTS: usize = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_do_not_disturb_a_migration() {
    for round in 0..MIGRATIONS {
        let fake = Fake::start(Kind::Slack).await;
        let home = Home::new(&config(&[("slack", &fake)], ""));
        let power = Power::new(&home);
        old_store(&home.path().join("hookbell.db"));
        let mut cuts = 0;
        // Ever later, until the migration ends before the cut.
        let service = loop {
            let mut child = power.command(&home).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..100) + 150 * cuts)).await;
            child.kill().unwrap();
            child.wait().unwrap();
            power.cut(&home, if round % 2 == 0 { 1.0 } else { 0.5 });
            cuts += 1;
            if version(&home) > 10 || cuts > 25 {
                break power.serve(&home);
            }
        };
        drop(service);
        let db = Connection::open(home.path().join("hookbell.db")).unwrap();
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, usize>(0)).unwrap();
        for table in ["requests", "events", "deliveries"] {
            assert_eq!(count(&format!("SELECT count(*) FROM {table}")), EVENTS, "{table} after {cuts} cuts");
        }
        assert_eq!(count("SELECT count(DISTINCT former) FROM former_ids"), 3 * EVENTS);
        let in_order = "SELECT count(*) FROM (SELECT former, lag(former) OVER (ORDER BY id) AS before FROM former_ids
                        WHERE prefix = 'dlv_') WHERE before > former";
        assert_eq!(count(in_order), 0);
        println!("round {round}: migrated after {cuts} cuts");
    }
}

/// Returns the version of a store. Reads a copy, so that the program finds the files as they are.
fn version(home: &Home) -> usize {
    let copy = tempfile::tempdir().unwrap();
    for name in ["hookbell.db", "hookbell.db-wal"] {
        if home.path().join(name).exists() {
            std::fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
        }
    }
    let db = Connection::open(copy.path().join("hookbell.db")).unwrap();
    db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Creates a store of version 9.
fn old_store(path: &Path) {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    for n in 1..=9 {
        let step = format!("{}/src/store/sqlite/older/{n:04}.sql", env!("CARGO_MANIFEST_DIR"));
        db.execute_batch(&std::fs::read_to_string(step).unwrap()).unwrap();
    }
    db.execute_batch(&format!(
        r#"BEGIN;
        CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {EVENTS})
            SELECT i, printf('%026d', i) AS text, CAST(unixepoch() * 1000 AS INTEGER) AS at FROM n;
        INSERT INTO requests SELECT 'req_' || text, 'bitbucket', NULL, at, '{{}}', NULL, '{{"request":"req_"}}' FROM n;
        INSERT INTO events (id, request, n, kind, schema, json, decision)
            SELECT 'evt_' || text, 'req_' || text, 0, 'push', 1, '{{"kind":"push","key":"repo:push"}}', '{{}}' FROM n;
        INSERT INTO deliveries (id, event, lane, channel, route, state, created_at)
            SELECT 'dlv_' || text, 'evt_' || text, 'l', 'gone', 'r', 'parked', at FROM n ORDER BY i;
        PRAGMA user_version = 9;
        COMMIT;"#
    ))
    .unwrap();
}
