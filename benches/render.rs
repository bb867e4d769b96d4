//! Cost of an event: parsing its request, routing it, rendering its message for each chat.
//!
//! Run with `cargo bench --bench render`; a name after `--` selects benchmarks.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::collections::HashMap;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use handlebars::Handlebars;
use hookbell::chat;
use hookbell::event::{Event, SourceName};
use hookbell::pattern::Patterns;
use hookbell::routing::{Condition, Conditions, Key, Kinds, Route, Router, Subject};
use hookbell::source::{SourceSettings, provider};
use hookbell::template::{Context, Library};
use jiff::Timestamp;
use serde_json::Value;

/// The program's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A push of 20 commits, made of the sample's: each with its own hash and message.
fn push() -> Event {
    let bitbucket = provider("bitbucket-cloud").unwrap();
    let sample = bitbucket.sample("push").unwrap();
    let mut body: Value = serde_json::from_str(sample.body).unwrap();
    let commit = body["push"]["changes"][0]["commits"][0].clone();
    let commits = (0..20).map(|n| {
        let mut commit = commit.clone();
        commit["hash"] = format!("{n:040x}").into();
        commit["message"] = format!("Change number {n} of twenty, which fixes something in `src/main.rs`\n").into();
        commit
    });
    body["push"]["changes"][0]["commits"] = commits.collect();
    bitbucket.parse(sample.key, body.to_string().as_bytes()).unwrap().events.remove(0)
}

/// A push as plain text, rendered by Handlebars alone. The other figures are compared with it, because both depend on
/// the machine.
const BARE: &str = "{{actor.name}} pushed {{push.count}} commits to {{repository.full_name}} {{push.branch}}
{{#each push.commits}}{{short}} {{url}} {{subject}}{{#if by}} {{by}}{{/if}}
{{/each}}";

fn rendering(criterion: &mut Criterion) {
    let (library, event) = (Library::built_in(), Context::of(&push()));
    let mut group = criterion.benchmark_group("push of 20 commits");
    let mut bare = Handlebars::new();
    bare.register_template_string("bare", BARE).unwrap();
    let context = handlebars::Context::wraps(push()).unwrap();
    group.bench_function("bare handlebars", |bencher| {
        bencher.iter(|| bare.render_with_context("bare", &context).unwrap());
    });
    group.bench_function("template", |bencher| {
        bencher.iter(|| library.render(&event, None));
    });
    for kind in chat::kinds().iter().filter(|kind| !kind.takes_events()) {
        group.bench_function(kind.name(), |bencher| {
            bencher.iter(|| kind.draw(&library.render(&event, None).message));
        });
    }
    group.finish();
}

fn parsing(criterion: &mut Criterion) {
    let bitbucket = provider("bitbucket-cloud").unwrap();
    let settings = SourceSettings { secrets: vec![], unsigned: true, bots: Patterns::default() };
    let source = (bitbucket.build)(settings);
    let mut group = criterion.benchmark_group("parse");
    for name in ["push", "push.several_refs", "pull_request.opened", "build.failed"] {
        let sample = bitbucket.sample(name).unwrap();
        // Without indentation, as hosts send it.
        let body = serde_json::from_str::<Value>(sample.body).unwrap().to_string();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{name}, as JSON alone"), |bencher| {
            bencher.iter(|| serde_json::from_str::<Value>(&body).unwrap());
        });
        let headers = (bitbucket.headers)(sample.key, "request");
        group.bench_function(name, |bencher| {
            bencher.iter(|| source.parse(&headers, body.as_bytes()).unwrap());
        });
    }
    group.finish();
}

/// Measures drawing and fitting; the message is rendered before.
fn encoding(criterion: &mut Criterion) {
    let message = Library::built_in().render(&Context::of(&push()), None).message;
    let mut group = criterion.benchmark_group("encode a push of 20 commits");
    for kind in chat::kinds().iter().filter(|kind| !kind.takes_events()) {
        group.bench_function(kind.name(), |bencher| bencher.iter(|| kind.draw(&message)));
    }
    group.finish();
}

/// A router of this number of routes. A third names its repositories exactly, a third by prefix, a third by suffix.
/// Every tenth route requires another event.
fn router(routes: usize) -> Router {
    let route = |n: usize| {
        let repo = match n % 3 {
            0 => format!("acme/service-{n}"),
            1 => format!("acme/team-{n}-*"),
            _ => format!("*/component-{n}"),
        };
        let repo = Condition::Value(Key::Repo, Patterns::new(&[repo], Key::Repo.style()).unwrap());
        let event = if n.is_multiple_of(10) { "@builds" } else { "@all" };
        let event = Condition::Event(Kinds::new(&[event.to_owned()], |key| key.contains(':')).unwrap());
        Route {
            name: format!("route {n}"),
            conditions: Conditions::new(vec![event, repo]),
            to: vec!["channel".into()],
            template: None,
            style: None,
            is_final: false,
            otherwise: false,
            enabled: true,
        }
    };
    Router::new((0..routes).map(route).collect(), vec![], HashMap::new())
}

/// The events of all samples, each in a repository that one route matches.
fn events(routes: usize) -> Vec<Event> {
    let bitbucket = provider("bitbucket-cloud").unwrap();
    let parsed = bitbucket.samples.iter().flat_map(|sample| bitbucket.parse_sample(sample).unwrap().events);
    let placed = parsed.enumerate().map(|(at, mut event)| {
        let n = at * 7_919 % routes;
        if let Some(repository) = &mut event.repository {
            let name = match n % 3 {
                0 => format!("acme/service-{n}"),
                1 => format!("acme/team-{n}-api"),
                _ => format!("acme/component-{n}"),
            };
            std::sync::Arc::make_mut(repository).full_name = Some(name);
        }
        event
    });
    placed.collect()
}

/// Measures a decision on one event with routers of increasing size, and by evaluating every route of the largest.
fn routing(criterion: &mut Criterion) {
    let source = SourceName::from("bitbucket");
    let mut group = criterion.benchmark_group("route an event");
    let mut sizes: Vec<_> = [1, 100, 1_000, 10_000].map(|routes| (routes, router(routes), events(routes))).into();
    for (routes, router, events) in &sizes {
        let mut events = events.iter().cycle();
        group.bench_function(format!("{routes} routes"), |bencher| {
            bencher.iter(|| {
                let event = events.next().unwrap();
                router.decide(Subject { source: &source, event, at: Timestamp::UNIX_EPOCH })
            });
        });
    }
    let (_, router, events) = sizes.pop().unwrap();
    let mut events = events.iter().cycle();
    group.bench_function("10000 routes, each read", |bencher| {
        bencher.iter(|| {
            let event = events.next().unwrap();
            router.explain(Subject { source: &source, event, at: Timestamp::UNIX_EPOCH })
        });
    });
    group.finish();
}

criterion_group!(benches, rendering, encoding, parsing, routing);
criterion_main!(benches);
