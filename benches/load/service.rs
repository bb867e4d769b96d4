//! Hookbell: its directory, configuration and process.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::ledger::PATIENCE;
use crate::push::{HOOKS, SECRET};
use crate::system::Process;

/// The built program.
const HOOKBELL: &str = env!("CARGO_BIN_EXE_hookbell");

/// Number of lanes in scenarios with many.
pub(crate) const LANES: usize = 16;

/// A directory with a config and, after a first start, a store.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    address: SocketAddr,
}

/// The running program. It is killed when it is dropped.
pub(crate) struct Service {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Time from its start until it was first ready.
    pub(crate) ready_after: Duration,
}

impl Home {
    /// Writes the configuration: each sink gets this number of lanes, numbered consecutively.
    pub(crate) fn new(within: &Path, sinks: &[(SocketAddr, usize)]) -> Self {
        let directory = tempfile::tempdir_in(within).unwrap();
        let address = unused_address();
        let mut config = format!(
            "[server]\nlisten = \"{address}\"\nadmin_listen = \"127.0.0.1:0\"\n\n[sources.bitbucket]\nkind = \"bitbucket-cloud\"\nsecret = \"{SECRET}\"\n"
        );
        let lanes = sinks.iter().flat_map(|(sink, lanes)| std::iter::repeat_n(sink, *lanes));
        for (n, sink) in lanes.enumerate() {
            write!(
                config,
                "\n[channels.lane{n:02}]\nkind = \"slack\"\nwebhook_url = \"http://{sink}/services/lane{n:02}\"\n\
                 pace = \"1000000/s\"\n\n[[routes]]\nname = \"lane{n:02}\"\nrepo = \"acme/lane{n:02}\"\n\
                 event = \"@all\"\nto = \"lane{n:02}\"\n"
            )
            .unwrap();
        }
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        Self { directory, address }
    }

    /// Shell command that starts the program.
    pub(crate) fn command(&self) -> String {
        let log = self.directory.path().join("log");
        format!("cd '{}' && exec '{HOOKBELL}' 2> '{}'", self.directory.path().display(), log.display())
    }

    /// Creates a command of the program, in its directory.
    fn program(&self) -> Command {
        let mut command = Command::new(HOOKBELL);
        command.current_dir(self.directory.path()).env_remove("HOOKBELL_CONFIG").env_remove("HOOKBELL_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let output = self.program().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// URL of its source.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{HOOKS}", self.address)
    }

    /// Starts the program, and waits until it is ready.
    pub(crate) fn start(&self) -> Service {
        let log = self.directory.path().join("log");
        let log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        let began = Instant::now();
        let mut process = Process::start(self.program().stdout(Stdio::null()).stderr(log));
        while !is_well(self.address) {
            let failed = process.has_ended() || began.elapsed() > PATIENCE;
            assert!(!failed, "the service did not start:\n{}", self.log());
            // A short pause, because the time until then is measured.
            std::thread::sleep(Duration::from_micros(200));
        }
        Service { process, address: self.address, ready_after: began.elapsed() }
    }

    /// Returns the end of the log.
    pub(crate) fn log(&self) -> String {
        let mut log = String::new();
        let _ = File::open(self.directory.path().join("log")).and_then(|mut file| file.read_to_string(&mut log));
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Size of the database of an ended service in bytes, with what is still in its log.
    pub(crate) fn database_size(&self) -> f64 {
        let db = rusqlite::Connection::open(self.directory.path().join("hookbell.db")).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        std::fs::metadata(self.directory.path().join("hookbell.db")).map_or(f64::NAN, |file| file.len() as f64)
    }

    /// Size of the store's files in MB.
    pub(crate) fn store_size(&self) -> f64 {
        let size = |name: &str| std::fs::metadata(self.directory.path().join(name)).map_or(0, |file| file.len());
        ["hookbell.db", "hookbell.db-wal"].into_iter().map(size).sum::<u64>() as f64 / 1024.0 / 1024.0
    }
}

/// An address that nothing listens on. It is outside the ports of outgoing connections: a client that connects often
/// enough to such a port is at some time connected to itself.
pub(crate) fn unused_address() -> SocketAddr {
    const PORTS: Range<u32> = 20_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unused = |_| {
        let port = PORTS.start + (std::process::id() * 64 + NEXT.fetch_add(1, Relaxed)) % PORTS.len() as u32;
        TcpListener::bind(("127.0.0.1", port as u16)).ok()?.local_addr().ok()
    };
    PORTS.into_iter().find_map(unused).unwrap()
}

fn is_well(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
