//! Replays, reroutes and drops of deliveries, and the ids that select them.

use std::collections::BTreeSet;

use super::answers::{DropAnswer, LeftOut, ReplayAnswer, Replayed};
use super::error::{OperationError, Unchanged};
use super::{Operations, Selection};
use crate::config::Settings;
use crate::event::{ChannelName, DeliveryId, Event, EventId};
use crate::routing::Subject;
use crate::service::intake::{Origin, deliveries};
use crate::store::{DeliverySummary, Filter, NewDelivery, State, StoreError, joined};
use crate::time::{now, timestamp};

/// Maximum number of events that one id resolves to.
const MAX_EVENTS: usize = 1_000;

/// Events and deliveries that ids resolve to.
#[derive(Default)]
struct Named {
    events: Vec<EventId>,
    deliveries: Vec<String>,
}

/// Channels that messages are sent to again.
#[derive(Clone, Copy)]
enum Channels {
    /// Those that the messages were for.
    Original,
    /// Those of the current routes.
    Current,
}

impl Operations {
    /// Sends messages again to their original channels.
    pub async fn replay(&self, selection: Selection) -> Result<ReplayAnswer, OperationError> {
        self.send_again(&selection, Channels::Original).await
    }

    /// Sends messages again by the settings in use, and starts over if they are replaced before the end.
    async fn send_again(&self, selection: &Selection, to: Channels) -> Result<ReplayAnswer, OperationError> {
        let mut settings = self.live.now();
        loop {
            let sent = match to {
                Channels::Original => self.replay_by(&settings, selection).await,
                Channels::Current => self.reroute_by(&settings, selection).await,
            };
            match sent {
                Err(OperationError::Store(StoreError::Outdated)) => settings = self.live.after(&settings).await,
                sent => return sent,
            }
        }
    }

    async fn replay_by(&self, settings: &Settings, selection: &Selection) -> Result<ReplayAnswer, OperationError> {
        let (filter, dry_run) = (selection.filter()?, selection.dry_run);
        let limit = filter.limit;
        let (found, mut left) = self.selected(once(filter)).await?;
        let (mut sends, more) = (vec![], found.len() >= limit);
        for delivery in found {
            if delivery.state == State::PendingRouting {
                left.push(LeftOut::new(&delivery.id, &Unchanged::PendingRouting));
            } else if !delivery.state.is_over() {
                left.push(LeftOut::new(&delivery.id, &Unchanged::Unfinished));
            } else if delivery.channel.as_str().is_empty() {
                left.push(LeftOut::new(&delivery.id, &Unchanged::NoChannel));
            } else if settings.lanes.contains_key(&delivery.channel) {
                let also = self.further_events(&delivery).await?;
                sends.push(NewDelivery { also, ..again(&delivery) });
            } else {
                left.push(LeftOut::new(&delivery.id, &Unchanged::UnknownChannel(delivery.channel)));
            }
        }
        self.send(settings, sends, left, more, dry_run).await
    }

    /// Routes events again with the current routes, also those that were not sent anywhere.
    pub async fn reroute(&self, selection: Selection) -> Result<ReplayAnswer, OperationError> {
        self.send_again(&selection, Channels::Current).await
    }

    async fn reroute_by(&self, settings: &Settings, selection: &Selection) -> Result<ReplayAnswer, OperationError> {
        let (filter, dry_run) = (selection.filter()?, selection.dry_run);
        let Named { events, deliveries: ids } = self.named(&filter.ids).await?;
        let (only_events, limit) = (!events.is_empty() && ids.is_empty(), filter.limit);
        let (found, mut left) =
            if only_events { (vec![], vec![]) } else { self.selected(once(Filter { ids, ..filter })).await? };
        let more = found.len() >= limit;
        let mut origins: Vec<(EventId, Option<DeliveryId>)> = events.into_iter().map(|id| (id, None)).collect();
        for delivery in found {
            if delivery.state == State::Queued {
                left.push(LeftOut::new(&delivery.id, &Unchanged::Unfinished));
            } else if delivery.state == State::PendingRouting {
                left.push(LeftOut::new(&delivery.id, &Unchanged::PendingRouting));
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
                match self.rerouted(settings, &event, origin.as_ref()).await? {
                    Ok(new) => sends.extend(new),
                    Err(why) => {
                        left.push(origin.map_or_else(|| LeftOut::new(&event, &why), |id| LeftOut::new(id, &why)))
                    }
                }
            }
        }
        self.send(settings, sends, left, more, dry_run).await
    }

    /// Returns the further events that a delivery's message is about.
    async fn further_events(&self, delivery: &DeliverySummary) -> Result<Vec<EventId>, OperationError> {
        if delivery.more == 0 {
            return Ok(vec![]);
        }
        Ok(self.store.delivery(&delivery.id).await?.map(|whole| whole.also).unwrap_or_default())
    }

    async fn send(
        &self,
        settings: &Settings,
        sends: Vec<NewDelivery>,
        left: Vec<LeftOut>,
        more: bool,
        dry_run: bool,
    ) -> Result<ReplayAnswer, OperationError> {
        let sends = joined(sends);
        let replayed = sends.iter().map(|new| Replayed {
            id: new.replay_of.clone(),
            delivery: None,
            event: new.event.clone(),
            channel: new.channel.clone(),
        });
        let mut replayed: Vec<_> = replayed.collect();
        if !dry_run && !sends.is_empty() {
            let ids = self.store.enqueue(sends, settings.generation).await?;
            tracing::info!(deliveries = ids.len(), "deliveries replayed");
            for (replayed, id) in replayed.iter_mut().zip(ids) {
                replayed.delivery = Some(id);
            }
        }
        Ok(ReplayAnswer { replayed, left_out: left, more, dry_run })
    }

    /// Returns the deliveries of an event with the current routes, or the reason why there are none.
    async fn rerouted(
        &self,
        settings: &Settings,
        id: &EventId,
        replay_of: Option<&DeliveryId>,
    ) -> Result<Result<Vec<NewDelivery>, Unchanged>, OperationError> {
        let filter = Filter { event: Some(id.clone()), limit: 1, ..Filter::default() };
        let (seen, json) = (self.store.events(filter).await?.pop(), self.store.event_json(id).await?);
        let (Some(seen), Some(json)) = (seen, json) else { return Ok(Err(Unchanged::UnknownEvent)) };
        let Ok(event) = serde_json::from_value::<Event>(json) else {
            return Ok(Err(Unchanged::Alert));
        };
        if seen.decision.pending_routing {
            return Ok(Err(Unchanged::PendingRouting));
        }
        if let Some(why) = seen.decision.suppressed {
            return Ok(Err(Unchanged::Suppressed(why)));
        }
        let filter = Filter { event: Some(id.clone()), limit: 1_000, ..Filter::default() };
        let there = self.store.deliveries(filter).await?;
        let has = |channel: &ChannelName| {
            let got = [State::Delivered, State::Accepted, State::Queued];
            there.iter().any(|delivery| delivery.channel == *channel && got.contains(&delivery.state))
        };
        let mut decision =
            settings.router.decide(Subject { source: &seen.source, event: &event, at: timestamp(now()) });
        decision.sends.retain(|send| !has(&send.channel));
        let of = Origin { request: &seen.request, event: id, kind: event.kind };
        let mut sends = deliveries(decision.sends, of, settings);
        sends.iter_mut().for_each(|send| send.replay_of = replay_of.cloned());
        Ok(if sends.is_empty() { Err(Unchanged::NoNewChannel) } else { Ok(sends) })
    }

    /// Drops queued, parked or pending messages; they become dead.
    pub async fn drop_deliveries(&self, selection: Selection) -> Result<DropAnswer, OperationError> {
        let (filter, dry_run) = (selection.filter()?, selection.dry_run);
        let limit = filter.limit;
        let (found, mut left) = self.selected(Filter { oldest: true, ..filter }).await?;
        let more = found.len() >= limit;
        let (waiting, other): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|delivery| matches!(delivery.state, State::Queued | State::Parked | State::PendingRouting));
        left.extend(
            other.into_iter().map(|delivery| LeftOut::new(&delivery.id, &Unchanged::NotDroppable(delivery.state))),
        );
        let ids: Vec<_> = waiting.iter().map(|delivery| delivery.id.clone()).collect();
        if dry_run {
            return Ok(DropAnswer { dropped: ids, left_out: left, more, dry_run });
        }
        let dropped = self.store.give_up(ids, "dropped by an operator").await?;
        tracing::info!(deliveries = dropped.len(), "deliveries dropped");
        Ok(DropAnswer { dropped, left_out: left, more, dry_run })
    }

    /// Returns the selected deliveries, and the ids that select none. The id of an event selects its deliveries.
    async fn selected(&self, filter: Filter) -> Result<(Vec<DeliverySummary>, Vec<LeftOut>), OperationError> {
        let Named { events, deliveries } = self.named(&filter.ids).await?;
        let (mut found, mut left) = (vec![], vec![]);
        if !deliveries.is_empty() || events.is_empty() {
            found = self.store.deliveries(Filter { ids: deliveries.clone(), ..filter.clone() }).await?;
        }
        let missing = deliveries.into_iter().filter(|id| found.iter().all(|delivery| delivery.id.as_str() != id));
        left.extend(missing.map(|id| LeftOut::new(id, &Unchanged::NotFound)));
        for event in events {
            // Of an event, only deliveries that were not sent again yet.
            let filter = Filter { ids: vec![], event: Some(event.clone()), unrepeated: true, ..filter.clone() };
            let of_event = self.store.deliveries(filter).await?;
            if of_event.is_empty() {
                left.push(LeftOut::new(&event, &Unchanged::NoDelivery));
            }
            found.extend(of_event);
        }
        found.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        found.dedup_by(|one, other| one.id == other.id);
        Ok((found, left))
    }

    /// Resolves ids. `last`, requests and URLs of pull requests resolve to events.
    async fn named(&self, ids: &[String]) -> Result<Named, OperationError> {
        let mut named = Named::default();
        for id in ids {
            if id.starts_with("dlv_") {
                named.deliveries.push(id.clone());
            } else if id.starts_with("evt_") {
                named.events.push(EventId::from(id.as_str()));
            } else {
                let found = self.store.events(Filter { limit: MAX_EVENTS, ..self.meant(id.trim()).await? }).await?;
                if found.is_empty() {
                    return Err(OperationError::NoEvent(id.clone()));
                }
                named.events.extend(found.into_iter().map(|event| event.id));
            }
        }
        Ok(named)
    }
}

/// Selects for a replay. Deliveries selected by id are always sent again; those selected by filter, only once.
fn once(filter: Filter) -> Filter {
    Filter { unrepeated: filter.ids.is_empty(), oldest: true, ..filter }
}

/// Creates a new delivery that repeats another.
fn again(delivery: &DeliverySummary) -> NewDelivery {
    let DeliverySummary { event, channel, route, .. } = delivery;
    NewDelivery {
        template: delivery.template.clone(),
        style: delivery.style,
        replay_of: Some(delivery.id.clone()),
        ..NewDelivery::new(event.clone(), channel.clone(), route)
    }
}
