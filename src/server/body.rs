//! Reading a body, with an end to its size and to its time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use poem::http::StatusCode;
use poem::{Body, Response};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::answer::{error, unavailable};

/// How long a body may take to arrive; hosts wait no longer for an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// How much of a body that is too large is read and dropped, so that its sender gets to read the answer: closing
/// while it still writes would reset the connection.
const DROPPED: usize = 16 * 1024 * 1024;

/// How many bytes of bodies that are still arriving may be held at once, for all connections together. Whoever sends
/// them is not known before the last one is there.
const HELD: usize = 64 * 1024 * 1024;

/// How many are held.
static ARRIVING: AtomicUsize = AtomicUsize::new(0);

/// A share of [`HELD`], given back when it is dropped.
struct Share(usize);

impl Share {
    /// Makes the share as large as this. False where there is no room.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.0);
        self.0 += more;
        ARRIVING.fetch_add(more, Ordering::Relaxed) + more <= HELD
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        ARRIVING.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    NoRoom,
    TooLarge,
    TooSlow,
    Broken,
}

impl BodyError {
    /// What is answered, where bodies of at most `largest` bytes are read.
    pub(super) fn answer(&self, largest: usize) -> Response {
        match self {
            Self::TooLarge => {
                let message = format!("the body is larger than {} KB", largest / 1024);
                error(StatusCode::PAYLOAD_TOO_LARGE, &message)
            }
            Self::NoRoom => unavailable("too many bodies are arriving at once"),
            Self::TooSlow => error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Self::Broken => error(StatusCode::BAD_REQUEST, "the body broke off"),
        }
    }
}

/// Reads a whole body of at most `largest` bytes.
pub(super) async fn read(body: Body, largest: usize) -> Result<Bytes, BodyError> {
    timeout(LONGEST, collect(body, largest)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(body: Body, largest: usize) -> Result<Bytes, BodyError> {
    let mut reader = body.into_async_read();
    let mut bytes = BytesMut::with_capacity(4 * 1024);
    let mut share = Share(0);
    while bytes.len() <= largest {
        if !share.grow(bytes.capacity()) {
            return Err(BodyError::NoRoom);
        }
        if reader.read_buf(&mut bytes).await.map_err(|_| BodyError::Broken)? == 0 {
            return Ok(bytes.freeze());
        }
    }
    let mut dropped = bytes.len();
    while dropped <= DROPPED {
        bytes.clear();
        match reader.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(read) => dropped += read,
        }
    }
    Err(BodyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back() {
        let mut share = Share(0);
        assert!(share.grow(1_000) && share.grow(2_000));
        let mut greedy = Share(0);
        assert!(!greedy.grow(HELD));
        drop((share, greedy));
        assert!(Share(0).grow(HELD));
    }
}
