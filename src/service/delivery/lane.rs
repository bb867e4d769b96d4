//! The task of one lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::alert::{Alert, Alerts, Outage};
use super::attempt::{self, Attempted, LaneStep};
use super::signals::Signals;
use crate::chat::Pacer;
use crate::config::Live;
use crate::event::{ChannelName, DeliveryId};
use crate::store::{Delivery, Finished, Lane, LaneState, Lease, NextState, Store, StoreError, Turn};
use crate::time::{Millis, SteadyClock, millis};

/// Number of queued messages that are read ahead.
const BATCH: usize = 32;

/// Duration of a lease; a lane renews it after half of this time.
const LEASE: Duration = Duration::from_secs(60);

/// Wait after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Number of failures that may be a message's fault, after which the next message is tried too.
const STRIKES: u32 = 5;

/// Worker of one lane. After a panic, a copy of its initial state continues.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) lane: Lane,
    /// Id of this run of the program.
    pub(super) owner: String,
    pub(super) live: Live,
    pub(super) store: Arc<dyn Store>,
    pub(super) signals: Arc<Signals>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) pacer: Pacer,
    pub(super) alerts: Alerts,
    pub(super) clock: fn() -> Millis,
    /// Clock for the age of messages, because the system's clock may be changed.
    pub(super) steady: SteadyClock,
    /// Time at which the lane was leased, if it is.
    pub(super) leased: Option<Instant>,
    /// True if the last attempt failed.
    pub(super) failing: bool,
    /// Consecutive failed attempts during this run of the program.
    pub(super) failures: u32,
    /// True after the start of the lane or a reload of the configuration: the next attempt does not wait, unless the
    /// chat asked for the wait.
    pub(super) probe: bool,
    /// Reported outages of the lane's channels, with their start; `None` until they are read from the store.
    pub(super) outages: Option<BTreeMap<ChannelName, Millis>>,
    /// Message that failed before the next one was delivered.
    pub(super) suspect: Option<DeliveryId>,
}

/// Reason to end a turn early.
enum Leave {
    /// The service or the lane is stopping.
    Stop,
    /// The lane changed or has another owner: lease it again.
    Look,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Leave {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Worker {
    pub(super) async fn run(mut self) {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(Leave::Look) => self.leased = None,
                Err(Leave::Store(error)) => {
                    self.leased = None;
                    if self.rest(&error).await.is_err() {
                        break;
                    }
                }
                Err(Leave::Stop) => break,
            }
        }
        if let Err(error) = self.store.release(&self.lane, &self.owner).await {
            tracing::warn!(%error, lane = self.lane.0, "lane not released");
        }
    }

    /// Recovers from a panic: sends an alert, and records an unknown outcome for the current message.
    pub(super) async fn recover(mut self) {
        let settings = self.live.now();
        if let Some((channel, _)) = settings.lanes.iter().find(|(_, lane)| **lane == self.lane) {
            self.alert(Alert::panicked(channel)).await;
        }
        if let Err(error) = self.store.reclaim(&self.lane, &self.owner).await {
            tracing::error!(%error, lane = self.lane.0, "lane not reclaimed");
        }
    }

    /// Leases the lane, waits as long as required, and sends the message that was handed over, or those that it reads, until
    /// one fails.
    async fn turn(&mut self) -> Result<(), Leave> {
        self.probe |= self.signals.take_probe();
        let wait = match self.lease().await? {
            Lease::Held { wait, failing, is_asked } => {
                self.failing = failing;
                if self.probe && !is_asked { Duration::ZERO } else { wait }
            }
            Lease::Shut => {
                self.store.release(&self.lane, &self.owner).await?;
                return self.until_changed(Duration::MAX).await;
            }
            Lease::Taken => return self.until_changed(LEASE / 2).await,
        };
        self.pause(wait).await?;
        if !self.signals.inbox.is_open() {
            self.signals.inbox.open();
            let heads = self.store.heads(&self.lane, BATCH).await?;
            if !heads.is_empty() {
                self.signals.inbox.close_after(&heads);
                return self.send_all(heads.into_iter()).await;
            }
        }
        match self.signals.inbox.take() {
            Some(head) => self.send_all(std::iter::once(head)).await,
            None => self.until_arrival().await,
        }
    }

    /// Sends messages until one fails.
    async fn send_all(&mut self, mut heads: impl Iterator<Item = Delivery>) -> Result<(), Leave> {
        while let Some(head) = heads.next() {
            // While the chat fails, messages that are too old are dropped without another attempt.
            if self.failing && self.is_too_old(&head) {
                self.expire(&head).await?;
                continue;
            }
            let attempted = self.attempt(head).await?;
            let is_strike = attempted.is_strike();
            if let Some(failed) = self.finish(attempted).await? {
                if is_strike && failed.strikes >= STRIKES {
                    self.try_next(&failed, heads.next()).await?;
                }
                // The next lease contains the wait.
                self.leased = None;
                return Ok(());
            }
            if self.leased.is_none_or(|since| since.elapsed() > LEASE / 2) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn lease(&mut self) -> Result<Lease, Leave> {
        if self.leased.is_some_and(|since| since.elapsed() < LEASE / 2) {
            return Ok(Lease::Held { wait: Duration::ZERO, failing: self.failing, is_asked: false });
        }
        let asked = Instant::now();
        // What happened to the lane in the meantime is in the store.
        self.signals.inbox.close();
        let lease = self.store.lease(&self.lane, &self.owner, LEASE).await?;
        self.leased = matches!(lease, Lease::Held { .. }).then_some(asked);
        Ok(lease)
    }

    /// Handles a message that failed repeatedly, just now again. If the chat accepts the next message and then still
    /// not this one, this one is at fault and is marked as suspect. The failing message is always tried first, so that
    /// a chat that recovers gets the messages in the order in which they were stored.
    async fn try_next(&mut self, failing: &Delivery, next: Option<Delivery>) -> Result<(), Leave> {
        let Delivery { id, channel, strikes, .. } = failing;
        if self.suspect.as_ref() == Some(id) {
            let why = format!("failed {} times while the next message was delivered", strikes + 1);
            tracing::error!(delivery = %id, %channel, why, "delivery marked as suspect");
            self.alert(Alert::ended(failing, "suspect", &why, None)).await;
            self.suspect = None;
            let finished = vec![Finished::untried(id, NextState::Suspect { why })];
            self.failing = false;
            return self.write_down(Turn { finished, ..Turn::default() }).await;
        }
        if let Some(next) = next {
            tracing::warn!(delivery = %id, %channel, "message keeps failing; trying the next one");
            let attempted = self.attempt(next).await?;
            self.suspect = attempted.passed().then(|| id.clone());
            self.finish(attempted).await?;
        }
        Ok(())
    }

    /// Drops a message that is too old.
    async fn expire(&mut self, delivery: &Delivery) -> Result<(), Leave> {
        let why = "older than `max_age` while the channel is failing";
        tracing::error!(delivery = %delivery.id, channel = %delivery.channel, why, "delivery dead");
        self.alert(Alert::expired(delivery, why)).await;
        let finished = Finished::untried(&delivery.id, NextState::Dead { why: Some(why.to_owned()) });
        // The lane is still failing.
        self.write_down(Turn { finished: vec![finished], pause: millis(STORE_PAUSE), ..Turn::default() }).await
    }

    async fn attempt(&mut self, delivery: Delivery) -> Result<Attempted, Leave> {
        self.pause(self.pacer.ready_at().saturating_duration_since(Instant::now())).await?;
        let settings = self.live.now();
        // After a change of the settings, a message that was read ahead may belong to another lane or be parked.
        let is_here = settings.lanes.get(&delivery.channel) == Some(&self.lane);
        let channel = settings.channels.get(&delivery.channel).filter(|_| is_here).ok_or(Leave::Look)?;
        if self.failing {
            self.store.mark(&self.lane, &self.owner, &delivery.id).await?;
        }
        let attempted = attempt::attempt(&settings, channel, delivery, self.failures, self.clock).await;
        self.probe = false;
        if attempted.finished.attempt.is_some() {
            self.pacer.sent();
        }
        Ok(attempted)
    }

    /// Stores the result of an attempt, and its consequences for the lane. Returns the delivery if it is tried again.
    async fn finish(&mut self, attempted: Attempted) -> Result<Option<Delivery>, Leave> {
        let passed = attempted.passed();
        let Attempted { delivery, finished, lane, alert } = attempted;
        // Send the alert before the result is stored: a repeated alert is better than a lost one.
        if let Some(alert) = alert {
            self.alert(alert).await;
        }
        let mut turn = Turn { finished: vec![finished], ..Turn::default() };
        let mut failed = None;
        match lane {
            LaneStep::Next { pause } => {
                self.failures = 0;
                self.pacer.pause(pause);
            }
            LaneStep::Again { wait, is_asked } => {
                self.failures = self.failures.saturating_add(1);
                (turn.pause, turn.is_asked) = (millis(wait), is_asked);
                failed = Some(delivery);
            }
            LaneStep::Close { reason, help } => {
                turn.close = Some(LaneState::Closed { reason, help: help.map(str::to_owned) });
            }
        }
        self.failing = turn.pause > 0;
        let is_closed = turn.close.is_some();
        self.write_down(turn).await?;
        if passed {
            self.report_recovery().await;
        }
        if is_closed { Err(Leave::Look) } else { Ok(failed) }
    }

    /// Reports the end of outages of the lane's channels, because a message was delivered.
    async fn report_recovery(&mut self) {
        if self.outages.is_none() {
            match self.known_outages().await {
                Ok(outages) => self.outages = Some(outages),
                Err(error) => tracing::warn!(%error, lane = self.lane.0, "outages of the lane not read"),
            }
        }
        for (channel, since) in self.outages.as_mut().map(std::mem::take).unwrap_or_default() {
            tracing::info!(%channel, "channel recovered");
            self.alerts.recovered(&Outage::Channel(channel), since, (self.clock)()).await;
        }
    }

    async fn known_outages(&self) -> Result<BTreeMap<ChannelName, Millis>, StoreError> {
        let (settings, mut outages) = (self.live.now(), BTreeMap::new());
        for (channel, _) in settings.lanes.iter().filter(|(_, lane)| **lane == self.lane) {
            let since = self.alerts.outage_since(&Outage::Channel(channel.clone())).await?;
            outages.extend(since.map(|since| (channel.clone(), since)));
        }
        Ok(outages)
    }

    /// Stores the results of a turn. Retries until they are stored, because messages without a result are sent again.
    async fn write_down(&mut self, turn: Turn) -> Result<(), Leave> {
        let turn = Arc::new(turn);
        loop {
            match self.store.finish(&self.lane, &self.owner, turn.clone()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    // The new owner has recorded the attempt.
                    tracing::warn!(
                        lane = self.lane.0,
                        "lane taken over by another owner while a message was being sent"
                    );
                    return Err(Leave::Look);
                }
                // Retry even when the service stops, until its grace period ends; the lane is not released then.
                Err(error) => {
                    tracing::error!(%error, lane = self.lane.0, "result of an attempt not stored; retrying");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn alert(&mut self, alert: Alert) {
        if alert.begins_outage() {
            self.outages = None;
        }
        self.alerts.send(alert, Some(&self.lane), (self.clock)()).await;
    }

    fn is_too_old(&self, delivery: &Delivery) -> bool {
        let now = self.steady.for_ages((self.clock)());
        now.saturating_sub(delivery.created_at) > millis(self.live.now().delivery.max_age)
    }

    /// Waits until a message is queued in the lane, or the lane changes.
    async fn until_arrival(&mut self) -> Result<(), Leave> {
        tokio::select! {
            () = self.signals.arrived() => Ok(()),
            () = self.signals.changed() => Err(Leave::Look),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }

    /// Waits until the lane changes, but at most `longest`.
    async fn until_changed(&mut self, longest: Duration) -> Result<(), Leave> {
        tokio::select! {
            () = self.signals.changed() => Err(Leave::Look),
            () = sleep(longest) => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }

    /// Waits, unless the service stops or the lane changes, before or during the wait.
    async fn pause(&mut self, time: Duration) -> Result<(), Leave> {
        if *self.stopped.borrow() {
            return Err(Leave::Stop);
        }
        if self.signals.take_change() {
            return Err(Leave::Look);
        }
        if time.is_zero() { Ok(()) } else { self.until_changed(time).await }
    }

    /// Waits for the store, unless the service stops.
    async fn rest(&mut self, error: &StoreError) -> Result<(), Leave> {
        tracing::error!(%error, lane = self.lane.0, "store failing; lane waits");
        tokio::select! {
            () = sleep(STORE_PAUSE) => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }
}
