//! Comments on pull requests, so that a reply can show what it answers: hosts send only the number of the comment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Recall;
use crate::event::{Event, Kind, ParentComment};
use crate::message::markdown::text_of;
use crate::text::cut_text;

/// Maximum number of stored comments of a pull request; the newest are kept. So many fit into a state, whatever their
/// texts are.
const KEPT: usize = 25;

/// Maximum size of a stored text and of a stored name, in bytes.
const MAX_TEXT: usize = 180;
const MAX_NAME: usize = 60;

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
    let at = comment.updated.or(comment.created);
    let new = if event.kind == Kind::PullRequestCommentDeleted {
        Remembered { at, author: None, text: None }
    } else {
        // Some events of a comment may come without its text.
        let Some(text) = &comment.text else { return };
        let author = comment.author.as_ref().map(|author| cut(&author.name, MAX_NAME));
        Remembered { at, author, text: Some(cut(&text_of(text), MAX_TEXT)) }
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

/// Shortens a text to this many bytes.
fn cut(text: &str, bytes: usize) -> String {
    // One UTF-16 unit is at most three bytes.
    let cut = cut_text(text, bytes);
    if cut.len() <= bytes { cut } else { cut_text(text, bytes / 3) }
}
