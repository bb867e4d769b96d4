//! Losses and repeats when the chat is unreachable, and when the service is killed during that time.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::Bench;
use crate::ledger::{Account, Ledger};
use crate::report::{Bar, Figure};
use crate::service::{Home, LANES, Service};
use crate::sink::{Mood, Sink};

/// A service that gets requests at half of the usual rate.
struct Scene {
    ledger: Arc<Ledger>,
    count: usize,
    sink: Sink,
    home: Home,
    service: Service,
    sending: JoinHandle<()>,
}

impl Scene {
    async fn open(bench: &Bench) -> Self {
        let (ledger, count) = (bench.ledger(), bench.plan.in_trouble());
        let sink = Sink::start(Mood::Prompt, &ledger).await;
        let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
        let service = home.start();
        let client = bench.client(service.address, &ledger);
        let rate = bench.plan.per_second() / 2;
        let sending = tokio::spawn(async move {
            client.open(0..count, rate).await;
        });
        Self { ledger, count, sink, home, service, sending }
    }
}

/// The chat is unreachable for half of the time.
pub(crate) async fn outage(bench: &Bench) -> Vec<Figure> {
    let Scene { ledger, count, mut sink, home: _home, service: _service, sending } = Scene::open(bench).await;
    ledger.wait_for("nothing was sent", |ledger| ledger.over() >= count / 4).await;
    sink.leave().await;
    ledger.wait_for("nothing was sent", |ledger| ledger.over() >= count * 3 / 4).await;
    sink.come_back().await;
    sending.await.unwrap();
    ledger.wait_for_all().await;
    figures("outage", "the chat away for seconds", 0, &ledger)
}

/// As [`outage`], but the service is killed while the chat is unreachable, and again while it works off the queue.
pub(crate) async fn kill(bench: &Bench) -> Vec<Figure> {
    let Scene { ledger, count, mut sink, home, service, sending } = Scene::open(bench).await;
    ledger.wait_for("nothing was sent", |ledger| ledger.over() >= count / 6).await;
    sink.leave().await;
    ledger.wait_for("nothing was sent", |ledger| ledger.over() >= count / 3).await;
    drop(service);
    let service = home.start();
    ledger.wait_for("nothing was sent", |ledger| ledger.over() >= count / 2).await;
    sink.come_back().await;
    ledger.wait_for("nothing was delivered", |ledger| ledger.delivered() >= ledger.acknowledged() / 2).await;
    drop(service);
    let _service = home.start();
    sending.await.unwrap();
    ledger.wait_for_all().await;
    figures("kill", "killed twice meanwhile", 2, &ledger)
}

fn figures(id: &str, name: &str, kills: usize, ledger: &Ledger) -> Vec<Figure> {
    let Account { acknowledged, refused, broken, lost, repeats } = ledger.account();
    let ids = if id == "kill" {
        ["kill.lost", "kill.repeats", "kill.refused", "kill.broken"]
    } else {
        ["outage.lost", "outage.repeats", "outage.refused", "outage.broken"]
    };
    let (of, count) = (format!("{name}: "), |n: usize| n as f64);
    vec![
        Figure::new(ids[0], format!("{of}lost of {acknowledged}"), count(lost), "").must(Bar::AtMost(0.0)),
        // A closed connection, like a kill, may repeat one message of each lane.
        Figure::new(ids[1], format!("{of}repeated"), count(repeats), "").must(Bar::AtMost(count((kills + 1) * LANES))),
        Figure::new(ids[2], format!("{of}refused"), count(refused), "").must(Bar::AtMost(0.0)),
        Figure::new(ids[3], format!("{of}without an answer"), count(broken), ""),
    ]
}
