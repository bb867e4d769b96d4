//! Any text as a config file: settings, or problems that can be shown.

#![no_main]

use std::sync::LazyLock;

use hookbell::config::{Secrets, load};
use libfuzzer_sys::fuzz_target;

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a directory"));

fuzz_target!(|text: &str| {
    let path = DIRECTORY.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    let loaded = load(&path, Secrets::Leave);
    for problem in &loaded.problems {
        assert!(!problem.render(false).is_empty());
    }
    assert!(loaded.settings.is_some() || !loaded.problems.is_empty());
});
