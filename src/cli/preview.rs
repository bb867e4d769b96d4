//! `hookbell preview`: serve the page for editing and previewing templates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use super::caller::read_token;
use super::failure::{Doing, Failure};
use super::print::{errln, outln};
use crate::config::{self, Live, Secrets};
use crate::server::admin::{Authorizer, is_built, token_path};
use crate::server::serve_admin;
use crate::store::{StoreError, StoreUrl};

/// Arguments of `hookbell preview`.
#[derive(Args)]
pub(super) struct Preview {
    /// Address of the page if the service is not running; port 0 is any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

impl Preview {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        if !is_built() {
            return Err(Failure::NoPreviewPage);
        }
        if !self.listen.ip().is_loopback() {
            return Err(Failure::NotLoopback(self.listen));
        }
        let loaded = config::load(config, Secrets::Leave);
        let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
        if let Some(address) = settings.store.address().filter(|_| is_in_use(&settings.store)) {
            let token = read_token(&token_path(&settings.store))?;
            outln!("{}", url(&address, token.expose_secret()));
            errln!("served by the running instance; anyone with this URL can change templates");
            return Ok(());
        }
        let store = Store::open(&settings.store)?;
        let runtime = super::runtime()?;
        runtime.block_on(self.serve(Live::new(settings), store))
    }

    async fn serve(&self, live: Live, store: Store) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| Failure::Listen { address: self.listen, key: None, error };
        let listener = TcpListener::bind(self.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let token = SecretString::from(hex::encode(rand::random::<[u8; 32]>()));
        outln!("{}", url(&address.to_string(), token.expose_secret()));
        errln!("open the URL in a browser; press Ctrl-C to stop");
        let stop = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        serve_admin(listener, live.clone(), store.store.clone(), Authorizer::new(live, token), stop).await;
        Ok(())
    }
}

/// Returns the URL of the page. The token is in the fragment, which browsers do not send.
fn url(address: &str, token: &str) -> String {
    format!("http://{address}/preview#token={token}")
}

fn is_in_use(store: &StoreUrl) -> bool {
    store.exists() && matches!(store.open(), Err(StoreError::InUse { .. }))
}

/// Store for the events of the preview: the configured one, or a temporary empty one.
struct Store {
    store: Arc<dyn crate::store::Store>,
    made: Option<PathBuf>,
}

impl Store {
    fn open(url: &StoreUrl) -> Result<Self, Failure> {
        if url.exists() {
            return Ok(Self { store: url.open()?, made: None });
        }
        let made = std::env::temp_dir().join(format!("hookbell-preview-{}", ulid::Ulid::generate()));
        std::fs::create_dir(&made).map_err(Failure::file(Doing::Create, &made))?;
        let empty = StoreUrl::parse_in(StoreUrl::DEFAULT, &made);
        let store = empty.ok_or_else(|| Failure::NoStore(url.clone()))?.open()?;
        Ok(Self { store, made: Some(made) })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            let _ = std::fs::remove_dir_all(made);
        }
    }
}
