//! `hookbell check`: check the configuration and the templates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Args;

use super::failure::CutSample;
use super::print::outln;
use super::{Failure, plural, report, tally};
use crate::chat;
use crate::config::{self, Secrets, Settings};
use crate::event::Kind;
use crate::problem::{Describe, Place, Problem};
use crate::source::PROVIDERS;
use crate::template::Context;

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
        let unheard = unheard(&settings);
        if !unheard.is_empty() {
            let dim = anstyle::Style::new().dimmed();
            outln!("{dim}kinds without a route: {}{dim:#}", unheard.join(", "));
        }
        Ok(())
    }
}

/// Returns the kinds that sources send and no route matches, which is usually intended. `family.*` stands for a family
/// of which no kind is routed.
fn unheard(settings: &Settings) -> Vec<String> {
    let keys = settings.sources.values().flat_map(|entry| entry.provider.keys);
    let sent: BTreeSet<Kind> = keys.flat_map(|key| key.kinds).copied().collect();
    let routes = || settings.router.routes().iter().filter(|route| route.enabled);
    let is_unheard = |kind: &Kind| !routes().any(|route| route.conditions.may_hold(*kind));
    let unheard: BTreeSet<Kind> = sent.iter().copied().filter(is_unheard).collect();
    let mut named = vec![];
    for kind in &unheard {
        let of_family = |kinds: &BTreeSet<Kind>| kinds.iter().filter(|other| other.family() == kind.family()).count();
        let is_whole = of_family(&sent) > 1 && of_family(&sent) == of_family(&unheard);
        let name = if is_whole { format!("{}.*", kind.family()) } else { kind.to_string() };
        if !named.contains(&name) {
            named.push(name);
        }
    }
    named
}

/// Result of rendering the samples.
#[derive(Default)]
struct Rendered {
    /// Number of rendered messages.
    count: usize,
    /// Template errors.
    failures: BTreeSet<String>,
    /// Warnings about messages of the user's templates that exceed the limits of a configured chat.
    losses: Vec<Problem>,
}

/// Renders every sample with its default template, and with each template that a route names.
fn render_samples(settings: &Settings) -> Rendered {
    let mut rendered = Rendered::default();
    let asked = settings.router.routes().iter().map(|route| route.template.as_deref());
    let asked: BTreeSet<_> = asked.chain([None]).collect();
    let used: BTreeSet<&str> = settings.channels.values().map(|channel| channel.kind).collect();
    let own: BTreeMap<&str, &str> = settings.templates.overrides().map(|(name, path, _)| (name, path)).collect();
    let mut cut = BTreeSet::new();
    for provider in PROVIDERS {
        for sample in provider.samples {
            let parsed = provider.parse_sample(sample);
            for event in parsed.map(|parsed| parsed.events).unwrap_or_default() {
                let context = Context::as_of_now(&event);
                for template in &asked {
                    // Each chat that supports native templates, and once for all others.
                    let natives = chat::KINDS.iter().filter(|chat| chat.native.is_some()).map(Some);
                    for chat in natives.chain([None]) {
                        let made = settings.templates.render_for(&context, *template, chat);
                        let failed = made.failures.iter();
                        rendered.failures.extend(failed.map(|failure| format!("{failure} (sample `{}`)", sample.name)));
                        let Some(chat) = chat.filter(|chat| used.contains(chat.name) && made.body.is_none()) else {
                            continue;
                        };
                        let loss = chat.loss.and_then(|loss| loss(&made.message));
                        if let (Some(path), Some(loss)) = (own.get(made.template.as_str()), loss)
                            && cut.insert((made.template.clone(), chat.name))
                        {
                            let cut = CutSample { sample: sample.name, chat: chat.name, loss };
                            rendered.losses.push(cut.at(Place::Named((*path).to_owned())));
                        }
                    }
                    rendered.count += 1;
                }
            }
        }
    }
    rendered
}
