//! The listeners: webhooks and health for the public one, and beside it `admin`.

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
mod refusals;
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

use crate::clock::SteadyClock;
use crate::config::{Live, Watched};
use crate::delivery::Bells;
use crate::health::{Health, supervise_service};
use crate::problem::Problem;
use crate::store::{Store, StoreError, now};
use admin::{Desk, Gate, Metrics};
use answer::answer;
use body::Bodies;
use connections::{Connections, Limits};
use log_limit::LogLimit;
use misdirected::MisdirectedList;
use places::Places;
use refusals::Refusals;
use reload::Reloader;
use secret_uses::SecretUses;

pub use misdirected::Misdirected;
pub use reload::{Asking, ReloadAnswer, Reloads, reloads};

/// How long what is under way gets to finish when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// What a request needs.
struct App {
    live: Live,
    store: Arc<dyn Store>,
    bells: Bells,
    refusals: Refusals,
    misdirected: MisdirectedList,
    secret_uses: SecretUses,
    health: Health,
    /// Memory for bodies that are still arriving.
    bodies: Bodies,
    /// Memory for requests that wait for the store.
    places: Places,
    /// Memory for large bodies that wait to be verified, in KB.
    unverified: Arc<Semaphore>,
    /// Turns for large bodies to be verified and parsed.
    parsers: Arc<Semaphore>,
    /// Log lines about requests that could not be stored.
    unavailable: LogLimit,
}

/// Memory for large bodies that wait to be verified, in KB.
const UNVERIFIED_KB: usize = 32 * 1024;

/// Large bodies that are parsed at once: each takes a processor, and up to 25 times its size in memory.
const PARSERS: usize = 2;

/// Where to listen.
pub struct Listeners {
    /// For webhooks and health checks.
    pub public: TcpListener,
    /// For those who look after the service.
    pub admin: TcpListener,
    /// Files that the process may have open; each connection is one.
    pub open_files: usize,
}

/// Where the settings come from, and who asks for them to be read again.
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What was read of it.
    pub live: Live,
    /// The way to have it read again.
    pub reloads: Reloads,
    /// What is asked that way.
    pub asking: Asking,
    /// What it was read from.
    pub files: Watched,
    /// Shows problems to whoever started the service.
    pub show: fn(&[Problem]),
}

/// Serves until `stop` is done; then lets what is under way finish, and returns.
pub async fn serve(
    listeners: Listeners,
    config: Config,
    store: Arc<dyn Store>,
    gate: Gate,
    stop: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let metrics = Metrics::start();
    let health = Health::default();
    let clock = SteadyClock::start(now());
    let Config { path, live, reloads, asking, files, show } = config;
    let reloader = Reloader::start(path, live.clone(), store.clone(), files, show, health.clone()).await?;
    let refusals = Refusals::default();
    let bells = reloader.bells();
    let mut beside = JoinSet::new();
    if let Some(metrics) = metrics.clone() {
        let keep_small = move || metrics.clone().keep_small();
        beside.spawn(supervise_service(health.clone(), "metrics", keep_small));
    }
    let write_refusals = {
        let (refusals, store) = (refusals.clone(), store.clone());
        move || refusals.clone().write(store.clone())
    };
    beside.spawn(supervise_service(health.clone(), "the list of rejected requests", write_refusals));
    let prune = {
        let (store, live) = (store.clone(), live.clone());
        move || forget(store.clone(), live.clone(), clock)
    };
    beside.spawn(supervise_service(health.clone(), "retention", prune));
    let watch = move || crate::clock::watch(clock);
    beside.spawn(supervise_service(health.clone(), "the watch over the clock", watch));
    let probe = {
        let (store, health) = (store.clone(), health.clone());
        move || probe(store.clone(), health.clone())
    };
    beside.spawn(supervise_service(health.clone(), "the probe of the store", probe));
    let desk = Desk {
        bells: bells.clone(),
        reloads: Some(reloads),
        health: health.clone(),
        ..Desk::without_service(store.clone(), live.clone())
    };
    let app = App {
        live: live.clone(),
        store: store.clone(),
        bells,
        refusals: refusals.clone(),
        misdirected: desk.misdirected.clone(),
        secret_uses: desk.secret_uses.clone(),
        health,
        bodies: Bodies::default(),
        places: Places::new(),
        unverified: Arc::new(Semaphore::new(UNVERIFIED_KB)),
        parsers: Arc::new(Semaphore::new(PARSERS)),
        unavailable: LogLimit::default(),
    };
    let (stopping, stopped) = watch::channel(false);
    let reloader = tokio::spawn(reloader.run(asking, stopped.clone()));
    let looked_after = admin::endpoint(Arc::new(desk), Arc::new(gate), metrics);
    let (public_limits, admin_limits) = Limits::for_open_files(listeners.open_files);
    let of_public = Connections::new("public", public_limits, live.clone());
    let of_admin = Connections::new("admin", admin_limits, live);
    let public = accept::run(listeners.public, of_public, endpoint(Arc::new(app)), stopped.clone(), GRACE);
    let admin = accept::run(listeners.admin, of_admin, looked_after, stopped, GRACE);
    let told = async {
        stop.await;
        let _ = stopping.send(true);
    };
    tokio::join!(public, admin, told);
    beside.shutdown().await;
    refusals.write_waiting(&store).await;
    // What requests that outlived their grace still store is delivered after the next start.
    if let Ok(dispatcher) = reloader.await {
        dispatcher.stop(GRACE).await;
    }
    store.close().await
}

/// Serves the admin listener alone, for looking and previewing, until `stop` is done.
pub async fn serve_admin(
    listener: TcpListener,
    live: Live,
    store: Arc<dyn Store>,
    gate: Gate,
    stop: impl Future<Output = ()>,
) {
    let (_, limits) = Limits::for_open_files(1_024);
    let connections = Connections::new("admin", limits, live.clone());
    let desk = Desk::without_service(store, live);
    let (stopping, stopped) = watch::channel(false);
    let served =
        accept::run(listener, connections, admin::endpoint(Arc::new(desk), Arc::new(gate), None), stopped, GRACE);
    let told = async {
        stop.await;
        let _ = stopping.send(true);
    };
    tokio::join!(served, told);
}

/// How long to wait before what has become too old meanwhile is forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// Forgets what is too old, at once and every hour. It never ends by itself.
async fn forget(store: Arc<dyn Store>, live: Live, clock: SteadyClock) {
    loop {
        let settings = live.now();
        if !settings.is_undecided
            && let Err(error) = store.keep_config(&settings.kept.hash, &settings.kept.text, now()).await
        {
            tracing::warn!(%error, "trying again in an hour");
        }
        loop {
            match store.forget(settings.keep, clock.for_ages(now())).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "trying again in an hour");
                    break;
                }
            }
        }
        tokio::time::sleep(FORGET).await;
    }
}

/// Pause between two probes of a store that fails.
const PROBE: Duration = Duration::from_secs(1);

/// While the store fails, tries again and again whether it takes requests, so that this is known without waiting for one.
/// It never ends by itself.
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

/// Serves a request to the public listener. Slashes that are doubled or at the end make no difference, nor does case:
/// people type the URL of a webhook.
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
