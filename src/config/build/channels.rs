//! `[channels.NAME]` and `[http]`: destinations and outgoing requests.

use std::collections::{BTreeMap, HashMap};

use secrecy::SecretString;

use super::rules::guard;
use super::values::{kind, pace, style};
use super::{Builder, Guards, Places};
use crate::chat::{self, AddressError, Keys, Kind, Pace};
use crate::config::problems::ConfigProblem;
use crate::config::section::Section;
use crate::config::{Channel, Secrets};
use crate::event::ChannelName;
use crate::http_client::{Http, HttpError, HttpSettings};
use crate::problem::Place;
use crate::text_file;

/// `[channels.NAME]`.
#[derive(Default)]
pub(super) struct Channels {
    /// Channels that can receive messages.
    pub(super) channels: BTreeMap<ChannelName, Channel>,
    /// `accept` guards by channel.
    pub(super) guards: Guards,
    /// Positions of all channels, including those with errors.
    pub(super) places: Places,
}

impl Builder<'_> {
    /// `[http]`: the client for requests to chats.
    pub(super) fn http(&self, root: &mut Section<'_>) -> Option<Http> {
        let mut section = root.table("http");
        let proxy = section.string("proxy").map(|proxy| proxy.value);
        let (proxy_place, ca_place) = (section.place_of_taken("proxy"), section.place_of("ca"));
        let ca = section.strings("ca").unwrap_or_default();
        let ca: Vec<_> = ca.into_iter().map(|path| section.document.directory.join(path.value)).collect();
        for path in &ca {
            self.watched.borrow_mut().add(path.clone());
            self.outline.borrow_mut().add_file(
                "certificates",
                path,
                &text_file::read(path, text_file::MAX_FILE).unwrap_or_default(),
            );
        }
        let http = Http::new(&HttpSettings { proxy, ca });
        let http = http.map_err(|error| {
            let place = match error {
                HttpError::Proxy => proxy_place,
                HttpError::Client(_) => section.place(),
                _ => ca_place,
            };
            section.note(&ConfigProblem::Http(error), place);
        });
        let http = http.ok();
        section.finish();
        http
    }

    pub(super) fn channels(&self, roots: &mut [Section<'_>], http: Option<&Http>) -> Channels {
        let mut all = Channels { guards: HashMap::new(), ..Channels::default() };
        for root in roots {
            for (name, mut section) in root.named("channels") {
                let name = ChannelName::from(name);
                if all.places.iter().any(|(other, _)| *other == name) {
                    section.note(&ConfigProblem::DuplicateChannel(name.to_string()), section.place());
                }
                all.places.push((name.clone(), section.place()));
                if let Some(channel) = self.channel(&mut section, &name, http) {
                    all.channels.insert(name.clone(), channel);
                }
                if let Some(mut accept) = section.optional("accept") {
                    let accepts = guard(&mut accept);
                    if accepts.is_none() && !accept.has_more() {
                        accept.note(&ConfigProblem::EmptyAccept(name.to_string()), accept.place());
                    }
                    all.guards.extend(accepts.map(|accepts| (name, accepts)));
                    accept.finish();
                }
                section.finish();
            }
        }
        all
    }

    fn channel(&self, section: &mut Section<'_>, name: &ChannelName, http: Option<&Http>) -> Option<Channel> {
        let kinds: Vec<_> = chat::kinds().iter().map(|kind| kind.name()).collect();
        let kind = kind(section, "channel", &kinds).and_then(chat::kind);
        let style = style(section).unwrap_or_default();
        let avatars = section.flag_or("avatars", true);
        let Some(kind) = kind else {
            // The other keys depend on the kind.
            section.discard();
            return None;
        };
        let places = HashMap::new();
        let mut keys = ChannelKeys { builder: self, section, name, kind, http, is_missing: false, places };
        let chat = match kind.build(&mut keys) {
            None if keys.is_missing && self.secrets == Secrets::Optional => {
                Box::new(chat::Unaddressed::new(kind, name))
            }
            chat => chat?,
        };
        Some(Channel { chat, style, avatars, kind })
    }
}

/// Keys of a channel, as its kind reads them.
struct ChannelKeys<'a, 'b> {
    builder: &'a Builder<'a>,
    section: &'a mut Section<'b>,
    name: &'a ChannelName,
    kind: &'static dyn Kind,
    http: Option<&'a Http>,
    /// True if a secret is missing.
    is_missing: bool,
    /// Positions of the values that were read.
    places: HashMap<&'static str, Place>,
}

impl ChannelKeys<'_, '_> {
    /// Notes the position of a value before it is read.
    fn note_place(&mut self, key: &'static str) {
        self.places.entry(key).or_insert_with(|| self.section.place_of(key));
    }
}

impl Keys for ChannelKeys<'_, '_> {
    fn is_set(&self, key: &'static str) -> bool {
        self.section.placed(key).is_some()
    }

    fn secret(&mut self, key: &'static str) -> Option<SecretString> {
        self.note_place(key);
        let what = format!("channel `{}`", self.name);
        let secret = self.builder.one_secret(self.section, key, &what);
        self.is_missing |= secret.is_none();
        secret
    }

    fn url(&mut self, key: &'static str) -> Option<SecretString> {
        let (insecure, place) = (self.section.flag("insecure"), self.section.place_of(key));
        let url = self.secret(key)?;
        if !insecure && crate::http_client::is_exposed(&url) {
            self.section.note(&ConfigProblem::UnencryptedUrl, place.clone());
        }
        let other = chat::kind_at(&url).filter(|other| other.name() != self.kind.name());
        if let Some(other) = other.filter(|_| !self.kind.accepts_any_url()) {
            let problem = ConfigProblem::UrlOfOtherKind { owner: other.name(), kind: self.kind.name() };
            self.section.note(&problem, place);
            return None;
        }
        Some(url)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.note_place(key);
        self.section.string(key).map(|taken| taken.value)
    }

    fn flag(&mut self, key: &'static str) -> bool {
        self.note_place(key);
        self.section.flag(key)
    }

    fn pace(&mut self) -> Option<Pace> {
        pace(self.section)
    }

    fn http(&self) -> Option<Http> {
        self.http.cloned()
    }

    fn reject(&mut self, key: &'static str, error: AddressError) {
        let place = self.places.get(key).cloned().unwrap_or_else(|| self.section.place());
        self.section.note(&ConfigProblem::Address(error), place);
    }
}
