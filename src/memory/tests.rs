mod builds;
mod duplicates;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Kind, RequestId, SourceName, Via};
use crate::pattern::Patterns;
use crate::source::{Provider, SourceSettings, provider};

fn source_name() -> SourceName {
    SourceName::from("bitbucket")
}

/// A host that sends requests.
struct Host {
    provider: &'static Provider,
    memory: Memory,
    now: Millis,
    /// Kinds that the host itself distinguishes.
    named: &'static [Kind],
    /// Kind of the next events, as another host would name them.
    kind: Option<Kind>,
}

impl Host {
    fn new() -> Self {
        Self {
            provider: provider("bitbucket-cloud").unwrap(),
            memory: Memory::new(),
            now: 1_795_000_000_000,
            named: &[],
            kind: None,
        }
    }

    /// Processes a request. Returns its first event, and the reason if that is suppressed.
    fn take(&mut self, key: &str, body: &Value) -> (Event, Option<&'static str>) {
        let settings = SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() };
        let source = (self.provider.build)(settings);
        let headers = (self.provider.headers)(key, "r");
        let mut events = source.parse(&headers, body.to_string().as_bytes()).unwrap().events;
        let known: Memory = {
            let subjects = subjects(&source_name(), &events);
            self.memory
                .iter()
                .filter(|(subject, _)| subjects.contains(subject))
                .map(|(s, v)| (s.clone(), v.clone()))
                .collect()
        };
        for event in &mut events {
            event.kind = self.kind.unwrap_or(event.kind);
        }
        self.now += 1_000;
        let source = source_name();
        let mut recall = Recall::new(&source, self.named, &known, self.now);
        let name = |event: &mut Event| {
            recall.identify(event);
            recall.name(event)
        };
        let suppressed: Vec<_> = events.iter_mut().map(name).collect();
        self.memory.extend(recall.into_memory());
        (events.remove(0), suppressed[0])
    }

    fn sample(&self, name: &str) -> (&'static str, Value) {
        let sample = self.provider.sample(name).unwrap();
        (sample.key, serde_json::from_str(sample.body).unwrap())
    }

    /// Sends a changed sample.
    fn send(&mut self, name: &str, change: impl FnOnce(&mut Value)) -> (Event, Option<&'static str>) {
        let (key, mut body) = self.sample(name);
        change(&mut body);
        self.take(key, &body)
    }

    fn kind(&mut self, name: &str, change: impl FnOnce(&mut Value)) -> &'static str {
        self.send(name, change).0.kind.as_str()
    }
}

/// Returns a body of `pullrequest:updated`, `minute` minutes after 16:00.
fn update(minute: u32, change: impl Fn(&mut Value)) -> Value {
    let sample = provider("bitbucket-cloud").unwrap().sample("pull_request.updated").unwrap();
    let mut body: Value = serde_json::from_str(sample.body).unwrap();
    body["pullrequest"]["updated_on"] = format!("2026-11-20T16:{minute:02}:00.000000+00:00").into();
    change(&mut body["pullrequest"]);
    body
}

const UPDATED: &str = "pullrequest:updated";

/// A host that names an edit itself: the edit is neither renamed nor reported again with the next update.
fn build(state: &str, number: u32, change: impl FnOnce(&mut Value)) -> Value {
    let sample = provider("bitbucket-cloud").unwrap().sample("build.failed").unwrap();
    let mut body: Value = serde_json::from_str(sample.body).unwrap();
    let status = &mut body["commit_status"];
    status["state"] = state.into();
    status["name"] = format!("Pipeline #{number} for main").into();
    status["url"] = format!("https://bitbucket.org/acme/api/pipelines/{number}").into();
    // The first twelve digits must distinguish commits.
    status["commit"]["hash"] = format!("{number:04x}").repeat(10).into();
    let began = format!("2026-11-20T{:02}:{:02}:00.000000+00:00", 10 + number / 60, number % 60);
    status["created_on"] = began.clone().into();
    status["updated_on"] = began.into();
    change(status);
    body
}

#[test]
fn changes_that_the_host_names_are_reported_once() {
    let mut host = Host { named: &[Kind::PullRequestEdited], ..Host::new() };
    host.send("pull_request.opened", |_| ());
    let edit = |body: &mut Value| {
        body["pullrequest"]["title"] = "Another title".into();
        body["pullrequest"]["updated_on"] = "2026-11-24T18:00:00+00:00".into();
    };
    host.kind = Some(Kind::PullRequestEdited);
    let (event, suppressed) = host.send("pull_request.updated", edit);
    let changed: Vec<_> = event.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!((event.kind, changed, suppressed), (Kind::PullRequestEdited, vec!["title"], None));
    // The same state again, by an event that does not say what changed.
    host.kind = None;
    let (_, suppressed) = host.send("pull_request.updated", edit);
    assert!(suppressed.is_some());
    // An edit whose body already has new commits does not hide them: they are reported by their own event.
    let pushed = |body: &mut Value| {
        edit(body);
        body["pullrequest"]["title"] = "A third title".into();
        body["pullrequest"]["source"]["commit"]["hash"] = "0123456789ab".into();
        body["pullrequest"]["updated_on"] = "2026-11-24T19:00:00+00:00".into();
    };
    host.kind = Some(Kind::PullRequestEdited);
    assert_eq!(host.send("pull_request.updated", pushed).0.changes.len(), 1);
    host.kind = None;
    let (event, suppressed) = host.send("pull_request.updated", pushed);
    assert_eq!((event.kind, suppressed), (Kind::PullRequestCommitsAdded, None));
    // The host names an edit of something that Hookbell does not track: it is reported.
    host.kind = Some(Kind::PullRequestEdited);
    assert_eq!(host.send("pull_request.updated", edit).1, None);
}

#[test]
fn update_is_named_by_its_change() {
    let named = |change: &dyn Fn(&mut Value)| {
        let mut host = Host::new();
        host.send("pull_request.opened", |_| {});
        let (event, suppressed) = host.take(UPDATED, &update(1, change));
        assert_eq!(suppressed.is_some(), event.changes.is_empty());
        let changes: Vec<_> = event.changes.iter().map(|change| change.what.clone()).collect();
        (event.kind.as_str(), changes.join(" "))
    };
    let is = |kind: &'static str, changes: &str| (kind, changes.to_owned());
    assert_eq!(named(&|_| {}), is("pull_request.updated", ""));
    assert_eq!(named(&|pr| pr["title"] = "x".into()), is("pull_request.edited", "title"));
    assert_eq!(named(&|pr| pr["description"] = "".into()), is("pull_request.edited", "description"));
    assert_eq!(named(&|pr| pr["source"]["commit"]["hash"] = "abc".into()), is("pull_request.commits_added", "commits"));
    assert_eq!(named(&|pr| pr["destination"]["branch"]["name"] = "x".into()), is("pull_request.retargeted", "target"));
    assert_eq!(named(&|pr| pr["reviewers"] = json!([])), is("pull_request.reviewers_changed", "reviewers"));
    assert_eq!(named(&|pr| pr["draft"] = true.into()), is("pull_request.updated", "draft"));
    assert_eq!(named(&|pr| pr["queued"] = true.into()), is("pull_request.updated", "merge queue"));
    let all = |pr: &mut Value| {
        pr["title"] = "x".into();
        pr["destination"]["branch"]["name"] = "x".into();
        pr["reviewers"] = json!([]);
    };
    assert_eq!(named(&all), is("pull_request.retargeted", "target reviewers title"), "the first determines the kind");
    // A field that the host no longer sends is not a change.
    assert_eq!(named(&|pr| pr["source"]["commit"] = Value::Null), is("pull_request.updated", ""));
    for name in ["draft", "reviewers", "description", "title", "destination"] {
        let without = |pr: &mut Value| drop(pr.as_object_mut().unwrap().remove(name));
        assert_eq!(named(&without), is("pull_request.updated", ""), "{name}");
    }
}

#[test]
fn added_and_removed_reviewers_are_named() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    let (event, _) = host.send("pull_request.reviewers_changed", |_| {});
    let pr = event.pull_request.unwrap();
    let names = |reviewers: &[crate::event::Reviewer]| reviewers.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&pr.reviewers_added), names(&pr.reviewers_removed)),
        (vec!["Dee Hart".to_owned()], vec!["Cy Okafor".to_owned()])
    );
}

#[test]
fn first_update_of_an_unknown_pull_request_is_an_update() {
    let mut host = Host::new();
    assert_eq!(host.take(UPDATED, &update(1, |_| {})).0.kind, Kind::PullRequestUpdated);
    assert_eq!(host.take(UPDATED, &update(2, |pr| pr["title"] = "x".into())).0.kind, Kind::PullRequestEdited);
}

#[test]
fn repeated_and_late_states_change_nothing() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    let (second, third) = (update(2, |pr| pr["title"] = "two".into()), update(3, |pr| pr["title"] = "three".into()));
    assert_eq!(host.take(UPDATED, &third).0.kind, Kind::PullRequestEdited);
    let known = host.memory.clone();
    let (late, _) = host.take(UPDATED, &second);
    assert_eq!((late.kind, late.changes.len()), (Kind::PullRequestUpdated, 0), "the difference would be reversed");
    assert!(host.take(UPDATED, &third).1.is_some(), "already reported");
    assert_eq!(host.memory, known);
}

#[test]
fn vote_that_overtakes_an_update_does_not_hide_it() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    let ready = update(1, |pr| pr["title"] = "x".into());
    host.send("pull_request.approved", |body| {
        body["pullrequest"] = update(2, |pr| pr["title"] = "x".into())["pullrequest"].clone()
    });
    assert_eq!(host.take(UPDATED, &ready).0.kind, Kind::PullRequestEdited);
}

#[test]
fn push_to_a_pull_request_is_posted_once_for_all_event_keys() {
    for (first, second) in [("pullrequest:push", UPDATED), (UPDATED, "pullrequest:push")] {
        let mut host = Host::new();
        host.send("pull_request.opened", |_| {});
        let pushed = update(1, |pr| pr["source"]["commit"]["hash"] = "abc".into());
        let (event, suppressed) = host.take(first, &pushed);
        assert_eq!((event.kind, suppressed), (Kind::PullRequestCommitsAdded, None), "{first}");
        assert!(host.take(second, &pushed).1.is_some(), "{second}");
    }
}

const STATUS: &str = "repo:commit_status_updated";

/// A push to `branch` whose new commit has this hash, these parents and this message.
fn pushed(branch: &str, hash: &str, parents: &[&str], message: &str) -> Value {
    let sample = provider("bitbucket-cloud").unwrap().sample("push").unwrap();
    let mut body: Value = serde_json::from_str(sample.body).unwrap();
    let change = &mut body["push"]["changes"][0];
    change["new"]["name"] = branch.into();
    change["old"]["name"] = branch.into();
    change["new"]["target"]["hash"] = hash.into();
    change["new"]["target"]["message"] = message.into();
    change["new"]["target"]["parents"] = parents.iter().map(|hash| json!({ "hash": hash })).collect();
    change["commits"] = json!([change["new"]["target"]]);
    body
}

#[test]
fn push_of_a_merge_names_its_pull_request() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    let (_, opened) = host.sample("pull_request.opened");
    let tip = format!("{}{}", opened["pullrequest"]["source"]["commit"]["hash"].as_str().unwrap(), "0".repeat(28));
    let mut via = |body: &Value| {
        let push = host.take("repo:push", body).0.push.unwrap();
        assert_eq!(push.via.is_some(), push.pull_request.is_some());
        push.pull_request
    };
    let other = "f".repeat(40);
    let squashed = "Merged in feature/limits (pull request #482)\n\nAdd rate limits";
    assert_eq!(via(&pushed("main", &"a".repeat(40), &[&other, &tip], "whatever")), Some(482), "a merge commit");
    assert_eq!(via(&pushed("main", &tip, &[&other], "Add rate limits")), Some(482), "fast forward");
    assert_eq!(via(&pushed("main", &"b".repeat(40), &[&other], squashed)), Some(482), "squashed");
    assert_eq!(via(&pushed("main", &"b".repeat(40), &[&other], squashed)), Some(482), "the same again");
    assert_eq!(via(&pushed("main", &"9".repeat(40), &[&other], squashed)), None, "already merged");
    let mut forced = pushed("main", &tip, &[&other], "Add rate limits");
    forced["push"]["changes"][0]["forced"] = true.into();
    assert_eq!(via(&forced), None, "a merge is never forced");
    assert_eq!(via(&pushed("main", &"c".repeat(40), &[&other], "Fix a typo")), None, "a direct push");
    assert_eq!(via(&pushed("develop", &"d".repeat(40), &[&other], squashed)), None, "another target");
    assert_eq!(via(&pushed("main", &"e".repeat(40), &[&other], &squashed.replace("482", "7"))), None, "unknown");
    assert_eq!(via(&pushed("feature/limits", &tip, &[&other], "Add rate limits")), None, "its own branch");
}

#[test]
fn later_pushes_are_not_the_merge() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    let merge = format!("{}{}", "bead0001beef", "0".repeat(28));
    host.send("pull_request.merged", |body| body["pullrequest"]["merge_commit"]["hash"] = merge[..12].into());
    let mut via = |body: &Value| host.take("repo:push", body).0.push.unwrap().pull_request;
    let (other, own) = ("f".repeat(40), "e".repeat(40));
    assert_eq!(via(&pushed("main", &own, &[&other, &merge], "Merge branch 'main'")), None, "`main` merged locally");
    assert_eq!(
        via(&pushed("main", &merge, &[&other], "whatever")),
        Some(482),
        "the merge itself, after its pull request"
    );
}

#[test]
fn one_commit_may_be_the_tip_of_several_pull_requests() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    host.send("pull_request.opened", |body| {
        body["pullrequest"]["id"] = 483.into();
        body["pullrequest"]["destination"]["branch"]["name"] = "develop".into();
    });
    let (_, opened) = host.sample("pull_request.opened");
    let tip = format!("{}{}", opened["pullrequest"]["source"]["commit"]["hash"].as_str().unwrap(), "0".repeat(28));
    let mut via = |branch, hash: &str| {
        host.take("repo:push", &pushed(branch, hash, &[&"f".repeat(40), &tip], "x")).0.push.unwrap().pull_request
    };
    assert_eq!(via("main", &"a".repeat(40)), Some(482));
    assert_eq!(via("develop", &"b".repeat(40)), Some(483));
}

#[test]
fn each_source_has_its_own_memory() {
    let mut host = Host::new();
    host.send("pull_request.opened.draft", |_| {});
    let sample = host.provider.sample("pull_request.ready").unwrap();
    let mut event = host.provider.parse(sample.key, sample.body.as_bytes()).unwrap().events.remove(0);
    let other = SourceName::from("other");
    assert_eq!(Recall::new(&other, &[], &host.memory, 0).name(&mut event), None);
    assert_eq!(event.kind, Kind::PullRequestUpdated);
    assert_eq!(host.kind("pull_request.ready", |_| {}), "pull_request.ready");
}

#[test]
fn events_first_seen_through_a_comment_are_posted() {
    let mut host = Host::new();
    host.send("pull_request.comment_added", |body| body["pullrequest"] = update(1, |_| {})["pullrequest"].clone());
    assert_eq!(host.take(UPDATED, &update(1, |_| {})).1, None);
    assert!(host.take(UPDATED, &update(1, |_| {})).1.is_some());
}

#[test]
fn branch_deleted_by_a_merge_names_it() {
    for (closes, expected) in [(true, Some(Via::PullRequest)), (false, None)] {
        let mut host = Host::new();
        host.send("pull_request.opened", |body| body["pullrequest"]["close_source_branch"] = closes.into());
        let (_, opened) = host.sample("pull_request.opened");
        let (event, _) = host.send("branch.deleted", |body| {
            let old = &mut body["push"]["changes"][0]["old"];
            old["name"] = "feature/limits".into();
            old["target"]["hash"] = opened["pullrequest"]["source"]["commit"]["hash"].clone();
        });
        assert_eq!(event.push.unwrap().via, expected, "close_source_branch = {closes}");
    }
}

#[test]
fn repository_named_only_by_its_id_gets_its_name() {
    let mut host = Host::new();
    assert_eq!(host.send("pipeline.failed", |_| {}).0.repository.unwrap().full_name, None);
    host.send("push", |_| {});
    let repository = host.send("pipeline.failed", |_| {}).0.repository.unwrap();
    assert_eq!(repository.full_name.as_deref(), Some("acme/api"));
    assert_eq!(repository.project.as_ref().unwrap().key.as_deref(), Some("PLAT"));
}

#[test]
fn memory_is_bounded() {
    let mut host = Host::new();
    let long = "x".repeat(400_000);
    for n in 0..200 {
        host.send("build.failed", |body| {
            body["commit_status"]["refname"] = format!("{n}{long}").into();
            body["commit_status"]["url"] = format!("https://x/{n}{long}").into();
            body["commit_status"]["commit"]["hash"] = format!("{n:040}").into();
        });
    }
    host.send("pull_request.opened", |body| {
        body["pullrequest"]["title"] = long.clone().into();
        let reviewer =
            |n: usize| serde_json::json!({ "display_name": format!("{n}{long}"), "account_id": format!("{n}") });
        body["pullrequest"]["reviewers"] = (0..300).map(reviewer).collect::<Vec<_>>().into();
    });
    for n in 0..40 {
        host.send("pull_request.comment_added", |body| {
            body["comment"]["id"] = n.into();
            body["comment"]["user"]["display_name"] = "\"漢\\".repeat(100).into();
            body["comment"]["content"]["raw"] = "\"漢字\" \\\\ ".repeat(100).into();
        });
    }
    assert!(host.memory.iter().any(|(subject, state)| subject.contains("comments:") && state["39"].is_object()));
    for (subject, state) in &host.memory {
        assert!(subject.len() < 400, "{subject}");
        assert!(state.to_string().len() <= 16 * 1024, "{subject}: {}", state.to_string().len());
    }
    // The last failures are still counted.
    let (event, _) = host.send("build.failed", |body| {
        body["commit_status"]["refname"] = "main".into();
        body["commit_status"]["commit"]["hash"] = format!("{:040}", 999).into();
    });
    assert_eq!(event.build.unwrap().failures, Some(1));
}

#[test]
fn unreadable_memory_is_ignored() {
    let mut host = Host::new();
    host.send("pull_request.opened", |_| {});
    host.send("build.failed", |_| {});
    for state in host.memory.values_mut() {
        *state = json!({ "failures": [], "state": 7, "id": {} });
    }
    assert_eq!(host.kind("pull_request.updated", |_| {}), "pull_request.updated");
    assert_eq!(host.kind("build.fixed", |_| {}), "build.succeeded");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Hosts guarantee no order, and send requests again that they believe lost.
    #[test]
    fn any_order_of_the_same_requests_leads_to_the_same_memory(
        order in Just((0..10).collect::<Vec<usize>>()).prop_shuffle(),
        again in prop::collection::vec(0_usize..10, 0..4),
    ) {
        let requests = [
            ("pullrequest:created", update(0, |_| {})),
            (UPDATED, update(1, |pr| pr["title"] = "x".into())),
            (UPDATED, update(2, |pr| pr["description"] = "y".into())),
            (UPDATED, update(3, |pr| pr["reviewers"] = json!([]))),
            (UPDATED, update(4, |pr| pr["draft"] = true.into())),
            ("pullrequest:fulfilled", update(5, |pr| pr["state"] = "MERGED".into())),
            (STATUS, build("FAILED", 1, |_| {})),
            (STATUS, build("FAILED", 2, |_| {})),
            (STATUS, build("SUCCESSFUL", 3, |_| {})),
            (STATUS, build("FAILED", 4, |_| {})),
        ];
        let memory = |order: &[usize]| {
            let mut host = Host::new();
            for &n in order {
                host.take(requests[n].0, &requests[n].1);
            }
            host.memory
        };
        let shuffled: Vec<_> = order.into_iter().chain(again).collect();
        prop_assert_eq!(memory(&shuffled), memory(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    }
}

#[test]
fn reply_has_the_text_of_its_parent_until_that_is_deleted() {
    let mut host = Host::new();
    let parent = |host: &mut Host| host.send("pull_request.comment_added.reply", |_| {}).0.comment.unwrap().parent;
    assert_eq!(parent(&mut host), None);
    host.send("pull_request.comment_added.inline", |_| {});
    let known = parent(&mut host).unwrap();
    assert_eq!(known.author.as_deref(), Some("Cy Okafor"));
    assert!(known.text.starts_with("Does the window slide"), "{known:?}");
    host.send("pull_request.comment_deleted", |_| {});
    assert_eq!(parent(&mut host), None);
    host.send("pull_request.comment_added.inline", |_| {});
    assert_eq!(parent(&mut host), None, "a late request does not restore it");
}
