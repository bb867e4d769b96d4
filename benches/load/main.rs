//! The load program: it drives the built service over loopback, and in the same run what it is to be held against.
//!
//! Absolute figures say more of the machine than of the program, so each that matters stands beside another of the
//! same run: *floors*, servers that do only what no design can leave out, and the *naive whole*, the least that
//! delivers. Load, sink and whatever is measured share the machine; the measured one is a process of its own, so its
//! processor time and memory are its own too.
//!
//! `cargo bench --bench load` runs the usual scenarios in some three minutes; names after `--` pick some, and a wrong
//! one lists them. `cargo test --bench load` gives each a second, to see that they work. Either way it fails where
//! something acknowledged was lost or anything refused; a bar of speed that is not reached is only told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has failed")]

mod args;
mod client;
mod floors;
mod grown;
mod journal;
mod latency;
mod ledger;
mod naive;
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
use push::{Size, Supply};
use report::{Figure, Report};
use service::LANES;
use system::Disk;

/// The program's own allocator, for the floors too: what is held against each other differs in its design alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What scenarios share.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    /// Recorded-size pushes for all lanes.
    pub(crate) supply: Arc<Supply>,
}

impl Bench {
    /// A ledger for all of the supply.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::new(self.supply.numbers().len()))
    }

    /// Who sends the supply.
    pub(crate) fn client(&self, address: SocketAddr, ledger: &Arc<Ledger>) -> Client {
        Client { address, supply: self.supply.clone(), ledger: ledger.clone() }
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
    // Whatever else it is, this is no matter of speed.
    let failed = |figure: &&Figure| {
        (figure.id.ends_with(".lost") || figure.id.ends_with(".refused")) && figure.met() == Some(false)
    };
    if report.figures.iter().any(|figure| failed(&figure)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn run(plan: Plan) -> Report {
    let began = Instant::now();
    let supply = Arc::new(Supply::new(Size::Recorded, 0..LANES, 0..plan.supply()));
    let bench = &Bench { plan, supply };
    let plan = &bench.plan;
    let mut report = Report::new(Disk::measure(&plan.directory, plan.disk_writes()));
    /// Runs the scenarios that are wanted, in this order.
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
    }
    eprintln!("{:>4} s  done; bodies of {} bytes", began.elapsed().as_secs(), bench.supply.body_size());
    if plan.test {
        println!("\nshort and unoptimised: this is no measurement, only a look whether it works");
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
