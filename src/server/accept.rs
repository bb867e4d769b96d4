//! Accept loop. It replaces poem's, which lacks what a public listener needs: timeouts for slow headers and idle
//! connections, connection limits, and a pause when accepting fails.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, StatusCode, Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::answer;
use super::connections::{Connection, Connections};
use crate::telemetry::LogLimit;
use crate::tls;

/// Time within which a request's headers must arrive.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time that a connection may stay open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time within which a TLS handshake must complete.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval between checks for idle connections.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// Maximum size of a request's headers in bytes, HTTP/1 and HTTP/2 alike. Bitbucket sends less than 2 KB.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 8;

/// HTTP/2 flow-control window in bytes, for each stream and for the whole connection.
const MAX_WINDOW_BYTES: u32 = 64 * 1024;

/// First and maximum pause after accepting fails, for example because the process can open no more files.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Time to wait for the first request of a new connection when the service stops. The request may already be on its
/// way.
const FIRST_REQUEST: Duration = Duration::from_secs(3);

/// Returns the current TLS settings of a listener; `None` for plain HTTP.
pub(super) type Tls = Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>;

/// Accepts connections until `stopped` is true, then waits up to `grace` for the requests in progress.
pub(super) async fn run(
    listener: TcpListener,
    tls: Tls,
    connections: Arc<Connections>,
    endpoint: BoxEndpoint<'static, Response>,
    mut stopped: watch::Receiver<bool>,
    grace: Duration,
) {
    let shared = Arc::new(Shared { endpoint, connections: connections.clone(), tls, handshakes: LogLimit::default() });
    let stopping = stopped.clone();
    let accepting = async {
        let (mut pause, failures) = (PAUSES.0, LogLimit::default());
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = PAUSES.0;
                    if let Some(connection) = connections.open(peer.ip()) {
                        tokio::spawn(serve(stream, peer, connection, shared.clone(), stopping.clone()));
                    }
                }
                Err(error) => {
                    connections.make_room();
                    failures.log(|skipped| tracing::error!(%error, skipped, "cannot accept connections"));
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
    if timeout(grace, connections.all_closed()).await.is_err() {
        tracing::warn!(connections = connections.count(), "some connections did not finish in time");
    }
}

/// State shared by the connections of a listener.
struct Shared {
    endpoint: BoxEndpoint<'static, Response>,
    connections: Arc<Connections>,
    tls: Tls,
    handshakes: LogLimit,
}

/// Serves one connection until it closes. Its handshake, if it has one, counts as waiting for the client.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    open: Connection,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let local = stream.local_addr().ok();
    let Some(config) = (shared.tls)() else {
        return exchange(stream, Scheme::HTTP, (local, peer), open, shared, stopped).await;
    };
    let stopping = async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let too_long = async {
        tokio::select! {
            () = sleep(HANDSHAKE_TIMEOUT) => {}
            // A request is about to follow the handshake.
            () = stopping => sleep(FIRST_REQUEST).await,
        }
    };
    let handshake = tokio::select! {
        handshake = tls::accept(config, stream) => handshake,
        () = open.closed() => return,
        () = too_long => return open.timed_out(),
    };
    match handshake {
        Ok(None) => {}
        Ok(Some(stream)) => exchange(stream, Scheme::HTTPS, (local, peer), open, shared, stopped).await,
        Err(error) => {
            let help = is_plain_http(&error).then_some("the client uses http; use https");
            let client = peer.ip();
            shared.handshakes.log(|skipped| tracing::info!(%client, %error, help, skipped, "no TLS connection"));
        }
    }
}

/// Returns true if a handshake failed because the client did not begin one.
fn is_plain_http(error: &std::io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidMessage(_)))
}

/// Serves the requests of a connection.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    scheme: Scheme,
    (local, peer): (Option<SocketAddr>, SocketAddr),
    open: Connection,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let (open, first) = (Arc::new(open), Arc::new(Notify::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (shared, exchange, scheme) = (shared.clone(), open.request(), scheme.clone());
        first.notify_one();
        let is_http_1 = request.version() < Version::HTTP_2;
        let local = local.map_or_else(Addr::default, Addr::from);
        let mut request = Request::from((request, LocalAddr(local), RemoteAddr(peer.into()), scheme));
        request.extensions_mut().insert(exchange.clone());
        async move {
            // A panic affects only this request.
            let response = AssertUnwindSafe(shared.endpoint.get_response(request)).catch_unwind().await;
            let mut response = response.unwrap_or_else(|_| panicked());
            if is_http_1 && shared.connections.is_crowded() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            drop(exchange);
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .initial_stream_window_size(MAX_WINDOW_BYTES)
        .initial_connection_window_size(MAX_WINDOW_BYTES)
        .keep_alive_interval(HEADERS_TIMEOUT)
        .keep_alive_timeout(HEADERS_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = open.closed() => return,
        () = idle(&open) => return open.timed_out(),
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    // A client that has just connected is about to send its request: closing now would lose it.
    if open.idle().is_some_and(|(_, has_requested)| !has_requested) {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = first.notified() => {}
            () = sleep(FIRST_REQUEST) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

fn panicked() -> Response {
    metrics::counter!("hookbell_panics_total", "task" => "request").increment(1);
    answer::error(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be served: this is a bug in Hookbell")
}

/// Returns when a connection has had no request for too long. The time starts when the connection opens, because
/// hyper's timeouts start only with the first byte.
async fn idle(open: &Connection) {
    loop {
        sleep(IDLE_CHECK).await;
        let is_over = |(time, has_requested)| time > if has_requested { IDLE_TIMEOUT } else { HEADERS_TIMEOUT };
        if open.idle().is_some_and(is_over) {
            return;
        }
    }
}
