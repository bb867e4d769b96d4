//! Explanations of the routing of events.

use reqwest::Client;
use serde_json::Value;

use crate::chats::send;
use crate::fakes::{Fake, Fault, Kind};
use crate::program::{Home, bitbucket, post, sample};

/// Rules of every kind.
const RULES: &str = r#"
[server]
listen = "127.0.0.1:0"

[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "the tests' own secret"
bots = "Acme"

[channels.screen]
kind = "console"

[channels.team]
kind = "program-less"

[[admin.tokens]]
name = "team lead"
token = "only for looking"

[[mutes]]
name = "bots"
actor_kind = "bot"
event = "!build.*"

[[mutes]]
name = "the move"
until = 2020-02-02
event = "push"

[[mutes]]
name = "no tags for the team"
channels = "team"
event = "tag.*"

[[routes]]
name = "releases"
branch = ["release/**"]
to = "screen"

[[routes]]
name = "off for now"
enabled = false
event = "@all"
to = "screen"

[[routes]]
name = "reviews"
event = "@review"
target_branch = "main"
unless = { author = "Ana Ruiz", event = "*.reviewers_changed" }
to = ["team", "screen"]
final = true

[[routes]]
name = "into develop"
event = "@review"
target_branch = "develop"
to = "screen"

[[routes]]
name = "tags"
event = "tag.*"
to = ["team", "screen"]

[[routes]]
name = "the rest"
otherwise = true
event = ["@calm", "@builds"]
to = "screen"
"#;

/// Replaces ids and times by constants.
fn neutral(text: &str) -> String {
    let replaced =
        |text: &str, pattern: &str, by: &str| regex::Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
    let text = replaced(text, r"(evt|req|dlv)_[0-9a-z]{13}", "${1}_…");
    let text = replaced(&text, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+ \w+ ago\)", "(a moment ago)");
    replaced(&text, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  (\w+) after \d+ ms", "(then)  $1 after some ms")
}

fn rules(slack: &Fake) -> String {
    let team = format!("kind = \"slack\"\nwebhook_url = \"{}\"\npace = \"1000/s\"", slack.url);
    RULES.replace("kind = \"program-less\"", &team)
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_event_is_explained_with_its_deliveries() {
    let slack = Fake::start(Kind::Slack).await;
    slack.fail([Fault::word(400, "too_many_attachments")]);
    let home = Home::new(&rules(&slack));
    let service = home.serve();
    let (key, body) = sample("pull_request.opened");
    assert_eq!(post(&service, key, "a1b2-c3", &body).await.0, 202);
    assert_eq!(post(&service, "pullrequest:approved", "d4", &sample("pull_request.approved").1).await.0, 202);
    slack.wait_for(1).await;
    let explained = |what: &str| {
        let (code, out, err) = home.run(&["explain", what]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        neutral(&out)
    };
    let of_then = explained("a1b2-c3");
    insta::assert_snapshot!("explained", of_then);
    // By each of its ids.
    let (_, json, _) = home.run(&["explain", "a1b2-c3", "--json"]);
    let event: Value = serde_json::from_str(json.trim()).unwrap();
    for id in [&event["id"], &event["request"], &event["deliveries"][0]["id"]] {
        assert_eq!(explained(id.as_str().unwrap()), of_then);
    }
    let last = explained("last");
    assert!(last.starts_with("pull_request.approved · acme/api · #482"), "{last}");
    let page = explained("https://bitbucket.org/acme/api/pull-requests/482/diff?w=1");
    assert_eq!(page.trim_end(), format!("{}\n\n{}", of_then.trim_end(), last.trim_end()));
    assert!(
        home.run(&["explain", "https://bitbucket.org/acme/api/pull-requests/48"]).2.contains("no stored event matches")
    );
    // An unknown event.
    let (code, _, err) = home.run(&["explain", "nothing-like-it"]);
    assert!(
        code == 1 && err.contains("no stored event matches `nothing-like-it`") && err.contains("--rejected"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_rules_explain_old_events() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&rules(&slack));
    let mut service = home.serve();
    send(&service, 0..1).await;
    home.write_config(&rules(&slack).replace("\"reviews\"", "\"reviews of main\"").replace("final = true", ""));
    service.wait_for_log("configuration reloaded");
    send(&service, 1..2).await;
    let (_, then, _) = home.run(&["explain", "request-0"]);
    assert!(then.contains("routes, in use when the event was received (the current ones differ)"), "{then}");
    assert!(then.contains("yes  reviews ") && then.contains("not read: `reviews` above matched"), "{then}");
    let (_, now, _) = home.run(&["explain", "request-1"]);
    assert!(now.contains("yes  reviews of main") && !now.contains("in use when"), "{now}");
    // Also without a running service and without a configuration.
    assert!(service.stop("TERM").0.success());
    let (_, later, _) = home.run(&["explain", "request-0"]);
    assert_eq!(neutral(&later), neutral(&then));
}

/// For each event, every rule has a result: its effect, or the reason why it did not match.
#[tokio::test(flavor = "multi_thread")]
async fn every_rule_explains_every_event() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&rules(&slack));
    let mut service = home.serve();
    let mut count = 0;
    for (n, sample) in bitbucket().samples.iter().enumerate() {
        let body = serde_json::from_str(sample.body).unwrap();
        let (status, answer) = post(&service, sample.key, &format!("request-{n}"), &body).await;
        assert_eq!(status, 202);
        count += answer["events"].as_array().unwrap().len();
    }
    let (admin, _) = service.admin(&home);
    let ask = async |path: &str, query: &[(&str, &str)]| -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{admin}{path}"), query).unwrap();
        // A team lead's token is enough.
        let response = Client::new().get(url).bearer_auth("only for looking").send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    };
    let listed = ask("/api/v1/events", &[("limit", "1000")]).await;
    let listed = listed["events"].as_array().unwrap();
    assert_eq!(listed.len(), count);
    let mut met = std::collections::BTreeSet::new();
    for event in listed {
        let id = event["id"].as_str().unwrap();
        let answer = ask("/api/v1/explain", &[("what", id)]).await;
        let explained = &answer["events"][0];
        assert_eq!((explained["id"].as_str(), explained["rules"].as_str()), (Some(id), Some("same")));
        let (mutes, routes) = (explained["mutes"].as_array().unwrap(), explained["routes"].as_array().unwrap());
        assert_eq!((mutes.len(), routes.len()), (3, 6));
        for route in routes {
            assert_eq!(route["matched"].as_bool().unwrap(), route["reason"].is_null(), "{explained}");
            let ways = route["channels"].as_array().unwrap();
            assert_eq!(ways.is_empty(), !route["matched"].as_bool().unwrap());
            assert!(ways.iter().all(|way| way["sent"] != way["reason"].is_string() || explained["muted"].is_string()));
            met.insert(route["reason"].as_str().unwrap_or("matched")[..7].to_owned());
        }
        assert!(mutes.iter().all(|mute| mute["silences"].as_bool().unwrap() == mute["reason"].is_null()));
        // The explanation equals the stored decision.
        let stored = event["decision"]["targets"].as_array().map_or(0, Vec::len);
        let said = routes.iter().flat_map(|route| route["channels"].as_array().unwrap());
        let suppressed = explained["suppressed"].is_string();
        assert!(suppressed || said.filter(|way| way["sent"] == true).count() == stored, "{explained}");
        assert_eq!(explained["notes"].as_array().unwrap().len(), 0, "{explained}");
    }
    // Reasons of all kinds were found.
    for sort in ["matched", "disable", "not rea", "`event`", "`branch", "`target", "`otherw", "exclude"] {
        assert!(met.iter().any(|why| why.starts_with(sort)), "nothing was `{sort}`: {met:?}");
    }
}

#[test]
fn samples_are_explained_without_a_store() {
    let home = Home::new(&RULES.replace("kind = \"program-less\"", "kind = \"console\""));
    for sample in ["pull_request.declined", "tag.created", "build.failed", "push"] {
        let (code, out, err) = home.run(&["explain", sample]);
        assert_eq!((code, err.as_str()), (0, ""));
        insta::assert_snapshot!(format!("explained_{sample}"), out);
    }
    // The source knows which accounts are bots.
    assert!(home.run(&["explain", "build.failed"]).1.contains("`event`: `build.failed` is excluded by `!build.*`"));
    let other = home.path().join("other.json");
    std::fs::write(&other, sample("push").1.to_string().replace("acme/api", "other/api")).unwrap();
    let config =
        RULES.replace("kind = \"program-less\"", "kind = \"console\"").replace("bots =", "repo = \"acme/*\"\nbots =");
    let home_of_acme = Home::new(&config);
    let (code, out, err) = home_of_acme.run(&["explain", other.to_str().unwrap(), "--event", "repo:push"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("note: `other/api` is not allowed by `repo` of source `bitbucket`: the request is rejected"),
        "{out}"
    );
    // A misspelled sample, and a server that does not respond.
    let (code, _, err) = home.run(&["explain", "psuh"]);
    assert!(code == 1 && err.contains("did you mean the sample `push`?"), "{err}");
    std::fs::create_dir(home.path().join("push")).unwrap();
    assert_eq!(home.run(&["explain", "push"]).0, 0);
    let (code, _, err) = home.run(&["explain", "push", "--server", "http://127.0.0.1:1"]);
    assert!(code == 2 && err.contains("explained with the local configuration"), "{err}");
}
