//! Any text as a template: what is wrong with it, or a message on each chat. Nothing takes long, and nothing overflows.

#![no_main]

use std::cell::RefCell;
use std::sync::LazyLock;

use hookbell::chat;
use hookbell::source::provider;
use hookbell::template::{Context, Library};
use libfuzzer_sys::fuzz_target;

static EVENTS: LazyLock<Vec<Context>> = LazyLock::new(|| {
    let bitbucket = provider("bitbucket-cloud").expect("it is built in");
    let parsed = ["push", "pull_request.opened"].map(|name| bitbucket.parse_sample(bitbucket.sample(name).expect("a sample")));
    parsed.into_iter().flat_map(|parsed| parsed.expect("a sample").events).map(|event| Context::of(&event)).collect()
});

thread_local! {
    static LIBRARY: RefCell<Library> = RefCell::new(Library::built_in());
}

fuzz_target!(|text: &str| {
    LIBRARY.with_borrow_mut(|library| {
        for chat in [None, Some("slack"), Some("discord")] {
            library.replace("fuzzed", chat, text);
        }
        for event in EVENTS.iter() {
            for kind in chat::kinds() {
                let rendered = library.render_for(event, Some("fuzzed"), Some(*kind));
                kind.draw(&rendered.message);
            }
        }
    });
});
