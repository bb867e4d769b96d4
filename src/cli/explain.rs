//! `hookbell explain`: explain the routing of an event.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::caller::Server;
use super::host::Host;
use super::print::{errln, outln};
use super::shown::{ago, in_line, json, sanitized_lines, timestamp};
use super::{Failure, plural};
use crate::config::{self, Secrets};
use crate::problem::nearest;
use crate::routing::{MuteVerdict, RouteVerdict};
use crate::service::explain::{Explained, Rules, explain_as_received, through};
use crate::service::operations::ExplainQuery;
use crate::service::payload::parsed;
use crate::source::providers;
use crate::store::DeliveryDetail;
use crate::text::shows_colour;

/// Arguments of `hookbell explain`.
#[derive(Args)]
pub(super) struct Explain {
    /// Stored event: `last`, an id (`evt_…`, `dlv_…`, `req_…`), the host's request id (Bitbucket's X-Request-UUID) or
    /// the URL of a pull request; or the name of a sample, or a file with a webhook payload
    #[arg(value_name = "EVENT|SAMPLE|PAYLOAD")]
    what: String,
    /// Event key of the host, for a file: `repo:push`
    #[arg(long, value_name = "KEY")]
    event: Option<String>,
    #[command(flatten)]
    host: Host,
    /// Maximum number of events, the most recent ones
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=20))]
    limit: u8,
    /// JSON output, one object per event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Explain {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let provider = self.host.provider()?;
        let is_payload = Path::new(&self.what).is_file() || self.event.is_some();
        let events = if is_payload || provider.sample(&self.what).is_some() {
            if self.server.is_elsewhere() {
                return Err(Failure::LocalOnly);
            }
            self.what_might_come(config)?
        } else {
            let query = ExplainQuery { what: self.what.clone(), limit: Some(self.limit.into()) };
            let answer = self.server.caller(config).and_then(|caller| caller.explain(query));
            answer.map_err(|failure| self.with_hint(failure))?.events
        };
        let styled = shows_colour(&std::io::stdout());
        for (n, event) in events.iter().enumerate() {
            if self.json {
                outln!("{}", json(event));
            } else {
                let gap = if n > 0 { "\n" } else { "" };
                outln!("{gap}{}", Tree { styled }.draw(event));
            }
        }
        Ok(())
    }

    /// Explains a sample or a file with the current rules.
    fn what_might_come(&self, config: &Path) -> Result<Vec<Explained>, Failure> {
        let provider = self.host.provider()?;
        let settings = config::load(config, Secrets::Optional).sound().map_err(Failure::Problems)?;
        // The settings of the source define which accounts are bots.
        let source = through(&settings, provider).map(|(_, entry)| entry.source.as_ref());
        let parsed = parsed(provider, source, &self.what, self.event.as_deref())?;
        if let Some(note) = parsed.note {
            errln!("no event in `{}`: {note}", self.what);
        }
        Ok(explain_as_received(&parsed.events, provider, &settings))
    }

    fn with_hint(&self, failure: Failure) -> Failure {
        if failure.is_usage() {
            return failure;
        }
        let samples = providers().iter().flat_map(|provider| provider.samples).map(|sample| sample.name);
        let near = nearest(&self.what, samples).map(ToOwned::to_owned);
        Failure::NotExplained { failure: Box::new(failure), near }
    }
}

/// Renderer of an explained event as a tree.
struct Tree {
    styled: bool,
}

/// Line of a tree, with its children.
struct Branch(String, Vec<Branch>);

impl Tree {
    fn draw(&self, event: &Explained) -> String {
        let mut lines = vec![self.title(event), self.origin(event)];
        let mut branches = vec![];
        branches.extend(
            event.suppressed.iter().map(|why| leaf(format!("{} {}", self.no("suppressed:"), sanitized_lines(why)))),
        );
        branches.extend(event.notes.iter().map(|note| leaf(format!("note: {}", sanitized_lines(note)))));
        if event.suppressed.is_none() {
            branches.extend(self.rules(event));
        }
        if event.deliveries.is_empty() {
            branches.push(leaf(match event.id {
                Some(_) => "no deliveries".to_owned(),
                None => self.outcome(event),
            }));
        }
        branches.extend(event.deliveries.iter().map(|delivery| self.delivery(delivery)));
        grow(&branches, "", &mut lines);
        lines.join("\n")
    }

    fn title(&self, event: &Explained) -> String {
        let parts = [Some(&event.kind), event.repository.as_ref(), event.title.as_ref()];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        let by = event.actor.as_deref().map(|actor| format!(" · by {actor}")).unwrap_or_default();
        self.paint(Style::new().bold(), &in_line(&format!("{}{by}", parts.join(" · "))))
    }

    fn origin(&self, event: &Explained) -> String {
        let host = format!("event key {}", event.key);
        let came = match (&event.id, &event.request) {
            (Some(id), Some(request)) => {
                format!("{id} in {request}, source `{}`, {} ({})", event.source, timestamp(event.at), ago(event.at))
            }
            _ => format!("as if received now from source `{}`", event.source),
        };
        self.paint(Style::new().dimmed(), &in_line(&format!("{came}; {host}")))
    }

    fn rules(&self, event: &Explained) -> Vec<Branch> {
        let which = match event.rules {
            Rules::Same => "",
            Rules::Then => ", in use when the event was received (the current ones differ)",
            Rules::Now => ", current",
        };
        let mut branches = vec![];
        if !event.verdicts.mutes.is_empty() {
            let width = width(event.verdicts.mutes.iter().map(|mute| mute.name.as_str()));
            let mutes = event.verdicts.mutes.iter().map(|mute| self.mute(mute, width)).collect();
            branches.push(Branch(format!("mutes{which}"), mutes));
        }
        if !event.verdicts.routes.is_empty() {
            let width = width(event.verdicts.routes.iter().map(|route| route.name.as_str()));
            let routes =
                event.verdicts.routes.iter().map(|route| self.route(route, event.muted.as_deref(), width)).collect();
            branches.push(Branch(format!("routes{which}"), routes));
        }
        branches
    }

    fn mute(&self, mute: &MuteVerdict, width: usize) -> Branch {
        let name = pad(&mute.name, width);
        let channels: Vec<_> = mute.channels.iter().map(|channel| channel.as_str()).collect();
        leaf(match (&mute.reason, channels.is_empty()) {
            (Some(why), _) => format!("{}   {name}  {}", self.paint(Style::new().dimmed(), "no"), sanitized_lines(why)),
            (None, true) => format!("{}  {name}  mutes the event in all channels", self.no("yes")),
            (None, false) => {
                format!("{}  {name}  mutes the event in {}", self.no("yes"), sanitized_lines(&channels.join(", ")))
            }
        })
    }

    fn route(&self, route: &RouteVerdict, muted: Option<&str>, width: usize) -> Branch {
        let name = pad(&route.name, width);
        if let Some(why) = &route.reason {
            let no = self.paint(Style::new().dimmed(), "no");
            return leaf(format!("{no}   {name}  {}", sanitized_lines(why)));
        }
        let by_mute = muted.map(|mute| format!("muted by `{mute}`"));
        let to = route.channels.iter().map(|way| match by_mute.as_ref().or(way.reason.as_ref()) {
            None => sanitized_lines(&format!("→ {}", way.channel)),
            Some(why) => format!("{} {}", self.no("not sent to"), sanitized_lines(&format!("{}: {why}", way.channel))),
        });
        let to: Vec<_> = to.collect();
        let yes = self.paint(AnsiColor::Green.on_default().bold(), "yes");
        if muted.is_none() && route.channels.iter().all(|way| way.sent) {
            let all: Vec<_> = route.channels.iter().map(|way| way.channel.as_str()).collect();
            return leaf(format!("{yes}  {name}  → {}", sanitized_lines(&all.join(", "))));
        }
        match to.as_slice() {
            [one] => leaf(format!("{yes}  {name}  {one}")),
            several => {
                let ways = several.iter().cloned().map(leaf).collect();
                Branch(format!("{yes}  {}", name.trim_end()), ways)
            }
        }
    }

    fn delivery(&self, whole: &DeliveryDetail) -> Branch {
        let delivery = &whole.delivery;
        let state = delivery.state.as_str();
        let is_fine = ["delivered", "accepted"].contains(&state);
        let style = if is_fine { AnsiColor::Green.on_default().bold() } else { AnsiColor::Yellow.on_default().bold() };
        let why = delivery.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let again = delivery.replay_of.as_ref().map(|id| format!(", replay of {id}")).unwrap_or_default();
        let to = if delivery.channel.as_str().is_empty() {
            String::new()
        } else {
            sanitized_lines(&format!("to {}: ", delivery.channel))
        };
        let title = format!("{to}{}{}  {}{again}", self.paint(style, state), sanitized_lines(&why), delivery.id);
        let mut below: Vec<_> = whole
            .attempt_log
            .iter()
            .map(|attempt| {
                let status = attempt.status.map(|status| format!(", status {status}")).unwrap_or_default();
                let response =
                    attempt.response.as_deref().map(|response| format!(", response: {response}")).unwrap_or_default();
                let (n, at, duration_ms, outcome) =
                    (attempt.n, timestamp(attempt.at), attempt.duration_ms, attempt.outcome.as_str());
                leaf(in_line(&format!("attempt {n}  {at}  {outcome} after {duration_ms} ms{status}{response}")))
            })
            .collect();
        below.extend(
            delivery
                .template_error
                .as_ref()
                .map(|error| leaf(sanitized_lines(&format!("template failed, fell back to the next one: {error}")))),
        );
        below.extend(whole.sent.as_deref().map(|sent| {
            leaf(format!("message body, {}\n{}", plural(sent.len(), "byte"), sanitized_lines(sent.trim_end())))
        }));
        Branch(title, below)
    }

    /// Returns the routing of an event without deliveries.
    fn outcome(&self, event: &Explained) -> String {
        let ways = event.verdicts.routes.iter().flat_map(|route| &route.channels).filter(|way| way.sent);
        let channels: Vec<_> = ways.map(|way| way.channel.as_str()).collect();
        match (channels.is_empty(), event.muted.as_deref()) {
            (false, _) => format!("routed to {}", sanitized_lines(&channels.join(", "))),
            (true, Some(mute)) => self.no(&sanitized_lines(&format!("not routed: muted by `{mute}`"))),
            (true, None) => {
                let held =
                    event.verdicts.routes.iter().flat_map(|route| &route.channels).find_map(|way| way.reason.as_ref());
                let why = event.suppressed.as_ref().or(held).map_or("no route matched", String::as_str);
                self.no(&sanitized_lines(&format!("not routed: {why}")))
            }
        }
    }

    fn no(&self, text: &str) -> String {
        self.paint(AnsiColor::Yellow.on_default().bold(), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.styled { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn leaf(text: String) -> Branch {
    Branch(text, vec![])
}

/// Renders the branches below a line.
fn grow(branches: &[Branch], indent: &str, lines: &mut Vec<String>) {
    for (n, Branch(text, below)) in branches.iter().enumerate() {
        let (turn, further) = if n + 1 == branches.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let mut texts = text.lines();
        lines.push(format!("{indent}{turn}{}", texts.next().unwrap_or_default()));
        lines.extend(texts.map(|text| format!("{indent}{further}{text}")));
        grow(below, &format!("{indent}{further}"), lines);
    }
}

fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| unicode_width::UnicodeWidthStr::width(name).min(MAX_WIDTH)).max().unwrap_or(0)
}

/// Maximum width of the name column; a longer name shifts the rest of its line to the right.
const MAX_WIDTH: usize = 32;

fn pad(name: &str, width: usize) -> String {
    let name = in_line(name);
    let missing = width.saturating_sub(unicode_width::UnicodeWidthStr::width(name.as_str()));
    format!("{name}{}", " ".repeat(missing))
}
