//! Any text as a comment that somebody wrote, on each chat. Nothing takes long, and nothing overflows.

#![no_main]

use std::sync::LazyLock;

use hookbell::chat;
use hookbell::event::Event;
use hookbell::source::provider;
use hookbell::template::{Context, Library};
use libfuzzer_sys::fuzz_target;

static LIBRARY: LazyLock<Library> = LazyLock::new(Library::built_in);

static COMMENTED: LazyLock<Event> = LazyLock::new(|| {
    let bitbucket = provider("bitbucket-cloud").expect("it is built in");
    let sample = bitbucket.sample("pull_request.comment_added").expect("a sample");
    bitbucket.parse_sample(sample).expect("a sample").events.remove(0)
});

fuzz_target!(|text: &str| {
    let mut event = COMMENTED.clone();
    event.comment.as_mut().expect("a comment").text = Some(text.to_owned());
    let rendered = LIBRARY.render(&Context::of(&event), None);
    assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
    for kind in chat::kinds() {
        assert!(!kind.draw(&rendered.message).is_empty());
    }
});
