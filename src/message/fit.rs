//! Fitting of messages to the limits of a chat. The least important parts are cut first, and cuts are marked.
//!
//! A chat renders a message and reports whether the result fits. If it does not, the longest texts are cut first, then
//! the ends of lists ("… and 27 more commits"), then blocks, then fields; at the end, only the headline remains. As a
//! result, chats never reject a message for its length, and important parts are cut after less important ones.

use std::fmt;

use super::{Block, Inline, Message, is_blank, plain_text};
use crate::text::{cut_text, units};

/// Length to which texts are cut before items and blocks are removed, in UTF-16 units.
const MIN_LENGTH: usize = 100;

/// Renders a message, cut so that the result fits.
///
/// `fits` must be true for a headline of 100 units without anything else. Every chat has room for that.
pub fn fit<T>(message: &Message, draw: impl Fn(&Message) -> T, fits: impl Fn(&T) -> bool) -> T {
    fitted(message, draw, fits).0
}

/// Returns the parts that [`fit`] cuts from a message, if any.
pub fn loss<T>(message: &Message, draw: impl Fn(&Message) -> T, fits: impl Fn(&T) -> bool) -> Option<Loss> {
    fitted(message, draw, fits).1
}

/// Last kind of cut that was needed to fit a message. All earlier kinds were applied as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Texts were cut to this many UTF-16 units.
    Texts(usize),
    /// Lists were cut to this many items.
    Items(usize),
    /// The body was cut to this many blocks.
    Blocks(usize),
    /// The body was removed, and the fields were cut to this number.
    Fields(usize),
    /// Only the headline was kept.
    Rest,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Texts(units) => write!(f, "texts after {units} characters"),
            Self::Items(items) => write!(f, "lists after {items} items, and long texts"),
            Self::Blocks(blocks) => write!(f, "the body after {blocks} blocks, lists and long texts"),
            Self::Fields(fields) => write!(f, "the body, and fields after the first {fields}"),
            Self::Rest => write!(f, "everything except the headline"),
        }
    }
}

fn fitted<T>(message: &Message, draw: impl Fn(&Message) -> T, fits: impl Fn(&T) -> bool) -> (T, Option<Loss>) {
    let whole = draw(message);
    if fits(&whole) {
        return (whole, None);
    }
    let mut cut = Cut { text: longest_text(message), items: usize::MAX, blocks: usize::MAX, fields: usize::MAX };
    let try_with = |cut: Cut, loss: Loss| {
        let drawn = draw(&cut.of(message));
        fits(&drawn).then_some((drawn, Some(loss)))
    };
    if let Some(fitted) = largest(MIN_LENGTH, cut.text, |text| try_with(Cut { text, ..cut }, Loss::Texts(text))) {
        return fitted;
    }
    cut.text = MIN_LENGTH;
    let items = longest_list(&message.body);
    if let Some(fitted) = largest(1, items, |items| try_with(Cut { items, ..cut }, Loss::Items(items))) {
        return fitted;
    }
    cut.items = 1;
    let blocks = message.body.len();
    if let Some(fitted) = largest(0, blocks, |blocks| try_with(Cut { blocks, ..cut }, Loss::Blocks(blocks))) {
        return fitted;
    }
    cut.blocks = 0;
    let fields = message.fields.len();
    if let Some(fitted) = largest(0, fields, |fields| try_with(Cut { fields, ..cut }, Loss::Fields(fields))) {
        return fitted;
    }
    (draw(&headline(message)), Some(Loss::Rest))
}

/// Returns the message reduced to its headline, for use if nothing else fits.
fn headline(message: &Message) -> Message {
    Message {
        line: cut_inlines(&super::without_links(&message.line), MIN_LENGTH),
        title: message.title.as_deref().map(|title| cut_inlines(title, MIN_LENGTH)),
        url: message.url.clone(),
        accent: message.accent,
        pings: message.pings.clone(),
        ..Message::default()
    }
}

/// Finds the result for the largest number in a range that has one, by binary search. If a number has a result, all
/// smaller numbers must have one too.
fn largest<T>(low: usize, high: usize, result: impl Fn(usize) -> Option<T>) -> Option<T> {
    let (mut low, mut high, mut best) = (low, high, None);
    while low <= high {
        let middle = low + (high - low) / 2;
        match result(middle) {
            Some(found) => {
                best = Some(found);
                low = middle + 1;
            }
            None if middle == 0 => break,
            None => high = middle - 1,
        }
    }
    best
}

/// Limits to which a message is cut.
#[derive(Clone, Copy)]
struct Cut {
    /// Maximum length of a text in UTF-16 units.
    text: usize,
    /// Maximum number of items in a list.
    items: usize,
    /// Maximum number of blocks in the body.
    blocks: usize,
    /// Maximum number of fields.
    fields: usize,
}

impl Cut {
    fn of(self, message: &Message) -> Message {
        let mut kept = message.clone();
        kept.line = cut_inlines(&message.line, self.text);
        kept.title = message.title.as_deref().map(|title| cut_inlines(title, self.text.max(MIN_LENGTH)));
        kept.author = message.author.as_deref().map(|author| cut_text(author, self.text));
        kept.origin = message.origin.as_deref().map(|origin| cut_text(origin, self.text));
        kept.footer = message.footer.as_deref().map(|footer| cut_text(footer, self.text));
        kept.body = self.blocks(&message.body[..self.blocks.min(message.body.len())], message);
        kept.fields.truncate(self.fields);
        for field in &mut kept.fields {
            field.name = cut_text(&field.name, self.text);
            field.value = cut_inlines(&field.value, self.text);
        }
        for button in &mut kept.buttons {
            button.label = cut_text(&button.label, self.text);
        }
        if self.blocks < message.body.len() && self.blocks > 0 {
            kept.body.push(Block::Paragraph(leading_on("…".to_owned(), message)));
        }
        kept
    }

    fn blocks(self, blocks: &[Block], message: &Message) -> Vec<Block> {
        blocks.iter().map(|block| self.block(block, message)).collect()
    }

    fn block(self, block: &Block, message: &Message) -> Block {
        match block {
            Block::Paragraph(inlines) => Block::Paragraph(cut_inlines(inlines, self.text)),
            Block::Heading(inlines) => Block::Heading(cut_inlines(inlines, self.text)),
            Block::Code(code) => Block::Code(cut_text(code, self.text)),
            Block::Quote(inner) => {
                Block::Quote(self.shortened(inner, message, |cut, inner| cut.blocks(inner, message)))
            }
            Block::List { start, items } => {
                let items = self.shortened(items, message, |cut, items| {
                    items.iter().map(|item| cut.blocks(item, message)).collect()
                });
                Block::List { start: *start, items }
            }
            Block::Table(rows) => {
                let kept = rows.iter().take(self.items.max(1).saturating_add(1));
                let row = |row: &Vec<Vec<Inline>>| row.iter().map(|cell| cut_inlines(cell, self.text)).collect();
                Block::Table(kept.map(row).collect())
            }
            Block::Rule => Block::Rule,
        }
    }

    /// Returns the first elements, followed by a note with the number of elements left out.
    fn shortened<T: MoreItem>(self, all: &[T], message: &Message, cut: impl Fn(Self, &[T]) -> Vec<T>) -> Vec<T> {
        let mut kept = cut(self, &all[..self.items.min(all.len())]);
        let left_out = all.len() - kept.len();
        if left_out > 0 {
            let what = message.items.as_deref().map(|items| format!(" {items}")).unwrap_or_default();
            kept.push(T::more(leading_on(format!("… and {left_out} more{what}"), message)));
        }
        kept
    }
}

/// Element that can note, at the end of a list, that there are more.
trait MoreItem {
    fn more(inlines: Vec<Inline>) -> Self;
}

impl MoreItem for Block {
    fn more(inlines: Vec<Inline>) -> Self {
        Self::Paragraph(inlines)
    }
}

impl MoreItem for Vec<Block> {
    fn more(inlines: Vec<Inline>) -> Self {
        vec![Block::Paragraph(inlines)]
    }
}

/// Links a text to the message's URL, where the rest can be read, if it has one.
fn leading_on(text: String, message: &Message) -> Vec<Inline> {
    let text = vec![Inline::Text(text)];
    match &message.url {
        Some(url) => vec![Inline::Link { url: url.clone(), text }],
        None => text,
    }
}

fn longest_list(blocks: &[Block]) -> usize {
    let longest = |block: &Block| match block {
        Block::List { items, .. } => items.len().max(items.iter().map(|item| longest_list(item)).max().unwrap_or(0)),
        Block::Quote(inner) => inner.len().max(longest_list(inner)),
        Block::Table(rows) => rows.len(),
        _ => 1,
    };
    blocks.iter().map(longest).max().unwrap_or(1)
}

fn longest_text(message: &Message) -> usize {
    fn of_blocks(blocks: &[Block]) -> usize {
        let longest = |block: &Block| match block {
            Block::Paragraph(inlines) | Block::Heading(inlines) => of_inlines(inlines),
            Block::Code(code) => units(code),
            Block::Quote(inner) => of_blocks(inner),
            Block::List { items, .. } => items.iter().map(|item| of_blocks(item)).max().unwrap_or(0),
            Block::Table(rows) => rows.iter().flatten().map(|cell| of_inlines(cell)).max().unwrap_or(0),
            Block::Rule => 0,
        };
        blocks.iter().map(longest).max().unwrap_or(0)
    }
    fn of_inlines(inlines: &[Inline]) -> usize {
        units(&super::plain_text(inlines))
    }
    let fields = message.fields.iter().map(|field| units(&field.name).max(of_inlines(&field.value)));
    let labels = message.buttons.iter().map(|button| units(&button.label));
    let small = [&message.author, &message.origin, &message.footer].map(|text| text.as_deref().map_or(0, units));
    let title = message.title.as_deref().map_or(0, of_inlines);
    let rest = [of_blocks(&message.body), of_inlines(&message.line), title];
    fields.chain(labels).chain(rest).chain(small).max().unwrap_or(0).max(MIN_LENGTH)
}

/// Shortens blocks to at most `longest` UTF-16 units of text in total, with `…` at the cut.
pub fn cut_blocks(blocks: Vec<Block>, longest: usize) -> Vec<Block> {
    let mut left = longest;
    cut_sequence(blocks, &mut left)
}

fn cut_sequence(blocks: Vec<Block>, left: &mut usize) -> Vec<Block> {
    let mut kept = vec![];
    for block in blocks {
        if *left == 0 {
            break;
        }
        kept.push(match block {
            Block::Paragraph(inlines) => Block::Paragraph(cut_run(&inlines, left)),
            Block::Heading(inlines) => Block::Heading(cut_run(&inlines, left)),
            Block::Code(code) => Block::Code(take(&code, left)),
            Block::Quote(inner) => Block::Quote(cut_sequence(inner, left)),
            Block::List { start, items } => {
                let items = items.into_iter().map_while(|item| (*left > 0).then(|| cut_sequence(item, left)));
                Block::List { start, items: items.collect() }
            }
            Block::Table(rows) => {
                let rows = rows
                    .into_iter()
                    .map_while(|row| (*left > 0).then(|| row.iter().map(|cell| cut_run(cell, left)).collect()));
                Block::Table(rows.collect())
            }
            Block::Rule => Block::Rule,
        });
    }
    kept
}

/// Shortens inlines to at most `longest` UTF-16 units of text, like [`cut_text`].
pub fn cut_inlines(inlines: &[Inline], longest: usize) -> Vec<Inline> {
    let mut left = longest;
    let mut kept = cut_run(inlines, &mut left);
    while matches!(kept.last(), Some(Inline::Break)) {
        kept.pop();
    }
    kept
}

fn cut_run(inlines: &[Inline], left: &mut usize) -> Vec<Inline> {
    let mut kept: Vec<Inline> = vec![];
    for (n, inline) in inlines.iter().enumerate() {
        if *left == 0 {
            // A cut between two pieces needs a mark as well.
            if !kept.is_empty() && !is_blank(&inlines[n..]) && !plain_text(&kept).ends_with('…') {
                mark_cut(&mut kept);
            }
            break;
        }
        let wrapped = |inner: &[Inline], left: &mut usize, wrap: fn(Vec<Inline>) -> Inline| {
            let inner = cut_run(inner, left);
            (!is_blank(&inner)).then(|| wrap(inner))
        };
        let taken = match inline {
            Inline::Text(text) => Some(Inline::Text(take(text, left))),
            Inline::Code(text) => Some(Inline::Code(take(text, left))),
            Inline::Mention(ping) if units(&ping.name) <= *left => {
                *left -= units(&ping.name);
                Some(inline.clone())
            }
            Inline::Mention(ping) => Some(Inline::Text(take(&ping.name, left))),
            Inline::Strong(inner) => wrapped(inner, left, Inline::Strong),
            Inline::Emphasis(inner) => wrapped(inner, left, Inline::Emphasis),
            Inline::Strike(inner) => wrapped(inner, left, Inline::Strike),
            Inline::Link { url, text } => {
                let text = cut_run(text, left);
                (!is_blank(&text)).then(|| Inline::Link { url: url.clone(), text })
            }
            Inline::Break => {
                *left -= 1;
                Some(Inline::Break)
            }
        };
        kept.extend(taken);
    }
    kept
}

/// Replaces the end of inlines by `…` without making them longer.
fn mark_cut(run: &mut Vec<Inline>) {
    while let Some(last) = run.last_mut() {
        match last {
            Inline::Text(text) | Inline::Code(text) if !text.is_empty() => {
                *text = cut_text(&format!("{text}…"), units(text));
                return;
            }
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) if !is_blank(inner) => {
                return mark_cut(inner);
            }
            Inline::Link { text, .. } if !is_blank(text) => return mark_cut(text),
            Inline::Break => {
                *last = Inline::Text("…".to_owned());
                return;
            }
            _ => {
                run.pop();
            }
        }
    }
}

fn take(text: &str, left: &mut usize) -> String {
    let taken = cut_text(text, *left);
    *left = if taken.len() == text.len() && taken == text { *left - units(text) } else { 0 };
    taken
}

/// Shortens a plain text as little as possible so that `fits` is true.
pub fn text_that_fits(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    largest(1, units(text), |longest| Some(cut_text(text, longest)).filter(|text| fits(text))).unwrap_or_default()
}

/// Shortens inlines as little as possible so that `fits` is true. Removes links if their URLs take too much space.
pub fn run_that_fits(inlines: &[Inline], fits: impl Fn(&[Inline]) -> bool) -> Vec<Inline> {
    if fits(inlines) {
        return inlines.to_vec();
    }
    let longest = units(&super::plain_text(inlines));
    let cut = |inlines: &[Inline]| {
        largest(1, longest, |longest| Some(cut_inlines(inlines, longest)).filter(|inlines| fits(inlines)))
    };
    // A few linked letters are worth less than the text that fits without the URL.
    match cut(inlines) {
        Some(cut) if units(&super::plain_text(&cut)) >= MIN_LENGTH.min(longest) => cut,
        _ => cut(&super::without_links(inlines)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
