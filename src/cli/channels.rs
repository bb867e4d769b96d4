//! `hookbell channels`: how they are, trying one out, pausing and reopening.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::caller::Server;
use super::events::segment;
use super::print::{errln, outln};
use super::shown::{ago, in_line, rows};
use super::{Failure, plural};
use crate::chat::{Failure as ChatFailure, Outcome, Receipt};
use crate::config::{self, Loaded, Secrets, Settings};
use crate::event::{ChannelName, DeliveryId};
use crate::message::{Accent, Block, Inline, Message};
use crate::server::admin::{ChannelStatus, ChannelsAnswer, Openness};

/// `hookbell channels …`
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Channels {
    #[command(subcommand)]
    what: Option<What>,
    /// For programs: a line of JSON each.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Subcommand)]
enum What {
    /// Post one marked message to a channel, and say what its chat answers and what to do about it.
    Test {
        /// The channel's name in the config; without one, the channels are listed.
        name: Option<String>,
    },
    /// Let a channel's messages wait, and those of channels that share its destination.
    Pause {
        /// The channel's name in the config.
        name: String,
        /// For whoever asks why nothing comes.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Open a channel that is closed or paused; one that waits tries again at once.
    Reopen {
        /// The channel's name in the config.
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Channels {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let answer: ChannelsAnswer = match self.what {
            None => self.server.caller(config)?.get("/api/v1/channels", &[])?,
            Some(What::Test { name }) => {
                let loaded = config::load(config, Secrets::Leave);
                let Some(name) = name.map(ChannelName::from) else { return list(loaded) };
                // A channel can be tried whatever is wrong elsewhere.
                return match loaded.settings {
                    Some(settings) if !settings.is_undecided || settings.channels.contains_key(&name) => {
                        test(&settings, &name)
                    }
                    _ => Err(Failure::Problems(loaded.problems)),
                };
            }
            Some(What::Pause { name, reason, server }) => {
                let path = format!("/api/v1/channels/{}/pause", segment(&name));
                server.caller(config)?.post(&path, &json!({ "reason": reason }))?
            }
            Some(What::Reopen { name, server }) => {
                let path = format!("/api/v1/channels/{}/reopen", segment(&name));
                server.caller(config)?.post(&path, &json!({}))?
            }
        };
        rows(&answer.channels, self.json, "the config has no channels", line);
        if !self.json {
            answer.problems.iter().for_each(|problem| errln!("warning: {}", in_line(problem)));
        }
        Ok(())
    }
}

/// Whether messages leave, in a word.
pub(super) fn word(state: Openness) -> &'static str {
    match state {
        Openness::Open => "open",
        Openness::Closed => "closed",
        Openness::Paused => "paused",
        Openness::Parked => "parked",
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
        more.push(format!("its task panicked {} times and was restarted: a defect of Hookbell", lane.panics));
    }
    if let Some(oldest) = lane.oldest {
        more.push(format!("{} waiting, the oldest asked for {}", messages(lane.waiting), ago(oldest)));
    }
    if let Some(next) = lane.next_at {
        more.push(format!("it failed; the next attempt is due {}", super::shown::moment(next)));
    }
    for (n, what) in [(status.parked, "parked"), (status.dead, "dead or suspect"), (status.skipped, "skipped")] {
        if n > 0 {
            more.push(format!("{} {what}", messages(n)));
        }
    }
    if let Some(remedy) = &lane.remedy {
        more.push(format!("what to do: {remedy}"));
    }
    if lane.state == Openness::Closed || lane.state == Openness::Paused {
        more.push(format!("then: hookbell channels reopen {}", status.channel));
    }
    more.iter().fold(line, |line, more| format!("{line}\n    {more}"))
}

/// The channels that can be tried.
fn list(loaded: Loaded) -> Result<(), Failure> {
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    for (name, channel) in &settings.channels {
        outln!("{}", in_line(&format!("{name}  {}", channel.kind)));
    }
    Err(Failure::Usage("name the channel to test: `hookbell channels test NAME`".to_owned()))
}

fn test(settings: &Settings, name: &ChannelName) -> Result<(), Failure> {
    let Some(channel) = settings.channels.get(name) else {
        let names: Vec<_> = settings.channels.keys().map(ChannelName::as_str).collect();
        let near = crate::problem::nearest(name.as_str(), names.iter().copied());
        let help =
            near.map_or_else(|| format!("channels: {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(Failure::Usage(format!("there is no channel `{name}`; {help}")));
    };
    let body = channel.chat.encode(&channel.style.of(message(name)));
    let runtime = super::runtime()?;
    let sent = runtime.block_on(channel.chat.send(&DeliveryId::fresh(), &body));
    match told(&sent.outcome) {
        Ok(text) => {
            outln!("{name}: {text}");
            Ok(())
        }
        Err(text) => Err(Failure::NotFine(format!("{name}: {text}"))),
    }
}

/// A message that nobody takes for an event.
fn message(name: &ChannelName) -> Message {
    let text = |text: String| vec![Inline::Text(text)];
    Message {
        line: text(format!("Hookbell can post here: a test of channel {name}")),
        title: Some("Hookbell can post here".to_owned()),
        accent: Accent::Success,
        body: vec![Block::Paragraph(text(format!("This is a test of channel {name}. Nothing happened.")))],
        ..Message::default()
    }
}

/// What an outcome means for whoever set the channel up.
fn told(outcome: &Outcome) -> Result<String, String> {
    let failed = |what: &str, failure: &ChatFailure| {
        let remedy = failure.remedy.map(|remedy| format!("\n  what to do: {remedy}")).unwrap_or_default();
        Err(format!("{what}\n  it said: {}{remedy}", failure.said))
    };
    match outcome {
        Outcome::Delivered(Receipt { instead: Some(instead), .. }) => Ok(format!("delivered, but {}", instead.why)),
        Outcome::Delivered(Receipt { .. }) => Ok("delivered".to_owned()),
        Outcome::Accepted => Ok("accepted: the chat took the message, and does not say whether it shows it\n  \
             look at the channel; if nothing comes within a minute, look at the flow's run history"
            .to_owned()),
        Outcome::Retry { failure, .. } => failed("not now: this may pass, and Hookbell would try again", failure),
        Outcome::Rejected(failure) => failed("the chat does not take this message", failure),
        Outcome::Closed(failure) => failed("the channel is closed to us", failure),
        Outcome::Unknown(failure) => failed("no answer: the message may be there", failure),
    }
}
