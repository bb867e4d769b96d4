//! Markdown parser: builds the message tree and puts values back into its leaves.
//!
//! There are two kinds of Markdown: rendered templates, whose values are shielded, and text written by a host's users
//! (descriptions, comments), which templates include with the `markdown` helper. The first kind is trusted. In the
//! second, images become links, headings become bold text, and a link whose text is another URL shows both, so that it
//! cannot mislead readers. Raw HTML is text in both.

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::flatten::{flatten, one_line, spaced, table_row};
use super::link_text::names_another_host;
use super::shield::{self, Piece, Skeleton};
use super::splice::Splice;
use super::{Block, Inline, WebUrl, is_blank, plain_text, without_links};
use crate::text::is_dropped;

/// Parses the rendered body of a template.
pub fn blocks(rendered: &str) -> Vec<Block> {
    Tree::parse(&Skeleton::of(rendered), Author::Template)
}

/// Parses Markdown written by a host's user.
pub(super) fn untrusted(markdown: &str) -> Vec<Block> {
    Tree::parse(&Skeleton::of(markdown), Author::Untrusted)
}

/// Parses a rendered one-line slot. Blocks are flattened; line breaks become spaces.
pub fn line(rendered: &str) -> Vec<Inline> {
    tidy(spaced(flatten(blocks(rendered.trim()))))
}

/// Parses a rendered headline: one line of text and code. Links are removed, because the headline is a link as a whole.
pub fn title(rendered: &str) -> Vec<Inline> {
    tidy(without_links(&line(rendered)))
}

/// Parses a rendered inline slot, such as a field's value. Blocks are flattened; line breaks are kept.
pub fn inlines(rendered: &str) -> Vec<Inline> {
    tidy(flatten(blocks(rendered.trim())))
}

/// Returns Markdown written by a host's user as one line of plain text. Quotes are removed, unless there is nothing
/// else.
pub(crate) fn text_of(markdown: &str) -> String {
    let blocks = untrusted(markdown);
    let (quotes, own): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| matches!(block, Block::Quote(_)));
    let shown = flatten(if own.is_empty() { quotes } else { own });
    plain_text(&spaced(shown)).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a rendered plain text slot as one line: values, and helpers' markup reduced to its text.
pub fn plain(rendered: &str) -> String {
    read(shield::pieces(rendered)).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a URL from a rendered template, with values encoded.
pub(crate) fn address_of(rendered: &str) -> String {
    address(shield::pieces(rendered))
}

fn address<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> String {
    WebUrl::join(pieces.map(|piece| match piece {
        Piece::Own(own) => (own.into(), false),
        Piece::Value(value) => (shield::text(value), true),
        Piece::Splice(inside) => (plain_text(&flatten(Splice::tree(inside))).into(), true),
    }))
}

/// Returns text in which markup has no meaning.
fn read<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Own(own) => text.push_str(own),
            Piece::Value(value) => text.push_str(&shield::text(value)),
            Piece::Splice(inside) => text.push_str(&plain_text(&flatten(Splice::tree(inside)))),
        }
    }
    text
}

/// Author of the Markdown: a template, which is trusted, or a host's user, who is not.
#[derive(Clone, Copy, PartialEq)]
enum Author {
    Template,
    Untrusted,
}

/// Maximum nesting depth of blocks and inlines. Deeper content joins its container. A seventeenth nested quote is not
/// readable, and untrusted text must not determine the depth of the program's stack.
const MAX_DEPTH: usize = 16;

/// Builder of a tree: a stack of open containers.
struct Tree<'a> {
    author: Author,
    skeleton: &'a Skeleton<'a>,
    stack: Vec<Open>,
    /// Number of containers inside the last one on the stack that were not opened because they nest too deep.
    unopened: usize,
}

/// Type of an open container.
enum Container {
    Root,
    Paragraph,
    Heading,
    Item,
    List(Option<u64>),
    Quote,
    Code,
    Html,
    Table,
    Row,
    Cell,
    Strong,
    Emphasis,
    Strike,
    Link(Option<WebUrl>),
    /// Container without a form in the message; its content is kept.
    Other,
}

struct Open {
    container: Container,
    blocks: Vec<Block>,
    inlines: Vec<Inline>,
    items: Vec<Vec<Block>>,
    rows: Vec<Vec<Vec<Inline>>>,
    cells: Vec<Vec<Inline>>,
}

impl Open {
    fn new(container: Container) -> Self {
        Self { container, blocks: vec![], inlines: vec![], items: vec![], rows: vec![], cells: vec![] }
    }

    /// Wraps text that is directly in a container of blocks, as in a tight list, in a paragraph.
    fn close_loose_text(&mut self) {
        let mut inlines = tidy(std::mem::take(&mut self.inlines));
        while matches!(inlines.last(), Some(Inline::Break)) {
            inlines.pop();
        }
        if !is_blank(&inlines) {
            self.blocks.push(Block::Paragraph(inlines));
        }
    }

    fn into_blocks(mut self) -> Vec<Block> {
        self.close_loose_text();
        self.blocks
    }
}

impl<'a> Tree<'a> {
    fn parse(skeleton: &'a Skeleton<'a>, author: Author) -> Vec<Block> {
        let mut options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
        if author == Author::Untrusted {
            options |= Options::ENABLE_TASKLISTS;
        }
        let mut tree = Self { author, skeleton, stack: vec![Open::new(Container::Root)], unopened: 0 };
        for event in Parser::new_ext(skeleton.as_str(), options) {
            tree.take(event);
        }
        while tree.stack.len() > 1 {
            tree.close();
        }
        tree.stack.pop().map(Open::into_blocks).unwrap_or_default()
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => {
                // Items, rows and cells are always opened, because their parents depend on them.
                let part = matches!(tag, Tag::Item | Tag::TableHead | Tag::TableRow | Tag::TableCell);
                if self.unopened > 0 || (!part && self.stack.len() >= MAX_DEPTH) {
                    self.unopened += 1;
                    self.separate();
                } else {
                    let container = self.container(tag);
                    self.stack.push(Open::new(container));
                }
            }
            Event::End(_) if self.unopened > 0 => self.unopened -= 1,
            Event::End(_) => self.close(),
            Event::InlineHtml(html) if self.author == Author::Untrusted && is_comment(&html) => {}
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) => {
                let code = one_line(self.read(&text));
                self.inline(Inline::Code(code));
            }
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.text(&text),
            Event::SoftBreak => match self.author {
                Author::Template => self.inline(Inline::Text(" ".into())),
                // Hosts show the line breaks of a user's text.
                Author::Untrusted => self.inline(Inline::Break),
            },
            Event::HardBreak => self.inline(Inline::Break),
            Event::Rule => self.block(Block::Rule),
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
        }
    }

    fn text(&mut self, leaf: &str) {
        if matches!(self.top().container, Container::Code) {
            let text = self.read(leaf);
            self.inline(Inline::Text(text));
            return;
        }
        let mut text = String::with_capacity(leaf.len());
        for piece in self.skeleton.pieces(leaf) {
            match piece {
                Piece::Own(own) => text.push_str(own),
                Piece::Value(value) => text.push_str(&shield::text(value)),
                Piece::Splice(inside) => {
                    self.plain(std::mem::take(&mut text));
                    self.splice(Splice::tree(inside));
                }
            }
        }
        self.plain(self.sanitized(text));
    }

    /// Returns the text of a leaf in which markup has no meaning, such as code.
    fn read(&self, leaf: &str) -> String {
        self.sanitized(read(self.skeleton.pieces(leaf)))
    }

    /// Returns a URL in which values after the start are encoded.
    fn address(&self, leaf: &str) -> String {
        self.sanitized(address(self.skeleton.pieces(leaf)))
    }

    /// Adds text in which line feeds are line breaks.
    fn plain(&mut self, text: String) {
        if !text.contains(['\n', '\t']) {
            if !text.is_empty() {
                self.inline(Inline::Text(text));
            }
            return;
        }
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                self.inline(Inline::Break);
            }
            if !line.is_empty() {
                self.inline(Inline::Text(line.replace('\t', " ")));
            }
        }
    }

    /// Adds a helper's tree: as blocks if it is alone in a paragraph or item, otherwise flattened into the text.
    fn splice(&mut self, tree: Vec<Block>) {
        match <[Block; 1]>::try_from(tree) {
            Ok([Block::Paragraph(inlines)]) => inlines.into_iter().for_each(|inline| self.inline(inline)),
            Ok([block]) => self.splice_blocks(vec![block]),
            Err(blocks) => self.splice_blocks(blocks),
        }
    }

    fn splice_blocks(&mut self, blocks: Vec<Block>) {
        let in_paragraph = matches!(self.top().container, Container::Paragraph | Container::Item);
        let alone = is_blank(&self.top().inlines);
        if in_paragraph && alone {
            self.top().inlines.clear();
            self.top().blocks.extend(blocks);
        } else {
            flatten(blocks).into_iter().for_each(|inline| self.inline(inline));
        }
    }

    /// Removes unsafe characters from untrusted text. Character references such as `&#27;` bypass shielding.
    fn sanitized(&self, text: String) -> String {
        let safe = self.author == Author::Template || !text.contains(is_dropped);
        if safe { text } else { text.replace(is_dropped, "") }
    }

    fn top(&mut self) -> &mut Open {
        if self.stack.is_empty() {
            self.stack.push(Open::new(Container::Root));
        }
        let last = self.stack.len() - 1;
        &mut self.stack[last]
    }

    /// Adds a space before the content of a container that is not opened, if nothing else separates it.
    fn separate(&mut self) {
        let ends_with_space = |inline: &Inline| match inline {
            Inline::Text(text) => text.ends_with(char::is_whitespace),
            inline => matches!(inline, Inline::Break),
        };
        if self.top().inlines.last().is_some_and(|last| !ends_with_space(last)) {
            self.inline(Inline::Text(" ".into()));
        }
    }

    fn inline(&mut self, inline: Inline) {
        self.top().inlines.push(inline);
    }

    fn block(&mut self, block: Block) {
        let top = self.top();
        top.close_loose_text();
        top.blocks.push(block);
    }

    fn close(&mut self) {
        let Some(mut open) = self.stack.pop() else { return };
        match std::mem::replace(&mut open.container, Container::Other) {
            // Blocks that a helper spliced into a paragraph replace the paragraph.
            Container::Paragraph | Container::Root => {
                for block in open.into_blocks() {
                    self.block(block);
                }
            }
            Container::Heading => {
                let inlines = tidy(open.inlines);
                if self.author == Author::Untrusted && is_blank(&inlines) {
                    return;
                }
                self.block(match self.author {
                    Author::Template => Block::Heading(inlines),
                    Author::Untrusted => Block::Paragraph(vec![Inline::Strong(inlines)]),
                });
            }
            Container::Item => {
                let item = open.into_blocks();
                self.top().items.push(item);
            }
            // Empty items, lists and quotes are not shown.
            Container::List(_) if self.author == Author::Untrusted && open.items.iter().all(Vec::is_empty) => {}
            Container::List(start) => {
                open.items.retain(|item| self.author == Author::Template || !item.is_empty());
                self.block(Block::List { start, items: open.items });
            }
            Container::Quote => {
                let blocks = open.into_blocks();
                if self.author == Author::Template || !blocks.is_empty() {
                    self.block(Block::Quote(blocks));
                }
            }
            Container::Code => {
                let code =
                    open.inlines.iter().map(|inline| plain_text(std::slice::from_ref(inline))).collect::<String>();
                self.block(Block::Code(code.trim_end_matches('\n').to_owned()));
            }
            Container::Table => self.block(Block::Table(open.rows)),
            Container::Row => self.top().rows.push(open.cells),
            Container::Cell => self.top().cells.push(tidy(open.inlines)),
            Container::Strong => self.wrapped(open.inlines, Inline::Strong),
            Container::Emphasis => self.wrapped(open.inlines, Inline::Emphasis),
            Container::Strike => self.wrapped(open.inlines, Inline::Strike),
            Container::Link(target) => self.link(target, open.inlines),
            Container::Html => {
                if self.author == Author::Untrusted {
                    open.inlines = without_comments(open.inlines);
                }
                open.into_blocks().into_iter().for_each(|block| self.block(block));
            }
            Container::Other => self.join(open),
        }
    }

    /// Moves the content of a container to its parent.
    fn join(&mut self, mut open: Open) {
        open.blocks.extend(std::mem::take(&mut open.items).into_iter().flatten());
        open.inlines.extend(std::mem::take(&mut open.rows).into_iter().flat_map(table_row));
        for cell in std::mem::take(&mut open.cells) {
            open.inlines.extend(cell);
            open.inlines.push(Inline::Text(" ".into()));
        }
        if open.blocks.is_empty() {
            open.inlines.into_iter().for_each(|inline| self.inline(inline));
        } else {
            open.into_blocks().into_iter().for_each(|block| self.block(block));
        }
    }

    fn wrapped(&mut self, inlines: Vec<Inline>, wrap: fn(Vec<Inline>) -> Inline) {
        if !is_blank(&inlines) {
            self.inline(wrap(inlines));
        }
    }

    fn link(&mut self, target: Option<WebUrl>, text: Vec<Inline>) {
        let Some(url) = target else {
            text.into_iter().for_each(|inline| self.inline(inline));
            return;
        };
        if self.author == Author::Untrusted && names_another_host(&plain_text(&text), &url) {
            text.into_iter().for_each(|inline| self.inline(inline));
            self.inline(Inline::Text(format!(" ({url})")));
        } else if is_blank(&text) {
            let text = vec![Inline::Text(url.to_string())];
            self.inline(Inline::Link { url, text });
        } else {
            let text = if text.iter().all(is_leaf) { text } else { spaced(without_links(&text)) };
            self.inline(Inline::Link { url, text });
        }
    }

    fn container(&self, tag: Tag<'_>) -> Container {
        match tag {
            Tag::Paragraph => Container::Paragraph,
            Tag::Heading { .. } => Container::Heading,
            Tag::BlockQuote(_) => Container::Quote,
            Tag::CodeBlock(_) => Container::Code,
            Tag::List(start) => Container::List(start),
            Tag::Item => Container::Item,
            Tag::Table(_) => Container::Table,
            Tag::TableHead | Tag::TableRow => Container::Row,
            Tag::TableCell => Container::Cell,
            Tag::Strong => Container::Strong,
            Tag::Emphasis => Container::Emphasis,
            Tag::Strikethrough => Container::Strike,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                Container::Link(WebUrl::parse(&self.address(&dest_url)))
            }
            Tag::HtmlBlock => Container::Html,
            _ => Container::Other,
        }
    }
}

fn is_leaf(inline: &Inline) -> bool {
    matches!(inline, Inline::Text(_) | Inline::Code(_) | Inline::Mention(_))
}

/// Returns true for an HTML comment. Comments are notes to the author; pull request templates contain many.
fn is_comment(html: &str) -> bool {
    html.starts_with("<!--") && html.ends_with("-->")
}

/// Removes the comments from a block of HTML. A comment that is not closed extends to the end.
fn without_comments(inlines: Vec<Inline>) -> Vec<Inline> {
    let text = |inline: &Inline| match inline {
        Inline::Text(text) => text.clone(),
        _ => "\n".to_owned(),
    };
    let html: String = inlines.iter().map(text).collect();
    if !html.contains("<!--") {
        return inlines;
    }
    let (mut left, mut rest) = (String::new(), html.as_str());
    while let Some((before, comment)) = rest.split_once("<!--") {
        left.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    let lines: Vec<_> = left.trim().lines().map(|line| Inline::Text(line.to_owned())).collect();
    lines.into_iter().flat_map(|line| [line, Inline::Break]).collect()
}

/// Joins adjacent texts and removes empty ones.
fn tidy(inlines: Vec<Inline>) -> Vec<Inline> {
    let is_tidy = |pair: &[Inline]| !matches!(pair, [Inline::Text(_), Inline::Text(_)]);
    let holds = |inline: &Inline| match inline {
        Inline::Text(text) | Inline::Code(text) => !text.is_empty(),
        Inline::Link { text, .. } => text.iter().all(is_leaf),
        inline => matches!(inline, Inline::Break | Inline::Mention(_)),
    };
    if inlines.iter().all(holds) && inlines.windows(2).all(is_tidy) {
        return inlines;
    }
    let mut tidied: Vec<Inline> = vec![];
    for inline in inlines {
        match (tidied.last_mut(), inline) {
            (_, Inline::Text(text) | Inline::Code(text)) if text.is_empty() => {}
            (Some(Inline::Text(before)), Inline::Text(text)) => before.push_str(&text),
            (_, Inline::Strong(c)) => tidied.push(Inline::Strong(tidy(c))),
            (_, Inline::Emphasis(c)) => tidied.push(Inline::Emphasis(tidy(c))),
            (_, Inline::Strike(c)) => tidied.push(Inline::Strike(tidy(c))),
            (_, Inline::Link { url, text }) => tidied.push(Inline::Link { url, text: tidy(text) }),
            (_, inline) => tidied.push(inline),
        }
    }
    tidied
}

#[cfg(test)]
mod tests;
