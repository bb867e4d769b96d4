//! One lane at work.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::backoff;
use crate::chat::{Body, Chat, Failure, Outcome, Pacer, Receipt, Style};
use crate::config::{Channel, Settings};
use crate::store::{Delivery, Finished, Lane, Millis, Next, Store, now};
use crate::template::Context;

/// How many heads are read ahead.
const BATCH: usize = 32;

/// How long a lease lasts; a lane renews it when half of that is over.
const LEASE: Duration = Duration::from_secs(60);

/// The shortest wait that a chat's own word is taken for.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What works on one lane.
pub(super) struct Worker {
    pub(super) lane: Lane,
    pub(super) owner: String,
    pub(super) settings: Arc<Settings>,
    pub(super) store: Arc<dyn Store>,
    pub(super) wake: Arc<Notify>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) pacer: Pacer,
}

/// The lane is not ours, or not any more, or the service stops.
struct Leave;

impl Worker {
    pub(super) async fn run(mut self) {
        let mut leased: Option<Instant> = None;
        loop {
            if leased.is_none_or(|since| since.elapsed() > LEASE / 2) {
                match self.lease().await {
                    Ok(true) => leased = Some(Instant::now()),
                    Ok(false) => {
                        leased = None;
                        if self.pause(LEASE / 2).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Err(Leave) => return,
                }
            }
            let Ok(heads) = self.heads().await else { return };
            if heads.is_empty() && self.idle().await.is_err() {
                return;
            }
            for head in heads {
                if self.deliver(head).await.is_err() {
                    return;
                }
                if leased.is_some_and(|since| since.elapsed() > LEASE / 2) {
                    break;
                }
            }
        }
    }

    /// Delivers one message, however long it takes.
    async fn deliver(&mut self, mut delivery: Delivery) -> Result<(), Leave> {
        let settings = self.settings.clone();
        let Some(channel) = settings.channels.get(&delivery.channel) else { return Err(Leave) };
        // Made once; what is rendered of it, each time anew.
        let event = Context::new(std::mem::take(&mut delivery.event));
        let mut wait = delivery.wait;
        loop {
            self.pause(wait).await?;
            self.pause(self.pacer.ready_at().saturating_duration_since(Instant::now())).await?;
            let body = draw(&settings, channel, &delivery, &event);
            self.pacer.sent();
            let (finished, after) = attempt(channel.chat.as_ref(), &delivery, &body).await;
            self.finish(finished).await?;
            match after {
                After::Next { pause } => {
                    self.pacer.pause(pause);
                    return Ok(());
                }
                After::Again { wait: time } => wait = time,
                After::Closed => {
                    // Nothing goes there before somebody does something about it, and then the service starts anew.
                    let _ = self.stopped.wait_for(|stopped| *stopped).await;
                    return Err(Leave);
                }
            }
            delivery.attempts += 1;
        }
    }

    async fn lease(&mut self) -> Result<bool, Leave> {
        loop {
            let until = now() + millis(LEASE);
            match self.store.lease(&self.lane, &self.owner, until).await {
                Ok(held) => return Ok(held),
                Err(error) => self.after_store_error(&error).await?,
            }
        }
    }

    async fn heads(&mut self) -> Result<Vec<Delivery>, Leave> {
        loop {
            match self.store.heads(&self.lane, BATCH).await {
                Ok(heads) => return Ok(heads),
                Err(error) => self.after_store_error(&error).await?,
            }
        }
    }

    /// Writes down what became of an attempt. The message is out; that must not be forgotten, or it is sent again.
    async fn finish(&mut self, finished: Finished) -> Result<(), Leave> {
        loop {
            match self.store.finish(&self.lane, &self.owner, finished.clone()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    tracing::warn!(lane = self.lane.0, "somebody else holds the lane; waiting for it");
                    self.pause(STORE_PAUSE).await?;
                    self.lease().await?;
                }
                Err(error) => self.after_store_error(&error).await?,
            }
        }
    }

    async fn after_store_error(&mut self, error: &crate::store::StoreError) -> Result<(), Leave> {
        tracing::error!(%error, lane = self.lane.0, "a lane waits for the store");
        self.pause(STORE_PAUSE).await
    }

    /// Waits until something waits in the lane.
    async fn idle(&mut self) -> Result<(), Leave> {
        tokio::select! {
            () = self.wake.notified() => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave),
        }
    }

    /// Waits, unless the service stops.
    async fn pause(&mut self, time: Duration) -> Result<(), Leave> {
        if *self.stopped.borrow() {
            return Err(Leave);
        }
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = sleep(time) => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave),
        }
    }
}

/// Renders a delivery's event, now: a template that was mended since it was stored serves it.
fn draw(settings: &Settings, channel: &Channel, delivery: &Delivery, event: &Context) -> Body {
    let rendered = settings.templates.render(event, delivery.template.as_deref());
    for failure in &rendered.failures {
        tracing::warn!(delivery = %delivery.id, used = rendered.template, %failure, "a template failed");
    }
    let style = delivery.style.as_deref().and_then(Style::parse).unwrap_or(channel.style);
    channel.chat.encode(&style.of(rendered.message))
}

/// What the lane does after an attempt.
enum After {
    /// The next message, after a pause that the chat may have asked for.
    Next { pause: Duration },
    /// The same one again.
    Again { wait: Duration },
    /// Nothing: the destination is gone.
    Closed,
}

async fn attempt(chat: &dyn Chat, delivery: &Delivery, body: &Body) -> (Finished, After) {
    let (at, began) = (now(), Instant::now());
    let outcome = chat.send(body).await;
    let took = millis(began.elapsed());
    let (id, channel) = (&delivery.id, &delivery.channel);
    let next_at_once = || After::Next { pause: Duration::ZERO };
    let again = |asked: Option<Duration>| {
        let own = backoff(delivery.attempts + 1, rand::random());
        // A chat that asks for no wait at all gets ours: nobody is helped by asking again at once, for ever.
        let wait = asked.filter(|asked| *asked >= SHORTEST_WAIT).unwrap_or(own);
        (Next::Retry { after: millis(wait) }, After::Again { wait })
    };
    let (name, said, (next, after)) = match outcome {
        Outcome::Delivered(Receipt { message_id, pause, note }) => {
            tracing::debug!(delivery = %id, %channel, took, "delivered");
            if let Some(note) = &note {
                tracing::warn!(delivery = %id, %channel, note, "delivered, but not as drawn");
            }
            let after = After::Next { pause: pause.unwrap_or_default() };
            ("delivered", note, (Next::Delivered { message_id }, after))
        }
        Outcome::Accepted => {
            tracing::debug!(delivery = %id, %channel, took, "accepted");
            ("accepted", None, (Next::Accepted, next_at_once()))
        }
        Outcome::Retry { failure, after } => {
            let (next, then) = again(after);
            tell(&failure, delivery, "will try again");
            (failure.reason.as_str(), Some(failure.said), (next, then))
        }
        Outcome::Unknown(failure) => {
            let (next, then) = again(None);
            tell(&failure, delivery, "no answer, so it may be there; will try again");
            ("unknown", Some(failure.said), (next, then))
        }
        Outcome::Rejected(failure) => {
            tell(&failure, delivery, "the chat will never take this message; it is dead");
            ("rejected", Some(failure.said), (Next::Dead, next_at_once()))
        }
        Outcome::Closed(failure) => {
            tell(&failure, delivery, "the destination is closed; its messages wait");
            ("closed", Some(failure.said), (Next::Retry { after: 0 }, After::Closed))
        }
    };
    (Finished { delivery: id.clone(), at, took, outcome: name, said, next, body: body.0.clone() }, after)
}

fn tell(failure: &Failure, delivery: &Delivery, what: &str) {
    let (id, channel, reason) = (&delivery.id, &delivery.channel, failure.reason.as_str());
    let remedy = failure.remedy.unwrap_or("none known");
    tracing::warn!(delivery = %id, %channel, reason, said = failure.said, remedy, "{what}");
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
