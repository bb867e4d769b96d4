//! `hookbell events`: what came in lately, and what was refused.

use std::path::Path;

use clap::Args;

use super::caller::Server;
use super::print::outln;
use super::shown::{escaped, in_line, json, moment, more, rows, since, states, table};
use super::{Failure, deliveries};
use crate::server::Misdirected;
use crate::server::admin::{EventAnswer, EventsAnswer, RefusalsAnswer};
use crate::store::{Refused, SeenEvent};

/// `hookbell events …`
#[derive(Args)]
pub(super) struct Events {
    /// One event: what it says, how it was routed, its deliveries.
    id: Option<String>,
    /// The requests that were refused, and why; the last hundred are kept.
    #[arg(long, conflicts_with_all = ["id", "repo", "kind", "channel", "state", "since", "request"])]
    refused: bool,
    /// Of this repository: `workspace/slug`.
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Of this kind, in our word or the host's: `pull_request.opened`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// With a delivery to this channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// With a delivery in this state.
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,
    /// Since then: `2h` ago, `22:00`, `yesterday`, a date, or a date and a time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Of the request with this name of the host's: Bitbucket's `X-Request-UUID`.
    #[arg(long, value_name = "UUID")]
    request: Option<String>,
    /// How many, the newest.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// For programs: a line of JSON each.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Events {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let caller = self.server.caller(config)?;
        let limit = Some(self.limit.to_string());
        if let Some(id) = &self.id {
            let answer: EventAnswer = caller.get(&format!("/api/v1/events/{}", segment(id)), &[])?;
            self.show_one(&answer);
        } else if self.refused {
            let answer: RefusalsAnswer = caller.get("/api/v1/refusals", &[("limit", limit)])?;
            rows(&answer.refusals, self.json, "no request was rejected", refusal);
            if !self.json && !answer.misdirected.is_empty() {
                outln!("\nrequests that reached no webhook, since the service started:");
            }
            rows(&answer.misdirected, self.json || answer.misdirected.is_empty(), "", misdirected);
        } else {
            let since = self.since.as_deref().map(since).transpose()?.map(|at| at.to_string());
            let query = [
                ("repository", self.repo.clone()),
                ("kind", self.kind.clone()),
                ("channel", self.channel.clone()),
                ("state", self.state.clone()),
                ("since", since),
                ("request_key", self.request.clone()),
                ("limit", limit),
            ];
            let answer: EventsAnswer = caller.get("/api/v1/events", &query)?;
            table(
                &answer.events,
                self.json,
                "no event matches",
                ["RECEIVED", "EVENT", "KIND", "REPOSITORY", "ABOUT", "BY", "WENT TO"],
                cells,
            );
            more(answer.events.len(), answer.total);
        }
        Ok(())
    }

    fn show_one(&self, answer: &EventAnswer) {
        if self.json {
            outln!("{}", json(answer));
            return;
        }
        let event = &answer.event;
        let title = event.summary.title.as_deref().map(|title| format!("  {title}")).unwrap_or_default();
        let by = event.summary.actor.as_deref().map(|actor| format!("  by {actor}")).unwrap_or_default();
        let repository = event.repository.as_deref().unwrap_or("-");
        let (at, id, kind) = (moment(event.at), &event.id, &event.kind);
        outln!("{}", in_line(&format!("{at}  {id}  {kind}  {repository}{title}{by}  → {}", went(event))));
        outln!("{}", escaped(&serde_json::to_string_pretty(&answer.json).unwrap_or_default()));
        for delivery in &answer.deliveries {
            outln!("{}", deliveries::line(delivery));
        }
    }
}

/// A part of a path, encoded.
pub(super) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn refusal(refused: &Refused) -> String {
    let client = refused.client.as_deref().unwrap_or("an unknown address");
    let key = refused.key.as_deref().unwrap_or("no key");
    in_line(&format!("{}  {}  {client}  {key}  {}", moment(refused.at), refused.source, refused.reason))
}

fn misdirected(request: &Misdirected) -> String {
    let client = request.client.as_deref().unwrap_or("an unknown address");
    let (at, method, path) = (moment(request.at), &request.method, &request.path);
    in_line(&format!("{at}  {client}  {method} {path}  {}", request.reason))
}

/// An event in a row of a table.
fn cells(seen: &SeenEvent) -> [String; 7] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        moment(seen.at),
        seen.id.to_string(),
        seen.kind.clone(),
        or_none(&seen.repository),
        or_none(&seen.summary.title),
        or_none(&seen.summary.actor),
        went(seen),
    ]
}

/// Where an event went, or why nowhere.
fn went(seen: &SeenEvent) -> String {
    let went = seen.decision["sends"].as_array().into_iter().flatten().filter_map(|send| send["channel"].as_str());
    let went: Vec<_> = went.collect();
    let why = seen.decision["silent"].as_str().map(ToOwned::to_owned);
    let why = why.or_else(|| Some(format!("muted by `{}`", seen.decision["muted"].as_str()?)));
    let held = || {
        let held = seen.decision["held"].as_array()?.first()?;
        Some(format!("`{}`: {}", held["channel"].as_str()?, held["why"].as_str()?))
    };
    let why = why.or_else(held);
    let why = why.or_else(|| seen.decision["dropped"].as_str().map(ToOwned::to_owned));
    match (went.is_empty(), why) {
        _ if seen.decision["undecided"] == true => "undecided: routed by itself once the rules are sound".to_owned(),
        (false, _) => went.join(", "),
        (true, Some(why)) => format!("nowhere: {why}"),
        (true, None) => "nowhere: no route matched".to_owned(),
    }
}
