//! Problems with routes and mutes.

use thiserror::Error;

use crate::event::ChannelName;
use crate::problem::{Describe, Severity, did_you_mean, one_of};
use crate::routing::{Key, KindsError};

/// Problem with a route, a mute, or a name in one of them.
#[derive(Debug, Error)]
pub(in crate::config) enum RuleProblem {
    #[error("duplicate {what} name `{name}`")]
    DuplicateName { what: &'static str, name: String, first: Option<String> },
    #[error("`channels` of mute `{0}` is empty")]
    NoMutedChannels(String),
    #[error("mute `{0}` has no matcher")]
    EmptyMute(String),
    #[error("route `{0}` has no channel")]
    NoChannel(String),
    #[error("route `{0}` has no matcher")]
    EmptyRoute(String),
    #[error("unknown channel `{name}`")]
    UnknownChannel { name: String, near: Option<String> },
    /// A URL in place of a channel's name. It is a secret, so the text leaves it out.
    #[error("unknown channel `https://…`")]
    UrlAsChannel,
    #[error("unknown template `{name}`")]
    UnknownTemplate { name: String, near: Option<String> },
    #[error("`{0}` is not a date or a time with a UTC offset")]
    InvalidUntil(String),
    #[error("`unless` has no matcher")]
    EmptyUnless,
    #[error("`{}` is empty", .0.as_str())]
    EmptyKey(Key),
    #[error("`{}` must be `true` or `false`, found `{value}`", key.as_str())]
    NotAFlag { key: Key, value: String, near: Option<String> },
    #[error("`{value}` is not a valid `{}`", key.as_str())]
    UnknownWord { key: Key, value: String, words: &'static [&'static str], near: Option<String> },
    #[error("{error}")]
    UnknownEvent { error: KindsError, near: Option<String>, sets: Vec<String> },

    #[error("no supported host sends the event key `{key}`")]
    UnknownEventKey { key: String, near: Option<String> },
    #[error("mute `{0}` has expired")]
    ExpiredMute(String),
    #[error("no route sends to channel `{0}`")]
    UnroutedChannel(ChannelName),
    #[error("mute `{mute}` also applies to channels of other files: {}", quoted(foreign))]
    ForeignMute { mute: String, foreign: Vec<String>, own: Vec<String> },
    #[error("route `{route}` is final: events that it matches never reach routes of other files, such as `{other}`")]
    ForeignFinal { route: String, other: String },
    #[error("route `{route}` is never read: `{first}` above is final and matches all of its events")]
    UnreadRoute { route: String, first: String },
    #[error(
        "template `{template}` is never used for channel `{channel}`: route `{first}` above already sends these \
         events there"
    )]
    UnusedTemplate { template: String, channel: ChannelName, first: String },
    #[error("no event can match route `{route}`: {reason}")]
    UnmatchedRoute { route: String, reason: Unmatched },
    #[error("`{regex}` of route `{route}` must match the whole `{}`", key.as_str())]
    PartialRegex { route: String, key: Key, regex: String, value: String },
}

/// Reason why no event can match a route.
#[derive(Clone, Debug, Error)]
pub(in crate::config) enum Unmatched {
    #[error("none of your sources sends these events")]
    Event,
    #[error("none of your sources matches its `source`")]
    Source { sources: Vec<String> },
    #[error("none of its event kinds has a `{}`", .0.as_str())]
    Key(Key),
    #[error("none of your sources sends a `{}`", .0.as_str())]
    Unsent(Key),
    #[error("no event has both a `branch` and a `tag`")]
    BranchAndTag,
    #[error("`{text}` starts with `refs/`, but `{}` is only the name", key.as_str())]
    FullRef { key: Key, text: String, name: String },
    #[error("mute `{0}` suppresses all of its events")]
    Muted(String),
    #[error("`{0}` has no `/`, but repository names have the form `workspace/slug`")]
    NoWorkspace(String),
    #[error("`{0}` is not allowed by `repo` of any source")]
    ForeignRepository(String),
}

impl Describe for RuleProblem {
    fn severity(&self) -> Severity {
        match self {
            Self::UnknownEventKey { .. }
            | Self::ExpiredMute(_)
            | Self::UnroutedChannel(_)
            | Self::ForeignMute { .. }
            | Self::ForeignFinal { .. }
            | Self::UnreadRoute { .. }
            | Self::UnusedTemplate { .. }
            | Self::UnmatchedRoute { .. }
            | Self::PartialRegex { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::DuplicateName { first, .. } => {
                let first = first.as_ref().map(|line| format!("; the first is at {line}")).unwrap_or_default();
                return Some(format!("use a unique name: responses and logs identify rules by their names{first}"));
            }
            Self::NoMutedChannels(_) => "add a channel, or remove `channels` to mute all of them",
            Self::EmptyMute(_) => "add a matcher, such as `actor_kind = \"bot\"`",
            Self::NoChannel(_) => "add `to = \"CHANNEL\"`; to suppress events, use `[[mutes]]`",
            Self::EmptyRoute(_) => "add a matcher, such as `event = \"@calm\"`; `event = \"@all\"` matches any event",
            Self::UnknownChannel { near: Some(near), .. } | Self::UnknownTemplate { near: Some(near), .. } => {
                return Some(did_you_mean(near));
            }
            Self::UnknownChannel { name, .. } => return Some(format!("add `[channels.{name}]`")),
            Self::UnknownTemplate { name, .. } => return Some(format!("create `{name}.md.hbs`")),
            Self::UrlAsChannel => "write the channel's name from `[channels.NAME]`",
            Self::InvalidUntil(_) => "write a date, `2026-12-24` (00:00 UTC), or a time, `2026-12-24T08:00:00+01:00`",
            Self::EmptyUnless => "add matchers: `unless = { actor_kind = \"bot\", event = \"push\" }`",
            Self::EmptyKey(_) => "remove it, or add a pattern",
            Self::NotAFlag { near, .. } => return Some(one_of(near.as_deref(), &["true", "false"])),
            Self::UnknownWord { words, near, .. } => return Some(one_of(near.as_deref(), words)),
            Self::UnknownEvent { near: Some(near), .. } | Self::UnknownEventKey { near: Some(near), .. } => {
                return Some(did_you_mean(near));
            }
            Self::UnknownEvent { sets, .. } => {
                let sets = sets.join(", ");
                return Some(format!("expected a set ({sets}) or a kind (push, pull_request.opened, …)"));
            }

            Self::UnknownEventKey { .. } => "docs/events.md lists all event keys",
            Self::ExpiredMute(_) => "remove it, or set a later `until`",
            Self::UnroutedChannel(name) => return Some(format!("add a `[[routes]]` entry with `to = \"{name}\"`")),
            Self::ForeignMute { own, .. } if own.is_empty() => "move it to the file that defines the channels to mute",
            Self::ForeignMute { own, .. } => {
                return Some(format!("limit it to the channels of this file: `channels = {own:?}`"));
            }
            Self::ForeignFinal { .. } => {
                "remove `final`, or move the routes that need all events to a file that is read earlier"
            }
            Self::UnreadRoute { first, .. } => return Some(format!("move it above `{first}`")),
            Self::UnusedTemplate { first, .. } => {
                return Some(format!("move this route above `{first}`, or remove one of the two"));
            }
            Self::UnmatchedRoute { reason, .. } => return Some(reason.help()),
            Self::PartialRegex { regex, value, .. } => {
                let regex = regex.trim_start_matches('~');
                return Some(format!("`{value}` does not match; `~.*{regex}.*` would"));
            }
        };
        Some(help.to_owned())
    }
}

impl Unmatched {
    /// The key that prevents a match; `None` if it is not a single one.
    pub(in crate::config) const fn key(&self) -> Option<Key> {
        match self {
            Self::Event => Some(Key::Event),
            Self::Source { .. } => Some(Key::Source),
            Self::Key(key) | Self::Unsent(key) | Self::FullRef { key, .. } => Some(*key),
            Self::BranchAndTag => Some(Key::Tag),
            Self::Muted(_) => None,
            Self::NoWorkspace(_) | Self::ForeignRepository(_) => Some(Key::Repo),
        }
    }

    fn help(&self) -> String {
        match self {
            Self::Event => "run `hookbell sample list` to see the events that sources send".to_owned(),
            Self::Source { sources } => format!("your sources: {}", quoted(sources)),
            Self::Unsent(key) => format!("remove `{}`: their hosts do not send it", key.as_str()),
            Self::Key(key) => format!("remove `{}`, or add event kinds that have one", key.as_str()),
            Self::BranchAndTag => "use two routes, because all keys of a route must match".to_owned(),
            Self::FullRef { name, .. } => format!("write `{name}`"),
            Self::Muted(_) => "narrow the mute, or remove the route".to_owned(),
            Self::NoWorkspace(slug) => format!("write `*/{slug}`, or a workspace in place of `*`"),
            Self::ForeignRepository(_) => "add it to `repo` of a source, or fix the name".to_owned(),
        }
    }
}

/// Names in back-ticks, separated by commas.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
