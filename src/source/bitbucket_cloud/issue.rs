//! Issue events: `issue:*`.

use crate::source::json::Json;

use super::Reader;
use super::changes::{self, changes};
use super::json::{number, page, text, time};
use crate::event::{Event, Issue, Kind};

/// Fields of an issue whose changes are posted. The issue itself has `state` in place of `status`.
const REPORTED: &[(&str, &str)] = &[
    ("status", "state"),
    ("title", "title"),
    ("content", "text"),
    ("assignee", "assignee"),
    // Older name of the same field, sent in addition to it.
    ("responsible", "assignee"),
    ("kind", "kind"),
    ("priority", "priority"),
    ("component", "component"),
    ("milestone", "milestone"),
    ("version", "version"),
];

impl Reader<'_> {
    pub(super) fn issue_event(&self, kind: Kind) -> Result<Event, &'static str> {
        let issue = self.issue(&self.payload["issue"]);
        let mut event = self.event(kind);
        event.time = if kind == Kind::IssueOpened { issue.created } else { issue.updated };
        // Every update has a comment; most of them are empty.
        event.comment = self.commented().filter(|comment| comment.text.is_some() || kind == Kind::IssueCommentAdded);
        if let Some(comment) = &event.comment {
            event.time = comment.created.or(event.time);
        }
        event.issue = Some(issue);
        if kind == Kind::IssueUpdated {
            event.changes = changes(&self.payload["changes"], REPORTED);
            if event.changes.is_empty() && event.comment.is_none() && self.payload["changes"].is_object() {
                return Err(changes::TRIVIAL);
            }
        }
        Ok(event)
    }

    fn issue(&self, issue: &Json<'_>) -> Issue {
        let account = |value: &Json<'_>| value.is_object().then(|| self.account(value));
        Issue {
            id: number(&issue["id"]),
            title: text(&issue["title"]),
            text: self.content(&issue["content"]),
            url: page(issue),
            state: text(&issue["state"]),
            kind: text(&issue["kind"]),
            priority: text(&issue["priority"]),
            author: account(&issue["reporter"]),
            assignee: account(&issue["assignee"]),
            component: changes::shown(&issue["component"]),
            milestone: changes::shown(&issue["milestone"]),
            labels: None,
            version: changes::shown(&issue["version"]),
            created: time(&issue["created_on"]),
            updated: time(&issue["updated_on"]),
        }
    }
}
