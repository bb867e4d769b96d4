//! Throughput and processor time: the floors, accepting alone, accepting and delivering, a single lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::client::Client;
use crate::floors::Role;
use crate::latency;
use crate::ledger::{Ledger, PATIENCE};
use crate::push::{HOOKS, Size, Supply};
use crate::report::{Bar, Figure, short};
use crate::service::{Home, LANES};
use crate::sink::{Mood, Sink};
use crate::system::{Played, Process};

pub(crate) async fn floors(bench: &Bench) -> Vec<Figure> {
    let mut figures = vec![];
    for (ids, name, role) in [
        (["floor.bare", "floor.bare.p50", "floor.bare.p99"], "bare handler", Role::Bare),
        (["floor.verified", "floor.verified.p50", "floor.verified.p99"], "verified, parsed", Role::Verified),
        (["floor.sqlite", "floor.sqlite.p50", "floor.sqlite.p99"], "kept in SQLite", Role::Sqlite),
        (["floor.file", "floor.file.p50", "floor.file.p99"], "kept in a file", Role::File),
    ] {
        let rate = floor(bench, role).await;
        let latency = latency::of_floor(bench, role).await;
        let offered = format!("floor: {name}, {}/s offered", short(bench.plan.per_second() as f64));
        figures.extend([
            Figure::new(ids[0], format!("floor: {name}"), rate, "/s"),
            Figure::new(ids[1], format!("{offered}, p50"), latency.p50, "ms"),
            Figure::new(ids[2], format!("{offered}, p99"), latency.p99, "ms"),
        ]);
    }
    figures
}

/// Requests that a floor acknowledges per second.
async fn floor(bench: &Bench, role: Role) -> f64 {
    let (ledger, floor) = (bench.ledger(), Played::start(role, &bench.plan.directory, None));
    let sent = bench.client(floor.address(), &ledger).closed(0..usize::MAX, bench.plan.time()).await;
    let account = ledger.account();
    assert_eq!((account.refused, account.broken), (0, 0));
    sent.per_second()
}

/// Half of what schema version 9 stored for the same request, in KB.
const STORED: f64 = 7.45;

/// Returns the middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) async fn accept(bench: &Bench) -> Vec<Figure> {
    let (mut rounds, mut written, mut stored) = (vec![], vec![], vec![]);
    for _ in 0..bench.plan.rounds {
        let baseline = floor(bench, Role::Sqlite).await;
        let ledger = bench.ledger();
        let sink = Sink::start(Mood::Silent, &ledger).await;
        let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
        let service = home.start();
        let client = bench.client(service.address, &ledger);
        let sent = client.closed(0..bench.supply.numbers().len(), bench.plan.time()).await;
        let account = ledger.account();
        assert_eq!((account.acknowledged, ledger.delivered()), (sent.count, 0), "{account:?}\n{}", home.log());
        rounds.push((sent.per_second(), baseline));
        let kilobytes = |bytes: f64| bytes / 1024.0 / sent.count as f64;
        written.push(service.process.written().map_or(f64::NAN, |bytes| kilobytes(bytes as f64)));
        drop(service);
        stored.push(kilobytes(home.database_size()));
    }
    let figure = Figure::rounds("accept.rate", "accepted, deliveries parked", "/s", "the SQLite floor", rounds);
    vec![
        figure.must(Bar::TimesAtLeast(0.5)).goal(Bar::TimesAtLeast(0.8)),
        Figure::new("accept.written", "written per request, log and database", median(written), "KB"),
        Figure::new("accept.stored", "stored per request", median(stored), "KB").must(Bar::AtMost(STORED)),
    ]
}

/// Result of a delivery scenario.
pub(crate) struct Delivered {
    pub(crate) per_second: f64,
    /// Seconds of processor time per 1,000 events; NaN if unknown.
    pub(crate) cpu: f64,
}

/// Sends this number of requests, or as many as fit into the time, and waits until all are delivered.
pub(crate) async fn delivered(process: &Process, client: &Client, count: usize) -> Delivered {
    const TIME: Duration = Duration::from_secs(5);
    let (cpu, began, before) = (process.cpu(), Instant::now(), client.ledger.delivered());
    let count = client.closed(0..count, TIME).await.count;
    client.ledger.wait_for("not all was delivered", |ledger| ledger.delivered() >= before + count).await;
    let took = client.ledger.last_delivered() - began;
    let cpu = process.cpu().zip(cpu).map_or(f64::NAN, |(after, before)| (after - before).as_secs_f64());
    Delivered { per_second: count as f64 / took.as_secs_f64(), cpu: cpu / count as f64 * 1_000.0 }
}

/// Result of Hookbell, with its resident memory in MB.
pub(crate) struct Ours {
    pub(crate) delivered: Delivered,
    pub(crate) most: f64,
    after: f64,
}

/// Lets Hookbell deliver in 16 lanes.
pub(crate) async fn ours(bench: &Bench) -> Ours {
    let ledger = bench.ledger();
    let sink = Sink::start(Mood::Prompt, &ledger).await;
    let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
    let service = home.start();
    let client = bench.client(service.address, &ledger);
    let delivered = delivered(&service.process, &client, bench.plan.deliveries()).await;
    ledger.expect_order();
    Ours {
        delivered,
        most: service.process.most_resident().unwrap_or(f64::NAN),
        after: service.process.resident().unwrap_or(f64::NAN),
    }
}

pub(crate) async fn deliver(bench: &Bench) -> Vec<Figure> {
    let (mut rates, mut cpus, mut most, mut after) = (vec![], vec![], 0.0_f64, 0.0_f64);
    let count = bench.plan.deliveries();
    for _ in 0..bench.plan.rounds {
        let ledger = bench.ledger();
        let sink = Sink::start(Mood::Prompt, &ledger).await;
        let naive = Played::start(Role::Naive, &bench.plan.directory, Some(sink.address));
        let theirs = delivered(&naive.process, &bench.client(naive.address(), &ledger), count).await;
        ledger.expect_order();
        drop((naive, sink));

        let ours = ours(bench).await;
        rates.push((ours.delivered.per_second, theirs.per_second));
        cpus.push((ours.delivered.cpu, theirs.cpu));
        most = most.max(ours.most);
        after = after.max(ours.after);
    }
    let rate = Figure::rounds("deliver.rate", "accepted to delivered, 16 lanes", "/s", "the naive whole", rates);
    let cpu = Figure::rounds("deliver.cpu", "processor for 1,000 of these", "s", "the naive whole", cpus);
    vec![
        rate.must(Bar::TimesAtLeast(1.0)).goal(Bar::TimesAtLeast(1.25)),
        cpu.must(Bar::TimesAtMost(1.0)).goal(Bar::TimesAtMost(0.8)),
        Figure::new("deliver.rss", "resident at most, meanwhile", most, "MB").must(Bar::AtMost(64.0)),
        Figure::new("deliver.rss_after", "resident afterwards", after, "MB"),
    ]
}

pub(crate) async fn lane(bench: &Bench) -> Vec<Figure> {
    let (mut rounds, mut trips, count) = (vec![], vec![], bench.plan.in_one_lane());
    let supply = Arc::new(Supply::new(Size::Recorded, HOOKS, 0..1, 0..count));
    for _ in 0..bench.plan.rounds {
        let ledger = Arc::new(Ledger::new(count));
        let sink = Sink::start(Mood::Prompt, &ledger).await;
        let numbers = Played::start(Role::Lane, &bench.plan.directory, Some(sink.address)).numbers();
        let [trip, bare_trip, commit] = numbers[..] else { panic!("{numbers:?}") };
        let most = 1.0 / (trip + commit);
        trips.push((trip * 1e6, bare_trip * 1e6));

        let home = Home::new(&bench.plan.directory, &[(sink.address, 1)]);
        let service = home.start();
        let client = Client::new(service.address, supply.clone(), ledger.clone());
        let began = Instant::now();
        client.closed(0..count, PATIENCE).await;
        // From here on, the service has the machine to itself.
        let (before, alone) = (ledger.delivered(), Instant::now());
        ledger.wait_for_all().await;
        ledger.expect_order();
        let rate = |count: usize, since: Instant| {
            count as f64 / ledger.last_delivered().saturating_duration_since(since).as_secs_f64()
        };
        // If too few were left, all of them count.
        let measured = if count - before < count / 4 { rate(count, began) } else { rate(count - before, alone) };
        rounds.push((measured, most));
    }
    let figure = Figure::rounds("lane.rate", "delivered in one lane", "/s", "1 / (round trip + commit)", rounds);
    vec![
        figure.must(Bar::TimesAtLeast(0.6)).goal(Bar::TimesAtLeast(0.7)),
        Figure::rounds("lane.request", "outgoing request with reqwest", "µs", "hyper-util alone", trips),
    ]
}
