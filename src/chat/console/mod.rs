//! The terminal that the service runs in, and the output of `render` for template authors.

mod draw;

use std::io::Write;

use async_trait::async_trait;

use super::{Action, Body, Chat, Failure, Keys, Kind, Outcome, Pace, Posted, Reason, Sent};
use crate::event::DeliveryId;
use crate::message::Message;

pub use draw::draw;

/// Name of the kind.
pub const NAME: &str = "console";

/// The terminal, as a kind of chat.
pub(super) struct Terminal;

impl Kind for Terminal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build(&self, _keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        Some(Box::<Console>::default())
    }

    fn draw(&self, message: &Message) -> String {
        draw(message, Layout::of_stdout())
    }
}

/// Maximum width of a message in columns; longer lines are hard to read.
const MAX_WIDTH: usize = 100;

/// Minimum width of a message in columns; narrower terminals wrap lines themselves.
const MIN_WIDTH: usize = 40;

/// Layout of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Width in columns.
    pub width: usize,
    /// Use colours, weights and links.
    pub colour: bool,
}

impl Layout {
    /// Returns the layout for standard output: the terminal's width with colours, or 80 columns without colours.
    pub fn of_stdout() -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self::new(width, choice != anstream::ColorChoice::Never)
    }

    /// Creates a layout; the width is limited to 40 to 100 columns.
    pub fn new(width: usize, colour: bool) -> Self {
        Self { width: width.clamp(MIN_WIDTH, MAX_WIDTH), colour }
    }
}

/// Channel that writes to the console.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console {
    /// Layout of messages; `None` follows the terminal.
    pub layout: Option<Layout>,
}

#[async_trait]
impl Chat for Console {
    fn destination(&self) -> String {
        NAME.to_owned()
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(draw(message, self.layout.unwrap_or_else(Layout::of_stdout)))
    }

    async fn perform(&self, _: &DeliveryId, action: Action<'_>) -> Sent {
        let Action::Post(body) = action else { return action.unsupported() };
        let text = format!("{}\n", body.0);
        // A stopped terminal (Ctrl-S) blocks the writer.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        match written.await {
            Ok(Ok(())) => Outcome::Delivered(Posted::default()).into(),
            Ok(Err(error)) => retry(error.to_string()).into(),
            Err(stopped) => retry(stopped.to_string()).into(),
        }
    }
}

fn retry(response: String) -> Outcome {
    Outcome::Retry { failure: Failure::new(Reason::Io, response), after: None }
}
