//! `hookbell replay` and `hookbell drop`: send messages again, or drop queued ones.

use std::path::Path;

use clap::Args;

use super::Failure;
use super::caller::Server;
use super::plural;
use super::print::{errln, outln};
use super::shown::{in_line, since, states};
use crate::service::operations::{LeftOut, Selection};
use crate::store::State;

/// Options that select deliveries.
#[derive(Args)]
struct Which {
    /// Ids of deliveries or events, the URL of a pull request, or `last` for the most recent request
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Name of the channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// State of the deliveries
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,
    /// Repository: `workspace/slug`
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Earliest time: `2h` (ago), `22:00`, `yesterday`, a date, or a date and a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Maximum number of deliveries, the oldest first
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show the result without changing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

impl Which {
    /// Returns the selection.
    fn selection(&self, example: &'static str) -> Result<Selection, Failure> {
        if self.ids.is_empty() && self.state.is_none() {
            return Err(Failure::NothingSelected(example));
        }
        Ok(Selection {
            ids: (!self.ids.is_empty()).then(|| self.ids.clone()),
            channel: self.channel.clone(),
            state: self.state.as_deref().and_then(State::parse),
            repository: self.repo.clone(),
            since: self.since.as_deref().map(since).transpose()?,
            limit: self.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
            dry_run: self.dry_run,
        })
    }

    /// Returns true if no further call is needed: an operation handles a limited number per call, the oldest first.
    fn is_last(&self, done: usize, more: bool) -> bool {
        !more || done == 0 || self.dry_run || self.limit.is_some() || !self.ids.is_empty()
    }

    /// Reports the number of selected messages, and those that were left unchanged with the reasons.
    fn ended(&self, count: usize, more: bool, done: [&str; 2], left: &[LeftOut]) -> Result<(), Failure> {
        if count == 0 && left.is_empty() {
            errln!("no messages match");
            return Ok(());
        }
        let more = if self.dry_run && more { ", and more" } else { "" };
        errln!("{}{more} {}", plural(count, "message"), done[usize::from(self.dry_run)]);
        if left.is_empty() {
            return Ok(());
        }
        Err(Failure::LeftOut(left.iter().map(|left| (in_line(&left.id), in_line(&left.reason))).collect()))
    }
}

/// Arguments of `hookbell replay`.
#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    which: Which,
    /// Use the current routes instead of the original channels
    #[arg(long)]
    reroute: bool,
}

impl Replay {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let selection = self.which.selection("--state dead --since 2h")?;
        let caller = self.which.server.caller(config)?;
        let (mut count, mut left) = (0, vec![]);
        loop {
            let selection = selection.clone();
            let answer = if self.reroute { caller.reroute(selection)? } else { caller.replay(selection)? };
            for replayed in &answer.replayed {
                let new = replayed.delivery.as_ref().map(|id| format!(" as {id}")).unwrap_or_default();
                let what = replayed.id.as_ref().map_or(replayed.event.as_str(), |id| id.as_str());
                outln!("{what} to {}{new}", in_line(replayed.channel.as_str()));
            }
            let is_last = self.which.is_last(answer.replayed.len(), answer.more);
            count += answer.replayed.len();
            left.extend(answer.left_out);
            if is_last {
                return self.which.ended(count, answer.more, ["queued again", "would be queued again"], &left);
            }
        }
    }
}

/// Arguments of `hookbell drop`.
#[derive(Args)]
pub(super) struct DropMessages {
    #[command(flatten)]
    which: Which,
}

impl DropMessages {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let selection = self.which.selection("--state queued --channel NAME")?;
        let caller = self.which.server.caller(config)?;
        let (mut count, mut left) = (0, vec![]);
        loop {
            let answer = caller.drop(selection.clone())?;
            answer.dropped.iter().for_each(|id| outln!("{id}"));
            let is_last = self.which.is_last(answer.dropped.len(), answer.more);
            count += answer.dropped.len();
            left.extend(answer.left_out);
            if is_last {
                let done = ["dropped; `hookbell replay` sends one again", "would be dropped"];
                return self.which.ended(count, answer.more, done, &left);
            }
        }
    }
}
