//! Latency until a request is acknowledged and until its message is delivered, below the maximum rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::Bench;
use crate::floors::Role;
use crate::ledger::{Latency, Ledger};
use crate::report::{Bar, Figure, short};
use crate::service::{Home, LANES, unused_address};
use crate::sink::{Mood, Sink};
use crate::system::Played;

/// Response time of a slow chat.
const SLOW: Duration = Duration::from_millis(100);

/// Sends requests at a fixed rate, after a warm-up.
async fn offer(bench: &Bench, address: SocketAddr, ledger: &Arc<Ledger>) {
    let (client, first) = (bench.client(address, ledger), bench.plan.warm_up());
    client.closed(0..first, Duration::MAX).await;
    client.open(first..first + bench.plan.offered(), bench.plan.per_second()).await;
}

/// Latency until a floor acknowledges.
pub(crate) async fn of_floor(bench: &Bench, role: Role) -> Latency {
    let (ledger, floor) = (bench.ledger(), Played::start(role, &bench.plan.directory, None));
    offer(bench, floor.address(), &ledger).await;
    ledger.to_acknowledged(bench.plan.warm_up())
}

pub(crate) async fn open(bench: &Bench) -> Vec<Figure> {
    let (mut ack_p50, mut ack_p99, mut end_p50, mut end_p99, mut naive_p99) = (vec![], vec![], vec![], vec![], vec![]);
    let first = bench.plan.warm_up();
    for _ in 0..bench.plan.rounds {
        let floor = of_floor(bench, Role::Sqlite).await;

        let ledger = bench.ledger();
        let sink = Sink::start(Mood::Prompt, &ledger).await;
        let naive = Played::start(Role::Naive, &bench.plan.directory, Some(sink.address));
        offer(bench, naive.address(), &ledger).await;
        ledger.wait_for_all().await;
        drop(naive);
        let naive = ledger.to_delivered(first);

        let ledger = bench.ledger();
        let sink = Sink::start(Mood::Prompt, &ledger).await;
        let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
        let service = home.start();
        offer(bench, service.address, &ledger).await;
        ledger.wait_for_all().await;
        ledger.expect_order();
        let (acknowledged, delivered) = (ledger.to_acknowledged(first), ledger.to_delivered(first));
        println!("acknowledged after {}\n   delivered after {}", acknowledged.histogram, delivered.histogram);
        ack_p50.push((acknowledged.p50, floor.p50));
        ack_p99.push((acknowledged.p99, floor.p99));
        end_p50.push((delivered.p50, naive.p50));
        end_p99.push((delivered.p99, floor.p99));
        naive_p99.push((delivered.p99, naive.p99));
    }
    let rate = short(bench.plan.per_second() as f64);
    let figure =
        |id, name: &str, other, rounds| Figure::rounds(id, format!("{rate}/s offered: {name}"), "ms", other, rounds);
    let most = Bar::TimesAtMost;
    let (floor, naive) = ("the SQLite floor", "the naive whole");
    vec![
        figure("open.ack.p50", "acknowledged, p50", floor, ack_p50).must(most(1.6)).goal(most(1.3)),
        figure("open.ack.p99", "acknowledged, p99", floor, ack_p99).must(most(2.0)).goal(most(1.5)),
        figure("open.end.p50", "delivered, p50", naive, end_p50).must(most(1.6)).goal(most(1.2)),
        figure("open.end.p99", "delivered, p99", "the SQLite floor's ack", end_p99).must(most(4.0)).goal(most(1.5)),
        figure("open.end.naive_p99", "delivered, p99", naive, naive_p99),
    ]
}

pub(crate) async fn chats(bench: &Bench) -> Vec<Figure> {
    let (mut slow, mut away, mut refused) = (vec![], vec![], 0);
    for _ in 0..bench.plan.rounds {
        let mut p99s = [0.0; 3];
        for (p99, mood) in p99s.iter_mut().zip([Some(Mood::Prompt), Some(Mood::Slow(SLOW)), None]) {
            let ledger = bench.ledger();
            let sink = match mood {
                Some(mood) => Some(Sink::start(mood, &ledger).await),
                None => None,
            };
            let chat = sink.as_ref().map_or_else(unused_address, |sink| sink.address);
            let home = Home::new(&bench.plan.directory, &[(chat, LANES)]);
            let service = home.start();
            offer(bench, service.address, &ledger).await;
            *p99 = ledger.to_acknowledged(bench.plan.warm_up()).p99;
            refused += ledger.account().refused + ledger.account().broken;
        }
        slow.push((p99s[1], p99s[0]));
        away.push((p99s[2], p99s[0]));
    }
    let baseline = "with a fast chat";
    let slow = Figure::rounds("chats.slow", "acknowledged, p99, the chat slow", "ms", baseline, slow);
    let away = Figure::rounds("chats.away", "acknowledged, p99, the chat away", "ms", baseline, away);
    vec![
        slow.must(Bar::TimesAtMost(1.5)),
        away.must(Bar::TimesAtMost(1.5)),
        Figure::new("chats.refused", "refused in all of these", refused as f64, "").must(Bar::AtMost(0.0)),
    ]
}
