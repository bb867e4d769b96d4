//! Markup that helpers write into a template's text, and telling it, values and the template's own text apart.

use super::fit::cut_blocks;
use super::flatten::one_line;
use super::markdown::of_stranger;
use super::shield::{self, Piece, SEPARATOR, SPLICE, shield_splice};
use super::{Block, Inline, Person, Ping, WebUrl};

/// Markup that a helper writes, to be spliced in as a tree after parsing; no value can look like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splice<'a> {
    /// Code within a line.
    Code(&'a str),
    /// A text that leads somewhere.
    Link {
        /// Where to.
        url: &'a str,
        /// The text.
        text: &'a str,
    },
    /// Markdown that a host's user wrote, of which so many UTF-16 units of text are shown.
    Markdown(&'a str, usize),
    /// A name, and who is pinged by it.
    Mention(&'a str, &'a Person),
}

/// The sorts of markup, as they are written.
const CODE: char = 'c';
const LINK: char = 'l';
const MARKDOWN: char = 'm';
const MENTION: char = 'p';

impl Splice<'_> {
    /// The form in which a template's text holds it.
    pub fn shielded(self) -> String {
        match self {
            Self::Code(text) => shield_splice(CODE, &[text]),
            Self::Link { url, text } => shield_splice(LINK, &[url, text]),
            Self::Markdown(text, longest) => shield_splice(MARKDOWN, &[text, &longest.to_string()]),
            Self::Mention(name, Person { slack, teams, discord }) => {
                let [slack, teams, discord] = [slack, teams, discord].map(|id| id.as_deref().unwrap_or_default());
                shield_splice(MENTION, &[name, slack, teams, discord])
            }
        }
    }

    /// The tree of what stands between its marks.
    pub(super) fn tree(inside: &str) -> Vec<Block> {
        let (sort, parts) = read(inside);
        let inline = match (sort, parts.as_slice()) {
            (Some(CODE), [text]) if !text.trim().is_empty() => Inline::Code(one_line(text.clone())),
            (Some(LINK), [url, text]) => {
                let shown = if text.trim().is_empty() { url } else { text };
                let text = Inline::Text(one_line(shown.clone()));
                WebUrl::parse(url).map_or(text.clone(), |url| Inline::Link { url, text: vec![text] })
            }
            (Some(MENTION), [name, ..]) => Inline::Text(one_line(name.clone())),
            (Some(MARKDOWN), [markdown, longest]) => {
                return cut_blocks(of_stranger(markdown), longest.parse().unwrap_or(usize::MAX));
            }
            _ => return vec![],
        };
        vec![Block::Paragraph(vec![inline])]
    }
}

/// A helper's markup: its sort, and its parts.
fn read(inside: &str) -> (Option<char>, Vec<String>) {
    let mut chars = inside.chars();
    let sort = chars.next();
    (sort, chars.as_str().split(SEPARATOR).map(|part| shield::text(part).into_owned()).collect())
}

/// A part of what a chat-native template rendered to.
pub(crate) enum Run<'a> {
    /// What the template itself says, and numbers, `true` and `false`.
    Own(&'a str),
    /// A value.
    Value(String),
    /// What a helper drew.
    Tree(Vec<Block>),
    /// Somebody who is pinged.
    Mention(Ping),
}

/// Tells a template's own text, values and helpers' markup apart.
pub(crate) fn runs(rendered: &str) -> impl Iterator<Item = Run<'_>> {
    shield::pieces(rendered).map(|piece| match piece {
        Piece::Own(own) => Run::Own(own),
        Piece::Value(value) => Run::Value(shield::text(value).into_owned()),
        Piece::Splice(inside) => ping(inside).map_or_else(|| Run::Tree(Splice::tree(inside)), Run::Mention),
    })
}

/// Whom a template's text mentions, in its order.
pub(crate) fn pings(rendered: &str) -> Vec<Ping> {
    if !rendered.contains(SPLICE) {
        return vec![];
    }
    let splices = shield::pieces(rendered).filter_map(|piece| match piece {
        Piece::Splice(inside) => ping(inside),
        _ => None,
    });
    splices.collect()
}

/// Who is pinged by one helper's markup.
fn ping(inside: &str) -> Option<Ping> {
    if !inside.starts_with(MENTION) {
        return None;
    }
    let mut parts = read(inside).1.into_iter();
    let name = one_line(parts.next()?);
    let mut id = || parts.next().filter(|id| !id.is_empty());
    Some(Ping { name, person: Person { slack: id(), teams: id(), discord: id() } })
}
