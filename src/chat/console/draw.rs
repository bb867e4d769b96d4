//! Renders a message for a terminal: a bar in the accent's colour, the title, the text, fields in a column, links.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::Layout;
use crate::message::{Accent, Block, Inline, Message, WebUrl};

/// Bar at the left of every line, followed by a space.
const BAR: &str = "▌ ";

/// Renders a message. Every line ends with a line feed.
pub fn draw(message: &Message, layout: Layout) -> String {
    let mut page = Page { layout, accent: accent(message.accent), lines: vec![] };
    let title = match &message.title {
        Some(title) => runs(title, Style::new().bold(), message.url.as_ref()),
        None => runs(&message.line, Style::new(), None),
    };
    page.small(message.byline().as_deref());
    page.wrapped(&title, "", "");
    page.pings(message);
    page.blocks(&message.body, "");
    let has_more = !message.fields.is_empty() || message.further_links().next().is_some();
    if has_more && !message.body.is_empty() {
        page.lines.push(String::new());
    }
    page.fields(message);
    page.small(message.footer.as_deref());
    page.links(message);
    page.finish()
}

const fn accent(accent: Accent) -> Style {
    let colour = match accent {
        Accent::Info => AnsiColor::Blue,
        Accent::Success => AnsiColor::Green,
        Accent::Warning => AnsiColor::Yellow,
        Accent::Danger => AnsiColor::Red,
        Accent::Neutral => AnsiColor::BrightBlack,
    };
    colour.on_default()
}

/// Text in one style.
struct Run<'a> {
    text: Cow<'a, str>,
    style: Style,
    url: Option<&'a WebUrl>,
}

/// Rendered lines of a message.
struct Page {
    layout: Layout,
    accent: Style,
    lines: Vec<String>,
}

impl Page {
    fn finish(self) -> String {
        let mut bar = String::new();
        self.paint([BAR.trim_end()], self.accent, None, &mut bar);
        let mut drawn = String::new();
        for line in &self.lines {
            let _ = write!(drawn, "{bar} {line}");
            drawn.truncate(drawn.trim_end().len());
            drawn.push('\n');
        }
        drawn
    }

    fn blocks(&mut self, blocks: &[Block], indent: &str) {
        for (n, block) in blocks.iter().enumerate() {
            // A list follows the text above it without a blank line.
            if n > 0 && !matches!(block, Block::List { .. }) {
                self.lines.push(indent.trim_end().to_owned());
            }
            match block {
                Block::Paragraph(inlines) => self.wrapped(&runs(inlines, Style::new(), None), indent, indent),
                Block::Heading(inlines) => self.wrapped(&runs(inlines, Style::new().bold(), None), indent, indent),
                Block::List { start, items } => {
                    for (n, item) in items.iter().enumerate() {
                        let marker = start.map_or("• ".to_owned(), |first| format!("{}. ", first + n as u64));
                        self.item(item, indent, &marker);
                    }
                }
                Block::Quote(blocks) => self.blocks(blocks, &format!("{indent}│ ")),
                Block::Code(code) => {
                    for line in code.lines() {
                        let line = line.replace('\t', "    ");
                        self.wrapped(
                            &[Run { text: inert(&line), style: code_style(), url: None }],
                            &format!("{indent}  "),
                            "",
                        );
                    }
                }
                Block::Table(rows) => {
                    for row in rows {
                        let mut cells = vec![];
                        for (n, cell) in row.iter().enumerate() {
                            if n > 0 {
                                cells.push(Run { text: "  │  ".into(), style: Style::new().dimmed(), url: None });
                            }
                            cells.extend(runs(cell, Style::new(), None));
                        }
                        self.wrapped(&cells, indent, indent);
                    }
                }
                Block::Rule => {
                    let rule = Run { text: "─".repeat(8).into(), style: Style::new().dimmed(), url: None };
                    self.wrapped(&[rule], indent, indent);
                }
            }
        }
    }

    fn item(&mut self, item: &[Block], indent: &str, marker: &str) {
        let hanging = format!("{indent}{}", " ".repeat(marker.width()));
        let first = self.lines.len();
        self.blocks(item, &hanging);
        if let Some(line) = self.lines.get_mut(first) {
            *line = format!("{indent}{marker}{}", line.strip_prefix(&hanging).unwrap_or(line));
        }
    }

    /// Renders fields one per line, with their values in a column.
    fn fields(&mut self, message: &Message) {
        let column = message.fields.iter().map(|field| inert(&field.name).width()).max().unwrap_or(0).min(20);
        for field in &message.fields {
            let name = inert(&field.name);
            let gap = " ".repeat(column.saturating_sub(name.width()) + 2);
            let mut line = vec![Run { text: format!("{name}{gap}").into(), style: Style::new().dimmed(), url: None }];
            line.extend(runs(&field.value, Style::new(), None));
            self.wrapped(&line, "", &" ".repeat(column + 2));
        }
    }

    /// Renders the names of the people who are pinged in the chats in which the configuration knows them.
    /// Those whom a fact names are not named again.
    fn pings(&mut self, message: &Message) {
        let mentions = message.fields.iter().flat_map(|field| &field.value);
        let named = mentions.filter_map(|inline| match inline {
            Inline::Mention(ping) => Some(ping),
            _ => None,
        });
        let named: Vec<_> = named.collect();
        let pings = message.pings.iter().filter(|ping| !named.contains(ping));
        let names = pings.map(|ping| format!("@{}", inert(&ping.name))).collect::<Vec<_>>().join(" ");
        if !names.is_empty() {
            self.wrapped(&[Run { text: names.into(), style: Style::new().bold(), url: None }], "", "");
        }
    }

    /// Renders a dimmed line.
    fn small(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.wrapped(&[Run { text: inert(text), style: Style::new().dimmed(), url: None }], "", "");
        }
    }

    /// Renders the links of the message.
    fn links(&mut self, message: &Message) {
        for button in message.further_links() {
            self.link(&format!("{} ", inert(&button.label)), &button.url);
        }
        if let Some(url) = &message.image {
            self.link("Image ", url);
        }
        if let Some(url) = message.url.as_ref().filter(|_| message.further_links().next().is_none()) {
            self.link("", url);
        }
    }

    /// Renders a URL on one line, because a wrapped URL cannot be copied. On a terminal that is too narrow, the text is
    /// cut and still links to the URL.
    fn link(&mut self, label: &str, url: &WebUrl) {
        let mut shown = inert(url.as_str()).into_owned();
        let room = self.layout.width.saturating_sub(BAR.width() + label.width());
        if self.layout.colour && shown.width() > room {
            shown.truncate(fitting(&shown, room.saturating_sub(1)));
            shown.push('…');
        }
        let mut line = String::new();
        if !label.is_empty() {
            self.paint([label], Style::new().bold(), None, &mut line);
        }
        self.paint([shown.as_str()], Style::new().dimmed(), Some(url), &mut line);
        self.lines.push(line);
    }

    /// Wraps runs to the layout's width, between words if possible.
    fn wrapped(&mut self, runs: &[Run<'_>], first_indent: &str, next_indent: &str) {
        let room = |indent: &str| self.layout.width.saturating_sub(BAR.width() + indent.width()).max(10);
        let mut lines = Lines { done: vec![], open: vec![], left: room(first_indent), full: room(next_indent) };
        for run in runs {
            for (n, part) in run.text.split('\n').enumerate() {
                if n > 0 {
                    lines.end();
                }
                words(part).for_each(|word| lines.word(run, word));
            }
        }
        lines.end();
        for (n, line) in lines.done.into_iter().enumerate() {
            let mut drawn = if n == 0 { first_indent.to_owned() } else { next_indent.to_owned() };
            // Adjacent runs with the same style and URL are painted as one.
            for alike in line.chunk_by(|(a, _), (b, _)| a.style == b.style && a.url == b.url) {
                if let Some((run, _)) = alike.first() {
                    self.paint(alike.iter().map(|(_, word)| *word), run.style, run.url, &mut drawn);
                }
            }
            self.lines.push(drawn);
        }
    }

    /// Appends a styled text to a line, linked to a URL if there is one.
    fn paint<'a>(
        &self,
        text: impl IntoIterator<Item = &'a str>,
        style: Style,
        url: Option<&WebUrl>,
        line: &mut String,
    ) {
        let style = if self.layout.colour { style } else { Style::new() };
        // OSC 8: <https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda>. A parsed URL contains no control
        // characters.
        let url = url.filter(|_| self.layout.colour);
        if let Some(url) = url {
            let _ = write!(line, "\x1b]8;;{url}\x1b\\");
        }
        let _ = write!(line, "{style}");
        line.extend(text);
        let _ = write!(line, "{style:#}");
        if url.is_some() {
            line.push_str("\x1b]8;;\x1b\\");
        }
    }
}

/// Words being wrapped into lines.
struct Lines<'a> {
    done: Vec<Vec<(&'a Run<'a>, &'a str)>>,
    open: Vec<(&'a Run<'a>, &'a str)>,
    /// Columns left in the open line.
    left: usize,
    /// Columns of each later line.
    full: usize,
}

impl<'a> Lines<'a> {
    /// Adds a word with its trailing spaces. A word that is longer than a line is cut between grapheme clusters.
    fn word(&mut self, run: &'a Run<'a>, word: &'a str) {
        let is_long = |left: usize| word.trim_end().width() > left;
        if is_long(self.left) && !self.open.is_empty() {
            self.end();
        }
        let mut rest = word;
        if is_long(self.left) {
            while let (head, tail) = rest.split_at(fitting(rest.trim_end(), self.left))
                && !tail.trim_end().is_empty()
            {
                self.open.push((run, head));
                self.end();
                rest = tail;
            }
        }
        self.left = self.left.saturating_sub(rest.width());
        self.open.push((run, rest));
    }

    /// Ends the open line and trims its trailing spaces.
    fn end(&mut self) {
        while let Some((_, word)) = self.open.last_mut() {
            *word = word.trim_end();
            if !word.is_empty() {
                break;
            }
            self.open.pop();
        }
        self.done.push(std::mem::take(&mut self.open));
        self.left = self.full;
    }
}

/// Splits a text into words with their trailing spaces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(' ').unwrap_or(rest.len());
        let end = rest[word..].find(|c| c != ' ').map_or(rest.len(), |spaces| word + spaces);
        let (head, tail) = rest.split_at(end);
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

/// Returns the number of bytes of a word that fit into `columns`; at least one grapheme cluster.
fn fitting(word: &str, columns: usize) -> usize {
    use unicode_segmentation::UnicodeSegmentation;
    let mut used = 0;
    for (at, grapheme) in word.grapheme_indices(true) {
        used += grapheme.width();
        if used > columns && at > 0 {
            return at;
        }
    }
    word.len()
}

fn runs<'a>(inlines: &'a [Inline], style: Style, url: Option<&'a WebUrl>) -> Vec<Run<'a>> {
    let mut drawn = vec![];
    for inline in inlines {
        match inline {
            Inline::Text(text) => drawn.push(Run { text: inert(text), style, url }),
            Inline::Code(text) => drawn.push(Run { text: inert(text), style: code_style(), url }),
            Inline::Mention(ping) => drawn.push(Run { text: inert(&ping.name), style, url }),
            Inline::Strong(inner) => drawn.extend(runs(inner, style.bold(), url)),
            Inline::Emphasis(inner) => drawn.extend(runs(inner, style.italic(), url)),
            Inline::Strike(inner) => drawn.extend(runs(inner, style.strikethrough(), url)),
            Inline::Link { url, text } => drawn.extend(runs(text, style.underline(), Some(url))),
            Inline::Break => drawn.push(Run { text: "\n".into(), style, url: None }),
        }
    }
    drawn
}

const fn code_style() -> Style {
    AnsiColor::Cyan.on_default()
}

/// Replaces control characters with spaces. A rendered template contains none, but a message from other code might.
fn inert(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests;
