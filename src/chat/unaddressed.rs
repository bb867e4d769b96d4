//! A channel without its webhook URL: it can be routed to and rendered for, but cannot send.

use async_trait::async_trait;
use serde_json::Value;

use super::{Body, Chat, Failure, Kind, Outcome, Pace, Reason, Sent, program};
use crate::event::{ChannelName, DeliveryId};
use crate::message::Message;

/// A channel whose webhook URL is not available.
pub struct Unaddressed {
    kind: &'static Kind,
    name: ChannelName,
}

impl Unaddressed {
    /// Creates a channel of this kind with this name.
    pub fn new(kind: &'static Kind, name: &ChannelName) -> Self {
        Self { kind, name: name.clone() }
    }
}

#[async_trait]
impl Chat for Unaddressed {
    fn destination(&self) -> String {
        format!("{}:unknown:{}", self.kind.name, self.name)
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(self.kind.draw.map_or_else(String::new, |draw| draw(message)))
    }

    fn encode_event(&self, event: &Value) -> Option<Body> {
        // A kind that does not render messages sends the event.
        self.kind.draw.is_none().then(|| Body(program::body(event)))
    }

    async fn send(&self, _: &DeliveryId, _: &Body) -> Sent {
        let response = "the webhook URL of the channel is not available here";
        Outcome::Retry { failure: Failure::new(Reason::Io, response), after: None }.into()
    }
}
