//! The file: permissions, versions, backups, damage, and the write-ahead log.

use super::*;
use crate::routing::Held;
use crate::store::StoreUrl;

/// Returns the address of the process that uses a store.
fn address(path: &Path) -> Option<String> {
    StoreUrl::parse(&format!("sqlite:{}", path.display())).unwrap().address()
}

#[test]
fn second_process_cannot_open_the_store() {
    let f = open();
    let path = f.directory.path().join("h.db");
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.starts_with("another Hookbell process is using the store `"), "{error}");
    assert_eq!(address(&path), None);
    f.store.set_address("127.0.0.1:8081").unwrap();
    f.store.set_address("[::1]:81").unwrap();
    assert_eq!(address(&path).as_deref(), Some("[::1]:81"));
}

#[test]
fn file_of_a_newer_version_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("a newer Hookbell created it (its version is 999"), "{error}");
}

#[test]
fn file_that_is_not_a_database_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    std::fs::write(&path, "x".repeat(5_000)).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("file is not a database"), "{error}");
    let error = SqliteStore::open(Path::new("/no/such/place/h.db")).err().unwrap().to_string();
    assert!(error.contains("cannot use the store `/no/such/place/h.db`"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_only_by_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let f = open();
    accept(&f.store, "one", &["a"]).await;
    let mut files = 0;
    for entry in std::fs::read_dir(f.directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        files += 1;
    }
    assert!(files >= 3, "{files} files");
}

#[tokio::test]
async fn backup_under_load_is_a_consistent_snapshot() {
    use std::os::unix::fs::PermissionsExt;
    let f = open();
    let (path, copy) = (f.directory.path().join("h.db"), f.directory.path().join("copy.db"));
    for n in 0..20 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    let copying = tokio::task::spawn_blocking({
        let (path, copy) = (path.clone(), copy.clone());
        move || backup::backup(&path, &copy)
    });
    for n in 20..60 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    copying.await.unwrap().unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let restored = SqliteStore::open(&copy).unwrap();
    let texts = waiting(&restored, "a").await;
    let expected: Vec<_> = (0..texts.len()).map(|n| n.to_string()).collect();
    assert!(texts.len() >= 20, "{texts:?}");
    assert_eq!(texts, expected);

    let error = backup::backup(&path, &copy).unwrap_err().to_string();
    assert!(error.contains("already exists; choose another name"), "{error}");
    let error = backup::backup(Path::new("/no/such.db"), &copy).unwrap_err().to_string();
    assert_eq!(error, "the store `/no/such.db` does not exist");
    let error = backup::backup(&path, Path::new("/no/such/place/copy.db")).unwrap_err().to_string();
    assert!(error.starts_with("`/no/such/place/copy.db`: "), "{error}");
}

/// Each round is a chance for two connections to close at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_store_is_one_complete_file() {
    for _ in 0..50 {
        let f = open();
        f.store.counts().await.unwrap();
        drop(f.store);
        let log = f.directory.path().join("h.db-wal");
        assert!(!log.exists(), "the log is left over");
    }
}

#[test]
fn damage_is_found() {
    let f = open();
    let path = f.directory.path().join("h.db");
    drop(f.store);
    assert_eq!(backup::check(&path), Ok(vec![]));
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    bytes[page * 2..page * 3].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(backup::check(&path), Ok(vec![]));
}

/// Uses a file of schema version 3.
#[tokio::test]
async fn older_file_is_copied_and_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    let db = Connection::open(&path).unwrap();
    for step in &older::STEPS[..3] {
        db.execute_batch(step).unwrap();
    }
    db.execute_batch(
        "PRAGMA user_version = 3;
         INSERT INTO requests VALUES ('req_1', 's', NULL, 77, '{}', NULL, '{}');
         INSERT INTO events VALUES ('evt_1', 'req_1', 0, 'push', NULL, NULL, 1, '{\"text\": \"old\"}', '{}');
         INSERT INTO deliveries (id, event, lane, channel, route, state, due)
             VALUES ('dlv_1', 'evt_1', 'a', 'a', 'r', 'waiting', 99);",
    )
    .unwrap();
    drop(db);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(waiting(&store, "a").await, ["old"]);
    assert_eq!(store.heads(&lane("a"), 1).await.unwrap()[0].created_at, 77);
    let copy = Connection::open(directory.path().join("h.db.version-3")).unwrap();
    assert_eq!(schema::version(&copy).unwrap(), 3);
    assert_eq!(copy.query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0)), Ok(1));
}

/// Uses a file of schema version 8, which has other names for states, columns and JSON keys.
#[tokio::test]
async fn migration_renames_stored_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    let db = Connection::open(&path).unwrap();
    for step in &older::STEPS[..8] {
        db.execute_batch(step).unwrap();
    }
    db.execute_batch(
        r#"PRAGMA user_version = 8;
         INSERT INTO requests VALUES ('req_1', 's', NULL, 77, '{}', NULL,
             '{"request":"req_1","events":[{"kind":"push","key":"k","silent":"a \"why\": b","near":[{"route":"r","why":"x"}]}]}');
         INSERT INTO events (id, request, n, kind, schema, json, decision)
             VALUES ('evt_1', 'req_1', 0, 'push', 1, '{"text": "old"}', '{"sends":[],"silent":"s","held":[{"channel":"c","why":"y"}]}');
         INSERT INTO deliveries (seq, id, event, lane, channel, route, state, due, created_at, why, replay_of)
             VALUES (7, 'dlv_1', 'evt_1', 'a', 'a', 'r', 'dead', 99, 77, 'because', NULL),
                    (8, 'dlv_2', 'evt_1', 'a', 'a', 'r', 'waiting', 99, 78, NULL, 'dlv_1'),
                    (9, 'dlv_3', 'evt_1', '', '', '', 'undecided', 99, 79, NULL, NULL);
         DELETE FROM deliveries WHERE seq = 9;
         INSERT INTO attempts (delivery, n, at, took, outcome, said) VALUES ('dlv_1', 1, 5, 12, 'rejected', 'no');
         INSERT INTO lanes (lane, owner, lease_until, state, reason, remedy) VALUES ('b', '', 0, 'closed', 'gone', 'do');
         INSERT INTO dedupe VALUES ('s', '', 'key', 'req_1', 77);
         INSERT INTO refusals (at, source, reason) VALUES (1, 's', 'r');"#,
    )
    .unwrap();
    drop(db);
    let store = SqliteStore::open(&path).unwrap();
    let dead = store.delivery(&"dlv_1".into()).await.unwrap().unwrap();
    assert_eq!((dead.delivery.state, dead.delivery.reason.as_deref()), (State::Dead, Some("because")));
    assert_eq!((dead.attempt_log[0].duration_ms, dead.attempt_log[0].response.as_deref()), (12, Some("no")));
    assert_eq!(waiting(&store, "a").await, ["old"]);
    let event = store.events(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0);
    let held = vec![Held { channel: "c".into(), reason: "y".to_owned() }];
    let suppressed = Some("s".to_owned());
    assert_eq!(event.decision, StoredDecision { suppressed, held, ..StoredDecision::default() });
    let closed = &store.counts().await.unwrap().lanes[&lane("b")];
    assert_eq!(closed.state, LaneState::Closed { reason: "gone".to_owned(), help: Some("do".to_owned()) });
    assert_eq!(store.rejected(9).await.unwrap().len(), 1);
    // New numbers are above all numbers ever used.
    let new = store.enqueue(vec![new_delivery("evt_1".into(), "a")], Generation::default()).await.unwrap();
    let newest = store.deliveries(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0);
    assert_eq!(vec![newest.id], new);
    let repeated = NewRequest { source: "s".into(), hook: None, ..request(Some("key")) };
    let answer = store.accept(repeated.into(), Generation::default(), says("x", &[])).await.unwrap();
    let Accepted::Duplicate { receipt } = answer else { panic!("{answer:?}") };
    assert_eq!((receipt.request.as_str(), receipt.events[0].suppressed.as_deref()), ("req_1", Some("a \"why\": b")));
    assert_eq!(receipt.events[0].near_misses[0].reason, "x");
}

/// The log starts from its beginning again, even under continuous load.
#[tokio::test(flavor = "multi_thread")]
async fn log_stays_small_under_constant_load() {
    let f = open();
    let store = &f.store;
    let body = Bytes::from((0..200_000_u32).flat_map(u32::to_le_bytes).map(|byte| byte ^ 0x5a).collect::<Vec<_>>());
    let load = |n: usize| {
        let body = body.clone();
        async move {
            for i in 0..40 {
                let request = NewRequest { body: body.clone(), ..request(Some(&format!("{n} {i}"))) };
                store.accept(request.into(), Generation::default(), says("x", &["a"])).await.unwrap();
            }
        }
    };
    tokio::join!(load(0), load(1), load(2), load(3));
    let size = |name: &str| std::fs::metadata(f.directory.path().join(name)).unwrap().len();
    let (log, all) = (size("h.db-wal"), size("h.db"));
    assert!(all + log > 60 * 1024 * 1024, "{all} and {log}: too little for this test");
    assert!(log < 100 * 1024 * 1024, "{log} bytes of log, {all} of database");
}

#[cfg(unix)]
#[test]
fn links_and_a_removed_lock_file_do_not_bypass_the_lock() {
    let f = open();
    let path = f.directory.path().join("h.db");
    let in_use = |path: &Path| matches!(SqliteStore::open(path), Err(StoreError::InUse { .. }));
    let (symbolic, hard) = (f.directory.path().join("symbolic.db"), f.directory.path().join("hard.db"));
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    assert!(in_use(&symbolic) && in_use(&hard));
    std::fs::remove_file(f.directory.path().join("h.db.lock")).unwrap();
    assert!(in_use(&path));
}

/// Data that is written to a file without a name is lost when the process ends.
#[tokio::test]
async fn no_request_is_acknowledged_without_the_database_files() {
    for name in ["h.db", "h.db-wal"] {
        let f = open();
        accept(&f.store, "one", &["a"]).await;
        accept(&f.store, "two", &["a"]).await;
        std::fs::remove_file(f.directory.path().join(name)).unwrap();
        let error = f
            .store
            .accept(request(None).into(), Generation::default(), says("three", &["a"]))
            .await
            .unwrap_err()
            .to_string();
        let fault = format!("{name}` was removed, replaced or truncated while the store was open");
        assert!(error.contains(&fault), "{error}");
    }
}

#[tokio::test]
async fn clean_stop_empties_the_log() {
    let f = open();
    for n in 0..50 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    f.store.close().await.unwrap();
    assert_eq!(std::fs::metadata(f.directory.path().join("h.db-wal")).unwrap().len(), 0);
    std::fs::copy(f.directory.path().join("h.db"), f.directory.path().join("copy.db")).unwrap();
    let copy = SqliteStore::open(&f.directory.path().join("copy.db")).unwrap();
    assert_eq!(waiting(&copy, "a").await.len(), 50.min(waiting(&f.store, "a").await.len()));
}

#[tokio::test]
async fn missing_committed_data_is_reported() {
    let f = open();
    let path = f.directory.path().join("h.db");
    accept(&f.store, "one", &["a"]).await;
    f.store.close().await.unwrap();
    let older = f.directory.path().join("older.db");
    std::fs::copy(&path, &older).unwrap();
    accept(&f.store, "two", &["a", "b"]).await;
    assert_eq!(f.store.faults(), Vec::<String>::new());
    let lost = f.store.deliveries(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0).id;
    drop(f.store);
    std::fs::rename(&older, &path).unwrap();
    let restored = SqliteStore::open(&path).unwrap();
    let faults = restored.faults();
    assert!(faults[0].starts_with("the database lacks committed data: it ends at "), "{faults:?}");
    // Nor does a failed write bring the lost numbers back.
    let fail = |_: &mut Database| Err::<(), _>(rusqlite::Error::InvalidQuery);
    restored.writer.write("fail", Durability::Kill, fail).await.unwrap_err();
    accept(&restored, "three", &["a"]).await;
    let new = restored.deliveries(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0).id;
    drop(restored);
    // No number is used twice, and a fault is reported only once.
    assert!(new > lost, "{new} after {lost}");
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(again.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn probe_leaves_nothing_behind() {
    let f = open();
    f.store.probe(100_000).await.unwrap();
    let db = Connection::open(f.directory.path().join("h.db")).unwrap();
    assert_eq!(db.query_row("SELECT count(*) FROM memory", [], |row| row.get::<_, i64>(0)), Ok(0));
}
