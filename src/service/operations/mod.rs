//! Operations for people who run Hookbell: they list, explain, send again, drop, pause, reopen and preview. The admin
//! API and the command line are built on them.

mod answers;
mod error;
mod explain;
mod preview;
mod queries;
mod replays;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::delivery::task_name;
use super::health::Health;
use super::intake::Records;
use super::reload::{ReloadAnswer, Reloads};
use crate::config::{Live, Settings};
use crate::event::{ChannelName, DeliveryId, EventId};
use crate::store::{Counts, DeliveryDetail, Filter, Lane, LaneCounts, LaneState, State, Store, StoreError};
use crate::template::complete;
use crate::time::{Millis, now};

pub use answers::{
    ChannelState, ChannelStatus, ChannelsAnswer, DeliveriesAnswer, DropAnswer, EventAnswer, EventsAnswer,
    ExplainAnswer, LaneStatus, LanesAnswer, LeftOut, RejectedAnswer, ReplayAnswer, Replayed, SourceStatus,
    SourcesAnswer,
};
pub use error::OperationError;
pub use preview::{Draft, DrawingAnswer, PreviewAnswer, SavedAnswer, TemplateAnswer};
pub use queries::{DeliveriesQuery, EventsQuery, ExplainQuery, Limit, OfChat, Reason, Selection};

/// Performs operations on the store, the configuration and, if the service runs, the lanes' tasks.
pub struct Operations {
    pub(super) store: Arc<dyn Store>,
    pub(super) live: Live,
    /// Handle for requesting reloads. `None` if the service is not running.
    pub(super) reloads: Option<Reloads>,
    pub(super) health: Health,
    /// Permits to render a draft.
    pub(super) drawings: Arc<Semaphore>,
    pub(super) records: Records,
    /// Time at which the service started, in milliseconds since 1970-01-01 UTC.
    pub(super) started: Millis,
}

/// Returns the length of a list, if it has everything that matches: then nothing need be counted.
fn complete_list<T>(list: &[T], filter: &Filter) -> Option<u64> {
    (list.len() < filter.limit).then_some(list.len() as u64)
}

impl Operations {
    /// Creates the operations for a process that does not receive webhooks or send messages.
    pub fn offline(store: Arc<dyn Store>, live: Live) -> Self {
        Self {
            store,
            live,
            reloads: None,
            health: Health::default(),
            drawings: Arc::new(Semaphore::new(preview::DRAWINGS)),
            records: Records::default(),
            started: now(),
        }
    }
}

/// Readiness of the service.
pub struct Readiness {
    /// Requests can be stored.
    pub is_ready: bool,
    /// Problems, one sentence each. A ready service can have some.
    pub problems: Vec<String>,
}

impl Operations {
    /// Returns the problems that need an operator, one sentence each.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.health.problems();
        problems.extend(self.store.faults());
        problems
    }

    /// Checks if requests can be stored, and collects the problems.
    pub async fn readiness(&self) -> Readiness {
        let mut problems = self.problems();
        let mut is_ready = self.health.store_error().is_none();
        if is_ready {
            match tokio::time::timeout(READY, self.store.is_ready()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    is_ready = false;
                    problems.push(error.to_string());
                }
                Err(_) => {
                    is_ready = false;
                    problems.push(StoreError::Busy.to_string());
                }
            }
        }
        Readiness { is_ready, problems }
    }

    /// Lists events.
    pub async fn events(&self, query: EventsQuery) -> Result<EventsAnswer, OperationError> {
        let filter = query.filter()?;
        let events = self.store.events(filter.clone()).await?;
        let total = match complete_list(&events, &filter) {
            Some(total) => total,
            None => self.store.count_events(filter).await?,
        };
        Ok(EventsAnswer { events, total })
    }

    /// Returns an event with its routing decision and deliveries.
    pub async fn event(&self, id: EventId) -> Result<EventAnswer, OperationError> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let unknown = || OperationError::UnknownEvent(id.to_string());
        let event = self.store.events(filter).await?.pop().ok_or_else(unknown)?;
        let mut json = self.store.event_json(&id).await?.unwrap_or_default();
        complete(&mut json);
        let filter = Filter { event: Some(id), limit: 1_000, ..Filter::default() };
        Ok(EventAnswer { event, json, deliveries: self.store.deliveries(filter).await? })
    }

    /// Lists the most recent rejected requests.
    pub async fn rejected(&self, query: Limit) -> Result<RejectedAnswer, OperationError> {
        let limit = query.limit()?;
        let rejected = self.store.rejected(limit).await?;
        Ok(RejectedAnswer { rejected, misdirected: self.records.misdirected.last(limit) })
    }

    /// Lists deliveries.
    pub async fn deliveries(&self, query: DeliveriesQuery) -> Result<DeliveriesAnswer, OperationError> {
        let filter = query.filter()?;
        let deliveries = self.store.deliveries(filter.clone()).await?;
        let total = match complete_list(&deliveries, &filter) {
            Some(total) => total,
            None => self.store.count_deliveries(filter).await?,
        };
        Ok(DeliveriesAnswer { deliveries, total })
    }

    /// Returns a delivery with its attempts and the message sent.
    pub async fn delivery(&self, id: DeliveryId) -> Result<DeliveryDetail, OperationError> {
        let unknown = || OperationError::UnknownDelivery(id.to_string());
        self.store.delivery(&id).await?.ok_or_else(unknown)
    }

    /// Lists channels with their state and queued messages.
    pub async fn channels(&self) -> Result<ChannelsAnswer, OperationError> {
        let counts = self.store.counts().await?;
        let settings = self.live.now();
        let known = settings.lanes.keys();
        let gone = counts.ended.iter().filter(|((_, state), _)| *state == State::Parked).map(|((name, _), _)| name);
        let names: BTreeSet<_> = known.chain(gone).collect();
        let channels = names.into_iter().map(|name| self.channel(&settings, name, &counts)).collect();
        Ok(ChannelsAnswer {
            channels,
            pending_routing: counts.pending_routing,
            problems: self.problems(),
            notes: self.health.notes(),
        })
    }

    /// Lists sources with the last use of their secrets.
    pub async fn sources(&self) -> Result<SourcesAnswer, OperationError> {
        let settings = self.live.now();
        let sources = settings.sources.iter().map(|(name, entry)| SourceStatus {
            source: name.clone(),
            kind: entry.provider.kind.to_owned(),
            secrets: entry.secrets.iter().map(|secret| self.records.source_uses.last(name, secret)).collect(),
        });
        Ok(SourcesAnswer { sources: sources.collect(), started: self.reloads.is_some().then_some(self.started) })
    }

    /// Lists lanes: one per destination, which channels may share.
    pub async fn lanes(&self) -> Result<LanesAnswer, OperationError> {
        let counts = self.store.counts().await?;
        let settings = self.live.now();
        let lanes: BTreeSet<_> = settings.lanes.values().collect();
        let status = |lane| self.lane_status(&settings, lane, &counts);
        Ok(LanesAnswer { lanes: lanes.into_iter().map(status).collect() })
    }

    /// Reloads the configuration.
    pub async fn reload(&self) -> Result<ReloadAnswer, OperationError> {
        Ok(self.reloads.as_ref().ok_or(OperationError::NotRunning)?.reload().await?)
    }

    /// Pauses a channel and all channels with the same destination.
    pub async fn pause(&self, name: ChannelName, query: Reason) -> Result<ChannelsAnswer, OperationError> {
        self.set(&name, LaneState::Paused { reason: query.reason }).await
    }

    /// Reopens a closed or paused channel; queued messages are tried at once.
    pub async fn reopen(&self, name: ChannelName) -> Result<ChannelsAnswer, OperationError> {
        self.set(&name, LaneState::Open).await
    }

    async fn set(&self, name: &ChannelName, state: LaneState) -> Result<ChannelsAnswer, OperationError> {
        let unknown = || OperationError::UnknownChannel(name.to_string());
        let settings = self.live.now();
        let lane = settings.lanes.get(name).ok_or_else(unknown)?;
        match &state {
            LaneState::Paused { reason } => tracing::info!(channel = %name, reason, "channel paused by an operator"),
            _ => tracing::info!(channel = %name, "channel reopened by an operator"),
        }
        self.store.set_lane(lane, state).await?;
        let counts = self.store.counts().await?;
        let sharing = settings.lanes.iter().filter(|(_, other)| *other == lane).map(|(name, _)| name);
        let channels = sharing.map(|name| self.channel(&settings, name, &counts)).collect();
        Ok(ChannelsAnswer {
            channels,
            pending_routing: counts.pending_routing,
            problems: self.problems(),
            notes: self.health.notes(),
        })
    }
}

impl Operations {
    /// Returns the status of a channel.
    fn channel(&self, settings: &Settings, name: &ChannelName, counts: &Counts) -> ChannelStatus {
        let of = |state| counts.ended.get(&(name.clone(), state)).copied().unwrap_or_default();
        let lane = match settings.lanes.get(name) {
            Some(lane) => self.lane_status(settings, lane, counts),
            None => {
                let reason = Some("the channel is not in the configuration".to_owned());
                let lane = Lane(String::new());
                LaneStatus { state: ChannelState::Parked, reason, ..status(&lane, vec![], &LaneCounts::default()) }
            }
        };
        ChannelStatus {
            channel: name.clone(),
            kind: settings.channels.get(name).map(|channel| channel.kind.name().to_owned()),
            lane,
            parked: of(State::Parked),
            dead: of(State::Dead) + of(State::Suspect),
            skipped: of(State::Skipped),
        }
    }

    fn lane_status(&self, settings: &Settings, lane: &Lane, counts: &Counts) -> LaneStatus {
        let channels =
            settings.lanes.iter().filter(|(_, other)| *other == lane).map(|(name, _)| name.clone()).collect();
        let status = status(lane, channels, counts.lanes.get(lane).unwrap_or(&LaneCounts::default()));
        LaneStatus { panics: self.health.panics(&task_name(lane)), ..status }
    }
}

/// Timeout for the readiness check of the store.
const READY: Duration = Duration::from_secs(2);

fn status(lane: &Lane, channels: Vec<ChannelName>, counts: &LaneCounts) -> LaneStatus {
    let (state, reason, help) = match &counts.state {
        LaneState::Open => (ChannelState::Open, None, None),
        LaneState::Closed { reason, help } => (ChannelState::Closed, Some(reason.clone()), help.clone()),
        LaneState::Paused { reason } => (ChannelState::Paused, reason.clone(), None),
    };
    LaneStatus {
        lane: lane.0.clone(),
        channels,
        state,
        reason,
        help,
        since: counts.since,
        queued: counts.queued,
        oldest: counts.oldest,
        next_at: counts.next_at,
        panics: 0,
    }
}

/// Sanitizes untrusted input for an error message, and cuts it to 80 UTF-16 units.
fn shown(text: &str) -> String {
    crate::text::cut_text(&crate::text::sanitized(text), 80)
}
