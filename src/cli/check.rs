//! `hookbell check`.

use std::path::Path;

use super::{Failure, plural, report, tally};
use crate::config::{self, Secrets, Settings};
use crate::problem::Severity;
use crate::source::PROVIDERS;
use crate::template::Context;

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let loaded = config::load(config, Secrets::Leave);
    report(&loaded.problems);
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    let Some(settings) = loaded.settings.filter(|_| !errors) else {
        return Err(Failure::NotFine(format!("{}: {}", config.display(), tally(&loaded.problems))));
    };
    let rendered = render_samples(&settings)?;
    let (routes, channels) = (settings.router.routes().len(), settings.channels.len());
    let warnings = if loaded.problems.is_empty() { "fine".to_owned() } else { tally(&loaded.problems) };
    let counts = [
        plural(routes, "route"),
        plural(channels, "channel"),
        plural(settings.templates.names().count(), "template"),
        plural(rendered, "sample message"),
    ];
    anstream::println!("{}: {warnings} ({})", config.display(), counts.join(", "));
    Ok(())
}

/// Renders every sample with the template that serves it and with each that a route asks for.
fn render_samples(settings: &Settings) -> Result<usize, Failure> {
    let mut failures = vec![];
    let mut rendered = 0;
    let asked = settings.router.routes().iter().map(|route| route.template.as_deref());
    let mut asked: Vec<_> = asked.chain([None]).collect();
    asked.sort_unstable();
    asked.dedup();
    for provider in PROVIDERS {
        for sample in provider.samples {
            let parsed = provider.parse_sample(sample);
            for event in parsed.map(|parsed| parsed.events).unwrap_or_default() {
                let context = Context::of(&event);
                for template in &asked {
                    let made = settings.templates.render(&context, *template);
                    failures
                        .extend(made.failures.iter().map(|failure| format!("{failure} (sample `{}`)", sample.name)));
                    rendered += 1;
                }
            }
        }
    }
    failures.sort();
    failures.dedup();
    if failures.is_empty() { Ok(rendered) } else { Err(Failure::NotFine(failures.join("\n"))) }
}
