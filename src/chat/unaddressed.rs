//! A channel whose address is not known where the program runs: good for routing and drawing, not for sending.

use async_trait::async_trait;
use serde_json::Value;

use super::{Body, Chat, Failure, Kind, Outcome, Pace, Reason, Sent, program};
use crate::event::{ChannelName, DeliveryId};
use crate::message::Message;

/// A channel without its address.
pub struct Unaddressed {
    kind: &'static Kind,
    name: ChannelName,
}

impl Unaddressed {
    /// A channel of this kind and name.
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
        // A kind that draws no messages sends the event.
        self.kind.draw.is_none().then(|| Body(program::body(event)))
    }

    async fn send(&self, _: &DeliveryId, _: &Body) -> Sent {
        let said = "the channel's address is not known here";
        Outcome::Retry { failure: Failure::new(Reason::Io, said), after: None }.into()
    }
}
