//! Any bytes as a request of Bitbucket's: an event, perhaps a poor one, or a reason; then its message on each chat.
//!
//! The first line is the host's key, the rest the body.

#![no_main]

use std::sync::LazyLock;

use hookbell::chat;
use hookbell::source::provider;
use hookbell::template::{Context, Library};
use libfuzzer_sys::fuzz_target;

static LIBRARY: LazyLock<Library> = LazyLock::new(Library::built_in);

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(key), body) = (std::str::from_utf8(&data[..end]), &data[end + 1..]) else { return };
    let bitbucket = provider("bitbucket-cloud").expect("it is built in");
    let Ok(parsed) = bitbucket.parse(key, body) else { return };
    assert!(!parsed.events.is_empty() || parsed.note.is_some());
    for event in parsed.events {
        let rendered = LIBRARY.render(&Context::of(&event), None);
        assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
        for kind in chat::kinds() {
            assert!(!kind.draw(&rendered.message).is_empty());
        }
    }
});
