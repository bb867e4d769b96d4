//! What runs, built from what the config says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use figment::value::Dict;
use ipnet::IpNet;
use secrecy::SecretString;

use super::document::Document;
use super::section::{Notes, Section, Taken};
use super::{Admin, AdminToken, Channel, DeliverySettings, Listen, Role, Secrets, Settings, SourceEntry, secret};
use crate::chat::{self, Address, Pace, Style as MessageStyle, console};
use crate::event::{ChannelName, SourceName};
use crate::http_client::{Http, HttpSettings};
use crate::problem::{Place, Problem, nearest};
use crate::routing::pattern::{Patterns, Style};
use crate::routing::{Condition, Conditions, Key, Mute, Route, Router, SETS, event_condition};
use crate::source::addresses::{Allowed, List};
use crate::source::{self, Provider, SourceSettings};
use crate::store::Keep;
use crate::template::Library;

pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);
const STORE: &str = "hookbell.db";

/// For how long a message is tried again.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Builds settings as far as they can be, and gathers all that is wrong.
pub(super) fn settings(document: &Document, directory: &Path, secrets: Secrets) -> (Option<Settings>, Vec<Problem>) {
    let values = match document.values() {
        Ok(values) => values,
        Err(problem) => return (None, vec![problem]),
    };
    let hash = document.hash(&values);
    let notes = Notes::new(document);
    let settings = Builder { directory, secrets }.build(&notes, values, hash);
    (settings, notes.into_problems())
}

/// The templates alone.
pub(super) fn templates(document: &Document, directory: &Path) -> (Library, Vec<Problem>) {
    let values = match document.values() {
        Ok(values) => values,
        Err(problem) => return (Library::built_in(), vec![problem]),
    };
    let notes = Notes::new(document);
    let builder = Builder { directory, secrets: Secrets::Leave };
    let library = builder.templates(&mut Section::root(&notes, values));
    (library, notes.into_problems())
}

/// The store's file alone.
pub(super) fn store(document: &Document, directory: &Path) -> Result<PathBuf, Vec<Problem>> {
    let values = document.values().map_err(|problem| vec![problem])?;
    let notes = Notes::new(document);
    let builder = Builder { directory, secrets: Secrets::Leave };
    let (path, _) = builder.store(&mut Section::root(&notes, values));
    let problems = notes.into_problems();
    if problems.is_empty() { Ok(path) } else { Err(problems) }
}

struct Builder<'a> {
    directory: &'a Path,
    secrets: Secrets,
}

impl Builder<'_> {
    /// `None` where it is noted why.
    fn build(&self, notes: &Notes<'_>, values: Dict, hash: String) -> Option<Settings> {
        let mut root = Section::root(notes, values);
        let mut server = root.table("server");
        let listen = match server.string("listen") {
            Some(text) if text.value == "systemd" => Listen::Systemd,
            Some(text) => Listen::Address(address(&server, &text, LISTEN)),
            None => Listen::Address(LISTEN),
        };
        let admin_listen = server.string("admin_listen");
        let admin_listen = admin_listen.map_or(ADMIN_LISTEN, |text| address(&server, &text, ADMIN_LISTEN));
        let trusted_proxies = server.strings("trusted_proxies").unwrap_or_default();
        let trusted_proxies = trusted_proxies.iter().filter_map(|text| network(&server, text, &[])).collect();
        server.finish();
        let (store, keep) = self.store(&mut root);
        let admin = self.admin(&mut root, admin_listen);
        let (sources, address_lists) = self.sources(&mut root);
        let templates = self.templates(&mut root);
        let http = self.http(&mut root);
        let (channels, guards, places) = self.channels(&mut root, http.as_ref());
        let names = Names { channels: places.iter().map(|(name, _)| name.as_str()).collect(), templates: &templates };
        let mutes = mutes(&mut root);
        let routes = names.routes(&mut root);
        let delivery = names.delivery(&mut root);
        let router = Router { routes, mutes, guards };
        root.finish();
        if !notes.any() {
            unrouted(notes, &places, &router, &delivery.alerts);
        }
        let http = http?;
        Some(Settings {
            listen,
            admin,
            trusted_proxies,
            store,
            keep,
            delivery,
            sources,
            channels,
            router,
            templates,
            http,
            address_lists,
            hash,
        })
    }

    fn store(&self, root: &mut Section<'_>) -> (PathBuf, Keep) {
        let mut section = root.table("store");
        let url = section.string("url");
        let path = match url.as_ref().map(|url| url.value.strip_prefix("sqlite:")) {
            None => STORE,
            Some(Some(path)) if !path.is_empty() => path,
            Some(_) => {
                let problem = url.as_ref().map(|url| {
                    Problem::error(format!("`{}` is no store", url.value), url.place.clone())
                        .help("write `sqlite:` and a file: `sqlite:hookbell.db`")
                });
                problem.into_iter().for_each(|problem| section.note(problem));
                STORE
            }
        };
        let path = self.directory.join(path);
        let kept = Keep::default();
        let keep = Keep {
            all: duration(&mut section, "keep").unwrap_or(kept.all),
            raw: duration(&mut section, "keep_raw").unwrap_or(kept.raw),
        };
        section.finish();
        (path, keep)
    }

    /// `[admin]`: who may look after the service.
    fn admin(&self, root: &mut Section<'_>, listen: SocketAddr) -> Admin {
        let mut section = root.table("admin");
        let hosts = section.strings("hosts").unwrap_or_default().into_iter().map(|host| host.value).collect();
        let mut tokens = vec![];
        for mut section in section.list("tokens") {
            tokens.extend(self.token(&mut section, tokens.len()));
            section.finish();
        }
        section.finish();
        Admin { listen, hosts, tokens }
    }

    fn token(&self, section: &mut Section<'_>, n: usize) -> Option<AdminToken> {
        let name = section.string("name").map_or_else(|| format!("token {}", n + 1), |name| name.value);
        let role = match section.string("role") {
            None => Role::Read,
            Some(text) if text.value == "read" => Role::Read,
            Some(text) if text.value == "operate" => Role::Operate,
            Some(text) => {
                let problem = Problem::error(format!("`{}` is no role", text.value), text.place);
                section.note(problem.help("roles: read, operate"));
                return None;
            }
        };
        let token = self.one_secret(section, "token", "a token")?;
        Some(AdminToken { name, token, role })
    }

    /// The one secret under a key; `None` where it is noted why there is none.
    fn one_secret(&self, section: &mut Section<'_>, key: &'static str, what: &str) -> Option<SecretString> {
        let Some(taken) = section.any(key) else {
            let problem = Problem::error(format!("{what} needs `{key}`"), section.place());
            let help = format!("add `{key} = {{ env = \"NAME\" }}`, or `{{ file = \"…\" }}`, or the text itself");
            section.note(problem.help(help));
            return None;
        };
        match secret::read(&taken, self.directory, Secrets::Leave) {
            Ok(secrets) if secrets.len() == 1 => secrets.into_iter().next(),
            Ok(_) => {
                let problem = Problem::error(format!("`{key}` must be one text, which is there"), taken.place);
                section.note(problem.help("write `{ env = \"NAME\" }`, `{ file = \"…\" }` or the text itself"));
                None
            }
            Err(problem) => {
                section.note(problem);
                None
            }
        }
    }

    /// The sources, and the published lists of addresses that they rely on.
    fn sources(&self, root: &mut Section<'_>) -> (BTreeMap<SourceName, SourceEntry>, Vec<Arc<List>>) {
        let mut sources = BTreeMap::new();
        // Sources of one host share its list.
        let mut lists = vec![];
        for (name, mut section) in root.named("sources") {
            if let Some(entry) = self.source(&mut section, &name, &mut lists) {
                sources.insert(SourceName::from(name), entry);
            }
            section.finish();
        }
        if sources.is_empty() && !root.is_noted() {
            let problem = Problem::warning("there are no sources, so no webhook can come in", root.place());
            root.note(problem.help("add `[sources.bitbucket]` with `kind` and `secret`"));
        }
        (sources, lists)
    }

    fn source(&self, section: &mut Section<'_>, name: &str, lists: &mut Vec<Arc<List>>) -> Option<SourceEntry> {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            let problem = Problem::error(format!("`{name}` cannot be a source's name"), section.place());
            section.note(problem.help("use letters, digits, `-` and `_`: the name stands in the webhook's URL"));
        }
        let kinds: Vec<_> = source::PROVIDERS.iter().map(|provider| provider.kind).collect();
        let kind = kind(section, "source", &kinds);
        let (secrets, unsigned) = self.secrets(section, name);
        let repo = section.strings("repo").map_or_else(
            || patterns(section, vec![Taken { value: "**".to_owned(), place: section.place() }], Key::Repo.style()),
            |texts| patterns(section, texts, Key::Repo.style()),
        );
        let bots = section.strings("bots").unwrap_or_default();
        let bots = patterns(section, bots, Style { separator: false, ignore_case: true });
        let allow_from = section.strings("allow_from");
        let provider = source::provider(kind?)?;
        let allow_from = allow_from.map(|texts| allowed(section, &texts, provider, unsigned, lists));
        let source = (provider.build)(SourceSettings { secrets: secrets.clone(), unsigned, bots });
        Some(SourceEntry { provider, source, repo, secrets, unsigned, allow_from })
    }

    /// A source's secrets; or that it has none, which it must say.
    fn secrets(&self, section: &mut Section<'_>, name: &str) -> (Vec<SecretString>, bool) {
        let secret = section.any("secret");
        let unsigned = section.any("unsigned").filter(|taken| taken.value.to_bool() != Some(false));
        match (secret, unsigned) {
            (Some(secret), unsigned) => {
                if let Some(unsigned) = unsigned {
                    let problem = Problem::error("a source with a `secret` is not `unsigned`", unsigned.place);
                    section.note(problem.help("leave out one of the two; the secret is the better one to keep"));
                }
                let read = secret::read(&secret, self.directory, self.secrets);
                (
                    read.unwrap_or_else(|problem| {
                        section.note(problem);
                        vec![]
                    }),
                    false,
                )
            }
            (None, Some(unsigned)) if unsigned.value.to_bool() == Some(true) => {
                let problem = Problem::warning(
                    format!("source `{name}` takes unsigned requests: whoever knows its address can make up events"),
                    unsigned.place,
                );
                section
                    .note(problem.help("give the webhook a secret, or say in `allow_from` where requests come from"));
                (vec![], true)
            }
            (None, Some(unsigned)) => {
                section.note(Problem::error("`unsigned` must be `true` or `false`", unsigned.place));
                (vec![], false)
            }
            (None, None) => {
                let problem = Problem::error(format!("source `{name}` has no `secret`"), section.place());
                let help =
                    "add `secret = { file = \"bitbucket.secret\", generate = true }`, and give the same to the webhook";
                section.note(problem.help(help));
                (vec![], false)
            }
        }
    }

    fn templates(&self, root: &mut Section<'_>) -> Library {
        let Some(taken) = root.string("templates") else { return Library::built_in() };
        let (library, problems) = Library::load(&self.directory.join(&taken.value), &taken.value);
        problems.into_iter().for_each(|problem| root.note(problem));
        library
    }
}

/// A time: a whole number of days, hours or minutes.
fn duration(section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    let taken = section.string(key)?;
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("min", 60)];
    let of = |(unit, seconds): (&str, u64)| {
        taken.value.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(seconds)
    };
    let seconds = units.into_iter().find_map(of).filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        let problem = Problem::error(format!("`{}` is no time", taken.value), taken.place);
        section.note(problem.help("write a number of days, hours or minutes: `30d`, `12h`, `90min`"));
    }
    seconds.map(Duration::from_secs)
}

/// What `allow_from` says: networks, and the word for the list that a source's host publishes.
fn allowed(
    section: &Section<'_>,
    texts: &[Taken<String>],
    provider: &'static Provider,
    unsigned: bool,
    lists: &mut Vec<Arc<List>>,
) -> Allowed {
    let mut allowed = Allowed::default();
    let words: Vec<&str> = provider.addresses.iter().map(|published| published.word).collect();
    for text in texts {
        match provider.addresses.filter(|published| published.word == text.value) {
            Some(published) => {
                let known = lists.iter().find(|list| std::ptr::eq(list.published, published)).cloned();
                let list = known.unwrap_or_else(|| {
                    lists.push(Arc::new(List::new(published)));
                    lists[lists.len() - 1].clone()
                });
                allowed.lists.push(list);
                if unsigned {
                    let message = format!("`{}` with `unsigned` lets every customer of the host in", text.value);
                    let problem = Problem::warning(message, text.place.clone());
                    section.note(problem.help("all of their webhooks come from these addresses: use a `secret`"));
                }
            }
            None => allowed.networks.extend(network(section, text, &words)),
        }
    }
    allowed
}

/// A network, or one address.
fn network(section: &Section<'_>, text: &Taken<String>, words: &[&str]) -> Option<IpNet> {
    let network = text.value.parse::<IpNet>().or_else(|_| text.value.parse::<std::net::IpAddr>().map(IpNet::from));
    network.ok().or_else(|| {
        let problem = Problem::error(format!("`{}` is no network", text.value), text.place.clone());
        let near = nearest(&text.value, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let or_word = words.iter().map(|word| format!(", or `{word}`")).collect::<String>();
        section.note(problem.help(near.unwrap_or_else(|| format!("write `10.0.0.0/8` or `2001:db8::/32`{or_word}"))));
        None
    })
}

fn address(section: &Section<'_>, text: &Taken<String>, default: SocketAddr) -> SocketAddr {
    text.value.parse().unwrap_or_else(|_| {
        let problem = Problem::error(format!("`{}` is no address", text.value), text.place.clone());
        section.note(problem.help("write an IP address and a port: `127.0.0.1:8080`, `0.0.0.0:8080`, `[::]:8080`"));
        default
    })
}

/// The `kind` of a source or channel.
fn kind(section: &mut Section<'_>, what: &str, kinds: &[&'static str]) -> Option<&'static str> {
    let Some(taken) = section.string("kind") else {
        let problem = Problem::error(format!("this {what} has no `kind`"), section.place());
        section.note(problem.help(format!("kinds: {}", kinds.join(", "))));
        return None;
    };
    let found = kinds.iter().find(|kind| **kind == taken.value).copied();
    if found.is_none() {
        let near = nearest(&taken.value, kinds.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let problem = Problem::error(format!("`{}` is no kind of {what}", taken.value), taken.place);
        section.note(problem.help(near.unwrap_or_else(|| format!("kinds: {}", kinds.join(", ")))));
    }
    found
}

type Channels = BTreeMap<ChannelName, Channel>;
type Guards = Vec<(ChannelName, Conditions)>;
type Places = Vec<(ChannelName, Place)>;

impl Builder<'_> {
    /// `[http]`: how requests to chats go out.
    fn http(&self, root: &mut Section<'_>) -> Option<Http> {
        let mut section = root.table("http");
        let proxy = section.string("proxy").map(|proxy| proxy.value);
        let ca = section.strings("ca").unwrap_or_default();
        let ca = ca.into_iter().map(|path| self.directory.join(path.value)).collect();
        let http = Http::new(&HttpSettings { proxy, ca });
        let http = http.map_err(|message| section.note(Problem::error(message, section.place()))).ok();
        section.finish();
        http
    }

    fn channels(&self, root: &mut Section<'_>, http: Option<&Http>) -> (Channels, Guards, Places) {
        let (mut channels, mut guards, mut places) = (Channels::new(), vec![], vec![]);
        for (name, mut section) in root.named("channels") {
            let name = ChannelName::from(name);
            places.push((name.clone(), section.place()));
            if let Some(channel) = self.channel(&mut section, &name, http) {
                channels.insert(name.clone(), channel);
            }
            let mut accept = section.table("accept");
            let accepts = conditions(&mut accept).unwrap_or_default();
            accept.finish();
            if !accepts.is_empty() {
                guards.push((name, accepts));
            }
            section.finish();
        }
        (channels, guards, places)
    }

    fn channel(&self, section: &mut Section<'_>, name: &ChannelName, http: Option<&Http>) -> Option<Channel> {
        let kinds: Vec<_> = chat::KINDS.iter().map(|kind| kind.name).collect();
        let kind = kind(section, "channel", &kinds).and_then(chat::kind);
        let style = style(section).unwrap_or_default();
        let kind = kind?;
        let Some(build) = kind.build else {
            return Some(Channel { chat: Box::new(console::Console::default()), style, kind: kind.name });
        };
        let pace = pace(section);
        let insecure = section.flag("insecure");
        let place = section.place_of("webhook_url");
        let url = self.one_secret(section, "webhook_url", &format!("channel `{name}`"))?;
        if !insecure && crate::http_client::is_exposed(&url) {
            let problem = Problem::error("the webhook's address is not encrypted (`http://`)", place.clone());
            section.note(problem.help("use `https://`, or add `insecure = true` if the network is yours"));
        }
        let secret =
            if kind.signs { Some(self.one_secret(section, "secret", &format!("channel `{name}`"))?) } else { None };
        match build(Address { url, http: http?.clone(), pace, secret }) {
            Ok(chat) => Some(Channel { chat, style, kind: kind.name }),
            Err(error) => {
                section.note(Problem::error(error.message, place).help(error.help));
                None
            }
        }
    }
}

fn style(section: &mut Section<'_>) -> Option<MessageStyle> {
    let taken = section.string("style")?;
    let style = MessageStyle::parse(&taken.value);
    if style.is_none() {
        let problem = Problem::error(format!("`{}` is no style", taken.value), taken.place);
        section.note(problem.help("styles: full, line"));
    }
    style
}

fn pace(section: &mut Section<'_>) -> Option<Pace> {
    let taken = section.string("pace")?;
    let pace = Pace::parse(&taken.value);
    if pace.is_none() {
        let problem = Problem::error(format!("`{}` is no pace", taken.value), taken.place);
        section.note(problem.help("write a number within a time: `5/s`, `30/min`, `100/h`"));
    }
    pace
}

fn mutes(root: &mut Section<'_>) -> Vec<Mute> {
    let mut mutes: Vec<Mute> = vec![];
    for (n, mut section) in root.list("mutes").into_iter().enumerate() {
        let name = unique_name(&mut section, n, "mute", mutes.iter().map(|mute| mute.name.as_str()));
        let conditions = conditions(&mut section);
        if conditions.is_none() {
            let problem = Problem::error(format!("mute `{name}` would silence everything"), section.place());
            section.note(problem.help("say what it silences: `actor_kind = \"bot\"`"));
        }
        mutes.push(Mute { name, conditions: conditions.unwrap_or_default() });
        section.finish();
    }
    mutes
}

/// What routes may name.
struct Names<'a> {
    channels: Vec<&'a str>,
    templates: &'a Library,
}

impl Names<'_> {
    fn routes(&self, root: &mut Section<'_>) -> Vec<Route> {
        let mut routes: Vec<Route> = vec![];
        for (n, mut section) in root.list("routes").into_iter().enumerate() {
            let route = self.route(&mut section, n, &routes);
            routes.push(route);
            section.finish();
        }
        routes
    }

    fn route(&self, section: &mut Section<'_>, n: usize, before: &[Route]) -> Route {
        let name = unique_name(section, n, "route", before.iter().map(|route| route.name.as_str()));
        let otherwise = section.flag("otherwise");
        let is_final = section.flag("final");
        let conditions = conditions(section);
        if conditions.is_none() {
            let problem = Problem::error(format!("route `{name}` has no matcher"), section.place());
            section.note(problem.help("say what it is for, `event = \"@calm\"`; `event = \"@all\"` means everything"));
        }
        let to = self.to(section, &name);
        let template = section.string("template").and_then(|template| self.template(section, template));
        let style = style(section);
        Route { name, conditions: conditions.unwrap_or_default(), to, template, style, is_final, otherwise }
    }

    /// `[delivery]`.
    fn delivery(&self, root: &mut Section<'_>) -> DeliverySettings {
        let mut section = root.table("delivery");
        let max_age = duration(&mut section, "max_age").unwrap_or(MAX_AGE);
        let alerts = section.strings("alerts").map(|texts| self.channels(&section, texts)).unwrap_or_default();
        section.finish();
        DeliverySettings { max_age, alerts }
    }

    fn to(&self, section: &mut Section<'_>, name: &str) -> Vec<ChannelName> {
        let Some(texts) = section.strings("to") else {
            let problem = Problem::error(format!("route `{name}` leads nowhere"), section.place());
            section.note(problem.help("add `to = \"CHANNEL\"`; to silence something, use `[[mutes]]`"));
            return vec![];
        };
        self.channels(section, texts)
    }

    /// Channels that are there.
    fn channels(&self, section: &Section<'_>, texts: Vec<Taken<String>>) -> Vec<ChannelName> {
        let mut to = vec![];
        for text in texts {
            if self.channels.contains(&text.value.as_str()) {
                to.push(ChannelName::from(text.value));
            } else {
                let near = nearest(&text.value, self.channels.iter().copied());
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let missing = format!("add `[channels.{}]`", text.value);
                let problem = Problem::error(format!("there is no channel `{}`", text.value), text.place);
                section.note(problem.help(help.unwrap_or(missing)));
            }
        }
        to
    }

    fn template(&self, section: &Section<'_>, template: Taken<String>) -> Option<String> {
        if self.templates.contains(&template.value) {
            return Some(template.value);
        }
        let near = self.templates.nearest(&template.value).map(|near| format!("did you mean `{near}`?"));
        let problem = Problem::error(format!("there is no template `{}`", template.value), template.place);
        section.note(problem.maybe_help(near.or_else(|| Some(format!("create `{}.md.hbs`", template.value)))));
        None
    }
}

/// A channel that nobody routes to is probably a slip.
fn unrouted(notes: &Notes<'_>, channels: &Places, router: &Router, alerts: &[ChannelName]) {
    for (name, place) in channels.iter().filter(|(name, _)| !alerts.contains(name)) {
        if !router.routes.iter().any(|route| route.to.contains(name)) {
            let problem = Problem::warning(format!("no route leads to channel `{name}`"), place.clone());
            notes.add(problem.help(format!("add a `[[routes]]` with `to = \"{name}\"`")));
        }
    }
}

fn unique_name<'a>(
    section: &mut Section<'_>,
    n: usize,
    what: &str,
    mut taken: impl Iterator<Item = &'a str>,
) -> String {
    let Some(name) = section.string("name") else { return format!("{what} {}", n + 1) };
    if taken.any(|other| other == name.value) {
        let problem = Problem::error(format!("two {what}s are called `{}`", name.value), name.place);
        section.note(problem.help("give each a name of its own: answers and logs tell them apart by it"));
    }
    name.value
}

/// The conditions of a rule; `None` where it has none, not even a wrong one.
fn conditions(section: &mut Section<'_>) -> Option<Conditions> {
    let mut any = false;
    let mut conditions = vec![];
    for &key in Key::ALL {
        let Some(texts) = section.strings(key.as_str()) else { continue };
        any = true;
        if key == Key::Event {
            conditions.extend(event(section, texts));
        } else {
            conditions.push(Condition::Value(key, patterns(section, texts, key.style())));
        }
    }
    any.then(|| Conditions::new(conditions))
}

fn event(section: &Section<'_>, texts: Vec<Taken<String>>) -> Option<Condition> {
    let (values, places): (Vec<_>, Vec<_>) = texts.into_iter().map(|text| (text.value, text.place)).unzip();
    match event_condition(&values) {
        Ok(condition) => Some(condition),
        Err((n, reason)) => {
            let bare = values[n].trim_start_matches('!');
            let sets: Vec<_> = SETS.iter().map(|set| format!("@{}", set.name)).collect();
            let known = crate::event::Kind::ALL.iter().map(|kind| kind.as_str()).chain(sets.iter().map(String::as_str));
            let near = nearest(bare, known).map(|near| format!("did you mean `{near}`?"));
            let list = format!("sets: {}; kinds: push, pull_request.opened, …", sets.join(", "));
            section.note(Problem::error(reason, places[n].clone()).help(near.unwrap_or(list)));
            None
        }
    }
}

fn patterns(section: &Section<'_>, texts: Vec<Taken<String>>, style: Style) -> Patterns {
    let (values, places): (Vec<_>, Vec<_>) = texts.into_iter().map(|text| (text.value, text.place)).unzip();
    Patterns::new(&values, style).unwrap_or_else(|(n, reason)| {
        section.note(Problem::error(format!("`{}` is no pattern: {reason}", values[n]), places[n].clone()));
        Patterns::default()
    })
}
