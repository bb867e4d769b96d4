//! Asking the admin API: over HTTP where the service runs, within this process where it does not.

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

use super::Failure;
use crate::config::{self, Live, Secrets};
use crate::http_client::last_cause;
use crate::server::admin::{self, Desk, Gate, token_path};
use crate::store::StoreError;
use crate::store::sqlite::{self, SqliteStore};

/// The environment variable that may hold a token.
const TOKEN: &str = "HOOKBELL_TOKEN";

/// Which Hookbell to ask.
#[derive(Args)]
pub(super) struct Server {
    /// A Hookbell elsewhere: its admin listener, `http://host:8081`. Without it, the one that uses the config's store, or
    /// the store itself where none runs.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The file that holds a token for it; else the environment variable HOOKBELL_TOKEN does.
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

/// The way to whoever answers.
pub(super) struct Caller {
    runtime: Runtime,
    way: Way,
}

enum Way {
    /// The store is ours for now.
    Here(BoxEndpoint<'static, Response>),
    /// A Hookbell runs.
    There { url: String, token: SecretString, client: reqwest::Client },
}

impl Server {
    /// Whether one elsewhere is meant.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.server.is_some()
    }

    /// Finds out who is to be asked.
    pub(super) fn caller(&self, config: &Path) -> Result<Caller, Failure> {
        let runtime = super::runtime()?;
        let way = match &self.server {
            Some(url) => there(url.trim_end_matches('/').to_owned(), self.token()?)?,
            None => {
                // The writer's replies need no runtime, but reading does.
                let _guard = runtime.enter();
                of_config(config)?
            }
        };
        Ok(Caller { runtime, way })
    }

    fn token(&self) -> Result<SecretString, Failure> {
        match &self.token_file {
            Some(path) => read_token(path),
            None => std::env::var(TOKEN).map(SecretString::from).map_err(|_| {
                Failure::Usage(format!("a token is needed: name a file by `--token-file`, or set {TOKEN}"))
            }),
        }
    }
}

fn read_token(path: &Path) -> Result<SecretString, Failure> {
    let token = crate::text_file::read_text(path, crate::text_file::MAX_SECRET)
        .map_err(|error| Failure::NotFine(format!("cannot read the token `{}`: {error}", path.display())))?;
    Ok(token.trim().to_owned().into())
}

/// Whoever uses the config's store, or the store itself.
fn of_config(config: &Path) -> Result<Way, Failure> {
    let path = config::store(config).map_err(Failure::Problems)?;
    if !path.exists() {
        let reason = format!("there is no store `{}` yet: start Hookbell once, it makes one", path.display());
        return Err(Failure::NotFine(reason));
    }
    match SqliteStore::open(&path) {
        Ok(store) => {
            let live = Live::new(config::load(config, Secrets::Leave).sound().map_err(Failure::Problems)?);
            let desk = Desk::without_service(Arc::new(store), live);
            Ok(Way::Here(admin::endpoint(Arc::new(desk), Arc::new(Gate::open()), None)))
        }
        Err(StoreError::InUse { .. }) => {
            let address = sqlite::user_of(&path).ok_or_else(|| {
                Failure::NotFine("a Hookbell is starting or stopping: try again in a moment".to_owned())
            })?;
            there(format!("http://{address}"), read_token(&token_path(&path))?)
        }
        Err(error) => Err(Failure::NotFine(error.to_string())),
    }
}

fn there(url: String, token: SecretString) -> Result<Way, Failure> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
        .map_err(|error| Failure::NotFine(format!("cannot ask: {}", last_cause(&error))))?;
    Ok(Way::There { url, token, client })
}

impl Caller {
    /// Asks for something.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T, Failure> {
        let given: Vec<_> = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        let query = serde_urlencoded::to_string(given).unwrap_or_default();
        self.ask(Method::GET, &format!("{path}?{query}"), None)
    }

    /// Has something done.
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
                    let unreached =
                        |error: reqwest::Error| Failure::NotFine(format!("cannot ask {url}: {}", last_cause(&error)));
                    let response = request.send().await.map_err(unreached)?;
                    Ok((response.status().as_u16(), response.text().await.map_err(unreached)?))
                }
            }
        })?;
        if status != 200 {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let why = answer["error"].as_str().map_or_else(|| format!("status {status}"), ToOwned::to_owned);
            return Err(Failure::NotFine(why));
        }
        serde_json::from_str(&text)
            .map_err(|error| Failure::NotFine(format!("the answer is of another version of Hookbell: {error}")))
    }
}

async fn here(
    endpoint: &BoxEndpoint<'static, Response>,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<(u16, String), Failure> {
    let broken = |error: String| Failure::NotFine(format!("cannot ask: {error}"));
    let uri = path.parse::<poem::http::Uri>().map_err(|error| broken(error.to_string()))?;
    let request = Request::builder().method(method).uri(uri).content_type("application/json");
    let request = request.body(body.unwrap_or_default());
    let response = endpoint.get_response(request).await;
    let status = response.status().as_u16();
    let text = response.into_body().into_string().await.map_err(|error| broken(error.to_string()))?;
    Ok((status, text))
}
