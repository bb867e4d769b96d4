//! Messages that were just stored, handed over to their lane, so that it need not read them.
//!
//! A lane opens its inbox, reads the store, and finds nothing: then every message that is queued from the opening on is
//! in the inbox, in the order of the store. If the inbox is full, or if anything else happens to the lane, the inbox is
//! closed, and the lane reads the store again. So the inbox is never the only place of a message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Delivery;

/// Maximum number of messages in an inbox.
const MAX_COUNT: usize = 32;

/// Maximum size of the events of an inbox, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Maximum size of the events of all inboxes, in bytes.
const MAX_BYTES_IN_ALL: usize = 16 * 1024 * 1024;

/// Size of the events of all inboxes.
pub(super) type InAll = Arc<AtomicUsize>;

/// Inbox of a lane.
#[derive(Default)]
pub(super) struct Inbox {
    content: Mutex<Content>,
    in_all: InAll,
}

#[derive(Default)]
struct Content {
    is_open: bool,
    messages: VecDeque<Delivery>,
    bytes: usize,
    /// Highest number of a message that the lane read.
    read: i64,
}

/// Returns the number of a message; 0 for those of earlier versions, which are never handed over.
fn number(message: &Delivery) -> i64 {
    message.id.number().unwrap_or_default()
}

impl Inbox {
    pub(super) fn new(in_all: InAll) -> Self {
        Self { content: Mutex::default(), in_all }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the inbox. The lane must read the store afterwards.
    pub(super) fn open(&self) {
        let mut content = self.content();
        self.clear(&mut content);
        content.is_open = true;
    }

    /// Closes the inbox, because the lane read these messages, and perhaps not all that are queued.
    pub(super) fn close_after(&self, read: &[Delivery]) {
        let mut content = self.content();
        self.clear(&mut content);
        content.read = read.iter().map(number).fold(content.read, i64::max);
    }

    /// Closes the inbox, and drops its messages.
    pub(super) fn close(&self) {
        self.clear(&mut self.content());
    }

    pub(super) fn is_open(&self) -> bool {
        self.content().is_open
    }

    /// Adds a message to an open inbox. Closes the inbox if the message is missing or does not fit.
    pub(super) fn add(&self, message: Option<Delivery>) {
        let mut content = self.content();
        let is_read = message.as_ref().is_some_and(|message| number(message) <= content.read);
        if !content.is_open || is_read {
            return;
        }
        let has_room = |message: &Delivery| {
            let in_all = self.in_all.load(Ordering::Relaxed) + message.size <= MAX_BYTES_IN_ALL;
            in_all && content.messages.len() < MAX_COUNT && content.bytes + message.size <= MAX_BYTES
        };
        match message.filter(has_room) {
            Some(message) => {
                self.in_all.fetch_add(message.size, Ordering::Relaxed);
                content.bytes += message.size;
                content.messages.push_back(message);
            }
            None => self.clear(&mut content),
        }
    }

    /// Takes the next message.
    pub(super) fn take(&self) -> Option<Delivery> {
        let mut content = self.content();
        let message = content.messages.pop_front()?;
        content.bytes -= message.size;
        self.in_all.fetch_sub(message.size, Ordering::Relaxed);
        Some(message)
    }

    fn clear(&self, content: &mut Content) {
        self.in_all.fetch_sub(content.bytes, Ordering::Relaxed);
        *content = Content { read: content.read, ..Content::default() };
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeliveryId, EventId};
    use crate::template::Context;

    fn message(size: usize) -> Option<Delivery> {
        Some(numbered(1_000, size))
    }

    fn numbered(number: i64, size: usize) -> Delivery {
        Delivery {
            id: DeliveryId::numbered(number),
            event_id: EventId::fresh(),
            channel: "a".into(),
            template: None,
            style: None,
            event: Arc::new(Context::new(serde_json::Value::Null)),
            size,
            created_at: 0,
            attempts: 0,
            strikes: 0,
        }
    }

    #[test]
    fn message_that_was_read_is_not_taken_again() {
        let inbox = Inbox::new(InAll::default());
        inbox.open();
        inbox.close_after(&[numbered(7, 1), numbered(8, 1)]);
        inbox.open();
        for number in [7, 8, 9] {
            inbox.add(Some(numbered(number, 1)));
        }
        assert_eq!(inbox.take().map(|message| message.id), Some(DeliveryId::numbered(9)));
        assert!(inbox.take().is_none());
    }

    #[test]
    fn inbox_is_bounded_and_complete_while_it_is_open() {
        let in_all = InAll::default();
        let inbox = Inbox::new(in_all.clone());
        inbox.add(message(1));
        assert!(inbox.take().is_none(), "it is not open");
        inbox.open();
        (0..MAX_COUNT).for_each(|_| inbox.add(message(10)));
        assert_eq!((inbox.take().unwrap().size, in_all.load(Ordering::Relaxed)), (10, 10 * (MAX_COUNT - 1)));
        inbox.add(message(10));
        assert!(inbox.is_open());
        for too_much in [message(10), message(MAX_BYTES + 1), None] {
            inbox.add(too_much);
            assert!(!inbox.is_open() && inbox.take().is_none());
            assert_eq!(in_all.load(Ordering::Relaxed), 0);
            inbox.open();
        }
        // Many lanes share a limit.
        let all: Vec<_> = (0..100).map(|_| Inbox::new(in_all.clone())).collect();
        for inbox in &all {
            inbox.open();
            inbox.add(message(MAX_BYTES));
        }
        assert_eq!(all.iter().filter(|inbox| inbox.is_open()).count(), MAX_BYTES_IN_ALL / MAX_BYTES);
        drop(all);
        assert_eq!(in_all.load(Ordering::Relaxed), 0);
    }
}
