//! Explaining stored events: by the rules that they were routed by, which the store has kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answers::ExplainAnswer;
use super::desk::{Desk, Wrong, shown};
use crate::config::{Settings, kept_router};
use crate::event::{DeliveryId, Event, RequestId};
use crate::explain::{Explained, Rules, explain};
use crate::routing::{Explanation, Router};
use crate::store::{Filter, SeenEvent};

/// The most messages of an event that are told of.
const MOST_DELIVERIES: usize = 100;

/// The routers of the configs that events refer to, each read once.
type Routers = BTreeMap<String, Option<Arc<Router>>>;

impl Desk {
    /// Explains what somebody names: an id, a host's name for a request, a pull request's page, `last`.
    pub(super) async fn explain(&self, what: &str, limit: usize) -> Result<ExplainAnswer, Wrong> {
        let found = self.store.events(Filter { limit, ..self.meant(what.trim()).await? }).await?;
        if found.is_empty() {
            return Err(Wrong::Unknown(format!("no event of `{}` is stored", shown(what))));
        }
        let (mut events, mut routers) = (vec![], Routers::new());
        for seen in found {
            events.push(self.explained(seen, &mut routers).await?);
        }
        Ok(ExplainAnswer { events })
    }

    pub(super) async fn meant(&self, what: &str) -> Result<Filter, Wrong> {
        let none = || Wrong::Unknown(format!("there is no `{}`", shown(what)));
        Ok(match what.split_once('_').map_or(what, |(kind, _)| kind) {
            "last" => {
                let newest = self.store.events(Filter { limit: 1, ..Filter::default() }).await?.pop();
                let newest = newest.ok_or_else(|| Wrong::Unknown("no event is stored yet".to_owned()))?;
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

    async fn explained(&self, seen: SeenEvent, routers: &mut Routers) -> Result<Explained, Wrong> {
        let settings = self.live.now();
        let json = self.store.event_json(&seen.id).await?.unwrap_or_default();
        let mut explained = match serde_json::from_value::<Event>(json) {
            Ok(event) => self.by_rules(&event, &seen, &settings, routers).await?,
            Err(_) => of_our_own(&seen),
        };
        explained.silent = seen.decision["silent"].as_str().map(ToOwned::to_owned);
        let filter = Filter { event: Some(seen.id.clone()), limit: MOST_DELIVERIES, ..Filter::default() };
        for delivery in self.store.deliveries(filter).await? {
            explained.deliveries.extend(self.store.delivery(&delivery.id).await?);
        }
        (explained.id, explained.request) = (Some(seen.id), Some(seen.request));
        Ok(explained)
    }

    /// By the rules of then, if they are kept; else by those of now.
    async fn by_rules(
        &self,
        event: &Event,
        seen: &SeenEvent,
        settings: &Settings,
        routers: &mut Routers,
    ) -> Result<Explained, Wrong> {
        let hash = seen.decision["config"].as_str();
        let is_undecided = seen.decision["undecided"].as_bool() == Some(true);
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
        if is_undecided {
            let note = "the rules had mistakes when it came: it waits, and is routed when they are mended";
            explained.notes.push(note.to_owned());
        } else if let Some(why) = seen.decision["dropped"].as_str() {
            explained.notes.push(format!("{why}: the rules are those of now"));
        } else if explained.rules == Rules::Now {
            let note = "the rules that it was routed by are not kept any more: these are those of now";
            explained.notes.push(note.to_owned());
        } else if explained.rules != Rules::Now && !is_same(&seen.decision, &decision) {
            let note =
                "another version of Hookbell routed it, and differently; its messages below are what was decided";
            explained.notes.push(note.to_owned());
        }
        Ok(explained)
    }

    async fn router_of(&self, hash: &str, routers: &mut Routers) -> Result<Option<Arc<Router>>, Wrong> {
        if let Some(router) = routers.get(hash) {
            return Ok(router.clone());
        }
        let kept = self.store.config(hash).await?;
        let router = kept.and_then(|kept| kept_router(&kept)).map(Arc::new);
        routers.insert(hash.to_owned(), router.clone());
        Ok(router)
    }
}

/// Whether what was stored of a decision is what the rules say now.
fn is_same(stored: &serde_json::Value, decision: &crate::routing::Decision) -> bool {
    if stored["silent"].is_string() {
        return true;
    }
    let sends = stored["sends"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = sends.iter().map(|send| (send["route"].as_str(), send["channel"].as_str()));
    stored.eq(decision.sends.iter().map(|send| (Some(send.route.as_str()), Some(send.channel.as_str()))))
}

/// An event that no rule is for: an alert.
fn of_our_own(seen: &SeenEvent) -> Explained {
    Explained {
        id: None,
        request: None,
        source: seen.source.clone(),
        at: seen.at,
        kind: seen.kind.clone(),
        key: seen.kind.clone(),
        repository: seen.repository.clone(),
        about: None,
        actor: None,
        rules: Rules::Same,
        silent: None,
        muted: None,
        said: Explanation::default(),
        notes: vec!["Hookbell tells this itself, to the channels that `alerts` in `[delivery]` names".to_owned()],
        deliveries: vec![],
    }
}
