//! Load benchmark: drives the built service over loopback, and in the same run the programs that it is compared with.
//!
//! Absolute figures depend on the machine, so each important figure is compared with another one of the same run:
//! *floors*, servers that do only what no design can leave out, and the *naive whole*, the smallest program that
//! delivers. Load generator, sink and measured program share the machine. The measured program is a process of its own,
//! so its processor time and memory can be measured.
//!
//! `cargo bench --bench load` runs the default scenarios in about three minutes. Names after `--` select scenarios; an
//! unknown name lists them. `cargo test --bench load` runs each for a second, to check that they work. Both fail if an
//! acknowledged request was lost or a request was rejected; a missed target for speed is only reported.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has failed")]

mod args;
mod client;
mod floors;
mod grown;
mod journal;
mod latency;
mod ledger;
mod naive;
mod peer;
mod picture;
mod push;
mod report;
mod service;
mod sink;
mod speed;
mod system;
mod trouble;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use args::Plan;
use client::Client;
use floors::ROLES;
use ledger::Ledger;
use push::{HOOKS, Size, Supply};
use report::{Figure, Report};
use service::LANES;
use system::Disk;

/// The program's allocator, also for the floors, so that only the design differs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shared state of the scenarios.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    /// Pushes of the recorded size for all lanes.
    pub(crate) supply: Arc<Supply>,
}

impl Bench {
    /// Creates a ledger for all prepared requests.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::new(self.supply.numbers().len()))
    }

    /// Creates the load generator for an address.
    pub(crate) fn client(&self, address: SocketAddr, ledger: &Arc<Ledger>) -> Client {
        Client::new(address, self.supply.clone(), ledger.clone())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, directory, sink] = &arguments[..]
        && flag == "--role"
        && let Some((_, role)) = ROLES.iter().find(|(known, _)| known == name)
    {
        floors::play(*role, Path::new(directory), sink);
        return ExitCode::SUCCESS;
    }
    let plan = match Plan::parse(arguments.into_iter()) {
        Ok(plan) => plan,
        Err(usage) => {
            eprint!("{usage}");
            return ExitCode::from(2);
        }
    };
    let report = tokio::runtime::Runtime::new().unwrap().block_on(run(plan));
    // These figures do not depend on speed.
    let failed = |figure: &&Figure| {
        (figure.id.ends_with(".lost") || figure.id.ends_with(".refused")) && figure.met() == Some(false)
    };
    if report.figures.iter().any(|figure| failed(&figure)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn run(plan: Plan) -> Report {
    let began = Instant::now();
    let supply = Arc::new(Supply::new(Size::Recorded, HOOKS, 0..LANES, 0..plan.supply()));
    let bench = &Bench { plan, supply };
    let plan = &bench.plan;
    let mut report = Report::new(Disk::measure(&plan.directory, plan.disk_writes()));
    /// Runs the selected scenarios, in this order.
    macro_rules! scenarios {
        ($($name:literal $run:path)*) => {$(
            if plan.wants($name) {
                eprintln!("{:>4} s  {}", began.elapsed().as_secs(), $name);
                report.figures.extend($run(bench).await);
            }
        )*};
    }
    scenarios! {
        "floors" speed::floors
        "accept" speed::accept
        "deliver" speed::deliver
        "lane" speed::lane
        "open" latency::open
        "chats" latency::chats
        "outage" trouble::outage
        "kill" trouble::kill
        "start" grown::start
        "million" grown::million
        "lists" grown::lists
        "peer" peer::peer
    }
    eprintln!("{:>4} s  done; bodies of {} bytes", began.elapsed().as_secs(), bench.supply.body_size());
    if plan.test {
        println!("\nshort and unoptimised: this only checks that the benchmark works");
    }
    report.print();
    if let Some(path) = &plan.json {
        report.write_json(path);
    }
    if let Some(path) = &plan.picture {
        picture::write(&report, path);
    }
    report
}
