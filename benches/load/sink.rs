//! The chat: accepts messages as Slack does, records the number in each, and can be slow, silent or unreachable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::ledger::Ledger;
use crate::push::{DIGITS, WORD};
use crate::service::unused_address;
use crate::wire;

/// Behaviour of the sink.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    /// Responds immediately.
    Prompt,
    /// Responds after this time.
    Slow(Duration),
    /// Never responds.
    Silent,
}

/// A running sink. It stops when it is dropped.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    mood: Mood,
    ledger: Arc<Ledger>,
    task: Option<JoinHandle<()>>,
}

impl Sink {
    pub(crate) async fn start(mood: Mood, ledger: &Arc<Ledger>) -> Self {
        let address = unused_address();
        let listener = TcpListener::bind(address).await.unwrap();
        let task = Some(tokio::spawn(run(listener, mood, ledger.clone())));
        Self { address, mood, ledger: ledger.clone(), task }
    }

    /// Closes all connections and accepts no more.
    pub(crate) async fn leave(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // Its connections are closed once the task has ended.
            let _ = task.await;
        }
    }

    /// Listens again on the same address.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = Some(tokio::spawn(run(listener, self.mood, self.ledger.clone())));
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn run(listener: TcpListener, mood: Mood, ledger: Arc<Ledger>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        connections.spawn(serve(stream, mood, ledger.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until it ends.
async fn serve(mut stream: TcpStream, mood: Mood, ledger: Arc<Ledger>) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    while let Ok(Some(framed)) = wire::read(&mut stream, &mut buffer).await {
        match mood {
            Mood::Prompt => {}
            Mood::Slow(time) => tokio::time::sleep(time).await,
            Mood::Silent => std::future::pending().await,
        }
        if let Some(number) = number(&buffer[framed.head..framed.end]) {
            ledger.deliver(number);
        }
        buffer.drain(..framed.end);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok").await.is_err()
        {
            return;
        }
    }
}

/// Returns the number of the request that caused a message.
fn number(message: &[u8]) -> Option<usize> {
    let at = message.windows(WORD.len()).position(|bytes| bytes == WORD)? + WORD.len();
    std::str::from_utf8(message.get(at..at + DIGITS)?).ok()?.parse().ok()
}
