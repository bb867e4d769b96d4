//! Webhooks on a code host: compares those that exist with what the configuration needs, and repairs them.
//!
//! A webhook is Hookbell's if its id was stored when it was created or taken over, or if it posts to Hookbell's URL. No
//! other webhook is changed.

mod state;

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use thiserror::Error;

use crate::config::{ManagedHooks, Settings};
use crate::event::SourceName;
use crate::source::Provider;
use crate::source::hooks::{Access, ApiError, ApiErrorKind, Hook, HookApi, HookSettings, Place};
use crate::store::StoreUrl;
pub use state::StateError;
use state::{Known, KnownHook, State, bare, secret_hash};

/// Title of the webhooks in the host's settings.
const TITLE: &str = "Hookbell";

/// Reason why webhooks cannot be managed.
#[derive(Debug, Error)]
pub enum HooksError {
    /// `[hooks]` is missing.
    #[error(
        "`[hooks]` is not configured\n  add `workspace`, `token` and `public_url`; see the documentation of `[hooks]`"
    )]
    NotConfigured,
    /// The token does not exist here.
    #[error("the token of `[hooks]` is missing: put it {0}")]
    NoToken(String),
    /// The source accepts unsigned requests.
    #[error("source `{0}` has no secret: webhooks without one are not managed; add `secret`")]
    NoSecret(SourceName),
    /// The secret is not generated yet.
    #[error("source `{0}` has no secret yet: start Hookbell once to generate it")]
    NoSecretYet(SourceName),
    /// The settings of the HTTP client are invalid.
    #[error("`[http]` is not valid: run `hookbell check`")]
    NoHttp,
    /// Error of the file with the known webhooks.
    #[error(transparent)]
    State(#[from] StateError),
    /// Error of the host's API.
    #[error("{place}: {error}{}", error.help.as_deref().map(|help| format!("\n  {help}")).unwrap_or_default())]
    Api {
        /// Place that the request was for.
        place: Place,
        /// The error.
        error: ApiError,
    },
    /// No place has the webhook to take over.
    #[error("there is no webhook `{0}` in the configured places; `hookbell hooks list` lists all")]
    NotThere(String),
}

impl HooksError {
    /// Returns true if other places may work.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Api { error: ApiError { kind: ApiErrorKind::Local | ApiErrorKind::NotFound, .. }, .. })
    }

    /// Returns true for errors in the configuration.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::NotConfigured | Self::NoToken(_) | Self::NoSecret(_) | Self::NoSecretYet(_) | Self::NoHttp)
    }
}

/// Something to do, or to leave, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create a webhook.
    Create(HookSettings),
    /// Change a webhook.
    Change {
        /// The webhook.
        hook: Hook,
        /// Its new settings.
        wanted: HookSettings,
        /// Reason for setting the secret; `None` keeps it.
        secret: Option<SecretReason>,
    },
    /// Leave a webhook as it is.
    Keep(Hook),
    /// Remove a webhook.
    Remove {
        /// Id of the webhook.
        id: String,
        /// Why it is removed.
        reason: RemoveReason,
    },
}

/// Reason for setting the secret of a webhook. The host never returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretReason {
    /// The webhook has none.
    Missing,
    /// The source has another secret than when it was set last.
    Changed,
    /// Somebody else set it.
    Unknown,
}

/// Reason for removing a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveReason {
    /// Another webhook of the place posts to the same URL.
    Double,
    /// The configuration no longer names its place.
    NotConfigured,
    /// The user asked for it.
    Asked,
}

/// Plan for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The place.
    pub place: Place,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Event keys that routes use and the host does not offer for this place.
    pub not_offered: Vec<String>,
}

/// Webhook of a place, and whether it is Hookbell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The webhook.
    pub hook: Hook,
    /// True if it is Hookbell's.
    pub is_ours: bool,
}

/// Manages the webhooks of a source.
pub struct Hooks {
    api: Box<dyn HookApi>,
    source: SourceName,
    /// The configured places.
    places: Vec<Place>,
    url: String,
    /// Event keys that routes and naming need.
    events: BTreeSet<String>,
    secret: SecretString,
    store: StoreUrl,
    known: Known,
    /// Event keys that the host offers to workspaces (`true`) and to repositories.
    offered: BTreeMap<bool, BTreeSet<String>>,
}

/// Returns the event keys that a webhook must have: those that routes use, and those that name and complete the events
/// of these.
fn needed_events(settings: &Settings, hooks: &ManagedHooks, provider: &Provider) -> BTreeSet<String> {
    let source = hooks.source.as_str();
    let is_used = |key: &str, kinds: &[_]| kinds.iter().any(|kind| settings.router.may_send(*kind, key, source));
    let used = provider.keys.iter().filter(|key| is_used(key.name, key.kinds)).map(|key| key.name);
    let named_by = |key: &'static str| provider.hooks.map_or(&[][..], |api| (api.named_by)(key));
    used.flat_map(|key| [key].into_iter().chain(named_by(key).iter().copied())).map(ToOwned::to_owned).collect()
}

impl Hooks {
    /// Connects to the API of the host.
    pub fn new(settings: &Settings) -> Result<Self, HooksError> {
        let hooks = settings.hooks.as_ref().ok_or(HooksError::NotConfigured)?;
        let Some((entry, api)) =
            settings.sources.get(&hooks.source).and_then(|entry| Some((entry, entry.provider.hooks?)))
        else {
            return Err(HooksError::NotConfigured);
        };
        let token = hooks.token.token.clone().ok_or_else(|| HooksError::NoToken(hooks.token.origin.clone()))?;
        // During a rotation, the first secret is the new one.
        let secret = entry.secrets.first().cloned().ok_or_else(|| match entry.unsigned {
            true => HooksError::NoSecret(hooks.source.clone()),
            false => HooksError::NoSecretYet(hooks.source.clone()),
        })?;
        let http = settings.http.clone().ok_or(HooksError::NoHttp)?;
        Ok(Self {
            api: (api.connect)(Access { http, url: hooks.api_url.clone(), email: hooks.email.clone(), token }),
            source: hooks.source.clone(),
            places: hooks.places.clone(),
            url: hooks.url(),
            events: needed_events(settings, hooks, entry.provider),
            secret,
            store: settings.store.clone(),
            known: Known::read(&settings.store)?,
            offered: BTreeMap::new(),
        })
    }

    /// Returns the configured places.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the URL that the webhooks post to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lists the webhooks of a place.
    pub async fn list(&self, place: &Place) -> Result<Vec<Listed>, HooksError> {
        let hooks = self.api.list(place).await.map_err(at(place))?;
        Ok(hooks.into_iter().map(|hook| Listed { is_ours: self.is_ours(place, &hook), hook }).collect())
    }

    /// Checks that a configured place has the webhook with this id.
    pub async fn find(&self, id: &str) -> Result<(), HooksError> {
        for place in &self.places {
            if self.list(place).await?.iter().any(|listed| bare(&listed.hook.id) == bare(id)) {
                return Ok(());
            }
        }
        Err(HooksError::NotThere(id.to_owned()))
    }

    /// Returns the places of webhooks that Hookbell created, and that the configuration no longer names.
    pub fn left_places(&self) -> Vec<Place> {
        let own = self.known.hooks.iter().filter(|hook| hook.source == self.source);
        own.map(|hook| Place::parse(&hook.place)).filter(|place| !self.places.contains(place)).collect()
    }

    fn is_ours(&self, place: &Place, hook: &Hook) -> bool {
        let is_known = self.known.find(&self.source, place).is_some_and(|known| bare(&known.id) == bare(&hook.id));
        is_known || hook.settings.url.trim_end_matches('/') == self.url
    }

    /// Plans what makes the webhook of a place right. `adopted` is the id of a webhook to take over.
    pub async fn plan(&mut self, place: &Place, adopted: Option<&str>) -> Result<Plan, HooksError> {
        let listed = self.list(place).await?;
        let (events, not_offered) = self.events_of(place).await?;
        let wanted = HookSettings {
            url: self.url.clone(),
            title: TITLE.to_owned(),
            active: true,
            events,
            verifies_certificate: true,
        };
        let known = self.known.find(&self.source, place);
        let rank = |hook: &Hook| match () {
            () if adopted.is_some_and(|id| bare(id) == bare(&hook.id)) => 0,
            () if known.is_some_and(|known| bare(&known.id) == bare(&hook.id)) => 1,
            () => 2,
        };
        let count = listed.len();
        let ours = listed.into_iter().filter(|listed| listed.is_ours || rank(&listed.hook) == 0);
        let mut ours: Vec<_> = ours.map(|listed| listed.hook).collect();
        ours.sort_by_key(rank);
        let mut ours = ours.into_iter();
        let first = match ours.next() {
            None if count >= self.api.max_hooks() => return Err(at(place)(full(count))),
            None => Step::Create(wanted),
            Some(hook) => {
                let hash = known.filter(|known| bare(&known.id) == bare(&hook.id)).map(|known| known.secret.as_str());
                let secret = match hash {
                    _ if hook.has_secret == Some(false) => Some(SecretReason::Missing),
                    None => Some(SecretReason::Unknown),
                    Some(hash) if hash != secret_hash(&hook.id, &self.secret) => Some(SecretReason::Changed),
                    Some(_) => None,
                };
                if hook.settings == wanted && secret.is_none() {
                    Step::Keep(hook)
                } else {
                    Step::Change { hook, wanted, secret }
                }
            }
        };
        let doubles = ours.map(|hook| Step::Remove { id: hook.id, reason: RemoveReason::Double });
        let steps = [first].into_iter().chain(doubles).collect();
        Ok(Plan { place: place.clone(), steps, not_offered })
    }

    /// Plans the removal of the webhooks of a place.
    pub async fn plan_removal(&self, place: &Place) -> Result<Plan, HooksError> {
        let ours = self.list(place).await?.into_iter().filter(|listed| listed.is_ours);
        let steps = ours.map(|listed| Step::Remove { id: listed.hook.id, reason: RemoveReason::Asked }).collect();
        Ok(Plan { place: place.clone(), steps, not_offered: vec![] })
    }

    /// Plans the removal of a webhook that Hookbell created at a place that the configuration no longer names.
    pub fn plan_left(&self, place: &Place) -> Plan {
        let known = self.known.find(&self.source, place);
        let remove = |known: &KnownHook| Step::Remove { id: known.id.clone(), reason: RemoveReason::NotConfigured };
        Plan { place: place.clone(), steps: known.map(remove).into_iter().collect(), not_offered: vec![] }
    }

    /// Returns the event keys for a webhook of a place, and those that the host does not offer for it.
    async fn events_of(&mut self, place: &Place) -> Result<(BTreeSet<String>, Vec<String>), HooksError> {
        let subject = matches!(place, Place::Workspace(_));
        if !self.offered.contains_key(&subject) {
            let offered = self.api.events(place).await.map_err(at(place))?;
            self.offered.insert(subject, offered);
        }
        let offered = &self.offered[&subject];
        let (events, missing): (BTreeSet<_>, BTreeSet<_>) =
            self.events.iter().cloned().partition(|event| offered.contains(event));
        if events.is_empty() {
            return Err(at(place)(no_events()));
        }
        Ok((events, missing.into_iter().collect()))
    }

    /// Locks the file with the known webhooks, to carry out plans.
    pub fn changes(&mut self) -> Result<Changes<'_>, HooksError> {
        let state = State::open(&self.store)?;
        self.known = state.known.clone();
        Ok(Changes { hooks: self, state })
    }
}

/// Carries out plans.
pub struct Changes<'a> {
    /// The webhooks.
    pub hooks: &'a mut Hooks,
    state: State,
}

impl Changes<'_> {
    /// Carries out a step. Returns the id of the webhook that was created.
    pub async fn perform(&mut self, place: &Place, step: &Step) -> Result<Option<String>, HooksError> {
        let Hooks { api, source, secret, .. } = &*self.hooks;
        let mut created = None;
        match step {
            Step::Keep(_) => {}
            Step::Create(wanted) => {
                let hook = api.create(place, wanted, secret).await.map_err(at(place))?;
                self.state.set(known(source, place, &hook, secret))?;
                created = Some(hook.id);
            }
            Step::Change { hook, wanted, secret: reason } => {
                let secret_to_set = reason.map(|_| secret);
                let changed = api.change(place, &hook.id, wanted, secret_to_set).await.map_err(at(place))?;
                self.state.set(known(source, place, &changed, secret))?;
            }
            Step::Remove { id, .. } => {
                match api.remove(place, id).await {
                    // Somebody has removed it.
                    Ok(()) | Err(ApiError { kind: ApiErrorKind::NotFound, .. }) => {}
                    Err(error) => return Err(at(place)(error)),
                }
                self.state.forget(source, id)?;
            }
        }
        Ok(created)
    }
}

fn known(source: &SourceName, place: &Place, hook: &Hook, secret: &SecretString) -> KnownHook {
    KnownHook {
        source: source.clone(),
        place: place.to_string(),
        id: hook.id.clone(),
        secret: secret_hash(&hook.id, secret),
    }
}

fn at(place: &Place) -> impl Fn(ApiError) -> HooksError {
    let place = place.clone();
    move |error| HooksError::Api { place: place.clone(), error }
}

fn full(count: usize) -> ApiError {
    ApiError {
        message: format!("there are {count} webhooks, the most that the host allows"),
        help: Some("remove one that is no longer needed; `hookbell hooks list` lists them".to_owned()),
        kind: ApiErrorKind::Local,
    }
}

fn no_events() -> ApiError {
    ApiError {
        message: "no route uses an event that the host offers here".to_owned(),
        help: Some("add a route; `hookbell check` shows problems".to_owned()),
        kind: ApiErrorKind::Local,
    }
}
