//! Arguments of the command line, and the durations and counts that follow from them.

use std::path::PathBuf;
use std::time::Duration;

use crate::peer::Peer;

/// Scenarios: name, whether it runs by default, description.
pub(crate) const SCENARIOS: [(&str, bool, &str); 12] = [
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
    ("lists", false, "lists by repository and channel, with 400,000 stored events"),
    ("peer", false, "another program, given with --peer, next to Hookbell"),
];

/// Scenarios to run.
pub(crate) struct Plan {
    /// True to run each scenario for one second only, to check that it works.
    pub(crate) test: bool,
    /// Parts of scenario names; empty for the default scenarios.
    names: Vec<String>,
    /// Number of rounds of a compared figure. Each round measures both sides.
    pub(crate) rounds: usize,
    /// Directory of stores and files; its disk is measured.
    pub(crate) directory: PathBuf,
    pub(crate) json: Option<PathBuf>,
    pub(crate) picture: Option<PathBuf>,
    pub(crate) peer: Option<Peer>,
}

impl Plan {
    /// Reads arguments. The error is the usage text.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        // `cargo bench` passes `--bench`, `cargo test` does not.
        let mut plan = Self {
            test: true,
            names: vec![],
            rounds: 3,
            directory: std::env::temp_dir(),
            json: None,
            picture: None,
            peer: None,
        };
        let (mut peer, mut peer_url) = (None, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(usage);
            match argument.as_str() {
                "--bench" => plan.test = false,
                "--test" => plan.test = true,
                "--rounds" => plan.rounds = value()?.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(usage)?,
                "--dir" => plan.directory = value()?.into(),
                "--json" => plan.json = Some(value()?.into()),
                "--picture" => plan.picture = Some(value()?.into()),
                "--peer" => peer = Some(value()?),
                "--peer-url" => peer_url = Some(value()?),
                name if SCENARIOS.iter().any(|(known, ..)| known == &name) => plan.names.push(name.to_owned()),
                _ => return Err(usage()),
            }
        }
        if plan.test {
            plan.rounds = 1;
        }
        plan.peer = match (peer, peer_url) {
            (Some(command), Some(url)) => {
                plan.names.push("peer".to_owned());
                Some(Peer::new(command, &url).ok_or_else(usage)?)
            }
            (None, None) => None,
            _ => return Err(usage()),
        };
        Ok(plan)
    }

    /// Returns true if a scenario runs: if it is named, or if none is.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        let usual = SCENARIOS.iter().any(|(name, usual, _)| *name == scenario && *usual);
        // Short ones are always tested.
        let is_short_in_test = self.test && scenario != "million";
        self.names.iter().any(|name| name == scenario) || (self.names.is_empty() && (usual || is_short_in_test))
    }

    fn or_in_test<T>(&self, value: T, in_test: T) -> T {
        if self.test { in_test } else { value }
    }

    /// Maximum duration of a closed loop.
    pub(crate) fn time(&self) -> Duration {
        self.or_in_test(Duration::from_secs(3), Duration::from_millis(500))
    }

    /// Number of prepared requests.
    pub(crate) fn supply(&self) -> usize {
        self.or_in_test(50_000, 1_000)
    }

    /// Number of deliveries when their rate is measured.
    pub(crate) fn deliveries(&self) -> usize {
        self.or_in_test(15_000, 300)
    }

    /// Number of these deliveries in a single lane.
    pub(crate) fn in_one_lane(&self) -> usize {
        self.or_in_test(5_000, 200)
    }

    /// Requests per second in open loops; fewer in an unoptimised build, next to other tests.
    pub(crate) fn per_second(&self) -> usize {
        self.or_in_test(1_000, 100)
    }

    /// Requests before an open loop is measured, to complete one-time work.
    pub(crate) fn warm_up(&self) -> usize {
        self.or_in_test(500, 50)
    }

    /// Requests that an open loop measures.
    pub(crate) fn offered(&self) -> usize {
        self.or_in_test(4_000, 100)
    }

    /// Requests during a failure.
    pub(crate) fn in_trouble(&self) -> usize {
        self.or_in_test(3_000, 200)
    }

    /// Number of queued deliveries in a large store, and number of measured requests.
    pub(crate) fn very_many(&self) -> (usize, usize) {
        self.or_in_test((1_000_000, 20_000), (2_000, 200))
    }

    /// Number of events in a store whose lists are measured.
    pub(crate) fn listed(&self) -> usize {
        self.or_in_test(400_000, 500)
    }

    /// Number of measured disk writes.
    pub(crate) fn disk_writes(&self) -> usize {
        self.or_in_test(500, 20)
    }

    /// Number of measured starts.
    pub(crate) fn starts(&self) -> usize {
        self.or_in_test(9, 2)
    }
}

fn usage() -> String {
    let mut text =
        "cargo bench --bench load -- [SCENARIO]… [--rounds N] [--dir DIR] [--json FILE] [--picture FILE.svg]\n                          \
         [--peer COMMAND --peer-url http://HOST:PORT/PATH]\n"
            .to_owned();
    for (name, usual, about) in SCENARIOS {
        text += &format!("  {name:8} {about}{}\n", if usual { "" } else { " (only when asked for)" });
    }
    text + crate::peer::USAGE
}
