//! Logs: lines on standard error, each an event with fields. No field holds a secret.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that sets how much is logged, in the words of
/// [`EnvFilter`]: `debug`, `hookbell=debug,warn`.
pub const LOG: &str = "HOOKBELL_LOG";

/// Starts logging. A filter that cannot be understood is told, and the default used.
pub fn start() {
    const DEFAULT: &str = "hookbell=info,warn";
    let wanted = std::env::var(LOG).ok();
    let filter = wanted.as_deref().map(EnvFilter::try_new);
    let (filter, wrong) = match filter {
        None => (EnvFilter::new(DEFAULT), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(DEFAULT), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .compact();
    // A second start, in a test, keeps the first one's settings.
    let _ = subscriber.try_init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "{LOG} is not understood; logging as usual");
    }
}
