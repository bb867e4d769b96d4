//! `hookbell channels`: list, test, pause and reopen channels.

use std::path::Path;

use clap::{Args, Subcommand};

use super::caller::Server;
use super::failure::{Failure, TestResult};
use super::plural;
use super::print::{errln, outln};
use super::shown::{ago, in_line, rows};
use crate::chat::{Outcome, Posted};
use crate::config::{self, Loaded, Secrets, Settings};
use crate::event::ChannelName;
use crate::problem::nearest;
use crate::service::check::post_test;
use crate::service::operations::{ChannelState, ChannelStatus, Reason};

/// Arguments of `hookbell channels`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Channels {
    #[command(subcommand)]
    what: Option<What>,
    /// JSON output, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Subcommand)]
enum What {
    /// List all channels, as without a subcommand
    List {
        /// JSON output, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Post a test message to a channel, and show the response of the chat and how to fix errors
    Test {
        /// Name of the channel; `hookbell channels` lists them
        name: Option<String>,
    },
    /// Pause a channel and those with the same destination; their messages are queued
    Pause {
        /// Name of the channel
        name: String,
        /// Reason for the pause, shown to other operators
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Reopen a closed or paused channel; retry a failing channel immediately
    Reopen {
        /// Name of the channel
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Channels {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let mut json = self.json;
        let answer = match self.what {
            None => self.server.caller(config)?.channels()?,
            Some(What::List { json: as_json, server }) => {
                json |= as_json;
                server.caller(config)?.channels()?
            }
            Some(What::Test { name }) => {
                let loaded = config::load(config, Secrets::Leave);
                let Some(name) = name.map(ChannelName::from) else { return list(loaded) };
                // Errors elsewhere in the configuration do not prevent a test.
                return match loaded.settings {
                    Some(settings) if !settings.is_routing_invalid || settings.channels.contains_key(&name) => {
                        test(&settings, &name)
                    }
                    _ => Err(Failure::Problems(loaded.problems)),
                };
            }
            Some(What::Pause { name, reason, server }) => server.caller(config)?.pause(&name, Reason { reason })?,
            Some(What::Reopen { name, server }) => server.caller(config)?.reopen(&name)?,
        };
        rows(&answer.channels, json, "no channels are configured", line);
        if !json {
            answer.problems.iter().for_each(|problem| errln!("warning: {}", in_line(problem)));
        }
        Ok(())
    }
}

/// Returns the name of a channel state.
pub(super) fn word(state: ChannelState) -> &'static str {
    match state {
        ChannelState::Open => "open",
        ChannelState::Closed => "closed",
        ChannelState::Paused => "paused",
        ChannelState::Parked => "parked",
    }
}

fn line(status: &ChannelStatus) -> String {
    let lane = &status.lane;
    let kind = status.kind.as_deref().unwrap_or("-");
    let mut line = format!("{}  {kind}  {}", status.channel, word(lane.state));
    if let Some(since) = lane.since {
        line.push_str(&format!(" {}", ago(since)));
    }
    if let Some(reason) = &lane.reason {
        line.push_str(&format!(": {reason}"));
    }
    let messages = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "message");
    let mut more = vec![];
    if lane.panics > 0 {
        more.push(format!("task panicked {} times and was restarted; this is a bug in Hookbell", lane.panics));
    }
    if let Some(oldest) = lane.oldest {
        more.push(format!("{} queued, oldest {}", messages(lane.queued), ago(oldest)));
    }
    if let Some(next) = lane.next_at {
        more.push(format!("last attempt failed; next attempt at {}", super::shown::timestamp(next)));
    }
    for (n, what) in [(status.parked, "parked"), (status.dead, "dead or suspect"), (status.skipped, "skipped")] {
        if n > 0 {
            more.push(format!("{} {what}", messages(n)));
        }
    }
    if let Some(help) = &lane.help {
        more.push(format!("help: {help}"));
    }
    if lane.state == ChannelState::Closed || lane.state == ChannelState::Paused {
        more.push(format!("to reopen: hookbell channels reopen {}", status.channel));
    }
    more.iter().fold(line, |line, more| format!("{line}\n    {more}"))
}

/// Lists the channels that can be tested.
fn list(loaded: Loaded) -> Result<(), Failure> {
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    for (name, channel) in &settings.channels {
        outln!("{}", in_line(&format!("{name}  {}", channel.kind.name())));
    }
    Err(Failure::NoChannelName)
}

fn test(settings: &Settings, name: &ChannelName) -> Result<(), Failure> {
    let Some(channel) = settings.channels.get(name) else {
        let known: Vec<_> = settings.channels.keys().map(ToString::to_string).collect();
        let near = nearest(name.as_str(), known.iter().map(String::as_str)).map(ToOwned::to_owned);
        return Err(Failure::UnknownChannel { name: name.to_string(), near, known });
    };
    let outcome = super::runtime()?.block_on(post_test(name, channel));
    outln!("{}", described(name, outcome)?);
    Ok(())
}

/// Describes the outcome of a test message to the operator.
fn described(name: &ChannelName, outcome: Outcome) -> Result<String, Failure> {
    let (result, failure) = match outcome {
        Outcome::Delivered(Posted { instead: Some(instead), .. }) => {
            return Ok(format!("{name}: delivered, but {}", instead.why));
        }
        Outcome::Delivered(Posted { .. }) => return Ok(format!("{name}: delivered")),
        Outcome::Accepted => {
            return Ok(format!(
                "{name}: accepted: the chat accepted the message, but does not confirm that it is shown\n  \
                 check the channel; if no message appears within a minute, check the run history of the flow"
            ));
        }
        Outcome::Retry { failure, .. } => (TestResult::Retry, failure),
        Outcome::Rejected(failure) => (TestResult::Rejected, failure),
        Outcome::Closed(failure) => (TestResult::Closed, failure),
        Outcome::Unknown(failure) => (TestResult::Unknown, failure),
    };
    Err(Failure::ChannelTest { channel: name.clone(), result, response: failure.response, help: failure.help })
}
