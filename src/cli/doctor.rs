//! `hookbell doctor`: diagnose problems of the configuration, the store, its files and the channels.

use std::path::Path;

use clap::Args;

use super::caller::Server;
use super::print::outln;
use super::shown::{ago, sanitized_lines, timestamp};
use super::{Failure, plural, tally};
use crate::config::{self, Secrets};
use crate::server::admin::{ChannelState, ChannelStatus, ChannelsAnswer, SourceStatus, SourcesAnswer, token_path};
use crate::store::{Millis, sqlite};

/// Arguments of `hookbell doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    server: Server,
}

/// Checked item, and its state or its problem.
struct Finding(&'static str, Result<String, String>);

impl Doctor {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let mut findings = vec![Finding("config", look_at_config(config))];
        if let Ok(store) = config::store(config) {
            findings.push(Finding("store", look_at_store(&store)));
            findings.push(Finding("files", look_at_files(&store)));
        }
        let asked = self.server.caller(config).and_then(|caller| {
            let sources = caller.get::<SourcesAnswer>("/api/v1/sources", &[])?;
            Ok((sources, caller.get::<ChannelsAnswer>("/api/v1/channels", &[])?))
        });
        match asked {
            Ok((sources, answer)) => {
                if sources.started.is_none() {
                    findings.push(Finding("service", Ok("not running; the store was read directly".to_owned())));
                }
                findings.extend(sources.sources.iter().flat_map(|source| secrets(source, sources.started)));
                findings.extend(answer.problems.iter().map(|problem| Finding("service", Err(problem.clone()))));
                findings.extend(answer.notes.iter().map(|note| Finding("service", Ok(note.clone()))));
                findings.extend(pending_routing(answer.pending_routing));
                findings.extend(answer.channels.iter().map(channel));
            }
            Err(failure) => findings.push(Finding("service", Err(failure.text()))),
        }
        let wrong = findings.iter().filter(|Finding(_, finding)| finding.is_err()).count();
        for Finding(what, finding) in findings {
            let (mark, text) = match &finding {
                Ok(text) => ("ok   ", text),
                Err(text) => ("error", text),
            };
            outln!("{mark}  {what:<8} {}", sanitized_lines(text));
        }
        if wrong == 0 { Ok(()) } else { Err(Failure::Failed(format!("{} found", plural(wrong, "problem")))) }
    }
}

/// Reports the state of a channel.
fn channel(status: &ChannelStatus) -> Finding {
    let (name, lane) = (&status.channel, &status.lane);
    let messages = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "message");
    let queue = lane.oldest.map(|oldest| format!(", {} queued, oldest {}", messages(lane.queued), ago(oldest)));
    let queue = queue.unwrap_or_default();
    let reason = lane.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Finding(
        "channel",
        match (lane.state, lane.next_at) {
            (ChannelState::Open, None) => Ok(format!("`{name}` is open{queue}")),
            (ChannelState::Open, Some(next)) => Err(format!(
                "`{name}` is failing{queue}, next attempt {}; run `hookbell channels test {name}`",
                timestamp(next)
            )),
            (ChannelState::Closed, _) => {
                Err(format!("`{name}` is closed{reason}{queue}; then run `hookbell channels reopen {name}`"))
            }
            (ChannelState::Paused, _) => {
                Err(format!("`{name}` is paused{reason}{queue}; to reopen it, run `hookbell channels reopen {name}`"))
            }
            (ChannelState::Parked, _) => Err(format!(
                "`{name}` is not in the configuration, {} parked; add `[channels.{name}]`, or run `hookbell drop --channel \
             {name} --state parked`",
                messages(status.parked)
            )),
        },
    )
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
        Finding("source", Ok(format!("`{}`: {which} {text}", source.source)))
    };
    source.secrets.iter().enumerate().map(finding).collect()
}

fn pending_routing(events: u64) -> Option<Finding> {
    let text = || {
        let events = plural(usize::try_from(events).unwrap_or(usize::MAX), "event");
        format!("{events} pending routing: fix the routing configuration, see `hookbell check`")
    };
    (events > 0).then(|| Finding("events", Err(text())))
}

fn look_at_config(config: &Path) -> Result<String, String> {
    let loaded = config::load(config, Secrets::Leave);
    let shown = config.display();
    let text = if loaded.problems.is_empty() {
        format!("{shown}")
    } else {
        format!("{shown}: {}; run `hookbell check` for details", tally(&loaded.problems))
    };
    loaded.sound().map(|_| text.clone()).map_err(|_| text)
}

fn look_at_store(store: &Path) -> Result<String, String> {
    let shown = store.display();
    if !store.exists() {
        return Err(format!("the store `{shown}` does not exist: start Hookbell once to create it"));
    }
    match sqlite::check(store) {
        Ok(faults) if faults.is_empty() => Ok(format!("{shown} is intact")),
        Ok(faults) => Err(format!("{shown} is corrupt; restore a backup: {}", faults.join("; "))),
        Err(reason) => Err(format!("{shown}: {reason}")),
    }
}

/// Checks that only the owner can read the store and the token.
fn look_at_files(store: &Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let files = [store.to_owned(), token_path(store)];
    let open = files
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0));
    let open: Vec<_> = open.map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        Ok("only the owner can read the store and its token".to_owned())
    } else {
        Err(format!("other users can read {}: run `chmod 600`", open.join(" and ")))
    }
}
