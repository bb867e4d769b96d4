//! Permission to send: signatures, addresses, repositories, and the reports of rejected requests.

use reqwest::Client;
use serde_json::{Value, json};

use crate::program::{EVERYTHING, Home, SECRET, post, request, sample};

#[tokio::test]
async fn log_shows_the_secret_in_use_during_rotation() {
    let home = Home::new(&EVERYTHING.replace(&format!("{SECRET:?}"), &format!(r#"["the new one", {SECRET:?}]"#)));
    let mut service = home.serve();
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "1", &body).await.0, 202);
    let line = service.wait_for_log("request accepted");
    assert!(line.contains("secret=2"), "{line}");
}

#[tokio::test]
async fn unsigned_source_accepts_unsigned_requests() {
    let home = Home::new(&EVERYTHING.replace(&format!("secret = {SECRET:?}"), "unsigned = true"));
    let (code, _, warned) = home.run(&["check"]);
    assert_eq!(code, 0);
    assert!(warned.contains("accepts unsigned requests: anyone who knows its URL can forge events"), "{warned}");
    let mut service = home.serve();
    let (code, sent, error) = home.run(&["sample", "send", "push", "--to", &service.url("/hooks/bitbucket")]);
    assert_eq!((code, error.as_str()), (0, ""), "{sent}");
    assert_eq!(service.next_messages(1).len(), 1);
}

#[tokio::test]
async fn requests_from_other_addresses_are_rejected() {
    let behind_proxy = EVERYTHING
        .replace("[sources.bitbucket]", "trusted_proxies = [\"127.0.0.0/8\"]\n\n[sources.bitbucket]")
        .replace("secret = ", "allow_from = [\"atlassian\", \"::ffff:198.51.100.0/120\"]\nsecret = ");
    let home = Home::new(&behind_proxy);
    let service = home.serve();
    let (client, (key, body)) = (Client::new(), sample("push"));
    let from = |forwarded: &'static str| {
        let body = body.to_string().replacen('{', &format!("{{\"from\": {forwarded:?},"), 1);
        let request = request(&client, &service.url("/hooks/bitbucket"), key, forwarded, &body);
        async move {
            let request = if forwarded.is_empty() { request } else { request.header("X-Forwarded-For", forwarded) };
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"].clone())
        }
    };
    let refused = |client: &str| {
        (403, json!(format!("client address `{client}` is not allowed; add it to the source's `allow_from`")))
    };
    assert_eq!(from("104.192.136.7").await.0, 202, "one of Atlassian's");
    assert_eq!(from("198.51.100.9").await.0, 202);
    assert_eq!(from("203.0.113.9").await, refused("203.0.113.9"));
    assert_eq!(from("104.192.136.7, 203.0.113.9").await, refused("203.0.113.9"), "the first one is hearsay");
    assert_eq!(from("").await, refused("127.0.0.1"));
}

#[tokio::test]
async fn last_rejected_requests_are_kept_with_reasons() {
    let home = Home::new(&EVERYTHING.replace("secret = ", "repo = \"other/*\"\nsecret = "));
    let service = home.serve();
    let (client, url, (key, body)) = (Client::new(), service.url("/hooks/bitbucket"), sample("push"));
    for n in 0..130 {
        let evil = format!("repo:push\u{9b}31m{n}");
        let unsigned = client.post(&url).header("X-Event-Key", evil.as_bytes()).body("{}");
        assert_eq!(unsigned.send().await.unwrap().status(), 401);
    }
    let wrong = request(&client, &url, key, "1", "{}").body("{ }").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert_eq!(post(&service, key, "2", &body).await.0, 403);
    service.stop("TERM");
    let (code, lines, _) = home.run(&["events", "--rejected", "--limit", "1000"]);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!((code, lines.len()), (0, 100));
    assert!(!lines.iter().any(|line| line.contains('\u{9b}')));
    assert!(lines[0].contains("  bitbucket  127.0.0.1  "), "{}", lines[0]);
    let unsigned = "missing `X-Hub-Signature` header; set the webhook's secret to the source's secret";
    let mismatch = "repo:push  signature does not match; set the webhook's secret to the source's secret";
    let not_allowed = "`acme/api` is not allowed by the source's `repo`; add it there";
    assert!(lines[0].ends_with(unsigned), "{}", lines[0]);
    assert!(lines[98].ends_with(mismatch), "{}", lines[98]);
    assert!(lines[99].ends_with(not_allowed), "{}", lines[99]);
    let (_, json, _) = home.run(&["events", "--rejected", "--limit", "1", "--json"]);
    let refused: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(refused["reason"], not_allowed);
}

#[tokio::test]
async fn rejected_repositories_change_no_memory() {
    let bound = |name: &str, repo: &str| {
        format!("[sources.{name}]\nkind = \"bitbucket-cloud\"\nsecret = {SECRET:?}\nrepo = {repo:?}\n")
    };
    let sources = format!("{}{}", bound("bitbucket", "acme/*"), bound("evil", "evil/*"));
    let config = EVERYTHING
        .replace("[sources.bitbucket]\nkind = \"bitbucket-cloud\"\nsecret = \"the tests' own secret\"\n", &sources);
    let home = Home::new(&config);
    let service = home.serve();
    let (client, url) = (Client::new(), service.url("/hooks/evil"));
    let (key, failed) = sample("build.failed");
    assert_eq!(post(&service, key, "1", &sample("push").1).await.0, 400, "that is no such body");
    post(&service, "repo:push", "2", &sample("push").1).await;
    // The sender knows the repository's id and names it only by that, with a wrong result.
    let mut pretence = failed.clone();
    pretence["commit_status"]["updated_on"] = "2099-01-01T00:00:00.000000+00:00".into();
    for of in ["/repository", "/commit_status/repository"] {
        pretence.pointer_mut(of).unwrap().as_object_mut().unwrap().remove("full_name");
    }
    let answer = request(&client, &url, key, "3", &pretence.to_string()).send().await.unwrap();
    let answer = answer.text().await.unwrap();
    assert!(answer.contains("\"suppressed\"") && !answer.contains("acme"), "{answer}");
    let (_, real) = post(&service, key, "4", &failed).await;
    assert_eq!((&real["events"][0]["kind"], &real["events"][0]["suppressed"]), (&json!("build.failed"), &Value::Null));
}

#[tokio::test]
async fn untrusted_values_are_shown_in_one_short_line() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (client, url) = (Client::new(), service.url("/hooks/bitbucket"));
    let (key, _) = sample("push");
    let long = format!("repo:{}", "x".repeat(12_000));
    client.post(&url).header("X-Event-Key", long).body("{}").send().await.unwrap();
    assert!(service.wait_for_log("request rejected").len() < 600);
    let home = Home::new(&EVERYTHING.replace("secret = ", "repo = \"acme/*\"\nsecret = "));
    let mut service = home.serve();
    let (_, mut body) = sample("push");
    body["repository"]["full_name"] =
        format!("x/y\n2026-11-24T07:00:00Z  INFO accepted {}", "z".repeat(300_000)).into();
    let (status, answer) = post(&service, key, "1", &body).await;
    let said = answer["error"].as_str().unwrap();
    assert!(status == 403 && said.len() < 300 && !said.contains('\n'), "{said}");
    assert!(service.wait_for_log("request rejected").contains("INFO accepted"), "on the same line");
}

#[tokio::test]
async fn events_are_listed_with_their_routing() {
    let home = Home::new(&EVERYTHING.replace("event = \"@all\"", "event = \"push\""));
    let (code, _, none) = home.run(&["events"]);
    assert_eq!(code, 1);
    assert!(none.contains("the store `hookbell.db` does not exist: start Hookbell once"), "{none}");
    let service = home.serve();
    for (n, name) in ["push", "pull_request.opened"].into_iter().enumerate() {
        let (key, body) = sample(name);
        post(&service, key, &n.to_string(), &body).await;
    }
    let (code, lines, _) = home.run(&["events"]);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!((code, lines.len()), (0, 3));
    let words = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(lines[0]), ["RECEIVED", "EVENT", "KIND", "REPOSITORY", "TITLE", "ACTOR", "ROUTED TO"]);
    assert_eq!(words(lines[1])[2..], ["push", "acme/api", "main", "Ana Ruiz", "screen"]);
    let opened =
        ["pull_request.opened", "acme/api", "#482 Add rate limits", "Ana Ruiz", "not routed: no route matched"];
    assert_eq!(words(lines[2])[2..], opened);
    let (_, lines, more) = home.run(&["events", "--limit", "1"]);
    assert_eq!((lines.lines().count(), more.trim()), (2, "1 of 2; --limit N lists more"));
    // Times are in the system's time zone, or in UTC on request.
    let in_zone = |arguments: &[&str]| {
        let output = home.command(arguments).env("TZ", "Asia/Kolkata").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(in_zone(&["events"]).contains("+05:30  evt_"), "{}", in_zone(&["events"]));
    assert!(in_zone(&["events", "--utc"]).contains("Z  evt_"));
    assert_eq!(in_zone(&["events", "--since", "yesterday"]).lines().count(), 3);
    let (code, _, wrong) = home.run(&["events", "--since", "tomorrow"]);
    assert!(code == 2 && wrong.contains("`tomorrow` is not a valid time"), "{wrong}");
}

#[tokio::test]
async fn cross_webhook_duplicate_is_posted_once() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (client, url, (key, body)) = (Client::new(), service.url("/hooks/bitbucket"), sample("push"));
    let by = |hook: &'static str, id: &'static str| {
        let mut request = request(&client, &url, key, id, &body.to_string()).build().unwrap();
        request.headers_mut().insert("x-hook-uuid", hook.parse().unwrap());
        let client = client.clone();
        async move { client.execute(request).await.unwrap().json::<Value>().await.unwrap() }
    };
    let first = by("repository", "1").await;
    let second = by("workspace", "2").await;
    let why = format!("duplicate: another webhook already sent this event as {}", first["request"].as_str().unwrap());
    assert_eq!(second["events"][0]["suppressed"], json!(why));
    assert_eq!(second["events"][0]["routes"], json!([]));
    let third = by("repository", "3").await;
    assert_eq!((&third["request"], &third["duplicate"]), (&first["request"], &json!(true)));
    assert_eq!(service.next_messages(1).len(), 1);
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}

#[tokio::test]
async fn source_is_limited_to_its_repositories_also_by_id() {
    let home = Home::new(&EVERYTHING.replace("secret = ", "repo = \"acme/*\"\nsecret = "));
    let service = home.serve();
    let send = |name: &'static str, id: &'static str, from: &'static str, to: &'static str| {
        let (key, body) = sample(name);
        let body: Value = serde_json::from_str(&body.to_string().replace(from, to)).unwrap();
        let service = &service;
        async move { post(service, key, id, &body).await }
    };
    let (status, answer) = send("pipeline.failed", "1", "", "").await;
    let why = "the request does not name its repository, and no earlier one did";
    assert_eq!(
        send("other", "0", "\"acme/api\"", "null").await.1["events"][0]["suppressed"],
        json!(why),
        "nor one of its kind"
    );
    assert_eq!((status, &answer["events"][0]["suppressed"]), (202, &json!(why)));
    assert_eq!(send("push", "2", "", "").await.0, 202);
    let (status, answer) = send("pipeline.failed", "3", "\"FAILED\"", "\"ERROR\"").await;
    assert_eq!((status, &answer["events"][0]["suppressed"]), (202, &Value::Null));
    assert_eq!(send("project.updated", "4", "", "").await.0, 202, "of this workspace");
    let (status, answer) = send("project.updated", "5", "\"acme\"", "\"evil\"").await;
    let not_allowed = "`evil` is not allowed by the source's `repo`; add it there";
    assert_eq!((status, answer["error"].as_str().unwrap()), (403, not_allowed));
}

/// Only the body is signed, not the event key or the host's request id.
#[tokio::test]
async fn resent_recorded_delivery_posts_nothing() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    for name in ["pull_request.opened", "pull_request.comment_added", "build.failed", "issue.opened", "tag.created"] {
        let (key, body) = sample(name);
        assert_eq!(post(&service, key, name, &body).await.0, 202);
        service.next_messages(1);
        for n in 0..20 {
            let (status, answer) = post(&service, key, &format!("{name} {n}"), &body).await;
            assert_eq!((status, &answer["duplicate"]), (200, &json!(true)), "{name}");
        }
    }
    let (_, opened) = sample("pull_request.opened");
    let (_, commented) = sample("pull_request.comment_added");
    for (key, body) in [
        ("pullrequest:fulfilled", &opened),
        ("pullrequest:rejected", &opened),
        ("pullrequest:updated", &opened),
        ("pullrequest:comment_deleted", &commented),
        ("pullrequest:comment_resolved", &commented),
    ] {
        let (status, answer) = post(&service, key, key, body).await;
        let suppressed = &answer["events"][0]["suppressed"];
        assert!(answer["duplicate"] == true || suppressed.is_string(), "{key}: {status} {answer}");
    }
    // A branch that is created, deleted and created again is reported as created twice.
    let (key, created) = sample("branch.created");
    let (_, mut deleted) = sample("branch.created");
    let new = deleted["push"]["changes"][0]["new"].take();
    deleted["push"]["changes"][0]["old"] = new;
    for (n, body) in [&created, &deleted, &created, &deleted].into_iter().enumerate() {
        assert_eq!(post(&service, key, &format!("branch {n}"), body).await.0, 202, "{n}");
        service.next_messages(1);
    }
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}
