//! One attempt: rendering a delivery's event, sending it, and what follows from the chat's answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::alert::Alert;
use super::backoff;
use super::lane::millis;
use crate::chat::{self, Body, Failure, Instead, Outcome, Reason, Receipt, Sent, Style};
use crate::config::{Channel, Settings};
use crate::event::DeliveryId;
use crate::store::{Attempt, Delivery, Finished, Millis, Next};
use crate::template::{Context, Library, REFS, RenderFailure};

/// The shortest wait that a chat's own word is taken for.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What an attempt gave.
pub(super) struct Tried {
    pub(super) delivery: Delivery,
    pub(super) finished: Finished,
    pub(super) then: Then,
    pub(super) alert: Option<Alert>,
}

/// What the lane does after an attempt.
pub(super) enum Then {
    /// The next message, after a pause that the chat may have asked for.
    Next { pause: Duration },
    /// The same one again, after a wait that the chat may have asked for.
    Again { wait: Duration, is_asked: bool },
    /// Nothing: the destination is gone.
    Close { reason: String, remedy: Option<&'static str> },
}

impl Tried {
    /// Whether the chat took the message.
    pub(super) fn passed(&self) -> bool {
        matches!(self.finished.next, Next::Delivered { .. } | Next::Accepted)
    }
}

impl Finished {
    /// What became of a delivery without an attempt.
    pub(super) fn untried(delivery: &DeliveryId, next: Next) -> Self {
        Self { delivery: delivery.clone(), attempt: None, next, template_error: None }
    }
}

/// Renders a delivery's event, now, so that a template that was mended since it was stored serves it; and sends it.
pub(super) async fn attempt(
    settings: &Arc<Settings>,
    channel: &Channel,
    delivery: Delivery,
    failures: u32,
    clock: fn() -> Millis,
) -> Tried {
    let (delivery, drawn) = drawn(settings, channel, delivery).await;
    let (body, template_error) = match drawn {
        Drawn::Body { body, template_error } => (body, template_error),
        Drawn::Nothing { why } => {
            tracing::debug!(delivery = %delivery.id, channel = %delivery.channel, why, "skipped");
            let finished = Finished::untried(&delivery.id, Next::Skipped { why });
            return Tried { delivery, finished, then: Then::Next { pause: Duration::ZERO }, alert: None };
        }
        Drawn::Broken { why } => {
            tracing::error!(delivery = %delivery.id, channel = %delivery.channel, why, "dead");
            let alert = Some(Alert::ended(&delivery, "broken", &why, None));
            let finished = Finished::untried(&delivery.id, Next::Dead { why: Some(why) });
            return Tried { delivery, finished, then: Then::Next { pause: Duration::ZERO }, alert };
        }
    };
    let (at, began) = (clock(), Instant::now());
    let mut sent = channel.chat.send(&delivery.id, &body).await;
    if let Outcome::Rejected(failure) = &sent.outcome
        && failure.reason == Reason::InvalidMessage
        && let Some(again) = built_in(&settings.templates, channel, &delivery, &body, &failure.said).await
    {
        sent = again;
    }
    let took = millis(began.elapsed());
    let body = match &sent.outcome {
        Outcome::Delivered(Receipt { instead: Some(instead), .. }) => instead.body.clone(),
        _ => body,
    };
    let meaning = meaning(sent.outcome, &delivery, failures);
    metrics::counter!(
        "hookbell_attempts_total",
        "channel" => delivery.channel.to_string(),
        "outcome" => meaning.outcome,
    )
    .increment(1);
    if matches!(meaning.next, Next::Delivered { .. } | Next::Accepted) {
        tracing::debug!(delivery = %delivery.id, channel = %delivery.channel, took, outcome = meaning.outcome, "sent");
        let waited = clock().saturating_sub(delivery.created_at).max(0);
        metrics::histogram!("hookbell_delivery_seconds", "channel" => delivery.channel.to_string())
            .record(Duration::from_millis(waited.unsigned_abs()));
    }
    let Meaning { outcome, said, next, then, mut alert } = meaning;
    if let Some(failure) = &template_error {
        metrics::counter!("hookbell_template_errors_total", "channel" => delivery.channel.to_string()).increment(1);
        let failed = || Alert::template_failed(&delivery, &failure.path, &failure.to_string());
        alert = Some(alert.unwrap_or_else(failed));
    }
    let template_error = template_error.map(|failure| failure.to_string());
    let attempt = Some(Attempt { at, took, outcome, status: sent.status, said, body: body.0 });
    let finished = Finished { delivery: delivery.id.clone(), attempt, next, template_error };
    Tried { delivery, finished, then, alert }
}

/// The last resort where a chat refuses the form of a message: the built-in template makes it once more. `None` where that
/// does not help.
async fn built_in(
    templates: &Library,
    channel: &Channel,
    delivery: &Delivery,
    refused: &Body,
    said: &str,
) -> Option<Sent> {
    let body = {
        let event = Context::new(delivery.event.clone());
        channel.chat.encode(&style(channel, delivery).of(templates.render_built_in(&event)))
    };
    if body == *refused {
        return None;
    }
    let sent = channel.chat.send(&delivery.id, &body).await;
    match sent.outcome {
        Outcome::Rejected(_) => None,
        Outcome::Delivered(receipt) => {
            let instead = receipt.instead.map_or(body, |instead| instead.body);
            let why = format!("sent by the built-in template, because the chat refused what yours made ({said})");
            let instead = Some(Instead { body: instead, why });
            Some(Sent { outcome: Outcome::Delivered(Receipt { instead, ..receipt }), ..sent })
        }
        outcome => Some(Sent { outcome, ..sent }),
    }
}

/// Size of an event's JSON from which on drawing takes so long that it is done on a thread of its own, in bytes.
const LARGE: usize = 16 * 1024;

/// Draws a delivery.
async fn drawn(settings: &Arc<Settings>, channel: &Channel, mut delivery: Delivery) -> (Delivery, Drawn) {
    let draw_it = |settings: &Settings, channel: &Channel, mut delivery: Delivery| {
        let event = Context::new(std::mem::take(&mut delivery.event));
        // A panic is this message's alone; the lane is everybody's.
        let drawn = catch_unwind(AssertUnwindSafe(|| draw(settings, channel, &delivery, &event)));
        let broken = |_| Drawn::Broken { why: "drawing it panicked: this is a defect of Hookbell".to_owned() };
        delivery.event = event.into_event();
        (delivery, drawn.unwrap_or_else(broken))
    };
    if delivery.size < LARGE {
        return draw_it(settings, channel, delivery);
    }
    let (settings, event) = (settings.clone(), std::mem::take(&mut delivery.event));
    let job = Delivery { event, ..delivery.clone() };
    let work = tokio::task::spawn_blocking(move || {
        let channel = settings.channels.get(&job.channel)?;
        Some(draw_it(&settings, channel, job))
    });
    let failed = || (delivery, Drawn::Broken { why: "drawing it failed: this is a defect of Hookbell".to_owned() });
    work.await.ok().flatten().unwrap_or_else(failed)
}

/// What there is to send.
enum Drawn {
    Body { body: Body, template_error: Option<RenderFailure> },
    Nothing { why: String },
    Broken { why: String },
}

/// The style of a delivery: its route's, or else its channel's.
fn style(channel: &Channel, delivery: &Delivery) -> Style {
    delivery.style.as_deref().and_then(Style::parse).unwrap_or(channel.style)
}

fn draw(settings: &Settings, channel: &Channel, delivery: &Delivery, event: &Context) -> Drawn {
    if let Some(body) = channel.chat.encode_event(event.event()) {
        return Drawn::Body { body, template_error: None };
    }
    let style = style(channel, delivery);
    // A line is a line in every chat.
    let chat = chat::kind(channel.kind).filter(|_| style == Style::Full);
    let has_refs = event.event()["refs"].as_array().is_some_and(|refs| !refs.is_empty());
    let template = if has_refs { Some(REFS) } else { delivery.template.as_deref() };
    let rendered = settings.templates.render_for(event, template, chat);
    for failure in &rendered.failures {
        tracing::warn!(delivery = %delivery.id, used = rendered.template, %failure, "a template failed");
    }
    if let Some(why) = rendered.skip {
        return Drawn::Nothing { why };
    }
    let template_error = rendered.failures.into_iter().next();
    let body = rendered.body.map_or_else(|| channel.chat.encode(&style.of(rendered.message)), Body);
    Drawn::Body { body, template_error }
}

/// What a chat's answer means for a delivery and its lane.
struct Meaning {
    outcome: &'static str,
    said: Option<String>,
    next: Next,
    then: Then,
    alert: Option<Alert>,
}

fn meaning(outcome: Outcome, delivery: &Delivery, failures: u32) -> Meaning {
    let (id, channel) = (&delivery.id, &delivery.channel);
    let on =
        |outcome, said, next| Meaning { outcome, said, next, then: Then::Next { pause: Duration::ZERO }, alert: None };
    let again = |outcome, failure: Failure, asked: Option<Duration>| {
        let own = backoff(failures + 1, rand::random());
        // A chat that asks for no wait at all gets ours: nobody is helped by asking again at once, for ever.
        let asked = asked.filter(|asked| *asked >= SHORTEST_WAIT);
        let (wait, is_asked) = (asked.unwrap_or(own), asked.is_some());
        // What is wrong on the way says nothing of the message.
        let on_the_way = [Reason::RateLimited, Reason::Network, Reason::Timeout, Reason::NotTheChat];
        let strike = !on_the_way.contains(&failure.reason);
        let next = Next::Waits { strike };
        Meaning { outcome, said: Some(failure.said), next, then: Then::Again { wait, is_asked }, alert: None }
    };
    match outcome {
        Outcome::Delivered(Receipt { message_id, pause, instead }) => {
            let note = instead.map(|instead| instead.why);
            if let Some(note) = &note {
                tracing::warn!(delivery = %id, %channel, note, "delivered, but not as drawn");
            }
            let then = Then::Next { pause: pause.unwrap_or_default() };
            Meaning { then, ..on("delivered", note, Next::Delivered { message_id }) }
        }
        Outcome::Accepted => on("accepted", None, Next::Accepted),
        Outcome::Retry { failure, after } => {
            tell(&failure, delivery, "will try again");
            let alert = (failure.reason == Reason::NotTheChat).then(|| Alert::blocked(delivery, &failure));
            Meaning { alert, ..again(failure.reason.as_str(), failure, after) }
        }
        Outcome::Unknown(failure) => {
            tell(&failure, delivery, "no answer, so it may be there; will try again");
            again("unknown", failure, None)
        }
        Outcome::Rejected(failure) => {
            tell(&failure, delivery, "the chat will never take this message; it is dead");
            let alert = Some(Alert::ended(delivery, failure.reason.as_str(), &failure.said, failure.remedy));
            Meaning { alert, ..on("rejected", Some(failure.said), Next::Dead { why: None }) }
        }
        Outcome::Closed(failure) => {
            tell(&failure, delivery, "the destination is closed; its messages wait");
            let alert = Some(Alert::closed(delivery, &failure));
            let then = Then::Close { reason: failure.said.clone(), remedy: failure.remedy };
            Meaning { alert, then, ..on("closed", Some(failure.said), Next::Waits { strike: false }) }
        }
    }
}

fn tell(failure: &Failure, delivery: &Delivery, what: &str) {
    let (id, channel, reason) = (&delivery.id, &delivery.channel, failure.reason.as_str());
    let remedy = failure.remedy.unwrap_or("none known");
    tracing::warn!(delivery = %id, %channel, reason, said = failure.said, remedy, "{what}");
}
