//! Markup that helpers write into the text of a template, and the split of rendered text into the template's own text,
//! values and such markup.

use super::fit::cut_blocks;
use super::flatten::one_line;
use super::markdown::untrusted;
use super::shield::{self, Piece, SEPARATOR, SPLICE, shield_splice};
use super::{Block, Inline, Person, Ping, WebUrl};

/// Markup from a helper, spliced in as a tree after parsing. No value can imitate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splice<'a> {
    /// Inline code.
    Code(&'a str),
    /// Link.
    Link {
        /// Target URL, not yet validated.
        url: &'a str,
        /// Link text.
        text: &'a str,
    },
    /// Markdown written by a host's user, and the maximum length of the shown text in UTF-16 units.
    Markdown(&'a str, usize),
    /// Name, and the person to ping.
    Mention(&'a str, &'a Person),
}

// Type characters of the markup in shielded text.
const CODE: char = 'c';
const LINK: char = 'l';
const MARKDOWN: char = 'm';
const MENTION: char = 'p';

impl Splice<'_> {
    /// Returns the shielded form for the text of a template.
    pub fn shielded(self) -> String {
        match self {
            Self::Code(text) => shield_splice(CODE, &[text]),
            Self::Link { url, text } => shield_splice(LINK, &[url, text]),
            Self::Markdown(text, longest) => shield_splice(MARKDOWN, &[text, &longest.to_string()]),
            Self::Mention(name, person) => {
                let ids = person.ids().flat_map(|(chat, id)| [chat, id]);
                shield_splice(MENTION, &std::iter::once(name).chain(ids).collect::<Vec<_>>())
            }
        }
    }

    /// Parses the text between the marks into a tree.
    pub(super) fn tree(inside: &str) -> Vec<Block> {
        let (sort, parts) = read(inside);
        let inline = match (sort, parts.as_slice()) {
            (Some(CODE), [text]) if !text.trim().is_empty() => Inline::Code(one_line(text.clone())),
            (Some(LINK), [url, text]) => {
                let shown = if text.trim().is_empty() { url } else { text };
                let text = Inline::Text(one_line(shown.clone()));
                WebUrl::parse(url).map_or(text.clone(), |url| Inline::Link { url, text: vec![text] })
            }
            (Some(MENTION), _) => ping(inside).map_or_else(|| Inline::Text(String::new()), Inline::Mention),
            (Some(MARKDOWN), [markdown, longest]) => {
                return cut_blocks(untrusted(markdown), longest.parse().unwrap_or(usize::MAX));
            }
            _ => return vec![],
        };
        vec![Block::Paragraph(vec![inline])]
    }
}

/// Splits a helper's markup into its type character and its parts.
fn read(inside: &str) -> (Option<char>, Vec<String>) {
    let mut chars = inside.chars();
    let sort = chars.next();
    (sort, chars.as_str().split(SEPARATOR).map(|part| shield::text(part).into_owned()).collect())
}

/// Part of the output of a chat-native template.
pub(crate) enum Run<'a> {
    /// Text of the template itself, and values that are numbers, `true` or `false`.
    Own(&'a str),
    /// Value, unshielded.
    Value(String),
    /// Markup from a helper.
    Tree(Vec<Block>),
    /// Person to ping.
    Mention(Ping),
}

/// Splits rendered text into the template's own text, values and helpers' markup.
pub(crate) fn runs(rendered: &str) -> impl Iterator<Item = Run<'_>> {
    shield::pieces(rendered).map(|piece| match piece {
        Piece::Own(own) => Run::Own(own),
        Piece::Value(value) => Run::Value(shield::text(value).into_owned()),
        Piece::Splice(inside) => ping(inside).map_or_else(|| Run::Tree(Splice::tree(inside)), Run::Mention),
    })
}

/// Returns the people that rendered text mentions, in order of appearance.
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

/// Returns the person that a helper's markup mentions.
fn ping(inside: &str) -> Option<Ping> {
    if !inside.starts_with(MENTION) {
        return None;
    }
    let mut parts = read(inside).1.into_iter();
    let name = one_line(parts.next()?);
    let ids: Vec<_> = parts.collect();
    let person = ids.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    Some(Ping { name, person })
}
