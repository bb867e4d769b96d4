//! The HTTP listeners: the public one for webhooks and health checks, and the `admin` listener.

mod accept;
mod addresses;
pub mod admin;
mod answer;
mod body;
mod client;
mod connections;
mod decide;
mod hooks;
mod log_limit;
mod misdirected;
mod places;
mod receipt;
mod rejected;
mod reload;
mod secret_uses;
mod watch_files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{EndpointExt, Request, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::{Live, Watched};
use crate::delivery::LaneWakers;
use crate::health::{Health, supervise_service};
use crate::problem::Problem;
use crate::store::{Store, StoreError};
use crate::time::SteadyClock;
use crate::time::now;
use admin::{AdminService, Authorizer, Metrics};
use answer::answer;
use body::Bodies;
use connections::{Connections, Limits};
use log_limit::LogLimit;
use misdirected::MisdirectedList;
use places::Places;
use rejected::RejectedList;
use reload::Reloader;
use secret_uses::SecretUses;

pub use misdirected::Misdirected;
pub use reload::{Asking, ReloadAnswer, Reloads, reloads};

/// Time for requests and deliveries in progress to finish when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// State shared by all public requests.
struct App {
    live: Live,
    store: Arc<dyn Store>,
    wakers: LaneWakers,
    rejected: RejectedList,
    misdirected: MisdirectedList,
    secret_uses: SecretUses,
    health: Health,
    /// Memory budget for bodies that are still arriving.
    bodies: Bodies,
    /// Memory budget for verified requests that are queued for the store.
    places: Places,
    /// Memory budget for large bodies that are queued for verification, in KB.
    unverified: Arc<Semaphore>,
    /// Permits to verify and parse a large body.
    parsers: Arc<Semaphore>,
    /// Log limit for requests that could not be stored.
    unavailable: LogLimit,
}

/// Memory budget for large bodies that are queued for verification, in KB.
const UNVERIFIED_KB: usize = 32 * 1024;

/// Maximum number of large bodies parsed concurrently. Each takes a CPU, and up to 25 times its size in memory.
const PARSERS: usize = 2;

/// The bound listeners.
pub struct Listeners {
    /// Listener for webhooks and health checks.
    pub public: TcpListener,
    /// Listener for the admin API.
    pub admin: TcpListener,
    /// Maximum number of files that the process may open. Each connection is one.
    pub open_files: usize,
}

/// The configuration, and the requests to reload it.
pub struct Config {
    /// Path of the config file.
    pub path: PathBuf,
    /// Settings in use.
    pub live: Live,
    /// Handle for requesting reloads.
    pub reloads: Reloads,
    /// Receiver of reload requests.
    pub asking: Asking,
    /// Files that the configuration was read from.
    pub files: Watched,
    /// Prints problems for the user who started the service.
    pub show: fn(&[Problem]),
}

/// Serves until `stop` completes, then lets work in progress finish and returns.
pub async fn serve(
    listeners: Listeners,
    config: Config,
    store: Arc<dyn Store>,
    authorizer: Authorizer,
    stop: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let metrics = Metrics::start();
    let health = Health::default();
    let clock = SteadyClock::start(now());
    let Config { path, live, reloads, asking, files, show } = config;
    let reloader = Reloader::start(path, live.clone(), store.clone(), files, show, health.clone()).await?;
    let rejected = RejectedList::default();
    let wakers = reloader.wakers();
    let mut background = JoinSet::new();
    if let Some(metrics) = metrics.clone() {
        let keep_small = move || metrics.clone().keep_small();
        background.spawn(supervise_service(health.clone(), "metrics", keep_small));
    }
    let write_refusals = {
        let (rejected, store) = (rejected.clone(), store.clone());
        move || rejected.clone().write(store.clone())
    };
    background.spawn(supervise_service(health.clone(), "rejected request log", write_refusals));
    let prune = {
        let (store, live) = (store.clone(), live.clone());
        move || prune(store.clone(), live.clone(), clock)
    };
    background.spawn(supervise_service(health.clone(), "retention", prune));
    let watch = move || crate::time::watch(clock);
    background.spawn(supervise_service(health.clone(), "clock watch", watch));
    let probe = {
        let (store, health) = (store.clone(), health.clone());
        move || probe(store.clone(), health.clone())
    };
    background.spawn(supervise_service(health.clone(), "store probe", probe));
    let service = AdminService {
        wakers: wakers.clone(),
        reloads: Some(reloads),
        health: health.clone(),
        ..AdminService::offline(store.clone(), live.clone())
    };
    let app = App {
        live: live.clone(),
        store: store.clone(),
        wakers,
        rejected: rejected.clone(),
        misdirected: service.misdirected.clone(),
        secret_uses: service.secret_uses.clone(),
        health,
        bodies: Bodies::default(),
        places: Places::new(),
        unverified: Arc::new(Semaphore::new(UNVERIFIED_KB)),
        parsers: Arc::new(Semaphore::new(PARSERS)),
        unavailable: LogLimit::default(),
    };
    let (stopping, stopped) = watch::channel(false);
    let reloader = tokio::spawn(reloader.run(asking, stopped.clone()));
    let admin_endpoint = admin::endpoint(Arc::new(service), Arc::new(authorizer), metrics);
    let (public_limits, admin_limits) = Limits::for_open_files(listeners.open_files);
    let of_public = Connections::new("public", public_limits, live.clone());
    let of_admin = Connections::new("admin", admin_limits, live);
    let public = accept::run(listeners.public, of_public, endpoint(Arc::new(app)), stopped.clone(), GRACE);
    let admin = accept::run(listeners.admin, of_admin, admin_endpoint, stopped, GRACE);
    let stop = async {
        stop.await;
        let _ = stopping.send(true);
    };
    tokio::join!(public, admin, stop);
    background.shutdown().await;
    rejected.write_waiting(&store).await;
    // Requests that outlive the grace period may still be stored. They are delivered after the next start.
    if let Ok(dispatcher) = reloader.await {
        dispatcher.stop(GRACE).await;
    }
    store.close().await
}

/// Serves only the admin listener, for reading and previewing, until `stop` completes.
pub async fn serve_admin(
    listener: TcpListener,
    live: Live,
    store: Arc<dyn Store>,
    authorizer: Authorizer,
    stop: impl Future<Output = ()>,
) {
    let (_, limits) = Limits::for_open_files(1_024);
    let connections = Connections::new("admin", limits, live.clone());
    let service = AdminService::offline(store, live);
    let (stopping, stopped) = watch::channel(false);
    let served = accept::run(
        listener,
        connections,
        admin::endpoint(Arc::new(service), Arc::new(authorizer), None),
        stopped,
        GRACE,
    );
    let stop = async {
        stop.await;
        let _ = stopping.send(true);
    };
    tokio::join!(served, stop);
}

/// Interval at which expired data is pruned.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// Prunes expired data, immediately and then every hour. Never returns.
async fn prune(store: Arc<dyn Store>, live: Live, clock: SteadyClock) {
    loop {
        let settings = live.now();
        if !settings.is_routing_invalid
            && let Err(error) = store.keep_config(&settings.kept.hash, &settings.kept.text, now()).await
        {
            tracing::warn!(%error, "storing the configuration failed; retrying in an hour");
        }
        loop {
            match store.prune(settings.keep, clock.for_ages(now())).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "pruning failed; retrying in an hour");
                    break;
                }
            }
        }
        tokio::time::sleep(FORGET).await;
    }
}

/// Interval between probes of a failing store.
const PROBE: Duration = Duration::from_secs(1);

/// Probes a failing store until it accepts writes again, so that recovery is noticed without waiting for a request.
/// Never returns.
async fn probe(store: Arc<dyn Store>, health: Health) {
    loop {
        let bytes = health.store_failure().await;
        tokio::time::sleep(PROBE).await;
        if store.probe(bytes).await.is_ok() {
            health.store_works();
        }
    }
}

fn endpoint(app: Arc<App>) -> BoxEndpoint<'static, Response> {
    poem::endpoint::make(move |request: Request| {
        let app = app.clone();
        async move { serve_public(app, request).await }
    })
    .map_to_response()
    .boxed()
}

/// Serves a request to the public listener. Ignores repeated and trailing slashes, and case: people type webhook URLs
/// by hand.
async fn serve_public(app: Arc<App>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is = |part: &str, name: &str| part.eq_ignore_ascii_case(name);
    match parts.as_slice() {
        [hooks, source] if is(hooks, "hooks") => {
            let source = percent_decode_str(source).decode_utf8_lossy();
            hooks::receive(app, &source, request).await
        }
        [health] if is(health, "healthz") => match *request.method() {
            Method::GET | Method::HEAD => answer(StatusCode::OK, json!({ "status": "ok" })),
            _ => answer::method_not_allowed("GET"),
        },
        _ => hooks::misdirected(&app, request).await,
    }
}
