//! Reading request bodies within limits on size, time and memory.
//!
//! The sender of a body is unverified until its last byte has arrived. Bodies that are still arriving therefore share
//! bounded memory: one pool for small bodies, one for large ones. A stalled body gives its memory up when another one
//! needs it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use poem::http::{StatusCode, header};
use poem::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::answer::{error, unavailable};
use super::client;
use super::connections::Exchange;

/// Time within which a body must arrive. Hosts do not wait longer for a response.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a small body, in bytes. Nearly all bodies that hosts send are small.
pub(super) const SMALL: usize = 64 * 1024;

/// Memory for small bodies that are arriving, in bytes.
const MAX_SMALL_BYTES: usize = 32 * 1024 * 1024;

/// Memory for large bodies that are arriving, in bytes: for all clients, and for each client.
const MAX_LARGE_BYTES: usize = 48 * 1024 * 1024;
const MAX_LARGE_BYTES_PER_CLIENT: usize = MAX_LARGE_BYTES / 4;

/// Minimum time over which the speed of a large body is measured. Below [`SLOW_BYTES`] per second, the body is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);
const SLOW_BYTES: u64 = 32 * 1024;

/// Bytes of an oversized body that are read and discarded, so that the sender can read the response. Closing while it
/// still writes would reset the connection.
const MAX_DROPPED_BYTES: usize = 16 * 1024 * 1024;

/// The same limit for a request that is rejected by its headers, and the time for it.
const MAX_REJECTED_BYTES: usize = 1024 * 1024;
const REJECTED_TIMEOUT: Duration = Duration::from_secs(2);

/// Memory pools for bodies that are still arriving.
#[derive(Clone, Default)]
pub(crate) struct Bodies(Arc<Mutex<Pools>>);

#[derive(Default)]
struct Pools {
    last_id: u64,
    small: Pool,
    large: Pool,
}

#[derive(Default)]
struct Pool {
    held: usize,
    by_client: HashMap<IpAddr, usize>,
    arriving: BTreeMap<u64, Arriving>,
}

/// A body that is arriving.
struct Arriving {
    client: IpAddr,
    /// Memory reserved for it, in bytes.
    held: usize,
    received: usize,
    /// Time of the last speed measurement, and the bytes received by then. `was_slow` is its result.
    measured: (Instant, usize),
    was_slow: bool,
    give_up: Arc<Notify>,
}

impl Arriving {
    /// Measures its speed, at most once a second. The first bytes say nothing about the speed of the rest.
    fn measure(&mut self, received: usize, now: Instant) {
        self.received = received;
        if now - self.measured.0 >= SLOW_AFTER {
            self.was_slow = self.is_slow(now);
            self.measured = (now, received);
        }
    }

    fn is_slow(&self, now: Instant) -> bool {
        let (since, before) = self.measured;
        let time = now - since;
        if time < SLOW_AFTER {
            return self.was_slow;
        }
        let expected = u128::from(SLOW_BYTES) * time.as_millis() / 1_000;
        ((self.received - before) as u128) < expected
    }
}

/// Memory pool of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl Size {
    /// Returns the pool for an announced length. A body of unknown length counts as large.
    fn of(announced: Option<usize>) -> Self {
        if announced.is_some_and(|length| length <= SMALL) { Self::Small } else { Self::Large }
    }

    fn limits(self) -> (usize, usize) {
        match self {
            Self::Small => (MAX_SMALL_BYTES, MAX_SMALL_BYTES),
            Self::Large => (MAX_LARGE_BYTES, MAX_LARGE_BYTES_PER_CLIENT),
        }
    }
}

impl Pool {
    /// Grows a body's share to `to` bytes. Returns `false` if there is no room and no other body gives way.
    fn grow(&mut self, id: u64, to: usize, size: Size, now: Instant) -> bool {
        let (max, max_per_client) = size.limits();
        let Some(own) = self.arriving.get(&id) else { return false };
        let (client, more) = (own.client, to.saturating_sub(own.held));
        loop {
            let of_client = self.by_client.get(&client).copied().unwrap_or_default();
            let gives_way = if of_client + more > max_per_client {
                self.gives_way(client, id, size, now)
            } else if self.held + more > max {
                let most = self.by_client.iter().max_by_key(|(_, held)| **held).map(|(most, held)| (*most, *held));
                most.and_then(|(most, held)| {
                    // A client that uses much memory gives way to one that uses little, however fast it sends.
                    let is_fair = held < (of_client + more) * 2;
                    let size = if is_fair { size } else { Size::Small };
                    self.gives_way(most, id, size, now)
                })
            } else {
                break;
            };
            match gives_way {
                Some(other) => self.remove(other),
                None => return false,
            }
        }
        self.held += more;
        *self.by_client.entry(client).or_default() += more;
        self.arriving.entry(id).and_modify(|own| own.held += more);
        true
    }

    /// Selects the body of a client that gives way to another: the oldest small one, or the oldest large one that is
    /// slow.
    fn gives_way(&self, client: IpAddr, but: u64, size: Size, now: Instant) -> Option<u64> {
        let others = self.arriving.iter().filter(|(id, other)| **id != but && other.client == client);
        let mut able = others.filter(|(_, other)| size == Size::Small || other.is_slow(now));
        able.next().map(|(id, _)| *id)
    }

    /// Releases a body's share, and notifies its reader.
    fn remove(&mut self, id: u64) {
        let Some(body) = self.arriving.remove(&id) else { return };
        body.give_up.notify_one();
        self.held -= body.held;
        if let Some(held) = self.by_client.get_mut(&body.client) {
            *held -= body.held;
            if *held == 0 {
                self.by_client.remove(&body.client);
            }
        }
    }
}

/// A body's share of the memory, released on drop.
struct Share {
    bodies: Bodies,
    id: u64,
    size: Size,
    give_up: Arc<Notify>,
}

impl Bodies {
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, client: IpAddr, size: Size) -> Share {
        let give_up = Arc::new(Notify::new());
        let mut pools = self.pools();
        pools.last_id += 1;
        let id = pools.last_id;
        let measured = (Instant::now(), 0);
        let body = Arriving { client, held: 0, received: 0, measured, was_slow: false, give_up: give_up.clone() };
        pools.of(size).arriving.insert(id, body);
        Share { bodies: self.clone(), id, size, give_up }
    }

    /// Reads a request's whole body of at most `max` bytes.
    pub(super) async fn read(&self, request: &mut Request, client: IpAddr, max: usize) -> Result<Bytes, BodyError> {
        let _receiving = request.extensions().get::<Exchange>().map(Exchange::receive);
        let announced = announced(request);
        let mut reader = request.take_body().into_async_read();
        if announced.is_some_and(|length| length > max) {
            let _ = timeout(BODY_TIMEOUT, discard(&mut reader, MAX_DROPPED_BYTES)).await;
            return Err(BodyError::TooLarge);
        }
        let share = self.share(client::network(client), Size::of(announced));
        let collected = async {
            tokio::select! {
                collected = collect(&mut reader, &share, max) => collected,
                () = share.give_up.notified() => Err(BodyError::NoRoom),
            }
        };
        timeout(BODY_TIMEOUT, collected).await.unwrap_or(Err(BodyError::TooSlow))
    }
}

impl Pools {
    fn of(&mut self, size: Size) -> &mut Pool {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }
}

impl Share {
    /// Grows the share to `to` bytes, after `received` bytes have arrived. Returns `false` if there is no room.
    fn grow(&self, to: usize, received: usize) -> bool {
        let mut pools = self.bodies.pools();
        let pool = pools.of(self.size);
        let now = Instant::now();
        if let Some(own) = pool.arriving.get_mut(&self.id) {
            own.measure(received, now);
        }
        pool.grow(self.id, to, self.size, now)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.pools().of(self.size).remove(self.id);
    }
}

/// Reads and discards the body of a rejected request, so that the sender can read the response.
pub(super) async fn reject(request: &mut Request) {
    // A client that waits for `100 Continue` has not sent its body.
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let _receiving = request.extensions().get::<Exchange>().map(Exchange::receive);
    let mut reader = request.take_body().into_async_read();
    let _ = timeout(REJECTED_TIMEOUT, discard(&mut reader, MAX_REJECTED_BYTES)).await;
}

/// Returns the `Content-Length` that the client announced.
fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reason why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// No memory is left, or the body arrived too slowly while others needed the memory.
    NoRoom,
    TooLarge,
    TooSlow,
    Broken,
}

impl BodyError {
    /// Builds the response, if bodies of at most `max` bytes are accepted.
    pub(super) fn answer(&self, max: usize) -> Response {
        match self {
            Self::TooLarge => {
                let message = format!("the body is larger than {} KB", max / 1024);
                error(StatusCode::PAYLOAD_TOO_LARGE, &message)
            }
            Self::NoRoom => unavailable(),
            Self::TooSlow => error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Self::Broken => error(StatusCode::BAD_REQUEST, "the body is incomplete"),
        }
    }
}

async fn collect(reader: &mut (impl AsyncRead + Unpin), share: &Share, max: usize) -> Result<Bytes, BodyError> {
    let mut bytes = BytesMut::with_capacity(4 * 1024);
    while bytes.len() <= max {
        if !share.grow(bytes.capacity(), bytes.len()) {
            return Err(BodyError::NoRoom);
        }
        if reader.read_buf(&mut bytes).await.map_err(|_| BodyError::Broken)? == 0 {
            return Ok(bytes.freeze());
        }
    }
    drop(bytes);
    discard(reader, MAX_DROPPED_BYTES).await;
    Err(BodyError::TooLarge)
}

async fn discard(reader: &mut (impl AsyncRead + Unpin), max: usize) {
    let mut buffer = BytesMut::with_capacity(4 * 1024);
    let mut dropped = 0;
    while dropped <= max {
        buffer.clear();
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => dropped += read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1024 * 1024;

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn has_given_up(share: &Share) -> bool {
        !share.bodies.pools().of(share.size).arriving.contains_key(&share.id)
    }

    #[tokio::test(start_paused = true)]
    async fn memory_share_is_returned() {
        let bodies = Bodies::default();
        let share = bodies.share(from(1), Size::Large);
        assert!(share.grow(1_000, 0) && share.grow(MAX_LARGE_BYTES_PER_CLIENT, 0));
        let other = bodies.share(from(1), Size::Large);
        assert!(!other.grow(1, 0), "the client has used up its share");
        drop(share);
        assert!(other.grow(MAX_LARGE_BYTES_PER_CLIENT, 0));
        drop(other);
        assert!(bodies.pools().large.by_client.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_have_reserved_memory() {
        let bodies = Bodies::default();
        let large: Vec<_> = (0..4).map(|n| bodies.share(from(n), Size::Large)).collect();
        assert!(large.iter().all(|share| share.grow(MAX_LARGE_BYTES_PER_CLIENT, 0)));
        assert!(!bodies.share(from(0), Size::Large).grow(1, 0));
        assert!(bodies.share(from(9), Size::of(Some(SMALL))).grow(SMALL, 0));
        assert_eq!((Size::of(None), Size::of(Some(SMALL + 1))), (Size::Large, Size::Large));
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_small_body_of_the_busiest_client_is_cancelled() {
        let bodies = Bodies::default();
        let honest = bodies.share(from(1), Size::Small);
        assert!(honest.grow(SMALL, 0));
        let attackers: Vec<_> = (0..MAX_SMALL_BYTES / SMALL).map(|_| bodies.share(from(2), Size::Small)).collect();
        assert!(attackers.iter().all(|share| share.grow(SMALL, 0)));
        assert_eq!(attackers.iter().filter(|share| has_given_up(share)).count(), 1);
        assert!(has_given_up(&attackers[0]) && !has_given_up(&honest));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_large_body_is_cancelled_when_memory_is_needed() {
        let bodies = Bodies::default();
        let stalled: Vec<_> = (0..48).map(|n| bodies.share(from(n / 12), Size::Large)).collect();
        assert!(stalled.iter().all(|share| share.grow(MB, MB / 2)));
        let own = bodies.share(from(0), Size::Large);
        assert!(!own.grow(MB, 0), "no body is known to be slow yet, and the client has used up its share");
        drop(own);
        // The first bytes say nothing about the speed of the rest.
        tokio::time::advance(Duration::from_secs(2)).await;
        let honest = bodies.share(from(9), Size::Large);
        assert!(honest.grow(MB, 0));
        assert_eq!(stalled.iter().filter(|share| has_given_up(share)).count(), 1);
        let gone = stalled.iter().find(|share| has_given_up(share)).unwrap();
        tokio::time::timeout(Duration::ZERO, gone.give_up.notified()).await.unwrap();
    }
}
