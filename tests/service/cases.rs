//! Inputs that failed once, one of each kind: `tests/cases`, whose README has the expected results.

use std::path::{Path, PathBuf};

use reqwest::Client;
use serde_json::{Value, json};

use crate::chats::config;
use crate::fakes::{Fake, Kind, PROGRAM_SECRET};
use crate::program::{EVERYTHING, Home, SECRET, Service, bitbucket};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

/// Sends a case's body with its headers; signs it unless the headers contain a signature.
async fn send(service: &Service, name: &str) -> (u16, Value) {
    let (body, headers) = (case(&format!("{name}.json")), case(&format!("{name}.meta")));
    let (body, headers) = (std::fs::read(body).unwrap(), std::fs::read_to_string(headers).unwrap());
    let mut request = Client::new().post(service.url("/hooks/bitbucket"));
    let fixed = headers.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name != "X-Request-UUID");
    for (name, value) in fixed {
        request = request.header(name, value);
    }
    // All cases have the same id.
    request = request.header("X-Request-UUID", name);
    if !headers.contains("Authorization") {
        let (header, signature) = (bitbucket().sign)(&SECRET.to_owned().into(), &body);
        request = request.header(header, signature);
    }
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn is_rejected(answer: (u16, Value), name: &str) {
    let (status, answer) = answer;
    assert!(status == 400 && answer["error"].as_str().unwrap().contains(name), "{status} {answer}");
}

#[tokio::test]
async fn invalid_characters_lose_no_event_and_the_raw_body_is_kept() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    for name in ["lone-surrogate", "escaped-byte", "bom", "in-a-field-nobody-reads"] {
        let (status, answer) = send(&service, &format!("01-broken-characters/{name}")).await;
        assert_eq!((status, &answer["events"][0]["kind"]), (202, &json!("push")), "{name}: {answer}");
        let message = service.next_messages(1).remove(0);
        assert!(message.contains("acme/x"), "{message}");
    }
    service.stop("TERM");
    let db = rusqlite::Connection::open(home.path().join("hookbell.db")).unwrap();
    let mut select = db.prepare("SELECT body FROM bodies").unwrap();
    let bodies = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let bodies: Vec<_> = bodies.map(|body| lz4_flex::decompress_size_prepended(&body.unwrap()).unwrap()).collect();
    for name in ["lone-surrogate", "escaped-byte", "bom", "in-a-field-nobody-reads"] {
        let body = std::fs::read(case(&format!("01-broken-characters/{name}.json"))).unwrap();
        assert!(bodies.contains(&body), "{name}");
    }
}

#[tokio::test]
async fn requests_of_other_programs_are_rejected_by_name() {
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    is_rejected(send(&service, "09-connect-envelope/body").await, "Connect or Forge app");
    is_rejected(send(&service, "11-data-center/opened").await, "Bitbucket Data Center");
    is_rejected(send(&service, "11-data-center/ping").await, "Bitbucket Data Center");
    for (header, host) in [("X-GitHub-Event", "GitHub"), ("X-Gitlab-Event", "GitLab"), ("X-Gitea-Event", "Gitea")] {
        let request = Client::new().post(service.url("/hooks/bitbucket")).header(header, "push").body("{}");
        let answer = request.send().await.unwrap();
        is_rejected((answer.status().as_u16(), answer.json().await.unwrap()), host);
    }
    let (_, rejected, _) = home.run(&["events", "--rejected"]);
    assert!(rejected.contains("Bitbucket Data Center") && rejected.contains("GitLab"), "{rejected}");
}

#[tokio::test]
async fn update_without_known_changes_is_suppressed_with_a_reason() {
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    assert_eq!(send(&service, "06-only-target-moved/1-opened").await.1["events"][0]["suppressed"], Value::Null);
    for name in ["2-only-the-target-moved", "3-only-updated_on"] {
        let (status, answer) = send(&service, &format!("06-only-target-moved/{name}")).await;
        let why = "no field that Hookbell tracks has changed since the last update of the pull request";
        assert_eq!((status, &answer["events"][0]["suppressed"]), (202, &json!(why)), "{name}");
    }
}

#[tokio::test]
async fn builds_with_a_run_number_in_their_key_are_one_series() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    send(&service, "10-key-with-run-number/1-failed").await;
    let (_, answer) = send(&service, "10-key-with-run-number/2-successful").await;
    assert_eq!(answer["events"][0]["kind"], "build.fixed", "{answer}");
    assert_eq!(service.next_messages(2).len(), 2);
}

#[tokio::test]
async fn control_characters_are_escaped_in_every_output() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (_, answer) = send(&service, "07-c1-in-json/push").await;
    service.next_messages(1);
    assert_eq!(answer["events"].as_array().unwrap().len(), 1);
    let (_, events, _) = home.run(&["events", "--json"]);
    let id = serde_json::from_str::<Value>(events.lines().next().unwrap()).unwrap()["id"].as_str().unwrap().to_owned();
    let (_, deliveries, _) = home.run(&["deliveries", "--json"]);
    let delivery: Value = serde_json::from_str(deliveries.lines().next().unwrap()).unwrap();
    let delivery = delivery["id"].as_str().unwrap();
    for arguments in [
        &["events"][..],
        &["events", "--json"],
        &["events", &id],
        &["events", &id, "--json"],
        &["deliveries"],
        &["deliveries", delivery],
        &["deliveries", delivery, "--json"],
        &["deliveries", delivery, "--sent"],
        &["explain", &id],
        &["explain", &id, "--json"],
    ] {
        let (code, output, error) = home.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        let is_bad =
            |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert!(!output.chars().any(is_bad), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn wrong_paths_are_logged_and_slashes_and_case_are_ignored() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (admin, _) = service.admin(&home);
    let client = Client::new();
    for (n, path) in ["/hooks/bitbucket/", "//hooks//bitbucket", "/Hooks/BitBucket"].into_iter().enumerate() {
        let (key, mut body) = crate::program::sample("push");
        body["n"] = n.into();
        let request = crate::program::request(&client, &service.url(path), key, path, &body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 202, "{path}");
    }
    service.next_messages(3);
    for path in ["/", "/hook/bitbucket", "/hooks/bitbuckt", "/hooks/bitbucket/x"] {
        let answer = client.post(service.url(path)).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert!(
            answer["error"].as_str().unwrap().ends_with("the webhook URL must end in `/hooks/bitbucket`"),
            "{answer}"
        );
    }
    assert_eq!(client.get(service.url("/hooks/bitbucket")).send().await.unwrap().status(), 405);
    let (key, _) = crate::program::sample("push");
    let large =
        crate::program::request(&client, &service.url("/hooks/bitbucket"), key, "large", &"x".repeat(1_100_000));
    assert_eq!(large.send().await.unwrap().status(), 413);
    for n in 0..150 {
        let scan = client.get(service.url(&format!("/{n}\u{9b}"))).send().await.unwrap();
        assert_eq!(scan.status(), 404);
    }
    let unsigned = client.post(service.url("/hooks/bitbucket")).header("X-Event-Key", "repo:push").body("{}");
    assert_eq!(unsigned.send().await.unwrap().status(), 401);
    let (code, output, _) = home.run(&["events", "--rejected", "--limit", "1000"]);
    let (rejected, misdirected) = output.split_once("requests to no known source").unwrap();
    assert_eq!((code, rejected.trim().lines().count(), misdirected.trim().lines().count()), (0, 1, 101), "{output}");
    let line = service.wait_for_log("request to no known source");
    assert!(line.contains("path=\"/\"") || line.contains("path="), "{line}");
    let metrics = client.get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    for (cause, count) in [("path", 153), ("source", 1), ("method", 1), ("too_large", 1)] {
        let line = format!("hookbell_requests_misdirected_total{{cause=\"{cause}\"}} {count}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

/// Returns true if the process handles SIGHUP, which stops it otherwise.
#[cfg(target_os = "linux")]
fn handles_sighup(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 == 1
}

/// A signal during startup does not stop the service.
#[cfg(target_os = "linux")]
#[test]
fn sighup_at_any_time_is_a_reload() {
    use std::time::{Duration, Instant};

    use crate::program::PATIENCE;

    for pause in [0, 3, 10, 30, 60] {
        let home = Home::new(EVERYTHING);
        let child =
            home.command(&[]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let (pid, deadline) = (child.id(), Instant::now() + PATIENCE);
        loop {
            let is_open = home.path().join("hookbell.db").exists();
            if handles_sighup(pid) {
                break;
            }
            assert!(!is_open, "the service opens its store before it handles signals");
            assert!(Instant::now() < deadline, "the service does not start");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The signal may arrive at any time of the startup.
        std::thread::sleep(Duration::from_millis(pause));
        assert!(std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
        let service = Home::running(child);
        let (status, _) = service.stop("TERM");
        assert!(status.success(), "after {pause} ms: {status}");
    }
}

/// A chat, or a proxy in front of it, with one response to all requests; returns its address and the requested paths.
fn answering(name: &str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let raw = std::fs::read_to_string(case(&format!("answers/{name}.answer"))).unwrap();
    let (head, body) = raw.split_once("\n\n").unwrap();
    let head = head.replace('\n', "\r\n");
    let answer = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let asked = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let paths = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut first, mut length) = (String::new(), 0);
            let _ = reader.read_line(&mut first);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut sent = vec![0; length];
            let _ = reader.read_exact(&mut sent);
            paths.lock().unwrap().push(first.split_whitespace().nth(1).unwrap_or_default().to_owned());
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (address, asked)
}

/// Sends a push to a channel of this kind whose chat gives this response; returns the channel and the delivery.
async fn delivered_to(kind: &str, path: &str, name: &str) -> (Value, Value, Vec<String>) {
    let (address, asked) = answering(name);
    let config =
        EVERYTHING.replace("kind = \"console\"", &format!("kind = {kind:?}\nwebhook_url = \"http://{address}{path}\""));
    let home = Home::new(&config);
    let service = home.serve();
    let (key, body) = crate::program::sample("push");
    assert_eq!(crate::program::post(&service, key, "1", &body).await.0, 202);
    let deadline = std::time::Instant::now() + crate::program::PATIENCE;
    loop {
        let (_, lines, _) = home.run(&["deliveries", "--json"]);
        let delivery: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        if delivery["attempts"] != 0 {
            let (_, lines, _) = home.run(&["channels", "--json"]);
            return (serde_json::from_str(&lines).unwrap(), delivery, asked.lock().unwrap().clone());
        }
        assert!(std::time::Instant::now() < deadline, "{delivery}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

const FLOW: &str = "/workflows/x/triggers/manual/paths/invoke?api-version=1&sig=y";

#[tokio::test]
async fn broken_flow_closes_its_channel_with_help_and_loses_no_message() {
    for (name, path, advice) in [
        ("12a-teams-flow-off", FLOW, "the flow is turned off"),
        (
            "13a-teams-address-cut-at-first-and",
            "/workflows/x/triggers/manual/paths/invoke?api-version=1",
            "the flow URL is incomplete",
        ),
    ] {
        let (channel, delivery, _) = delivered_to("teams", path, name).await;
        assert_eq!((&channel["state"], &delivery["state"]), (&json!("closed"), &json!("queued")), "{name}: {channel}");
        assert!(channel["help"].as_str().unwrap().starts_with(advice), "{channel}");
    }
}

#[tokio::test]
async fn response_of_a_gateway_is_retried_and_named() {
    let discord = "/api/webhooks/1/x";
    for (kind, path, name) in [
        ("discord", discord, "14a-discord-blocked-json"),
        ("discord", discord, "17a-gateway-403"),
        ("discord", discord, "17b-gateway-200"),
        ("slack", "/services/T/B/x", "17a-gateway-403"),
        ("slack", "/services/T/B/x", "17b-gateway-200"),
        ("teams", FLOW, "17a-gateway-403"),
        ("teams", FLOW, "17b-gateway-200"),
    ] {
        let (channel, delivery, _) = delivered_to(kind, path, name).await;
        assert_eq!((&channel["state"], &delivery["state"]), (&json!("open"), &json!("queued")), "{kind} {name}");
        let said = delivery["response"].as_str().unwrap();
        assert_eq!(delivery["outcome"], "not_the_chat", "{kind} {name}: {delivery}");
        assert!(said.starts_with("the response is not from the chat: status "), "{said}");
    }
}

#[tokio::test]
async fn discord_waits_have_units_and_its_version_is_added() {
    let (channel, delivery, asked) = delivered_to("discord", "/api/webhooks/1/x", "15a-discord-milliseconds").await;
    assert_eq!((&channel["state"], &delivery["outcome"]), (&json!("open"), &json!("rate_limited")));
    let wait = channel["next_at"].as_i64().unwrap() - delivery["created_at"].as_i64().unwrap();
    assert!(wait < 10_000, "1.3 s, not 22 minutes: {wait} ms");
    assert!(asked[0].starts_with("/api/v10/webhooks/1/x"), "{asked:?}");
}

/// Refs of a push that moved in the same way and have the same route are one message; each is routed separately.
#[tokio::test(flavor = "multi_thread")]
async fn many_tags_of_one_push_are_one_message() {
    let (slack, program) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Program).await);
    let own = format!(
        "[channels.program]\nkind = \"webhook\"\nwebhook_url = \"{}\"\nsecret = \"{PROGRAM_SECRET}\"\npace = \"1000/s\"\n\
         [channels.releases]\nkind = \"console\"\n\
         [[routes]]\nname = \"programs\"\nevent = \"@all\"\nto = \"program\"\n\
         [[routes]]\nname = \"releases\"\nevent = \"tag.created\"\ntag = \"v3\"\nto = \"releases\"\n",
        program.url
    );
    let home = Home::new(&format!("{}{own}", config(&[("slack", &slack)], "")));
    let mut service = home.serve();
    let (status, answer) = send(&service, "05-many-tags/push").await;
    assert_eq!(status, 202);
    let refs: Vec<_> =
        answer["events"].as_array().unwrap().iter().flat_map(|event| event["refs"].as_array().unwrap()).collect();
    let all: Vec<_> = (0..40).map(|n| format!("v{n}")).collect();
    assert_eq!(refs, all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(answer["more_events"], Value::Null);
    let message = slack.wait_for(1).await[0].to_string();
    for part in ["Created 40 tags", "created 40 tags", "v0, v1, v2 and 37 more"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // A rule for one ref applies to that ref only, and a program gets each.
    let release = service.next_messages(1).remove(0);
    assert!(release.contains("Tag created: v3"), "{release}");
    program.wait_for(40).await;
    assert_eq!(slack.came().len(), 1);
    // Each of the events leads to the message, which can be sent again as a whole.
    let (_, events, _) = home.run(&["events", "--limit", "40", "--json"]);
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let (_, found, _) =
        home.run(&["deliveries", "--event", last["id"].as_str().unwrap(), "--channel", "slack", "--json"]);
    let found: Value = serde_json::from_str(found.trim()).unwrap();
    assert_eq!((&found["state"], &found["more"]), (&json!("delivered"), &json!(39)));
    assert_eq!(home.run(&["replay", found["id"].as_str().unwrap()]).0, 0);
    let again = slack.wait_for(2).await[1].to_string();
    assert_eq!(again, message);
    let (_, nothing, left) = home.run(&["replay", "--reroute", last["id"].as_str().unwrap()]);
    assert!(nothing.is_empty() && left.contains("the current routes send it to no new channel"), "{left}");
}

/// Also while the rules are invalid.
#[tokio::test(flavor = "multi_thread")]
async fn many_pending_tags_are_one_message() {
    let slack = Fake::start(Kind::Slack).await;
    let sound = config(&[("slack", &slack)], "");
    let home = Home::new(&sound.replace("event = \"@all\"", "event = \"@al\""));
    let service = home.serve();
    assert_eq!(send(&service, "05-many-tags/push").await.0, 202);
    assert!(service.stop("TERM").0.success());
    home.write_config(&sound);
    let _service = home.serve();
    let message = slack.wait_for(1).await[0].to_string();
    assert!(message.contains("created 40 tags"), "{message}");
    assert_eq!(slack.came().len(), 1);
}
