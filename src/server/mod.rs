//! The public listener: webhooks and health.

mod accept;
mod addresses;
mod answer;
mod body;
mod client;
mod decide;
mod hooks;
mod receipt;
mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{EndpointExt, Request, Response, Route};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Settings;
use crate::delivery::{self, Dispatcher};
use crate::event::ChannelName;
use crate::store::{Keep, Lane, Store, StoreError, now};
use answer::answer;
use refusals::Refusals;

/// How long what is under way gets to finish when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// What a request needs.
struct App {
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    /// The lane of each channel.
    lanes: Arc<BTreeMap<ChannelName, Lane>>,
    dispatcher: Dispatcher,
    refusals: Refusals,
}

/// Serves until `stop` is done; then lets what is under way finish, and returns.
pub async fn serve(
    listener: TcpListener,
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    stop: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let lanes = Arc::new(delivery::lanes(&settings));
    let dispatcher = Dispatcher::start(settings.clone(), &lanes, store.clone()).await?;
    let refusals = Refusals::default();
    let mut beside = JoinSet::new();
    beside.spawn(refusals.clone().write(store.clone()));
    beside.spawn(forget(store.clone(), settings.keep));
    for list in &settings.address_lists {
        beside.spawn(addresses::keep_fresh(list.clone(), settings.http.clone(), list.kept_at(&settings.store)));
    }
    let app = Arc::new(App { settings, store: store.clone(), lanes, dispatcher, refusals: refusals.clone() });
    accept::run(listener, endpoint(app.clone()), stop, GRACE).await;
    beside.shutdown().await;
    refusals.write_waiting(&store).await;
    match Arc::try_unwrap(app) {
        Ok(app) => app.dispatcher.stop(GRACE).await,
        // A request that outlived its grace still holds it; the process ends, and with it the lanes.
        Err(_) => tracing::warn!("a request did not finish in time"),
    }
    Ok(())
}

/// How long to wait before what has become too old meanwhile is forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// Forgets what is too old, at once and every hour. It never ends by itself.
async fn forget(store: Arc<dyn Store>, keep: Keep) {
    loop {
        loop {
            match store.forget(keep, now()).await {
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

fn endpoint(app: Arc<App>) -> BoxEndpoint<'static, Response> {
    let hooks = poem::endpoint::make(move |request: Request| {
        let app = app.clone();
        async move { hooks::receive(app, request).await }
    });
    let health = poem::endpoint::make_sync(|request: Request| match *request.method() {
        Method::GET | Method::HEAD => answer(StatusCode::OK, json!({ "status": "ok" })),
        _ => answer::method_not_allowed("GET"),
    });
    let routes = Route::new().at("/hooks/:source", hooks).at("/healthz", health);
    routes.catch_all_error(|error: poem::Error| async move { answer::of_error(&error) }).map_to_response().boxed()
}
