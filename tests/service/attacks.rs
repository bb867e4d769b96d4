//! Clients that try to block others, and outputs that fail: valid webhooks are still answered.
//!
//! `tests/attack/run` does the same with more connections and for longer, and measures it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::chats::{config, numbers};
use crate::fakes::{Fake, Kind};
use crate::program::{EVERYTHING, Home, PATIENCE, Process, Service, post, request, sample};

/// Lets this process open as many files as the attacks need.
fn open_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn connect(service: &Service, send: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.write_all(send).unwrap();
    stream
}

/// A request with valid headers whose body does not arrive.
fn stalled(length: usize, sent: usize) -> Vec<u8> {
    let signature = "0".repeat(64);
    let headers = format!(
        "POST /hooks/bitbucket HTTP/1.1\r\nHost: x\r\nX-Event-Key: repo:push\r\nX-Hub-Signature: sha256={signature}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut request = headers.into_bytes();
    request.extend(std::iter::repeat_n(b'{', sent));
    request
}

/// Checks that a push of a new client is answered.
async fn expect_answer(service: &Service, n: usize) {
    let (key, mut body) = sample("push");
    body["push"]["changes"][0]["new"]["target"]["hash"] = format!("{n:040}").into();
    let began = Instant::now();
    assert_eq!(post(service, key, &format!("honest-{n}"), &body).await.0, 202);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

async fn metric(service: &mut Service, home: &Home, name: &str) -> f64 {
    let (admin, _) = service.admin(home);
    metric_at(&admin, name).await
}

async fn metric_at(admin: &str, name: &str) -> f64 {
    let text = Client::new().get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn silent_slow_and_idle_connections_block_nobody() {
    let _alone = crate::MANY_CONNECTIONS.lock().await;
    open_many_files();
    for send in [
        &b""[..],
        b"POST /hooks/bitbucket HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let home = Home::new(EVERYTHING);
        let mut service = home.serve();
        let crowd: Vec<_> = (0..1_400).map(|_| connect(&service, send)).collect();
        for n in 0..3 {
            expect_answer(&service, n).await;
        }
        let (admin, _) = service.admin(&home);
        service.wait_for_log("connection limit reached");
        // Some of the crowd may not be accepted yet.
        let deadline = Instant::now() + PATIENCE;
        while metric_at(&admin, "hookbell_connections_closed_total{listener=\"public\"").await < 800.0 {
            assert!(Instant::now() < deadline, "fewer than 800 connections were closed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let open = metric_at(&admin, "hookbell_connections{listener=\"public\"}").await;
        assert!(open <= 600.0, "one client has half of the connections, not {open}");
        drop(crowd);
    }
}

#[tokio::test]
async fn stalled_bodies_block_nobody() {
    let _alone = crate::MANY_CONNECTIONS.lock().await;
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let crowd: Vec<_> = (0..120).map(|_| connect(&service, &stalled(1_000_000, 500_000))).collect();
    let small: Vec<_> = (0..100).map(|_| connect(&service, &stalled(60_000, 59_999))).collect();
    for n in 0..3 {
        expect_answer(&service, n).await;
    }
    let open = metric(&mut service, &home, "hookbell_connections{listener=\"public\"}").await;
    assert!(open > 50.0, "they are still there: {open}");
    drop((crowd, small));
}

#[tokio::test]
async fn request_is_rejected_before_its_body_is_read() {
    let home = Home::new(&EVERYTHING.replace("secret = ", "allow_from = [\"127.0.0.0/8\"]\nsecret = "));
    let service = home.serve();
    let stalled = String::from_utf8(stalled(100_000, 0)).unwrap();
    for (change, status) in [
        (("X-Hub-Signature: sha256=", "X-Nothing: "), "401"),
        (("sha256=0", "sha256=z"), "401"),
        (("X-Event-Key", "X-Nothing"), "400"),
        (("application/json", "text/plain"), "415"),
        (("/hooks/bitbucket", "/hooks/other"), "404"),
        (("POST", "PUT"), "405"),
    ] {
        let mut stream = connect(&service, stalled.replace(change.0, change.1).as_bytes());
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{change:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_or_closed_log_stops_nothing() {
    for is_closed in [true, false] {
        let slack = Fake::start(Kind::Slack).await;
        let home = Home::new(&config(&[("slack", &slack)], ""));
        let mut command = home.command(&[]);
        // More is logged than a pipe holds.
        command.env("HOOKBELL_LOG", "trace").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Process::start(&mut command);
        let mut stderr = child.stderr.take().unwrap();
        let (address, admin) = banner(&mut stderr);
        let unread = (!is_closed).then_some(stderr);
        let client = Client::new();
        for n in 0..30 {
            let (key, mut body) = sample("pull_request.opened");
            body["pullrequest"]["title"] = format!("number {n:04}").into();
            let url = format!("http://{address}/hooks/bitbucket");
            let sent = request(&client, &url, key, &format!("request-{n}"), &body.to_string()).send();
            assert_eq!(tokio::time::timeout(Duration::from_secs(5), sent).await.unwrap().unwrap().status(), 202);
        }
        assert_eq!(numbers(&slack.wait_for(30).await).len(), 30);
        if is_closed {
            assert!(metric_at(&format!("http://{admin}"), "hookbell_log_lines_lost_total").await > 0.0);
            let ready: Value = client.get(format!("http://{admin}/readyz")).send().await.unwrap().json().await.unwrap();
            assert_eq!(ready["status"], "ready");
        }
        drop((child, unread));
    }
}

/// Reads the first lines of the service; returns the address for webhooks and the admin address.
fn banner(stderr: &mut impl Read) -> (String, String) {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.contains("try it") {
        stderr.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let after = |what: &str| {
        let line = text.lines().find(|line| line.contains(what)).unwrap();
        line.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap().to_owned()
    };
    (after("  webhooks "), after("  admin "))
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_tokens_are_logged_counted_and_slowed() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let client = Client::new();
    let ask = |token: String| client.get(format!("{admin}/api/v1/channels")).bearer_auth(token).send();
    let began = Instant::now();
    assert_eq!(ask("guess".to_owned()).await.unwrap().status(), 401);
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    service.wait_for_log("invalid admin token");
    let guesses: Vec<_> = (0..40).map(|n| tokio::spawn(ask(format!("guess {n}")))).collect();
    let began = Instant::now();
    assert_eq!(ask(token).await.unwrap().status(), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "a valid one is not kept waiting");
    let mut turned_away = 0;
    for guess in guesses {
        let status = guess.await.unwrap().unwrap().status();
        assert!([401, 429].contains(&status.as_u16()), "{status}");
        turned_away += usize::from(status == 429);
    }
    assert!(turned_away > 0);
    assert_eq!(metric_at(&admin, "hookbell_admin_rejected_total").await, 41.0);
}

#[test]
fn closed_output_ends_a_command_without_a_panic() {
    let home = Home::new(EVERYTHING);
    for arguments in [&["schema", "config"][..], &["sample", "list"], &["nonsense"]] {
        let mut command = home.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_ne!(child.wait().unwrap().code(), Some(101), "{arguments:?}");
    }
}

/// A request takes at most four times its body on the disk, plus a row for each of its events.
#[tokio::test]
async fn push_of_many_refs_takes_little_space() {
    let home = Home::new(
        &EVERYTHING.replace("kind = \"console\"", "kind = \"slack\"\nwebhook_url = \"http://127.0.0.1:9/x\""),
    );
    let service = home.serve();
    let (key, mut body) = sample("push");
    let change = |n: usize| serde_json::json!({ "new": { "name": format!("tag-{n}"), "type": "tag" } });
    body["push"]["changes"] = (0..5_000).map(change).collect::<Vec<_>>().into();
    body["repository"]["description"] = "d".repeat(100_000).into();
    let size = body.to_string().len() as u64;
    let (status, answer) = post(&service, key, "many", &body).await;
    assert_eq!((status, &answer["note"]), (202, &"the push changed 5000 refs: the last 4000 are not routed".into()));
    service.stop("TERM");
    let stored = std::fs::metadata(home.path().join("hookbell.db")).unwrap().len();
    assert!(stored < 4 * size + 1_000 * 2_048, "{stored} bytes for a body of {size}");
}
