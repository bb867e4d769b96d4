//! `[channels.NAME]` and `[http]`: destinations and outgoing requests.

use std::collections::{BTreeMap, HashMap};

use super::rules::guard;
use super::values::{kind, pace, style};
use super::{Builder, Guards, Places};
use crate::chat::{self, Address, console};
use crate::config::problems::ConfigProblem;
use crate::config::section::Section;
use crate::config::{Channel, Secrets};
use crate::event::ChannelName;
use crate::http_client::{Http, HttpError, HttpSettings};
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
        let kinds: Vec<_> = chat::KINDS.iter().map(|kind| kind.name).collect();
        let kind = kind(section, "channel", &kinds).and_then(chat::kind);
        let style = style(section).unwrap_or_default();
        let avatars = section.flag_or("avatars", true);
        let Some(kind) = kind else {
            // The other keys depend on the kind.
            section.discard();
            return None;
        };
        let channel = |chat| Channel { chat, style, avatars, kind: kind.name };
        let Some(build) = kind.build else {
            return Some(channel(Box::<console::Console>::default()));
        };
        let pace = pace(section);
        let insecure = section.flag("insecure");
        let interactivity = kind.asks_for_interactivity && section.flag("interactivity");
        let place = section.place_of("webhook_url");
        let what = format!("channel `{name}`");
        let (url, secret) = (
            self.one_secret(section, "webhook_url", &what),
            kind.signs.then(|| self.one_secret(section, "secret", &what)),
        );
        let is_known = url.is_some() && secret.as_ref().is_none_or(Option::is_some);
        if !is_known && self.secrets == Secrets::Optional {
            return Some(channel(Box::new(chat::Unaddressed::new(kind, name))));
        }
        let (url, secret) = (
            url?,
            match secret {
                Some(secret) => Some(secret?),
                None => None,
            },
        );
        if !insecure && crate::http_client::is_exposed(&url) {
            section.note(&ConfigProblem::UnencryptedUrl, place.clone());
        }
        // A program can have any URL, even one of a Teams flow, and accepts what it likes.
        if let Some(other) = chat::kind_at(&url).filter(|other| other.name != kind.name && !kind.signs) {
            section.note(&ConfigProblem::UrlOfOtherKind { owner: other.name, kind: kind.name }, place);
            return None;
        }
        match build(Address { url, http: http?.clone(), pace, secret, interactivity }) {
            Ok(chat) => Some(channel(chat)),
            Err(error) => {
                section.note(&ConfigProblem::Address(error), place);
                None
            }
        }
    }
}
