//! `hookbell doctor`: what is wrong around us.

use std::path::Path;

use clap::Args;

use super::caller::Server;
use super::print::outln;
use super::shown::{ago, harmless_lines};
use super::{Failure, plural, tally};
use crate::config::{self, Secrets};
use crate::server::admin::{ChannelsAnswer, Openness, SourceStatus, SourcesAnswer, token_path};
use crate::store::{Millis, sqlite};

/// `hookbell doctor`
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    server: Server,
}

/// What was looked at, and what is the matter with it, if anything.
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
                findings.extend(sources.sources.iter().flat_map(|source| secrets(source, sources.started)));
                findings.extend(answer.problems.iter().map(|problem| Finding("service", Err(problem.clone()))));
                findings.extend(answer.notes.iter().map(|note| Finding("service", Ok(note.clone()))));
                findings.extend(undecided(answer.undecided).into_iter().chain(answer.channels.iter().map(|status| {
                    let waits = status.lane.oldest.map(|oldest| {
                        format!(
                            ", {} waiting, the oldest asked for {}",
                            plural(usize::try_from(status.lane.waiting).unwrap_or(usize::MAX), "message"),
                            ago(oldest)
                        )
                    });
                    let told = format!(
                        "`{}` is {}{}",
                        status.channel,
                        super::channels::word(status.lane.state),
                        waits.unwrap_or_default()
                    );
                    let reason = status.lane.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    let fine = status.lane.state == Openness::Open && status.lane.next_at.is_none();
                    Finding("channel", if fine { Ok(told) } else { Err(format!("{told}{reason}")) })
                })))
            }
            Err(failure) => findings.push(Finding("service", Err(failure.text()))),
        }
        let wrong = findings.iter().filter(|Finding(_, finding)| finding.is_err()).count();
        for Finding(what, finding) in findings {
            let (mark, text) = match &finding {
                Ok(text) => ("fine ", text),
                Err(text) => ("WRONG", text),
            };
            outln!("{mark}  {what:<8} {}", harmless_lines(text));
        }
        if wrong == 0 { Ok(()) } else { Err(Failure::NotFine(format!("{} wrong", plural(wrong, "thing")))) }
    }
}

/// When a source's secrets last verified a request. None of it is wrong: a webhook may not have sent anything yet.
fn secrets(source: &SourceStatus, started: Option<Millis>) -> Vec<Finding> {
    let Some(started) = started else { return vec![] };
    let finding = |(n, used): (usize, &Option<Millis>)| {
        let which = if source.secrets.len() > 1 { format!("secret {}", n + 1) } else { "the secret".to_owned() };
        let told = used.map_or_else(
            || format!("verified no request since the service started {}", ago(started)),
            |used| format!("last verified a request {}", ago(used)),
        );
        Finding("source", Ok(format!("`{}`: {which} {told}", source.source)))
    };
    source.secrets.iter().enumerate().map(finding).collect()
}

fn undecided(events: u64) -> Option<Finding> {
    let told = || {
        let events = plural(usize::try_from(events).unwrap_or(usize::MAX), "event");
        format!("{events} came while the rules had mistakes; mend them: `hookbell check`")
    };
    (events > 0).then(|| Finding("events", Err(told())))
}

fn look_at_config(config: &Path) -> Result<String, String> {
    let loaded = config::load(config, Secrets::Leave);
    let shown = config.display();
    let told = if loaded.problems.is_empty() {
        format!("{shown}")
    } else {
        format!("{shown}: {}; `hookbell check` tells", tally(&loaded.problems))
    };
    loaded.sound().map(|_| told.clone()).map_err(|_| told)
}

fn look_at_store(store: &Path) -> Result<String, String> {
    let shown = store.display();
    if !store.exists() {
        return Err(format!("there is no store `{shown}` yet: start Hookbell once, it makes one"));
    }
    match sqlite::check(store) {
        Ok(faults) if faults.is_empty() => Ok(format!("{shown} is whole")),
        Ok(faults) => Err(format!("{shown} is damaged, restore a backup: {}", faults.join("; "))),
        Err(reason) => Err(format!("{shown}: {reason}")),
    }
}

/// Files that others could read.
fn look_at_files(store: &Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let files = [store.to_owned(), token_path(store)];
    let open = files
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0));
    let open: Vec<_> = open.map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        Ok("the store and its token are for their owner alone".to_owned())
    } else {
        Err(format!("others may read {}: `chmod 600` them", open.join(" and ")))
    }
}
