//! The main figures as a picture: groups of bars, in colours that are readable on light and dark pages.

use std::fmt::Write as _;
use std::path::Path;

use crate::report::{Report, short};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 220.0;
const BARS: f64 = WIDTH - LABELS - 90.0;
const ROW: f64 = 24.0;
const OURS: &str = "#3b82d6";
const OTHERS: &str = "#8b949e";
const TEXT: &str = "#7d8590";

struct Group {
    title: &'static str,
    unit: &'static str,
    rows: Vec<(&'static str, Option<f64>)>,
}

/// Draws the figures of the report. Rows whose name starts with Hookbell are highlighted.
pub(crate) fn write(report: &Report, path: &Path) {
    let (value, baseline) = (|id| report.value(id), |id| report.baseline(id));
    let groups = [
        Group {
            title: "delivered, durable, 16 lanes (more is better)",
            unit: "/s",
            rows: vec![("Hookbell", value("deliver.rate")), ("a naive whole", baseline("deliver.rate"))],
        },
        Group {
            title: "processor time for 1,000 events (less is better)",
            unit: "s",
            rows: vec![("Hookbell", value("deliver.cpu")), ("a naive whole", baseline("deliver.cpu"))],
        },
        Group {
            title: "acknowledged, nothing delivered (more is better)",
            unit: "/s",
            rows: vec![
                ("Hookbell: stored and routed", value("accept.rate")),
                ("SQLite alone", baseline("accept.rate")),
                ("a file and fdatasync alone", value("floor.file")),
                ("verified and parsed, not kept", value("floor.verified")),
            ],
        },
        Group {
            title: "until acknowledged, at 1,000 a second (less is better)",
            unit: "ms",
            rows: vec![
                ("Hookbell, median", value("open.ack.p50")),
                ("SQLite alone, median", baseline("open.ack.p50")),
                ("Hookbell, 99 of 100", value("open.ack.p99")),
                ("SQLite alone, 99 of 100", baseline("open.ack.p99")),
            ],
        },
    ];
    let (mut drawn, mut y) = (String::new(), 8.0);
    for group in &groups {
        let rows: Vec<_> = group.rows.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        if rows.is_empty() {
            continue;
        }
        y += 18.0;
        writeln!(drawn, "<text x=\"0\" y=\"{y}\" font-weight=\"600\">{}</text>", group.title).unwrap();
        y += 10.0;
        let most = rows.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (name, value) in rows {
            let (length, colour) = (value / most * BARS, if name.starts_with("Hookbell") { OURS } else { OTHERS });
            let baseline = y + ROW * 0.62;
            let end = LABELS + length + 8.0;
            writeln!(
                drawn,
                "<text x=\"{:.0}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name}</text>\n\
                 <rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{colour}\"/>\n\
                 <text x=\"{end:.1}\" y=\"{baseline:.1}\">{} {}</text>",
                LABELS - 10.0,
                y + 3.0,
                ROW - 7.0,
                short(value),
                group.unit,
            )
            .unwrap();
            y += ROW;
        }
        y += 14.0;
    }
    let picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" height=\"{y:.0}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\" font-size=\"13\" fill=\"{TEXT}\">\n\
         <title>Hookbell compared with its floors</title>\n<desc>{}</desc>\n{drawn}</svg>\n",
        report.circumstances()
    );
    std::fs::write(path, picture).unwrap();
}
