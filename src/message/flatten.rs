//! Conversion of blocks into inline text, for slots that cannot contain blocks.

use super::{Block, Inline};

/// Converts blocks into inline text.
pub fn flatten(blocks: Vec<Block>) -> Vec<Inline> {
    let mut inlines: Vec<Inline> = vec![];
    for block in blocks {
        let run = match block {
            Block::Paragraph(run) | Block::Heading(run) => run,
            Block::List { items, .. } => items
                .into_iter()
                .flat_map(|item| {
                    let mut run = vec![Inline::Text("• ".into())];
                    run.extend(flatten(item));
                    run.push(Inline::Break);
                    run
                })
                .collect(),
            Block::Quote(blocks) => flatten(blocks),
            Block::Code(code) => vec![Inline::Code(one_line(code))],
            Block::Table(rows) => rows.into_iter().flat_map(table_row).collect(),
            Block::Rule => continue,
        };
        if !inlines.is_empty() && !matches!(inlines.last(), Some(Inline::Break)) {
            inlines.push(Inline::Break);
        }
        inlines.extend(run);
    }
    while matches!(inlines.last(), Some(Inline::Break)) {
        inlines.pop();
    }
    inlines
}

pub(super) fn table_row(cells: Vec<Vec<Inline>>) -> Vec<Inline> {
    let mut run = vec![];
    for (n, cell) in cells.into_iter().enumerate() {
        if n > 0 {
            run.push(Inline::Text(" · ".into()));
        }
        run.extend(cell);
    }
    run.push(Inline::Break);
    run
}

/// Replaces line breaks by spaces.
pub(super) fn spaced(mut inlines: Vec<Inline>) -> Vec<Inline> {
    spaces_for_breaks(&mut inlines);
    inlines
}

fn spaces_for_breaks(inlines: &mut [Inline]) {
    for inline in inlines {
        match inline {
            Inline::Break => *inline = Inline::Text(" ".into()),
            Inline::Strong(c) | Inline::Emphasis(c) | Inline::Strike(c) | Inline::Link { text: c, .. } => {
                spaces_for_breaks(c);
            }
            Inline::Text(_) | Inline::Code(_) | Inline::Mention(_) => {}
        }
    }
}

/// Replaces line feeds and tabs by spaces.
pub(super) fn one_line(text: String) -> String {
    if text.contains(['\n', '\t']) { text.replace(['\n', '\t'], " ") } else { text }
}
