//! Builds the settings from the configuration.
//!
//! An error affects only the part that contains it: all errors are reported at once, and the valid parts are built.

mod channels;
mod hooks;
mod people;
mod rules;
mod service;
mod sources;
mod values;
mod warnings;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use figment::value::Dict;
use secrecy::{ExposeSecret, SecretString};

use super::document::Document;
use super::files::{Files, Watched};
use super::kept::Kept;
use super::outline::Outline;
use super::problems::ConfigProblem;
use super::secret::{self, Origin};
use super::section::{Notes, Part, Section};
use super::{Secrets, Settings};
use crate::event::{ChannelName, Kind};
use crate::problem::{Place, Problem};
use crate::routing::{Conditions, Router};
use crate::store::{Generation, Lane, StoreUrl};
use crate::template::Library;
use crate::tls::Identity;

pub(crate) use hooks::service_url;
pub(super) use service::LISTEN;

/// Builds the settings as far as possible and collects all problems. The published address lists of `before`, the
/// settings in use, are reused.
pub(super) fn settings(files: &Files, secrets: Secrets, before: Option<&Settings>) -> (Option<Settings>, Vec<Problem>) {
    let notes = Notes::default();
    let settings = Builder { before, ..Builder::new(secrets, &files.watched) }.build(&notes, files);
    (settings, notes.into_problems())
}

/// Builds only the templates.
pub(super) fn templates(files: &Files) -> (Library, Vec<Problem>) {
    let notes = Notes::default();
    let library = match values(&notes, &files.main) {
        Some(values) => {
            Builder::new(Secrets::Leave, &files.watched).templates(&mut Section::root(&notes, &files.main, values))
        }
        None => Library::built_in(),
    };
    (library, notes.into_problems())
}

/// Reads only the directory of the user's templates.
pub(super) fn templates_directory(files: &Files) -> Result<Option<PathBuf>, Vec<Problem>> {
    let notes = Notes::default();
    let values = values(&notes, &files.main).unwrap_or_default();
    let named = Section::root(&notes, &files.main, values).string("templates");
    let problems = notes.into_problems();
    if problems.is_empty() { Ok(named.map(|named| files.main.directory.join(named.value))) } else { Err(problems) }
}

/// Reads only the location of the store.
pub(super) fn store(files: &Files) -> Result<StoreUrl, Vec<Problem>> {
    part(files, |builder, root| builder.store(root).0)
}

/// Reads only the location of the store, and the certificate of the admin listener.
pub(super) fn service(files: &Files) -> Result<(StoreUrl, Option<Arc<Identity>>), Vec<Problem>> {
    part(files, |builder, root| {
        let tls = builder.server(root).admin_tls;
        Some((builder.store(root).0?, tls))
    })
}

/// Reads a part of the configuration. Errors elsewhere are ignored.
fn part<T>(files: &Files, read: impl FnOnce(&Builder<'_>, &mut Section<'_>) -> Option<T>) -> Result<T, Vec<Problem>> {
    let notes = Notes::default();
    let values = values(&notes, &files.main).unwrap_or_default();
    let builder = Builder::new(Secrets::Leave, &files.watched);
    let found = read(&builder, &mut Section::root(&notes, &files.main, values));
    found.filter(|_| !notes.broken().service).ok_or_else(|| notes.into_problems())
}

/// The rules stored with the events that they routed; `None` if this version cannot read them.
pub(super) fn kept_router(kept: &serde_json::Value) -> Option<Router> {
    let (notes, document) = (Notes::default(), Document::kept(kept));
    let mut root = Section::root(&notes, &document, values(&notes, &document)?);
    let guards = root.named("channels").into_iter().map(|(name, mut section)| {
        let accepts = section.optional("accept").map(|mut accept| rules::guard(&mut accept));
        (ChannelName::from(name), accepts.flatten().unwrap_or_default())
    });
    let guards = guards.collect();
    let names = rules::Names { channels: None, templates: None };
    let roots = std::slice::from_mut(&mut root);
    let (mutes, _) = names.mutes(roots);
    let (routes, _) = names.routes(roots);
    (!root.is_broken()).then(|| Router::new(routes, mutes, guards))
}

fn values(notes: &Notes, document: &Document) -> Option<Dict> {
    document.values().map_err(|problem| notes.add(problem)).ok()
}

struct Builder<'a> {
    secrets: Secrets,
    before: Option<&'a Settings>,
    /// Files that were read in addition to the config files.
    watched: &'a RefCell<Watched>,
    outline: RefCell<Outline>,
}

impl<'a> Builder<'a> {
    fn new(secrets: Secrets, watched: &'a RefCell<Watched>) -> Self {
        Self { secrets, before: None, watched, outline: RefCell::default() }
    }

    /// Returns `None` if the service cannot start; the reason is recorded.
    fn build(&self, notes: &Notes, files: &Files) -> Option<Settings> {
        let main = values(notes, &files.main)?;
        let mut included: Vec<_> =
            files.included.iter().map(|document| (document, values(notes, document).unwrap_or_default())).collect();
        notes.begin(Part::Routing);
        files.problems.iter().for_each(|problem| notes.add(problem.clone()));
        notes.begin(Part::Service);
        let kept = Kept::new(included.iter().map(|(_, values)| values).chain([&main]));
        self.outline.borrow_mut().add_files(included.iter().map(|(_, values)| values).chain([&main]));
        let mut root = Section::root(notes, &files.main, main);
        root.strings("include");
        let server = self.server(&mut root);
        let (store, keep) = self.store(&mut root);
        let admin = self.admin(&mut root, server.admin_listen, server.admin_tls);
        let (sources, address_lists) = self.sources(&mut root);
        let hooks = self.hooks(&mut root, &sources);

        notes.begin(Part::Routing);
        let templates_directory = root.peek("templates").map(|named| root.document.directory.join(named));
        let templates = self.templates(&mut root);
        let http = self.http(&mut root);
        // Included files come first, so that the routes of the main file can handle the remaining events.
        let mut roots: Vec<_> =
            included.drain(..).map(|(document, values)| Section::root(notes, document, values)).collect();
        roots.push(root);
        let channels = self.channels(&mut roots, http.as_ref());
        let known: HashMap<&str, &Place> = channels.places.iter().map(|(name, place)| (name.as_str(), place)).collect();
        let names = rules::Names { channels: Some(&known), templates: Some(&templates) };
        let (mutes, mute_places) = names.mutes(&mut roots);
        let (routes, places) = names.routes(&mut roots);
        let delivery = roots.last_mut().map(|root| names.delivery(root)).unwrap_or_default();
        roots.into_iter().for_each(Section::finish);

        let mut uses: BTreeMap<&str, Vec<Kind>> = BTreeMap::new();
        for route in &routes {
            let held = Kind::ALL.iter().copied().filter(|kind| route.conditions.may_hold(*kind));
            uses.entry(route.template.as_deref().unwrap_or_default()).or_default().extend(held);
        }
        templates.wrong_for(&uses).into_iter().for_each(|problem| notes.add(problem));
        templates.unused(&uses).into_iter().for_each(|problem| notes.add(problem));
        let router = Router::new(routes, mutes, channels.guards);
        let broken = notes.broken();
        if broken == super::section::Broken::default() {
            let seen = warnings::Seen {
                sources: &sources,
                router: &router,
                places: &places,
                channels: &channels.places,
                mutes: &mute_places,
                main: files.main.path(),
            };
            seen.warn(notes, &delivery.alerts);
        }
        let mut outline = self.outline.take();
        outline.add_templates(&templates);
        let lanes = channels.channels.iter().map(|(name, channel)| (name.clone(), Lane(channel.chat.destination())));
        let settings = Settings {
            listen: server.listen,
            tls: server.tls,
            acme: server.acme,
            trusted_proxies: server.trusted_proxies,
            generation: self.before.map_or(Generation::default(), |before| before.generation).next(),
            admin,
            store: store?,
            keep,
            delivery,
            sources,
            hooks,
            lanes: lanes.collect(),
            channels: channels.channels,
            router: if broken.routing { Router::default() } else { router },
            is_routing_invalid: broken.routing,
            templates,
            templates_directory,
            http,
            address_lists,
            kept,
            outline,
        };
        (!broken.service).then_some(settings)
    }

    /// The single secret under a key; `None` if there is none. An error is recorded unless secrets are optional.
    fn one_secret(&self, section: &mut Section<'_>, key: &'static str, what: &str) -> Option<SecretString> {
        let Some(taken) = section.any(key) else {
            section.note(&ConfigProblem::MissingSecret { what: what.to_owned(), key }, section.place());
            return None;
        };
        let secrets = self.read_secrets(section, &taken, Secrets::Leave)?;
        if secrets.is_empty() && self.secrets == Secrets::Optional {
            return None;
        }
        if secrets.len() != 1 {
            section.note(&ConfigProblem::NotOneSecret(key), taken.place);
            return None;
        }
        secrets.into_iter().next()
    }

    /// The secrets; `None` if one cannot be read, and the error is recorded. Secrets that other users can read get a
    /// warning.
    fn read_secrets(
        &self,
        section: &Section<'_>,
        taken: &super::section::Taken<figment::value::Value>,
        secrets: Secrets,
    ) -> Option<Vec<SecretString>> {
        let directory = &section.document.directory;
        let mut read = vec![];
        let mut is_wrong = false;
        for form in secret::forms(taken) {
            let form = match form {
                Ok(form) => form,
                Err(problem) => {
                    section.add(problem);
                    is_wrong = true;
                    continue;
                }
            };
            if let Origin::File { path, generate } = &form {
                let shown = path.display().to_string();
                let path = directory.join(path);
                self.watched.borrow_mut().add(path.clone());
                let was_there = self.before.is_some_and(|before| before.outline.has_file(SECRET_FILE, &path));
                if *generate && was_there && !path.exists() {
                    section.note(&ConfigProblem::LostSecretFile(shown), taken.place.clone());
                    return None;
                }
            }
            let secret = match secret::read(&form, directory, secrets) {
                Ok(Some(secret)) => secret,
                Ok(None) => continue,
                Err(error) if error.is_missing() && self.secrets == Secrets::Optional => {
                    section.note(&ConfigProblem::OptionalSecret(error), taken.place.clone());
                    continue;
                }
                Err(error) => {
                    section.note(&ConfigProblem::Secret(error), taken.place.clone());
                    is_wrong = true;
                    continue;
                }
            };
            if let Some(problem) = secret::exposed(&form, directory, section.document, &taken.place) {
                section.note(&problem, taken.place.clone());
            }
            if let Origin::File { path, .. } = &form {
                let path = directory.join(path);
                self.outline.borrow_mut().add_file(SECRET_FILE, &path, &secret.expose_secret());
                // The file may have been created just now.
                self.watched.borrow_mut().look_again(&path);
            }
            read.push(secret);
        }
        (!is_wrong).then_some(read)
    }

    /// The templates, with the people whom their mentions ping.
    fn templates(&self, root: &mut Section<'_>) -> Library {
        let people = Arc::new(people::people(root));
        self.library(root).with_people(people)
    }

    fn library(&self, root: &mut Section<'_>) -> Library {
        let Some(taken) = root.string("templates") else { return Library::built_in() };
        let directory = root.document.directory.join(&taken.value);
        Library::directories(&directory).into_iter().for_each(|directory| self.watched.borrow_mut().add(directory));
        if !directory.is_dir() {
            root.note(&ConfigProblem::MissingTemplates(taken.value), taken.place);
            return Library::built_in();
        }
        let (library, problems) = Library::load(&directory, &taken.value);
        problems.into_iter().for_each(|problem| root.add(problem));
        library
    }
}

/// Label of secret files in the list of changes.
const SECRET_FILE: &str = "secret file";

type Guards = HashMap<ChannelName, Conditions>;
type Places = Vec<(ChannelName, Place)>;

/// The keys that are read from each type of table, for a configuration with every table.
#[cfg(test)]
pub(super) fn asked_keys() -> std::collections::BTreeMap<String, std::collections::BTreeSet<&'static str>> {
    let text = "[server]\n[store]\n[admin]\n[[admin.tokens]]\n[delivery]\n[http]\n[hooks]\n[sources.s]\nkind = \"bitbucket-cloud\"\n\
                [channels.a]\nkind = \"webhook\"\n[channels.a.accept]\n[channels.a.accept.unless]\n[channels.b]\nkind = \"slack\"\n[channels.c]\nkind = \"slack\"\ntoken = \"xoxb-1\"\n[people.a]\n\
                [[mutes]]\n[mutes.unless]\n[[routes]]\n[routes.unless]\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let files = super::files::read(&path).unwrap();
    let notes = Notes::default();
    Builder::new(Secrets::Leave, &files.watched).build(&notes, &files);
    let asked = notes.asked.borrow();
    asked.iter().map(|(table, keys)| (table.clone(), keys.iter().copied().collect())).collect()
}
