//! A store of an earlier version, as the program of that time wrote it: the commands print what they printed then.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::program::{Home, post, sample};

/// Statements that create a store of version 9.
const VERSION_9: [&str; 9] = [
    include_str!("../../src/store/sqlite/older/0001.sql"),
    include_str!("../../src/store/sqlite/older/0002.sql"),
    include_str!("../../src/store/sqlite/older/0003.sql"),
    include_str!("../../src/store/sqlite/older/0004.sql"),
    include_str!("../../src/store/sqlite/older/0005.sql"),
    include_str!("../../src/store/sqlite/older/0006.sql"),
    include_str!("../../src/store/sqlite/older/0007.sql"),
    include_str!("../../src/store/sqlite/older/0008.sql"),
    include_str!("../../src/store/sqlite/older/0009.sql"),
];

/// What commands with `--json` printed, by command, without the numbers that version 11 no longer has.
const PRINTED: &str = include_str!("older/version-9.json");

/// Deliveries in the order of the store: a message that was delivered, and the one that repeats it.
const DELIVERED: &str = "dlv_01m8fk8405qxmcz9tkgebsxknf";
const REPEATED: &str = "dlv_01m8fk879621f7xqhrgdwzajx3";

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_they_printed_before_the_upgrade() {
    let home = Home::new(include_str!("older/config.toml"));
    let db = Connection::open(home.path().join("hookbell.db")).unwrap();
    VERSION_9.iter().for_each(|step| db.execute_batch(step).unwrap());
    db.execute_batch(include_str!("older/version-9.sql")).unwrap();
    db.pragma_update(None, "user_version", 9).unwrap();
    drop(db);
    let mut service = home.serve();

    let printed: BTreeMap<String, Vec<Value>> = serde_json::from_str(PRINTED).unwrap();
    assert_eq!(printed.len(), 2 + 9 + 12, "two lists, each event, each delivery");
    for (command, then) in &printed {
        let arguments: Vec<&str> = command.split(' ').chain(["--json"]).collect();
        let (code, out, err) = home.run(&arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{command}");
        let now: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(&now, then, "{command}");
    }

    // The host sends a request again.
    let (key, body) = sample("pull_request.opened");
    let (status, receipt) = post(&service, key, "01M8FK8400T5B92J3X2SQZ4ZKW", &body).await;
    assert_eq!((status, receipt["request"].as_str()), (200, Some("req_01m8fk8405qxmcz9tkgebsxknd")), "{receipt}");

    // What was queued is delivered in its order, and behind it what is replayed by its id of that time.
    let (code, out, err) = home.run(&["replay", DELIVERED, REPEATED]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains(&format!("{REPEATED}: the delivery is not finished yet")), "{err}");
    let (code, out, err) = home.run(&["replay", DELIVERED]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with(&format!("{DELIVERED} to screen as dlv_")), "{out}");
    assert_eq!(home.run(&["channels", "reopen", "screen"]).0, 0);
    let shown = service.next_messages(4);
    for (message, headline) in
        shown.iter().zip(["Tag created: v2.8.0", "Approved: #482", "Opened: #482", "Opened: #482"])
    {
        assert!(message.contains(headline), "{headline}: {shown:?}");
    }
}
