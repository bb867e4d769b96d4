//! Tables as text, for chats without tables.

use unicode_width::UnicodeWidthStr;

use super::{Inline, plain_text};

/// Maximum width to which a column is padded.
const MAX_WIDTH: usize = 40;

/// Renders a table as lines of text with aligned columns, for a fixed-width font.
pub fn as_text(rows: &[Vec<Vec<Inline>>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain_text(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|n| width(n).min(MAX_WIDTH)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            format!("{cell}{gap}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
