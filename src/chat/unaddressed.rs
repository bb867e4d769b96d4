//! A channel without its webhook URL: it can be routed to and rendered for, but cannot send.

use async_trait::async_trait;
use serde_json::Value;

use super::{Action, Body, Chat, Failure, Kind, Outcome, Pace, Reason, Sent};
use crate::event::{ChannelName, DeliveryId};
use crate::message::Message;

/// A channel whose webhook URL is not available.
pub struct Unaddressed {
    kind: &'static dyn Kind,
    name: ChannelName,
}

impl Unaddressed {
    /// Creates a channel of this kind with this name.
    pub fn new(kind: &'static dyn Kind, name: &ChannelName) -> Self {
        Self { kind, name: name.clone() }
    }
}

#[async_trait]
impl Chat for Unaddressed {
    fn destination(&self) -> String {
        format!("{}:unknown:{}", self.kind.name(), self.name)
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(self.kind.draw(message))
    }

    fn encode_event(&self, event: &Value) -> Option<Body> {
        self.kind.draw_event(event).map(Body)
    }

    async fn perform(&self, _: &DeliveryId, _: Action<'_>) -> Sent {
        let response = "the webhook URL of the channel is not available here";
        Outcome::Retry { failure: Failure::new(Reason::Io, response), after: None }.into()
    }
}
