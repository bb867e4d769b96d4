//! The examples of the documentation for Caddy, nginx and certbot, with the real programs: only addresses, ports and paths
//! are replaced.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::{Certificate, Client};

use crate::pebble::{Pebble, are_installed, port};
use crate::program::{EVERYTHING, Home, Lines, Process, post_to, sample};

const NAME: &str = "hookbell.acme.example";

/// Address of the client, which only the proxy sees.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A configuration that accepts only that client, and only if the proxy's header is used.
fn behind_a_proxy() -> String {
    EVERYTHING
        .replace("[server]", "[server]\ntrusted_proxies = [\"127.0.0.1\"]")
        .replace("[channels.screen]", &format!("allow_from = \"{CLIENT}\"\n[channels.screen]"))
}

/// Returns the code block of the documentation that contains a text.
fn example(text: &str) -> String {
    let page = include_str!("../../docs/getting-started.md");
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.map(|(_, code)| code.to_owned()).find(|code| code.contains(text)).unwrap()
}

/// Replaces a text that the example must contain.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no `{from}` in:\n{text}");
    text.replace(from, to)
}

/// A client with the address that only the proxy sees.
async fn client(pebble: &Pebble) -> Client {
    let root = Certificate::from_pem(&pebble.root().await).unwrap();
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Client::builder().tls_certs_only([root]).resolve(NAME, here).local_address(CLIENT).build().unwrap()
}

async fn send(client: &Client, port: u16, name: &str) -> u16 {
    let (key, body) = sample(name);
    post_to(client, &format!("https://{NAME}:{port}/hooks/bitbucket"), key, name, &body).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_gets_a_certificate_and_passes_requests() {
    if !are_installed(&["caddy", "pebble", "pebble-challtestsrv"]) {
        return;
    }
    let home = Home::new(&behind_a_proxy());
    let service = home.serve();
    let (http, https) = (port(), port());
    let pebble = Pebble::start(home.path(), https, http, 3_600);
    let site = replaced(&example("Caddyfile"), "127.0.0.1:8080", &service.address().to_string());
    let (directory, ca, here) = (&pebble.directory, pebble.ca.display(), home.path().display());
    let file = home.path().join("Caddyfile");
    let options = format!(
        "{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n\tstorage file_system {here}/caddy\n\tacme_ca {directory}\n\
         \tacme_ca_root {ca}\n}}\n"
    );
    std::fs::write(&file, options + &site).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file).env("HOME", home.path());
    let mut caddy = Process::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    Lines::of(caddy.stderr.take().unwrap()).wait_for("certificate obtained successfully");
    assert_eq!(send(&client(&pebble).await, https, "push").await, 202);
}

/// Runs a command of the documentation, with more arguments.
fn run(line: &str, more: &[&str], ca: &Path) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).args(more).env("REQUESTS_CA_BUNDLE", ca).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{line}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_gets_a_certificate_for_nginx_and_for_hookbell() {
    if !are_installed(&["certbot", "nginx", "pebble", "pebble-challtestsrv"]) {
        return;
    }
    let home = Home::new(&behind_a_proxy());
    let (http, https) = (port(), port());
    let pebble = Pebble::start(home.path(), 1, http, 3_600);
    let here = home.path().display().to_string();
    let deploy = replaced(&example("renewal-hooks"), "-o hookbell ", "");
    let script = home.path().join("deploy");
    std::fs::write(&script, replaced(&deploy, "/etc/hookbell", &here)).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let page = include_str!("../../docs/getting-started.md").replace("-d\n", "-d ");
    let command = page.split('`').find(|code| code.starts_with("certbot") && code.contains("--deploy-hook")).unwrap();
    let command = replaced(command, "/etc/letsencrypt/renewal-hooks/deploy/hookbell", &script.display().to_string());
    let directories = [("--config-dir", "letsencrypt"), ("--work-dir", "work"), ("--logs-dir", "logs")];
    let directories: Vec<_> =
        directories.iter().flat_map(|(key, name)| [(*key).to_owned(), format!("{here}/{name}")]).collect();
    let http = http.to_string();
    let mut more = vec!["--non-interactive", "--agree-tos", "--email", "ops@acme.example", "--http-01-port", &http];
    more.extend(["--server", &pebble.directory]);
    more.extend(directories.iter().map(String::as_str));
    run(&command, &more, &pebble.ca);

    // nginx in front of plain HTTP.
    let service = home.serve();
    let server = replaced(&example("server_name"), "127.0.0.1:8080", &service.address().to_string());
    let server = replaced(&server, "listen 443", &format!("listen 127.0.0.1:{https}"));
    let server = replaced(&server, "/etc/letsencrypt", &format!("{here}/letsencrypt"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/nginx-{kind};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\naccess_log off;\n\
         {temporary}{server}}}\n"
    );
    let file = home.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&file).arg("-p").arg(home.path());
    let mut nginx = Process::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    Lines::of(nginx.stderr.take().unwrap()).wait_for("nginx/");
    assert_eq!(send(&client(&pebble).await, https, "push").await, 202);
    service.stop("TERM");

    // Hookbell with the files that the deploy hook copied.
    let direct = replaced(&example("cert = \"cert.pem\""), "0.0.0.0:443", "127.0.0.1:0");
    home.write_config(&replaced(EVERYTHING, "[server]\nlisten = \"127.0.0.1:0\"", direct.trim()));
    let service = home.serve();
    assert_eq!(send(&pebble.client(NAME).await, service.address().port(), "pull_request.opened").await, 202);
}
