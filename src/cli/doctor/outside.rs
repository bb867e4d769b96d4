//! What chats and code hosts respond.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::SignedDuration;

use super::Finding;
use crate::chat::Probed;
use crate::config::Settings;
use crate::service::check::doubled_builds;
use crate::service::hooks::{Hooks, HooksError, Plan, Step};
use crate::source::hooks::Place;

/// Asks the chats and the code host. `repositories` sent the last events.
pub(super) async fn findings(settings: &Settings, is_sound: bool, repositories: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = chats(settings).await;
    if settings.hooks.is_some() && !is_sound {
        // Without the routes, nobody knows which events are needed.
        findings.push(Finding::note("hooks", "not checked: the configuration has errors"));
    } else if settings.hooks.is_some() {
        findings.extend(hooks(settings, repositories).await);
    }
    findings.extend(builds(settings));
    let ahead = settings.http.as_ref().and_then(|http| http.clock_ahead());
    findings.extend(ahead.map(clock));
    findings
}

/// Checks that the chat of each channel responds. Nothing is posted.
async fn chats(settings: &Settings) -> Vec<Finding> {
    let probes = settings.channels.iter().map(|(name, channel)| async move {
        Some(match channel.chat.probe().await? {
            Ok(Probed::Destination) => {
                Finding::fine("chat", format!("`{name}`: the {} webhook exists", channel.kind.name()))
            }
            Ok(Probed::Chat) => Finding::fine(
                "chat",
                format!("`{name}`: {} responds; `hookbell channels test {name}` checks the URL", channel.kind.name()),
            ),
            Err(failure) => {
                let help = failure.help.unwrap_or("check the network, and `[http] proxy` and `ca`");
                Finding::problem("chat", format!("`{name}`: {}; {help}", failure.response))
            }
        })
    });
    join_all(probes).await.into_iter().flatten().collect()
}

/// Difference between clocks from which it is a problem: the times of messages are wrong, and hosts and programs reject
/// signatures that contain a time.
const APART: SignedDuration = SignedDuration::from_secs(60);

fn clock(ahead: SignedDuration) -> Finding {
    let seconds = ahead.abs().as_secs();
    if ahead.abs() <= APART {
        return Finding::fine("clock", "the clock agrees with those of chats and hosts");
    }
    let way = if ahead.is_positive() { "ahead of" } else { "behind" };
    Finding::problem(
        "clock",
        format!("the clock is {seconds} s {way} those of chats and hosts; set it: `timedatectl set-ntp true`"),
    )
}

/// Reports channels that get each run of a pipeline twice.
fn builds(settings: &Settings) -> Vec<Finding> {
    let text = |name| {
        format!(
            "`{name}` gets builds and pipelines: a run that reports both is posted twice; exclude one, as in \
             `event = [\"@builds\", \"!pipeline.*\"]`"
        )
    };
    doubled_builds(settings).into_iter().map(|name| Finding::note("routes", text(name))).collect()
}

/// Compares the webhooks on the host with the configuration.
async fn hooks(settings: &Settings, repositories: &BTreeSet<String>) -> Vec<Finding> {
    let mut hooks = match Hooks::new(settings) {
        Ok(hooks) => hooks,
        // The service does not need the token, so that it may be elsewhere.
        Err(error @ HooksError::NoToken(_)) => return vec![Finding::note("hooks", format!("not checked: {error}"))],
        Err(error) => return vec![Finding::problem("hooks", error.to_string())],
    };
    let mut findings = vec![];
    for place in hooks.places().to_vec() {
        match hooks.plan(&place, None).await {
            Ok(plan) => findings.extend(compared(&plan)),
            Err(error) => {
                let is_local = error.is_local();
                findings.push(Finding::problem("hooks", error.to_string()));
                if !is_local {
                    return findings;
                }
            }
        }
    }
    findings.extend(doubled(&hooks, repositories).await);
    findings
}

/// Reports how the webhook of a place differs.
fn compared(plan: &Plan) -> Vec<Finding> {
    let place = &plan.place;
    let problem = |text: String| Finding::problem("hooks", format!("{place}: {text}; run `hookbell hooks sync`"));
    let mut findings = vec![];
    for step in &plan.steps {
        match step {
            Step::Create(_) => findings.push(problem("the webhook is missing".to_owned())),
            Step::Keep(hook) => findings.push(Finding::fine("hooks", format!("{place}: webhook {} is right", hook.id))),
            Step::Remove { id, .. } => {
                findings.push(problem(format!("webhook {id} posts to the same URL as another")));
            }
            Step::Change { hook, wanted, secret } => {
                let given = &hook.settings;
                let missing: Vec<_> = wanted.events.difference(&given.events).cloned().collect();
                let surplus: Vec<_> = given.events.difference(&wanted.events).cloned().collect();
                let differs = [
                    (given.url != wanted.url).then(|| "posts to another URL".to_owned()),
                    (!given.active).then(|| "is inactive".to_owned()),
                    (hook.has_secret == Some(false)).then(|| "has no secret, so its requests are rejected".to_owned()),
                    (hook.has_secret != Some(false) && secret.is_some())
                        .then(|| "has a secret that was not set by this configuration".to_owned()),
                    (!missing.is_empty()).then(|| format!("lacks the events {}", missing.join(", "))),
                    (!surplus.is_empty()).then(|| format!("sends events that no route uses: {}", surplus.join(", "))),
                    (given.title != wanted.title).then(|| "has another title".to_owned()),
                    (!given.verifies_certificate).then(|| {
                        "accepts any certificate, so that anybody in between can read and change what is sent"
                            .to_owned()
                    }),
                ];
                let differs: Vec<_> = differs.into_iter().flatten().collect();
                findings.push(problem(format!("webhook {}: {}", hook.id, differs.join("; "))));
            }
        }
    }
    findings
}

/// Maximum number of repositories that are looked at for webhooks of their own.
const LOOKED_AT: usize = 20;

/// Reports repositories that have a webhook as well as their workspace.
async fn doubled(hooks: &Hooks, repositories: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = vec![];
    let others: BTreeSet<Place> = match hooks.places() {
        [Place::Workspace(workspace)] => {
            let sent = repositories.iter().map(|name| Place::parse(name));
            let is_in_it = |place: &Place| matches!(place, Place::Repository { workspace: of, .. } if of == workspace);
            hooks.left_places().into_iter().chain(sent).filter(is_in_it).take(LOOKED_AT).collect()
        }
        [Place::Repository { workspace, .. }, ..] => [Place::Workspace(workspace.clone())].into(),
        _ => BTreeSet::new(),
    };
    for place in others {
        // The token may not be allowed to see it.
        let Ok(listed) = hooks.list(&place).await else { continue };
        findings.extend(listed.iter().filter(|listed| listed.is_ours).map(|listed| {
            Finding::problem(
                "hooks",
                format!(
                    "{place}: webhook {} sends the events a second time: a repository and its workspace need only one; {}",
                    listed.hook.id,
                    if hooks.left_places().contains(&place) { "run `hookbell hooks sync`" } else { "remove it on the host" }
                ),
            )
        }));
    }
    findings
}
