//! Migration of large files of all versions.

use super::*;
use crate::store::sqlite::older::STEPS;

/// Number of events in a file. Each third is delivered, each third is queued; the others have no delivery.
const EVENTS: usize = 100_000;

/// Time of the first request.
const BEGAN: Millis = 1_790_000_000_000;

/// Creates a file of this version.
fn file_of(version: usize, path: &Path) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(STEPS[0]).unwrap();
    db.execute_batch(&format!(
        r#"BEGIN;
        CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {EVENTS})
            SELECT i, printf('%022d', i) AS text, {BEGAN} + i * 1000 AS at FROM n;
        INSERT INTO requests SELECT 'req_0000' || text, 'bitbucket', 'hook', at, '{{"x-event-key":"repo:push"}}', NULL,
            '{{"request":"req_0000' || text || '","events":[],"note":"number ' || i || '"}}' FROM n;
        INSERT INTO dedupe SELECT 'bitbucket', 'hook', 'key ' || i, 'req_0000' || text, at FROM n;
        INSERT INTO events SELECT 'evt_0000' || text, 'req_0000' || text, 0, 'push', 'acme/' || (i % 50), 'ref:' || i, 1,
            '{{"kind":"push","key":"repo:push","push":{{"branch":"b' || i || '"}},"actor":{{"name":"Ana"}}}}',
            '{{"config":"c","matched":["r"]}}' FROM n;
        INSERT INTO deliveries (id, event, lane, channel, route, state, due, attempts, body)
            SELECT 'dlv_0000' || text, 'evt_0000' || text, 'lane', 'channel ' || (i % 2), 'r',
                CASE i % 3 WHEN 1 THEN 'delivered' ELSE 'waiting' END, at, i % 3 = 1, NULL
            FROM n WHERE i % 3 > 0 ORDER BY i;
        INSERT INTO attempts (delivery, n, at, took, outcome, said)
            SELECT 'dlv_0000' || text, 1, at, 12, 'delivered', 'ok ' || i FROM n WHERE i % 3 = 1;
        INSERT INTO memory SELECT 's/pr:' || i, '{{"n":' || i || '}}', at FROM n;
        COMMIT;"#
    ))
    .unwrap();
    for step in &STEPS[1..version] {
        db.execute_batch(step).unwrap();
    }
    db.pragma_update(None, "user_version", version).unwrap();
    let last = EVENTS - 1;
    // What later versions have.
    if version >= 4 {
        let state = if version >= 9 { "queued" } else { "waiting" };
        let (due, at) = if version >= 9 { ("", "") } else { (", due", ", 0") };
        db.execute_batch(&format!(
            "INSERT INTO deliveries (id, event, lane, channel, route, state, created_at, replay_of{due})
                 SELECT 'dlv_again', event, lane, channel, route, '{state}', {BEGAN} + 500, id{at}
                 FROM deliveries WHERE id = 'dlv_0000{:022}'",
            1
        ))
        .unwrap();
    }
    if version >= 6 {
        db.execute_batch(&format!(
            r#"INSERT INTO events (id, request, n, kind, repository, subject, schema, json, decision, same)
                   VALUES ('evt_second', 'req_0000{last:022}', 1, 'push', 'acme/1', 'ref:x', 1,
                       '{{"kind":"push","actor":null,"push":{{"branch":"second"}}}}', '{{}}', 'evt_0000{last:022}')"#
        ))
        .unwrap();
    }
}

fn id(prefix: &str, n: usize) -> String {
    format!("{prefix}_0000{n:022}")
}

async fn is_as_before(version: usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.db");
    file_of(version, &path);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.faults(), Vec::<String>::new());
    let all = Filter { limit: 3, ..Filter::default() };
    let extra = usize::from(version >= 6);
    for (table, expected) in
        [("requests", EVENTS), ("events", EVENTS + extra), ("memory", EVENTS), ("attempts", EVENTS / 3)]
    {
        assert_eq!(count(&store, table).await as usize, expected, "{table}");
    }

    // Lists, newest last.
    let events = store.events(all.clone()).await.unwrap();
    let last = events[2 - extra].clone();
    assert_eq!((last.id.as_str(), last.request.as_str()), (&*id("evt", EVENTS - 1), &*id("req", EVENTS - 1)));
    assert_eq!((last.at, last.kind.as_str()), (BEGAN + (EVENTS as i64 - 1) * 1_000, "push"));
    assert_eq!(last.repository, Some(format!("acme/{}", (EVENTS - 1) % 50)));
    assert_eq!((last.summary.title, last.summary.actor), (Some(format!("b{}", EVENTS - 1)), Some("Ana".to_owned())));
    assert_eq!((last.decision.config.as_deref(), last.decision.matched.len()), (Some("c"), 1));
    if extra == 1 {
        assert_eq!((events[2].id.as_str(), events[2].summary.actor.as_deref()), ("evt_second", Some("Ana")));
    }
    let of_one = Filter { repository: Some("ACME/7".to_owned()), ..all.clone() };
    assert_eq!(store.count_events(of_one.clone()).await.unwrap() as usize, EVENTS / 50);
    assert_eq!(store.events(of_one).await.unwrap()[2].id.as_str(), id("evt", EVENTS - 43));
    let since = Filter { since: Some(BEGAN + (EVENTS as i64 - 10) * 1_000), limit: 100, ..Filter::default() };
    assert_eq!(store.events(since).await.unwrap().len(), 10 + extra);

    // Look-ups by all kinds of ids.
    let json = store.event_json(&id("evt", 5).as_str().into()).await.unwrap().unwrap();
    assert_eq!(json["push"]["branch"], "b5");
    let by_key = Filter { request_key: Some("key 7".to_owned()), ..all.clone() };
    assert_eq!(store.events(by_key).await.unwrap()[0].id.as_str(), id("evt", 7));
    let by_request = Filter { request: Some(id("req", 7).as_str().into()), ..all.clone() };
    let of_request = store.deliveries(by_request).await.unwrap();
    assert_eq!(of_request.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), [id("dlv", 7)]);
    let delivered = store.delivery(&id("dlv", 1).as_str().into()).await.unwrap().unwrap();
    assert_eq!((delivered.delivery.state, delivered.delivery.attempts), (State::Delivered, 1));
    assert_eq!(delivered.attempt_log[0].response.as_deref(), Some("ok 1"));
    if version >= 4 {
        let again = store.delivery(&"dlv_again".into()).await.unwrap().unwrap().delivery;
        assert_eq!(again.replay_of.map(|id| id.to_string()), Some(id("dlv", 1)));
    }

    // The queue, in its order; duplicates; replays.
    let queued = EVENTS / 3 + usize::from(version >= 4);
    assert_eq!(store.counts().await.unwrap().lanes[&lane("lane")].queued as usize, queued);
    let heads = store.heads(&lane("lane"), 4).await.unwrap();
    let heads: Vec<_> = heads.iter().map(|head| head.id.as_str()).collect();
    assert_eq!(heads, [2, 5, 8, 11].map(|n| id("dlv", n)));
    let answer = store.accept(request(Some("key 7")).into(), Generation::default(), says("x", &[])).await.unwrap();
    let Accepted::Duplicate { receipt } = answer else { panic!("{answer:?}") };
    assert_eq!((receipt.request.as_str(), receipt.note.as_deref()), (&*id("req", 7), Some("number 7")));
    let new =
        store.enqueue(vec![new_delivery(id("evt", 7).as_str().into(), "a")], Generation::default()).await.unwrap();
    let of_event = Filter { event: Some(id("evt", 7).as_str().into()), ..all };
    let of_event = store.deliveries(of_event).await.unwrap();
    assert_eq!(
        of_event.iter().map(|found| found.id.to_string()).collect::<Vec<_>>(),
        [id("dlv", 7), new[0].to_string()]
    );
}

macro_rules! migrates {
    ($($name:ident $version:literal)*) => {$(
        #[tokio::test]
        async fn $name() {
            is_as_before($version).await;
        }
    )*};
}

migrates! {
    version_1_is_migrated 1
    version_2_is_migrated 2
    version_3_is_migrated 3
    version_4_is_migrated 4
    version_5_is_migrated 5
    version_6_is_migrated 6
    version_7_is_migrated 7
    version_8_is_migrated 8
    version_9_is_migrated 9
}
