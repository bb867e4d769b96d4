//! A message as lines of a terminal: a bar in the accent's colour, the title, the text, facts in a column, links.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::Layout;
use crate::message::{Accent, Block, Inline, Message, Ping, WebUrl};

/// The bar at the left of every line, with the space behind it.
const BAR: &str = "▌ ";

/// Draws a message. Every line ends with a line feed.
pub fn draw(message: &Message, layout: Layout) -> String {
    let mut page = Page { layout, accent: accent(message.accent), lines: vec![] };
    let title = match &message.title {
        Some(title) => {
            let run = Run { text: inert(title), style: Style::new().bold(), url: message.url.clone() };
            vec![run]
        }
        None => runs(&message.line, Style::new(), None),
    };
    page.small(message.author.as_deref());
    page.wrapped(&title, "", "");
    page.pings(&message.pings);
    page.blocks(&message.body, "");
    if message.body.len() > 1 && !(message.fields.is_empty() && message.buttons.is_empty()) {
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

/// A piece of text that looks the same throughout.
#[derive(Clone)]
struct Run {
    text: String,
    style: Style,
    url: Option<WebUrl>,
}

/// The message's lines, drawn one below the other.
struct Page {
    layout: Layout,
    accent: Style,
    lines: Vec<String>,
}

impl Page {
    fn finish(self) -> String {
        let bar = paint(BAR.trim_end(), self.accent, self.layout.colour);
        self.lines.iter().fold(String::new(), |mut drawn, line| {
            let _ = writeln!(drawn, "{}", format!("{bar} {line}").trim_end());
            drawn
        })
    }

    fn blocks(&mut self, blocks: &[Block], indent: &str) {
        for (n, block) in blocks.iter().enumerate() {
            // A list belongs to the text above it.
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
                        let line = inert(&line.replace('\t', "    "));
                        self.wrapped(&[Run { text: line, style: code_style(), url: None }], &format!("{indent}  "), "");
                    }
                }
                Block::Table(rows) => {
                    for row in rows {
                        let mut cells = vec![];
                        for (n, cell) in row.iter().enumerate() {
                            if n > 0 {
                                cells.push(Run { text: "  │  ".to_owned(), style: Style::new().dimmed(), url: None });
                            }
                            cells.extend(runs(cell, Style::new(), None));
                        }
                        self.wrapped(&cells, indent, indent);
                    }
                }
                Block::Rule => {
                    let rule = Run { text: "─".repeat(8), style: Style::new().dimmed(), url: None };
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

    /// Facts below each other, their values in one column.
    fn fields(&mut self, message: &Message) {
        let column = message.fields.iter().map(|field| inert(&field.name).width()).max().unwrap_or(0).min(20);
        for field in &message.fields {
            let name = inert(&field.name);
            let gap = " ".repeat(column.saturating_sub(name.width()) + 2);
            let mut line = vec![Run { text: format!("{name}{gap}"), style: Style::new().dimmed(), url: None }];
            line.extend(runs(&field.value, Style::new(), None));
            self.wrapped(&line, "", &" ".repeat(column + 2));
        }
    }

    /// Who is pinged, in the chats in which the config knows them.
    fn pings(&mut self, pings: &[Ping]) {
        let names = pings.iter().map(|ping| format!("@{}", inert(&ping.name))).collect::<Vec<_>>().join(" ");
        if !names.is_empty() {
            self.wrapped(&[Run { text: names, style: Style::new().bold(), url: None }], "", "");
        }
    }

    /// Small print.
    fn small(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.wrapped(&[Run { text: inert(text), style: Style::new().dimmed(), url: None }], "", "");
        }
    }

    /// Where the message leads.
    fn links(&mut self, message: &Message) {
        for button in &message.buttons {
            let label = Run { text: format!("{} ", inert(&button.label)), style: Style::new().bold(), url: None };
            self.link(Some(label), &button.url);
        }
        if let Some(url) = &message.image {
            let label = Run { text: "Image ".to_owned(), style: Style::new().bold(), url: None };
            self.link(Some(label), url);
        }
        if let Some(url) = message.url.as_ref().filter(|_| message.buttons.is_empty()) {
            self.link(None, url);
        }
    }

    /// An address in one piece: a wrapped one cannot be copied. On a terminal that is too narrow for it, what is
    /// shown is cut, and still leads there.
    fn link(&mut self, label: Option<Run>, url: &WebUrl) {
        let mut shown = inert(url.as_str());
        let used = BAR.width() + label.as_ref().map_or(0, |label| label.text.width());
        let room = self.layout.width.saturating_sub(used);
        if self.layout.colour && shown.width() > room {
            shown.truncate(fitting(&shown, room.saturating_sub(1)));
            shown.push('…');
        }
        let target = Run { text: shown, style: Style::new().dimmed(), url: Some(url.clone()) };
        let line: String = label.iter().chain([&target]).map(|run| self.paint(run)).collect();
        self.lines.push(line);
    }

    /// Runs as lines of at most the layout's width, broken between words where there are any.
    fn wrapped(&mut self, runs: &[Run], first_indent: &str, next_indent: &str) {
        let room = |indent: &str| self.layout.width.saturating_sub(BAR.width() + indent.width()).max(10);
        let mut lines: Vec<Vec<Run>> = vec![vec![]];
        let mut left = room(first_indent);
        let full = room(next_indent);
        for run in runs {
            for (n, part) in run.text.split('\n').enumerate() {
                if n > 0 {
                    lines.push(vec![]);
                    left = full;
                }
                for word in words(part) {
                    let mut word = word;
                    let shown = word.trim_end().width();
                    let begun = lines.last().is_some_and(|line| !line.is_empty());
                    if shown > left && begun {
                        lines.push(vec![]);
                        left = full;
                    }
                    while word.trim_end().width() > left {
                        let cut = fitting(word, left);
                        let piece = Run { text: word[..cut].to_owned(), ..run.clone() };
                        lines.last_mut().into_iter().for_each(|line| line.push(piece.clone()));
                        lines.push(vec![]);
                        left = full;
                        word = &word[cut..];
                    }
                    left = left.saturating_sub(word.width());
                    let piece = Run { text: word.to_owned(), ..run.clone() };
                    lines.last_mut().into_iter().for_each(|line| line.push(piece.clone()));
                }
            }
        }
        for (n, line) in lines.into_iter().enumerate() {
            let indent = if n == 0 { first_indent } else { next_indent };
            let drawn: String = joined(line).iter().map(|run| self.paint(run)).collect();
            self.lines.push(format!("{indent}{}", drawn.trim_end()));
        }
    }

    fn paint(&self, run: &Run) -> String {
        let painted = paint(&run.text, run.style, self.layout.colour);
        match &run.url {
            // OSC 8: <https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda>. An address that was
            // parsed holds no control character.
            Some(url) if self.layout.colour => format!("\x1b]8;;{url}\x1b\\{painted}\x1b]8;;\x1b\\"),
            _ => painted,
        }
    }
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour && !style.is_plain() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Neighbours that look alike become one, without the spaces at a line's end.
fn joined(runs: Vec<Run>) -> Vec<Run> {
    let mut line: Vec<Run> = vec![];
    for run in runs {
        match line.last_mut() {
            Some(last) if last.style == run.style && last.url == run.url => last.text.push_str(&run.text),
            _ => line.push(run),
        }
    }
    if let Some(last) = line.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
    line
}

/// Words with the spaces behind them.
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

/// How many bytes of a word fit into so many columns: at least one character.
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

fn runs(inlines: &[Inline], style: Style, url: Option<&WebUrl>) -> Vec<Run> {
    let run = |text: &str, style: Style| Run { text: inert(text), style, url: url.cloned() };
    let mut drawn = vec![];
    for inline in inlines {
        match inline {
            Inline::Text(text) => drawn.push(run(text, style)),
            Inline::Code(text) => drawn.push(run(text, code_style())),
            Inline::Strong(inner) => drawn.extend(runs(inner, style.bold(), url)),
            Inline::Emphasis(inner) => drawn.extend(runs(inner, style.italic(), url)),
            Inline::Strike(inner) => drawn.extend(runs(inner, style.strikethrough(), url)),
            Inline::Link { url, text } => drawn.extend(runs(text, style.underline(), Some(url))),
            Inline::Break => drawn.push(Run { text: "\n".to_owned(), style, url: None }),
        }
    }
    drawn
}

const fn code_style() -> Style {
    AnsiColor::Cyan.on_default()
}

/// A message holds no control character; whoever made it by other means than a template may have been careless.
fn inert(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
