//! The load generator. In a closed loop, each connection sends its next request after the response to the last. In an
//! open loop, requests are due by the clock, so a late response delays, and counts for, all requests behind it.

use std::io;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::ledger::{Ledger, PATIENCE};
use crate::push::Supply;
use crate::wire;

/// Number of connections.
pub(crate) const CONNECTIONS: usize = 64;

/// Sends prepared requests to an address and records the results.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) supply: Arc<Supply>,
    pub(crate) ledger: Arc<Ledger>,
    /// Statuses of accepted requests.
    pub(crate) accepted: RangeInclusive<u16>,
}

/// Result of a loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Number of requests, successful or not.
    pub(crate) count: usize,
    pub(crate) took: Duration,
}

impl Sent {
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

impl Client {
    /// Creates a client of Hookbell, or of a server that answers like it.
    pub(crate) fn new(address: SocketAddr, supply: Arc<Supply>, ledger: Arc<Ledger>) -> Self {
        Self { address, supply, ledger, accepted: 202..=202 }
    }

    /// Sends these requests, at most for `time`.
    pub(crate) async fn closed(&self, requests: Range<usize>, time: Duration) -> Sent {
        let (next, mut tasks) = (Arc::new(AtomicUsize::new(requests.start)), JoinSet::new());
        let connections = self.connect().await;
        let began = Instant::now();
        for mut connection in connections {
            let (next, client) = (next.clone(), self.clone());
            tasks.spawn(async move {
                let mut count = 0;
                while began.elapsed() < time {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= requests.end {
                        break;
                    }
                    client.send(&mut connection, n, Instant::now()).await;
                    count += 1;
                }
                count
            });
        }
        let count = tasks.join_all().await.into_iter().sum();
        Sent { count, took: began.elapsed() }
    }

    /// Sends these requests at a fixed rate.
    pub(crate) async fn open(&self, requests: Range<usize>, per_second: usize) -> Sent {
        let (due, next) = mpsc::unbounded_channel();
        let (next, mut tasks) = (Arc::new(Mutex::new(next)), JoinSet::new());
        let (connections, count) = (self.connect().await, requests.len());
        let began = Instant::now();
        for mut connection in connections {
            let (next, client) = (next.clone(), self.clone());
            tasks.spawn(async move {
                loop {
                    let taken = next.lock().await.recv().await;
                    let Some((n, at)) = taken else { return };
                    client.send(&mut connection, n, at).await;
                }
            });
        }
        // tokio's timer has a resolution of one millisecond, which is longer than the measured times.
        std::thread::spawn(move || {
            for (i, n) in requests.enumerate() {
                let at = began + Duration::from_secs(1) * i as u32 / per_second as u32;
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if due.send((n, at)).is_err() {
                    return;
                }
            }
        });
        tasks.join_all().await;
        Sent { count, took: began.elapsed() }
    }

    async fn connect(&self) -> Vec<Connection> {
        let mut connections = vec![];
        for _ in 0..CONNECTIONS {
            let mut connection =
                Connection { wire: self.supply.blank(), answer: Vec::with_capacity(4_096), stream: None };
            connection.stream = Some(dial(self.address).await);
            connections.push(connection);
        }
        connections
    }

    async fn send(&self, connection: &mut Connection, n: usize, due: Instant) {
        let number = self.supply.number(n);
        self.supply.fill(&mut connection.wire, number);
        self.ledger.due(number, due);
        match connection.exchange(self.address).await {
            Ok(status) if self.accepted.contains(&status) => self.ledger.acknowledge(number),
            Ok(_) => self.ledger.refuse(),
            Err(_) => {
                connection.stream = None;
                self.ledger.break_off();
            }
        }
    }
}

struct Connection {
    wire: Vec<u8>,
    answer: Vec<u8>,
    stream: Option<TcpStream>,
}

impl Connection {
    /// Sends the buffer and reads the status of the response.
    async fn exchange(&mut self, address: SocketAddr) -> io::Result<u16> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(dial(address).await),
        };
        stream.write_all(&self.wire).await?;
        self.answer.clear();
        let framed = wire::read(stream, &mut self.answer).await?;
        framed.ok_or(io::ErrorKind::UnexpectedEof)?;
        wire::status(&self.answer)
    }
}

/// Connects as soon as the address accepts connections.
async fn dial(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(error) => assert!(Instant::now() < deadline, "cannot connect to {address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
