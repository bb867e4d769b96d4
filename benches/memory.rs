//! Memory for verifying and parsing a request, as a multiple of its body. This bounds the memory that large requests
//! can use.
//!
//! `cargo bench --bench memory` prints a line for each body, and fails if one takes more than [`MOST`].

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has failed")]

use hookbell::source::provider;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Maximum size of a body.
const LARGEST: usize = 1024 * 1024;

/// Maximum memory for a body: a multiple of its size, plus a constant in bytes.
const MOST: (usize, usize) = (25, 8 * 1024 * 1024);

fn main() {
    let bitbucket = provider("bitbucket-cloud").unwrap();
    let sample: Value = serde_json::from_str(bitbucket.sample("push").unwrap().body).unwrap();
    let with = |name: &str, value: Value| {
        let mut body = sample.clone();
        body[name] = value;
        body.to_string()
    };
    let mut long_messages = sample.clone();
    for commit in long_messages["push"]["changes"][0]["commits"].as_array_mut().unwrap() {
        commit["message"] = "A message of many words, [brackets], {braces}. ".repeat(LARGEST / 4 / 47).into();
    }
    let commit = sample["push"]["changes"][0]["commits"][0].clone();
    let mut many_commits = sample.clone();
    many_commits["push"]["changes"][0]["commits"] = vec![commit; 400].into();
    let sparse: serde_json::Map<String, Value> =
        (0..30_000).map(|n| (format!("key number {n:08}"), json!(0))).collect();
    let refs = |count: usize, repository: &Value| {
        let change = |n: usize| json!({ "new": { "name": format!("tag-{n}"), "type": "tag" } });
        let mut body = sample.clone();
        body["push"]["changes"] = (0..count).map(change).collect::<Vec<_>>().into();
        body["repository"] = repository.clone();
        body.to_string()
    };
    let mut described = sample["repository"].clone();
    described["description"] = "d".repeat(100_000).into();
    // Every text of the body at its maximum length.
    let mut long_texts = sample.clone();
    lengthen(&mut long_texts, "n".repeat(4_000).as_str());
    let bodies = [
        ("5,000 refs, 100 KB of description", refs(5_000, &described)),
        ("8,000 refs", refs(8_000, &sample["repository"])),
        ("all texts of 4 KB", long_texts.to_string()),
        ("a push of three commits", sample.to_string()),
        ("three messages of 250 KB", long_messages.to_string()),
        ("400 commits", many_commits.to_string()),
        ("2,000 numbers", with("x", vec![0; 2_000].into())),
        ("1,000 objects of one key", with("x", vec![json!({ "a": 0 }); 1_000].into())),
        ("30,000 sparse objects", with("x", vec![json!({ "a": "as much as a value is worth" }); 30_000].into())),
        ("30,000 sparse keys", with("x", sparse.into())),
        ("30,000 numbers", with("x", vec![0; 30_000].into())),
        ("15,000 objects of one key", with("x", vec![json!({ "a": 0 }); 15_000].into())),
    ];
    println!("{:>36} {:>9} {:>9} {:>6}", "body", "KB", "peak KB", "times");
    for (name, body) in bodies {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let parsed = bitbucket.parse("repo:push", body.as_bytes());
        let peak = ALLOCATOR.peak_usage() - before;
        let outcome =
            parsed.map_or_else(|rejection| rejection.to_string(), |parsed| format!("{} events", parsed.events.len()));
        println!(
            "{name:>36} {:>9} {:>9} {:>6.1}  {outcome}",
            body.len() / 1024,
            peak / 1024,
            peak as f64 / body.len() as f64
        );
        assert!(body.len() <= LARGEST + 64 * 1024, "{name}");
        if peak > MOST.0 * body.len() + MOST.1 {
            panic!("{name}: {peak} bytes");
        }
    }
}

/// Makes all texts of a value long, except those that identify its type.
fn lengthen(value: &mut Value, tail: &str) {
    match value {
        Value::Object(parts) => {
            parts.iter_mut().filter(|(key, _)| *key != "type").for_each(|(_, part)| lengthen(part, tail));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| lengthen(item, tail)),
        Value::String(text) => text.push_str(tail),
        _ => {}
    }
}
