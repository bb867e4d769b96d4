//! Explaining stored events with the rules that routed them, which the store keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answers::ExplainAnswer;
use super::error::OperationError;
use super::{ExplainQuery, Operations};
use crate::config::{Settings, kept_router};
use crate::event::{DeliveryId, Event, RequestId};
use crate::routing::{Decision, Explanation, Router};
use crate::service::explain::{Explained, Rules, explain};
use crate::store::{EventSummary, Filter, StoredDecision};

/// Maximum number of deliveries listed per event.
const MAX_DELIVERIES: usize = 100;

/// Routers by the hash of their configuration, each read once.
type Routers = BTreeMap<String, Option<Arc<Router>>>;

impl Operations {
    /// Explains the events that a query selects: an id, a host's id of a request, a pull request's URL, or `last`.
    pub async fn explain(&self, query: ExplainQuery) -> Result<ExplainAnswer, OperationError> {
        let limit = query.limit()?;
        let found = self.store.events(Filter { limit, ..self.meant(query.what.trim()).await? }).await?;
        if found.is_empty() {
            return Err(OperationError::NoEvent(query.what));
        }
        let (mut events, mut routers) = (vec![], Routers::new());
        for seen in found {
            events.push(self.explained(seen, &mut routers).await?);
        }
        Ok(ExplainAnswer { events })
    }

    pub(super) async fn meant(&self, what: &str) -> Result<Filter, OperationError> {
        let none = || OperationError::UnknownDelivery(what.to_owned());
        Ok(match what.split_once('_').map_or(what, |(kind, _)| kind) {
            "last" => {
                let newest = self.store.events(Filter { limit: 1, ..Filter::default() }).await?.pop();
                let newest = newest.ok_or(OperationError::NoEvents)?;
                Filter { request: Some(newest.request), ..Filter::default() }
            }
            "evt" => Filter { event: Some(what.into()), ..Filter::default() },
            "req" => Filter { request: Some(RequestId::from(what)), ..Filter::default() },
            "dlv" => {
                let delivery = self.store.delivery(&DeliveryId::from(what)).await?.ok_or_else(none)?;
                Filter { event: Some(delivery.delivery.event), ..Filter::default() }
            }
            _ if what.starts_with("https://") || what.starts_with("http://") => {
                let page = what.split(['?', '#']).next().unwrap_or(what).trim_end_matches('/');
                Filter { pull_request_url: Some(page.to_owned()), ..Filter::default() }
            }
            _ => Filter { request_key: Some(what.to_owned()), ..Filter::default() },
        })
    }

    async fn explained(&self, seen: EventSummary, routers: &mut Routers) -> Result<Explained, OperationError> {
        let settings = self.live.now();
        let json = self.store.event_json(&seen.id).await?.unwrap_or_default();
        let mut explained = match serde_json::from_value::<Event>(json) {
            Ok(event) => self.by_rules(&event, &seen, &settings, routers).await?,
            Err(_) => of_our_own(&seen),
        };
        explained.suppressed.clone_from(&seen.decision.suppressed);
        let filter = Filter { event: Some(seen.id.clone()), limit: MAX_DELIVERIES, ..Filter::default() };
        for delivery in self.store.deliveries(filter).await? {
            explained.deliveries.extend(self.store.delivery(&delivery.id).await?);
        }
        (explained.id, explained.request) = (Some(seen.id), Some(seen.request));
        Ok(explained)
    }

    /// Explains with the rules that routed the event if they are stored, otherwise with the current rules.
    async fn by_rules(
        &self,
        event: &Event,
        seen: &EventSummary,
        settings: &Settings,
        routers: &mut Routers,
    ) -> Result<Explained, OperationError> {
        let hash = seen.decision.config.as_deref();
        let of_then = match hash {
            Some(hash) if hash != settings.kept.hash => self.router_of(hash, routers).await?,
            _ => None,
        };
        let router = of_then.as_deref().unwrap_or(&settings.router);
        let (mut explained, decision) = explain(event, &seen.source, seen.at, router);
        explained.rules = match hash {
            Some(hash) if hash == settings.kept.hash => Rules::Same,
            Some(_) if of_then.is_some() => Rules::Then,
            _ => Rules::Now,
        };
        if seen.decision.pending_routing {
            let note = "the routing configuration was invalid on arrival; the event will be routed once it is fixed";
            explained.notes.push(note.to_owned());
        } else if let Some(why) = &seen.decision.dropped {
            explained.notes.push(format!("{why}; explained with the current rules"));
        } else if explained.rules == Rules::Now {
            let note = "the rules that routed the event are no longer stored; explained with the current rules";
            explained.notes.push(note.to_owned());
        } else if explained.rules != Rules::Now && !is_same(&seen.decision, &decision) {
            let note =
                "another version of Hookbell routed the event differently; the deliveries below show what was decided";
            explained.notes.push(note.to_owned());
        }
        Ok(explained)
    }

    async fn router_of(&self, hash: &str, routers: &mut Routers) -> Result<Option<Arc<Router>>, OperationError> {
        if let Some(router) = routers.get(hash) {
            return Ok(router.clone());
        }
        let kept = self.store.config(hash).await?;
        let router = kept.and_then(|kept| kept_router(&kept)).map(Arc::new);
        routers.insert(hash.to_owned(), router.clone());
        Ok(router)
    }
}

/// Returns `true` if the stored decision equals the decision of the rules.
fn is_same(stored: &StoredDecision, decision: &Decision) -> bool {
    let of_then = stored.targets.iter().map(|target| (&target.route, &target.channel));
    stored.suppressed.is_some() || of_then.eq(decision.sends.iter().map(|send| (&send.route, &send.channel)))
}

/// Explains an internal alert, which no rule routes.
fn of_our_own(seen: &EventSummary) -> Explained {
    Explained {
        id: None,
        request: None,
        source: seen.source.clone(),
        at: seen.at,
        kind: seen.kind.clone(),
        key: seen.kind.clone(),
        repository: seen.repository.clone(),
        title: None,
        actor: None,
        rules: Rules::Same,
        suppressed: None,
        muted: None,
        verdicts: Explanation::default(),
        notes: vec!["internal alert, sent to the channels in `[delivery] alerts`".to_owned()],
        deliveries: vec![],
    }
}
