//! All texts about a configuration: values and secrets in [`ConfigProblem`], routes and mutes in [`RuleProblem`].

mod config;
mod rules;

pub(in crate::config) use config::{ConfigProblem, Expected, Found};
pub(in crate::config) use rules::{RuleProblem, Unmatched};

use crate::problem::did_you_mean;

/// Advice for a value that must be one of a few: the nearest one if there is any, otherwise all of them.
fn one_of(near: Option<&str>, all: &[impl AsRef<str>]) -> String {
    let all: Vec<_> = all.iter().map(AsRef::as_ref).collect();
    near.map_or_else(|| format!("expected one of: {}", all.join(", ")), did_you_mean)
}

/// Alternatives in a sentence: `a, b or c`.
fn either(all: &[String]) -> String {
    match all {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        all => all.join(""),
    }
}
