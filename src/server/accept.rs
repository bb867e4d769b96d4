//! The accept loop. It is ours, not poem's, because a public listener needs what poem has not: an end to slow
//! headers and idle connections, a cap on how many there are, and a pause when accepting fails.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// How many connections may be open; more wait in the system's backlog.
const CONNECTIONS: usize = 1_024;

/// How long a request's headers may take to arrive.
const HEADERS: Duration = Duration::from_secs(10);

/// How long a connection may be open without a request under way.
const IDLE: Duration = Duration::from_secs(30);

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The most bytes that a request's headers may have.
const LARGEST_HEADERS: usize = 64 * 1024;

/// The first and the longest pause after accepting failed (no file descriptors left, say).
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long a connection without a request yet may live on when the service stops: its first request is on its way.
const FIRST: Duration = Duration::from_secs(3);

/// Accepts connections until `stopped` says so, then waits up to `grace` for the requests under way.
pub(super) async fn run(
    listener: TcpListener,
    endpoint: BoxEndpoint<'static, Response>,
    mut stopped: watch::Receiver<bool>,
    grace: Duration,
) {
    let endpoint = Arc::new(endpoint);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let stopping = stopped.clone();
    let accepting = async {
        let mut pause = PAUSES.0;
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = PAUSES.0;
                    let connection = serve(stream, peer, endpoint.clone(), stopping.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    drop(listener);
    // All places are free once the last connection is over.
    let over = places.acquire_many(u32::try_from(CONNECTIONS).unwrap_or(u32::MAX));
    if timeout(grace, over).await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
}

/// What the watch over a connection needs to know of its requests.
#[derive(Default)]
struct Activity {
    under_way: AtomicUsize,
    /// Rings when the first request begins.
    first: Notify,
    /// When the last request began or ended, in milliseconds since the connection was opened.
    last: AtomicU64,
}

/// One request under way.
struct UnderWay(Arc<Activity>, Instant);

impl UnderWay {
    fn new(activity: Arc<Activity>, opened: Instant) -> Self {
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        activity.first.notify_one();
        Self(activity, opened)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = u64::try_from(self.1.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    endpoint: Arc<BoxEndpoint<'static, Response>>,
    mut stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> {
    let local = stream.local_addr().ok();
    let (activity, opened) = (Arc::new(Activity::default()), Instant::now());
    let watched = activity.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (endpoint, under_way) = (endpoint.clone(), UnderWay::new(activity.clone(), opened));
        let local = local.map_or_else(Addr::default, Addr::from);
        let request = Request::from((request, LocalAddr(local), RemoteAddr(peer.into()), Scheme::HTTP));
        async move {
            let response = endpoint.get_response(request).await;
            drop(under_way);
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(LARGEST_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(16)
        .max_header_list_size(LARGEST_HEADERS as u32)
        .keep_alive_interval(HEADERS)
        .keep_alive_timeout(HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    async move {
        let mut connection = std::pin::pin!(connection);
        // What a client does to its own connection is its own affair.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = idle(&watched, opened) => return,
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        // Who has just connected is about to ask; closing now would lose them that request.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = watched.first.notified() => {}
            () = sleep(FIRST) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Done when a connection has had no request for too long: from its opening on, for before the first bytes no
/// time-out of hyper's runs.
async fn idle(activity: &Activity, opened: Instant) {
    loop {
        sleep(LOOK).await;
        let since = Duration::from_millis(activity.last.load(Ordering::Relaxed));
        let longest = if since.is_zero() { HEADERS } else { IDLE };
        if activity.under_way.load(Ordering::Relaxed) == 0 && opened.elapsed() > since + longest {
            return;
        }
    }
}
