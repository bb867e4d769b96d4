//! Kills at random times under load: every acknowledged event arrives, and repeated messages are marked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hookbell::event::DeliveryId;
use reqwest::Client;
use serde_json::Value;

use crate::chats::config;
use crate::fakes::{Fake, Fault, Kind};
use crate::program::{Home, request, sample};

/// Dictionary of the records in the store.
const DICTIONARY: &[u8] = include_bytes!("../../src/store/sqlite/record.dictionary");

/// Number of rounds; few by default.
fn rounds() -> usize {
    std::env::var("HOOKBELL_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12)
}

/// Returns the numbers of a channel's messages, in the order in which they are shown.
pub(crate) fn numbers(fake: &Fake) -> Vec<usize> {
    let number = |message: &Value| {
        let text = message.to_string();
        let digits = text.split("number ").nth(1)?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    fake.shown().iter().filter_map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_acknowledged_request_and_mark_repeats() {
    let rounds = rounds();
    let fakes = [
        ("slack", Fake::start(Kind::Slack).await),
        ("teams", Fake::start(Kind::Teams).await),
        ("discord", Fake::start(Kind::Discord).await),
    ];
    let channels: Vec<_> = fakes.iter().map(|(name, fake)| (*name, fake)).collect();
    let home = Home::new(&config(&channels, "").replace("1000/s", "100000/s"));
    let (next, mut acknowledged) = (Arc::new(AtomicUsize::new(0)), BTreeSet::new());
    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    for round in 0..rounds {
        if round % 4 == 1 {
            // Also while the chats fail, and messages behind a failing one are tried.
            fakes.iter().for_each(|(_, fake)| fake.fail([Fault::status(500)]));
        }
        let service = home.serve();
        let (url, killed) = (service.url("/hooks/bitbucket"), Arc::new(AtomicBool::new(false)));
        let senders: Vec<_> =
            (0..6).map(|_| tokio::spawn(flood(client.clone(), url.clone(), next.clone(), killed.clone()))).collect();
        // At a random time, from its start to full load.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..400))).await;
        service.stop("KILL");
        killed.store(true, Ordering::Relaxed);
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
        println!("round {round}: {} acknowledged so far", acknowledged.len());
    }
    assert!(acknowledged.len() > rounds, "{} acknowledged in {rounds} rounds", acknowledged.len());

    let service = home.serve();
    let last = Value::from(format!("number {}", next.load(Ordering::Relaxed)));
    let (key, mut body) = sample("pull_request.opened");
    body["pullrequest"]["title"] = last;
    let url = service.url("/hooks/bitbucket");
    let answer = request(&client, &url, key, "the last", &body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    acknowledged.insert(next.load(Ordering::Relaxed));
    let (_, listed, _) = home.run(&["deliveries", "--limit", "1000", "--json"]);
    assert!(!listed.is_empty());
    for (name, fake) in &fakes {
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        while numbers(fake).last() != Some(&next.load(Ordering::Relaxed)) {
            assert!(std::time::Instant::now() < deadline, "{name}: the last message does not come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shown = numbers(fake);
        let mut seen = BTreeSet::new();
        let firsts: Vec<_> = shown.iter().filter(|n| seen.insert(**n)).copied().collect();
        assert_eq!(firsts, stored(&home, name), "{name}: in the order in which they were stored");
        let mut first_seen = BTreeSet::new();
        let lost: Vec<_> = acknowledged.iter().filter(|n| !shown.contains(n)).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
        let repeated: Vec<_> = shown.iter().filter(|n| !first_seen.insert(**n)).copied().collect();
        assert!(repeated.len() <= rounds, "{name}: {} repeats in {rounds} kills", repeated.len());
        println!("{name}: {} acknowledged, {} shown, {} repeated", acknowledged.len(), shown.len(), repeated.len());
        let marked = marked(&home, name);
        for n in repeated {
            assert!(marked.contains_key(&n), "{name}: the repeat of {n} is not marked");
        }
    }
}

/// Sends until the service is gone, and returns the numbers that were acknowledged.
pub(crate) async fn flood(client: Client, url: String, next: Arc<AtomicUsize>, killed: Arc<AtomicBool>) -> Vec<usize> {
    let (key, mut body) = sample("pull_request.opened");
    let mut acknowledged = vec![];
    while !killed.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        body["pullrequest"]["title"] = format!("number {n}").into();
        match request(&client, &url, key, &format!("request-{n}"), &body.to_string()).send().await {
            Ok(answer) if answer.status() == 202 => acknowledged.push(n),
            Ok(answer) => assert_eq!(answer.status(), 202, "refused"),
            Err(_) => break,
        }
    }
    acknowledged
}

/// A channel's messages in the order of the store.
fn stored(home: &Home, channel: &str) -> Vec<usize> {
    selected(home, channel, "true").into_iter().map(|(n, _)| n).collect()
}

/// Returns the messages with an attempt of unknown result.
fn marked(home: &Home, channel: &str) -> BTreeMap<usize, String> {
    let is_unknown = "EXISTS (SELECT 1 FROM attempts JOIN names ON names.id = outcome
                              WHERE delivery = deliveries.id AND name = 'unknown')";
    selected(home, channel, is_unknown).into_iter().collect()
}

/// Returns the numbers of a channel's messages for which an SQL condition holds, with their ids.
fn selected(home: &Home, channel: &str, condition: &str) -> Vec<(usize, String)> {
    let sql = format!(
        "SELECT record, deliveries.id FROM deliveries JOIN events ON events.id = deliveries.event
         JOIN requests ON requests.id = events.request JOIN names AS channel ON channel.id = deliveries.channel
         WHERE channel.name = ?1 AND {condition} ORDER BY deliveries.id"
    );
    let db = rusqlite::Connection::open(home.path().join("hookbell.db")).unwrap();
    let mut select = db.prepare(&sql).unwrap();
    let rows = select.query_map([channel], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))).unwrap();
    let numbered = rows.map(Result::unwrap).filter_map(|(record, id)| {
        let record = lz4_flex::block::decompress_size_prepended_with_dict(&record, DICTIONARY).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let title = record["events"][0]["event"]["pull_request"]["title"].as_str()?;
        Some((title.strip_prefix("number ")?.parse().ok()?, DeliveryId::numbered(id).to_string()))
    });
    numbered.collect()
}
