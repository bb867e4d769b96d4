//! The service with nothing in its store, and with very much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::client::Client;
use crate::ledger::Ledger;
use crate::push::{HOOKS, Size, Supply};
use crate::report::{Bar, Figure, short};
use crate::service::{Home, LANES, Service, unused_address};
use crate::sink::{Mood, Sink};
use crate::speed::{delivered, median};

pub(crate) async fn start(bench: &Bench) -> Vec<Figure> {
    let sink = Sink::start(Mood::Prompt, &bench.ledger()).await;
    let (mut ready, mut idle) = (vec![], 0.0_f64);
    for _ in 0..bench.plan.starts() {
        let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
        let service = home.start();
        ready.push(milliseconds(&service));
        idle = idle.max(service.process.resident().unwrap_or(f64::NAN));
    }
    vec![
        Figure::new("start.ready", "start to ready, nothing stored", median(ready), "ms").must(Bar::AtMost(50.0)),
        Figure::new("start.rss", "resident, idle", idle, "MB").must(Bar::AtMost(20.0)),
    ]
}

/// Half of the lanes lead to a chat that is away. What waits there must not make the others dearer.
pub(crate) async fn million(bench: &Bench) -> Vec<Figure> {
    let (waiting, some) = bench.plan.very_many();
    let ledger = Arc::new(Ledger::new(waiting + 2 * some));
    let sink = Sink::start(Mood::Prompt, &ledger).await;
    let home = Home::new(&bench.plan.directory, &[(sink.address, LANES), (unused_address(), LANES)]);
    let service = home.start();
    let client = |lanes, numbers| {
        let supply = Arc::new(Supply::new(Size::Small, HOOKS, lanes, numbers));
        Client::new(service.address, supply, ledger.clone())
    };
    let (here, there) = (0..LANES, LANES..2 * LANES);
    let none = delivered(&service.process, &client(here.clone(), 0..some), some).await;
    let sent = client(there, some..some + waiting).closed(0..waiting, Duration::MAX).await;
    let account = ledger.account();
    assert_eq!((account.refused, account.broken), (0, 0), "{account:?}\n{}", home.log());
    let resident = service.process.resident().unwrap_or(f64::NAN);
    let last = some + waiting..waiting + 2 * some;
    let many = delivered(&service.process, &client(here, last), some).await;
    let most = service.process.most_resident().unwrap_or(f64::NAN);

    drop(service);
    let (mut ready, mut restarted) = (vec![], 0.0_f64);
    for _ in 0..3 {
        let service = home.start();
        ready.push(milliseconds(&service));
        restarted = restarted.max(service.process.resident().unwrap_or(f64::NAN));
    }
    let time = |per_second: f64| 1_000.0 / per_second;
    let cpu = vec![(many.cpu, none.cpu)];
    let times = vec![(time(many.per_second), time(none.per_second))];
    let stored = format!("accepted of 2 KB each, until {} wait", short(waiting as f64));
    vec![
        Figure::new("million.fill", stored, sent.per_second(), "/s"),
        Figure::new("million.size", "size of that store", home.store_size(), "MB"),
        Figure::rounds("million.cpu", "processor for 1,000 more", "s", "when none wait", cpu)
            .must(Bar::TimesAtMost(1.5)),
        Figure::rounds("million.time", "time for 1,000 more", "s", "when none wait", times).must(Bar::TimesAtMost(1.5)),
        Figure::new("million.rss", "resident while they wait", resident, "MB").must(Bar::AtMost(100.0)),
        Figure::new("million.rss_most", "resident at most, in all", most, "MB"),
        Figure::new("million.rss_restarted", "resident, started again", restarted, "MB").must(Bar::AtMost(100.0)),
        Figure::new("million.ready", "killed, start to ready", median(ready), "ms").must(Bar::AtMost(250.0)),
    ]
}

/// Commands that list: id and name of the figure, arguments.
const LISTS: [(&str, &str, &[&str]); 6] = [
    ("lists.events", "events of a repository", &["events", "--repo", "acme/lane03"]),
    ("lists.events_none", "events of a repository without any", &["events", "--repo", "acme/other"]),
    ("lists.events_channel", "events to a channel", &["events", "--channel", "lane03"]),
    ("lists.deliveries", "deliveries to a channel", &["deliveries", "--channel", "lane03"]),
    ("lists.deliveries_repo", "deliveries of a repository", &["deliveries", "--repo", "acme/lane03"]),
    ("lists.deliveries_none", "deliveries of a repository without any", &["deliveries", "--repo", "acme/other"]),
];

/// Lists of a large store, as an operator sees them: each is a command of its own, from its start to its end.
pub(crate) async fn lists(bench: &Bench) -> Vec<Figure> {
    let count = bench.plan.listed();
    let ledger = Arc::new(Ledger::new(count));
    let home = Home::new(&bench.plan.directory, &[(unused_address(), LANES)]);
    let service = home.start();
    let supply = Arc::new(Supply::new(Size::Small, HOOKS, 0..LANES, 0..count));
    let client = Client::new(service.address, supply, ledger.clone());
    client.closed(0..count, Duration::MAX).await;
    assert_eq!(ledger.account().acknowledged, count);
    let figures = LISTS.iter().map(|(id, name, arguments)| {
        let took = (0..5).map(|_| {
            let began = Instant::now();
            home.run(&[arguments, &["--since", "1d"][..]].concat());
            began.elapsed().as_secs_f64() * 1_000.0
        });
        let name = format!("{name}, of {}", short(count as f64));
        Figure::new(id, name, median(took.collect()), "ms").must(Bar::AtMost(200.0))
    });
    figures.collect()
}

fn milliseconds(service: &Service) -> f64 {
    service.ready_after.as_secs_f64() * 1_000.0
}
