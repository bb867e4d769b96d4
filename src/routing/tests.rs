use super::*;
use crate::event::{Account, AccountKind, Endpoint, Event, Kind, PullRequest, Push, RefKind, Repository, SourceName};

fn patterns(key: Key, texts: &[&str]) -> Condition {
    let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
    match key {
        Key::Event => event_condition(&texts).unwrap(),
        key => Condition::Value(key, pattern::Patterns::new(&texts, key.style()).unwrap()),
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
    Event { repository: Some(repository), ..Event::new(kind, "some:key") }
}

fn push(branch: &str) -> Event {
    let push = Push {
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
        queued: None,
        diff_url: None,
        changes_requested: 0,
        reviewers_added: vec![],
        reviewers_removed: vec![],
        from_fork: None,
        closed_by: None,
        closes_source: None,
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
    router.decide(Subject { source: &SourceName::from("bitbucket"), event })
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
    let router = Router { routes, ..Router::default() };
    let decision = decide(&router, &push("main"));
    assert_eq!(channels(&decision), [("one", "a"), ("two", "a"), ("three", "b")]);
}

#[test]
fn final_ends_the_reading_and_otherwise_takes_what_is_left() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mut routes = vec![
        route("final", &["one"], &[(Key::Branch, &["main"])]),
        route("any", &["two"], &[(Key::Branch, &["dev*"])]),
        route("rest", &["three"], all),
    ];
    routes[0].is_final = true;
    routes[2].otherwise = true;
    let router = Router { routes, ..Router::default() };
    let to = |branch: &str| {
        let decision = decide(&router, &push(branch));
        (channels(&decision).iter().map(|(channel, _)| (*channel).to_owned()).collect::<Vec<_>>(), decision.verdicts)
    };
    let (sent, verdicts) = to("main");
    assert_eq!(sent, ["one"]);
    assert_eq!(verdicts, [Verdict::Matched, Verdict::Stopped(0), Verdict::Stopped(0)]);
    let (sent, verdicts) = to("develop");
    assert_eq!(sent, ["two"]);
    assert_eq!(verdicts[2], Verdict::SentBefore(1));
    assert_eq!(to("feature").0, ["three"]);
}

#[test]
fn a_mute_comes_before_all_routes() {
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
    };
    let routes = vec![route("all", &["one"], &[(Key::Event, &["@all"])])];
    let router = Router { routes, mutes: vec![mute], ..Router::default() };
    let by_bot = |event: Event| Event { actor: Some(bot.clone()), ..event };
    let muted = decide(&router, &by_bot(push("main")));
    assert_eq!((muted.muted.as_deref(), muted.sends.len()), (Some("bots"), 0));
    assert_eq!(channels(&decide(&router, &by_bot(event(Kind::BuildFailed)))), [("one", "all")]);
    assert_eq!(channels(&decide(&router, &push("main"))), [("one", "all")]);
}

#[test]
fn a_guard_holds_whatever_the_routes_say_and_otherwise_still_takes_it() {
    let all: &[(Key, &[&str])] = &[(Key::Event, &["@all"])];
    let mut routes = vec![route("all", &["public"], all), route("rest", &["inside"], all)];
    routes[1].otherwise = true;
    let guards = vec![("public".into(), conditions(&[(Key::Visibility, &["public"])]))];
    let decision = decide(&Router { routes, mutes: vec![], guards }, &push("main"));
    assert_eq!(channels(&decision), [("inside", "rest")]);
    assert_eq!(decision.held[0].why, "`visibility`: `private` is not `public`");
}

#[test]
fn the_first_condition_that_failed_says_what_it_met() {
    let why = |keys: &[(Key, &[&str])], event: &Event| {
        let router = Router { routes: vec![route("r", &["c"], keys)], ..Router::default() };
        match &decide(&router, event).verdicts[0] {
            Verdict::Failed(mismatch) => mismatch.to_string(),
            other => format!("{other:?}"),
        }
    };
    let feature = pull_request("feature/x");
    let cases = [
        (
            why(&[(Key::TargetBranch, &["main", "release/**"])], &feature),
            "`target_branch`: `feature/x` is none of `main`, `release/**`",
        ),
        (why(&[(Key::Branch, &["!feature/*"])], &feature), "`branch`: `feature/x` is excluded by `!feature/*`"),
        (why(&[(Key::Tag, &["v*"])], &feature), "`tag`: this event has none, and `v*` is asked for"),
        (
            why(&[(Key::Event, &["push", "@builds"])], &feature),
            "`event`: `pull_request.opened` is none of `push`, `@builds`",
        ),
        (
            why(&[(Key::Event, &["@all", "!@review"])], &feature),
            "`event`: `pull_request.opened` is excluded by `!@review`",
        ),
        // Where a thing happened is looked at first.
        (why(&[(Key::Event, &["push"]), (Key::Repo, &["x/*"])], &feature), "`repo`: `acme/api` is not `x/*`"),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn an_exclusion_passes_where_there_is_no_value() {
    let router = Router { routes: vec![route("not main", &["c"], &[(Key::Branch, &["!main"])])], ..Router::default() };
    assert_eq!(decide(&router, &event(Kind::IssueOpened)).sends.len(), 1);
    assert_eq!(decide(&router, &push("main")).sends.len(), 0);
    assert_eq!(decide(&router, &push("dev")).sends.len(), 1);
}

#[test]
fn the_sets_hold_what_they_say() {
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
fn an_event_pattern_that_no_event_has_is_refused() {
    let wrong = |text: &str| event_condition(&["push".to_owned(), text.to_owned()]).unwrap_err();
    assert_eq!(wrong("pull_request.openend"), (1, "no event is called `pull_request.openend`".to_owned()));
    assert_eq!(wrong("@clam"), (1, "there is no set `@clam`".to_owned()));
    assert_eq!(wrong("!repo.*").1, "no event is called `repo.*`");
    assert!(event_condition(&["pull_request.*".to_owned(), "!*.updated".to_owned()]).is_ok());
}

#[test]
fn the_push_of_a_merge_is_no_news_beside_the_merge() {
    let own = push("main");
    let mut merge = push("main");
    merge.push.as_mut().unwrap().via = Some(crate::event::Via::PullRequest);
    let calm = Router { routes: vec![route("calm", &["one"], &[(Key::Event, &["@calm"])])], ..Router::default() };
    assert_eq!(channels(&decide(&calm, &own)), [("one", "calm")]);
    assert_eq!(channels(&decide(&calm, &merge)), []);
    let merges =
        Router { routes: vec![route("merges", &["one"], &[(Key::Via, &["pull_request"])])], ..Router::default() };
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
        let router = Router { routes: vec![route("r", &["one"], conditions)], ..Router::default() };
        let decision = decide(&router, &sampled(name));
        assert_eq!(channels(&decision), [("one", "r")], "{name}: {:?}", decision.verdicts);
    }
}
