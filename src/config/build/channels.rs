//! `[channels.NAME]` and `[http]`: destinations and outgoing requests.

use std::collections::{BTreeMap, HashMap};

use super::rules::guard;
use super::values::{kind, pace, style};
use super::{Builder, Guards, Places};
use crate::chat::{self, Address, console};
use crate::config::section::Section;
use crate::config::{Channel, Secrets};
use crate::event::ChannelName;
use crate::http_client::{Http, HttpError, HttpSettings};
use crate::problem::Problem;
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
        let http = http.map_err(|error| match error {
            HttpError::Proxy(message) => {
                let problem = Problem::error(message, proxy_place);
                section.note(problem.help("write a URL such as `http://proxy.example:3128`"));
            }
            HttpError::Certificates(message) => {
                let problem = Problem::error(message, ca_place);
                section
                    .note(problem.help("set the path of a PEM file with certificates: `-----BEGIN CERTIFICATE-----`"));
            }
            HttpError::Client(message) => section.note(Problem::error(message, section.place())),
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
                    let problem = Problem::error(format!("duplicate channel name `{name}`"), section.place());
                    section.note(problem.help("another file defines a channel with this name; rename one of them"));
                }
                all.places.push((name.clone(), section.place()));
                if let Some(channel) = self.channel(&mut section, &name, http) {
                    all.channels.insert(name.clone(), channel);
                }
                if let Some(mut accept) = section.optional("accept") {
                    let accepts = guard(&mut accept);
                    if accepts.is_none() && !accept.has_more() {
                        let problem =
                            Problem::error(format!("`accept` of channel `{name}` has no matcher"), accept.place());
                        accept.note(problem.help("remove it, or add a matcher: `{ visibility = \"private\" }`"));
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
        let Some(kind) = kind else {
            // The other keys depend on the kind.
            section.discard();
            return None;
        };
        let Some(build) = kind.build else {
            return Some(Channel { chat: Box::new(console::Console::default()), style, kind: kind.name });
        };
        let pace = pace(section);
        let insecure = section.flag("insecure");
        let place = section.place_of("webhook_url");
        let what = format!("channel `{name}`");
        let (url, secret) = (
            self.one_secret(section, "webhook_url", &what),
            kind.signs.then(|| self.one_secret(section, "secret", &what)),
        );
        let is_known = url.is_some() && secret.as_ref().is_none_or(Option::is_some);
        if !is_known && self.secrets == Secrets::Optional {
            return Some(Channel { chat: Box::new(chat::Unaddressed::new(kind, name)), style, kind: kind.name });
        }
        let (url, secret) = (
            url?,
            match secret {
                Some(secret) => Some(secret?),
                None => None,
            },
        );
        if !insecure && crate::http_client::is_exposed(&url) {
            let problem = Problem::error("the webhook URL is not encrypted (`http://`)", place.clone());
            section.note(problem.help("use `https://`, or add `insecure = true` if you trust the network"));
        }
        // A program can have any URL, even one of a Teams flow, and accepts what it likes.
        if let Some(other) = chat::kind_at(&url).filter(|other| other.name != kind.name && !kind.signs) {
            let message =
                format!("this URL belongs to `{}`, but the channel has `kind = \"{}\"`", other.name, kind.name);
            section.note(Problem::error(message, place).help(format!("write `kind = \"{}\"`", other.name)));
            return None;
        }
        match build(Address { url, http: http?.clone(), pace, secret }) {
            Ok(chat) => Some(Channel { chat, style, kind: kind.name }),
            Err(error) => {
                section.note(Problem::error(error.message, place).help(error.help));
                None
            }
        }
    }
}
