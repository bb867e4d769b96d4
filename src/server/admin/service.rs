//! Operations of the admin API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::answers::{
    ChannelState, ChannelStatus, ChannelsAnswer, DeliveriesAnswer, EventAnswer, EventsAnswer, LaneStatus, LanesAnswer,
    RejectedAnswer, SourceStatus, SourcesAnswer,
};
use super::error::AdminError;
use super::preview::DRAWINGS;
use crate::config::{Live, Settings};
use crate::delivery::{LaneWakers, task_name};
use crate::event::{ChannelName, DeliveryId, EventId};
use crate::health::Health;
use crate::server::body::Bodies;
use crate::server::misdirected::MisdirectedList;
use crate::server::reload::{ReloadAnswer, Reloads};
use crate::server::secret_uses::SecretUses;
use crate::store::{Counts, DeliveryDetail, Filter, Lane, LaneCounts, LaneState, State, Store, StoreError};
use crate::time::{Millis, now};

/// Serves admin operations on the store, the configuration and, if the service runs, the lanes' tasks.
pub struct AdminService {
    /// Store of the service.
    pub store: Arc<dyn Store>,
    /// Settings in use.
    pub live: Live,
    /// Wakers of the lanes' tasks.
    pub wakers: LaneWakers,
    /// Handle for requesting reloads. `None` if the service is not running.
    pub reloads: Option<Reloads>,
    /// Health of the service.
    pub health: Health,
    /// Memory pools for bodies that are still arriving.
    pub(crate) bodies: Bodies,
    /// Permits to render a draft.
    pub(crate) drawings: Arc<Semaphore>,
    /// The most recent requests to no known source.
    pub(crate) misdirected: MisdirectedList,
    /// Time at which each secret last verified a request.
    pub(crate) secret_uses: SecretUses,
    /// Time at which the service started, in milliseconds since 1970-01-01 UTC.
    pub(crate) started: Millis,
}

impl AdminService {
    /// Creates the service for a process that does not receive webhooks or send messages.
    pub fn offline(store: Arc<dyn Store>, live: Live) -> Self {
        Self {
            store,
            live,
            wakers: LaneWakers::default(),
            reloads: None,
            health: Health::default(),
            bodies: Bodies::default(),
            drawings: Arc::new(Semaphore::new(DRAWINGS)),
            misdirected: MisdirectedList::default(),
            secret_uses: SecretUses::default(),
            started: now(),
        }
    }
}

/// Readiness of the service.
pub(super) struct Readiness {
    /// Requests can be stored.
    pub(super) is_ready: bool,
    /// Problems, one sentence each. A ready service can have some.
    pub(super) problems: Vec<String>,
}

impl AdminService {
    /// Returns the problems that need an operator, one sentence each.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.health.problems();
        problems.extend(self.store.faults());
        problems
    }

    /// Checks if requests can be stored, and collects the problems.
    pub(super) async fn readiness(&self) -> Readiness {
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

    pub(super) async fn events(&self, filter: Filter) -> Result<EventsAnswer, AdminError> {
        let total = self.store.count_events(filter.clone()).await?;
        Ok(EventsAnswer { events: self.store.events(filter).await?, total })
    }

    pub(super) async fn event(&self, id: EventId) -> Result<EventAnswer, AdminError> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let unknown = || AdminError::UnknownEvent(id.to_string());
        let event = self.store.events(filter).await?.pop().ok_or_else(unknown)?;
        let json = self.store.event_json(&id).await?.unwrap_or_default();
        let filter = Filter { event: Some(id), limit: 1_000, ..Filter::default() };
        Ok(EventAnswer { event, json, deliveries: self.store.deliveries(filter).await? })
    }

    pub(super) async fn rejected(&self, limit: usize) -> Result<RejectedAnswer, AdminError> {
        let rejected = self.store.rejected(limit).await?;
        Ok(RejectedAnswer { rejected, misdirected: self.misdirected.last(limit) })
    }

    pub(super) async fn deliveries(&self, filter: Filter) -> Result<DeliveriesAnswer, AdminError> {
        let total = self.store.count_deliveries(filter.clone()).await?;
        Ok(DeliveriesAnswer { deliveries: self.store.deliveries(filter).await?, total })
    }

    pub(super) async fn delivery(&self, id: DeliveryId) -> Result<DeliveryDetail, AdminError> {
        let unknown = || AdminError::UnknownDelivery(id.to_string());
        self.store.delivery(&id).await?.ok_or_else(unknown)
    }

    pub(super) async fn channels(&self) -> Result<ChannelsAnswer, AdminError> {
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

    pub(super) async fn sources(&self) -> Result<SourcesAnswer, AdminError> {
        let settings = self.live.now();
        let sources = settings.sources.iter().map(|(name, entry)| SourceStatus {
            source: name.clone(),
            kind: entry.provider.kind.to_owned(),
            secrets: entry.secrets.iter().map(|secret| self.secret_uses.last(name, secret)).collect(),
        });
        Ok(SourcesAnswer { sources: sources.collect(), started: self.reloads.is_some().then_some(self.started) })
    }

    pub(super) async fn lanes(&self) -> Result<LanesAnswer, AdminError> {
        let counts = self.store.counts().await?;
        let settings = self.live.now();
        let lanes: BTreeSet<_> = settings.lanes.values().collect();
        let status = |lane| self.lane_status(&settings, lane, &counts);
        Ok(LanesAnswer { lanes: lanes.into_iter().map(status).collect() })
    }

    pub(super) async fn reload(&self) -> Result<ReloadAnswer, AdminError> {
        Ok(self.reloads.as_ref().ok_or(AdminError::NotRunning)?.reload().await?)
    }

    pub(super) async fn pause(&self, name: ChannelName, reason: Option<String>) -> Result<ChannelsAnswer, AdminError> {
        self.set(&name, LaneState::Paused { reason }).await
    }

    pub(super) async fn reopen(&self, name: ChannelName) -> Result<ChannelsAnswer, AdminError> {
        self.set(&name, LaneState::Open).await
    }

    async fn set(&self, name: &ChannelName, state: LaneState) -> Result<ChannelsAnswer, AdminError> {
        let unknown = || AdminError::UnknownChannel(name.to_string());
        let settings = self.live.now();
        let lane = settings.lanes.get(name).ok_or_else(unknown)?;
        match &state {
            LaneState::Paused { reason } => tracing::info!(channel = %name, reason, "channel paused by an operator"),
            _ => tracing::info!(channel = %name, "channel reopened by an operator"),
        }
        self.store.set_lane(lane, state).await?;
        self.wakers.change(lane);
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

impl AdminService {
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
            kind: settings.channels.get(name).map(|channel| channel.kind.to_owned()),
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
pub(super) fn shown(text: &str) -> String {
    crate::text::cut_text(&crate::text::sanitized(text), 80)
}
