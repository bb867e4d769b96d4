//! What the command line asks for, and how long everything takes by it.

use std::path::PathBuf;
use std::time::Duration;

/// What is measured: its name, and whether it is when no name is given.
pub(crate) const SCENARIOS: [(&str, bool, &str); 10] = [
    ("floors", true, "what a bare handler, verifying, and keeping in SQLite or in a file allow"),
    ("accept", true, "acknowledged requests a second, with nothing delivered"),
    ("deliver", true, "from request to message, in 16 lanes: a second, processor, memory"),
    ("lane", true, "messages a second in one lane"),
    ("open", true, "latency at 1,000 requests a second"),
    ("chats", true, "latency while the chat is slow, or away"),
    ("outage", true, "what is lost and repeated when the chat goes away for seconds"),
    ("kill", true, "the same, with `kill -9` in between"),
    ("start", true, "from start to ready, and memory when idle"),
    ("million", false, "the same events when a million others wait"),
];

/// What runs.
pub(crate) struct Plan {
    /// No measurement, but a second of each, to see that it works.
    pub(crate) test: bool,
    /// Parts of names of scenarios; none is the usual ones.
    names: Vec<String>,
    /// How often what is held against a bar is measured, in turns with what it is held against.
    pub(crate) rounds: usize,
    /// Where stores and files are; their disk is measured.
    pub(crate) directory: PathBuf,
    pub(crate) json: Option<PathBuf>,
    pub(crate) picture: Option<PathBuf>,
}

impl Plan {
    /// Reads arguments. An error is how to use them.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        // `cargo bench` says so, `cargo test` does not.
        let mut plan =
            Self { test: true, names: vec![], rounds: 3, directory: std::env::temp_dir(), json: None, picture: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(usage);
            match argument.as_str() {
                "--bench" => plan.test = false,
                "--test" => plan.test = true,
                "--rounds" => plan.rounds = value()?.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(usage)?,
                "--dir" => plan.directory = value()?.into(),
                "--json" => plan.json = Some(value()?.into()),
                "--picture" => plan.picture = Some(value()?.into()),
                name if SCENARIOS.iter().any(|(known, ..)| known == &name) => plan.names.push(name.to_owned()),
                _ => return Err(usage()),
            }
        }
        if plan.test {
            plan.rounds = 1;
        }
        Ok(plan)
    }

    /// Whether a scenario is to run.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        let usual = SCENARIOS.iter().any(|(name, usual, _)| *name == scenario && *usual);
        self.names.iter().any(|name| name == scenario) || (self.names.is_empty() && usual)
    }

    fn or_in_test<T>(&self, value: T, in_test: T) -> T {
        if self.test { in_test } else { value }
    }

    /// How long a closed loop sends, if it does not run out of requests.
    pub(crate) fn time(&self) -> Duration {
        self.or_in_test(Duration::from_secs(3), Duration::from_millis(500))
    }

    /// How many requests there are.
    pub(crate) fn supply(&self) -> usize {
        self.or_in_test(50_000, 1_000)
    }

    /// How many are delivered where the rate of that is measured.
    pub(crate) fn deliveries(&self) -> usize {
        self.or_in_test(15_000, 300)
    }

    /// How many of these one lane delivers.
    pub(crate) fn in_one_lane(&self) -> usize {
        self.or_in_test(5_000, 200)
    }

    /// How many are due a second in open loops. Unoptimised, and beside other tests, it is fewer.
    pub(crate) fn per_second(&self) -> usize {
        self.or_in_test(1_000, 100)
    }

    /// How many are sent before an open loop is measured, so that what is done once is done.
    pub(crate) fn warm_up(&self) -> usize {
        self.or_in_test(500, 50)
    }

    /// How many an open loop measures.
    pub(crate) fn offered(&self) -> usize {
        self.or_in_test(4_000, 100)
    }

    /// How many are sent while something goes wrong.
    pub(crate) fn in_trouble(&self) -> usize {
        self.or_in_test(3_000, 200)
    }

    /// How many wait where there are very many, and how many are measured beside them.
    pub(crate) fn very_many(&self) -> (usize, usize) {
        self.or_in_test((1_000_000, 20_000), (2_000, 200))
    }

    /// How often the disk is tried.
    pub(crate) fn disk_writes(&self) -> usize {
        self.or_in_test(500, 20)
    }

    /// How often it is started where starting is measured.
    pub(crate) fn starts(&self) -> usize {
        self.or_in_test(9, 2)
    }
}

fn usage() -> String {
    let mut text =
        "cargo bench --bench load -- [SCENARIO]… [--rounds N] [--dir DIR] [--json FILE] [--picture FILE.svg]\n"
            .to_owned();
    for (name, usual, about) in SCENARIOS {
        text += &format!("  {name:8} {about}{}\n", if usual { "" } else { " (only when asked for)" });
    }
    text
}
