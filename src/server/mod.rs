//! The HTTP listeners: the public one for webhooks and health checks, and the `admin` listener.

mod accept;
pub mod admin;
mod answer;
mod body;
mod client;
mod connections;
mod hooks;

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{EndpointExt, Request, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Live;
use crate::service::acme::Acme;
use crate::service::health::supervise_service;
use crate::service::intake::Intake;
use crate::service::operations::Operations;
use crate::service::{Config, Service};
use crate::store::{Store, StoreError};
use accept::Tls;
use admin::{Authorizer, Metrics};
use answer::answer;
use body::Bodies;
use connections::{Connections, Limits};

/// Time for requests and deliveries in progress to finish when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// State shared by all public requests.
struct App {
    intake: Arc<Intake>,
    operations: Arc<Operations>,
    /// Memory for bodies that are still arriving.
    bodies: Bodies,
}

/// The bound listeners.
pub struct Listeners {
    /// Listener for webhooks and health checks.
    pub public: TcpListener,
    /// Listener for the admin API.
    pub admin: TcpListener,
    /// Maximum number of files that the process may open. Each connection is one.
    pub open_files: usize,
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
    let live = config.live.clone();
    let service = Service::start(config, store).await?;
    let upkeep = metrics.clone().map(|metrics| {
        let keep_small = move || metrics.clone().keep_small();
        tokio::spawn(supervise_service(service.health(), "metrics", keep_small))
    });
    let (intake, operations) = (service.intake.clone(), service.operations.clone());
    let app = App { intake, operations, bodies: Bodies::default() };
    let admin_endpoint = admin::endpoint(service.operations.clone(), Arc::new(authorizer), metrics);
    let (public_limits, admin_limits) = Limits::for_open_files(listeners.open_files);
    let of_public = Connections::new("public", public_limits, live.clone());
    let of_admin = Connections::new("admin", admin_limits, live.clone());
    let (public_tls, admin_tls) = tls_of(&live, service.acme.clone());
    let (stopping, stopped) = watch::channel(false);
    let public = accept::run(listeners.public, public_tls, of_public, endpoint(Arc::new(app)), stopped.clone(), GRACE);
    let admin = accept::run(listeners.admin, admin_tls, of_admin, admin_endpoint, stopped, GRACE);
    let stop = async {
        stop.await;
        service.begin_stop();
        let _ = stopping.send(true);
    };
    tokio::join!(public, admin, stop);
    if let Some(upkeep) = upkeep {
        upkeep.abort();
    }
    service.stop(GRACE).await
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
    let plain: Tls = Arc::new(|| None);
    let operations = Operations::offline(store, live);
    let (stopping, stopped) = watch::channel(false);
    let served = accept::run(
        listener,
        plain,
        connections,
        admin::endpoint(Arc::new(operations), Arc::new(authorizer), None),
        stopped,
        GRACE,
    );
    let stop = async {
        stop.await;
        let _ = stopping.send(true);
    };
    tokio::join!(served, stop);
}

/// Returns the TLS settings of both listeners, as of the configuration in use.
fn tls_of(live: &Live, acme: Arc<Acme>) -> (Tls, Tls) {
    let (public, admin) = (live.clone(), live.clone());
    let of_public = move || {
        let settings = public.now();
        let given = settings.tls.as_ref().map(|identity| identity.config());
        given.or_else(|| settings.acme.as_ref().and_then(|_| acme.config()))
    };
    (Arc::new(of_public), Arc::new(move || admin.now().admin.tls.as_ref().map(|identity| identity.config())))
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
            hooks::receive(&app, &source, request).await
        }
        [probe] if is(probe, "healthz") || is(probe, "readyz") => match *request.method() {
            Method::GET | Method::HEAD if is(probe, "healthz") => answer(StatusCode::OK, json!({ "status": "ok" })),
            // Without the problems, which name channels and files.
            Method::GET | Method::HEAD => answer::readiness(app.operations.readiness().await.is_ready, &[]),
            _ => answer::method_not_allowed("GET"),
        },
        _ => hooks::unknown_path(&app, request).await,
    }
}
