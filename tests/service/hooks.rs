//! `hookbell hooks` and `hookbell doctor` against a fake of Bitbucket's API.

use serde_json::Value;

use crate::bitbucket_api::{Api, Hook};
use crate::program::{Home, SECRET, bitbucket, output_of, post, sample};

const OURS: &str = "https://hookbell.acme.example/hooks/bitbucket";
const WORKSPACE: &str = "workspaces/acme";
const REPOSITORY: &str = "repositories/acme/api";

/// Configuration with managed webhooks and a route.
fn config(api: &Api, hooks: &str, event: &str) -> String {
    let url = &api.url;
    format!(
        r#"[server]
listen = "127.0.0.1:0"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "{SECRET}"
[hooks]
workspace = "acme"
public_url = "https://hookbell.acme.example"
api_url = "{url}"
token = "the token"
{hooks}
[channels.screen]
kind = "console"
[[routes]]
event = {event}
to = "screen"
"#
    )
}

const ACCOUNT: &str = "email = \"bot@acme.example\"";

fn home(api: &Api) -> Home {
    Home::new(&config(api, ACCOUNT, "\"@calm\""))
}

/// Replaces the ids of created webhooks.
fn named(text: &str) -> String {
    text.replace("{11111111-1111-4111-8111-", "{").replace("0000000000", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_gets_one_signed_webhook_with_the_needed_events() {
    let api = Api::start().await;
    let home = home(&api);
    insta::assert_snapshot!("hooks_dry_run", output_of(&home, &["hooks", "sync", "--dry-run"]));
    assert_eq!(api.changes(), Vec::<String>::new());
    insta::assert_snapshot!("hooks_sync", named(&output_of(&home, &["hooks", "sync"])));
    assert_eq!(api.changes(), ["POST workspaces/acme/hooks"]);
    let hook = api.hooks(WORKSPACE).remove(0);
    assert_eq!((hook.url.as_str(), hook.secret.as_deref(), hook.active), (OURS, Some(SECRET), true));
    assert_eq!(named(&output_of(&home, &["hooks", "sync"])), "acme: webhook {01} is up to date\n");
    assert_eq!(api.changes(), Vec::<String>::new());
    insta::assert_snapshot!("hooks_list", named(&output_of(&home, &["hooks", "list"])));

    // What Bitbucket signs with the stored secret is accepted.
    let service = home.serve();
    let (key, body) = sample("push");
    assert!(hook.events.contains(key));
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_follow_the_routes() {
    let api = Api::start().await;
    for (event, needed) in [
        ("\"pull_request.merged\"", vec!["pullrequest:fulfilled"]),
        ("\"issue.*\"", vec!["issue:comment_created", "issue:created", "issue:updated"]),
        ("\"pullrequest:approved\"", vec!["pullrequest:approved"]),
        ("[\"issue.*\", \"!issue.updated\"]", vec!["issue:comment_created", "issue:created"]),
        // To know what an update changed, the state before it must be known.
        ("\"pull_request.retargeted\"", vec!["pullrequest:created", "pullrequest:updated"]),
        // A push may be the merge of a pull request.
        ("\"push\"", vec!["pullrequest:created", "pullrequest:fulfilled", "pullrequest:updated", "repo:push"]),
        (
            "\"build.fixed\"",
            vec![
                "pullrequest:created",
                "pullrequest:fulfilled",
                "pullrequest:updated",
                "repo:commit_status_created",
                "repo:commit_status_updated",
                "repo:push",
            ],
        ),
        ("[\"@builds\", \"!build.*\"]", vec!["pipeline:span_created", "repo:push"]),
        ("\"project.updated\"", vec!["project:updated"]),
    ] {
        let home = Home::new(&config(&api, ACCOUNT, event));
        output_of(&home, &["hooks", "sync"]);
        let events: Vec<_> = api.hooks(WORKSPACE).remove(0).events.into_iter().collect();
        assert_eq!(events, needed, "{event}");
    }
    let all: Vec<_> = bitbucket().keys.iter().map(|key| key.name).collect();
    let home = Home::new(&config(&api, ACCOUNT, "\"@all\""));
    output_of(&home, &["hooks", "sync"]);
    assert_eq!(api.hooks(WORKSPACE)[0].events.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_workspaces_are_left_out_for_repositories() {
    let api = Api::start().await;
    let home = Home::new(&config(&api, &format!("{ACCOUNT}\nrepos = \"api\""), "[\"push\", \"project.updated\"]"));
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("left out  project:updated: the host does not offer them here"), "{out}");
    assert!(!api.hooks(REPOSITORY)[0].events.contains("project:updated"));
    home.write_config(&config(&api, &format!("{ACCOUNT}\nrepos = \"api\""), "\"project.updated\""));
    let (code, _, error) = home.run(&["hooks", "sync"]);
    assert!(code == 1 && error.contains("acme/api: no route uses an event that the host offers here"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_that_somebody_edited_is_repaired() {
    let api = Api::start().await;
    let home = home(&api);
    output_of(&home, &["hooks", "sync"]);
    let right = api.hooks(WORKSPACE).remove(0);
    let edit = |change: fn(&mut Hook)| api.with(|state| change(&mut state.hooks.get_mut(WORKSPACE).unwrap()[0]));
    api.changes();
    for (change, said) in [
        (
            (|hook| hook.url = "https://old.example/hook".to_owned()) as fn(&mut Hook),
            "url       https://old.example/… → ",
        ),
        (|hook| hook.description = "mine".to_owned(), "title     mine → Hookbell"),
        (|hook| hook.active = false, "state     inactive → active"),
        (|hook| hook.skip_cert_verification = true, "tls       any certificate → only valid ones"),
        (|hook| hook.events.retain(|event| event != "repo:push"), "events    +repo:push"),
        (|hook| hook.events.extend(["repo:fork".to_owned()]), "events    -repo:fork"),
        (|hook| hook.secret = None, "secret    set: the webhook has none"),
    ] {
        edit(change);
        let plan = output_of(&home, &["hooks", "sync", "--dry-run"]);
        assert!(plan.contains("would change webhook") && plan.contains(said), "{said}: {plan}");
        let done = output_of(&home, &["hooks", "sync"]);
        assert!(done.contains(said), "{said}: {done}");
        assert_eq!(api.changes(), [format!("PUT workspaces/acme/hooks/{}", right.uuid)]);
        let repaired = api.hooks(WORKSPACE).remove(0);
        assert_eq!(format!("{repaired:?}"), format!("{right:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_set_only_after_it_has_changed() {
    let api = Api::start().await;
    let home = home(&api);
    output_of(&home, &["hooks", "sync"]);
    // During a rotation, the first secret is the new one.
    let rotated = config(&api, ACCOUNT, "\"@calm\"")
        .replace(&format!("secret = \"{SECRET}\""), &format!("secret = [\"the new secret\", \"{SECRET}\"]"));
    home.write_config(&rotated);
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("secret    set: it has changed since it was set"), "{out}");
    assert!(!out.contains("the new secret"), "{out}");
    assert_eq!(api.hooks(WORKSPACE)[0].secret.as_deref(), Some("the new secret"));
    assert!(output_of(&home, &["hooks", "sync"]).contains("is up to date"));

    // Without the file, the webhook is found by its URL, and nobody knows its secret.
    let file = home.path().join("hookbell.db.hooks");
    let known = std::fs::read_to_string(&file).unwrap();
    assert!(!known.contains("the new secret"), "{known}");
    std::fs::remove_file(&file).unwrap();
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("secret    set: it was not set by Hookbell"), "{out}");
    assert_eq!((api.hooks(WORKSPACE).len(), std::fs::read_to_string(&file).unwrap()), (1, known));
    std::fs::write(&file, "{").unwrap();
    let (code, _, error) = home.run(&["hooks", "sync"]);
    assert!(code == 1 && error.contains("remove it: the webhooks are found by their URL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_read_and_no_other_webhook_is_touched() {
    let api = Api::start().await;
    let home = home(&api);
    let fill = |count| {
        let foreign: Vec<_> = (0..count).map(Hook::foreign).collect();
        api.with(|state| state.hooks.insert(WORKSPACE.to_owned(), foreign));
    };
    fill(50);
    let (code, _, error) = home.run(&["hooks", "sync"]);
    assert!(code == 1 && error.contains("acme: there are 50 webhooks, the most that the host allows"), "{error}");
    assert_eq!(api.changes(), Vec::<String>::new());
    fill(49);
    output_of(&home, &["hooks", "sync"]);
    // On the last of five pages.
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("is up to date"), "{out}");
    let list = output_of(&home, &["hooks", "list"]);
    assert_eq!(list.lines().count(), 51, "{list}");
    // The URL of a webhook may be a secret.
    assert!(list.contains("https://ci.example ") && !list.contains("token") && !list.contains("/hook/"), "{list}");
    let json = output_of(&home, &["hooks", "list", "--json"]);
    let rows: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().filter(|row| row["managed"] == true).count(), 1);
    assert!(!json.contains("token"), "{json}");
    output_of(&home, &["hooks", "remove"]);
    assert_eq!(api.hooks(WORKSPACE).len(), 49);
    assert!(api.hooks(WORKSPACE).iter().all(|hook| hook.url.starts_with("https://ci.example")));
    assert_eq!(output_of(&home, &["hooks", "remove"]), "acme: no webhook of Hookbell\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_of_somebody_else_can_be_taken_over() {
    let api = Api::start().await;
    let home = home(&api);
    api.with(|state| state.hooks.get_mut(WORKSPACE).unwrap().extend((1..3).map(Hook::foreign)));
    let id = Hook::foreign(2).uuid;
    let (code, _, error) = home.run(&["hooks", "sync", "--adopt", "00000000-0000-4000-8000-000000000009"]);
    assert!(code == 1 && error.contains("there is no webhook `00000000-0000-4000-8000-000000000009`"), "{error}");
    assert_eq!(api.changes(), Vec::<String>::new());
    // With or without braces.
    let out = output_of(&home, &["hooks", "sync", "--adopt", id.trim_matches(['{', '}'])]);
    assert!(out.contains("url       https://ci.example/… → https://hookbell.acme.example"), "{out}");
    assert_eq!(api.changes(), [format!("PUT workspaces/acme/hooks/{id}")]);
    let hooks = api.hooks(WORKSPACE);
    assert_eq!((hooks[0].description.as_str(), hooks[1].url.as_str()), ("CI 1", OURS));
    assert!(output_of(&home, &["hooks", "sync"]).contains("is up to date"));

    // A second webhook at the same URL would send everything twice.
    api.with(|state| {
        let double = Hook { url: OURS.to_owned(), ..Hook::foreign(7) };
        state.hooks.get_mut(WORKSPACE).unwrap().insert(0, double);
    });
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("000007}: another webhook posts to the same URL"), "{out}");
    assert_eq!(api.changes(), [format!("DELETE workspaces/acme/hooks/{}", Hook::foreign(7).uuid)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_are_independent_of_each_other() {
    let api = Api::start().await;
    let repos = format!("{ACCOUNT}\nrepos = [\"missing\", \"api\", \"closed\", \"web\"]");
    api.with(|state| {
        state.hooks.insert("repositories/acme/closed".to_owned(), vec![]);
        state.forbidden.insert("repositories/acme/closed".to_owned());
    });
    let home = Home::new(&config(&api, &repos, "\"@calm\""));
    let (code, out, error) = home.run(&["hooks", "sync"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!("hooks_sync_of_repositories", format!("{}\n{error}", named(&out)));
    assert_eq!((api.hooks(REPOSITORY).len(), api.hooks("repositories/acme/web").len()), (1, 1));

    // One webhook for the workspace replaces those of the repositories, in this order.
    home.write_config(&config(&api, ACCOUNT, "\"@calm\""));
    api.changes();
    let out = output_of(&home, &["hooks", "sync"]);
    assert!(out.contains("acme/api: removing webhook") && out.contains("`[hooks]` no longer names the place"), "{out}");
    let changes = api.changes();
    assert_eq!(changes[0], "POST workspaces/acme/hooks");
    assert!(changes.len() == 3 && changes[1..].iter().all(|change| change.starts_with("DELETE")), "{changes:?}");
    assert!(api.hooks(REPOSITORY).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_tokens_are_explained() {
    let api = Api::start().await;
    let mut said = String::new();
    let mut tried = |title: &str, hooks: &str| {
        let home = Home::new(&config(&api, hooks, "[\"@calm\", \"issue.*\", \"pipeline.*\", \"project.updated\"]"));
        let (code, _, error) = home.run(&["hooks", "sync"]);
        assert_eq!(code, 1, "{title}");
        assert!(!error.contains("the token\"") && !error.contains("dGhlIHRva2Vu"), "{error}");
        said.push_str(&format!("{title}:\n{error}\n"));
    };
    let full = api.with(|state| state.scopes.clone());
    for scope in full.iter().filter(|scope| !scope.starts_with("delete")) {
        api.with(|state| state.scopes.retain(|other| other != scope));
        tried(&format!("API token without {scope}"), ACCOUNT);
        api.with(|state| state.scopes = full.clone());
    }
    api.with(|state| state.authorization = "Bearer the token".to_owned());
    tried("API token that has expired", ACCOUNT);
    let full: std::collections::BTreeSet<_> =
        ["webhook", "repository", "pullrequest", "issue", "pipeline", "project"].map(ToOwned::to_owned).into();
    for scope in &full {
        api.with(|state| {
            state.scopes = full.clone();
            state.scopes.remove(scope);
        });
        tried(&format!("access token without {scope}"), "");
    }
    api.with(|state| {
        state.scopes = full.clone();
        state.forbidden.insert(WORKSPACE.to_owned());
    });
    tried("access token of a repository, for a workspace", "");
    api.with(|state| state.authorization = "Bearer another".to_owned());
    tried("access token that has expired", "");
    insta::assert_snapshot!("hooks_refused_tokens", said);
    assert_eq!(api.changes().iter().filter(|change| !change.starts_with("POST")).count(), 0);
    assert!(api.hooks(WORKSPACE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_for_removing_is_its_own() {
    let api = Api::start().await;
    let home = home(&api);
    output_of(&home, &["hooks", "sync"]);
    api.with(|state| state.scopes.retain(|scope| scope != "delete:webhook:bitbucket"));
    let (code, _, error) = home.run(&["hooks", "remove"]);
    assert!(code == 1 && error.contains("the token lacks the scope `delete:webhook:bitbucket`"), "{error}");
    assert_eq!(api.hooks(WORKSPACE).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_are_waited_for_or_reported() {
    let api = Api::start().await;
    let home = home(&api);
    api.with(|state| state.busy.extend([Some(1), Some(0)]));
    output_of(&home, &["hooks", "sync"]);
    assert_eq!(api.hooks(WORKSPACE).len(), 1);
    for (wait, said) in [(None, "run the command again in an hour"), (Some(600), "run the command again in 10 min")] {
        api.with(|state| state.busy.push_back(wait));
        let (code, _, error) = home.run(&["hooks", "sync"]);
        assert!(
            code == 1 && error.contains("acme: Bitbucket's rate limit is reached") && error.contains(said),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_before_the_first_request_are_explained() {
    let api = Api::start().await;
    let text = config(&api, ACCOUNT, "\"@calm\"");
    for (text, said) in [
        (
            text.replace("\"the token\"", "{ env = \"NO_SUCH_TOKEN\" }"),
            "missing: put it in the environment variable NO_SUCH",
        ),
        (text.replace(&format!("secret = \"{SECRET}\""), "unsigned = true"), "source `bitbucket` has no secret"),
        (
            text.replace(&format!("secret = \"{SECRET}\""), "secret = { file = \"b.secret\", generate = true }"),
            "start Hookbell once to generate it",
        ),
        (text.split("[hooks]").next().unwrap().to_owned() + "[channels.a]\nkind = \"console\"\n", "is not configured"),
    ] {
        let home = Home::new(&text);
        let (code, _, error) = home.run(&["hooks", "sync"]);
        assert!(code == 2 && error.contains(said), "{said}: {error}");
        // The service does not need the token.
        home.serve();
    }
    let home = Home::new(&text.replace(&api.url, "http://127.0.0.1:1/2.0"));
    let (code, _, error) = home.run(&["hooks", "list"]);
    assert!(code == 1 && error.contains("acme: no response from 127.0.0.1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_compares_the_webhooks_with_the_routes() {
    let api = Api::start().await;
    let home = home(&api);
    let service = home.serve();
    let doctor = || {
        let (code, out, _) = home.run(&["doctor"]);
        let findings = out.lines().filter(|line| line.contains("  hooks ") || line.contains("  clock "));
        (code, named(&findings.map(|line| format!("{line}\n")).collect::<String>()))
    };
    let mut said = format!("missing:\n{}", doctor().1);
    output_of(&home, &["hooks", "sync"]);
    let (code, fine) = doctor();
    assert_eq!(code, 0, "{fine}");
    said.push_str(&format!("right:\n{fine}"));
    let edit = |change: fn(&mut Hook)| api.with(|state| change(&mut state.hooks.get_mut(WORKSPACE).unwrap()[0]));
    edit(|hook| {
        hook.active = false;
        hook.secret = None;
        hook.events = ["repo:push".to_owned(), "repo:fork".to_owned()].into();
        hook.skip_cert_verification = true;
    });
    // A repository that sends has a webhook of its own.
    api.with(|state| {
        state.hooks.get_mut(REPOSITORY).unwrap().push(Hook { url: OURS.to_owned(), ..Hook::foreign(3) });
        state.clock_ahead = -95;
    });
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
    let (code, wrong) = doctor();
    assert_eq!(code, 1);
    let ahead = wrong.split("the clock is ").nth(1).unwrap().split(' ').next().unwrap();
    assert!((95..100).contains(&ahead.parse::<u32>().unwrap()), "{wrong}");
    said.push_str(&format!("wrong:\n{}", wrong.replace(&format!("is {ahead} s"), "is 95 s")));
    home.write_config(&config(&api, ACCOUNT, "\"@calm\"").replace("\"the token\"", "{ env = \"NO_SUCH_TOKEN\" }"));
    said.push_str(&format!("without the token:\n{}", doctor().1));
    insta::assert_snapshot!("doctor_hooks", said);
}
