mod unusual;

use proptest::prelude::*;
use serde_json::json;

use serde_json::Value;

use super::*;
use crate::event::{AccountKind, PullRequestState, RefKind, Vote};
use crate::pattern::{Patterns, Style};
use crate::source::Sample;

fn source() -> Box<dyn Source> {
    let style = Style { separator: false, ignore_case: true };
    let bots = Patterns::new(&["renovate*".to_owned()], style).unwrap();
    (PROVIDER.build)(SourceSettings { secrets: vec!["s".to_owned().into()], unsigned: false, bots })
}

fn parse(key: &str, body: &Value) -> Result<Parsed, Rejection> {
    source().parse(&headers(key, "r"), body.to_string().as_bytes())
}

fn events(key: &str, body: &Value) -> Vec<Event> {
    parse(key, body).unwrap().events
}

fn sample(name: &str) -> (&'static Sample, Value) {
    let sample = PROVIDER.sample(name).unwrap();
    (sample, serde_json::from_str(sample.body).unwrap())
}

fn sampled(name: &str) -> Event {
    let (sample, body) = sample(name);
    events(sample.key, &body).remove(0)
}

#[test]
fn each_sample_is_named_after_the_kind_of_its_events() {
    for sample in samples::ALL {
        let parsed = PROVIDER.parse_sample(sample).unwrap();
        let Some(event) = parsed.events.first() else {
            assert!(parsed.note.is_some(), "{}", sample.name);
            continue;
        };
        let kind = event.kind.as_str();
        let expected = match sample.name {
            "tag.moved" => "tag.created",
            name => name,
        };
        assert!(expected.starts_with(kind), "{}: {kind}", sample.name);
    }
}

#[test]
fn all_fields_of_a_push_are_parsed() {
    let event = sampled("push");
    let push = event.push.unwrap();
    assert_eq!((push.branch.as_deref(), push.ref_kind, push.count), (Some("main"), RefKind::Branch, 3));
    assert!(!(push.created || push.deleted || push.forced || push.truncated));
    assert!(push.compare_url.unwrap().contains("/branches/compare/"));
    assert_eq!(push.commits[1].author.as_ref().unwrap().name, "Bo Lindqvist");
    assert_eq!(push.new.as_deref(), Some(push.commits[0].hash.as_str()));
    let repository = event.repository.unwrap();
    assert_eq!((repository.full_name.as_deref(), repository.workspace.as_deref()), (Some("acme/api"), Some("acme")));
    assert_eq!(repository.visibility, Some(crate::event::Visibility::Private));
    assert_eq!(repository.project.as_ref().unwrap().key.as_deref(), Some("PLAT"));
}

#[test]
fn every_form_of_a_push_is_recognized() {
    let flags = |name: &str| {
        let push = sampled(name).push.unwrap();
        (push.created, push.deleted, push.forced, push.truncated, push.commits.len(), push.compare_url.is_some())
    };
    assert_eq!(flags("push.forced"), (false, false, true, false, 1, false));
    assert_eq!(flags("push.truncated"), (false, false, false, true, 5, true));
    assert_eq!(flags("branch.created"), (true, false, false, false, 1, false));
    assert_eq!(flags("branch.deleted"), (false, true, false, false, 0, false));
    assert_eq!(flags("tag.created"), (true, false, false, false, 0, false));
    assert_eq!(flags("tag.moved"), (false, false, true, false, 1, true));
    assert_eq!(flags("tag.deleted"), (false, true, false, false, 0, false));
    let (several, body) = sample("push.several_refs");
    let kinds: Vec<_> = events(several.key, &body).iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Push, Kind::BranchCreated, Kind::TagCreated]);
}

#[test]
fn push_without_changes_has_no_event() {
    for changes in [json!([]), json!([{ "old": null, "new": null }]), json!(null), json!({}), json!([1, "x", null])] {
        assert_eq!(events("repo:push", &json!({ "push": { "changes": changes } })).len(), 0, "{changes}");
    }
}

#[test]
fn all_fields_of_a_pull_request_are_parsed() {
    let event = sampled("pull_request.approved");
    assert_eq!(event.actor.unwrap().name, "Bo Lindqvist");
    let pr = event.pull_request.unwrap();
    assert_eq!(
        (pr.id, pr.title.as_deref(), pr.state),
        (Some(482), Some("Add rate limits"), Some(PullRequestState::Open))
    );
    assert_eq!((pr.approvals, pr.reviewer_count, pr.tasks, pr.draft), (1, 2, Some(1), Some(false)));
    assert_eq!(pr.reviewers.unwrap()[0].vote, Some(Vote::Approved));
    assert_eq!((pr.source.branch.as_deref(), pr.target.branch.as_deref()), (Some("feature/limits"), Some("main")));
    let merged = sampled("pull_request.merged").pull_request.unwrap();
    assert_eq!(merged.merge_commit.unwrap().len(), 12);
    assert!(merged.merge_commit_url.is_some());
    assert_eq!(sampled("pull_request.declined").pull_request.unwrap().reason.as_deref(), Some("superseded by #490"));
    let comment = sampled("pull_request.comment_added.inline").comment.unwrap();
    assert_eq!((comment.path.as_deref(), comment.line), (Some("src/limit.rs"), Some(88)));
}

#[test]
fn comment_on_a_removed_line_has_the_old_line_number() {
    let (sample, mut body) = sample("pull_request.comment_added.inline");
    body["comment"]["inline"]["to"] = Value::Null;
    body["comment"]["inline"]["from"] = 12.into();
    body["comment"]["parent"] = json!({ "id": 99 });
    let comment = events(sample.key, &body).remove(0).comment.unwrap();
    assert_eq!((comment.line, comment.reply_to), (Some(12), Some(99)));
}

#[test]
fn every_actor_has_a_name_and_a_kind() {
    let actor = |actor: Value| {
        let body = json!({ "actor": actor, "push": { "changes": [{ "new": { "name": "x" } }] } });
        let account = events("repo:push", &body).remove(0).actor.unwrap();
        (account.name.clone(), account.kind, account.id.clone())
    };
    let known = |name: &str, kind, id: Option<&str>| (name.to_owned(), kind, id.map(ToOwned::to_owned));
    assert_eq!(
        actor(json!({ "type": "user", "display_name": "Ana", "account_id": "712020:x", "uuid": "{u}" })),
        known("Ana", AccountKind::User, Some("712020:x"))
    );
    assert_eq!(
        actor(json!({ "type": "team", "username": "acme", "uuid": "{u-1}" })),
        known("acme", AccountKind::Team, Some("u-1"))
    );
    assert_eq!(
        actor(json!({ "type": "app_user", "display_name": "Deploys" })),
        known("Deploys", AccountKind::App, None)
    );
    assert_eq!(
        actor(json!({ "type": "user", "nickname": "Renovate-bot" })),
        known("Renovate-bot", AccountKind::Bot, None)
    );
    for unnamed in [json!(null), json!({}), json!([]), json!("ana"), json!({ "display_name": 7, "type": {} })] {
        let name = actor(unnamed.clone()).0;
        assert!(name == "Someone" || name == "7", "{unnamed}: {name}");
    }
}

#[test]
fn email_address_never_becomes_a_name() {
    let author = |raw: &str| {
        let target = json!({ "hash": "abc", "author": { "raw": raw } });
        let body = json!({ "push": { "changes": [{ "new": { "name": "x", "target": target } }] } });
        events("repo:push", &body).remove(0).push.unwrap().head.unwrap().author.map(|account| account.name)
    };
    assert_eq!(author("Cy Okafor <cy@acme.example>").as_deref(), Some("Cy Okafor"));
    for raw in ["<cy@acme.example>", "cy@acme.example", "cy@acme.example <cy@acme.example>", "", " "] {
        assert_eq!(author(raw), None, "{raw}");
    }
}

#[test]
fn endpoints_of_a_pull_request_can_be_missing() {
    let (sample, mut body) = sample("pull_request.declined");
    body["pullrequest"]["source"]["repository"] = Value::Null;
    body["pullrequest"]["source"]["commit"] = Value::Null;
    body["pullrequest"]["destination"]["commit"] = Value::Null;
    let pr = events(sample.key, &body).remove(0).pull_request.unwrap();
    assert_eq!((pr.source.repository, pr.source.commit, pr.target.commit), (None, None, None));
    assert_eq!(pr.source.branch.as_deref(), Some("feature/limits"));
}

#[test]
fn every_event_key_has_a_sample_of_its_kinds() {
    assert_eq!(keys::ALL.len(), 29);
    for key in keys::ALL {
        let of_key: Vec<_> = samples::ALL.iter().filter(|sample| sample.key == key.name).collect();
        // No body with this key has been observed; every other key has at least one sample.
        assert!(!of_key.is_empty() || ["pullrequest:push"].contains(&key.name), "{}", key.name);
        for sample in of_key {
            for event in PROVIDER.parse_sample(sample).unwrap().events {
                assert!(key.kinds.contains(&event.kind), "{}: {}", sample.name, event.kind);
            }
        }
    }
    let sampled = |kind: Kind| {
        samples::ALL.iter().any(|s| PROVIDER.parse_sample(s).unwrap().events.iter().any(|e| e.kind == kind))
    };
    let without: Vec<_> = Kind::ALL.iter().filter(|kind| !sampled(**kind)).collect();
    assert_eq!(without, Vec::<&Kind>::new(), "kinds without a sample");
}

#[test]
fn accounts_of_apps_teams_and_workspaces_have_names() {
    let event = sampled("build.succeeded");
    let actor = event.actor.unwrap();
    assert_eq!((actor.name.as_str(), actor.kind, actor.nickname.clone()), ("Deploy token", AccountKind::App, None));
    assert_eq!(sampled("build.started").actor.unwrap().kind, AccountKind::Team);
    let (sample, mut body) = sample("repository.transferred");
    body.as_object_mut().unwrap().remove("previous_owner");
    body["previous_workspace"] = json!({ "type": "workspace", "slug": "acme-labs", "name": "Acme Labs" });
    let owner = events(sample.key, &body).remove(0).previous_owner.unwrap();
    assert_eq!((owner.name.as_str(), owner.kind), ("Acme Labs", AccountKind::Team));
}

#[test]
fn votes_name_their_voters() {
    let (sample, mut body) = sample("pull_request.changes_requested");
    body["actor"] = Value::Null;
    let event = events(sample.key, &body).remove(0);
    assert_eq!(event.actor.unwrap().name, "Cy Okafor");
    let pr = event.pull_request.unwrap();
    assert_eq!((pr.approvals, pr.changes_requested, pr.reviewer_count), (1, 1, 2));
}

#[test]
fn text_of_a_deleted_comment_is_not_posted() {
    let (_, mut body) = sample("pull_request.comment_deleted");
    body["comment"]["content"]["raw"] = "the password is hunter2".into();
    for deleted in [json!(true), json!(false), Value::Null] {
        body["comment"]["deleted"] = deleted;
        let event = events("pullrequest:comment_deleted", &body).remove(0);
        assert!(!serde_json::to_string(&event).unwrap().contains("hunter2"));
    }
}

#[test]
fn mentions_become_names() {
    let text = |raw: &str, html: &str| {
        let (sample, mut body) = sample("pull_request.comment_added");
        body["comment"]["content"] = json!({ "raw": raw, "html": html });
        events(sample.key, &body).remove(0).comment.unwrap().text.unwrap()
    };
    let (_, body) = sample("pull_request.comment_added");
    let author = body["pullrequest"]["author"]["account_id"].as_str().unwrap();
    assert_eq!(text(&format!("@{{{author}}} ok"), ""), "@Ana Ruiz ok", "an account in the payload");
    let html = r#"<p><span class="ap-mention" data-atlassian-id="712020:x">@Zoë &amp; N</span> ok</p>"#;
    assert_eq!(text("@{712020:x} ok", html), "@Zoë & N ok", "named in the HTML");
    assert_eq!(text("@{712020:y} ok", html), "@someone ok", "named nowhere");
    assert_eq!(text("mail me @{ or } @{}", ""), "mail me @{ or } @{}");
}

#[test]
fn trivial_updates_are_not_posted() {
    let parsed =
        |key: &str, body: &Value| parse(key, body).map(|parsed| (parsed.events.len(), parsed.note.is_some())).unwrap();
    let (_, mut repository) = sample("repository.updated");
    assert_eq!(parsed("repo:updated", &repository), (1, false));
    repository["changes"] = json!({ "updated_on": { "old": "a", "new": "b" }, "links": { "old": {}, "new": {} } });
    assert_eq!(parsed("repo:updated", &repository), (0, true));
    repository["changes"] = json!({ "description": { "old": "a", "new": "b" } });
    assert_eq!(parsed("repo:updated", &repository), (1, false));
    repository.as_object_mut().unwrap().remove("changes");
    assert_eq!(parsed("repo:updated", &repository), (1, false), "the body does not report what changed");

    let (_, mut issue) = sample("issue.updated");
    issue["changes"] = json!({ "votes": { "old": 1, "new": 2 } });
    assert_eq!(parsed("issue:updated", &issue), (0, true));
    issue["comment"]["content"]["raw"] = "done".into();
    assert_eq!(parsed("issue:updated", &issue), (1, false), "a comment is news");
}

#[test]
fn issue_changes_are_posted_once_each() {
    let event = sampled("issue.updated");
    let changes: Vec<_> = event.changes.iter().map(|c| (c.what.as_str(), c.old.as_deref(), c.new.as_deref())).collect();
    assert_eq!(changes, [("state", Some("new"), Some("open")), ("assignee", None, Some("Ana Ruiz"))]);
    assert_eq!(event.comment, None, "every update has a comment; most of them are empty");
}

#[test]
fn project_event_has_a_workspace_and_no_repository() {
    let event = sampled("project.updated");
    assert_eq!((event.repository.as_ref(), event.workspace()), (None, Some("acme")));
    assert_eq!(event.subject().unwrap(), format!("project:{}", event.project.unwrap().id.unwrap()));
}

#[test]
fn build_commit_is_read_from_its_link() {
    let (sample, mut body) = sample("build.failed");
    body["commit_status"].as_object_mut().unwrap().remove("commit");
    let build = events(sample.key, &body).remove(0).build.unwrap();
    assert_eq!(build.commit.unwrap().hash, "4eb2224d67ded8f7e140a233cf9ecec7f7532af4");
}

#[test]
fn unknown_pipeline_result_is_other() {
    let (sample, mut body) = sample("build.failed");
    body["commit_status"]["state"] = "PAUSED".into();
    assert_eq!(events(sample.key, &body)[0].kind, Kind::Other);
    let (sample, body) = self::sample("pipeline.failed");
    let body = body.to_string().replace("FAILED", "PAUSED");
    let event = PROVIDER.parse(sample.key, body.as_bytes()).unwrap().events.remove(0);
    assert_eq!((event.kind, event.pipeline.unwrap().result.as_deref()), (Kind::Other, Some("PAUSED")));
}

#[test]
fn pipeline_number_can_be_a_number_or_a_string() {
    let run = sampled("pipeline.failed").pipeline.unwrap();
    assert_eq!((run.number, run.branch.as_deref(), run.seconds), (Some(311), Some("main"), Some(265)));
    let (sample, body) = sample("pipeline.failed");
    let body = body.to_string().replace(r#"{"stringValue":"311"}"#, r#"{"intValue":311}"#);
    assert_eq!(
        PROVIDER.parse(sample.key, body.as_bytes()).unwrap().events[0].pipeline.as_ref().unwrap().number,
        Some(311)
    );
}

#[test]
fn a_truncated_push_of_a_new_branch_with_a_name_in_another_script() {
    let (sample, mut body) = sample("branch.created");
    let change = &mut body["push"]["changes"][0];
    change["truncated"] = true.into();
    change["new"]["name"] = "функция/ограничения-🚦".into();
    let event = events(sample.key, &body).remove(0);
    let push = event.push.unwrap();
    assert_eq!(
        (event.kind, push.truncated, push.branch.as_deref()),
        (Kind::BranchCreated, true, Some("функция/ограничения-🚦"))
    );
    assert_eq!(push.compare_url, None);
}

#[test]
fn unknown_event_key_is_other() {
    let parsed = parse("repo:invented", &json!({ "actor": { "display_name": "Ana" } })).unwrap();
    assert_eq!((parsed.events[0].kind, parsed.events[0].key.as_str()), (Kind::Other, "repo:invented"));
}

#[test]
fn ids_are_the_same_with_and_without_braces() {
    let mut headers = headers("repo:push", "{r-1}");
    headers.insert(HOOK, HeaderValue::from_static("{h-1}"));
    let parsed = source().parse(&headers, br#"{"push":{"changes":[]}}"#).unwrap();
    assert_eq!((parsed.request_key.as_deref(), parsed.hook.as_deref()), (Some("r-1"), Some("h-1")));
}

#[test]
fn only_a_right_signature_verifies() {
    let source = source();
    let body = b"{}";
    let mut headers = headers("repo:push", "r");
    assert_eq!(source.verify(&headers, body), Err(Rejection::Unsigned { header: SIGNATURE }));
    let (name, value) = (PROVIDER.sign)(&"s".to_owned().into(), body);
    headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    assert_eq!(source.verify(&headers, body), Ok(Verified { secret: Some(0) }));
    assert_eq!(source.verify(&headers, b"{} "), Err(Rejection::WrongSignature));
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = source().parse(&headers("repo:push", "r"), &bytes);
    }
}

#[test]
fn attribute_lists_are_removed() {
    let settings = SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() };
    let content =
        |raw: &str| Reader::new("k", &Json::Null, &settings).content(&Json::from_iter([("raw", raw.into())])).unwrap();
    for (raw, text) in [
        ("see [x](https://x.org/1){: data-inline-card='' } end", "see [x](https://x.org/1) end"),
        ("![a.png](https://x.org/i.png){: width=640 } and b", "![a.png](https://x.org/i.png) and b"),
        ("![a](https://x.org/i.png){width=640}", "![a](https://x.org/i.png)"),
        ("a\n{: .note}\n[TOC]\nb", "a\n\n\nb"),
        ("f(x){ return 1 } and `{: }` and {a}", "f(x){ return 1 } and `{: }` and {a}"),
    ] {
        assert_eq!(content(raw), text);
    }
}

#[test]
fn special_characters_in_ref_urls_are_encoded() {
    let page = |name: &str, href: &str| {
        let new = json!({ "type": "branch", "name": name, "links": { "html": { "href": href } }, "target": { "hash": "a".repeat(40) } });
        let repository =
            json!({ "full_name": "acme/x", "links": { "html": { "href": "https://bitbucket.org/acme/x" } } });
        let body =
            json!({ "repository": repository, "push": { "changes": [{ "old": null, "new": new, "created": true }] } });
        let push = parse("repo:push", &body).unwrap().events.remove(0).push.unwrap();
        (push.url.unwrap(), push.commits_url.unwrap())
    };
    let (url, commits) = page("fix/#12?50%", "https://bitbucket.org/acme/x/branch/fix/#12?50%");
    assert_eq!(url, "https://bitbucket.org/acme/x/branch/fix/%2312%3F50%25");
    assert_eq!(commits, "https://bitbucket.org/acme/x/commits/branch/fix/%2312%3F50%25");
    // A URL that Bitbucket encoded is unchanged.
    let (url, _) = page("fix/#12", "https://bitbucket.org/acme/x/branch/fix/%2312");
    assert_eq!(url, "https://bitbucket.org/acme/x/branch/fix/%2312");
}

#[test]
fn account_ids_are_uuids_and_atlassian_ids() {
    for id in ["e7db8f27-e836-4c3b-a575-bcfe9daca9ae", "712020:9c4a01f3-0d5f-430b-a04d-05b47182cd19", "557058:a"] {
        assert!((PROVIDER.is_account_id)(id), "{id}");
    }
    assert!(!(PROVIDER.is_account_id)("Bo Lindqvist"));
}
