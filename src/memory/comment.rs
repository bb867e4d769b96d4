//! Comments on pull requests, so that a reply can show what it answers: hosts send only the number of the comment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Recall;
use crate::event::{Event, Kind, ParentComment};
use crate::message::fit::cut_text;
use crate::message::markdown::text_of;

/// Maximum number of stored comments of a pull request; the newest are kept.
const KEPT: usize = 50;

/// Maximum length of a stored text or name, in UTF-16 units.
const MAX_TEXT: usize = 120;

/// Comments of a pull request, by number.
type Comments = BTreeMap<u64, Remembered>;

/// Stored state of a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Time of the last change.
    at: Option<Timestamp>,
    author: Option<String>,
    /// `None` if the comment was deleted.
    text: Option<String>,
}

fn subject(event: &Event, repository: &str) -> Option<String> {
    event.comment.as_ref()?;
    Some(format!("comments:{repository}:{}", event.pull_request.as_ref()?.id?))
}

pub(super) fn subjects(event: &Event, repository: &str, subjects: &mut Vec<String>) {
    subjects.extend(subject(event, repository));
}

/// Stores a comment, and adds the comment that it replies to.
pub(super) fn recall(event: &mut Event, repository: &str, memory: &mut Recall<'_>) {
    let Some(subject) = subject(event, repository) else { return };
    let Some(comment) = event.comment.as_mut() else { return };
    let mut comments: Comments = memory.get(&subject).unwrap_or_default();
    comment.parent = comment.reply_to.and_then(|id| comments.get(&id)).and_then(|parent| {
        let text = parent.text.clone().filter(|text| !text.is_empty())?;
        Some(ParentComment { author: parent.author.clone(), text })
    });
    let Some(id) = comment.id else { return };
    let is_deleted = event.kind == Kind::PullRequestCommentDeleted;
    let cut = |text: &str| cut_text(text, MAX_TEXT);
    let new = Remembered {
        at: comment.updated.or(comment.created),
        author: comment.author.as_ref().map(|author| cut(&author.name)).filter(|_| !is_deleted),
        text: comment.text.as_deref().map(|text| cut(&text_of(text))).filter(|_| !is_deleted),
    };
    // A deleted comment stays deleted, and an older text does not replace a newer one.
    let is_newer = |old: &Remembered| old.text.is_some() && (new.text.is_none() || old.at <= new.at);
    if comments.get(&id).is_none_or(is_newer) {
        comments.insert(id, new);
        while comments.len() > KEPT {
            comments.pop_first();
        }
        memory.set(&subject, &comments);
    }
}
