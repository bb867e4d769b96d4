//! The router, compared with a plain implementation on any rules and events.

use super::*;

/// A minimal reference implementation of the rules, to compare the compiled router with.
fn plainly(
    routes: &[Route],
    mutes: &[Mute],
    guards: &HashMap<crate::event::ChannelName, Conditions>,
    subject: Subject<'_>,
) -> Vec<(String, String)> {
    let fits = |conditions: &Conditions| conditions.mismatch(subject).is_none();
    let mutes: Vec<_> = mutes
        .iter()
        .filter(|mute| mute.enabled && mute.until.is_none_or(|until| subject.at < until) && fits(&mute.conditions))
        .collect();
    if mutes.iter().any(|mute| mute.channels.is_empty()) {
        return vec![];
    }
    let (mut sent, mut named) = (vec![], vec![]);
    for route in routes {
        if !route.enabled || !fits(&route.conditions) || (route.otherwise && !sent.is_empty()) {
            continue;
        }
        for channel in &route.to {
            let held = guards.get(channel).is_some_and(|accept| !fits(accept))
                || mutes.iter().any(|mute| mute.channels.contains(channel));
            if !named.contains(channel) && !held {
                sent.push((channel.to_string(), route.name.clone()));
            }
            named.push(channel.clone());
        }
        if route.is_final {
            break;
        }
    }
    sent
}

/// Patterns of every type that sometimes match the values below: literals, wildcards, exclusions, regular expressions.
fn texts_of(key: Key) -> BoxedStrategy<Vec<String>> {
    let one: &[&str] = match key {
        Key::Repo => &[
            "acme/api",
            "ACME/Api",
            "acme/*",
            "acme/a*",
            "*/api",
            "**",
            "**/api",
            "!acme/web",
            "!*/api",
            "~acme/(api|web)",
            "{acme,other}/api",
            "other/**",
            "a?me/web",
            "acme/[a-c]pi",
            "acme/w\\eb",
            "*-infra",
            "gr\u{fc}n/*",
            "acme/\u{212a}",
        ],
        Key::Workspace => &["acme", "a*", "!other", "*r", "ACME"],
        Key::Event => &[
            "push",
            "@calm",
            "@review",
            "@all",
            "!@builds",
            "pull_request.*",
            "*.failed",
            "!push",
            "repo:*",
            "!some:*",
        ],
        Key::Branch => &["main", "release/**", "!main", "~rel.*", "*"],
        _ => &["private", "!private", "public"],
    };
    proptest::collection::vec(proptest::sample::select(one).prop_map(ToOwned::to_owned), 1..3).boxed()
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let keys =
        proptest::sample::subsequence(vec![Key::Repo, Key::Workspace, Key::Event, Key::Branch, Key::Visibility], 0..4);
    let listed = |keys: Vec<Key>| {
        let each: Vec<_> = keys.into_iter().map(|key| texts_of(key).prop_map(move |texts| (key, texts))).collect();
        each
    };
    let conditions = |keys: Vec<(Key, Vec<String>)>| {
        let one =
            |(key, texts): (Key, Vec<String>)| patterns(key, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        keys.into_iter().map(one).collect::<Vec<_>>()
    };
    (keys.clone().prop_flat_map(listed), keys.prop_flat_map(listed), any::<bool>()).prop_map(
        move |(all, unless, with)| {
            Conditions::new(conditions(all)).unless(if with { conditions(unless) } else { vec![] })
        },
    )
}

fn any_channels(least: usize) -> impl Strategy<Value = Vec<crate::event::ChannelName>> {
    proptest::sample::subsequence(CHANNELS.to_vec(), least..4)
        .prop_map(|names| names.into_iter().map(Into::into).collect())
}

fn any_routes() -> impl Strategy<Value = Vec<Route>> {
    let flags = (proptest::bool::weighted(0.15), proptest::bool::weighted(0.2), proptest::bool::weighted(0.9));
    let one =
        (any_conditions(), any_channels(1), flags).prop_map(|(conditions, to, (is_final, otherwise, enabled))| Route {
            name: String::new(),
            conditions,
            to,
            template: None,
            style: None,
            is_final,
            otherwise,
            enabled,
        });
    proptest::collection::vec(one, 0..30).prop_map(|mut routes| {
        routes.iter_mut().enumerate().for_each(|(n, route)| route.name = format!("route {n}"));
        routes
    })
}

fn any_mutes() -> impl Strategy<Value = Vec<Mute>> {
    let until = proptest::option::of(proptest::sample::select(vec![-1_i64, 1]));
    let one = (any_conditions(), any_channels(0), until, proptest::bool::weighted(0.8));
    let one = one.prop_map(|(conditions, channels, until, enabled)| Mute {
        name: "mute".into(),
        conditions,
        channels,
        enabled,
        until: until.map(|second| Timestamp::from_second(second).unwrap()),
    });
    proptest::collection::vec(one, 0..2)
}

fn any_event() -> impl Strategy<Value = Event> {
    let repos = vec![
        Some("acme/api"),
        Some("Acme/Web"),
        Some("other/api"),
        Some("x-infra"),
        Some("gr\u{dc}N/x"),
        Some("acme/k"),
        None,
    ];
    let kinds = proptest::sample::select(vec![Kind::Push, Kind::PullRequestOpened, Kind::BuildFailed, Kind::Other]);
    let branches = proptest::sample::select(vec!["main", "release/1/2", "feature"]);
    (kinds, proptest::sample::select(repos), branches, proptest::sample::select(vec!["repo:push", "some:key"]))
        .prop_map(|(kind, repo, branch, key)| {
            let mut event =
                Event { kind, key: key.to_owned(), ..if kind == Kind::Push { push(branch) } else { event(kind) } };
            match (&mut event.repository, repo) {
                (Some(repository), Some(name)) => {
                    let repository = std::sync::Arc::make_mut(repository);
                    repository.full_name = Some(name.to_owned());
                    repository.workspace = name.split_once('/').map(|(workspace, _)| workspace.to_owned());
                }
                (repository, _) => *repository = None,
            }
            event
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn compiled_router_equals_the_plain_one(
        routes in any_routes(), mutes in any_mutes(), events in proptest::collection::vec(any_event(), 1..6), accept in any_conditions(),
    ) {
        let guards = HashMap::from([("two".into(), accept)]);
        let router = Router::new(routes.clone(), mutes.clone(), guards.clone());
        let source = SourceName::from("bitbucket");
        for event in &events {
            let subject = Subject { source: &source, event, at: Timestamp::UNIX_EPOCH };
            let decision = router.decide(subject);
            let sends: Vec<_> = decision.sends.iter().map(|send| (send.channel.to_string(), send.route.clone())).collect();
            prop_assert_eq!(&sends, &plainly(&routes, &mutes, &guards, subject));
            let (explained, explanation) = router.explain(subject);
            prop_assert_eq!(&Decision { near_misses: vec![], ..decision.clone() }, &explained);
            // Each rule has a reason unless it applies.
            prop_assert!(explanation.routes.iter().all(|route| route.matched != route.reason.is_some()));
            prop_assert!(explanation.mutes.iter().all(|mute| mute.silences != mute.reason.is_some()));
            // Near misses have the same reasons and order as in the explanation.
            let all = explanation.routes.iter().filter_map(|route| Some((route.name.clone(), route.reason.clone()?)));
            let near: Vec<_> = decision.near_misses.iter().map(|near| (near.route.clone(), near.reason.clone())).collect();
            let among: Vec<_> = all.filter(|said| near.contains(said)).collect();
            prop_assert_eq!(near, among);
        }
    }
}
