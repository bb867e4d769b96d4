//! One attempt: renders a delivery's event, sends it, and evaluates the chat's response.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::alert::Alert;
use super::backoff;
use crate::chat::{Action, Body, Failure, Instead, Outcome, Posted, Reason, Sent};
use crate::config::{Channel, Settings};
use crate::event::DeliveryId;
use crate::message::Style;
use crate::store::{Attempt, AttemptOutcome, Delivery, Finished, NextState};
use crate::template::{Library, REFS, RenderFailure};
use crate::time::{Millis, millis};

/// Minimum wait that is accepted from a chat. Below it, the lane uses its own backoff.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// Result of an attempt.
pub(super) struct Attempted {
    pub(super) delivery: Delivery,
    pub(super) finished: Finished,
    pub(super) lane: LaneStep,
    pub(super) alert: Option<Alert>,
}

/// Next step of the lane after an attempt.
pub(super) enum LaneStep {
    /// Send the next message, after a pause if the chat asked for one.
    Next { pause: Duration },
    /// Retry the message after a wait. `is_asked` is true if the chat asked for the wait.
    Again { wait: Duration, is_asked: bool },
    /// Close the destination, because it accepts no messages.
    Close { reason: String, help: Option<&'static str> },
}

impl Attempted {
    /// Returns true if the chat accepted the message.
    pub(super) const fn passed(&self) -> bool {
        self.finished.next.is_sent()
    }

    /// Returns true if the message failed, and may be at fault.
    pub(super) const fn is_strike(&self) -> bool {
        matches!(self.finished.next, NextState::Queued { strike: true })
    }
}

impl Finished {
    /// Creates the result of a delivery that ends without an attempt.
    pub(super) fn untried(delivery: &DeliveryId, next: NextState) -> Self {
        Self { delivery: delivery.clone(), attempt: None, next, template_error: None }
    }
}

/// Renders a delivery's event and sends it. Rendering happens at each attempt, so that a fixed template applies to
/// events that were stored before the fix.
pub(super) async fn attempt(
    settings: &Arc<Settings>,
    channel: &Channel,
    delivery: Delivery,
    failures: u32,
    clock: fn() -> Millis,
) -> Attempted {
    let (body, template_error) = match render_delivery(settings, channel, &delivery).await {
        Rendered::Body { body, template_error } => (body, template_error),
        Rendered::Nothing { why } => {
            tracing::debug!(delivery = %delivery.id, channel = %delivery.channel, why, "delivery skipped");
            let finished = Finished::untried(&delivery.id, NextState::Skipped { why });
            return Attempted { delivery, finished, lane: LaneStep::Next { pause: Duration::ZERO }, alert: None };
        }
        Rendered::Broken { why } => {
            tracing::error!(delivery = %delivery.id, channel = %delivery.channel, why, "delivery dead");
            let alert = Some(Alert::ended(&delivery, "broken", &why, None));
            let finished = Finished::untried(&delivery.id, NextState::Dead { why: Some(why) });
            return Attempted { delivery, finished, lane: LaneStep::Next { pause: Duration::ZERO }, alert };
        }
    };
    let (at, began) = (clock(), Instant::now());
    let mut sent = channel.chat.perform(&delivery.id, Action::Post(&body)).await;
    if let Outcome::Rejected(failure) = &sent.outcome
        && failure.reason == Reason::InvalidMessage
        && let Some(again) = built_in(&settings.templates, channel, &delivery, &body, &failure.response).await
    {
        sent = again;
    }
    let duration_ms = millis(began.elapsed());
    let body = match &sent.outcome {
        Outcome::Delivered(Posted { instead: Some(instead), .. }) => instead.body.clone(),
        _ => body,
    };
    let consequences = consequences(sent.outcome, &delivery, failures);
    metrics::counter!(
        "hookbell_attempts_total",
        "channel" => delivery.channel.to_string(),
        "outcome" => consequences.outcome.as_str(),
    )
    .increment(1);
    if consequences.next.is_sent() {
        tracing::debug!(
            delivery = %delivery.id,
            channel = %delivery.channel,
            duration_ms,
            outcome = consequences.outcome.as_str(),
            "message sent"
        );
        let waited = clock().saturating_sub(delivery.created_at).max(0);
        metrics::histogram!("hookbell_delivery_seconds", "channel" => delivery.channel.to_string())
            .record(Duration::from_millis(waited.unsigned_abs()));
    }
    let Consequences { outcome, response, next, lane, mut alert } = consequences;
    if let Some(failure) = &template_error {
        metrics::counter!("hookbell_template_errors_total", "channel" => delivery.channel.to_string()).increment(1);
        let failed = || Alert::template_failed(&delivery, &failure.path, &failure.to_string());
        alert = Some(alert.unwrap_or_else(failed));
    }
    let template_error = template_error.map(|failure| failure.to_string());
    let attempt = Some(Attempt { at, duration_ms, outcome, status: sent.status, response, body: body.0 });
    let finished = Finished { delivery: delivery.id.clone(), attempt, next, template_error };
    Attempted { delivery, finished, lane, alert }
}

/// Last resort if a chat rejects the format of a message: renders it with the built-in template and sends it once more.
/// Returns `None` if that does not help.
async fn built_in(
    templates: &Library,
    channel: &Channel,
    delivery: &Delivery,
    rejected: &Body,
    response: &str,
) -> Option<Sent> {
    let body = channel.chat.encode(&style(channel, delivery).of(templates.render_built_in(&delivery.event)));
    if body == *rejected {
        return None;
    }
    let sent = channel.chat.perform(&delivery.id, Action::Post(&body)).await;
    match sent.outcome {
        Outcome::Rejected(_) => None,
        Outcome::Delivered(posted) => {
            let instead = posted.instead.map_or(body, |instead| instead.body);
            let why = format!(
                "sent with the built-in template because the chat rejected the message of your template ({response})"
            );
            let instead = Some(Instead { body: instead, why });
            Some(Sent { outcome: Outcome::Delivered(Posted { instead, ..posted }), ..sent })
        }
        outcome => Some(Sent { outcome, ..sent }),
    }
}

/// Minimum size of an event's JSON, in bytes, that is rendered on a separate thread, because rendering takes long.
const LARGE: usize = 16 * 1024;

/// Renders a delivery, on a separate thread if it is large.
async fn render_delivery(settings: &Arc<Settings>, channel: &Channel, delivery: &Delivery) -> Rendered {
    let guarded = |settings: &Settings, channel: &Channel, delivery: &Delivery| {
        // A panic must affect only this message, not the lane.
        let rendered = catch_unwind(AssertUnwindSafe(|| render(settings, channel, delivery)));
        let broken = |_| Rendered::Broken { why: "rendering panicked: this is a bug in Hookbell".to_owned() };
        rendered.unwrap_or_else(broken)
    };
    if delivery.size < LARGE {
        return guarded(settings, channel, delivery);
    }
    let (settings, delivery) = (settings.clone(), delivery.clone());
    let work = tokio::task::spawn_blocking(move || {
        let channel = settings.channels.get(&delivery.channel)?;
        Some(guarded(&settings, channel, &delivery))
    });
    let failed = || Rendered::Broken { why: "rendering failed: this is a bug in Hookbell".to_owned() };
    work.await.ok().flatten().unwrap_or_else(failed)
}

/// Result of rendering a delivery.
enum Rendered {
    Body { body: Body, template_error: Option<RenderFailure> },
    Nothing { why: String },
    Broken { why: String },
}

/// Returns the style of a delivery: the route's if it sets one, otherwise the channel's.
fn style(channel: &Channel, delivery: &Delivery) -> Style {
    delivery.style.unwrap_or(channel.style)
}

fn render(settings: &Settings, channel: &Channel, delivery: &Delivery) -> Rendered {
    let event = delivery.event.as_ref();
    if let Some(body) = channel.chat.encode_event(event.event()) {
        return Rendered::Body { body, template_error: None };
    }
    let style = style(channel, delivery);
    // Chat-native templates render the full style only.
    let chat = Some(channel.kind).filter(|_| style == Style::Full);
    let has_refs = event.event()["refs"].as_array().is_some_and(|refs| !refs.is_empty());
    let template = if has_refs { Some(REFS) } else { delivery.template.as_deref() };
    let rendered = settings.templates.render_for(event, template, chat);
    for failure in &rendered.failures {
        tracing::warn!(delivery = %delivery.id, used = rendered.template, %failure, "template failed");
    }
    if let Some(why) = rendered.skip {
        return Rendered::Nothing { why };
    }
    let template_error = rendered.failures.into_iter().next();
    let body = rendered.body.map_or_else(|| channel.chat.encode(&channel.styled(rendered.message, style)), Body);
    Rendered::Body { body, template_error }
}

/// Consequences of a chat's response for a delivery and its lane.
struct Consequences {
    outcome: AttemptOutcome,
    response: Option<String>,
    next: NextState,
    lane: LaneStep,
    alert: Option<Alert>,
}

fn consequences(outcome: Outcome, delivery: &Delivery, failures: u32) -> Consequences {
    let (id, channel) = (&delivery.id, &delivery.channel);
    let on = |outcome, response, next| Consequences {
        outcome,
        response,
        next,
        lane: LaneStep::Next { pause: Duration::ZERO },
        alert: None,
    };
    let again = |outcome, failure: Failure, asked: Option<Duration>| {
        let own = backoff(failures + 1, rand::random());
        // If the chat asks for no wait, use the backoff: endless immediate retries help no one.
        let asked = asked.filter(|asked| *asked >= MIN_WAIT);
        let (wait, is_asked) = (asked.unwrap_or(own), asked.is_some());
        // A failure on the way to the chat is not the message's fault.
        let on_the_way = [Reason::RateLimited, Reason::Network, Reason::Timeout, Reason::NotTheChat];
        let strike = !on_the_way.contains(&failure.reason);
        let next = NextState::Queued { strike };
        Consequences {
            outcome,
            response: Some(failure.response),
            next,
            lane: LaneStep::Again { wait, is_asked },
            alert: None,
        }
    };
    match outcome {
        Outcome::Delivered(Posted { message, pause, instead }) => {
            let note = instead.map(|instead| instead.why);
            if let Some(note) = &note {
                tracing::warn!(delivery = %id, %channel, note, "delivered with a fallback");
            }
            let lane = LaneStep::Next { pause: pause.unwrap_or_default() };
            Consequences { lane, ..on(AttemptOutcome::Delivered, note, NextState::Delivered { message }) }
        }
        Outcome::Accepted => on(AttemptOutcome::Accepted, None, NextState::Accepted),
        Outcome::Retry { failure, after } => {
            tell(&failure, delivery, "delivery failed; will retry");
            let alert = (failure.reason == Reason::NotTheChat).then(|| Alert::blocked(delivery, &failure));
            Consequences { alert, ..again(AttemptOutcome::Failed(failure.reason), failure, after) }
        }
        Outcome::Unknown(failure) => {
            tell(&failure, delivery, "delivery outcome unknown; will retry, so the message may arrive twice");
            again(AttemptOutcome::Unknown, failure, None)
        }
        Outcome::Rejected(failure) => {
            tell(&failure, delivery, "message rejected by the chat; delivery dead");
            let alert = Some(Alert::ended(delivery, failure.reason.as_str(), &failure.response, failure.help));
            Consequences {
                alert,
                ..on(AttemptOutcome::Rejected, Some(failure.response), NextState::Dead { why: None })
            }
        }
        Outcome::Closed(failure) => {
            tell(&failure, delivery, "channel closed; its messages stay queued");
            let alert = Some(Alert::closed(delivery, &failure));
            let lane = LaneStep::Close { reason: failure.response.clone(), help: failure.help };
            Consequences {
                alert,
                lane,
                ..on(AttemptOutcome::Closed, Some(failure.response), NextState::Queued { strike: false })
            }
        }
    }
}

fn tell(failure: &Failure, delivery: &Delivery, what: &str) {
    let (id, channel, reason) = (&delivery.id, &delivery.channel, failure.reason.as_str());
    tracing::warn!(delivery = %id, %channel, reason, response = failure.response, help = failure.help, "{what}");
}
