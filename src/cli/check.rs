//! `hookbell check`: check the configuration and the templates.

use std::path::Path;

use clap::Args;

use super::print::outln;
use super::{Failure, plural, report, tally};
use crate::config::{self, Secrets};
use crate::service::check::{Rendered, render_samples, unrouted};

/// Arguments of `hookbell check`.
#[derive(Args)]
pub(super) struct Check {
    /// Fail if there are warnings
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let loaded = config::load(config, Secrets::Optional);
        let mut problems = loaded.problems.clone();
        let sound = loaded.sound().ok();
        let Rendered { count, failures, losses } = sound.as_ref().map(render_samples).unwrap_or_default();
        problems.extend(losses);
        report(&problems);
        if !failures.is_empty() {
            return Err(Failure::RenderFailures(failures.into_iter().collect()));
        }
        let found = tally(&problems);
        let denied = self.deny_warnings && !problems.is_empty();
        let Some(settings) = sound.filter(|_| !denied) else {
            return Err(Failure::Check { config: config.to_owned(), found });
        };
        let counts = [
            plural(settings.router.routes().len(), "route"),
            plural(settings.channels.len(), "channel"),
            plural(settings.templates.names().count(), "template"),
            plural(count, "sample message"),
        ];
        let said = if found.is_empty() { "ok".to_owned() } else { found };
        outln!("{}: {said} ({})", config.display(), counts.join(", "));
        let unrouted = unrouted(&settings);
        if !unrouted.is_empty() {
            let dim = anstyle::Style::new().dimmed();
            outln!("{dim}kinds without a route: {}{dim:#}", unrouted.join(", "));
        }
        Ok(())
    }
}
