//! The terminal that the service runs in: what a newcomer sees first, and what `render` shows a template's author.

mod draw;

use std::io::Write;

use async_trait::async_trait;

use super::{Body, Chat, Failure, Kind, Outcome, Pace, Reason, Receipt, Sent};
use crate::event::DeliveryId;
use crate::message::Message;

pub use draw::draw;

/// The console, for the list of chats.
pub const KIND: Kind = Kind {
    name: "console",
    domains: &[],
    build: None,
    signs: false,
    draw: Some(|message| draw(message, Layout::of_stdout())),
    loss: None,
    native: None,
};

/// The widest that a message is laid out: longer lines are hard to read.
const WIDEST: usize = 100;

/// The narrowest that a message is laid out; narrower terminals wrap by themselves.
const NARROWEST: usize = 40;

/// How messages are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns.
    pub width: usize,
    /// Whether colours, weights and links may be used.
    pub colour: bool,
}

impl Layout {
    /// As wide as the terminal that standard output is, and coloured if it is one; plain and 80 wide elsewhere.
    pub fn of_stdout() -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self::new(width, choice != anstream::ColorChoice::Never)
    }

    /// This wide, within reason.
    pub fn new(width: usize, colour: bool) -> Self {
        Self { width: width.clamp(NARROWEST, WIDEST), colour }
    }
}

/// The console as a channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console {
    /// How messages are laid out; by the terminal itself where nothing is said.
    pub layout: Option<Layout>,
}

#[async_trait]
impl Chat for Console {
    fn destination(&self) -> String {
        KIND.name.to_owned()
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(draw(message, self.layout.unwrap_or_else(Layout::of_stdout)))
    }

    async fn send(&self, _: &DeliveryId, body: &Body) -> Sent {
        let text = format!("{}\n", body.0);
        // A terminal may be stopped (Ctrl-S), and then blocks whoever writes.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        match written.await {
            Ok(Ok(())) => Outcome::Delivered(Receipt::default()).into(),
            Ok(Err(error)) => retry(error.to_string()).into(),
            Err(stopped) => retry(stopped.to_string()).into(),
        }
    }
}

fn retry(said: String) -> Outcome {
    Outcome::Retry { failure: Failure::new(Reason::Io, said), after: None }
}
