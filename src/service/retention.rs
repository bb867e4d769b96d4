//! Deleting expired data.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Live;
use crate::store::Store;

/// Interval at which expired data is deleted.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Deletes expired data, immediately and then every hour. Never returns.
pub(super) async fn prune(store: Arc<dyn Store>, live: Live) {
    loop {
        let settings = live.now();
        if !settings.is_routing_invalid
            && let Err(error) = store.keep_config(&settings.kept.hash, &settings.kept.text).await
        {
            tracing::warn!(%error, "storing the configuration failed; retrying in an hour");
        }
        loop {
            match store.prune(settings.keep).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "pruning failed; retrying in an hour");
                    break;
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
