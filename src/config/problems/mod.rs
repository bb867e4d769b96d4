//! All texts about a configuration: values and secrets in [`ConfigProblem`], routes and mutes in
//! [`RuleProblem`], managed webhooks in [`HooksProblem`].

mod config;
mod hooks;
mod rules;

pub(in crate::config) use config::{ConfigProblem, Expected, Found};
pub(in crate::config) use hooks::HooksProblem;
pub(in crate::config) use rules::{RuleProblem, Unmatched};

/// Alternatives in a sentence: `a, b or c`.
fn either(all: &[String]) -> String {
    match all {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        all => all.join(""),
    }
}
