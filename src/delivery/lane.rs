//! One lane at work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::alert::{Alert, Alerts, Outage};
use super::attempt::{self, Then, Tried};
use super::signals::Signals;
use crate::chat::Pacer;
use crate::clock::SteadyClock;
use crate::config::Live;
use crate::event::{ChannelName, DeliveryId};
use crate::store::{Delivery, Finished, Lane, LaneState, Lease, Millis, Next, Store, StoreError, Turn};

/// How many heads are read ahead.
const BATCH: usize = 32;

/// How long a lease lasts; a lane renews it when half of that is over.
const LEASE: Duration = Duration::from_secs(60);

/// The wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// After so many failures that may lie in a message, the one behind it is tried too.
const STRIKES: u32 = 5;

/// What works on one lane. After a panic, a copy of it as it was at the start goes on.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) lane: Lane,
    /// This run of the program.
    pub(super) owner: String,
    pub(super) live: Live,
    pub(super) store: Arc<dyn Store>,
    pub(super) signals: Arc<Signals>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) pacer: Pacer,
    pub(super) alerts: Alerts,
    pub(super) clock: fn() -> Millis,
    /// For ages: the clock may be set.
    pub(super) steady: SteadyClock,
    /// Since when the lane is ours, if it is.
    pub(super) leased: Option<Instant>,
    /// Whether its last attempt failed.
    pub(super) failing: bool,
    /// Failed attempts in a row, of this run of the program.
    pub(super) failures: u32,
    /// The next attempt need not wait, unless the chat asked for it: the lane was started, or the configuration reloaded.
    pub(super) probe: bool,
    /// Outages of its channels that were reported, and since when; `None` while not known.
    pub(super) outages: Option<BTreeMap<ChannelName, Millis>>,
    /// The message that failed when the one behind it passed.
    pub(super) suspect: Option<DeliveryId>,
}

/// What became of a message.
enum Sent {
    /// It is not this lane's concern any more.
    Over,
    /// It is still queued, and the lane waits; the failure may lie in it.
    Waits { strike: bool, delivery: Box<Delivery> },
}

/// Why a turn ends early.
enum Leave {
    /// The service stops.
    Stop,
    /// Somebody changed something about the lane, or it is not ours any more: look again.
    Look,
    /// The store fails.
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
            tracing::warn!(%error, lane = self.lane.0, "could not give a lane back");
        }
    }

    /// After a panic: alerts, and marks the message that it was at as perhaps sent.
    pub(super) async fn recover(mut self) {
        let settings = self.live.now();
        if let Some((channel, _)) = settings.lanes.iter().find(|(_, lane)| **lane == self.lane) {
            self.alert(Alert::panicked(channel)).await;
        }
        if let Err(error) = self.store.reclaim(&self.lane, &self.owner, (self.clock)()).await {
            tracing::error!(%error, lane = self.lane.0, "cannot reclaim a lane");
        }
    }

    /// Takes the lane, waits as long as it is to wait, and sends what was read ahead, until something fails.
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
        let mut heads = self.store.heads(&self.lane, BATCH).await?.into_iter().peekable();
        if heads.peek().is_none() {
            return self.until_arrival().await;
        }
        while let Some(head) = heads.next() {
            // While its chat fails, what is too old is given up without asking again.
            if self.failing && self.is_too_old(&head) {
                self.bury(&head).await?;
                continue;
            }
            let tried = self.attempt(head).await?;
            match self.finish(tried).await? {
                Sent::Over => {}
                Sent::Waits { strike, delivery } => {
                    if strike && delivery.strikes >= STRIKES {
                        self.doubt(&delivery, heads.next()).await?;
                    }
                    // How long the lane waits, its next lease says.
                    self.leased = None;
                    return Ok(());
                }
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
        let (now, asked) = ((self.clock)(), Instant::now());
        let lease = self.store.lease(&self.lane, &self.owner, now + millis(LEASE), now).await?;
        self.leased = matches!(lease, Lease::Held { .. }).then_some(asked);
        Ok(lease)
    }

    /// A message has failed again and again, just now once more. If the chat takes the one behind it, and then still not
    /// this one, the fault is in this one. (Tried in this order, a chat that comes back gets them as they were stored.)
    async fn doubt(&mut self, failing: &Delivery, next: Option<Delivery>) -> Result<(), Leave> {
        let Delivery { id, channel, strikes, .. } = failing;
        if self.suspect.as_ref() == Some(id) {
            let why = format!("it failed {} times, and the message behind it did not", strikes + 1);
            tracing::error!(delivery = %id, %channel, why, "buried as suspect");
            self.alert(Alert::ended(failing, "suspect", &why, None)).await;
            self.suspect = None;
            let finished = vec![Finished::untried(id, Next::Suspect { why })];
            self.failing = false;
            return self.write_down(Turn { finished, ..Turn::default() }).await;
        }
        if let Some(next) = next {
            tracing::warn!(delivery = %id, %channel, "trying the message behind one that keeps failing");
            let tried = self.attempt(next).await?;
            self.suspect = tried.passed().then(|| id.clone());
            self.finish(tried).await?;
        }
        Ok(())
    }

    /// Gives a message up that is too old.
    async fn bury(&mut self, delivery: &Delivery) -> Result<(), Leave> {
        let why = "older than `max_age`, and its chat still fails";
        tracing::error!(delivery = %delivery.id, channel = %delivery.channel, why, "dead");
        self.alert(Alert::expired(delivery, why)).await;
        let finished = Finished::untried(&delivery.id, Next::Dead { why: Some(why.to_owned()) });
        // The lane goes on failing.
        self.write_down(Turn { finished: vec![finished], pause: millis(STORE_PAUSE), ..Turn::default() }).await
    }

    async fn attempt(&mut self, delivery: Delivery) -> Result<Tried, Leave> {
        self.pause(self.pacer.ready_at().saturating_duration_since(Instant::now())).await?;
        let settings = self.live.now();
        // What was read ahead may have moved to another lane, or be parked, since the settings changed.
        let is_here = settings.lanes.get(&delivery.channel) == Some(&self.lane);
        let channel = settings.channels.get(&delivery.channel).filter(|_| is_here).ok_or(Leave::Look)?;
        if self.failing {
            self.store.mark(&self.lane, &self.owner, &delivery.id).await?;
        }
        let tried = attempt::attempt(&settings, channel, delivery, self.failures, self.clock).await;
        self.probe = false;
        if tried.finished.attempt.is_some() {
            self.pacer.sent();
        }
        Ok(tried)
    }

    /// Writes down what was tried.
    async fn finish(&mut self, tried: Tried) -> Result<Sent, Leave> {
        let has_passed = tried.passed();
        // Before it is written down: an alert that comes twice is noticed, one that never comes is not.
        if let Some(alert) = tried.alert {
            self.alert(alert).await;
        }
        let strike = matches!(tried.finished.next, Next::Waits { strike: true });
        let mut turn = Turn { finished: vec![tried.finished], ..Turn::default() };
        match &tried.then {
            Then::Next { .. } => self.failures = 0,
            Then::Again { wait, is_asked } => {
                self.failures = self.failures.saturating_add(1);
                (turn.pause, turn.is_asked) = (millis(*wait), *is_asked);
            }
            Then::Close { reason, remedy } => {
                let (reason, remedy) = (reason.clone(), remedy.map(str::to_owned));
                turn.close = Some(LaneState::Closed { reason, remedy });
            }
        }
        self.failing = turn.pause > 0;
        self.write_down(turn).await?;
        if has_passed {
            self.report_recovery().await;
        }
        match tried.then {
            Then::Next { pause } => {
                self.pacer.pause(pause);
                Ok(Sent::Over)
            }
            Then::Again { .. } => Ok(Sent::Waits { strike, delivery: Box::new(tried.delivery) }),
            Then::Close { .. } => Err(Leave::Look),
        }
    }

    /// Reports the end of outages of the lane's channels: a message passed.
    async fn report_recovery(&mut self) {
        if self.outages.is_none() {
            match self.known_outages().await {
                Ok(outages) => self.outages = Some(outages),
                Err(error) => tracing::warn!(%error, lane = self.lane.0, "cannot read the lane's outages"),
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

    /// Messages are out; that must not be forgotten, or they are sent again.
    async fn write_down(&mut self, turn: Turn) -> Result<(), Leave> {
        loop {
            match self.store.finish(&self.lane, &self.owner, turn.clone(), (self.clock)()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    // Whoever took it over has marked what was sent.
                    tracing::warn!(lane = self.lane.0, "the lane was taken away while a message was on its way");
                    return Err(Leave::Look);
                }
                // Also when the service stops: until its grace is over, and then the lane is not given back.
                Err(error) => {
                    tracing::error!(%error, lane = self.lane.0, "what was sent cannot be written down yet");
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

    /// Waits until something waits in the lane, or somebody changed something.
    async fn until_arrival(&mut self) -> Result<(), Leave> {
        tokio::select! {
            () = self.signals.arrived() => Ok(()),
            () = self.signals.changed() => Err(Leave::Look),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }

    /// Waits until somebody changed something, or for so long.
    async fn until_changed(&mut self, longest: Duration) -> Result<(), Leave> {
        tokio::select! {
            () = self.signals.changed() => Err(Leave::Look),
            () = sleep(longest) => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }

    /// Waits, unless the service stops, or somebody changes something, before or meanwhile.
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
        tracing::error!(%error, lane = self.lane.0, "a lane waits for the store");
        tokio::select! {
            () = sleep(STORE_PAUSE) => Ok(()),
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(Leave::Stop),
        }
    }
}

pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
