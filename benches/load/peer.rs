//! Another program, given by its command and the URL of its webhook, next to Hookbell. Both get the same requests, and
//! send their messages to the same kind of sink.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::{Position, Url};

use crate::Bench;
use crate::client::Client;
use crate::ledger::PATIENCE;
use crate::push::{SECRET, Size, Supply};
use crate::report::Figure;
use crate::service::{Home, LANES};
use crate::sink::{Mood, Sink};
use crate::speed::ours;
use crate::system::Group;

/// How a peer is started and what it must do, for the usage text.
pub(crate) const USAGE: &str = "
COMMAND starts a program in an empty directory, by `sh`. It must listen at the URL, take pushes of Bitbucket, signed
with the secret in WEBHOOK_SECRET, and post one message for each to the URL in SINK_URL, with the message of the newest
commit in its body.
";

/// Time without a message after which the rest counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

/// A program to compare with.
#[derive(Clone)]
pub(crate) struct Peer {
    command: String,
    address: SocketAddr,
    path: String,
}

impl Peer {
    /// Creates it for a command and an `http` URL.
    pub(crate) fn new(command: String, url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
        let address = (url.host_str()?, url.port_or_known_default()?).to_socket_addrs().ok()?.next()?;
        Some(Self { command, address, path: url[Position::BeforePath..].to_owned() })
    }

    /// Starts the program, and waits until it accepts connections.
    fn start(&self, directory: &tempfile::TempDir, sink: SocketAddr) -> Group {
        let mut command = Command::new("sh");
        command.args(["-c", &self.command]).current_dir(directory.path()).stdin(Stdio::null());
        command.env("SINK_URL", format!("http://{sink}/")).env("WEBHOOK_SECRET", SECRET);
        let (mut group, began) = (Group::start(&mut command), Instant::now());
        while TcpStream::connect(self.address).is_err() {
            let failed = group.has_ended() || began.elapsed() > PATIENCE;
            assert!(!failed, "the peer does not listen on {}: {}", self.address, self.command);
            std::thread::sleep(Duration::from_millis(10));
        }
        group
    }
}

/// Result of a peer.
struct Theirs {
    per_second: f64,
    cpu: f64,
    most: f64,
    lost: usize,
    refused: usize,
}

async fn theirs(bench: &Bench, peer: Option<&Peer>) -> Theirs {
    let (ledger, count) = (bench.ledger(), bench.plan.deliveries());
    let sink = Sink::start(Mood::Prompt, &ledger).await;
    let directory = tempfile::tempdir_in(&bench.plan.directory).unwrap();
    // Without a peer, which only happens in a test, Hookbell is its own.
    let home = Home::new(&bench.plan.directory, &[(sink.address, LANES)]);
    let peer = peer.cloned().unwrap_or_else(|| Peer::new(home.command(), &home.url()).unwrap());
    let group = peer.start(&directory, sink.address);
    let supply = Arc::new(Supply::new(Size::Recorded, &peer.path, 0..LANES, 0..count));
    let client = Client { accepted: 200..=299, ..Client::new(peer.address, supply, ledger.clone()) };

    let (cpu, began) = (group.cpu(), Instant::now());
    client.closed(0..count, Duration::from_secs(5)).await;
    let (mut delivered, mut since) = (0, Instant::now());
    while ledger.account().lost > 0 && since.elapsed() < SILENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if ledger.delivered() > delivered {
            (delivered, since) = (ledger.delivered(), Instant::now());
        }
    }
    let (account, delivered) = (ledger.account(), ledger.delivered() as f64);
    let took = ledger.last_delivered().saturating_duration_since(began);
    let cpu = group.cpu().zip(cpu).map_or(f64::NAN, |(after, before)| (after - before).as_secs_f64());
    Theirs {
        per_second: delivered / took.as_secs_f64(),
        cpu: cpu / delivered * 1_000.0,
        most: group.most_resident().unwrap_or(f64::NAN),
        lost: account.lost,
        refused: account.refused + account.broken,
    }
}

pub(crate) async fn peer(bench: &Bench) -> Vec<Figure> {
    let (mut rates, mut cpus, mut memory, mut lost, mut refused) = (vec![], vec![], vec![], 0, 0);
    for _ in 0..bench.plan.rounds {
        let theirs = theirs(bench, bench.plan.peer.as_ref()).await;
        let ours = ours(bench).await;
        rates.push((ours.delivered.per_second, theirs.per_second));
        cpus.push((ours.delivered.cpu, theirs.cpu));
        memory.push((ours.most, theirs.most));
        lost += theirs.lost;
        refused += theirs.refused;
    }
    let name = |what: &str| format!("Hookbell next to the peer: {what}");
    vec![
        Figure::rounds("peer.rate", name("accepted to delivered"), "/s", "the peer", rates),
        Figure::rounds("peer.cpu", name("processor for 1,000 of these"), "s", "the peer", cpus),
        Figure::rounds("peer.rss", name("resident at most"), "MB", "the peer", memory),
        Figure::new("peer.missing", "acknowledged by the peer and not delivered", lost as f64, ""),
        Figure::new("peer.not_taken", "not acknowledged by the peer", refused as f64, ""),
    ]
}
