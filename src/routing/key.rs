//! The keys of rules, and the event values that each key matches.

use jiff::Timestamp;

use crate::event::{Event, SourceName};
use crate::pattern::Style;

/// Input of the rules: an event and its source.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Name of the source that received the event.
    pub source: &'a SourceName,
    /// The event.
    pub event: &'a Event,
    /// Time of receipt, which decides whether a mute has expired.
    pub at: Timestamp,
}

/// A key of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Name of the source in the configuration.
    Source,
    /// `workspace/slug`.
    Repo,
    /// Owner of the repository.
    Workspace,
    /// Key of the project.
    Project,
    /// `public`, `private`.
    Visibility,
    /// `true`, `false`.
    Fork,
    /// Event kind, set or the host's event key: `pull_request.*`, `@calm`, `repo:push`.
    Event,
    /// Branch of a push or a build, or target branch of a pull request.
    Branch,
    /// Source branch of a pull request.
    SourceBranch,
    /// Target branch of a pull request.
    TargetBranch,
    /// Name of a tag.
    Tag,
    /// Name, nickname or id of the account that caused the event.
    Actor,
    /// `user`, `bot`, `app`, `team`.
    ActorKind,
    /// Name, nickname or id of the author of the pull request, the issue or the newest commit.
    Author,
    /// Name, nickname or id of any requested reviewer.
    Reviewer,
    /// Title of the pull request or the issue.
    Title,
    /// Any label of the pull request or the issue, from hosts that have labels.
    Label,
    /// State of a pull request (`open`, `merged`, `declined`, `superseded`), of a build (such as `failed`), or of an
    /// issue (the host's term).
    State,
    /// `true`, `false`.
    Draft,
    /// `true`, `false`.
    Forced,
    /// `pull_request`: a push that merges or closes one.
    Via,
    /// Any file changed by a push, from hosts that send paths.
    Path,
}

impl Key {
    /// All keys, in the order in which the conditions of a rule are checked: place first, then event, then details.
    pub const ALL: &'static [Self] = &[
        Self::Source,
        Self::Repo,
        Self::Workspace,
        Self::Project,
        Self::Visibility,
        Self::Fork,
        Self::Event,
        Self::Branch,
        Self::SourceBranch,
        Self::TargetBranch,
        Self::Tag,
        Self::Actor,
        Self::ActorKind,
        Self::Author,
        Self::Reviewer,
        Self::Title,
        Self::Label,
        Self::State,
        Self::Draft,
        Self::Forced,
        Self::Via,
        Self::Path,
    ];

    /// The key as written in the config file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Repo => "repo",
            Self::Workspace => "workspace",
            Self::Project => "project",
            Self::Visibility => "visibility",
            Self::Fork => "fork",
            Self::Event => "event",
            Self::Branch => "branch",
            Self::SourceBranch => "source_branch",
            Self::TargetBranch => "target_branch",
            Self::Tag => "tag",
            Self::Actor => "actor",
            Self::ActorKind => "actor_kind",
            Self::Author => "author",
            Self::Reviewer => "reviewer",
            Self::Title => "title",
            Self::Label => "label",
            Self::State => "state",
            Self::Draft => "draft",
            Self::Forced => "forced",
            Self::Via => "via",
            Self::Path => "path",
        }
    }

    /// All possible values, for keys with a fixed set of values.
    pub fn words(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Visibility => &["public", "private"],
            Self::Fork | Self::Draft | Self::Forced => &["true", "false"],
            Self::ActorKind => &["user", "bot", "app", "team"],
            Self::Via => &["pull_request"],
            _ => return None,
        })
    }

    /// Matching style of the patterns of this key.
    pub const fn style(self) -> Style {
        match self {
            Self::Repo => Style { separator: true, ignore_case: true },
            Self::Branch | Self::SourceBranch | Self::TargetBranch | Self::Tag | Self::Path => {
                Style { separator: true, ignore_case: false }
            }
            _ => Style { separator: false, ignore_case: true },
        }
    }

    /// Returns true for keys about the place of an event, such as the repository.
    pub(super) const fn is_place(self) -> bool {
        matches!(self, Self::Source | Self::Repo | Self::Workspace | Self::Project | Self::Visibility | Self::Fork)
    }

    /// The values of an event for this key.
    pub fn values(self, subject: Subject<'_>) -> Vec<&str> {
        let event = subject.event;
        let repository = event.repository.as_ref();
        let pull_request = event.pull_request.as_ref();
        let push = event.push.as_ref();
        let one = |value: Option<&'static str>| value.into_iter().collect();
        match self {
            Self::Source => vec![subject.source.as_str()],
            Self::Event => vec![event.kind.as_str()],
            Self::Repo => repository.and_then(|r| r.full_name.as_deref()).into_iter().collect(),
            Self::Workspace => event.workspace().into_iter().collect(),
            Self::Project => {
                let project = event.project.as_ref().or_else(|| repository?.project.as_ref());
                project.and_then(|project| project.key.as_deref()).into_iter().collect()
            }
            Self::Visibility => one(repository.and_then(|r| r.visibility).map(crate::event::Visibility::as_str)),
            Self::Fork => one(repository.and_then(|r| r.fork).map(truth)),
            Self::Branch => event.branch().into_iter().collect(),
            Self::SourceBranch => pull_request.and_then(|p| p.source.branch.as_deref()).into_iter().collect(),
            Self::TargetBranch => pull_request.and_then(|p| p.target.branch.as_deref()).into_iter().collect(),
            Self::Tag => {
                let tag = push.and_then(|p| p.tag.as_deref());
                tag.or_else(|| event.pipeline.as_ref()?.tag.as_deref()).into_iter().collect()
            }
            Self::Actor => {
                event.actor.as_deref().filter(|actor| actor.is_known()).into_iter().flat_map(names).collect()
            }
            Self::ActorKind => one(event.actor.as_ref().filter(|a| a.is_known()).map(|actor| actor.kind.as_str())),
            Self::Author => author(event).into_iter().flat_map(names).collect(),
            Self::Reviewer => {
                let reviewers = pull_request.and_then(|p| p.reviewers.as_deref()).unwrap_or_default();
                reviewers.iter().flat_map(|r| known([Some(&r.name), r.nickname.as_ref(), r.id.as_ref()])).collect()
            }
            Self::Title => {
                let issue = event.issue.as_ref().and_then(|issue| issue.title.as_deref());
                pull_request.and_then(|p| p.title.as_deref()).or(issue).into_iter().collect()
            }
            Self::Label => {
                let labels = pull_request.and_then(|p| p.labels.as_ref());
                let labels = labels.or_else(|| event.issue.as_ref()?.labels.as_ref());
                labels.into_iter().flatten().map(String::as_str).collect()
            }
            Self::Path => push.and_then(|p| p.paths.as_ref()).into_iter().flatten().map(String::as_str).collect(),
            Self::State => state(event).into_iter().collect(),
            Self::Draft => one(pull_request.and_then(|p| p.draft).map(truth)),
            Self::Forced => one(push.map(|p| truth(p.forced))),
            Self::Via => one(push.and_then(|p| p.via).map(crate::event::Via::as_str)),
        }
    }
}

/// Author of the pull request, the issue or the newest commit.
fn author(event: &Event) -> Option<&crate::event::Account> {
    if let Some(pull_request) = &event.pull_request {
        return pull_request.author.as_ref();
    }
    if let Some(issue) = &event.issue {
        return issue.author.as_ref();
    }
    let pushed = event.push.as_ref().and_then(|push| push.commits.first().or(push.head.as_ref()));
    let built = event.build.as_ref().and_then(|build| build.commit.as_ref());
    pushed.or(built).or(event.commit.as_ref())?.author.as_ref()
}

fn state(event: &Event) -> Option<&str> {
    let pull_request = event.pull_request.as_ref().and_then(|pr| pr.state).map(crate::event::PullRequestState::as_str);
    let build = event.build.as_ref().and_then(|build| build.state);
    let machine = build.or_else(|| event.pipeline.as_ref()?.state).map(crate::event::BuildState::as_str);
    pull_request.or(machine).or_else(|| event.issue.as_ref()?.state.as_deref())
}

const fn truth(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn names(account: &crate::event::Account) -> impl Iterator<Item = &str> {
    known([Some(&account.name), account.nickname.as_ref(), account.id.as_ref()])
}

fn known(texts: [Option<&String>; 3]) -> impl Iterator<Item = &str> {
    texts.into_iter().flatten().map(String::as_str)
}
