//! Checks of a valid configuration: whether every sample renders, which kinds no route matches, and whether a channel
//! can be posted to.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::chat::{Action, Outcome, kinds};
use crate::config::{Channel, Settings};
use crate::event::{ChannelName, DeliveryId, Kind};
use crate::message::fit::Loss;
use crate::message::{Accent, Block, Inline, Message};
use crate::problem::{Describe, Place, Problem, Severity};
use crate::source::providers;
use crate::template::Context;

/// Returns the kinds that sources send and no route matches, which is usually intended. `family.*` stands for a family
/// of which no kind is routed.
pub fn unrouted(settings: &Settings) -> Vec<String> {
    let keys = settings.sources.values().flat_map(|entry| entry.provider.keys);
    let sent: BTreeSet<Kind> = keys.flat_map(|key| key.kinds).copied().collect();
    let routes = || settings.router.routes().iter().filter(|route| route.enabled);
    let is_unrouted = |kind: &Kind| !routes().any(|route| route.conditions.may_hold(*kind));
    let unrouted: BTreeSet<Kind> = sent.iter().copied().filter(is_unrouted).collect();
    let mut named = vec![];
    for kind in &unrouted {
        let of_family = |kinds: &BTreeSet<Kind>| kinds.iter().filter(|other| other.family() == kind.family()).count();
        let is_whole = of_family(&sent) > 1 && of_family(&sent) == of_family(&unrouted);
        let name = if is_whole { format!("{}.*", kind.family()) } else { kind.to_string() };
        if !named.contains(&name) {
            named.push(name);
        }
    }
    named
}

/// Returns the channels to which routes send both builds and pipelines. Hosts that send both report the runs of their own
/// pipelines as builds too.
pub fn doubled_builds(settings: &Settings) -> Vec<&ChannelName> {
    let sends_both = settings.sources.values().any(|entry| {
        let sends = |family: &str| entry.provider.keys.iter().any(|key| key.kinds.iter().any(|k| k.family() == family));
        sends("build") && sends("pipeline")
    });
    let routed = |family: &str| -> BTreeSet<&ChannelName> {
        let kinds = || Kind::ALL.iter().filter(|kind| kind.family() == family);
        let routes = settings.router.routes().iter().filter(|route| route.enabled);
        let matching = routes.filter(|route| kinds().any(|kind| route.conditions.may_hold(*kind)));
        matching.flat_map(|route| &route.to).collect()
    };
    if !sends_both {
        return vec![];
    }
    routed("build").intersection(&routed("pipeline")).copied().collect()
}

/// Result of rendering the samples.
#[derive(Default)]
pub struct Rendered {
    /// Number of rendered messages.
    pub count: usize,
    /// Template errors.
    pub failures: BTreeSet<String>,
    /// Warnings about messages of the user's templates that exceed the limits of a configured chat.
    pub losses: Vec<Problem>,
}

/// Renders every sample with its default template, and with each template that a route names.
pub fn render_samples(settings: &Settings) -> Rendered {
    let mut rendered = Rendered::default();
    let asked = settings.router.routes().iter().map(|route| route.template.as_deref());
    let asked: BTreeSet<_> = asked.chain([None]).collect();
    let used: BTreeSet<&str> = settings.channels.values().map(|channel| channel.kind.name()).collect();
    let own: BTreeMap<&str, &str> = settings.templates.overrides().map(|(name, path, _)| (name, path)).collect();
    let mut cut = BTreeSet::new();
    for provider in providers() {
        for sample in provider.samples {
            let parsed = provider.parse_sample(sample);
            for event in parsed.map(|parsed| parsed.events).unwrap_or_default() {
                let context = Context::as_of_now(&event);
                for template in &asked {
                    // Each chat that supports native templates, and once for all others.
                    let natives = kinds().iter().copied().filter(|chat| chat.native().is_some()).map(Some);
                    for chat in natives.chain([None]) {
                        let made = settings.templates.render_for(&context, *template, chat);
                        let failed = made.failures.iter();
                        rendered.failures.extend(failed.map(|failure| format!("{failure} (sample `{}`)", sample.name)));
                        let Some(chat) = chat.filter(|chat| used.contains(chat.name()) && made.body.is_none()) else {
                            continue;
                        };
                        let loss = chat.loss(&made.message);
                        if let (Some(path), Some(loss)) = (own.get(made.template.as_str()), loss)
                            && cut.insert((made.template.clone(), chat.name()))
                        {
                            let cut = CutSample { sample: sample.name, chat: chat.name(), loss };
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

/// Problem of a message that a template renders from a sample: the chat's limits cut it.
#[derive(Debug, Error)]
#[error("the message for sample `{sample}` exceeds the limits of {chat}; cut: {loss}")]
struct CutSample {
    sample: &'static str,
    chat: &'static str,
    loss: Loss,
}

impl Describe for CutSample {
    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn help(&self) -> Option<String> {
        let Self { sample, chat, .. } = self;
        Some(format!("shorten values with `truncate`; `hookbell render {sample} --chat {chat}` shows the result"))
    }
}

/// Posts a test message to a channel.
pub async fn post_test(name: &ChannelName, channel: &Channel) -> Outcome {
    let body = channel.chat.encode(&channel.style.of(test_message(name)));
    channel.chat.perform(&DeliveryId::fresh(), Action::Post(&body)).await.outcome
}

/// Builds a message that cannot be mistaken for an event.
fn test_message(name: &ChannelName) -> Message {
    let text = |text: String| vec![Inline::Text(text)];
    Message {
        line: text(format!("Hookbell can post here: test of channel {name}")),
        title: Some(text("Hookbell can post here".to_owned())),
        accent: Accent::Success,
        body: vec![Block::Paragraph(text(format!("This is a test message for channel {name}, not an event.")))],
        ..Message::default()
    }
}
