//! Operations of the admin API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::answers::{
    ChannelState, ChannelStatus, ChannelsAnswer, DeliveriesAnswer, DropAnswer, EventAnswer, EventsAnswer, LaneStatus,
    LanesAnswer, LeftOut, RejectedAnswer, ReplayAnswer, Replayed, SourceStatus, SourcesAnswer,
};
use super::preview::DRAWINGS;
use crate::config::{Live, Settings};
use crate::delivery::{LaneWakers, task_name};
use crate::event::{ChannelName, DeliveryId, Event, EventId};
use crate::health::Health;
use crate::routing::Subject;
use crate::server::body::Bodies;
use crate::server::decide::deliveries;
use crate::server::misdirected::MisdirectedList;
use crate::server::reload::{NotReloaded, ReloadAnswer, Reloads};
use crate::server::secret_uses::SecretUses;
use crate::store::{
    Counts, DeliveryDetail, DeliverySummary, Filter, Lane, LaneCounts, LaneState, Millis, NewDelivery, State, Store,
    StoreError, joined, now, timestamp,
};

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

/// Reason why an operation failed.
pub(crate) enum AdminError {
    /// The request is invalid.
    Input(String),
    /// The requested object does not exist.
    Unknown(String),
    /// The store is failing, or the service is busy or stopping.
    Store(String),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
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
        let unknown = || AdminError::Unknown(format!("unknown event `{}`", shown(id.as_str())));
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
        let unknown = || AdminError::Unknown(format!("unknown delivery `{}`", shown(id.as_str())));
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
        let nothing =
            || AdminError::Unknown("Hookbell is not running; it reads the configuration when it starts".to_owned());
        match self.reloads.as_ref().ok_or_else(nothing)?.reload().await {
            Ok(answer) => Ok(answer),
            Err(NotReloaded::Mistakes(why)) => Err(AdminError::Input(why)),
            Err(NotReloaded::Failed(why)) => Err(AdminError::Store(why)),
        }
    }

    pub(super) async fn pause(&self, name: ChannelName, reason: Option<String>) -> Result<ChannelsAnswer, AdminError> {
        self.set(&name, LaneState::Paused { reason }).await
    }

    pub(super) async fn reopen(&self, name: ChannelName) -> Result<ChannelsAnswer, AdminError> {
        self.set(&name, LaneState::Open).await
    }

    async fn set(&self, name: &ChannelName, state: LaneState) -> Result<ChannelsAnswer, AdminError> {
        let unknown = || AdminError::Unknown(format!("unknown channel `{}`", shown(name.as_str())));
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

    /// Sends messages again to their original channels.
    pub(super) async fn replay(&self, filter: Filter, dry_run: bool) -> Result<ReplayAnswer, AdminError> {
        let limit = filter.limit;
        let (found, mut left) = self.selected(once(filter)).await?;
        let (mut sends, more) = (vec![], found.len() >= limit);
        let settings = self.live.now();
        for delivery in found {
            if delivery.state == State::PendingRouting {
                left.push(LeftOut { id: delivery.id.to_string(), reason: PENDING_ROUTING.to_owned() });
            } else if !delivery.state.is_over() {
                left.push(LeftOut { id: delivery.id.to_string(), reason: STILL_ON_ITS_WAY.to_owned() });
            } else if delivery.channel.as_str().is_empty() {
                let why = "the delivery has no channel; route its event with `hookbell replay --reroute`".to_owned();
                left.push(LeftOut { id: delivery.id.to_string(), reason: why });
            } else if let Some(lane) = settings.lanes.get(&delivery.channel) {
                let also = self.further_events(&delivery).await?;
                sends.push(NewDelivery { also, ..again(&delivery, lane) });
            } else {
                let why = format!("channel `{}` is not in the configuration", delivery.channel);
                left.push(LeftOut { id: delivery.id.to_string(), reason: why });
            }
        }
        self.send(sends, left, more, dry_run).await
    }

    /// Routes events again with the current routes, also those that were not sent anywhere.
    pub(super) async fn reroute(&self, filter: Filter, dry_run: bool) -> Result<ReplayAnswer, AdminError> {
        let Named { events, deliveries: ids } = self.named(&filter.ids).await?;
        let (only_events, limit) = (!events.is_empty() && ids.is_empty(), filter.limit);
        let (found, mut left) =
            if only_events { (vec![], vec![]) } else { self.selected(once(Filter { ids, ..filter })).await? };
        let more = found.len() >= limit;
        let mut origins: Vec<(EventId, Option<DeliveryId>)> = events.into_iter().map(|id| (id, None)).collect();
        for delivery in found {
            if delivery.state == State::Queued {
                left.push(LeftOut { id: delivery.id.to_string(), reason: STILL_ON_ITS_WAY.to_owned() });
            } else if delivery.state == State::PendingRouting {
                left.push(LeftOut { id: delivery.id.to_string(), reason: PENDING_ROUTING.to_owned() });
            } else {
                let also = self.further_events(&delivery).await?;
                let all = std::iter::once(delivery.event).chain(also);
                origins.extend(all.map(|event| (event, Some(delivery.id.clone()))));
            }
        }
        let (mut sends, mut seen) = (vec![], BTreeSet::new());
        for (event, origin) in origins {
            // An event is routed once, however many deliveries it had.
            if seen.insert(event.clone()) {
                match self.rerouted(&event, origin.as_ref()).await? {
                    Ok(new) => sends.extend(new),
                    Err(why) => {
                        left.push(LeftOut { id: origin.map_or(event.to_string(), |id| id.to_string()), reason: why })
                    }
                }
            }
        }
        self.send(sends, left, more, dry_run).await
    }

    /// Returns the further events that a delivery's message is about.
    async fn further_events(&self, delivery: &DeliverySummary) -> Result<Vec<EventId>, AdminError> {
        if delivery.more == 0 {
            return Ok(vec![]);
        }
        Ok(self.store.delivery(&delivery.id).await?.map(|whole| whole.also).unwrap_or_default())
    }

    async fn send(
        &self,
        sends: Vec<NewDelivery>,
        left: Vec<LeftOut>,
        more: bool,
        dry_run: bool,
    ) -> Result<ReplayAnswer, AdminError> {
        let sends = joined(sends);
        let replayed = sends.iter().map(|new| Replayed {
            id: new.replay_of.clone(),
            delivery: (!dry_run).then(|| new.id.clone()),
            event: new.event.clone(),
            channel: new.channel.clone(),
        });
        let replayed = replayed.collect();
        if !dry_run && !sends.is_empty() {
            let lanes: BTreeSet<_> = sends.iter().map(|send| send.lane.clone()).collect();
            tracing::info!(deliveries = sends.len(), "deliveries replayed");
            self.store.enqueue(sends, now()).await?;
            lanes.iter().for_each(|lane| self.wakers.wake(lane));
        }
        Ok(ReplayAnswer { replayed, left_out: left, more, dry_run })
    }

    /// Returns the deliveries of an event with the current routes, or the reason why there are none.
    async fn rerouted(
        &self,
        id: &EventId,
        replay_of: Option<&DeliveryId>,
    ) -> Result<Result<Vec<NewDelivery>, String>, AdminError> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let (seen, json) = (self.store.events(filter).await?.pop(), self.store.event_json(id).await?);
        let (Some(seen), Some(json)) = (seen, json) else { return Ok(Err("unknown event".to_owned())) };
        let Ok(event) = serde_json::from_value::<Event>(json) else {
            return Ok(Err("internal alerts cannot be routed".to_owned()));
        };
        if seen.decision["pending_routing"] == true {
            return Ok(Err(PENDING_ROUTING.to_owned()));
        }
        if let Some(why) = seen.decision["suppressed"].as_str() {
            return Ok(Err(format!("the event is suppressed: {why}")));
        }
        let filter = Filter { event: Some(id.clone()), limit: 1_000, ..Filter::default() };
        let there = self.store.deliveries(filter).await?;
        let has = |channel: &ChannelName| {
            let got = [State::Delivered, State::Accepted, State::Queued];
            there.iter().any(|delivery| delivery.channel == *channel && got.contains(&delivery.state))
        };
        let settings = self.live.now();
        let mut decision =
            settings.router.decide(Subject { source: &seen.source, event: &event, at: timestamp(now()) });
        decision.sends.retain(|send| !has(&send.channel));
        let mut sends = deliveries(decision.sends, (&seen.request, id, event.kind), &settings);
        sends.iter_mut().for_each(|send| send.replay_of = replay_of.cloned());
        Ok(if sends.is_empty() { Err("the current routes send it to no new channel".to_owned()) } else { Ok(sends) })
    }

    pub(super) async fn drop(&self, filter: Filter, dry_run: bool) -> Result<DropAnswer, AdminError> {
        let limit = filter.limit;
        let (found, mut left) = self.selected(Filter { oldest: true, ..filter }).await?;
        let more = found.len() >= limit;
        let (waiting, other): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|delivery| matches!(delivery.state, State::Queued | State::Parked | State::PendingRouting));
        left.extend(other.into_iter().map(|delivery| {
            let why = format!(
                "the delivery is `{}`; only `queued`, `parked` and `pending_routing` deliveries can be dropped",
                delivery.state.as_str()
            );
            LeftOut { id: delivery.id.to_string(), reason: why }
        }));
        let ids: Vec<_> = waiting.iter().map(|delivery| delivery.id.clone()).collect();
        if dry_run {
            return Ok(DropAnswer { dropped: ids, left_out: left, more, dry_run });
        }
        let dropped = self.store.give_up(ids, "dropped by an operator").await?;
        tracing::info!(deliveries = dropped.len(), "deliveries dropped");
        let settings = self.live.now();
        let lanes: BTreeSet<_> = waiting.iter().filter_map(|delivery| settings.lanes.get(&delivery.channel)).collect();
        lanes.into_iter().for_each(|lane| self.wakers.change(lane));
        Ok(DropAnswer { dropped, left_out: left, more, dry_run })
    }

    /// Returns the selected deliveries, and the ids that select none. The id of an event selects its deliveries.
    async fn selected(&self, filter: Filter) -> Result<(Vec<DeliverySummary>, Vec<LeftOut>), AdminError> {
        let Named { events, deliveries } = self.named(&filter.ids).await?;
        let (mut found, mut left) = (vec![], vec![]);
        if !deliveries.is_empty() || events.is_empty() {
            found = self.store.deliveries(Filter { ids: deliveries.clone(), ..filter.clone() }).await?;
        }
        let missing = deliveries.into_iter().filter(|id| found.iter().all(|delivery| delivery.id.as_str() != id));
        left.extend(
            missing.map(|id| LeftOut { reason: "unknown delivery, or it does not match the filters".to_owned(), id }),
        );
        for event in events {
            // Of an event, only deliveries that were not sent again yet.
            let filter = Filter { ids: vec![], event: Some(event.clone()), unrepeated: true, ..filter.clone() };
            let of_event = self.store.deliveries(filter).await?;
            if of_event.is_empty() {
                let why = "no delivery of this event matches; `--reroute` routes it with the current routes".to_owned();
                left.push(LeftOut { id: event.to_string(), reason: why });
            }
            found.extend(of_event);
        }
        found.sort_by_key(|delivery| delivery.seq);
        found.dedup_by(|one, other| one.id == other.id);
        Ok((found, left))
    }

    /// Resolves ids. `last`, requests and URLs of pull requests resolve to events.
    async fn named(&self, ids: &[String]) -> Result<Named, AdminError> {
        let mut named = Named::default();
        for id in ids {
            if id.starts_with("dlv_") {
                named.deliveries.push(id.clone());
            } else if id.starts_with("evt_") {
                named.events.push(EventId::from(id.as_str()));
            } else {
                let found = self.store.events(Filter { limit: MAX_EVENTS, ..self.meant(id.trim()).await? }).await?;
                if found.is_empty() {
                    return Err(AdminError::Unknown(format!("no stored event matches `{}`", shown(id))));
                }
                named.events.extend(found.into_iter().map(|event| event.id));
            }
        }
        Ok(named)
    }
}

/// Maximum number of events that one id resolves to.
const MAX_EVENTS: usize = 1_000;

/// Events and deliveries that ids resolve to.
#[derive(Default)]
struct Named {
    events: Vec<EventId>,
    deliveries: Vec<String>,
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

const STILL_ON_ITS_WAY: &str = "the delivery is not finished yet";

const PENDING_ROUTING: &str =
    "the event is pending routing; it will be routed once the service runs with a valid routing configuration";

/// Selects for a replay. Deliveries selected by id are always sent again; those selected by filter, only once.
fn once(filter: Filter) -> Filter {
    Filter { unrepeated: filter.ids.is_empty(), oldest: true, ..filter }
}

/// Creates a new delivery that repeats another.
fn again(delivery: &DeliverySummary, lane: &Lane) -> NewDelivery {
    let DeliverySummary { event, channel, route, .. } = delivery;
    NewDelivery {
        template: delivery.template.clone(),
        style: delivery.style.clone(),
        replay_of: Some(delivery.id.clone()),
        ..NewDelivery::new(event.clone(), channel.clone(), lane.clone(), route)
    }
}

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
    crate::message::fit::cut_text(&crate::message::shield::sanitized(text), 80)
}
