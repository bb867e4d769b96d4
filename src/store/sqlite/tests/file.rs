//! The file: who may open it, its versions, backups, damage, and the log beside it.

use super::*;

#[test]
fn a_second_hookbell_is_kept_away() {
    let f = open();
    let path = f.directory.path().join("h.db");
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.starts_with("another Hookbell is using the store `"), "{error}");
    assert_eq!(user_of(&path), None);
    f.store.reached_at("127.0.0.1:8081").unwrap();
    f.store.reached_at("[::1]:81").unwrap();
    assert_eq!(user_of(&path).as_deref(), Some("[::1]:81"));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("a newer Hookbell made it (its version is 999"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
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
async fn its_files_are_for_their_owner_alone() {
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
async fn a_backup_of_a_store_at_work_is_whole_and_of_one_moment() {
    use std::os::unix::fs::PermissionsExt;
    let f = open();
    let (path, copy) = (f.directory.path().join("h.db"), f.directory.path().join("copy.db"));
    for n in 0..20 {
        accept(&f.store, &n.to_string(), &["a"]).await;
    }
    let copying = tokio::task::spawn_blocking({
        let (path, copy) = (path.clone(), copy.clone());
        move || backup(&path, &copy)
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

    let error = backup(&path, &copy).unwrap_err();
    assert!(error.contains("is there already; name a new file"), "{error}");
    let error = backup(Path::new("/no/such.db"), &copy).unwrap_err();
    assert_eq!(error, "there is no store `/no/such.db` yet");
    let error = backup(&path, Path::new("/no/such/place/copy.db")).unwrap_err();
    assert!(error.starts_with("`/no/such/place/copy.db`: "), "{error}");
}

#[test]
fn damage_is_found() {
    let f = open();
    let path = f.directory.path().join("h.db");
    drop(f.store);
    assert_eq!(check(&path), Ok(vec![]));
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    bytes[page * 2..page * 3].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(check(&path), Ok(vec![]));
}

/// A file as the version before last left it.
#[tokio::test]
async fn an_older_file_is_copied_and_then_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    let db = Connection::open(&path).unwrap();
    for step in &schema::STEPS[..3] {
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

/// Under a load that never pauses the log begins anew all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_small_under_a_load_without_a_pause() {
    let f = open();
    let store = &f.store;
    let body = Bytes::from((0..200_000_u32).flat_map(u32::to_le_bytes).map(|byte| byte ^ 0x5a).collect::<Vec<_>>());
    let load = |n: usize| {
        let body = body.clone();
        async move {
            for i in 0..40 {
                let request = NewRequest { body: body.clone(), ..request(Some(&format!("{n} {i}"))) };
                store.accept(request, says("x", &["a"])).await.unwrap();
            }
        }
    };
    tokio::join!(load(0), load(1), load(2), load(3));
    let size = |name: &str| std::fs::metadata(f.directory.path().join(name)).unwrap().len();
    let (log, all) = (size("h.db-wal"), size("h.db"));
    assert!(all + log > 60 * 1024 * 1024, "{all} and {log}: too little for this test");
    assert!(log < 100 * 1024 * 1024, "{log} bytes of log, {all} of database");
}
