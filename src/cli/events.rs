//! `hookbell events`: list recent events and rejected requests.

use std::path::Path;

use clap::Args;

use super::caller::Server;
use super::print::outln;
use super::shown::{escaped, in_line, json, more, rows, since, states, table, timestamp};
use super::{Failure, deliveries};
use crate::service::intake::Misdirected;
use crate::service::operations::{EventAnswer, EventsQuery, Limit};
use crate::store::{EventSummary, RejectedRequest, State};

/// Arguments of `hookbell events`.
#[derive(Args)]
pub(super) struct Events {
    /// Id of an event to show with its content, its routing and its deliveries
    id: Option<String>,
    /// Rejected requests with the reasons; the last 100 are kept
    #[arg(long, conflicts_with_all = ["id", "repo", "kind", "channel", "state", "since", "request"])]
    rejected: bool,
    /// Former name of `--rejected`.
    #[arg(long, hide = true)]
    refused: bool,
    /// Repository: `workspace/slug`
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Event kind or the host's event key: `pull_request.opened`
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Channel of a delivery of the event
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// State of a delivery of the event
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,
    /// Earliest time: `2h` (ago), `22:00`, `yesterday`, a date, or a date and a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The host's request id: Bitbucket's `X-Request-UUID`
    #[arg(long, value_name = "UUID")]
    request: Option<String>,
    /// Maximum number of events; the most recent ones are listed
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// JSON output, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Events {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        if self.refused {
            return Err(Failure::RenamedFlag);
        }
        let caller = self.server.caller(config)?;
        let limit = Some(self.limit);
        if let Some(id) = &self.id {
            self.show_one(&caller.event(id).map_err(|failure| failure.with_list("events"))?);
        } else if self.rejected {
            let answer = caller.rejected(Limit { limit })?;
            rows(&answer.rejected, self.json, "no rejected requests", rejection);
            if !self.json && !answer.misdirected.is_empty() {
                outln!("\nrequests to no known source since the service started:");
            }
            rows(&answer.misdirected, self.json || answer.misdirected.is_empty(), "", misdirected);
        } else {
            let answer = caller.events(EventsQuery {
                repository: self.repo.clone(),
                kind: self.kind.clone(),
                channel: self.channel.clone(),
                state: self.state.as_deref().and_then(State::parse),
                request_key: self.request.clone(),
                since: self.since.as_deref().map(since).transpose()?,
                limit,
            })?;
            table(
                &answer.events,
                self.json,
                "no events match",
                ["RECEIVED", "EVENT", "KIND", "REPOSITORY", "TITLE", "ACTOR", "ROUTED TO"],
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
        let (at, id, kind) = (timestamp(event.at), &event.id, &event.kind);
        outln!("{}", in_line(&format!("{at}  {id}  {kind}  {repository}{title}{by}  → {}", went(event))));
        outln!("{}", escaped(&serde_json::to_string_pretty(&answer.json).unwrap_or_default()));
        for delivery in &answer.deliveries {
            outln!("{}", deliveries::line(delivery));
        }
    }
}

fn rejection(refused: &RejectedRequest) -> String {
    let client = refused.client.as_deref().unwrap_or("unknown address");
    let key = refused.key.as_deref().unwrap_or("no event key");
    in_line(&format!("{}  {}  {client}  {key}  {}", timestamp(refused.at), refused.source, refused.reason))
}

fn misdirected(request: &Misdirected) -> String {
    let client = request.client.as_deref().unwrap_or("unknown address");
    let (at, method, path) = (timestamp(request.at), &request.method, &request.path);
    in_line(&format!("{at}  {client}  {method} {path}  {}", request.reason))
}

/// Formats an event as a table row.
fn cells(seen: &EventSummary) -> [String; 7] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        timestamp(seen.at),
        seen.id.to_string(),
        seen.kind.clone(),
        or_none(&seen.repository),
        or_none(&seen.summary.title),
        or_none(&seen.summary.actor),
        went(seen),
    ]
}

/// Returns the channels that an event was routed to, or the reason why it was not routed.
fn went(seen: &EventSummary) -> String {
    let decision = &seen.decision;
    let went: Vec<_> = decision.targets.iter().map(|target| target.channel.as_str()).collect();
    let muted = || Some(format!("muted by `{}`", decision.muted.as_ref()?));
    let held = || decision.held.first().map(|held| format!("`{}`: {}", held.channel, held.reason));
    let why = decision.suppressed.clone().or_else(muted).or_else(held).or_else(|| decision.dropped.clone());
    match (went.is_empty(), why) {
        _ if decision.pending_routing => "pending routing: will be routed once the configuration is fixed".to_owned(),
        (false, _) => went.join(", "),
        (true, Some(why)) => format!("not routed: {why}"),
        (true, None) => "not routed: no route matched".to_owned(),
    }
}
