//! `hookbell events`: what came in lately, and what was refused.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::Failure;
use crate::config;
use crate::message::shield::harmless;
use crate::store::sqlite::Glance;
use crate::store::{Millis, REFUSALS, Refused, Seen};

/// `hookbell events …`
#[derive(Args)]
pub(super) struct Events {
    /// The requests that were refused, and why; the last hundred are kept.
    #[arg(long)]
    refused: bool,
    /// How many, the newest.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// For programs: a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Events {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let store = config::store(config).map_err(Failure::Problems)?;
        let unusable = |error: crate::store::StoreError| Failure::NotFine(error.to_string());
        let store = Glance::open(&store).map_err(unusable)?;
        if self.refused {
            let refused = store.refusals(self.limit.min(REFUSALS)).map_err(unusable)?;
            self.show(&refused, "no request was refused", refusal);
        } else {
            let seen = store.events(self.limit).map_err(unusable)?;
            self.show(&seen, "no event came in yet", event);
        }
        Ok(())
    }

    fn show<T: Serialize>(&self, rows: &[T], none: &str, line: fn(&T) -> String) {
        for row in rows {
            if self.json {
                anstream::println!("{}", serde_json::to_string(row).unwrap_or_default());
            } else {
                anstream::println!("{}", line(row));
            }
        }
        if rows.is_empty() {
            anstream::eprintln!("{none}");
        }
    }
}

fn refusal(refused: &Refused) -> String {
    let client = refused.client.as_deref().unwrap_or("an unknown address");
    let key = refused.key.as_deref().unwrap_or("no key");
    harmless(&format!("{}  {}  {client}  {key}  {}", moment(refused.at), refused.source, refused.reason))
}

fn event(seen: &Seen) -> String {
    let went = seen.decision["sends"].as_array().into_iter().flatten().filter_map(|send| send["channel"].as_str());
    let went: Vec<_> = went.collect();
    let why = seen.decision["silent"].as_str().map(ToOwned::to_owned);
    let why = why.or_else(|| Some(format!("muted by `{}`", seen.decision["muted"].as_str()?)));
    let went = match (went.is_empty(), why) {
        (false, _) => went.join(", "),
        (true, Some(why)) => format!("nowhere: {why}"),
        (true, None) => "nowhere: no route matched".to_owned(),
    };
    let repository = seen.repository.as_deref().unwrap_or("-");
    harmless(&format!("{}  {}  {repository}  {}  → {went}", moment(seen.at), seen.id, seen.kind))
}

fn moment(at: Millis) -> String {
    let second = jiff::Timestamp::from_second(at / 1000);
    second.map_or_else(|_| at.to_string(), |second| second.to_string())
}
