//! What the running service, or its store, can tell.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;
use crate::cli::caller::Server;
use crate::cli::plural;
use crate::cli::shown::{ago, timestamp};
use crate::service::operations::{ChannelState, ChannelStatus, EventsQuery, SourceStatus};
use crate::time::Millis;

/// Number of last events that are read for the names of repositories.
const EVENTS: usize = 200;

/// Asks the service, or reads the store if the service is not running. Also returns the repositories that sent the last
/// events.
pub(super) fn findings(server: &Server, config: &Path) -> (Vec<Finding>, BTreeSet<String>) {
    let asked = server.caller(config).and_then(|caller| {
        let (sources, channels) = (caller.sources()?, caller.channels()?);
        let events = caller.events(EventsQuery { limit: Some(EVENTS), ..EventsQuery::default() })?;
        Ok((sources, channels, events))
    });
    let (sources, answer, events) = match asked {
        Ok(answers) => answers,
        Err(failure) => return (vec![Finding::problem("service", failure.to_string())], BTreeSet::new()),
    };
    let mut findings = vec![];
    if sources.started.is_none() {
        findings.push(Finding::note("service", "not running; the store was read directly"));
    }
    findings.extend(sources.sources.iter().flat_map(|source| secrets(source, sources.started)));
    findings.extend(answer.problems.iter().map(|problem| Finding::problem("service", problem)));
    findings.extend(answer.notes.iter().map(|note| Finding::fine("service", note)));
    findings.extend(pending_routing(answer.pending_routing));
    findings.extend(answer.channels.iter().map(channel));
    let repositories = events.events.into_iter().filter_map(|event| event.repository);
    (findings, repositories.collect())
}

/// Reports the state of a channel.
fn channel(status: &ChannelStatus) -> Finding {
    let (name, lane) = (&status.channel, &status.lane);
    let messages = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "message");
    let queue = lane.oldest.map(|oldest| format!(", {} queued, oldest {}", messages(lane.queued), ago(oldest)));
    let queue = queue.unwrap_or_default();
    let reason = lane.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let help = lane.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
    let problem = |text| Finding::problem("channel", text);
    match (lane.state, lane.next_at) {
        (ChannelState::Open, None) => Finding::fine("channel", format!("`{name}` is open{queue}")),
        (ChannelState::Open, Some(next)) => problem(format!(
            "`{name}` is failing{queue}, next attempt {}; run `hookbell channels test {name}`",
            timestamp(next)
        )),
        (ChannelState::Closed, _) => {
            problem(format!("`{name}` is closed{reason}{queue}{help}; then run `hookbell channels reopen {name}`"))
        }
        (ChannelState::Paused, _) => {
            problem(format!("`{name}` is paused{reason}{queue}; to reopen it, run `hookbell channels reopen {name}`"))
        }
        (ChannelState::Parked, _) => problem(format!(
            "`{name}` is not in the configuration, {} parked; add `[channels.{name}]`, or run `hookbell drop --channel \
             {name} --state parked`",
            messages(status.parked)
        )),
    }
}

/// Reports when each secret of a source last verified a request. An unused secret is not a problem: the webhook may not
/// have sent anything yet.
fn secrets(source: &SourceStatus, started: Option<Millis>) -> Vec<Finding> {
    let Some(started) = started else { return vec![] };
    let finding = |(n, used): (usize, &Option<Millis>)| {
        let which = if source.secrets.len() > 1 { format!("secret {}", n + 1) } else { "the secret".to_owned() };
        let text = used.map_or_else(
            || format!("has not verified a request since the service started {}", ago(started)),
            |used| format!("last verified a request {}", ago(used)),
        );
        Finding::fine("source", format!("`{}`: {which} {text}", source.source))
    };
    source.secrets.iter().enumerate().map(finding).collect()
}

fn pending_routing(events: u64) -> Option<Finding> {
    let text = || {
        let events = plural(usize::try_from(events).unwrap_or(usize::MAX), "event");
        format!("{events} pending routing: fix the routing configuration, see `hookbell check`")
    };
    (events > 0).then(|| Finding::problem("events", text()))
}
