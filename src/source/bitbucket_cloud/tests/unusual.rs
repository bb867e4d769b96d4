//! Bodies that miss fields, have other types, or contradict their event key.

use super::*;

#[test]
fn body_must_match_its_event_key() {
    let (_, comment) = sample("pull_request.comment_added");
    let (_, approval) = sample("pull_request.approved");
    assert!(parse("pullrequest:rejected", &approval).is_ok(), "some of these bodies exist");
    let (_, push) = sample("push");
    let said = |key: &str, body: &Value| parse(key, body).unwrap_err().to_string();
    assert_eq!(said("repo:push", &approval), "invalid `repo:push` body: missing object `push`");
    assert_eq!(said("pullrequest:created", &push), "invalid `pullrequest:created` body: missing object `pullrequest`");
    assert_eq!(
        said("pullrequest:fulfilled", &comment),
        "invalid `pullrequest:fulfilled` body: unexpected object `comment`"
    );
    assert_eq!(
        said("pullrequest:approved", &comment),
        "invalid `pullrequest:approved` body: missing object `approval`"
    );
    for name in ["push", "issue.opened", "build.failed", "commit.comment_added", "repository.forked"] {
        let (sample, body) = sample(name);
        for key in ["repo:created", "repo:deleted", "repo:imported", "repo:transfer", "repo:updated"] {
            assert!(
                said(key, &body).starts_with(&format!("invalid `{key}` body: unexpected object `")),
                "{} as {key}",
                sample.name
            );
        }
    }
    let (_, commented) = sample("issue.comment_added");
    assert_eq!(said("issue:created", &commented), "invalid `issue:created` body: unexpected object `comment`");
    let (build, mut body) = sample("build.failed");
    body["pullrequest"] = json!({ "id": 1 });
    assert!(parse(build.key, &body).is_ok(), "hosts may add objects");
}

#[test]
fn body_that_is_not_a_json_object_is_rejected() {
    let said = |body: &[u8]| source().parse(&headers("repo:push", "r"), body).unwrap_err().to_string();
    assert!(said(b"").starts_with("the body is not valid JSON: "), "{}", said(b""));
    assert!(said(b"{\"a\":").starts_with("the body is not valid JSON: "));
    assert!(said(b"\xff\xfe{}").starts_with("the body is not valid JSON: "));
    assert!(said("[".repeat(1_000).as_bytes()).starts_with("the body is not valid JSON: "));
    assert_eq!(said(b"[1]"), "the body is not a JSON object");
    let no_key = source().parse(&HeaderMap::new(), b"{}").unwrap_err().to_string();
    assert_eq!(no_key, "missing `X-Event-Key` header; use this URL only for Bitbucket webhooks");
}

/// Collects the JSON pointers of all values in a payload.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => vec![],
    };
    for (key, child) in children {
        let pointer = format!("{at}/{key}");
        found.push(pointer.clone());
        pointers(child, &pointer, found);
    }
}

/// Checks that parsing gives events or a reason.
fn survives(key: &str, payload: &Value, what: &str) {
    let settings = SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() };
    let text = payload.to_string();
    let payload: Json<'_> = serde_json::from_str(&text).unwrap();
    match Reader::new(key, &payload, &settings).events() {
        Ok(Ok(mut events)) => {
            let memory = crate::memory::Memory::new();
            let source = crate::event::SourceName::from("s");
            let mut recall = crate::memory::Recall::new(&source, &[], &memory, 0);
            for event in &mut events {
                recall.identify(event);
                recall.name(event);
                assert!(!serde_json::to_string(&event).unwrap().is_empty());
            }
        }
        Ok(Err(note)) => assert!(!note.is_empty(), "{what}"),
        Err(rejection) => assert!(!rejection.to_string().is_empty(), "{what}"),
    }
}

#[test]
fn any_field_may_be_missing_null_or_of_another_type() {
    let others = [Value::Null, json!(7), json!("text"), json!([1]), json!({ "new": 1 }), json!(true)];
    let mut cases = 0_usize;
    for sample in samples::ALL {
        let mut body: Value = serde_json::from_str(sample.body).unwrap();
        let mut found = vec![];
        pointers(&body, "", &mut found);
        for pointer in found {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            let parent_before = body.pointer(parent).unwrap().clone();
            match body.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(&key)),
                Value::Array(items) => drop(items.remove(key.parse().unwrap())),
                _ => unreachable!(),
            }
            survives(sample.key, &body, &pointer);
            *body.pointer_mut(parent).unwrap() = parent_before;
            let before = body.pointer(&pointer).unwrap().clone();
            for other in &others {
                *body.pointer_mut(&pointer).unwrap() = other.clone();
                survives(sample.key, &body, &pointer);
                cases += 1;
            }
            *body.pointer_mut(&pointer).unwrap() = before;
        }
    }
    println!("{cases} cases");
    assert!(cases > 10_000, "{cases} cases");
}

/// Returns the kind of a changed sample body sent with this key, and `true` if the note reports a contradiction.
fn named(sample: &str, key: &str, change: impl FnOnce(&mut Value)) -> Result<(Kind, bool), Rejection> {
    let sample = samples::ALL.iter().find(|known| known.name == sample).unwrap();
    let mut body: Value = serde_json::from_str(sample.body).unwrap();
    change(&mut body);
    let parsed = source().parse(&headers(key, "r"), body.to_string().as_bytes())?;
    let kind = parsed.events.first().map_or(Kind::Other, |event| event.kind);
    Ok((kind, parsed.note.is_some_and(|note| note.contains("the body determines the kind"))))
}

#[test]
fn body_decides_if_it_contradicts_the_event_key() {
    use Kind::*;
    for (sample, key, kind) in [
        ("pull_request.opened", "pullrequest:fulfilled", PullRequestUpdated),
        ("pull_request.opened", "pullrequest:rejected", PullRequestUpdated),
        ("pull_request.merged", "pullrequest:created", PullRequestMerged),
        ("pull_request.merged", "pullrequest:rejected", PullRequestMerged),
        ("pull_request.declined", "pullrequest:fulfilled", PullRequestDeclined),
        ("pull_request.approved", "pullrequest:unapproved", PullRequestApproved),
        ("pull_request.approval_withdrawn", "pullrequest:approved", PullRequestApprovalWithdrawn),
        ("pull_request.changes_requested", "pullrequest:changes_request_removed", PullRequestChangesRequested),
        ("pull_request.changes_withdrawn", "pullrequest:changes_request_created", PullRequestChangesWithdrawn),
        ("pull_request.comment_deleted", "pullrequest:comment_created", PullRequestCommentDeleted),
        ("pull_request.comment_added", "pullrequest:comment_deleted", PullRequestCommentAdded),
        ("pull_request.comment_edited", "pullrequest:comment_deleted", PullRequestCommentEdited),
        ("pull_request.comment_resolved", "pullrequest:comment_reopened", PullRequestCommentResolved),
        ("issue.updated", "issue:comment_created", IssueUpdated),
    ] {
        assert_eq!(named(sample, key, |_| {}), Ok((kind, true)), "{sample} as {key}");
    }
    let unresolved = |body: &mut Value| body["comment"]["resolution"] = Value::Null;
    let key = "pullrequest:comment_resolved";
    assert_eq!(named("pull_request.comment_added", key, unresolved), Ok((PullRequestCommentAdded, true)));
    // Bodies from before threads could be resolved have no `resolution`.
    let suppressed = |body: &mut Value| drop(body["comment"].as_object_mut().unwrap().remove("resolution"));
    assert_eq!(named("pull_request.comment_added", key, suppressed), Ok((PullRequestCommentResolved, false)));
}

#[test]
fn sample_bodies_do_not_name_their_event_key() {
    for sample in samples::ALL {
        let (_, differs) = named(sample.name, sample.key, |_| {}).unwrap();
        assert!(!differs, "{}", sample.name);
    }
}

/// A body with another key than its own makes a true message, or none.
#[test]
fn body_under_a_wrong_key_makes_no_false_event() {
    let claims = |kind: Kind| kind.as_str().to_owned();
    for sample in samples::ALL {
        let own = named(sample.name, sample.key, |_| {}).unwrap().0;
        for key in keys::ALL.iter().filter(|key| key.name != sample.key) {
            let Ok((kind, _)) = named(sample.name, key.name, |_| {}) else { continue };
            let is_true = kind == own
                || kind == Kind::Other
                || own == Kind::Other
                // The memory determines what an update changed; an update without a change is not posted.
                || kind == Kind::PullRequestUpdated || kind == Kind::PullRequestCommitsAdded
                // The bodies of created and updated differ only in the key.
                || (kind == Kind::PullRequestOpened && own == Kind::PullRequestUpdated)
                || (claims(kind).contains("comment") && claims(own).contains("comment"))
                || kind.family() == "issue" && own.family() == "issue"
                // All bodies about a whole repository have the same shape.
                || kind.family() == "repository" && own.family() == "repository";
            assert!(is_true, "{} as {}: {kind}", sample.name, key.name);
        }
    }
}

#[test]
fn push_of_many_refs_is_posted_in_part_with_a_count() {
    let mut body: Value = serde_json::from_str(samples::ALL.iter().find(|s| s.name == "push").unwrap().body).unwrap();
    let change = |n: usize| json!({ "new": { "name": format!("tag-{n}"), "type": "tag" } });
    body["push"]["changes"] = (0..5_000).map(change).collect::<Vec<_>>().into();
    body["repository"]["description"] = "d".repeat(100_000).into();
    let parsed = source().parse(&headers("repo:push", "r"), body.to_string().as_bytes()).unwrap();
    assert_eq!(parsed.events.len(), 1_000);
    assert_eq!(parsed.note.as_deref(), Some("the push changed 5000 refs: the last 4000 are not routed"));
    let (first, last) = (&parsed.events[0], &parsed.events[999]);
    assert!(Arc::ptr_eq(first.repository.as_ref().unwrap(), last.repository.as_ref().unwrap()));
    assert!(Arc::ptr_eq(first.actor.as_ref().unwrap(), last.actor.as_ref().unwrap()));
    assert!(first.repository.as_ref().unwrap().description.as_ref().unwrap().len() <= 1024);
}

#[test]
fn reviewers_and_participants_are_matched_in_linear_time() {
    let mut body: Value =
        serde_json::from_str(samples::ALL.iter().find(|s| s.name == "pull_request.opened").unwrap().body).unwrap();
    let account = |n: usize| json!({ "account_id": format!("id-{n}"), "display_name": format!("N{n}") });
    let of = |count: usize| (0..count).map(account).collect::<Vec<_>>();
    body["pullrequest"]["reviewers"] = of(20_000).into();
    body["pullrequest"]["participants"] =
        of(20_000).into_iter().map(|user| json!({ "user": user, "approved": true })).rev().collect::<Vec<_>>().into();
    let settings = SourceSettings { secrets: vec![], unsigned: false, bots: Patterns::default() };
    let began = std::time::Instant::now();
    let text = body.to_string();
    let body: Json<'_> = serde_json::from_str(&text).unwrap();
    let events = Reader::new("pullrequest:created", &body, &settings).events().unwrap().unwrap();
    // Comparing each with each took minutes in a debug build.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    let pull_request = events[0].pull_request.as_ref().unwrap();
    assert_eq!((pull_request.reviewer_count, pull_request.approvals), (20_000, 20_000));
    assert_eq!(pull_request.reviewers.as_ref().unwrap().len(), 250);
}
