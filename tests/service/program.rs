//! The program as a child process, with its own directory, configuration and secret.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hookbell::source::{Provider, provider};
use reqwest::Client;
use serde_json::Value;

/// Maximum time for any step before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "the tests' own secret";

/// A configuration that sends every event to the console.
pub(crate) const EVERYTHING: &str = r#"
[server]
listen = "127.0.0.1:0"

[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "the tests' own secret"

[channels.screen]
kind = "console"

[[routes]]
name = "everything"
event = "@all"
to = "screen"
"#;

pub(crate) fn bitbucket() -> &'static Provider {
    provider("bitbucket-cloud").unwrap()
}

/// Returns the key of a sample and its body as JSON.
pub(crate) fn sample(name: &str) -> (&'static str, Value) {
    let sample = bitbucket().sample(name).unwrap();
    (sample.key, serde_json::from_str(sample.body).unwrap())
}

/// A directory with a config file.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new(config: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write_config(config);
        home
    }

    /// Creates a directory without files.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes the configuration, readable only for its owner because it contains secrets.
    pub(crate) fn write_config(&self, config: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join("config.toml");
        std::fs::write(&path, config).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Creates a command of the program in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookbell"));
        command.args(arguments).current_dir(self.path()).env_remove("HOOKBELL_CONFIG").env("NO_COLOR", "1");
        // Many services run at the same time.
        command.env("HOOKBELL__SERVER__ADMIN_LISTEN", "127.0.0.1:0");
        command
    }

    /// Runs a command and returns its exit code, its output and its errors.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Starts the service and waits until it listens.
    pub(crate) fn serve(&self) -> Service {
        Self::running(self.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits until a started service listens.
    pub(crate) fn running(mut child: Child) -> Service {
        let log = Lines::of(child.stderr.take().unwrap());
        let mut service = Service { child: Process(child), log, address: None, messages: None };
        let address = service.wait_for_log("/hooks/");
        let address = address.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        service.address = Some(address.parse().unwrap());
        service
    }
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn output_of(home: &Home, arguments: &[&str]) -> String {
    let (code, out, err) = home.run(arguments);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    assert!(!format!("{out}{err}").contains("s3cret"), "{out}{err}");
    out
}

/// A child process. It is killed when the test ends, even if it fails.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of a child's output. They are read as they arrive, so that the child never waits for a reader.
pub(crate) struct Lines {
    lines: Receiver<String>,
    read: String,
}

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { lines, read: String::new() }
    }

    /// Waits for a line that contains `text`, and skips the lines before it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else { panic!("no `{text}` in the output:\n{}", self.read) };
            let _ = writeln!(self.read, "{line}");
            if line.contains(text) {
                return line;
            }
        }
    }
}

/// The running service. It is killed when the test ends.
pub(crate) struct Service {
    child: Process,
    log: Lines,
    address: Option<SocketAddr>,
    messages: Option<Receiver<String>>,
}

impl Service {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Returns the address of the admin listener and its token.
    pub(crate) fn admin(&mut self, home: &Home) -> (String, String) {
        let line = self.wait_for_log("  admin ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        let token = std::fs::read_to_string(home.path().join("hookbell.db.token")).unwrap();
        (url, token.trim().to_owned())
    }

    /// Waits for a line of the log that contains `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        self.log.wait_for(text)
    }

    /// Starts to read messages. Before this call they are not read, and the console blocks when its pipe is full.
    fn messages(&mut self) -> &Receiver<String> {
        if self.messages.is_none() {
            let (sender, messages) = channel();
            let stdout = BufReader::new(self.child.stdout.take().unwrap());
            std::thread::spawn(move || {
                let mut message = String::new();
                for line in stdout.lines().map_while(Result::ok) {
                    if line.is_empty() {
                        let _ = sender.send(std::mem::take(&mut message));
                    } else {
                        let _ = writeln!(message, "{line}");
                    }
                }
            });
            self.messages = Some(messages);
        }
        self.messages.as_ref().unwrap()
    }

    /// Returns the next messages, in order.
    pub(crate) fn next_messages(&mut self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let messages = self.messages();
        let next = |n| {
            let left = deadline.saturating_duration_since(Instant::now());
            messages.recv_timeout(left).unwrap_or_else(|_| panic!("{n} of {count} messages came"))
        };
        (0..count).map(next).collect()
    }

    /// Stops the service; returns its exit status and the unread messages.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, Vec<String>) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap();
        assert!(sent.success());
        let mut rest = VecDeque::new();
        if self.messages.is_none()
            && let Some(mut stdout) = self.child.stdout.take()
        {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            // A kill may have cut the last message.
            let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
            rest.extend(whole.split("\n\n").filter(|message| !message.is_empty()).map(ToOwned::to_owned));
        }
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the service did not stop");
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(messages) = &self.messages {
            rest.extend(messages.iter());
        }
        (status, rest.into())
    }
}

/// Creates a signed request.
pub(crate) fn request(client: &Client, url: &str, key: &str, id: &str, body: &str) -> reqwest::RequestBuilder {
    let (header, signature) = (bitbucket().sign)(&SECRET.to_owned().into(), body.as_bytes());
    client.post(url).headers((bitbucket().headers)(key, id)).header(header, signature).body(body.to_owned())
}

/// Sends a signed request; returns the status and the response.
pub(crate) async fn post(service: &Service, key: &str, id: &str, body: &Value) -> (u16, Value) {
    post_to(&Client::new(), &service.url("/hooks/bitbucket"), key, id, body).await
}

/// Sends a signed request to a URL; returns the status and the response.
pub(crate) async fn post_to(client: &Client, url: &str, key: &str, id: &str, body: &Value) -> (u16, Value) {
    let response = request(client, url, key, id, &body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}
