//! Discord's Markdown. It has backslash escapes, but not in link labels and code: there, markup characters are replaced
//! with look-alikes.

use crate::message::table::as_text;
use crate::message::{Block, Inline, Ping};

pub(super) fn blocks(blocks: &[Block], prefix: &str) -> String {
    let mut text = String::new();
    for (n, block) in blocks.iter().enumerate() {
        let drawn = match block {
            Block::Paragraph(run) => prefixed(&inlines(run), prefix),
            Block::Heading(run) => prefixed(&inlines(&[Inline::Strong(run.clone())]), prefix),
            Block::List { start, items } => list(*start, items, prefix),
            Block::Quote(inner) => quote(inner, prefix),
            Block::Code(code) => fence(code, prefix),
            Block::Table(rows) => fence(&as_text(rows), prefix),
            Block::Rule => String::new(),
        };
        if drawn.trim().is_empty() {
            continue;
        }
        if !text.is_empty() {
            // A list follows the text above it without a blank line.
            let gap = if matches!(block, Block::List { .. }) || n == 0 { "\n" } else { "\n\n" };
            text.push_str(&if prefix.is_empty() { gap.to_owned() } else { gap.replace('\n', &format!("\n{prefix}")) });
            text.truncate(text.len() - prefix.len());
        }
        text.push_str(&drawn);
    }
    text
}

/// Adds the prefix to every line.
fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n")
}

/// Discord does not support nested quotes.
fn quote(inner: &[Block], prefix: &str) -> String {
    if prefix.contains('>') { blocks(inner, prefix) } else { blocks(inner, &format!("{prefix}> ")) }
}

fn list(start: Option<u64>, items: &[Vec<Block>], prefix: &str) -> String {
    let mut text = String::with_capacity(items.len() * 128);
    let begin_line = |text: &mut String| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(prefix);
    };
    for (n, item) in items.iter().enumerate() {
        let marker = start.map_or("- ".to_owned(), |first| format!("{}. ", first + n as u64));
        if let [Block::Paragraph(run)] = item.as_slice()
            && !run.contains(&Inline::Break)
        {
            begin_line(&mut text);
            text.push_str(&marker);
            inlines_into(run, Marks::default(), &mut text);
            continue;
        }
        let hanging = " ".repeat(marker.len());
        let drawn = blocks(item, "");
        for (n, line) in drawn.lines().filter(|line| !line.is_empty()).enumerate() {
            begin_line(&mut text);
            text.push_str(if n == 0 { &marker } else { &hanging });
            text.push_str(line);
        }
    }
    text
}

fn fence(code: &str, prefix: &str) -> String {
    if code.trim().is_empty() {
        return String::new();
    }
    prefixed(&format!("```\n{}\n```", code.replace('`', LIKE_BACKTICK)), prefix)
}

/// Look-alike of a backtick, for places where a backtick would end the code.
const LIKE_BACKTICK: &str = "ˋ";

pub(super) fn inlines(run: &[Inline]) -> String {
    let mut text = String::with_capacity(256);
    inlines_into(run, Marks::default(), &mut text);
    text
}

/// Open marks. A mark within itself would end the outer one.
#[derive(Clone, Copy, Default)]
struct Marks {
    bold: bool,
    italic: bool,
    strike: bool,
}

fn inlines_into(run: &[Inline], open: Marks, text: &mut String) {
    let marked = |mark: &str, inner: &[Inline], open: Marks, text: &mut String| {
        let mut drawn = String::new();
        inlines_into(inner, open, &mut drawn);
        text.push_str(&wrapped(mark, &drawn));
    };
    for inline in run {
        match inline {
            Inline::Text(plain) => escape_into(plain, text),
            Inline::Mention(ping) => escape_into(&ping.name, text),
            Inline::Code(code) => text.push_str(&code_span(code)),
            Inline::Strong(inner) if !open.bold => marked("**", inner, Marks { bold: true, ..open }, text),
            Inline::Emphasis(inner) if !open.italic => marked("*", inner, Marks { italic: true, ..open }, text),
            Inline::Strike(inner) if !open.strike => marked("~~", inner, Marks { strike: true, ..open }, text),
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => inlines_into(inner, open, text),
            Inline::Link { url, text: label } => {
                text.push('[');
                label_into(label, text);
                text.push_str("](<");
                for c in url.as_str().chars() {
                    match c {
                        '(' => text.push_str("%28"),
                        ')' => text.push_str("%29"),
                        c => text.push(c),
                    }
                }
                text.push_str(">)");
            }
            Inline::Break => text.push('\n'),
        }
    }
}

/// Puts marks around a text, but not around its leading and trailing spaces, where Discord would not parse them.
fn wrapped(mark: &str, inner: &str) -> String {
    let core = inner.trim();
    if core.is_empty() {
        return inner.to_owned();
    }
    let (before, after) = (inner.len() - inner.trim_start().len(), inner.trim_end().len());
    format!("{}{mark}{core}{mark}{}", &inner[..before], &inner[after..])
}

fn code_span(code: &str) -> String {
    let code = code.replace('`', LIKE_BACKTICK);
    if code.trim().is_empty() { code } else { format!("`{code}`") }
}

/// Renders the label of a link, where escapes do not work
/// (<https://github.com/discord/discord-api-docs/issues/6185>).
fn label_into(run: &[Inline], text: &mut String) {
    for inline in run {
        match inline {
            Inline::Text(plain) | Inline::Mention(Ping { name: plain, .. }) => {
                text.extend(plain.chars().map(look_alike));
            }
            Inline::Code(code) if code.trim().is_empty() => text.push_str(code),
            Inline::Code(code) => {
                text.push('`');
                text.extend(code.chars().map(look_alike));
                text.push('`');
            }
            Inline::Strong(inner)
            | Inline::Emphasis(inner)
            | Inline::Strike(inner)
            | Inline::Link { text: inner, .. } => {
                label_into(inner, text);
            }
            Inline::Break => text.push(' '),
        }
    }
}

/// Returns the most similar character that is not markup.
const fn look_alike(c: char) -> char {
    match c {
        '[' => '［',
        ']' => '］',
        '(' => '（',
        ')' => '）',
        '*' => '∗',
        '_' => 'ˍ',
        '`' => 'ˋ',
        '~' => '∼',
        '|' => '∣',
        '\\' => '∖',
        '<' => '‹',
        '>' => '›',
        c => c,
    }
}

/// Escapes plain text for a place where Markdown is parsed. URLs are not escaped, because a backslash in a URL would be
/// visible and part of its target.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    escape_into(text, &mut escaped);
    escaped
}

fn escape_into(text: &str, escaped: &mut String) {
    // What precedes a character decides for some marks: nothing but spaces, or nothing but digits.
    let (mut only_spaces, mut only_digits, mut digits) = (true, true, 0);
    let (mut at, mut before) = (0, None);
    for (n, word) in text.split(' ').enumerate() {
        if n > 0 {
            escaped.push(' ');
            at += 1;
            (only_digits, before) = (false, Some(' '));
        }
        if is_address(word) {
            escaped.push_str(word);
            (only_spaces, only_digits, before) = (false, false, word.chars().next_back());
            at += word.len();
            continue;
        }
        for c in word.chars() {
            at += c.len_utf8();
            let after = &text[at..];
            let is_markup = match c {
                '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '@' => true,
                // Headings, lists and quotes start only at the start of a line.
                '#' | '-' | '+' | '>' => only_spaces,
                // The name of an emoji ends with another colon.
                ':' => {
                    let end = after.find(|c: char| c == ':' || c.is_whitespace());
                    end.is_some_and(|end| after[end..].starts_with(':')) || before == Some(':')
                }
                // A number and a period start a numbered list.
                '.' => only_digits && digits > 0 && after.chars().next().is_none_or(char::is_whitespace),
                _ => false,
            };
            if is_markup {
                escaped.push('\\');
            }
            escaped.push(c);
            only_spaces = only_spaces && c.is_whitespace();
            only_digits = only_digits && c.is_ascii_digit();
            digits += usize::from(c.is_ascii_digit());
            before = Some(c);
        }
    }
}

/// Returns true for a bare URL without characters that could be markup in a URL.
fn is_address(word: &str) -> bool {
    let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_alphanumeric() || "._-/?#=&%+,;@!$'".contains(c) || c == ':' || c == '~')
            && !rest.contains("__")
            && !rest.contains("~~")
    })
}
