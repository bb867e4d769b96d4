mod properties;

use std::collections::HashMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::event::{Account, AccountKind, Endpoint, Event, Kind, PullRequest, Push, RefKind, Repository, SourceName};

/// Event keys of the host in these tests contain a colon.
fn is_event_key(text: &str) -> bool {
    text.contains(':')
}

fn patterns(key: Key, texts: &[&str]) -> Condition {
    let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
    match key {
        Key::Event => Condition::Event(Kinds::new(&texts, is_event_key).unwrap()),
        key => Condition::Value(key, crate::pattern::Patterns::new(&texts, key.style()).unwrap()),
    }
}

fn conditions(keys: &[(Key, &[&str])]) -> Conditions {
    Conditions::new(keys.iter().map(|(key, texts)| patterns(*key, texts)).collect())
}

fn route(name: &str, to: &[&str], keys: &[(Key, &[&str])]) -> Route {
    Route {
        name: name.to_owned(),
        conditions: conditions(keys),
        to: to.iter().map(|&name| name.into()).collect(),
        template: None,
        style: None,
        is_final: false,
        otherwise: false,
        enabled: true,
    }
}

fn event(kind: Kind) -> Event {
    let repository = Repository {
        parent: None,
        description: None,
        id: Some("1".into()),
        name: Some("Api".into()),
        full_name: Some("acme/api".into()),
        workspace: Some("acme".into()),
        project: None,
        url: None,
        visibility: Some(crate::event::Visibility::Private),
        fork: None,
    };
    Event { repository: Some(repository.into()), ..Event::new(kind, "some:key") }
}

fn push(branch: &str) -> Event {
    let push = Push {
        pull_request_reference: None,
        via: None,
        pull_request: None,
        diff_url: None,
        ref_kind: RefKind::Branch,
        branch: Some(branch.to_owned()),
        tag: None,
        old: None,
        new: None,
        created: false,
        deleted: false,
        forced: false,
        truncated: false,
        paths: None,
        commits: vec![],
        count: 0,
        head: None,
        url: None,
        compare_url: None,
        commits_url: None,
        message: None,
    };
    Event { push: Some(push), ..event(Kind::Push) }
}

fn pull_request(target: &str) -> Event {
    let pull_request = PullRequest {
        reference: None,
        queued: None,
        diff_url: None,
        changes_requested: 0,
        reviewers_added: vec![],
        reviewers_removed: vec![],
        from_fork: None,
        closed_by: None,
        closes_source: None,
        labels: None,
        id: Some(1),
        title: None,
        description: None,
        url: None,
        state: None,
        draft: None,
        author: None,
        source: Endpoint::default(),
        target: Endpoint { branch: Some(target.to_owned()), ..Endpoint::default() },
        reviewers: None,
        reviewer_count: 0,
        approvals: 0,
        tasks: None,
        comments: None,
        reason: None,
        merge_commit: None,
        merge_commit_url: None,
        created: None,
        updated: None,
    };
    Event { pull_request: Some(pull_request), ..event(Kind::PullRequestOpened) }
}

fn decide(router: &Router, event: &Event) -> Decision {
    router.decide(Subject { source: &SourceName::from("bitbucket"), event, at: Timestamp::UNIX_EPOCH })
}

/// For each route, the reason why it did not match.
fn whys(router: &Router, event: &Event) -> Vec<Option<String>> {
    let source = SourceName::from("bitbucket");
    let (_, explanation) = router.explain(Subject { source: &source, event, at: Timestamp::UNIX_EPOCH });
    explanation.routes.into_iter().map(|route| route.reason).collect()
}

fn of(routes: Vec<Route>) -> Router {
    Router::new(routes, vec![], HashMap::new())
}

fn channels(decision: &Decision) -> Vec<(&str, &str)> {
    decision.sends.iter().map(|send| (send.channel.as_str(), send.route.as_str())).collect()
}

#[test]
fn every_route_that_matches_adds_its_channels_once() {
    let routes = vec![
        route("a", &["one", "two"], &[(Key::Repo, &["acme/*"])]),
        route("b", &["two", "three"], &[(Key::Event, &["push"])]),
        route("c", &["four"], &[(Key::Repo, &["other/*"])]),
    ];
    let router = of(routes);
    let decision = decide(&router, &push("main"));
    assert_eq!(channels(&decision), [("one", "a"), ("two", "a"), ("three", "b")]);
}

#[test]
fn final_stops_and_otherwise_handles_the_rest() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mut routes = vec![
        route("final", &["one"], &[(Key::Branch, &["main"])]),
        route("any", &["two"], &[(Key::Branch, &["dev*"])]),
        route("rest", &["three"], all),
    ];
    routes[0].is_final = true;
    routes[2].otherwise = true;
    let router = of(routes);
    let to = |branch: &str| {
        let decision = decide(&router, &push(branch));
        (
            channels(&decision).iter().map(|(channel, _)| (*channel).to_owned()).collect::<Vec<_>>(),
            whys(&router, &push(branch)),
        )
    };
    let (sent, whys) = to("main");
    assert_eq!(sent, ["one"]);
    let stopped = Some("not read: `final` above matched and is final".to_owned());
    assert_eq!(whys, [None, stopped.clone(), stopped]);
    let (sent, whys) = to("develop");
    assert_eq!(sent, ["two"]);
    assert_eq!(whys[2].as_deref(), Some("`otherwise`: `any` above already sends the event"));
    assert_eq!(to("feature").0, ["three"]);
}

#[test]
fn mutes_come_before_routes() {
    let bot = Account {
        id: Some("7".into()),
        name: "renovate".into(),
        nickname: None,
        kind: AccountKind::Bot,
        url: None,
        avatar: None,
    };
    let mute = Mute {
        name: "bots".into(),
        conditions: conditions(&[(Key::ActorKind, &["bot"]), (Key::Event, &["!build.*"])]),
        channels: vec![],
        until: None,
        enabled: true,
    };
    let routes = vec![route("all", &["one"], &[(Key::Event, &["@all"])])];
    let router = Router::new(routes, vec![mute], HashMap::new());
    let by_bot = |event: Event| Event { actor: Some(bot.clone().into()), ..event };
    let muted = decide(&router, &by_bot(push("main")));
    assert_eq!((muted.muted.as_deref(), muted.sends.len()), (Some("bots"), 0));
    assert_eq!(channels(&decide(&router, &by_bot(event(Kind::BuildFailed)))), [("one", "all")]);
    assert_eq!(channels(&decide(&router, &push("main"))), [("one", "all")]);
}

#[test]
fn guard_overrides_routes_and_otherwise_still_applies() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mut routes = vec![route("all", &["public"], all), route("rest", &["inside"], all)];
    routes[1].otherwise = true;
    let guards = [("public".into(), conditions(&[(Key::Visibility, &["public"])]))].into();
    let decision = decide(&Router::new(routes, vec![], guards), &push("main"));
    assert_eq!(channels(&decision), [("inside", "rest")]);
    let expected = "blocked by the channel's `accept` guard: `visibility`: `private` does not match `public`";
    assert_eq!(decision.held[0].reason, expected);
}

#[test]
fn first_failed_condition_is_the_mismatch() {
    let why = |keys: &[(Key, &[&str])], event: &Event| {
        let router = of(vec![route("r", &["c"], keys)]);
        whys(&router, event).remove(0).unwrap_or_default()
    };
    let feature = pull_request("feature/x");
    let cases = [
        (
            why(&[(Key::TargetBranch, &["main", "release/**"])], &feature),
            "`target_branch`: `feature/x` matches none of `main`, `release/**`",
        ),
        (why(&[(Key::Branch, &["!feature/*"])], &feature), "`branch`: `feature/x` is excluded by `!feature/*`"),
        (why(&[(Key::Tag, &["v*"])], &feature), "`tag`: the event has none; the rule requires `v*`"),
        (
            why(&[(Key::Event, &["push", "@builds"])], &feature),
            "`event`: `pull_request.opened` matches none of `push`, `@builds`",
        ),
        (
            why(&[(Key::Event, &["@all", "!@review"])], &feature),
            "`event`: `pull_request.opened` is excluded by `!@review`",
        ),
        // Place conditions are checked first.
        (why(&[(Key::Event, &["push"]), (Key::Repo, &["x/*"])], &feature), "`repo`: `acme/api` does not match `x/*`"),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn exclusion_passes_without_a_value() {
    let router = of(vec![route("not main", &["c"], &[(Key::Branch, &["!main"])])]);
    assert_eq!(decide(&router, &event(Kind::IssueOpened)).sends.len(), 1);
    assert_eq!(decide(&router, &push("main")).sends.len(), 0);
    assert_eq!(decide(&router, &push("dev")).sends.len(), 1);
}

#[test]
fn sets_contain_their_kinds() {
    let holds = |set: &str, event: &Event| Set::named(set).unwrap().holds(event);
    assert!(holds("calm", &push("main")) && holds("calm", &push("release/2.8")));
    assert!(!holds("calm", &push("feature/x")) && holds("all", &push("feature/x")));
    for (kind, calm, review, builds) in [
        (Kind::PullRequestOpened, true, true, false),
        (Kind::PullRequestReviewersChanged, false, true, false),
        (Kind::PullRequestUpdated, false, false, false),
        (Kind::TagCreated, true, false, false),
        (Kind::BranchCreated, false, false, false),
        (Kind::BuildFailed, true, false, true),
        (Kind::BuildSucceeded, false, false, false),
        (Kind::BuildStopped, false, false, true),
    ] {
        let event = event(kind);
        assert_eq!(
            (holds("calm", &event), holds("review", &event), holds("builds", &event)),
            (calm, review, builds),
            "{kind}"
        );
    }
}

#[test]
fn event_pattern_without_events_is_an_error() {
    let wrong = |text: &str| Kinds::new(&["push".to_owned(), text.to_owned()], is_event_key).unwrap_err();
    assert_eq!(wrong("pull_request.openend"), KindsError::UnknownEvent("pull_request.openend".to_owned()));
    assert_eq!(wrong("@clam"), KindsError::UnknownSet("clam".to_owned()));
    assert_eq!(wrong("!repo.*").to_string(), "unknown event `repo.*`");
    assert!(Kinds::new(&["pull_request.*".to_owned(), "!*.updated".to_owned()], is_event_key).is_ok());
}

#[test]
fn push_of_a_merge_is_suppressed() {
    let own = push("main");
    let mut merge = push("main");
    merge.push.as_mut().unwrap().via = Some(crate::event::Via::PullRequest);
    let calm = of(vec![route("calm", &["one"], &[(Key::Event, &["@calm"])])]);
    assert_eq!(channels(&decide(&calm, &own)), [("one", "calm")]);
    assert_eq!(channels(&decide(&calm, &merge)), []);
    let merges = of(vec![route("merges", &["one"], &[(Key::Via, &["pull_request"])])]);
    assert_eq!(channels(&decide(&merges, &own)), []);
    assert_eq!(channels(&decide(&merges, &merge)), [("one", "merges")]);
}

#[test]
fn builds_and_issues_have_branches_authors_titles_and_states_too() {
    let bitbucket = crate::source::provider("bitbucket-cloud").unwrap();
    let sampled = |name: &str| bitbucket.parse_sample(bitbucket.sample(name).unwrap()).unwrap().events.remove(0);
    type Wanted<'a> = &'a [(Key, &'a [&'a str])];
    let cases: [(&str, Wanted<'_>); 6] = [
        ("build.failed", &[(Key::Branch, &["main"]), (Key::State, &["failed"]), (Key::Author, &["Ana Ruiz"])]),
        ("pipeline.failed", &[(Key::Branch, &["main"]), (Key::State, &["failed"]), (Key::Repo, &["acme/api"])]),
        ("issue.updated", &[(Key::State, &["open"]), (Key::Title, &["*clocks*"]), (Key::Author, &["Cy Okafor"])]),
        ("project.updated", &[(Key::Project, &["plat"]), (Key::Workspace, &["acme"])]),
        ("build.succeeded", &[(Key::ActorKind, &["app"])]),
        ("commit.comment_added", &[(Key::Author, &["Ana Ruiz"]), (Key::Actor, &["Bo Lindqvist"])]),
    ];
    for (name, conditions) in cases {
        let router = of(vec![route("r", &["one"], conditions)]);
        let decision = decide(&router, &sampled(name));
        assert_eq!(channels(&decision), [("one", "r")], "{name}: {:?}", decision.near_misses);
    }
}

#[test]
fn unless_excludes_events_that_match_all_of_it() {
    let all = conditions(&[(Key::Event, &["@all"])])
        .unless(vec![patterns(Key::Branch, &["main"]), patterns(Key::Event, &["push"])]);
    let router = of(vec![Route { conditions: all, ..route("r", &["c"], &[]) }]);
    assert_eq!(decide(&router, &push("dev")).sends.len(), 1);
    assert_eq!(decide(&router, &pull_request("main")).sends.len(), 1);
    assert_eq!(decide(&router, &push("main")).sends.len(), 0);
    assert_eq!(
        whys(&router, &push("main"))[0].as_deref(),
        Some("excluded by `unless`: `event` is `push`, `branch` is `main`")
    );
    assert_eq!(decide(&router, &push("main")).near_misses.len(), 1);
}

#[test]
fn disabled_rule_is_skipped_with_a_reason() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mute = |enabled| Mute { name: "m".into(), conditions: conditions(all), channels: vec![], until: None, enabled };
    let routes =
        vec![Route { enabled: false, is_final: true, ..route("off", &["one"], all) }, route("on", &["two"], all)];
    let router = Router::new(routes.clone(), vec![mute(false)], HashMap::new());
    assert_eq!(channels(&decide(&router, &push("main"))), [("two", "on")]);
    assert_eq!(whys(&router, &push("main"))[0].as_deref(), Some("disabled: `enabled = false`"));
    let router = Router::new(routes, vec![mute(true)], HashMap::new());
    assert_eq!(channels(&decide(&router, &push("main"))), []);
}

#[test]
fn mute_ends_at_its_time_and_can_name_channels() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mute = Mute {
        name: "the move".into(),
        conditions: conditions(all),
        channels: vec!["one".into()],
        until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        enabled: true,
    };
    let router = Router::new(vec![route("all", &["one", "two"], all)], vec![mute], HashMap::new());
    let source = SourceName::from("bitbucket");
    let (event, at) = (push("main"), |text: &str| text.parse().unwrap());
    let decided = |timestamp: &str| router.decide(Subject { source: &source, event: &event, at: at(timestamp) });
    let before = decided("2026-11-30T23:59:59Z");
    assert_eq!(channels(&before), [("two", "all")]);
    assert_eq!(before.held[0].reason, "muted by `the move`");
    assert_eq!(channels(&decided("2026-12-01T00:00:00Z")), [("one", "all"), ("two", "all")]);
    let (_, explanation) = router.explain(Subject { source: &source, event: &event, at: at("2026-12-02T00:00:00Z") });
    assert_eq!(explanation.mutes[0].reason.as_deref(), Some("expired at 2026-12-01T00:00:00Z"));
}

#[test]
fn event_keys_of_the_host_match() {
    let keyed = |key: &str| Event { key: key.to_owned(), ..event(Kind::PullRequestOpened) };
    let router = of(vec![route("r", &["c"], &[(Key::Event, &["pullrequest:*", "!pullrequest:updated"])])]);
    assert_eq!(decide(&router, &keyed("pullrequest:created")).sends.len(), 1);
    assert_eq!(decide(&router, &keyed("pullrequest:updated")).sends.len(), 0);
    assert_eq!(decide(&router, &keyed("repo:push")).sends.len(), 0);
}

const CHANNELS: [&str; 4] = ["one", "two", "three", "four"];
