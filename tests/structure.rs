//! The layers of the source code: a module uses those of its own layer and those below, and no two use each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Top-level modules from the lowest layer to the highest, as in `docs/architecture.md`.
const LAYERS: &[&[&str]] = &[
    &["event", "http_client", "mac", "message", "pattern", "problem", "telemetry", "text", "text_file", "time", "tls"],
    &["chat", "config", "memory", "routing", "source", "store", "template"],
    &["service"],
    &["cli", "server"],
];

type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Returns true for files that only tests use.
fn is_test(path: &Path) -> bool {
    let names = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    names.into_iter().any(|name| matches!(name.as_str(), "tests" | "tests.rs" | "testing.rs" | "model.rs"))
}

/// Reads which top-level modules each of them uses. Test modules are at the end of their files.
fn graph() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph = Graph::new();
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).unwrap();
        let module =
            inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") || is_test(inside) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let used = lines.flat_map(|line| line.split("crate::").skip(1));
        let named = used.map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
        let uses = graph.entry(module.clone()).or_default();
        uses.extend(named.filter(|other: &String| *other != module && !other.is_empty()));
    }
    graph
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn modules_use_only_their_own_layer_and_those_below() {
    let graph = graph();
    for (module, uses) in &graph {
        let own = layer(module);
        assert!(own.is_some(), "`{module}` is in no layer: add it to `LAYERS` and to docs/architecture.md");
        for other in uses {
            assert!(layer(other) <= own, "`{module}` uses `{other}`, which is in a layer above");
        }
    }
    let listed: BTreeSet<_> = LAYERS.iter().flat_map(|layer| layer.iter()).map(|module| (*module).to_owned()).collect();
    assert_eq!(listed, graph.into_keys().collect());
}

#[test]
fn modules_do_not_use_each_other_in_a_circle() {
    let mut graph = graph();
    // Modules that use no other one left cannot be in a circle.
    while let Some(free) = graph.iter().find(|(_, uses)| uses.is_empty()).map(|(module, _)| module.clone()) {
        graph.remove(&free);
        graph.values_mut().for_each(|uses| {
            uses.remove(&free);
        });
    }
    assert!(graph.is_empty(), "{graph:?}");
}
