//! What is answered, and done: by whoever serves the API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::answers::{
    ChannelStatus, ChannelsAnswer, DeliveriesAnswer, DropAnswer, EventAnswer, EventsAnswer, LaneStatus, LanesAnswer,
    Left, Openness, RefusalsAnswer, ReplayAnswer, Replayed, SourceStatus, SourcesAnswer,
};
use super::preview::DRAWINGS;
use crate::config::{Live, Settings};
use crate::delivery::{Bells, task_name};
use crate::event::{ChannelName, DeliveryId, Event, EventId};
use crate::health::Health;
use crate::routing::Subject;
use crate::server::body::Bodies;
use crate::server::decide::deliveries;
use crate::server::misdirected::MisdirectedList;
use crate::server::reload::{NotReloaded, ReloadAnswer, Reloads};
use crate::server::secret_uses::SecretUses;
use crate::store::{
    Counts, Filter, Lane, LaneCounts, LaneState, Millis, NewDelivery, SeenDelivery, State, Store, StoreError,
    WholeDelivery, joined, moment, now,
};

/// Where the service is looked after: its store, its config, and the way to its lanes' tasks, if they run.
pub struct Desk {
    /// What is stored.
    pub store: Arc<dyn Store>,
    /// What the config says.
    pub live: Live,
    /// The lanes' tasks.
    pub bells: Bells,
    /// The way to have the config read again; none where nothing runs.
    pub reloads: Option<Reloads>,
    /// What has failed.
    pub health: Health,
    /// Memory for bodies that are still arriving.
    pub(crate) bodies: Bodies,
    /// Turns for drafts to be drawn.
    pub(crate) drawings: Arc<Semaphore>,
    /// The last requests that reached no webhook.
    pub(crate) misdirected: MisdirectedList,
    /// When each secret last verified a request.
    pub(crate) secret_uses: SecretUses,
    /// When the service started, in milliseconds since 1970.
    pub(crate) started: Millis,
}

/// Why something is not answered.
pub(crate) enum Wrong {
    /// What was asked is none.
    Input(String),
    /// There is no such thing.
    Unknown(String),
    /// The store fails.
    Store(String),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Desk {
    /// For a process in which no service runs.
    pub fn without_service(store: Arc<dyn Store>, live: Live) -> Self {
        Self {
            store,
            live,
            bells: Bells::default(),
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

/// Whether requests can be stored, and what an operator has to know.
pub(super) struct Readiness {
    pub(super) is_ready: bool,
    /// As sentences. Some leave the service ready.
    pub(super) problems: Vec<String>,
}

impl Desk {
    /// What an operator has to know of the service, as sentences.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.health.problems();
        problems.extend(self.store.faults());
        problems
    }

    /// Whether requests can be stored, and what an operator has to know.
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

    pub(super) async fn events(&self, filter: Filter) -> Result<EventsAnswer, Wrong> {
        let total = self.store.count_events(filter.clone()).await?;
        Ok(EventsAnswer { events: self.store.events(filter).await?, total })
    }

    pub(super) async fn event(&self, id: EventId) -> Result<EventAnswer, Wrong> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let unknown = || Wrong::Unknown(format!("there is no event `{}`", shown(id.as_str())));
        let event = self.store.events(filter).await?.pop().ok_or_else(unknown)?;
        let json = self.store.event_json(&id).await?.unwrap_or_default();
        let filter = Filter { event: Some(id), limit: 1_000, ..Filter::default() };
        Ok(EventAnswer { event, json, deliveries: self.store.deliveries(filter).await? })
    }

    pub(super) async fn refusals(&self, limit: usize) -> Result<RefusalsAnswer, Wrong> {
        let refusals = self.store.refusals(limit).await?;
        Ok(RefusalsAnswer { refusals, misdirected: self.misdirected.last(limit) })
    }

    pub(super) async fn deliveries(&self, filter: Filter) -> Result<DeliveriesAnswer, Wrong> {
        let total = self.store.count_deliveries(filter.clone()).await?;
        Ok(DeliveriesAnswer { deliveries: self.store.deliveries(filter).await?, total })
    }

    pub(super) async fn delivery(&self, id: DeliveryId) -> Result<WholeDelivery, Wrong> {
        let unknown = || Wrong::Unknown(format!("there is no delivery `{}`", shown(id.as_str())));
        self.store.delivery(&id).await?.ok_or_else(unknown)
    }

    pub(super) async fn channels(&self) -> Result<ChannelsAnswer, Wrong> {
        let counts = self.store.counts().await?;
        let settings = self.live.now();
        let known = settings.lanes.keys();
        let gone = counts.ended.iter().filter(|((_, state), _)| *state == State::Parked).map(|((name, _), _)| name);
        let names: BTreeSet<_> = known.chain(gone).collect();
        let channels = names.into_iter().map(|name| self.channel(&settings, name, &counts)).collect();
        Ok(ChannelsAnswer {
            channels,
            undecided: counts.undecided,
            problems: self.problems(),
            notes: self.health.notes(),
        })
    }

    pub(super) async fn sources(&self) -> Result<SourcesAnswer, Wrong> {
        let settings = self.live.now();
        let sources = settings.sources.iter().map(|(name, entry)| SourceStatus {
            source: name.clone(),
            kind: entry.provider.kind.to_owned(),
            secrets: entry.secrets.iter().map(|secret| self.secret_uses.last(name, secret)).collect(),
        });
        Ok(SourcesAnswer { sources: sources.collect(), started: self.reloads.is_some().then_some(self.started) })
    }

    pub(super) async fn lanes(&self) -> Result<LanesAnswer, Wrong> {
        let counts = self.store.counts().await?;
        let settings = self.live.now();
        let lanes: BTreeSet<_> = settings.lanes.values().collect();
        let status = |lane| self.lane_status(&settings, lane, &counts);
        Ok(LanesAnswer { lanes: lanes.into_iter().map(status).collect() })
    }

    pub(super) async fn reload(&self) -> Result<ReloadAnswer, Wrong> {
        let nothing =
            || Wrong::Unknown("no Hookbell runs here: the next one reads the config when it starts".to_owned());
        match self.reloads.as_ref().ok_or_else(nothing)?.reload().await {
            Ok(answer) => Ok(answer),
            Err(NotReloaded::Mistakes(why)) => Err(Wrong::Input(why)),
            Err(NotReloaded::Failed(why)) => Err(Wrong::Store(why)),
        }
    }

    pub(super) async fn pause(&self, name: ChannelName, reason: Option<String>) -> Result<ChannelsAnswer, Wrong> {
        self.set(&name, LaneState::Paused { reason }).await
    }

    pub(super) async fn reopen(&self, name: ChannelName) -> Result<ChannelsAnswer, Wrong> {
        self.set(&name, LaneState::Open).await
    }

    async fn set(&self, name: &ChannelName, state: LaneState) -> Result<ChannelsAnswer, Wrong> {
        let unknown = || Wrong::Unknown(format!("there is no channel `{}` in the config", shown(name.as_str())));
        let settings = self.live.now();
        let lane = settings.lanes.get(name).ok_or_else(unknown)?;
        tracing::info!(channel = %name, lane = lane.0, ?state, "a lane is set by hand");
        self.store.set_lane(lane, state).await?;
        self.bells.change(lane);
        let counts = self.store.counts().await?;
        let sharing = settings.lanes.iter().filter(|(_, other)| *other == lane).map(|(name, _)| name);
        let channels = sharing.map(|name| self.channel(&settings, name, &counts)).collect();
        Ok(ChannelsAnswer {
            channels,
            undecided: counts.undecided,
            problems: self.problems(),
            notes: self.health.notes(),
        })
    }

    /// Sends deliveries again where they went.
    pub(super) async fn replay(&self, filter: Filter, dry_run: bool) -> Result<ReplayAnswer, Wrong> {
        let limit = filter.limit;
        let (found, mut left) = self.selected(once(filter)).await?;
        let (mut sends, more) = (vec![], found.len() >= limit);
        let settings = self.live.now();
        for delivery in found {
            if delivery.state == State::Undecided {
                left.push(Left { id: delivery.id.to_string(), why: UNDECIDED.to_owned() });
            } else if !delivery.state.is_over() {
                left.push(Left { id: delivery.id.to_string(), why: STILL_ON_ITS_WAY.to_owned() });
            } else if delivery.channel.as_str().is_empty() {
                let why = "it never had a channel: `hookbell replay --reroute` asks the routes of now".to_owned();
                left.push(Left { id: delivery.id.to_string(), why });
            } else if let Some(lane) = settings.lanes.get(&delivery.channel) {
                let also = self.further_events(&delivery).await?;
                sends.push(NewDelivery { also, ..again(&delivery, lane) });
            } else {
                let why = format!("channel `{}` is not in the config", delivery.channel);
                left.push(Left { id: delivery.id.to_string(), why });
            }
        }
        self.send(sends, left, more, dry_run).await
    }

    /// Sends deliveries, or events that may have gone nowhere, by the routes of now.
    pub(super) async fn reroute(&self, filter: Filter, dry_run: bool) -> Result<ReplayAnswer, Wrong> {
        let Named { events, deliveries: ids } = self.named(&filter.ids).await?;
        let (only_events, limit) = (!events.is_empty() && ids.is_empty(), filter.limit);
        let (found, mut left) =
            if only_events { (vec![], vec![]) } else { self.selected(once(Filter { ids, ..filter })).await? };
        let more = found.len() >= limit;
        let mut origins: Vec<(EventId, Option<DeliveryId>)> = events.into_iter().map(|id| (id, None)).collect();
        for delivery in found {
            if delivery.state == State::Waiting {
                left.push(Left { id: delivery.id.to_string(), why: STILL_ON_ITS_WAY.to_owned() });
            } else if delivery.state == State::Undecided {
                left.push(Left { id: delivery.id.to_string(), why: UNDECIDED.to_owned() });
            } else {
                let also = self.further_events(&delivery).await?;
                let all = std::iter::once(delivery.event).chain(also);
                origins.extend(all.map(|event| (event, Some(delivery.id.clone()))));
            }
        }
        let (mut sends, mut seen) = (vec![], BTreeSet::new());
        for (event, origin) in origins {
            // An event goes where the routes send it once, however many deliveries it had.
            if seen.insert(event.clone()) {
                match self.rerouted(&event, origin.as_ref()).await? {
                    Ok(new) => sends.extend(new),
                    Err(why) => left.push(Left { id: origin.map_or(event.to_string(), |id| id.to_string()), why }),
                }
            }
        }
        self.send(sends, left, more, dry_run).await
    }

    /// The further events that a delivery's message is about.
    async fn further_events(&self, delivery: &SeenDelivery) -> Result<Vec<EventId>, Wrong> {
        if delivery.more == 0 {
            return Ok(vec![]);
        }
        Ok(self.store.delivery(&delivery.id).await?.map(|whole| whole.also).unwrap_or_default())
    }

    async fn send(
        &self,
        sends: Vec<NewDelivery>,
        left: Vec<Left>,
        more: bool,
        dry_run: bool,
    ) -> Result<ReplayAnswer, Wrong> {
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
            tracing::info!(deliveries = sends.len(), "sending again, as was asked");
            self.store.enqueue(sends, now()).await?;
            lanes.iter().for_each(|lane| self.bells.arrival(lane));
        }
        Ok(ReplayAnswer { replayed, left, more, dry_run })
    }

    /// Where the routes of now send an event; or why nowhere.
    async fn rerouted(
        &self,
        id: &EventId,
        replay_of: Option<&DeliveryId>,
    ) -> Result<Result<Vec<NewDelivery>, String>, Wrong> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let (seen, json) = (self.store.events(filter).await?.pop(), self.store.event_json(id).await?);
        let (Some(seen), Some(json)) = (seen, json) else { return Ok(Err("there is no such event".to_owned())) };
        let Ok(event) = serde_json::from_value::<Event>(json) else {
            return Ok(Err("its event is none that routes are for".to_owned()));
        };
        if seen.decision["undecided"] == true {
            return Ok(Err(UNDECIDED.to_owned()));
        }
        if let Some(why) = seen.decision["silent"].as_str() {
            return Ok(Err(format!("nobody is to hear of it: {why}")));
        }
        let filter = Filter { event: Some(id.clone()), limit: 1_000, ..Filter::default() };
        let there = self.store.deliveries(filter).await?;
        let has = |channel: &ChannelName| {
            let got = [State::Delivered, State::Accepted, State::Waiting];
            there.iter().any(|delivery| delivery.channel == *channel && got.contains(&delivery.state))
        };
        let settings = self.live.now();
        let mut decision = settings.router.decide(Subject { source: &seen.source, event: &event, at: moment(now()) });
        decision.sends.retain(|send| !has(&send.channel));
        let mut sends = deliveries(decision.sends, (&seen.request, id, event.kind), &settings);
        sends.iter_mut().for_each(|send| send.replay_of = replay_of.cloned());
        Ok(if sends.is_empty() {
            Err("no route of now sends it where it is not already".to_owned())
        } else {
            Ok(sends)
        })
    }

    pub(super) async fn drop(&self, filter: Filter, dry_run: bool) -> Result<DropAnswer, Wrong> {
        let limit = filter.limit;
        let (found, mut left) = self.selected(Filter { oldest: true, ..filter }).await?;
        let more = found.len() >= limit;
        let (waiting, other): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|delivery| matches!(delivery.state, State::Waiting | State::Parked | State::Undecided));
        left.extend(other.into_iter().map(|delivery| {
            let why = format!("it does not wait: it is {}", delivery.state.as_str());
            Left { id: delivery.id.to_string(), why }
        }));
        let ids: Vec<_> = waiting.iter().map(|delivery| delivery.id.clone()).collect();
        if dry_run {
            return Ok(DropAnswer { dropped: ids, left, more, dry_run });
        }
        let dropped = self.store.give_up(ids, "dropped by hand").await?;
        tracing::info!(deliveries = dropped.len(), "given up, as was asked");
        let settings = self.live.now();
        let lanes: BTreeSet<_> = waiting.iter().filter_map(|delivery| settings.lanes.get(&delivery.channel)).collect();
        lanes.into_iter().for_each(|lane| self.bells.change(lane));
        Ok(DropAnswer { dropped, left, more, dry_run })
    }

    /// The deliveries that are meant, and those that are named and not there. What names events means their deliveries.
    async fn selected(&self, filter: Filter) -> Result<(Vec<SeenDelivery>, Vec<Left>), Wrong> {
        let Named { events, deliveries } = self.named(&filter.ids).await?;
        let (mut found, mut left) = (vec![], vec![]);
        if !deliveries.is_empty() || events.is_empty() {
            found = self.store.deliveries(Filter { ids: deliveries.clone(), ..filter.clone() }).await?;
        }
        let missing = deliveries.into_iter().filter(|id| found.iter().all(|delivery| delivery.id.as_str() != id));
        left.extend(missing.map(|id| Left { why: "there is no such delivery, or it does not fit".to_owned(), id }));
        for event in events {
            // Of an event, what was not sent again yet.
            let filter = Filter { ids: vec![], event: Some(event.clone()), unrepeated: true, ..filter.clone() };
            let of_event = self.store.deliveries(filter).await?;
            if of_event.is_empty() {
                let why = "no message of this event fits: `--reroute` asks the current routes".to_owned();
                left.push(Left { id: event.to_string(), why });
            }
            found.extend(of_event);
        }
        found.sort_by_key(|delivery| delivery.seq);
        found.dedup_by(|one, other| one.id == other.id);
        Ok((found, left))
    }

    /// What ids name: `last`, events, requests and pages of pull requests mean events.
    async fn named(&self, ids: &[String]) -> Result<Named, Wrong> {
        let mut named = Named::default();
        for id in ids {
            if id.starts_with("dlv_") {
                named.deliveries.push(id.clone());
            } else if id.starts_with("evt_") {
                named.events.push(EventId::from(id.as_str()));
            } else {
                let found = self.store.events(Filter { limit: MAX_EVENTS, ..self.meant(id.trim()).await? }).await?;
                if found.is_empty() {
                    return Err(Wrong::Unknown(format!("no event of `{}` is stored", shown(id))));
                }
                named.events.extend(found.into_iter().map(|event| event.id));
            }
        }
        Ok(named)
    }
}

/// Events that one name may mean.
const MAX_EVENTS: usize = 1_000;

/// What ids name.
#[derive(Default)]
struct Named {
    events: Vec<EventId>,
    deliveries: Vec<String>,
}

impl Desk {
    /// How a channel is, as far as is counted.
    fn channel(&self, settings: &Settings, name: &ChannelName, counts: &Counts) -> ChannelStatus {
        let of = |state| counts.ended.get(&(name.clone(), state)).copied().unwrap_or_default();
        let lane = match settings.lanes.get(name) {
            Some(lane) => self.lane_status(settings, lane, counts),
            None => {
                let reason = Some("the channel is not in the config".to_owned());
                let lane = Lane(String::new());
                LaneStatus { state: Openness::Parked, reason, ..status(&lane, vec![], &LaneCounts::default()) }
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

/// How long the store may take to say that it is well.
const READY: Duration = Duration::from_secs(2);

const STILL_ON_ITS_WAY: &str = "it is still on its way";

const UNDECIDED: &str = "it is undecided, and routed by itself when the service runs with rules that are sound";

/// What is named is sent again however often; what merely fits, once.
fn once(filter: Filter) -> Filter {
    Filter { unrepeated: filter.ids.is_empty(), oldest: true, ..filter }
}

/// The same delivery once more.
fn again(delivery: &SeenDelivery, lane: &Lane) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::fresh(),
        event: delivery.event.clone(),
        channel: delivery.channel.clone(),
        lane: lane.clone(),
        route: delivery.route.clone(),
        template: delivery.template.clone(),
        style: delivery.style.clone(),
        replay_of: Some(delivery.id.clone()),
        joins: None,
        also: vec![],
    }
}

fn status(lane: &Lane, channels: Vec<ChannelName>, counts: &LaneCounts) -> LaneStatus {
    let (state, reason, remedy) = match &counts.state {
        LaneState::Open => (Openness::Open, None, None),
        LaneState::Closed { reason, remedy } => (Openness::Closed, Some(reason.clone()), remedy.clone()),
        LaneState::Paused { reason } => (Openness::Paused, reason.clone(), None),
    };
    LaneStatus {
        lane: lane.0.clone(),
        channels,
        state,
        reason,
        remedy,
        since: counts.since,
        waiting: counts.waiting,
        oldest: counts.oldest,
        next_at: counts.next_at,
        panics: 0,
    }
}

/// What somebody asked for, short enough to be told.
pub(super) fn shown(text: &str) -> String {
    crate::message::fit::cut_text(&crate::message::shield::harmless(text), 80)
}
