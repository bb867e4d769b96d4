//! An authority for certificates: Let's Encrypt's own test server, Pebble, and its DNS server, which says that every name
//! is this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use reqwest::{Certificate, Client};

use crate::program::{Lines, Process};

/// Returns true if all these programs are installed. In CI, they must be.
pub(crate) fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's nginx is in a directory that only root has in its path.
    let directories = || std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let missing: Vec<_> =
        programs.iter().filter(|program| !directories().any(|directory| directory.join(program).exists())).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "not installed: {missing:?}");
    eprintln!("left out, because it is not installed: {missing:?}");
    false
}

/// Returns a free port that the system does not give to others: below the range of ephemeral ports.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1_000).unwrap() * 12;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The running authority.
pub(crate) struct Pebble {
    _dns: Process,
    _pebble: Process,
    /// Its directory URL.
    pub(crate) directory: String,
    /// File with the certificate of its own server.
    pub(crate) ca: PathBuf,
    management: String,
}

impl Pebble {
    /// Starts it with files in a directory. It checks names at these ports, and its certificates are valid for this
    /// number of seconds.
    pub(crate) fn start(directory: &Path, tls_port: u16, http_port: u16, seconds: u32) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let ca = file("pebble-cert.pem", made.cert.pem());
        let key = file("pebble-key.pem", made.signing_key.serialize_pem());
        let (acme, management, dns_port) = (port(), port(), port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{acme}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": ca, "privateKey": key, "httpPort": http_port, "tlsPort": tls_port,
            "certificateValidityPeriod": seconds,
        } });
        let config = file("pebble.json", config.to_string());
        let dns = format!("127.0.0.1:{dns_port}");
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", &dns, "-defaultIPv6", "", "-management", ""]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let dns_server = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let mut command = Command::new("pebble");
        command.arg("-config").arg(config).args(["-dnsserver", &dns]);
        // Without pauses, and without nonces that it rejects for no reason.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        let mut pebble = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        Lines::of(pebble.stdout.take().unwrap()).wait_for("ACME directory available");
        Self {
            _dns: dns_server,
            _pebble: pebble,
            directory: format!("https://localhost:{acme}/dir"),
            ca,
            management: format!("https://localhost:{management}"),
        }
    }

    /// Returns the root certificate that its certificates lead to, as PEM.
    pub(crate) async fn root(&self) -> Vec<u8> {
        let ca = Certificate::from_pem(&std::fs::read(&self.ca).unwrap()).unwrap();
        let client = Client::builder().tls_certs_only([ca]).build().unwrap();
        let response = client.get(format!("{}/roots/0", self.management)).send().await.unwrap();
        response.error_for_status().unwrap().bytes().await.unwrap().to_vec()
    }

    /// Returns a client that trusts only its certificates, and finds a name on this machine.
    pub(crate) async fn client(&self, name: &str) -> Client {
        let root = Certificate::from_pem(&self.root().await).unwrap();
        let here = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Client::builder().tls_certs_only([root]).resolve(name, here).pool_max_idle_per_host(0).build().unwrap()
    }
}
