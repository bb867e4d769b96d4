//! The report: figures, each with the figure of the same run that it is compared with, and their targets.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::system::Disk;

/// Target of a figure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// At least this multiple of the compared figure.
    TimesAtLeast(f64),
    /// At most this multiple of the compared figure.
    TimesAtMost(f64),
    /// At most this value.
    AtMost(f64),
}

/// A figure.
#[derive(Clone)]
pub(crate) struct Figure {
    /// Name for programs.
    pub(crate) id: &'static str,
    /// Name for people.
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// Name and value of the compared figure.
    baseline: Option<(&'static str, f64)>,
    /// Lowest and highest ratio of all rounds; both values are those of the median round.
    spread: Option<(f64, f64)>,
    /// What it must reach.
    must: Option<Bar>,
    /// What it should reach, if that is more.
    goal: Option<Bar>,
}

impl Figure {
    pub(crate) fn new(id: &'static str, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { id, name: name.into(), value, unit, baseline: None, spread: None, must: None, goal: None }
    }

    /// Compares in rounds: each has a value and the compared value.
    pub(crate) fn rounds(
        id: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        other: &'static str,
        mut rounds: Vec<(f64, f64)>,
    ) -> Self {
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (value, baseline) = rounds[rounds.len() / 2];
        let ratio = |(value, baseline): (f64, f64)| value / baseline;
        let spread = Some((ratio(rounds[0]), ratio(rounds[rounds.len() - 1])));
        Self { baseline: Some((other, baseline)), spread, ..Self::new(id, name, value, unit) }
    }

    /// Sets what the figure must reach.
    pub(crate) fn must(self, bar: Bar) -> Self {
        Self { must: Some(bar), ..self }
    }

    /// Sets what the figure should reach.
    pub(crate) fn goal(self, bar: Bar) -> Self {
        Self { goal: Some(bar), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline.map(|(_, baseline)| self.value / baseline)
    }

    /// Returns true if the figure reaches what it must. A missing value does not.
    pub(crate) fn met(&self) -> Option<bool> {
        self.must.map(|bar| self.reaches(bar))
    }

    fn reaches(&self, bar: Bar) -> bool {
        match (bar, self.ratio()) {
            (Bar::AtMost(most), _) => self.value <= most,
            (Bar::TimesAtLeast(least), Some(ratio)) => ratio >= least,
            (Bar::TimesAtMost(most), Some(ratio)) => ratio <= most,
            (_, None) => false,
        }
    }

    fn json(&self) -> Value {
        let [must, goal] = [self.must, self.goal].map(|bar| {
            bar.map(|bar| match bar {
                Bar::TimesAtLeast(least) => json!({ "times_at_least": least }),
                Bar::TimesAtMost(most) => json!({ "times_at_most": most }),
                Bar::AtMost(most) => json!({ "at_most": most }),
            })
        });
        json!({
            "id": self.id, "name": self.name, "value": self.value, "unit": self.unit,
            "baseline": self.baseline.map(|(name, value)| json!({ "name": name, "value": value })),
            "ratio": self.ratio(), "lowest_ratio": self.spread.map(|spread| spread.0),
            "highest_ratio": self.spread.map(|spread| spread.1), "must": must, "goal": goal, "met": self.met(),
            "goal_met": self.goal.map(|bar| self.reaches(bar)),
        })
    }
}

/// All figures of a run.
pub(crate) struct Report {
    disk: Disk,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(disk: Disk) -> Self {
        Self { disk, figures: vec![] }
    }

    pub(crate) fn value(&self, id: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.id == id).map(|figure| figure.value)
    }

    /// Returns the value that the figure of this name is compared with.
    pub(crate) fn baseline(&self, id: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.id == id)?.baseline.map(|(_, value)| value)
    }

    pub(crate) fn print(&self) {
        println!("\n{}", self.circumstances());
        let mut rows =
            vec![["figure", "", "baseline", "times", "of all rounds", "must", "", "goal", ""].map(ToOwned::to_owned)];
        for figure in &self.figures {
            let ratio = figure.ratio().map(|ratio| format!("{ratio:.2}"));
            let spread = figure.spread.filter(|(lowest, highest)| lowest != highest);
            rows.push([
                figure.name.clone(),
                format!("{} {}", short(figure.value), figure.unit),
                figure.baseline.map(|(name, value)| format!("{} {name}", short(value))).unwrap_or_default(),
                ratio.unwrap_or_default(),
                spread.map(|(lowest, highest)| format!("{lowest:.2}–{highest:.2}")).unwrap_or_default(),
                figure.must.map(|bar| bar.text(figure.unit)).unwrap_or_default(),
                word(figure.met()),
                figure.goal.map(|bar| bar.text(figure.unit)).unwrap_or_default(),
                word(figure.goal.map(|bar| figure.reaches(bar))),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..9).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// Returns the conditions that the figures depend on.
    pub(crate) fn circumstances(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (p50, p99) = (short(self.disk.latency.p50), short(self.disk.latency.p99));
        let mut text = format!("{cores} cores, shared by the load, the sink and what is measured");
        write!(text, "; disk: {} writes of 4 KB with fdatasync a second", short(self.disk.per_second)).unwrap();
        write!(text, ", {p50} ms p50, {p99} ms p99").unwrap();
        text
    }

    pub(crate) fn write_json(&self, path: &Path) {
        let figures: Vec<_> = self.figures.iter().map(Figure::json).collect();
        let disk = &self.disk;
        let disk = json!({ "per_second": disk.per_second, "p50_ms": disk.latency.p50, "p99_ms": disk.latency.p99 });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let whole = json!({ "cores": cores, "disk": disk, "figures": figures });
        std::fs::write(path, format!("{whole:#}\n")).unwrap();
    }
}

impl Bar {
    fn text(self, unit: &str) -> String {
        match self {
            Self::TimesAtLeast(least) => format!("≥ {least} ×"),
            Self::TimesAtMost(most) => format!("≤ {most} ×"),
            Self::AtMost(most) => format!("≤ {} {unit}", short(most)),
        }
    }
}

fn word(met: Option<bool>) -> String {
    met.map(|met| if met { "met" } else { "NOT MET" }).unwrap_or_default().to_owned()
}

/// Formats with three significant digits and separated thousands.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if size < 1_000.0 {
        let digits = if size == 0.0 || size.fract() == 0.0 || size >= 100.0 {
            0
        } else if size >= 10.0 {
            1
        } else {
            2
        };
        let digits = if size > 0.0 && size < 0.1 { 3 } else { digits };
        format!("{value:.digits$}")
    } else {
        let whole = format!("{value:.0}");
        let mut text = String::new();
        for (n, digit) in whole.chars().enumerate() {
            if n > 0 && (whole.len() - n).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }
}
