//! Changes of the configuration while the service runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reqwest::Client;
use serde_json::{Value, json};

use crate::chats::{config, numbers, send};
use crate::fakes::{Fake, Kind};
use crate::program::{EVERYTHING, Home, post, sample};

/// Replaces a file, as editors do.
fn replace(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

const WENT_OVER: &str = "configuration reloaded";

#[tokio::test(flavor = "multi_thread")]
async fn pending_events_are_routed_in_order_once_the_rules_are_fixed() {
    let (slack, teams) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Teams).await);
    let sound = config(&[("slack", &slack), ("teams", &teams)], "");
    // Deliveries that were queued before are sent meanwhile.
    let home = Home::new(&sound);
    let service = home.serve();
    let (code, ..) = home.run(&["channels", "pause", "slack"]);
    assert_eq!(code, 0);
    send(&service, 0..2).await;
    assert_eq!(numbers(&teams.wait_for(2).await), [0, 1]);
    assert!(service.stop("TERM").0.success());

    home.write_config(&sound.replace("event = \"@all\"", "event = \"@al\""));
    let mut service = home.serve();
    assert!(home.run(&["channels", "reopen", "slack"]).1.contains("open"));
    assert_eq!(numbers(&slack.wait_for(2).await), [0, 1]);
    send(&service, 2..6).await;
    let (key, body) = sample("push");
    let (status, answer) = post(&service, key, "the-push", &body).await;
    let said = answer["events"][0]["pending_routing"].as_str().unwrap();
    assert!(status == 202 && said.contains("will be routed once the configuration is fixed"), "{answer}");
    let (_, listed, _) = home.run(&["deliveries", "--state", "pending_routing"]);
    assert_eq!(listed.lines().count(), 1 + 5, "{listed}");
    let (_, explained, _) = home.run(&["explain", "the-push"]);
    assert!(home.run(&["doctor"]).1.contains("5 events pending routing"));
    assert!(
        explained.contains("the routing configuration was invalid on arrival; the event will be routed"),
        "{explained}"
    );
    assert!(explained.contains("pending_routing  dlv_"), "{explained}");
    let (admin, _) = service.admin(&home);
    let metrics = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("hookbell_pending_routing 5"), "{metrics}");
    // A restart does not change this.
    assert!(service.stop("TERM").0.success());
    let mut service = home.serve();
    send(&service, 6..8).await;
    replace(&home.path().join("config.toml"), &sound);
    service.wait_for_log(WENT_OVER);
    send(&service, 8..10).await;
    let expected: Vec<_> = (0..10).collect();
    let is_review = |message: &Value| message.to_string().contains("number ");
    for fake in [&slack, &teams] {
        let shown: Vec<_> = fake.wait_for(11).await.into_iter().filter(is_review).collect();
        assert_eq!(numbers(&shown), expected);
    }
    assert_eq!(home.run(&["deliveries", "--state", "pending_routing"]).1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_deliveries_are_not_replayed_and_can_be_dropped() {
    let slack = Fake::start(Kind::Slack).await;
    let sound = config(&[("slack", &slack)], "");
    let home = Home::new(&sound.replace("event = \"@all\"", "event = \"@al\""));
    let mut service = home.serve();
    send(&service, 0..2).await;
    let (_, listed, _) = home.run(&["deliveries", "--state", "pending_routing"]);
    let dropped = listed.split_whitespace().find(|word| word.starts_with("dlv_")).unwrap();
    for replay in [&["replay", dropped][..], &["replay", dropped, "--reroute"]] {
        let (_, out, err) = home.run(replay);
        assert!(
            format!("{out}{err}").contains("the event is pending routing; it will be routed once the service runs"),
            "{out}{err}"
        );
    }
    assert!(home.run(&["events"]).1.contains("pending routing: will be routed once the configuration is fixed"));
    assert_eq!(home.run(&["drop", dropped]).0, 0);
    let (_, events, _) = home.run(&["events"]);
    assert!(events.contains("not routed: dropped by an operator before it was routed"), "{events}");
    replace(&home.path().join("config.toml"), &sound);
    service.wait_for_log("pending events routed");
    assert_eq!(slack.wait_for(1).await.len(), 1);
    // It can still be replayed.
    let (_, out, err) = home.run(&["replay", dropped]);
    assert!(format!("{out}{err}").contains("the delivery has no channel"), "{out}{err}");
    assert_eq!(home.run(&["replay", dropped, "--reroute"]).0, 0);
    let mut shown = numbers(&slack.wait_for(2).await);
    shown.sort_unstable();
    assert_eq!(shown, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_that_removes_all_sources_or_a_secret_is_rejected() {
    let sound =
        EVERYTHING.replace("secret = \"the tests' own secret\"", "secret = { file = \"b.secret\", generate = true }");
    assert_ne!(sound, EVERYTHING);
    let home = Home::new(&sound);
    let mut service = home.serve();
    let path = home.path().join("b.secret");
    let secret = std::fs::read_to_string(&path).unwrap();
    // An editor may empty a file before it fills it.
    replace(&home.path().join("config.toml"), "");
    service.wait_for_log("the last valid configuration stays");
    replace(&home.path().join("config.toml"), &sound);
    service.wait_for_log("configuration valid again");
    std::fs::remove_file(&path).unwrap();
    service.wait_for_log("the last valid configuration stays");
    assert!(!path.exists());
    let (_, _, said) = home.run(&["check"]);
    assert!(!path.exists(), "{said}");
    replace(&path, &secret);
    service.wait_for_log("configuration valid again");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_events_are_routed_at_start() {
    let home = Home::new(&EVERYTHING.replace("\"@all\"", "\"@al\""));
    let mut service = home.serve();
    assert!(
        service.wait_for_log("  channels  ").contains("none: no messages are posted until the configuration is fixed")
    );
    send(&service, 0..3).await;
    service.stop("KILL");
    home.write_config(EVERYTHING);
    let mut service = home.serve();
    let shown = service.next_messages(3);
    assert!((0..3).all(|n| shown[n].contains(&format!("number {n:04}"))), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_configuration_changes_nothing_and_is_reported() {
    let slack = Fake::start(Kind::Slack).await;
    let sound = config(&[("slack", &slack)], "");
    let home = Home::new(&sound);
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let reload = async |token: &str| {
        let asked = Client::new().post(format!("{admin}/-/reload")).bearer_auth(token).send().await.unwrap();
        (asked.status().as_u16(), asked.json::<Value>().await.unwrap())
    };
    assert_eq!(reload("wrong").await.0, 401);
    let (status, answer) = reload(&token).await;
    assert_eq!((status, &answer["changes"]), (200, &serde_json::json!([])));
    home.write_config(&sound.replace("slack\"\nwebhook", "slak\"\nwebhook"));
    service.wait_for_log("configuration rejected; the last valid configuration stays");
    let (status, answer) = reload(&token).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("did you mean `slack`?"), "{answer}");
    send(&service, 0..1).await;
    slack.wait_for(1).await;
    // A change that requires a restart is logged.
    home.write_config(&sound.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\""));
    let line = service.wait_for_log("takes effect after a restart");
    assert!(line.contains("`listen`"), "{line}");
    // By signal: a template in another directory.
    let templates = home.path().join("mine");
    std::fs::create_dir(&templates).unwrap();
    home.write_config(&format!("templates = \"mine\"\n{sound}"));
    service.wait_for_log(WENT_OVER);
    std::fs::write(templates.join("pull_request.md.hbs"), "+++\nline = 'mine: {{pull_request.title}}'\n+++\n").unwrap();
    assert!(service.wait_for_log(WENT_OVER).contains("added template `pull_request`"));
    std::fs::write(templates.join("pull_request.opened.md.hbs"), "+++\nline = 'seen: {{pull_request.title}}'\n+++\n")
        .unwrap();
    let hangup = Command::new("sh").args(["-c", &format!("kill -HUP {}", service.id())]).status().unwrap();
    assert!(hangup.success());
    service.wait_for_log(WENT_OVER);
    send(&service, 1..2).await;
    assert!(slack.wait_for(2).await[1].to_string().contains("seen: number 0001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_changes_secrets_and_channels() {
    let (one, other) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Slack).await);
    let sound = config(&[("slack", &one)], "").replace(&format!("\"{}\"", one.url), "{ file = \"slack.url\" }");
    let secret = "secret = \"the tests' own secret\"";
    let sound = sound.replace(secret, "secret = [{ file = \"new.secret\" }, { file = \"old.secret\" }]");
    let home = Home::new("");
    let url = home.path().join("slack.url");
    replace(&url, &one.url);
    replace(&home.path().join("new.secret"), "quite another one");
    replace(&home.path().join("old.secret"), "quite another one");
    home.write_config(&sound);
    let mut service = home.serve();
    let (key, body) = sample("pull_request.opened");
    assert_eq!(post(&service, key, "refused", &body).await.0, 401);
    replace(&home.path().join("old.secret"), "the tests' own secret\n");
    assert!(service.wait_for_log(WENT_OVER).contains("changed secret file `old.secret`"));
    send(&service, 0..1).await;
    one.wait_for(1).await;
    // Queued deliveries follow their channel to another address.
    assert_eq!(home.run(&["channels", "pause", "slack"]).0, 0);
    send(&service, 1..3).await;
    replace(&url, &other.url);
    service.wait_for_log(WENT_OVER);
    assert_eq!(numbers(&other.wait_for(2).await), [1, 2]);
    // A delivery is parked while its channel is removed.
    assert_eq!(home.run(&["channels", "pause", "slack"]).0, 0);
    send(&service, 3..4).await;
    let without = format!(
        "{}\n[channels.screen]\nkind = \"console\"\n[[routes]]\nname = \"screen\"\nevent = \"@all\"\nto = \"screen\"\n",
        sound.split("[channels.slack]").next().unwrap()
    );
    replace(&home.path().join("config.toml"), &without);
    assert!(service.wait_for_log(WENT_OVER).contains("removed channel `slack`"));
    assert!(home.run(&["channels"]).1.contains("1 message parked"), "{}", home.run(&["channels"]).1);
    send(&service, 4..5).await;
    assert!(service.next_messages(1)[0].contains("number 0004"));
    replace(&home.path().join("config.toml"), &sound);
    service.wait_for_log(WENT_OVER);
    assert_eq!(home.run(&["channels", "reopen", "slack"]).0, 0);
    assert_eq!(numbers(&other.wait_for(3).await), [1, 2, 3]);
    assert_eq!(one.shown().len(), 1);
}

#[test]
fn link_targets_and_parent_directories_are_watched() {
    use std::os::unix::fs::symlink;
    let home = Home::new("");
    let at = |path: &str| home.path().join(path);
    for directory in ["real/v1", "real/v2", "keys"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    let template = |text: &str| format!("+++\nline = '{text}'\n+++\n");
    replace(&at("real/push"), &template("one"));
    replace(&at("real/v2/push.md.hbs"), &template("three"));
    symlink("../push", at("real/v1/push.md.hbs")).unwrap();
    symlink("v1", at("real/now")).unwrap();
    symlink("real/now", at("templates")).unwrap();
    replace(&at("keys/secret"), "the first secret");
    let secret = EVERYTHING.lines().find(|line| line.starts_with("secret = ")).unwrap();
    let config = EVERYTHING.replace(secret, "secret = { file = \"keys/secret\" }");
    home.write_config(&format!("templates = \"templates\"\n{config}"));
    let mut service = home.serve();
    // A file that a link in the directory leads to.
    replace(&at("real/push"), &template("two"));
    assert!(service.wait_for_log(WENT_OVER).contains("`push`"));
    // A link on the way to the directory.
    std::fs::remove_file(at("real/now")).unwrap();
    symlink("v2", at("real/now")).unwrap();
    assert!(service.wait_for_log(WENT_OVER).contains("`push`"));
    // A directory in the place of another, and then a file in it.
    std::fs::create_dir(at("new")).unwrap();
    replace(&at("new/secret"), "the second secret");
    std::fs::rename(at("keys"), at("old")).unwrap();
    std::fs::rename(at("new"), at("keys")).unwrap();
    assert!(service.wait_for_log(WENT_OVER).contains("changed secret file `keys/secret`"));
    replace(&at("keys/secret"), "the secret three");
    assert!(service.wait_for_log(WENT_OVER).contains("changed secret file `keys/secret`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn included_files_are_watched() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let home = Home::new(&format!("include = [\"routes.d/*.toml\"]\n{}", config(&[("slack", &slack)], "")));
    std::fs::create_dir(home.path().join("routes.d")).unwrap();
    let mut service = home.serve();
    let team = format!(
        "[channels.team]\nkind = \"discord\"\nwebhook_url = \"{}\"\npace = \"1000/s\"\n[[routes]]\nname = \"team\"\n\
         event = \"@review\"\nto = \"team\"\nfinal = true\n",
        discord.url
    );
    replace(&home.path().join("routes.d/team.toml"), &team);
    service.wait_for_log(WENT_OVER);
    send(&service, 0..1).await;
    discord.wait_for(1).await;
    std::fs::remove_file(home.path().join("routes.d/team.toml")).unwrap();
    assert!(service.wait_for_log(WENT_OVER).contains("removed route `team`"));
    send(&service, 1..2).await;
    assert_eq!(numbers(&slack.wait_for(1).await), [1]);
    assert_eq!(discord.shown().len(), 1);
}

/// Edits of configuration and templates under load, half of them invalid: every event arrives once, at the channel of a
/// valid configuration, rendered by a valid template. HOOKBELL_EDITS sets the number of edits.
#[tokio::test(flavor = "multi_thread")]
async fn edits_under_load_lose_and_repeat_nothing() {
    let edits = std::env::var("HOOKBELL_EDITS").map_or(160, |edits| edits.parse().unwrap());
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let both = format!("templates = \"mine\"\n{}", config(&[("slack", &slack), ("discord", &discord)], ""));
    let to = |channel: &str| both.replace("to = [\"slack\", \"discord\"]", &format!("to = \"{channel}\""));
    assert_ne!(to("slack"), both);
    let line = |what: &str| format!("+++\nline = \"{what} {{{{pull_request.title}}}}\"\n+++\n");
    let (no_toml, no_path) = ("[[".to_owned(), line("broken").replace("title", "tite"));
    let (no_set, unclosed) = (both.replace("@all", "@al"), "+++\nline = \"{{#if\"\n+++\n".to_owned());
    let home = Home::new(&to("slack"));
    let (path, template) = (home.path().join("config.toml"), home.path().join("mine/pull_request.opened.md.hbs"));
    // Every other text is invalid.
    let texts = [
        (&path, to("discord")),
        (&template, no_path),
        (&template, line("other")),
        (&path, no_toml),
        (&path, to("slack")),
        (&template, unclosed),
        (&template, line("one")),
        (&path, no_set),
    ];
    std::fs::create_dir(home.path().join("mine")).unwrap();
    std::fs::write(&template, line("one")).unwrap();
    let mut service = home.serve();
    let (admin, token) = service.admin(&home);
    let (client, mut sent) = (Client::new(), 0);
    for batch in 0..edits / 20 {
        let edit = async {
            for n in batch * 20..batch * 20 + 20 {
                let (path, text) = &texts[n % texts.len()];
                replace(path, text);
                let asked = client.post(format!("{admin}/-/reload")).bearer_auth(&token).send().await.unwrap();
                assert_eq!(asked.status().as_u16(), if n % 2 == 0 { 200 } else { 400 }, "edit {n}");
            }
        };
        tokio::join!(edit, send(&service, sent..sent + 3), send(&service, sent + 3..sent + 6));
        sent += 6;
    }
    let (_, listed, _) = home.run(&["events", "--limit", "1000", "--json"]);
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for line in listed.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let sends = event["decision"]["targets"].as_array().unwrap();
        assert_eq!(sends.len(), 1, "{event}");
        *wanted.entry(sends[0]["channel"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(wanted.values().sum::<usize>(), sent);
    let mut shown = vec![];
    for (channel, fake) in [("slack", &slack), ("discord", &discord)] {
        let count = wanted.get(channel).copied().unwrap_or_default();
        let messages = fake.wait_for(count).await;
        assert_eq!(messages.len(), count, "{channel}");
        for message in messages.iter().map(Value::to_string) {
            assert!(message.contains("one number") || message.contains("other number"), "{message}");
        }
        shown.extend(numbers(&messages));
    }
    shown.sort_unstable();
    assert_eq!(shown, (0..sent).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_configuration_is_shown_by_alerts_readyz_metrics_and_doctor() {
    let slack = Fake::start(Kind::Slack).await;
    let sound = format!("{}\n[delivery]\nalerts = \"slack\"\n", config(&[("slack", &slack)], ""));
    let home = Home::new(&sound);
    let mut service = home.serve();
    let (admin, _) = service.admin(&home);
    let text = async |path: &str| reqwest::get(format!("{admin}{path}")).await.unwrap().text().await.unwrap();
    assert!(text("/metrics").await.contains("hookbell_config_valid 1"));
    replace(&home.path().join("config.toml"), &sound.replace("event = \"@all\"", "event = \"@al\""));
    let alert = slack.wait_for(1).await[0].to_string();
    let line = sound.lines().position(|line| line.starts_with("event =")).unwrap() + 1;
    for part in ["changed configuration was rejected", &format!("config.toml:{line}: "), "@al", "since 2"] {
        assert!(alert.contains(part), "{part}: {alert}");
    }
    assert!(text("/metrics").await.contains("hookbell_config_valid 0"));
    let ready = text("/readyz").await;
    assert!(ready.contains("\"ready\"") && ready.contains("the configuration has been invalid since 2"), "{ready}");
    let (_, doctor, _) = home.run(&["doctor"]);
    assert!(doctor.contains("error  service  the configuration has been invalid since"), "{doctor}");
    replace(&home.path().join("config.toml"), &sound);
    let recovery = slack.wait_for(2).await[1].to_string();
    assert!(recovery.contains("The configuration is valid again"), "{recovery}");
    assert!(text("/metrics").await.contains("hookbell_config_valid 1"));
    assert_eq!(text("/readyz").await.trim(), r#"{"status":"ready"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn resent_request_says_where_its_event_went_and_how_to_reroute_it() {
    let slack = Fake::start(Kind::Slack).await;
    let fixed = config(&[("slack", &slack)], "");
    let home = Home::new(&fixed.replace("event = \"@all\"", "event = \"issue.*\""));
    let mut service = home.serve();
    let (key, body) = sample("pull_request.opened");
    assert_eq!(post(&service, key, "once", &body).await.0, 202);
    replace(&home.path().join("config.toml"), &fixed);
    service.wait_for_log(WENT_OVER);
    let (status, answer) = post(&service, key, "once", &body).await;
    assert_eq!((status, &answer["duplicate"], &answer["deliveries"]), (200, &json!(true), &json!([])));
    let help = answer["help"].as_str().unwrap();
    let (_, command) = help.split_once("hookbell ").unwrap();
    assert!(command.starts_with("replay --reroute evt_"), "{help}");
    let (code, out, err) = home.run(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{out} {err}");
    slack.wait_for(1).await;
    let (_, answer) = post(&service, key, "once", &body).await;
    let went = answer["deliveries"].as_array().unwrap();
    assert_eq!(
        (went.len(), &went[0]["channel"], &went[0]["kind"]),
        (1, &json!("slack"), &json!("pull_request.opened"))
    );
}
