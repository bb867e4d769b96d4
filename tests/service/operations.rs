//! Operating Hookbell: its commands, and the API that they use.

use reqwest::Client;
use serde_json::{Value, json};

use crate::chats::{config, numbers, send};
use crate::fakes::{Fake, Fault, Kind};
use crate::program::{EVERYTHING, Home, output_of, post, sample};

/// Returns the first delivery that matches.
fn first(home: &Home, filter: &[&str]) -> String {
    let listed = output_of(home, &[&["deliveries", "--json"], filter].concat());
    let delivery: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    delivery["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_message_is_diagnosed_and_replayed() {
    let slack = Fake::start(Kind::Slack).await;
    let refused = || Fault::word(400, "too_many_attachments");
    slack.fail([refused(), refused(), refused()]);
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let service = home.serve();
    send(&service, 0..2).await;
    slack.wait_for(1).await;
    // The first one is dead now: the second was shown after it.
    let id = first(&home, &["--state", "dead"]);
    let line = output_of(&home, &["deliveries", "--state", "dead"]);
    assert!(line.contains("dead") && line.contains("status 400: too_many_attachments"), "{line}");
    let page = output_of(&home, &["deliveries", &id]);
    assert!(
        page.contains("attempt 1") && page.contains("rejected  status 400") && page.contains("number 0000"),
        "{page}"
    );
    let sent: Value = serde_json::from_str(&output_of(&home, &["deliveries", &id, "--sent"])).unwrap();
    assert!(sent["text"].as_str().unwrap().contains("number 0000"));
    let (code, out, err) = home.run(&["replay", &id, "--dry-run"]);
    assert!(code == 0 && out.contains(&id) && err.contains("1 message would be queued again"), "{out}{err}");
    assert_eq!(slack.shown().len(), 1);
    output_of(&home, &["replay", "--state", "dead", "--since", "1h"]);
    assert_eq!(numbers(&slack.wait_for(2).await), [1, 0], "at the end of its lane");
    let (code, out, err) = home.run(&["replay", "--state", "dead"]);
    assert!(
        code == 0 && out.is_empty() && err.contains("no messages match"),
        "what was sent again is not, twice: {out}"
    );
    // A delivery that was sent again no longer counts as dead.
    let channel: Value = serde_json::from_str(output_of(&home, &["channels", "--json"]).trim()).unwrap();
    assert_eq!(channel["dead"], 0);
    for (list, id) in [("deliveries", "dlv_none"), ("events", "evt_none")] {
        let (code, _, err) = home.run(&[list, id]);
        assert!(code == 1 && err.ends_with(&format!("`{id}`\n  `hookbell {list}` lists {list}\n")), "{err}");
    }
    let (code, _, err) = home.run(&["replay", "dlv_none"]);
    assert!(code == 1 && err.contains("dlv_none: unknown delivery"), "{err}");
    let (code, _, err) = home.run(&["replay", "--channel", "slack"]);
    assert!(code == 2 && err.contains("missing ids or `--state`"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_channel_waits_and_dropped_messages_are_not_sent() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let home = Home::new(&config(&[("slack", &slack), ("discord", &discord)], ""));
    let service = home.serve();
    let out = output_of(&home, &["channels", "pause", "slack", "--reason", "the team is at the summit"]);
    assert!(out.starts_with("slack  slack  paused 0 s ago: the team is at the summit"), "{out}");
    send(&service, 0..3).await;
    discord.wait_for(3).await;
    assert_eq!(slack.came().len(), 0);
    assert!(output_of(&home, &["channels"]).contains("3 messages queued"));
    assert_eq!(output_of(&home, &["channels", "list", "--json"]), output_of(&home, &["channels", "--json"]));
    let id = first(&home, &["--channel", "slack", "--state", "queued"]);
    let (code, out, err) = home.run(&["drop", &id]);
    assert!(code == 0 && out.trim() == id && err.starts_with("1 message dropped"), "{out}{err}");
    // A restart does not change this.
    assert!(service.stop("TERM").0.success());
    let _service = home.serve();
    output_of(&home, &["channels", "reopen", "slack"]);
    assert_eq!(numbers(&slack.wait_for(2).await), [1, 2]);
    assert!(output_of(&home, &["deliveries", &id]).contains("dropped by an operator"));
    let (code, _, err) = home.run(&["channels", "pause", "slak"]);
    assert!(code == 1 && err.contains("unknown channel `slak`"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrongly_routed_message_is_rerouted() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let both = config(&[("slack", &slack), ("discord", &discord)], "");
    let home = Home::new(&both.replace(r#"to = ["slack", "discord"]"#, r#"to = "slack""#));
    let service = home.serve();
    send(&service, 0..1).await;
    slack.wait_for(1).await;
    assert!(service.stop("TERM").0.success());
    home.write_config(&both.replace(r#"to = ["slack", "discord"]"#, r#"to = "discord""#));
    // Without a running service, the command reads the store.
    output_of(&home, &["replay", "--state", "delivered", "--reroute"]);
    let service = home.serve();
    assert_eq!(numbers(&discord.wait_for(1).await), [0]);
    assert_eq!(slack.came().len(), 1);
    // By the event, because an event without a route has no delivery.
    let event: Value = serde_json::from_str(&output_of(&home, &["events", "--json"])).unwrap();
    let (code, _, err) = home.run(&["replay", event["id"].as_str().unwrap(), "--reroute"]);
    assert!(code == 1 && err.contains("the current routes send it to no new channel"), "{err}");
    let (code, _, err) = home.run(&["replay", "evt_none", "--reroute"]);
    assert!(code == 1 && err.contains("evt_none: unknown event"), "{err}");
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_of_a_running_service_can_be_restored() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let service = home.serve();
    output_of(&home, &["channels", "pause", "slack"]);
    send(&service, 0..3).await;
    let out = output_of(&home, &["backup", "copy.db"]);
    assert!(out.contains("copy.db is a complete copy of"), "{out}");
    let (code, _, err) = home.run(&["backup", "copy.db"]);
    assert!(code == 1 && err.contains("already exists"), "{err}");
    service.stop("KILL");
    for file in ["hookbell.db", "hookbell.db-wal", "hookbell.db-shm"] {
        let _ = std::fs::remove_file(home.path().join(file));
    }
    std::fs::rename(home.path().join("copy.db"), home.path().join("hookbell.db")).unwrap();
    let _service = home.serve();
    output_of(&home, &["channels", "reopen", "slack"]);
    assert_eq!(numbers(&slack.wait_for(3).await), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_problems() {
    let slack = Fake::start(Kind::Slack).await;
    slack.fail([Fault::word(404, "no_service")]);
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let (code, out, _) = home.run(&["doctor"]);
    assert!(code == 1 && out.contains("does not exist: start Hookbell once to create it"), "{out}");
    let mut service = home.serve();
    let out = output_of(&home, &["doctor"]);
    assert!(out.contains("hookbell.db is intact") && !out.contains("error  "), "{out}");
    send(&service, 0..1).await;
    service.wait_for_log("channel closed");
    let (code, out, err) = home.run(&["doctor"]);
    assert!(
        code == 1 && out.contains("error  channel  `slack` is closed") && err.contains("1 problem found"),
        "{out}{err}"
    );
    std::fs::set_permissions(
        home.path().join("hookbell.db.token"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let (_, out, _) = home.run(&["doctor"]);
    assert!(out.contains("error  files    other users can read"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_chats_without_posting() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let text = config(&[("slack", &slack), ("discord", &discord)], "");
    let home = Home::new(&text.replace(&discord.url, &discord.url.replace("/1/", "/2/")));
    let service = home.serve();
    let (code, out, _) = home.run(&["doctor"]);
    assert!(
        code == 1
            && out.contains("ok     chat     `slack`: slack responds; `hookbell channels test slack` checks the URL\n"),
        "{out}"
    );
    let gone = "error  chat     `discord`: status 404: not found; no webhook exists at this URL: create a new one and set its URL\n";
    assert!(out.contains(gone), "{out}");
    assert!(slack.came().is_empty() && discord.came().is_empty());
    home.write_config(&text);
    let right = output_of(&home, &["doctor"]);
    assert!(right.contains("ok     chat     `discord`: the discord webhook exists\n"), "{right}");
    assert!(slack.came().is_empty() && discord.came().is_empty());
    let offline = output_of(&home, &["doctor", "--offline"]);
    assert!(!offline.contains("  chat  "), "{offline}");
    drop(service);
    // Nothing listens there any more.
    let address = slack.url.split('/').nth(2).unwrap().to_owned();
    home.write_config(
        &text.replace(&address, "127.0.0.1:1").replace(&discord.url, "http://127.0.0.1:1/api/webhooks/1/t"),
    );
    let (_, out, _) = home.run(&["doctor"]);
    assert!(
        out.contains("error  chat     `slack`: ") && out.contains("check the network, and `[http] proxy`"),
        "{out}"
    );
    assert!(!out.contains("s3cret"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_notes_builds_that_come_twice() {
    let home = Home::new(&EVERYTHING.replace("\"@all\"", "\"@builds\""));
    let _service = home.serve();
    let out = output_of(&home, &["doctor"]);
    assert!(out.contains("note   routes   `screen` gets builds and pipelines"), "{out}");
    // As the note says.
    home.write_config(&EVERYTHING.replace("\"@all\"", "[\"@builds\", \"!pipeline.*\"]"));
    let out = output_of(&home, &["doctor"]);
    assert!(!out.contains("  routes  "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_avoid_the_failing_channel() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    slack.fail([Fault::word(410, "channel_is_archived")]);
    let text = config(&[("slack", &slack), ("discord", &discord)], "")
        .replace(r#"to = ["slack", "discord"]"#, r#"to = "slack""#);
    let home = Home::new(&format!("{text}\n[delivery]\nalerts = [\"slack\", \"discord\"]\n"));
    let service = home.serve();
    send(&service, 0..2).await;
    let alert = discord.wait_for(1).await[0].to_string();
    assert!(alert.contains("Channel slack is closed") && alert.contains("unarchive the channel"), "{alert}");
    assert!(!alert.contains("s3cret"), "{alert}");
    assert_eq!(slack.came().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_names_and_links_the_message_and_recovery_follows() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    slack.fail([Fault::word(410, "channel_is_archived")]);
    let text = config(&[("slack", &slack), ("discord", &discord)], "")
        .replace(r#"to = ["slack", "discord"]"#, r#"to = "slack""#);
    let home = Home::new(&format!("{text}\n[delivery]\nalerts = [\"discord\"]\n"));
    let service = home.serve();
    send(&service, 0..1).await;
    let alert = discord.wait_for(1).await[0].to_string();
    for part in [
        "unarchive the channel",
        "`pull_request.opened` in acme/api",
        "number 0000",
        "https://bitbucket.org/acme/api/pull-requests/",
    ] {
        assert!(alert.contains(part), "{part}: {alert}");
    }
    let (code, ..) = home.run(&["channels", "reopen", "slack"]);
    assert_eq!(code, 0);
    let recovery = discord.wait_for(2).await[1].to_string();
    assert!(
        recovery.contains("Channel slack has recovered") && recovery.contains("messages are delivered again"),
        "{recovery}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_message_falls_back_to_the_built_in_template() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&format!("templates = \"mine\"\n{}", config(&[("slack", &slack)], "")));
    std::fs::create_dir_all(home.path().join("mine/slack")).unwrap();
    let template =
        r#"{ "text": "mine", "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": "mine" } }] }"#;
    std::fs::write(home.path().join("mine/slack/pull_request.opened.json.hbs"), template).unwrap();
    // In both forms: unchanged, and as plain text. The message has no pictures.
    slack.fail([(); 3].map(|()| Fault::word(400, "invalid_blocks")));
    let service = home.serve();
    send(&service, 0..1).await;
    let shown = slack.wait_for(1).await[0].to_string();
    assert!(shown.contains("number 0000") && !shown.contains("mine"), "{shown}");
    let delivered = output_of(&home, &["deliveries", "--state", "delivered"]);
    assert!(delivered.contains("sent with the built-in template"), "{delivered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_when_each_secret_last_verified_a_request() {
    let home = Home::new(
        &EVERYTHING.replace("secret = ", "secret = [\"another secret\", ").replace("own secret\"", "own secret\"]"),
    );
    let service = home.serve();
    let before = output_of(&home, &["doctor"]);
    assert!(before.contains("`bitbucket`: secret 2 has not verified a request since the service started"), "{before}");
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
    let after = output_of(&home, &["doctor"]);
    assert!(after.contains("`bitbucket`: secret 1 has not verified a request since"), "{after}");
    assert!(after.contains("`bitbucket`: secret 2 last verified a request "), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_and_failing_templates_are_reported() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&format!("templates = \"mine\"\n{}", config(&[("slack", &slack)], "")));
    std::fs::create_dir(home.path().join("mine")).unwrap();
    let template = r#"+++
line = '{{#if (eq pull_request.title "number 0000")}}{{skip "no zeroes"}}{{/if}}{{truncate pull_request.title (default pull_request.title)}}'
+++
"#;
    std::fs::write(home.path().join("mine/pull_request.opened.md.hbs"), template).unwrap();
    let mut service = home.serve();
    send(&service, 0..2).await;
    slack.wait_for(1).await;
    let skipped = output_of(&home, &["deliveries", "--state", "skipped"]);
    assert!(skipped.contains("no zeroes"), "{skipped}");
    assert_eq!(numbers(&slack.shown()), [1]);
    let sent = output_of(&home, &["deliveries", "--state", "delivered"]);
    assert!(sent.contains("template failed: mine/pull_request.opened.md.hbs"), "{sent}");
    let (admin, _) = service.admin(&home);
    let metrics = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("hookbell_template_errors_total{channel=\"slack\"} 1"), "{metrics}");
    let said = service.wait_for_log("template failed");
    assert!(said.contains("argument 2 must be a whole number"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_listener_requires_a_token() {
    let home = Home::new(&format!(
        "{EVERYTHING}\n[[admin.tokens]]\nname = \"lead\"\ntoken = \"only for looking\"\nrole = \"read\"\n"
    ));
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let client = Client::new();
    let get = async |path: &str, token: &str| {
        let response = client.get(format!("{admin}{path}")).bearer_auth(token).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let reopen = |token: &str, kind: &str, body: &str| {
        let request = client.post(format!("{admin}/api/v1/channels/screen/reopen")).bearer_auth(token);
        let request = request.header("content-type", kind.to_owned()).body(body.to_owned());
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(get("/api/v1/channels", &token).await.0, 200);
    assert_eq!(get("/api/v1/channels", "only for looking").await.0, 200);
    let (status, body) = get("/api/v1/channels", "wrong").await;
    assert!(status == 401 && body.contains("missing or invalid token"), "{body}");
    assert_eq!(client.get(format!("{admin}/api/v1/events")).send().await.unwrap().status(), 401);
    assert_eq!(get("/api/v1/openapi.json", "wrong").await.0, 401);
    assert_eq!(reopen(&token, "application/json", "{}").await, 200);
    assert_eq!(reopen("only for looking", "application/json", "{}").await, 403);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(reopen(&token, kind, "{}").await, 415, "{kind}");
    }
    for body in ["{\"x\":1}", "[]", "{", "null"] {
        assert_eq!(reopen(&token, "application/json", body).await, 400, "{body}");
    }
    let evil = client.get(format!("{admin}/api/v1/channels")).bearer_auth(&token).header("host", "evil.example");
    assert_eq!(evil.send().await.unwrap().status(), 403);
    assert_eq!(client.get(format!("{admin}/readyz")).send().await.unwrap().status(), 200);
    // The public listener has no API, and this listener accepts no webhook.
    assert_eq!(client.get(service.url("/api/v1/channels")).bearer_auth(&token).send().await.unwrap().status(), 404);
    assert_eq!(client.get(service.url("/metrics")).send().await.unwrap().status(), 404);
    assert_eq!(client.post(format!("{admin}/hooks/bitbucket")).send().await.unwrap().status(), 404);
    // From another directory, with a token in the environment.
    let mut elsewhere = home.command(&["--config", "/none", "channels", "--server", &admin]);
    let output = elsewhere.env("HOOKBELL_TOKEN", "only for looking").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "screen  console  open\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_and_deliveries() {
    let slack = Fake::start(Kind::Slack).await;
    slack.fail([(); 3].map(|()| Fault::word(400, "no_text")));
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let mut service = home.serve();
    let (admin, _) = service.admin(&home);
    send(&service, 0..3).await;
    let (key, body) = sample("push");
    post(&service, key, "request-0", &body).await;
    let unsigned = Client::new().post(service.url("/hooks/bitbucket")).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    slack.wait_for(2).await;
    let shown = Client::new().get(format!("{admin}/metrics")).send().await.unwrap();
    assert_eq!(shown.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let shown = shown.text().await.unwrap();
    for line in [
        r#"hookbell_requests_total{source="bitbucket",result="accepted"} 3"#,
        r#"hookbell_requests_total{source="bitbucket",result="duplicate"} 1"#,
        r#"hookbell_requests_total{source="bitbucket",result="rejected"} 1"#,
        r#"hookbell_requests_rejected_total{source="bitbucket",reason="unsigned"} 1"#,
        r#"hookbell_attempts_total{channel="slack",outcome="delivered"} 2"#,
        r#"hookbell_attempts_total{channel="slack",outcome="rejected"} 1"#,
        r#"hookbell_delivery_seconds_count{channel="slack"} 2"#,
        r#"hookbell_lane_queued{channel="slack"} 0"#,
        r#"hookbell_lane_open{channel="slack"} 1"#,
        r#"hookbell_channel_dead{channel="slack"} 1"#,
        "# TYPE hookbell_commit_seconds histogram",
        "# TYPE hookbell_commit_batch histogram",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn api_answers_queries_and_explains_errors() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let (key, body) = sample("push");
    let receipt = post(&service, key, "request-1", &body).await.1;
    service.next_messages(1);
    let client = Client::new();
    let get = async |path: &str| {
        let response = client.get(format!("{admin}{path}")).bearer_auth(&token).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let events = get("/api/v1/events?request_key=request-1").await.1;
    assert_eq!(events["events"][0]["request"], receipt["request"]);
    let id = events["events"][0]["id"].as_str().unwrap();
    let event = get(&format!("/api/v1/events/{id}")).await.1;
    assert_eq!((&event["json"]["kind"], &event["deliveries"][0]["channel"]), (&json!("push"), &json!("screen")));
    let document = get("/api/v1/openapi.json").await.1;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/deliveries/{id}"]["get"].is_object());
    for (path, status, why) in [
        ("/api/v1/events?limit=0", 400, "`limit` must be between 1 and 1000"),
        ("/api/v1/events?limt=3", 400, "unknown field `limt`"),
        ("/api/v1/deliveries?state=ded", 400, "unknown variant `ded`"),
        ("/api/v1/deliveries/dlv_none", 404, "unknown delivery `dlv_none`"),
        ("/api/v1/events/evt_none", 404, "unknown event `evt_none`"),
        ("/api/v2", 404, "not found: see `/api/v1/openapi.json`"),
    ] {
        let (got, body) = get(path).await;
        assert!(got == status && body["error"].as_str().unwrap().contains(why), "{path}: {got} {body}");
    }
}

/// Serves the page or, if it was not built, says so; the public listener does neither.
#[tokio::test(flavor = "multi_thread")]
async fn preview_page_is_served_or_explains_how_to_build_it() {
    let home = Home::new(&format!("templates = \"mine\"\n{EVERYTHING}"));
    std::fs::create_dir(home.path().join("mine")).unwrap();
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let page = Client::new().get(format!("{admin}/preview")).send().await.unwrap();
    if hookbell::server::admin::is_built() {
        assert_eq!(page.status(), 200);
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        let (code, out, _) = home.run(&["preview"]);
        assert_eq!((code, out.trim()), (0, format!("{admin}/preview#token={token}").as_str()));
    } else {
        assert_eq!(page.status(), 404);
        assert!(page.text().await.unwrap().contains("npm ci && npm run build"));
        let (code, _, err) = home.run(&["preview"]);
        assert!(code == 1 && err.contains("npm ci && npm run build"), "{err}");
    }
    assert_eq!(Client::new().get(service.url("/preview")).send().await.unwrap().status(), 404);
    // The page's API requires a token and reads only templates.
    let ask = async |path: &str, body: Value, token: &str| {
        let asked = Client::new().post(format!("{admin}/api/v1/preview/{path}")).bearer_auth(token).json(&body);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let draft = |template: &str| json!({ "template": template, "text": "+++\nline = '{{push.brnch}}'\n+++\n", "event": "push" });
    assert_eq!(ask("draw", draft("push"), "wrong").await.0, 401);
    let (status, drawn) = ask("draw", draft("push"), &token).await;
    assert_eq!((status, &drawn["problems"][0]["line"], &drawn["problems"][0]["column"]), (200, &json!(2), &json!(9)));
    assert!(drawn["chats"]["slack"]["blocks"].is_array() && drawn["chats"]["teams"].is_object());
    for wrong in ["../config", "a/b", ".hidden", ""] {
        assert_eq!(ask("save", draft(wrong), &token).await.0, 400, "{wrong}");
    }
    let (status, saved) = ask("save", draft("push"), &token).await;
    assert_eq!((status, saved["file"].as_str()), (200, Some("mine/push.md.hbs")));
    service.wait_for_log("configuration rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_selects_by_event_pull_request_and_last() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let service = home.serve();
    send(&service, 0..2).await;
    slack.wait_for(2).await;
    output_of(&home, &["replay", "last"]);
    assert_eq!(numbers(&slack.wait_for(3).await), [0, 1, 1]);
    let events = output_of(&home, &["events", "--json"]);
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(event["title"], "#482 number 0000");
    output_of(&home, &["replay", event["id"].as_str().unwrap()]);
    assert_eq!(numbers(&slack.wait_for(4).await), [0, 1, 1, 0]);
    // Of each event, the deliveries that were not sent again yet.
    let page = event["url"].as_str().unwrap();
    let again = output_of(&home, &["replay", &format!("{page}/diff?x#y")]);
    assert_eq!(again.lines().count(), 2, "{again}");
    slack.wait_for(6).await;
    let (code, _, err) = home.run(&["replay", "https://bitbucket.org/acme/api/pull-requests/999"]);
    assert!(
        code == 1 && err.contains("no stored event matches `https://bitbucket.org/acme/api/pull-requests/999`"),
        "{err}"
    );
}
