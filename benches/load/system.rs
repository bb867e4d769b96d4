//! Child processes and their resource usage, from `/proc` (figures are left out on systems other than Linux), and the
//! speed of the disk.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::floors::{ROLES, Role};
use crate::ledger::Latency;

/// Unit of the times in `/proc/PID/stat` (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A child process. It is killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Processor time of all its threads.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        Stat::read(self.0.id()).map(|stat| stat.cpu)
    }

    /// Bytes that it wrote to files and connections.
    pub(crate) fn written(&self) -> Option<u64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.0.id())).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
    }

    /// Resident memory in MB.
    pub(crate) fn resident(&self) -> Option<f64> {
        status(self.0.id(), "VmRSS:")
    }

    /// Maximum resident memory in MB.
    pub(crate) fn most_resident(&self) -> Option<f64> {
        status(self.0.id(), "VmHWM:")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

/// A command with all processes that it starts. They are killed when it is dropped.
pub(crate) struct Group(Process);

impl Group {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Process::start(command.process_group(0)))
    }

    /// Processes of the group.
    fn members(&self) -> Vec<(u32, Stat)> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let stats = ids.filter_map(|id| Some((id, Stat::read(id)?)));
        stats.filter(|(_, stat)| stat.group == self.0.0.id()).collect()
    }

    /// Processor time of the processes that have not ended.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let members = self.members();
        (!members.is_empty()).then(|| members.iter().map(|(_, stat)| stat.cpu).sum())
    }

    /// Maximum resident memory of each process, added up, in MB.
    pub(crate) fn most_resident(&self) -> Option<f64> {
        self.members().iter().map(|(id, _)| status(*id, "VmHWM:")).sum()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.has_ended()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

/// The used part of `/proc/PID/stat`.
struct Stat {
    /// Number of its process group.
    group: u32,
    cpu: Duration,
}

impl Stat {
    fn read(process: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, which may contain spaces, ends at the bracket; the group is field 5, user and system time are fields
        // 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |n: usize| fields.get(n)?.parse::<u32>().ok();
        Some(Self { group: number(2)?, cpu: TICK * (number(11)? + number(12)?) })
    }
}

/// Returns a size from `/proc/PID/status` in MB.
fn status(process: u32, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program in one of its [`Role`]s.
pub(crate) struct Played {
    pub(crate) process: Process,
    /// The first line that it printed.
    said: String,
    _directory: tempfile::TempDir,
    /// The child ends when this is closed, so it does not outlive this process.
    _stdin: ChildStdin,
}

impl Played {
    /// Starts it in a new directory within `within`, and waits for its first line.
    pub(crate) fn start(role: Role, within: &Path, sink: Option<SocketAddr>) -> Self {
        let directory = tempfile::tempdir_in(within).unwrap();
        let (name, _) = ROLES.iter().find(|(_, known)| *known == role).unwrap();
        let sink = sink.map(|sink| format!("http://{sink}")).unwrap_or_default();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--role", name]).arg(directory.path()).arg(sink);
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = process.0.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self { process, said, _directory: directory, _stdin: stdin }
    }

    /// Address that a server listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.said.trim().parse().unwrap()
    }

    /// Numbers that a role other than a server printed.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        self.said.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }
}

/// Time of a synced write of 4 KB.
pub(crate) struct Disk {
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
}

impl Disk {
    /// Measures the disk of a directory.
    pub(crate) fn measure(within: &Path, times: usize) -> Self {
        let directory = tempfile::tempdir_in(within).unwrap();
        let mut file = File::create(directory.path().join("probe")).unwrap();
        let began = Instant::now();
        let took = (0..times).map(|_| {
            let started = Instant::now();
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
            u64::try_from(started.elapsed().as_nanos()).unwrap()
        });
        let latency = Latency::of(took.collect());
        Self { per_second: times as f64 / began.elapsed().as_secs_f64(), latency }
    }
}
