//! The operations: called directly on the store, or over HTTP if the service is running.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use poem::http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::failure::{Doing, Failure};
use crate::config::{self, Live, Secrets};
use crate::http_client::{Trust, last_cause};
use crate::server::admin::token_path;
use crate::service::operations::{
    ChannelsAnswer, DeliveriesAnswer, DeliveriesQuery, DropAnswer, EventAnswer, EventsAnswer, EventsQuery,
    ExplainAnswer, ExplainQuery, Limit, OperationError, Operations, Reason, RejectedAnswer, ReplayAnswer, Selection,
    SourcesAnswer,
};
use crate::store::{DeliveryDetail, StoreError};
use crate::tls::scheme;

/// Environment variable for the API token.
const TOKEN: &str = "HOOKBELL_TOKEN";

/// Options that select the Hookbell instance.
#[derive(Args)]
pub(super) struct Server {
    /// Admin URL of another instance, `http://host:8081`; by default, the running instance that uses the configured
    /// store, or the store itself
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the API token for `--server`; by default, the environment variable HOOKBELL_TOKEN
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

/// Calls operations.
pub(super) struct Caller {
    runtime: Runtime,
    way: Way,
}

enum Way {
    /// This process has opened the store.
    Here(Box<Operations>),
    /// Another process runs the service.
    There(Api),
}

/// Admin API of another process.
struct Api {
    url: String,
    token: SecretString,
    client: reqwest::Client,
}

impl Server {
    /// Returns true if `--server` is set.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.server.is_some()
    }

    /// Connects to the selected instance.
    pub(super) fn caller(&self, config: &Path) -> Result<Caller, Failure> {
        let runtime = super::runtime()?;
        let way = match &self.server {
            Some(url) => there(url.trim_end_matches('/').to_owned(), self.token()?, Trust::SystemAnd(None))?,
            None => {
                // The store's readers need a runtime.
                let _guard = runtime.enter();
                of_config(config)?
            }
        };
        Ok(Caller { runtime, way })
    }

    fn token(&self) -> Result<SecretString, Failure> {
        match &self.token_file {
            Some(path) => read_token(path),
            None => std::env::var(TOKEN).map(SecretString::from).map_err(|_| Failure::NoToken(TOKEN)),
        }
    }
}

/// Reads the token of the admin API from a file.
pub(super) fn read_token(path: &Path) -> Result<SecretString, Failure> {
    let token = crate::text_file::read_text(path, crate::text_file::MAX_SECRET)
        .map_err(Failure::file(Doing::ReadTokenFile, path))?;
    Ok(token.trim().to_owned().into())
}

/// Connects to the instance that uses the configured store, or opens the store.
fn of_config(config: &Path) -> Result<Way, Failure> {
    let (url, tls) = config::service(config).map_err(Failure::Problems)?;
    if !url.exists() {
        return Err(Failure::NoStore(url));
    }
    match url.open() {
        Ok(store) => {
            let live = Live::new(config::load(config, Secrets::Leave).sound().map_err(Failure::Problems)?);
            Ok(Way::Here(Box::new(Operations::offline(store, live))))
        }
        Err(StoreError::InUse { .. }) => {
            let address = url.address().ok_or(Failure::Restarting)?;
            let (tls, token) = (tls.as_deref(), read_token(&token_path(&url))?);
            there(
                format!("{}://{address}", scheme(tls.is_some())),
                token,
                tls.map_or(Trust::SystemAnd(None), Trust::Only),
            )
        }
        Err(error) => Err(error.into()),
    }
}

fn there(url: String, token: SecretString, trust: Trust<'_>) -> Result<Way, Failure> {
    Ok(Way::There(Api { url, token, client: super::client(Duration::from_secs(30), trust)? }))
}

impl Caller {
    pub(super) fn events(&self, query: EventsQuery) -> Result<EventsAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.events(query)),
            Way::There(api) => self.there(api.get("/api/v1/events", &query)),
        }
    }

    pub(super) fn event(&self, id: &str) -> Result<EventAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.event(id.into())),
            Way::There(api) => self.there(api.get(&format!("/api/v1/events/{}", segment(id)), &())),
        }
    }

    pub(super) fn explain(&self, query: ExplainQuery) -> Result<ExplainAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.explain(query)),
            Way::There(api) => self.there(api.get("/api/v1/explain", &query)),
        }
    }

    pub(super) fn rejected(&self, query: Limit) -> Result<RejectedAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.rejected(query)),
            Way::There(api) => self.there(api.get("/api/v1/rejected", &query)),
        }
    }

    pub(super) fn deliveries(&self, query: DeliveriesQuery) -> Result<DeliveriesAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.deliveries(query)),
            Way::There(api) => self.there(api.get("/api/v1/deliveries", &query)),
        }
    }

    pub(super) fn delivery(&self, id: &str) -> Result<DeliveryDetail, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.delivery(id.into())),
            Way::There(api) => self.there(api.get(&format!("/api/v1/deliveries/{}", segment(id)), &())),
        }
    }

    pub(super) fn channels(&self) -> Result<ChannelsAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.channels()),
            Way::There(api) => self.there(api.get("/api/v1/channels", &())),
        }
    }

    pub(super) fn sources(&self) -> Result<SourcesAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.sources()),
            Way::There(api) => self.there(api.get("/api/v1/sources", &())),
        }
    }

    pub(super) fn pause(&self, channel: &str, query: Reason) -> Result<ChannelsAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.pause(channel.into(), query)),
            Way::There(api) => self.there(api.post(&format!("/api/v1/channels/{}/pause", segment(channel)), &query)),
        }
    }

    pub(super) fn reopen(&self, channel: &str) -> Result<ChannelsAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.reopen(channel.into())),
            Way::There(api) => {
                let path = format!("/api/v1/channels/{}/reopen", segment(channel));
                self.there(api.post(&path, &Map::new()))
            }
        }
    }

    pub(super) fn replay(&self, selection: Selection) -> Result<ReplayAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.replay(selection)),
            Way::There(api) => self.there(api.post("/api/v1/deliveries/replay", &selection)),
        }
    }

    pub(super) fn reroute(&self, selection: Selection) -> Result<ReplayAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.reroute(selection)),
            Way::There(api) => self.there(api.post("/api/v1/deliveries/reroute", &selection)),
        }
    }

    pub(super) fn drop(&self, selection: Selection) -> Result<DropAnswer, Failure> {
        match &self.way {
            Way::Here(operations) => self.here(operations.drop_deliveries(selection)),
            Way::There(api) => self.there(api.post("/api/v1/deliveries/drop", &selection)),
        }
    }

    fn here<T>(&self, work: impl Future<Output = Result<T, OperationError>>) -> Result<T, Failure> {
        self.runtime.block_on(work).map_err(|error| {
            let why = error.to_string();
            if error.is_not_found() { Failure::NotFound(why) } else { Failure::Api(why) }
        })
    }

    fn there<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime.block_on(work)
    }
}

impl Api {
    /// Sends a GET request, without query parameters that are `None`.
    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        self.ask(Method::GET, &format!("{path}?{query}"), None).await
    }

    /// Sends a POST request with a JSON body.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.ask(Method::POST, path, Some(serde_json::to_string(body).unwrap_or_default())).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<String>) -> Result<T, Failure> {
        let Self { url, token, client } = self;
        let mut request = client.request(method, format!("{url}{path}")).bearer_auth(token.expose_secret());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let unreached =
            |error: reqwest::Error| Failure::Unreachable { url: url.clone(), reason: last_cause(&error).to_string() };
        let response = request.send().await.map_err(unreached)?;
        let (status, text) = (response.status().as_u16(), response.text().await.map_err(unreached)?);
        if status != 200 {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let why = answer["error"].as_str().map_or_else(|| format!("status {status}"), ToOwned::to_owned);
            return Err(if status == 404 { Failure::NotFound(why) } else { Failure::Api(why) });
        }
        serde_json::from_str(&text).map_err(Failure::UnexpectedResponse)
    }
}

/// Percent-encodes a path segment.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
