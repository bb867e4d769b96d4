use std::time::Duration;

use serde_json::{Value, json};

use crate::fakes::{Fake, Fault, Kind};
use crate::program::{Home, Service, post, sample};

/// A configuration with these channels; each gets every event, without a rate limit.
pub(crate) fn config(channels: &[(&str, &Fake)], more: &str) -> String {
    let mut text = r#"
[server]
listen = "127.0.0.1:0"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "the tests' own secret"
"#
    .to_owned();
    for (kind, fake) in channels {
        let url = &fake.url;
        text.push_str(&format!(
            "[channels.{kind}]\nkind = \"{kind}\"\nwebhook_url = \"{url}\"\npace = \"1000/s\"\n{more}\n"
        ));
    }
    let to: Vec<_> = channels.iter().map(|(kind, _)| *kind).collect();
    format!("{text}[[routes]]\nname = \"everything\"\nevent = \"@all\"\nto = {to:?}\n")
}

pub(crate) async fn send(service: &Service, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let (key, mut body) = sample("pull_request.opened");
        body["pullrequest"]["title"] = format!("number {n:04}").into();
        let (status, answer) = post(service, key, &format!("request-{n}"), &body).await;
        assert_eq!(status, 202, "{answer}");
    }
}

/// Returns the numbers in messages, in order.
pub(crate) fn numbers(messages: &[Value]) -> Vec<usize> {
    let number = |message: &Value| message.to_string().split("number ").nth(1).unwrap()[..4].parse().unwrap();
    messages.iter().map(number).collect()
}

async fn fakes() -> (Fake, Fake, Fake) {
    (Fake::start(Kind::Slack).await, Fake::start(Kind::Teams).await, Fake::start(Kind::Discord).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_chat_delays_no_other() {
    const COUNT: usize = 12;
    let (slack, teams, discord) = fakes().await;
    slack.fail([Fault::status(500), Fault::Says(429, vec![("retry-after", "2".to_owned())], String::new())]);
    let home = Home::new(&config(&[("slack", &slack), ("teams", &teams), ("discord", &discord)], ""));
    let service = home.serve();
    send(&service, 0..COUNT).await;
    let expected: Vec<_> = (0..COUNT).collect();
    assert_eq!(numbers(&teams.wait_for(COUNT).await), expected);
    assert_eq!(numbers(&discord.wait_for(COUNT).await), expected);
    assert_eq!(slack.shown().len(), 0, "the others did not wait for the one that fails");
    assert_eq!(numbers(&slack.wait_for(COUNT).await), expected);
    let came = slack.came();
    assert_eq!(came.len(), COUNT + 2);
    let waited = came[2].0 - came[1].0;
    assert!(waited >= Duration::from_secs(2), "it asked for two seconds and got {waited:?}");
    assert!(service.stop("TERM").0.success());
    assert_eq!((slack.came().len(), teams.came().len(), discord.came().len()), (COUNT + 2, COUNT, COUNT));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chat_encodes_every_sample() {
    let (slack, teams, discord) = fakes().await;
    let home = Home::new(&config(&[("slack", &slack), ("teams", &teams), ("discord", &discord)], ""));
    let service = home.serve();
    let mut count = 0;
    for sample in crate::program::bitbucket().samples {
        let body = serde_json::from_str(sample.body).unwrap();
        count += post(&service, sample.key, sample.name, &body).await.1["events"].as_array().unwrap().len();
    }
    for fake in [slack, teams, discord] {
        assert_eq!(fake.wait_for(count).await.len(), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_response_loses_a_message() {
    let (slack, _, discord) = fakes().await;
    discord.fail([Fault::Stalls]);
    slack.fail([
        Fault::status(503),
        Fault::Huge(10 * 1024 * 1024),
        Fault::word(500, "rollup_error"),
        Fault::word(200, "<html>not Slack's word</html>"),
    ]);
    let home = Home::new(&config(&[("slack", &slack), ("discord", &discord)], ""));
    let service = home.serve();
    send(&service, 0..4).await;
    assert_eq!(numbers(&discord.wait_for(4).await), [0, 1, 2, 3], "a silent chat is asked again");
    assert_eq!(discord.came().len(), 5);
    assert_eq!(numbers(&slack.wait_for(4).await), [0, 1, 2, 3], "a response other than `ok` is not a delivery");
    assert_eq!(slack.came().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_message_is_dead_and_reported_without_the_url() {
    let slack = Fake::start(Kind::Slack).await;
    let echo = |status| Fault::word(status, "The requested URL /services/T0/B0/s3cret is not to be had");
    slack.fail([echo(500), echo(400)]);
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let mut service = home.serve();
    send(&service, 0..2).await;
    for line in [service.wait_for_log("delivery failed; will retry"), service.wait_for_log("delivery dead")] {
        assert!(line.contains("***") && !line.contains("s3cret"), "{line}");
    }
    assert_eq!(numbers(&slack.wait_for(1).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connection_is_retried() {
    let fake = Fake::start(Kind::Slack).await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let target = fake.url.split('/').nth(2).unwrap().to_owned();
    tokio::spawn(async move {
        // The first connection is closed with its first bytes; the others reach the chat.
        let (mut stream, _) = proxy.accept().await.unwrap();
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await;
        drop(stream);
        loop {
            let (mut inward, _) = proxy.accept().await.unwrap();
            let mut outward = tokio::net::TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut inward, &mut outward).await });
        }
    });
    let host = fake.url.split('/').nth(2).unwrap().to_owned();
    let home = Home::new(&config(&[("slack", &fake)], "").replace(&host, &address.to_string()));
    let mut service = home.serve();
    send(&service, 0..2).await;
    service.wait_for_log("delivery outcome unknown");
    assert_eq!(numbers(&fake.wait_for(2).await), [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_destination_keeps_its_messages_and_delays_no_other() {
    let (slack, _, discord) = fakes().await;
    slack.fail([Fault::word(410, "channel_is_archived")]);
    let home = Home::new(&config(&[("slack", &slack), ("discord", &discord)], ""));
    let mut service = home.serve();
    send(&service, 0..3).await;
    let line = service.wait_for_log("channel closed");
    assert!(line.contains("unarchive the channel") && !line.contains("s3cret"), "{line}");
    assert_eq!(numbers(&discord.wait_for(3).await), [0, 1, 2]);
    assert_eq!((slack.came().len(), slack.shown().len()), (1, 0), "a closed destination is left alone");
    assert!(service.stop("TERM").0.success());
    let service = home.serve();
    send(&service, 3..4).await;
    discord.wait_for(4).await;
    assert_eq!(slack.came().len(), 1, "a restart opens nothing");
    let (code, out, _) = home.run(&["channels", "reopen", "slack"]);
    assert!(code == 0 && out.starts_with("slack  slack  open"), "{out}");
    assert_eq!(numbers(&slack.wait_for(4).await), [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_blocks_are_sent_as_plain_text() {
    let slack = Fake::start(Kind::Slack).await;
    // With and without the picture.
    slack.fail([Fault::word(400, "invalid_blocks"), Fault::word(400, "invalid_blocks")]);
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let mut service = home.serve();
    send(&service, 0..2).await;
    let shown = slack.wait_for(2).await;
    assert_eq!(shown[0]["blocks"][0]["type"], "section");
    assert_eq!(shown[0]["blocks"][0]["text"]["text"], "Ana Ruiz opened #482 number 0000 in acme/api");
    assert_eq!(shown[1]["blocks"][1]["type"], "rich_text");
    service.wait_for_log("delivered with a fallback");
    // The stored body is the one that Slack accepted.
    assert!(service.stop("TERM").0.success());
    let (_, listed, _) = home.run(&["deliveries", "--json"]);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let (_, sent, _) = home.run(&["deliveries", first["id"].as_str().unwrap(), "--sent"]);
    assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), shown[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_with_style_line_gets_one_line_messages() {
    let (slack, teams, discord) = fakes().await;
    let channels = [("slack", &slack), ("teams", &teams), ("discord", &discord)];
    let home = Home::new(&config(&channels, "style = \"line\""));
    let service = home.serve();
    send(&service, 0..1).await;
    assert_eq!(slack.wait_for(1).await[0]["attachments"], Value::Null);
    assert_eq!(
        discord.wait_for(1).await[0]["content"],
        "Ana Ruiz opened [#482 number 0000](<https://bitbucket.org/acme/api/pull-requests/482>) in acme/api"
    );
    let card = teams.wait_for(1).await[0]["attachments"][0]["content"].clone();
    assert_eq!(card["body"].as_array().unwrap().len(), 1);
    assert_eq!(card["actions"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_reviewers_are_pinged_and_the_actor_is_not() {
    let (slack, teams, discord) = fakes().await;
    let channels = [("slack", &slack), ("teams", &teams), ("discord", &discord)];
    let home = Home::new(&format!(
        "{}\n[people.\"Ana Ruiz\"]\nslack = \"U0ANA\"\n\
         [people.bo]\nslack = \"U0BO\"\nteams = \"bo@acme.example\"\ndiscord = \"80351110224678912\"\n",
        config(&channels, "")
    ));
    let mut service = home.serve();
    send(&service, 0..1).await;
    let pinged = json!({ "type": "user", "user_id": "U0BO" });
    assert_eq!(slack.wait_for(1).await[0]["blocks"][2]["elements"][0]["elements"][2], pinged);
    let body = discord.wait_for(1).await[0].clone();
    assert_eq!(body["content"], "Reviewers: <@80351110224678912>, Cy Okafor");
    assert_eq!(body["allowed_mentions"], json!({ "parse": [], "users": ["80351110224678912"] }));
    let card = teams.wait_for(1).await[0]["attachments"][0]["content"].clone();
    assert_eq!(card["msteams"]["entities"][0]["mentioned"], json!({ "id": "bo@acme.example", "name": "Bo Lindqvist" }));
    // The people are reloaded with the rest.
    let text = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    std::fs::write(home.path().join("config.toml"), text.replace("U0BO", "U0NEW")).unwrap();
    service.wait_for_log("changed person `bo`");
    send(&service, 1..2).await;
    assert_eq!(slack.wait_for(2).await[1]["blocks"][2]["elements"][0]["elements"][2]["user_id"], "U0NEW");
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_pace_is_kept() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], "").replace("1000/s", "2/s"));
    let service = home.serve();
    send(&service, 0..5).await;
    slack.wait_for(5).await;
    let came: Vec<_> = slack.came().into_iter().map(|(at, _)| at).collect();
    let waited = came[4] - came[0];
    assert!(waited >= Duration::from_millis(1_450), "two at once, then one each half second: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_test_shows_the_response_and_help() {
    let (slack, teams, discord) = fakes().await;
    let home = Home::new(&config(&[("slack", &slack), ("teams", &teams), ("discord", &discord)], ""));
    let run = |name: &str| {
        let (code, out, err) = home.run(&["channels", "test", name]);
        assert!(!format!("{out}{err}").contains("s3cret"), "{out}{err}");
        (code, format!("{out}{err}"))
    };
    assert_eq!(run("slack"), (0, "slack: delivered\n".to_owned()));
    assert!(slack.shown()[0]["text"].as_str().unwrap().contains("test of channel slack"));
    assert_eq!(run("discord"), (0, "discord: delivered\n".to_owned()));
    let (code, text) = run("teams");
    assert!(code == 0 && text.starts_with("teams: accepted: the chat accepted the message"), "{text}");
    slack.fail([Fault::word(404, "no_service")]);
    insta::assert_snapshot!(run("slack").1, @r"
    error: slack: the destination no longer accepts messages
      response: status 404: no_service
      help: the webhook was removed or its app was disabled: create a new one and set its URL
    ");
    teams.fail([Fault::word(401, r#"{"error":{"code":"DirectApiAuthorizationRequired"}}"#)]);
    let (code, text) = run("teams");
    assert!(code == 1 && text.contains("set \"Who can trigger the flow\" to \"Anyone\""), "{text}");
    discord.fail([Fault::Says(429, vec![], r#"{"message":"slow down","retry_after":3.5}"#.to_owned())]);
    let (code, text) = run("discord");
    assert!(code == 1 && text.contains("temporary failure: the service would retry"), "{text}");
    assert_eq!(run("slak"), (2, "error: unknown channel `slak`; did you mean `slack`?\n".to_owned()));
}
