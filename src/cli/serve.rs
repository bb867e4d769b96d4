//! `hookbell serve`.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, report};
use crate::config::{self, Secrets, Settings};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::{server, telemetry};

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    telemetry::start();
    let loaded = config::load(config, Secrets::Generate);
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    report(&loaded.problems);
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| Failure::NotFine(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(serve(config, settings));
    // A console that nobody reads may block a thread for ever; what it was to show waits in the store.
    runtime.shutdown_background();
    result
}

async fn serve(config: &Path, settings: Settings) -> Result<(), Failure> {
    let fatal = |error: std::io::Error| Failure::NotFine(format!("cannot listen to signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fatal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fatal)?;
    let listen = settings.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::NotFine(format!(
            "cannot listen on {listen}: {error}\n  change `listen` in `[server]`, or stop what listens there"
        ))
    })?;
    let store = SqliteStore::open(&settings.store).map_err(|error| Failure::NotFine(error.to_string()))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let address = listener.local_addr().unwrap_or(listen);
    greet(config, &settings, address);

    let (stop, stopping) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut stop = Some(stop);
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            let Some(stop) = stop.take() else { std::process::exit(1) };
            tracing::info!(signal, "stopping; a second signal stops at once");
            let _ = stop.send(());
        }
    });
    let stopping = async {
        let _ = stopping.await;
    };
    let served = server::serve(listener, Arc::new(settings), store, stopping).await;
    served.map_err(|error| Failure::NotFine(error.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

/// Says where webhooks go and how to try it.
fn greet(config: &Path, settings: &Settings, address: std::net::SocketAddr) {
    use anstyle::Style;
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let version = env!("CARGO_PKG_VERSION");
    anstream::eprintln!("\n{bold}Hookbell {version}{bold:#} {dim}· {}{dim:#}\n", config.display());
    for (name, entry) in &settings.sources {
        let kind = entry.provider.kind;
        anstream::eprintln!("  webhooks  {bold}http://{address}/hooks/{name}{bold:#} {dim}{kind}{dim:#}");
    }
    let channels: Vec<_> = settings.channels.keys().map(ToString::to_string).collect();
    anstream::eprintln!("  channels  {}", channels.join(", "));
    anstream::eprintln!("  store     {}", settings.store.display());
    // Started through cargo, the program is on nobody's PATH.
    let program = if std::env::var_os("CARGO").is_some() { "cargo run --" } else { "hookbell" };
    anstream::eprintln!("\n{dim}try it, in a second terminal:{dim:#} {program} sample send push\n");
}
