//! `hookbell serve`: run the service.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::print::errln;
use super::{Failure, complain, program, report, tally};
use crate::config::{self, Listen, Live, Secrets, Settings, Watched};
use crate::server::admin::{Authorizer, generate_token};
use crate::server::{self, Listeners};
use crate::service::{self, reload};
use crate::store::{Store, StoreError, StoreUrl};
use crate::telemetry;
use crate::tls::scheme;

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::NoThreads)?;
    // First: a signal without a handler would end the process.
    let signals = {
        let _within = runtime.enter();
        Signals::listen().map_err(Failure::NoSignals)?
    };
    let log = telemetry::start();
    raise_file_limit();
    let loaded = config::load(config, Secrets::Generate);
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    report(&loaded.problems);
    if settings.is_routing_invalid {
        let text = format!(
            "{}: {}\n  events are stored; they are routed once the configuration is fixed, without a restart",
            config.display(),
            tally(&loaded.problems)
        );
        complain(&text);
    }
    let result = runtime.block_on(serve(config, settings, loaded.files, signals));
    // A console that is not read may block a thread forever; its messages stay queued in the store.
    runtime.shutdown_background();
    drop(log);
    result
}

/// Raises the limit of open files to the maximum for the process: each connection is a file.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::debug!(current, "could not raise the limit of open files");
    }
}

/// Returns the maximum number of open files of the process.
fn file_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Signals that the service handles.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn serve(config: &Path, settings: Settings, files: Watched, signals: Signals) -> Result<(), Failure> {
    let Signals { mut interrupt, mut terminate, mut hangup } = signals;
    // The store is opened before the listeners: clients and load balancers would otherwise wait for responses.
    let store = tokio::select! {
        store = open(&settings.store) => store?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let public = match settings.listen {
        Listen::Address(address) => bind(address, "listen").await?,
        Listen::Systemd => passed_in()?,
    };
    let admin = bind(settings.admin.listen, "admin_listen").await?;
    let token = generate_token(&settings.store)?;
    let reached = admin.local_addr().unwrap_or(settings.admin.listen);
    if let Err(error) = store.set_address(&reached.to_string()) {
        tracing::warn!(%error, "could not store the admin address; commands need `--server`");
    }
    let address = public.local_addr().unwrap_or(settings.listen.address());
    greet(config, &settings, address, reached);

    let (stop, stopping) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut stop = Some(stop);
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            let Some(stop) = stop.take() else { std::process::exit(1) };
            tracing::info!(signal, "stopping; a second signal stops immediately");
            let _ = stop.send(());
        }
    });
    let stopping = async {
        let _ = stopping.await;
    };
    let (reloads, asking) = reload::reloads();
    let by_signal = reloads.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            by_signal.ask();
        }
    });
    let live = Live::new(settings);
    let authorizer = Authorizer::new(live.clone(), token);
    let config = service::Config { path: config.to_owned(), live, reloads, asking, files, show: report };
    let served =
        server::serve(Listeners { public, admin, open_files: file_limit() }, config, store, authorizer, stopping).await;
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// Pause between two attempts to open a store that is in use.
const AGAIN: Duration = Duration::from_millis(100);

/// Time after which waiting for the store is first reported, and interval of further reports. A command uses the store
/// only briefly.
const REPORT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Opens the store. If another instance uses it, waits until that one has stopped and reports the wait.
async fn open(url: &StoreUrl) -> Result<Arc<dyn Store>, StoreError> {
    let began = Instant::now();
    let mut report = REPORT.0;
    loop {
        match url.open() {
            Err(StoreError::InUse { .. }) => {
                if began.elapsed() >= report {
                    report += REPORT.1;
                    let seconds = began.elapsed().as_secs();
                    tracing::warn!(store = %url, seconds, "store in use by another instance; waiting until it stops");
                }
                sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Listen { address, key: Some(key), error })
}

/// Returns the socket that systemd passed. It outlives this process, so a restart loses no request.
fn passed_in() -> Result<TcpListener, Failure> {
    let listener = listenfd::ListenFd::from_env().take_tcp_listener(0).map_err(Failure::UnusableSocket)?;
    let listener = listener.ok_or(Failure::NoSocket)?;
    listener.set_nonblocking(true).map_err(Failure::UnusableSocket)?;
    TcpListener::from_std(listener).map_err(Failure::UnusableSocket)
}

/// Returns the URL that the code host posts to, if the configuration says under which address it reaches Hookbell.
fn public_url(settings: &Settings) -> Option<String> {
    let managed = settings.hooks.as_ref().map(config::ManagedHooks::url);
    managed.or_else(|| {
        let domain = settings.acme.as_ref()?.domains.first()?;
        let (source, _) = settings.sources.first_key_value()?;
        Some(format!("https://{domain}/hooks/{source}"))
    })
}

/// Prints the banner: the webhook URLs and a first command.
fn greet(config: &Path, settings: &Settings, address: SocketAddr, admin: SocketAddr) {
    use anstyle::Style;
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let version = env!("CARGO_PKG_VERSION");
    errln!("\n{bold}Hookbell {version}{bold:#} {dim}· {}{dim:#}\n", config.display());
    for (name, entry) in &settings.sources {
        let kind = entry.provider.kind;
        let scheme = scheme(settings.has_tls());
        errln!("  webhooks  {bold}{scheme}://{address}/hooks/{name}{bold:#} {dim}{kind}{dim:#}");
        if let Some(origin) = entry.secret_origins.last() {
            errln!("  secret    {origin}{dim}: enter it as the webhook's secret{dim:#}");
        }
    }
    if let Some(url) = public_url(settings) {
        errln!("  public    {bold}{url}{bold:#} {dim}URL for the code host{dim:#}");
    }
    let channels: Vec<_> = settings.channels.keys().map(ToString::to_string).collect();
    if settings.is_routing_invalid {
        errln!("  channels  none: no messages are posted until the configuration is fixed");
    } else {
        errln!("  channels  {}", channels.join(", "));
    }
    errln!("  store     {}", settings.store);
    let scheme = scheme(settings.admin.tls.is_some());
    errln!("  admin     {scheme}://{admin} {dim}/metrics /readyz /api/v1{dim:#}");
    let program = program();
    if settings.is_routing_invalid {
        errln!("");
    } else {
        errln!("\n{dim}to try it, run in a second terminal:{dim:#} {program} sample send push\n");
    }
}
