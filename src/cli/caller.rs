//! Client of the admin API: over HTTP if the service is running, within this process otherwise.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::{Endpoint, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::failure::{Doing, Failure};
use crate::config::{self, Live, Secrets};
use crate::http_client::last_cause;
use crate::server::admin::{self, AdminService, Authorizer, token_path};
use crate::store::StoreError;
use crate::store::sqlite::{self, SqliteStore};

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

/// Connection to an admin API.
pub(super) struct Caller {
    runtime: Runtime,
    way: Way,
}

enum Way {
    /// This process has opened the store.
    Here(BoxEndpoint<'static, Response>),
    /// Another process runs the service.
    There { url: String, token: SecretString, client: reqwest::Client },
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
            Some(url) => there(url.trim_end_matches('/').to_owned(), self.token()?)?,
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
    let path = config::store(config).map_err(Failure::Problems)?;
    if !path.exists() {
        return Err(Failure::NoStore(path));
    }
    match SqliteStore::open(&path) {
        Ok(store) => {
            let live = Live::new(config::load(config, Secrets::Leave).sound().map_err(Failure::Problems)?);
            let service = AdminService::offline(Arc::new(store), live);
            Ok(Way::Here(admin::endpoint(Arc::new(service), Arc::new(Authorizer::open()), None)))
        }
        Err(StoreError::InUse { .. }) => {
            let address = sqlite::user_of(&path).ok_or(Failure::Restarting)?;
            there(format!("http://{address}"), read_token(&token_path(&path))?)
        }
        Err(error) => Err(error.into()),
    }
}

fn there(url: String, token: SecretString) -> Result<Way, Failure> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
        .map_err(|error| Failure::NoClient(last_cause(&error).to_string()))?;
    Ok(Way::There { url, token, client })
}

impl Caller {
    /// Sends a GET request, without unset query parameters.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T, Failure> {
        let given: Vec<_> = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        let query = serde_urlencoded::to_string(given).unwrap_or_default();
        self.ask(Method::GET, &format!("{path}?{query}"), None)
    }

    /// Sends a POST request with a JSON body.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.ask(Method::POST, path, Some(body.to_string()))
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<String>) -> Result<T, Failure> {
        let (status, text) = self.runtime.block_on(async {
            match &self.way {
                Way::Here(endpoint) => here(endpoint, method, path, body).await,
                Way::There { url, token, client } => {
                    let mut request = client.request(method, format!("{url}{path}")).bearer_auth(token.expose_secret());
                    if let Some(body) = body {
                        request = request.header("content-type", "application/json").body(body);
                    }
                    let unreached = |error: reqwest::Error| Failure::Unreachable {
                        url: url.clone(),
                        reason: last_cause(&error).to_string(),
                    };
                    let response = request.send().await.map_err(unreached)?;
                    Ok((response.status().as_u16(), response.text().await.map_err(unreached)?))
                }
            }
        })?;
        if status != 200 {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let why = answer["error"].as_str().map_or_else(|| format!("status {status}"), ToOwned::to_owned);
            return Err(if status == 404 { Failure::NotFound(why) } else { Failure::Api(why) });
        }
        serde_json::from_str(&text).map_err(Failure::UnexpectedResponse)
    }
}

async fn here(
    endpoint: &BoxEndpoint<'static, Response>,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<(u16, String), Failure> {
    let broken = Failure::ApiCall;
    let uri = path.parse::<poem::http::Uri>().map_err(|error| broken(error.to_string()))?;
    let request = Request::builder().method(method).uri(uri).content_type("application/json");
    let request = request.body(body.unwrap_or_default());
    let response = endpoint.get_response(request).await;
    let status = response.status().as_u16();
    let text = response.into_body().into_string().await.map_err(|error| broken(error.to_string()))?;
    Ok((status, text))
}
