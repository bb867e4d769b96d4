//! `hookbell deliveries`: list deliveries, and show one with its attempts.

use std::path::Path;

use clap::Args;

use super::Failure;
use super::caller::Server;
use super::print::outln;
use super::shown::{escaped, in_line, json, more, sanitized_lines, since, states, table, timestamp};
use crate::service::operations::DeliveriesQuery;
use crate::store::{DeliveryDetail, DeliverySummary, State};

/// Arguments of `hookbell deliveries`.
#[derive(Args)]
pub(super) struct Deliveries {
    /// Id of a delivery to show with its attempts and the sent message
    id: Option<String>,
    /// Repository of the event: `workspace/slug`
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Id of the event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Name of the channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// State of the delivery
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,
    /// Earliest time: `2h` (ago), `22:00`, `yesterday`, a date, or a date and a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Maximum number of deliveries; the most recent ones are listed
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print only the message body of a delivery
    #[arg(long, requires = "id")]
    sent: bool,
    /// JSON output, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Deliveries {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let caller = self.server.caller(config)?;
        if let Some(id) = &self.id {
            return self.show_one(&caller.delivery(id).map_err(|failure| failure.with_list("deliveries"))?);
        }
        let answer = caller.deliveries(DeliveriesQuery {
            repository: self.repo,
            event: self.event,
            channel: self.channel,
            state: self.state.as_deref().and_then(State::parse),
            since: self.since.as_deref().map(since).transpose()?,
            limit: Some(self.limit),
            ..DeliveriesQuery::default()
        })?;
        table(
            &answer.deliveries,
            self.json,
            "no deliveries match",
            ["CREATED", "DELIVERY", "STATE", "CHANNEL", "KIND", "REPOSITORY", "TITLE", "ACTOR", "REASON"],
            cells,
        );
        more(answer.deliveries.len(), answer.total);
        Ok(())
    }

    fn show_one(&self, whole: &DeliveryDetail) -> Result<(), Failure> {
        if self.sent {
            let nothing = || Failure::NothingSent(whole.delivery.id.to_string());
            let sent = whole.sent.as_deref().ok_or_else(nothing)?;
            // A request body is JSON. A terminal message is not, and is sanitized like other text.
            let is_json = sent.trim_start().starts_with('{');
            outln!("{}", if is_json { escaped(sent) } else { sanitized_lines(sent) });
        } else if self.json {
            outln!("{}", json(whole));
        } else {
            outln!("{}", sanitized_lines(&page(whole)));
        }
        Ok(())
    }
}

/// Formats a delivery as a table row.
fn cells(delivery: &DeliverySummary) -> [String; 9] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let further = if delivery.more > 0 { format!(" and {} more", delivery.more) } else { String::new() };
    [
        timestamp(delivery.created_at),
        delivery.id.to_string(),
        delivery.state.as_str().to_owned(),
        if delivery.channel.as_str().is_empty() { "-".to_owned() } else { delivery.channel.to_string() },
        delivery.kind.clone(),
        or_none(&delivery.repository),
        or_none(&delivery.summary.title) + &further,
        or_none(&delivery.summary.actor),
        why(delivery).unwrap_or_default(),
    ]
}

/// Formats a delivery as one line.
pub(super) fn line(delivery: &DeliverySummary) -> String {
    let repository = delivery.repository.as_deref().unwrap_or("-");
    let mut line = format!(
        "{}  {}  {:<9}  {}  {}  {repository}",
        timestamp(delivery.created_at),
        delivery.id,
        delivery.state.as_str(),
        delivery.channel,
        delivery.kind,
    );
    if let Some(why) = why(delivery) {
        line.push_str(&format!("  {why}"));
    }
    in_line(&line)
}

/// Returns the reason why a delivery did not succeed, or not as intended.
fn why(delivery: &DeliverySummary) -> Option<String> {
    let last = || {
        let outcome = delivery.outcome?;
        if outcome.is_sent() {
            return delivery.response.clone();
        }
        let response = delivery.response.as_deref().map(|response| format!(": {response}")).unwrap_or_default();
        Some(format!("{} ({}×){response}", outcome.as_str(), delivery.attempts))
    };
    let template = || delivery.template_error.as_ref().map(|error| format!("template failed: {error}"));
    delivery.reason.clone().or_else(last).or_else(template)
}

fn page(whole: &DeliveryDetail) -> String {
    let delivery = &whole.delivery;
    let mut page = format!("{}  {}\n", delivery.id, delivery.state.as_str());
    let mut row = |name: &str, value: &str| page.push_str(&format!("  {name:<9} {}\n", in_line(value)));
    row("event", &format!("{}  {}  {}", delivery.event, delivery.kind, delivery.repository.as_deref().unwrap_or("-")));
    row("channel", &format!("{}, by route `{}`", delivery.channel, delivery.route));
    row("created", &timestamp(delivery.created_at));
    if let Some(original) = &delivery.replay_of {
        row("replay of", original.as_str());
    }
    if let Some(why) = &delivery.reason {
        row("reason", why);
    }
    if let Some(error) = &delivery.template_error {
        row("template", &format!("failed, fell back to the next one: {error}"));
    }
    for attempt in &whole.attempt_log {
        let response = attempt.response.as_deref().map(|response| format!("  {response}")).unwrap_or_default();
        let node = attempt.node.as_deref().map(|node| format!("  by {node}")).unwrap_or_default();
        row(
            &format!("attempt {}", attempt.n),
            &format!(
                "{}  {} ms  {}{response}{node}",
                timestamp(attempt.at),
                attempt.duration_ms,
                attempt.outcome.as_str()
            ),
        );
    }
    match &whole.sent {
        Some(sent) => page.push_str(&format!("  message body\n{sent}")),
        None => page.push_str("  nothing was sent yet"),
    }
    page
}
