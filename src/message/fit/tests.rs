use proptest::prelude::*;

use super::*;
use crate::message::markdown::blocks;
use crate::message::{Button, Field, WebUrl, plain_text};

fn message(body: &str) -> Message {
    Message {
        line: vec![Inline::Text("the line".into())],
        title: Some(vec![Inline::Text("the title".into())]),
        url: WebUrl::parse("https://x.example/all"),
        body: blocks(body),
        items: Some("commits".into()),
        fields: vec![Field { name: "Branch".into(), value: vec![Inline::Code("main".into())] }],
        buttons: vec![Button { label: "Go".into(), url: WebUrl::parse("https://x.example").unwrap() }],
        ..Message::default()
    }
}

/// Renders a message as plain text, one block per line.
fn drawn(message: &Message) -> String {
    fn lines(blocks: &[Block]) -> Vec<String> {
        blocks
            .iter()
            .flat_map(|block| match block {
                Block::Paragraph(i) | Block::Heading(i) => vec![plain_text(i)],
                Block::Code(code) => vec![code.clone()],
                Block::List { items, .. } => items.iter().map(|item| format!("- {}", lines(item).join(" "))).collect(),
                Block::Quote(inner) => lines(inner).iter().map(|line| format!("> {line}")).collect(),
                Block::Table(rows) => vec![crate::message::table::as_text(rows)],
                Block::Rule => vec![],
            })
            .collect()
    }
    let mut all: Vec<String> = message.title.iter().map(|title| plain_text(title)).collect();
    all.extend(lines(&message.body));
    all.extend(message.fields.iter().map(|field| format!("{}: {}", field.name, plain_text(&field.value))));
    all.join("\n")
}

fn fitted(message: &Message, units_allowed: usize) -> String {
    fit(message, drawn, |text| units(text) <= units_allowed)
}

#[test]
fn fitting_text_is_unchanged() {
    let message = message("short\n\n- one\n- two");
    assert_eq!(fitted(&message, 1_000), "the title\nshort\n- one\n- two\nBranch: main");
}

#[test]
fn longest_text_is_cut_first() {
    let long = "word ".repeat(200);
    let message = message(&format!("a text of some length that stays\n\n{long}\n\n- item"));
    let text = fitted(&message, 500);
    assert!(text.contains("a text of some length that stays\n") && text.contains("- item\nBranch: main"), "{text}");
    assert!(text.contains("word…") && units(&text) > 480, "{} units: {text}", units(&text));
}

#[test]
fn lists_are_cut_with_a_count_and_a_link() {
    let items: String = (1..=30).map(|n| format!("- commit number {n} with some text\n")).collect();
    let message = message(&format!("intro\n\n{items}"));
    let text = fitted(&message, 175);
    assert!(text.contains("- commit number 3 with some text\n- … and 27 more commits\nBranch: main"), "{text}");
    let kept = fit(&message, Clone::clone, |message| units(&drawn(message)) <= 175);
    let Block::List { items, .. } = &kept.body[1] else { panic!("{:?}", kept.body) };
    let [Block::Paragraph(more)] = items[3].as_slice() else { panic!("{items:?}") };
    assert!(matches!(&more[0], Inline::Link { url, .. } if url.as_str() == "https://x.example/all"));
}

#[test]
fn blocks_are_cut_before_fields() {
    let many = "a paragraph of some fifty units, give or take one\n\n".repeat(40);
    let message = message(&many);
    let text = fitted(&message, 150);
    assert!(text.starts_with("the title\na paragraph") && text.ends_with("…\nBranch: main"), "{text}");
    assert_eq!(fitted(&message, 25), "the title\nBranch: main");
    assert_eq!(fitted(&message, 10), "the title");
}

#[test]
fn pings_are_never_cut() {
    let ping = crate::message::Ping { name: "Bo".into(), person: crate::message::Person::default() };
    let message = Message { pings: vec![ping], ..message("text\n\nmore text") };
    for room in [1_000, 25, 10, 0] {
        let pings = fit(&message, |message| (drawn(message), message.pings.len()), |(text, _)| units(text) <= room).1;
        assert_eq!(pings, 1, "{room}");
    }
}

#[test]
fn texts_are_cut_between_words_and_characters() {
    assert_eq!(cut_text("one two three", 13), "one two three");
    assert_eq!(cut_text("one two three four", 14), "one two three…");
    assert_eq!(cut_text("abcdefghij", 5), "abcd…");
    assert_eq!(cut_text("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 15), "👨‍👩‍👧‍👦…");
    assert_eq!(cut_text("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 5), "…");
    // The end of a piece can coincide with the limit.
    let pieces = [Inline::Strong(vec![Inline::Text("abcd".to_owned())]), Inline::Code("efg".to_owned())];
    assert_eq!(plain_text(&cut_inlines(&pieces, 4)), "abc…");
    assert_eq!(plain_text(&cut_inlines(&pieces, 7)), "abcdefg");
}

proptest! {
    #[test]
    fn lengths_are_in_utf_16_units(text in any::<String>()) {
        prop_assert_eq!(units(&text), text.encode_utf16().count());
    }

    #[test]
    fn truncated_text_is_within_its_limit(text in any::<String>(), longest in 1_usize..60) {
        prop_assert!(units(&cut_text(&text, longest)) <= longest);
        let inlines = vec![Inline::Strong(vec![Inline::Text(text.clone())]), Inline::Code(text)];
        prop_assert!(units(&plain_text(&cut_inlines(&inlines, longest))) <= longest);
    }

    #[test]
    fn any_message_fits_the_limits(
        body in prop::collection::vec("[a-z ]{0,300}|- [a-z ]{1,50}\n- [a-z]{1,9}|> [a-z ]{1,200}|```\n[a-z\n]{1,200}\n```", 0..30),
        room in 120_usize..3_000,
    ) {
        let text = fitted(&message(&body.join("\n\n")), room);
        prop_assert!(units(&text) <= room);
        prop_assert!(!text.is_empty());
    }
}
