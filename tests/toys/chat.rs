//! A toy chat: rooms in this process, reached with a token. It shows plain text, and can edit and delete.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use hookbell::chat::{
    Action, AddressError, Body, Capabilities, ChannelKey, Chat, KeyType, Keys, Kind, Members, MessageRef, Outcome,
    Pace, Posted, Sent,
};
use hookbell::event::DeliveryId;
use hookbell::message::{Message, plain_text};
use tokio::sync::Notify;

/// Messages of all rooms. A deleted one is empty.
static ROOMS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
static CHANGED: Notify = Notify::const_new();

/// Waits until a room has this number of messages, and returns them.
pub(crate) async fn posted(room: &str, count: usize) -> Vec<String> {
    loop {
        let changed = CHANGED.notified();
        let messages = ROOMS.lock().unwrap().get(room).cloned().unwrap_or_default();
        if messages.len() >= count {
            return messages;
        }
        changed.await;
    }
}

/// The chat, as in the list of kinds.
pub(crate) struct Toy;

impl Kind for Toy {
    fn name(&self) -> &'static str {
        "toy-chat"
    }

    fn keys(&self) -> &'static [ChannelKey] {
        &[
            ChannelKey { key: "room", value: KeyType::Text, default: "hall", about: "the room" },
            ChannelKey { key: "token", value: KeyType::Secret, default: "", about: "opens the door" },
        ]
    }

    fn build(&self, keys: &mut dyn Keys) -> Option<Box<dyn Chat>> {
        let (room, token) = (keys.text("room"), keys.secret("token"));
        token?;
        let room = room.unwrap_or_else(|| "hall".to_owned());
        if room.is_empty() {
            keys.reject("room", AddressError { message: "the room has no name", help: "name a room" });
            return None;
        }
        Some(Box::new(Room(room)))
    }

    fn draw(&self, message: &Message) -> String {
        plain_text(&message.line)
    }

    fn members(&self) -> Option<Members> {
        Some(Members {
            title: "Teahouse",
            is_id: |text| text.starts_with('@'),
            about: "a nickname after `@`",
            help: "write a nickname after `@`",
        })
    }
}

struct Room(String);

impl Room {
    /// Replaces the text of a message of this room.
    fn replace(&self, message: &MessageRef, text: &str) -> Option<()> {
        let (room, number) = message.as_str().split_once('/')?;
        let mut rooms = ROOMS.lock().unwrap();
        text.clone_into(rooms.get_mut(room)?.get_mut(number.parse::<usize>().ok()?)?);
        CHANGED.notify_waiters();
        Some(())
    }
}

#[async_trait]
impl Chat for Room {
    fn destination(&self) -> String {
        format!("toy-chat:{}", self.0)
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { message_ids: true, edit: true, delete: true, ..Capabilities::default() }
    }

    fn encode(&self, message: &Message) -> Body {
        Body(Toy.draw(message))
    }

    async fn perform(&self, _delivery: &DeliveryId, action: Action<'_>) -> Sent {
        let message = match action {
            Action::Post(body) => {
                let mut rooms = ROOMS.lock().unwrap();
                let messages = rooms.entry(self.0.clone()).or_default();
                messages.push(body.0.clone());
                CHANGED.notify_waiters();
                Some(MessageRef::new(format!("{}/{}", self.0, messages.len() - 1)))
            }
            Action::Edit { message, body } => self.replace(message, &body.0).map(|()| message.clone()),
            Action::Delete(message) => self.replace(message, "").map(|()| message.clone()),
            Action::Reply { .. } | Action::React { .. } => return action.unsupported(),
        };
        Outcome::Delivered(Posted { message, ..Posted::default() }).into()
    }
}
