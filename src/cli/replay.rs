//! `hookbell replay` and `hookbell drop`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::caller::Server;
use super::plural;
use super::print::{errln, outln};
use super::shown::{harmless_lines, since, states};
use crate::server::admin::{DropAnswer, Left, ReplayAnswer};

/// Which deliveries.
#[derive(Args)]
struct Which {
    /// These: ids of deliveries or events, a pull request's link, or `last` for the newest request.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Those to this channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Those in this state.
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,
    /// Those of this repository: `workspace/slug`.
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Those since then: `2h` ago, `22:00`, `yesterday`, a date, or a date and a time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many, the oldest.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

impl Which {
    /// As the API wants it.
    fn asked(&self) -> Result<Value, Failure> {
        if self.ids.is_empty() && self.state.is_none() {
            return Err(Failure::Usage("say which: ids, or a `--state`, as in `--state dead --since 2h`".to_owned()));
        }
        let mut asked = json!({ "dry_run": self.dry_run });
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                asked[name] = value;
            }
        };
        add("ids", (!self.ids.is_empty()).then(|| self.ids.clone().into()));
        add("channel", self.channel.clone().map(Value::from));
        add("state", self.state.clone().map(Value::from));
        add("repository", self.repo.clone().map(Value::from));
        add("since", self.since.as_deref().map(since).transpose()?.map(Value::from));
        add("limit", self.limit.map(Value::from));
        Ok(asked)
    }

    /// Whether there is nothing more to ask for: the API does so many at once, the oldest first.
    fn is_last(&self, done: usize, more: bool) -> bool {
        !more || done == 0 || self.dry_run || self.limit.is_some() || !self.ids.is_empty()
    }

    /// Says what was done, or would be, and what was left and why.
    fn ended(&self, count: usize, more: bool, done: [&str; 2], left: &[Left]) -> Result<(), Failure> {
        let more = if self.dry_run && more { ", and more" } else { "" };
        errln!("{}{more} {}", plural(count, "message"), done[usize::from(self.dry_run)]);
        if left.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = left.iter().map(|left| format!("  {}: {}", left.id, left.why)).collect();
        let message = format!("{} left alone\n{}", plural(left.len(), "message"), lines.join("\n"));
        Err(Failure::NotFine(harmless_lines(&message)))
    }
}

/// `hookbell replay …`
#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    which: Which,
    /// By the routes of now, in place of where they went then.
    #[arg(long)]
    reroute: bool,
}

impl Replay {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let asked = self.which.asked()?;
        let path = if self.reroute { "/api/v1/deliveries/reroute" } else { "/api/v1/deliveries/replay" };
        let caller = self.which.server.caller(config)?;
        let (mut count, mut left) = (0, vec![]);
        loop {
            let answer: ReplayAnswer = caller.post(path, &asked)?;
            for replayed in &answer.replayed {
                let new = replayed.delivery.as_ref().map(|id| format!(" as {id}")).unwrap_or_default();
                let what = replayed.id.as_ref().map_or(replayed.event.as_str(), |id| id.as_str());
                outln!("{what} to {}{new}", harmless_lines(replayed.channel.as_str()));
            }
            let is_last = self.which.is_last(answer.replayed.len(), answer.more);
            count += answer.replayed.len();
            left.extend(answer.left);
            if is_last {
                return self.which.ended(count, answer.more, ["sent again", "would be sent again"], &left);
            }
        }
    }
}

/// `hookbell drop …`
#[derive(Args)]
pub(super) struct Drop {
    #[command(flatten)]
    which: Which,
}

impl Drop {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let asked = self.which.asked()?;
        let caller = self.which.server.caller(config)?;
        let (mut count, mut left) = (0, vec![]);
        loop {
            let answer: DropAnswer = caller.post("/api/v1/deliveries/drop", &asked)?;
            answer.dropped.iter().for_each(|id| outln!("{id}"));
            let is_last = self.which.is_last(answer.dropped.len(), answer.more);
            count += answer.dropped.len();
            left.extend(answer.left);
            if is_last {
                let done = ["given up; `hookbell replay` sends one again", "would be given up"];
                return self.which.ended(count, answer.more, done, &left);
            }
        }
    }
}
