//! The keys that rules may hold, and what each looks at.

use jiff::Timestamp;

use super::pattern::Style;
use crate::event::{Event, SourceName};

/// What rules look at: an event, and the source that it came through.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The source's name.
    pub source: &'a SourceName,
    /// The event.
    pub event: &'a Event,
    /// When it came in: mutes may be over by then.
    pub at: Timestamp,
}

/// A key of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The source's name in the config.
    Source,
    /// `workspace/slug`.
    Repo,
    /// The owner of the repository.
    Workspace,
    /// The project's key.
    Project,
    /// `public`, `private`.
    Visibility,
    /// `true`, `false`.
    Fork,
    /// The kind, or a set: `pull_request.*`, `@calm`.
    Event,
    /// The ref of a push, a pull request's target.
    Branch,
    /// Where a pull request comes from.
    SourceBranch,
    /// Where a pull request goes.
    TargetBranch,
    /// A tag's name.
    Tag,
    /// Who did it: name, nickname or id.
    Actor,
    /// `user`, `bot`, `app`, `team`.
    ActorKind,
    /// Who wrote the pull request, or the newest commit.
    Author,
    /// Anyone who was asked for a review.
    Reviewer,
    /// The pull request's or the issue's title.
    Title,
    /// Any label of the pull request or the issue, from hosts that have labels.
    Label,
    /// Of a pull request `open`, `merged`, `declined`, `superseded`; of a build `failed` and its like; of an issue the
    /// host's word.
    State,
    /// `true`, `false`.
    Draft,
    /// `true`, `false`.
    Forced,
    /// `pull_request`: a push that merges or closes one.
    Via,
    /// Any file that a push changes, from hosts that send them.
    Path,
}

impl Key {
    /// Every key, in the order in which a rule's conditions are looked at: where first, then what, then who.
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

    /// The key as the config writes it.
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

    /// All the words that it may be, where these are known.
    pub fn words(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Visibility => &["public", "private"],
            Self::Fork | Self::Draft | Self::Forced => &["true", "false"],
            Self::ActorKind => &["user", "bot", "app", "team"],
            Self::Via => &["pull_request"],
            _ => return None,
        })
    }

    /// How its patterns match.
    pub const fn style(self) -> Style {
        match self {
            Self::Repo => Style { separator: true, ignore_case: true },
            Self::Branch | Self::SourceBranch | Self::TargetBranch | Self::Tag | Self::Path => {
                Style { separator: true, ignore_case: false }
            }
            _ => Style { separator: false, ignore_case: true },
        }
    }

    /// Whether it says where a thing happened, rather than what.
    pub(super) const fn is_place(self) -> bool {
        matches!(self, Self::Source | Self::Repo | Self::Workspace | Self::Project | Self::Visibility | Self::Fork)
    }

    /// What an event has for this key.
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

/// Who wrote the pull request or the issue, or the newest commit.
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
