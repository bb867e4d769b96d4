//! One lane at work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::backoff;
use crate::chat::{Body, Chat, Outcome};
use crate::config::Settings;
use crate::event::Kind;
use crate::store::{Delivery, Finished, Lane, Millis, Next, Store, now};

/// How many heads are read ahead.
const BATCH: usize = 32;

/// How long a lease lasts; a lane renews it when half of that is over.
const LEASE: Duration = Duration::from_secs(60);

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
        let Some(chat) = settings.channels.get(&delivery.channel) else { return Err(Leave) };
        let mut wait = delivery.wait;
        loop {
            self.pause(wait).await?;
            let body = draw(&settings, chat.as_ref(), &delivery);
            let finished = attempt(chat.as_ref(), &delivery, &body).await;
            let next = finished.next.clone();
            self.finish(finished).await?;
            match next {
                Next::Delivered { .. } => return Ok(()),
                Next::Retry { after } => wait = duration(after),
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
                    tracing::warn!(lane = self.lane.0, "lost the lane to somebody else");
                    return Err(Leave);
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
fn draw(settings: &Settings, chat: &dyn Chat, delivery: &Delivery) -> Body {
    let kind = delivery.event["kind"].as_str().and_then(Kind::parse).unwrap_or(Kind::Other);
    let rendered = settings.templates.render(kind, &delivery.event, delivery.template.as_deref());
    for failure in &rendered.failures {
        tracing::warn!(delivery = %delivery.id, used = rendered.template, %failure, "a template failed");
    }
    chat.encode(&rendered.message)
}

async fn attempt(chat: &dyn Chat, delivery: &Delivery, body: &Body) -> Finished {
    let (at, began) = (now(), Instant::now());
    let outcome = chat.send(body).await;
    let took = millis(began.elapsed());
    let (name, said, next) = match outcome {
        Outcome::Delivered { message_id } => {
            tracing::debug!(delivery = %delivery.id, channel = %delivery.channel, took, "delivered");
            ("delivered", None, Next::Delivered { message_id })
        }
        Outcome::Retry { reason, said } => {
            let after = millis(backoff(delivery.attempts + 1, rand::random()));
            let reason = reason.as_str();
            tracing::warn!(delivery = %delivery.id, channel = %delivery.channel, reason, said, after, "will try again");
            (reason, Some(said), Next::Retry { after })
        }
    };
    Finished { delivery: delivery.id.clone(), at, took, outcome: name, said, next, body: body.0.clone() }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

fn duration(millis: Millis) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
