//! Floors: small servers that do only part of the work, so no design can be faster. Each is a process of its own, so
//! that its processor time and memory can be measured.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioExecutor;
use poem::http::StatusCode;
use poem::listener::TcpAcceptor;
use poem::{EndpointExt, Request, Server};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::journal::{self, Journal};
use crate::naive::Naive;
use crate::push::SECRET;

/// Role of a child process.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    /// Reads the body and responds.
    Bare,
    /// Also verifies and parses it.
    Verified,
    /// Also stores it in SQLite.
    Sqlite,
    /// Also stores it in a plain file.
    File,
    /// Everything that is needed to deliver a message, and nothing else.
    Naive,
    /// Not a server: sends one message after another and marks each as done, as a lane must.
    Lane,
}

pub(crate) const ROLES: [(&str, Role); 6] = [
    ("bare", Role::Bare),
    ("verified", Role::Verified),
    ("sqlite", Role::Sqlite),
    ("file", Role::File),
    ("naive", Role::Naive),
    ("lane", Role::Lane),
];

/// Runs as this role in this directory until the parent process ends.
pub(crate) fn play(role: Role, directory: &Path, sink: &str) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut vec![]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if role == Role::Lane {
            let Lane { trip, bare_trip, commit } = lane(directory, sink).await;
            println!("{trip} {bare_trip} {commit}");
            return;
        }
        let floor = Arc::new(match role {
            Role::Bare => Floor::Bare,
            Role::Sqlite => Floor::Stored(Journal::sqlite(&directory.join("floor.db"))),
            Role::File => Floor::Appended(Journal::file(&directory.join("floor.log"))),
            Role::Naive => Floor::Naive(Naive::start(directory, sink)),
            Role::Verified | Role::Lane => Floor::Verified,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let endpoint = poem::endpoint::make(move |request| {
            let floor = floor.clone();
            async move { floor.receive(request).await }
        });
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        Server::new_with_acceptor(acceptor).run(endpoint.map_to_response()).await.unwrap();
    });
}

/// A server.
enum Floor {
    Bare,
    Verified,
    Stored(Journal),
    Appended(Journal),
    Naive(Naive),
}

impl Floor {
    async fn receive(&self, mut request: Request) -> StatusCode {
        let Ok(body) = request.take_body().into_vec().await else { return StatusCode::BAD_REQUEST };
        if matches!(self, Self::Bare) {
            return StatusCode::ACCEPTED;
        }
        let Some(value) = verified(&request, &body) else { return StatusCode::UNAUTHORIZED };
        match self {
            Self::Bare | Self::Verified => {
                std::hint::black_box(value);
            }
            Self::Stored(journal) => {
                std::hint::black_box(value);
                journal.keep(packed(&body)).await;
            }
            Self::Appended(journal) => {
                std::hint::black_box(value);
                journal.keep(body).await;
            }
            Self::Naive(naive) => naive.receive(value, &body).await,
        }
        StatusCode::ACCEPTED
    }
}

/// Compresses a body: SQLite stores a fifth more of them per second than of uncompressed ones.
pub(crate) fn packed(body: &[u8]) -> Vec<u8> {
    lz4_flex::compress_prepend_size(body)
}

/// Parses a request, if its signature is valid.
fn verified(request: &Request, body: &[u8]) -> Option<Value> {
    let claimed = hex::decode(request.header("X-Hub-Signature")?.strip_prefix("sha256=")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).ok()?;
    mac.update(body);
    mac.verify_slice(&claimed).ok()?;
    serde_json::from_slice(body).ok()
}

/// Times of a lane's steps in seconds.
struct Lane {
    /// Round trip to the sink, with reqwest.
    trip: f64,
    /// The same with the client below reqwest.
    bare_trip: f64,
    /// Unsynced commit.
    commit: f64,
}

/// Measures the steps of a lane.
async fn lane(directory: &Path, sink: &str) -> Lane {
    const ROWS: i64 = 1_000;
    const TIME: Duration = Duration::from_millis(1_000);
    let db = journal::database(&directory.join("lane.db"));
    db.pragma_update(None, "synchronous", "NORMAL").unwrap();
    (0..ROWS).for_each(|_| {
        journal::keep(&db, b"a body");
    });
    let (client, url) = (reqwest::Client::new(), format!("{sink}/services/lane00"));
    let bare = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    // The size of a message with three commits.
    let message = serde_json::json!({ "text": "x".repeat(3_000) }).to_string();
    let (mut trips, mut bare_trips, mut commits, mut count) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0_u32);
    let began = Instant::now();
    while count < 100 || began.elapsed() < TIME {
        let started = Instant::now();
        let request = client.post(&url).header("content-type", "application/json").body(message.clone());
        request.send().await.unwrap().bytes().await.unwrap();
        let sent = Instant::now();
        let request = http::Request::post(&url).header("content-type", "application/json");
        let response = bare.request(request.body(Full::new(Bytes::from(message.clone()))).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
        let sent_bare = Instant::now();
        journal::done(&db, i64::from(count) % ROWS + 1);
        (trips, bare_trips) = (trips + (sent - started), bare_trips + (sent_bare - sent));
        (commits, count) = (commits + sent_bare.elapsed(), count + 1);
    }
    let mean = |sum: Duration| sum.as_secs_f64() / f64::from(count);
    Lane { trip: mean(trips), bare_trip: mean(bare_trips), commit: mean(commits) }
}
