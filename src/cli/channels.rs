//! `hookbell channels test`.

use std::path::Path;

use clap::Subcommand;

use super::Failure;
use crate::chat::{Failure as ChatFailure, Outcome, Receipt};
use crate::config::{self, Secrets, Settings};
use crate::event::ChannelName;
use crate::message::{Accent, Block, Inline, Message};

/// `hookbell channels …`
#[derive(Subcommand)]
pub(super) enum Channels {
    /// Post one marked message to a channel, and say what its chat answers and what to do about it.
    Test {
        /// The channel's name in the config.
        name: String,
    },
}

impl Channels {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let Self::Test { name } = self;
        let loaded = config::load(config, Secrets::Leave);
        let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
        test(&settings, &ChannelName::from(name))
    }
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::NotFine(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(channel.chat.send(&body));
    match told(&outcome) {
        Ok(text) => {
            anstream::println!("{name}: {text}");
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
        Outcome::Delivered(Receipt { note: Some(note), .. }) => Ok(format!("delivered, but {note}")),
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
