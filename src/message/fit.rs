//! Fitting a message into what a chat takes: the least important goes first, and what was left out is said.
//!
//! A chat draws a message and says whether the drawing fits. If not, the longest texts are cut first, then lists from
//! their end ("… and 27 more commits"), then blocks, then facts; what remains at last is the headline. So nothing is
//! ever refused for its length, and nothing that matters is cut before something that matters less.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

use super::{Block, Inline, Message, is_blank, plain_text};

/// What a text is cut to before whole items and blocks have to go, in UTF-16 units.
const SHORTEST: usize = 100;

/// The length that chats count: UTF-16 units. Where one counts characters, this is the larger number.
pub fn units(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    // Each character's first byte is one, and one more where four bytes say what UTF-16 says in two units.
    text.bytes().map(|byte| usize::from(byte & 0xC0 != 0x80) + usize::from(byte >= 0xF0)).sum()
}

/// Draws a message so that the drawing fits.
///
/// `fits` must hold for a headline of a hundred units with nothing else; every chat has room for that.
pub fn fit<T>(message: &Message, draw: impl Fn(&Message) -> T, fits: impl Fn(&T) -> bool) -> T {
    fitted(message, draw, fits).0
}

/// What a message loses that way, if it loses anything.
pub fn loss<T>(message: &Message, draw: impl Fn(&Message) -> T, fits: impl Fn(&T) -> bool) -> Option<Loss> {
    fitted(message, draw, fits).1
}

/// What had to go so that a message fits, the last of it: all that goes before it went too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// What is behind so many UTF-16 units of a text.
    Texts(usize),
    /// What is behind so many items of a list.
    Items(usize),
    /// What is behind so many blocks of the body.
    Blocks(usize),
    /// What is behind so many fields, and the body.
    Fields(usize),
    /// All but the headline.
    Rest,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Texts(units) => write!(f, "of each text what is behind {units} characters"),
            Self::Items(items) => write!(f, "of each list what is behind item {items}, and long texts"),
            Self::Blocks(blocks) => write!(f, "of the body what is behind block {blocks}, lists and long texts"),
            Self::Fields(fields) => write!(f, "the body, and the fields behind number {fields}"),
            Self::Rest => write!(f, "all but the headline"),
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
    if let Some(fitted) = largest(SHORTEST, cut.text, |text| try_with(Cut { text, ..cut }, Loss::Texts(text))) {
        return fitted;
    }
    cut.text = SHORTEST;
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

/// What is left of a message when there is room for nothing else.
fn headline(message: &Message) -> Message {
    Message {
        line: cut_inlines(&super::without_links(&message.line), SHORTEST),
        title: message.title.as_deref().map(|title| cut_text(title, SHORTEST)),
        url: message.url.clone(),
        accent: message.accent,
        pings: message.pings.clone(),
        ..Message::default()
    }
}

/// The largest number between two for which there is a result; there is one for all smaller numbers too.
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

/// How much of a message is kept.
#[derive(Clone, Copy)]
struct Cut {
    /// The longest single text.
    text: usize,
    /// The longest list.
    items: usize,
    /// How many blocks of the body.
    blocks: usize,
    /// How many facts.
    fields: usize,
}

impl Cut {
    fn of(self, message: &Message) -> Message {
        let mut kept = message.clone();
        kept.line = cut_inlines(&message.line, self.text);
        kept.title = message.title.as_deref().map(|title| cut_text(title, self.text.max(SHORTEST)));
        kept.author = message.author.as_deref().map(|author| cut_text(author, self.text));
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

    /// The first of several things, and how many were left out.
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

/// What can stand at a list's end to say that there is more.
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

/// A text that leads to where the whole can be read, if that is known.
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
    let small = [&message.title, &message.author, &message.footer].map(|text| text.as_deref().map_or(0, units));
    let rest = [of_blocks(&message.body), of_inlines(&message.line)];
    fields.chain(labels).chain(rest).chain(small).max().unwrap_or(0).max(SHORTEST)
}

/// A text of at most so many UTF-16 units: cut between characters as readers count them, between words where one ends
/// not too far back, with `…`.
pub fn cut_text(text: &str, longest: usize) -> String {
    if units(text) <= longest {
        return text.to_owned();
    }
    let mut left = longest.saturating_sub(1);
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        let Some(rest) = left.checked_sub(units(grapheme)) else { break };
        left = rest;
        end = at + grapheme.len();
    }
    let kept = &text[..end];
    let word = kept.rfind(char::is_whitespace).filter(|&at| at * 3 >= end * 2).unwrap_or(end);
    format!("{}…", kept[..word].trim_end())
}

/// Blocks of at most so many UTF-16 units of text; what comes after is left out, with `…`.
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

/// A run of at most so many UTF-16 units of text, cut as [`cut_text`] does.
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
            // Cut between two pieces: that must be told too.
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

/// Puts `…` in the place of a run's end, which makes it no longer.
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

/// The longest cut of a plain text for which `fits` holds.
pub fn text_that_fits(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    largest(1, units(text), |longest| Some(cut_text(text, longest)).filter(|text| fits(text))).unwrap_or_default()
}

/// The longest cut of a run for which `fits` holds; without its links where those are what does not fit.
pub fn run_that_fits(inlines: &[Inline], fits: impl Fn(&[Inline]) -> bool) -> Vec<Inline> {
    if fits(inlines) {
        return inlines.to_vec();
    }
    let longest = units(&super::plain_text(inlines));
    let cut = |inlines: &[Inline]| {
        largest(1, longest, |longest| Some(cut_inlines(inlines, longest)).filter(|inlines| fits(inlines)))
    };
    // A few letters that lead somewhere are worth less than the text that would have room without the address.
    match cut(inlines) {
        Some(cut) if units(&super::plain_text(&cut)) >= SHORTEST.min(longest) => cut,
        _ => cut(&super::without_links(inlines)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
