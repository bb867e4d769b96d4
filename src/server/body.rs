//! Reading a body, with an end to its size and to its time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use poem::Body;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// How long a body may take to arrive; hosts wait no longer for an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// How much of a body that is too large is read and dropped, so that its sender gets to read the answer: closing
/// while it still writes would reset the connection.
const DROPPED: usize = 16 * 1024 * 1024;

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a whole body of at most `largest` bytes.
pub(super) async fn read(body: Body, largest: usize) -> Result<Bytes, BodyError> {
    timeout(LONGEST, collect(body, largest)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(body: Body, largest: usize) -> Result<Bytes, BodyError> {
    let mut reader = body.into_async_read();
    let mut bytes = BytesMut::with_capacity(16 * 1024);
    while bytes.len() <= largest {
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
