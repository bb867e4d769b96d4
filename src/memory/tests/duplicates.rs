//! Repeated bodies and pushes.

use super::*;

/// Bodies received by several webhooks, with the last new request of each.
struct Bodies {
    source: SourceName,
    memory: Memory,
    known: BTreeMap<BodyDigest, SameBody>,
}

impl Bodies {
    fn new() -> Self {
        Self { source: SourceName::from("bitbucket"), memory: Memory::new(), known: BTreeMap::new() }
    }

    fn see(&mut self, event: &Event, hook: &str, at: i64) -> Seen {
        let events = std::slice::from_ref(event);
        let body = serde_json::to_string(event).unwrap();
        let digest = digest_of_body(&self.source, events, body.as_bytes());
        let mut recall = Recall::new(&self.source, &[], &self.memory, at);
        let seen = seen(events, (Some(hook), at), self.known.get(&digest), &recall);
        if seen == Seen::New {
            let mut event = event.clone();
            recall.identify(&mut event);
            recall.name(&mut event);
            let after = recall.into_memory();
            self.memory.extend(after);
            let request = RequestId::from(format!("{hook} {at}"));
            self.known.insert(digest, SameBody { request, hook: Some(hook.to_owned()), at });
        }
        seen
    }
}

fn sample_event(name: &str) -> Event {
    let provider = crate::source::provider("bitbucket-cloud").unwrap();
    provider.parse_sample(provider.sample(name).unwrap()).unwrap().events.remove(0)
}

#[test]
fn cross_webhook_duplicates_are_recognized_by_body() {
    let (mut bodies, event) = (Bodies::new(), sample_event("pull_request.merged"));
    let first = || Seen::Before("repository 0".into());
    assert_eq!(bodies.see(&event, "repository", 0), Seen::New);
    assert_eq!(bodies.see(&event, "workspace", 20), Seen::ByOtherHook("repository 0".into()));
    assert_eq!(bodies.see(&event, "repository", 10), first());
    assert_eq!(bodies.see(&event, "repository", 20 * 86_400_000), first());
    assert_eq!(bodies.see(&event, "forged", 20 * 86_400_000), first(), "the webhook's id is not signed");
    let timeless = Event { time: None, ..event };
    assert_eq!(bodies.see(&timeless, "repository", 0), Seen::New);
    assert_eq!(bodies.see(&timeless, "repository", 10), Seen::New, "another event with the same body");
}

#[test]
fn push_is_a_duplicate_while_its_ref_is_unchanged() {
    let (mut bodies, created) = (Bodies::new(), sample_event("branch.created"));
    let mut deleted = created.clone();
    let push = deleted.push.as_mut().unwrap();
    (push.old, push.new, push.created, push.deleted) = (push.new.take(), None, false, true);
    deleted.kind = Kind::BranchDeleted;
    let is_new = |seen: Seen| seen == Seen::New;
    assert!(is_new(bodies.see(&created, "h", 1)));
    assert!(!is_new(bodies.see(&created, "h", 2)));
    assert!(is_new(bodies.see(&deleted, "h", 3)));
    assert!(!is_new(bodies.see(&deleted, "h", 4)));
    assert!(is_new(bodies.see(&created, "h", 5)), "it was created again, at the same commit");
    assert!(is_new(bodies.see(&deleted, "h", 6)));
}

#[test]
fn bodies_are_compared_by_source_text_and_family() {
    let (source, events) = (SourceName::from("s"), [sample_event("pull_request.opened")]);
    let digest = digest_of_body(&source, &events, b"{}");
    assert_ne!(digest, digest_of_body(&source, &events, b"{} "));
    assert_ne!(digest, digest_of_body(&"other".into(), &events, b"{}"));
    // Hosts may send one body with two keys, one of which is more specific.
    let merged = Event { kind: Kind::PullRequestMerged, ..events[0].clone() };
    assert_ne!(digest, digest_of_body(&source, &[merged], b"{}"));
    let comment = |kind| Event { kind, ..sample_event("pull_request.comment_added") };
    let of = |kind| digest_of_body(&source, &[comment(kind)], b"{}");
    assert_eq!(of(Kind::PullRequestCommentAdded), of(Kind::PullRequestCommentResolved));
}
