//! `hookbell doctor`: diagnose problems of the configuration, the store, its files and the channels.

use std::path::Path;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::caller::Server;
use super::print::outln;
use super::shown::{ago, sanitized_lines, timestamp};
use super::{Failure, plural, tally};
use crate::config::{self, Loaded, Secrets};
use crate::server::admin::token_path;
use crate::service::operations::{ChannelState, ChannelStatus, SourceStatus};
use crate::store::StoreUrl;
use crate::time::Millis;
use crate::tls::Identity;

/// Arguments of `hookbell doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    server: Server,
}

/// State of a checked item.
struct Finding {
    item: &'static str,
    is_problem: bool,
    text: String,
}

impl Finding {
    fn fine(item: &'static str, text: impl Into<String>) -> Self {
        Self { item, is_problem: false, text: text.into() }
    }

    fn problem(item: &'static str, text: impl Into<String>) -> Self {
        Self { item, is_problem: true, text: text.into() }
    }
}

impl Doctor {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let loaded = config::load(config, Secrets::Leave);
        let mut findings = vec![look_at_config(config, &loaded)];
        if let Some(settings) = &loaded.settings {
            findings.extend(settings.tls.as_deref().map(|tls| look_at_certificate("listen", tls)));
            findings.extend(settings.admin.tls.as_deref().map(|tls| look_at_certificate("admin_listen", tls)));
        }
        if let Ok(store) = config::store(config) {
            findings.push(look_at_store(&store));
            findings.extend(store.exists().then(|| look_at_files(&store)));
            findings.extend(look_at_disk(&store));
        }
        let asked = self.server.caller(config).and_then(|caller| {
            let sources = caller.sources()?;
            Ok((sources, caller.channels()?))
        });
        match asked {
            Ok((sources, answer)) => {
                if sources.started.is_none() {
                    findings.push(Finding::fine("service", "not running; the store was read directly"));
                }
                findings.extend(sources.sources.iter().flat_map(|source| secrets(source, sources.started)));
                findings.extend(answer.problems.iter().map(|problem| Finding::problem("service", problem)));
                findings.extend(answer.notes.iter().map(|note| Finding::fine("service", note)));
                findings.extend(pending_routing(answer.pending_routing));
                findings.extend(answer.channels.iter().map(channel));
            }
            Err(failure) => findings.push(Finding::problem("service", failure.to_string())),
        }
        let wrong = findings.iter().filter(|finding| finding.is_problem).count();
        for Finding { item, is_problem, text } in findings {
            let mark = if is_problem { "error" } else { "ok   " };
            outln!("{mark}  {item:<8} {}", sanitized_lines(&text));
        }
        if wrong == 0 { Ok(()) } else { Err(Failure::Findings(wrong)) }
    }
}

/// Reports the state of a channel.
fn channel(status: &ChannelStatus) -> Finding {
    let (name, lane) = (&status.channel, &status.lane);
    let messages = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "message");
    let queue = lane.oldest.map(|oldest| format!(", {} queued, oldest {}", messages(lane.queued), ago(oldest)));
    let queue = queue.unwrap_or_default();
    let reason = lane.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let problem = |text| Finding::problem("channel", text);
    match (lane.state, lane.next_at) {
        (ChannelState::Open, None) => Finding::fine("channel", format!("`{name}` is open{queue}")),
        (ChannelState::Open, Some(next)) => problem(format!(
            "`{name}` is failing{queue}, next attempt {}; run `hookbell channels test {name}`",
            timestamp(next)
        )),
        (ChannelState::Closed, _) => {
            problem(format!("`{name}` is closed{reason}{queue}; then run `hookbell channels reopen {name}`"))
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

fn look_at_config(config: &Path, loaded: &Loaded) -> Finding {
    let shown = config.display();
    let text = if loaded.problems.is_empty() {
        format!("{shown}")
    } else {
        format!("{shown}: {}; run `hookbell check` for details", tally(&loaded.problems))
    };
    Finding { item: "config", is_problem: !loaded.is_sound(), text }
}

/// Time before the end of a certificate from which it is a problem: public authorities and their clients renew earlier.
const RENEW: SignedDuration = SignedDuration::from_hours(14 * 24);

fn look_at_certificate(listener: &str, tls: &Identity) -> Finding {
    let (left, date) = (tls.until.duration_since(Timestamp::now()), tls.until.strftime("%Y-%m-%d"));
    let found = |verb: &str| format!("the certificate of `{listener}` {verb} on {date}");
    match left {
        left if left <= SignedDuration::ZERO => Finding::problem("tls", found("expired")),
        left if left < RENEW => Finding::problem("tls", format!("{}: renew it", found("expires"))),
        _ => Finding::fine("tls", found("expires")),
    }
}

/// Free space of the store's disk below which it is a problem, in MB. A full disk stops the acceptance of requests.
const LITTLE: u64 = 200;

fn look_at_disk(store: &StoreUrl) -> Option<Finding> {
    let file = store.files().into_iter().next()?;
    let directory = file.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(directory).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 1024 / 1024;
    let text = format!("{free} MB free for the store");
    Some(if free < LITTLE {
        Finding::problem("disk", format!("{text}; make room, or shorten `keep` and `keep_raw` in `[store]`"))
    } else {
        Finding::fine("disk", text)
    })
}

fn look_at_store(store: &StoreUrl) -> Finding {
    let problem = |text| Finding::problem("store", text);
    if !store.exists() {
        return problem(Failure::NoStore(store.clone()).to_string());
    }
    match store.check() {
        Ok(faults) if faults.is_empty() => Finding::fine("store", format!("{store} is intact")),
        Ok(faults) => problem(format!("{store} is corrupt; restore a backup: {}", faults.join("; "))),
        Err(error) => problem(format!("{store}: {error}")),
    }
}

/// Checks that only the owner can read the store and the token.
fn look_at_files(store: &StoreUrl) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let files = store.files().into_iter().chain([token_path(store)]);
    let open =
        files.filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0));
    let open: Vec<_> = open.map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        Finding::fine("files", "only the owner can read the store and its token")
    } else {
        Finding::problem("files", format!("other users can read {}: run `chmod 600`", open.join(" and ")))
    }
}
