use super::*;
use crate::message::markdown::blocks;
use crate::message::{Button, Field, WebUrl};
use crate::source::providers;
use crate::template::{Context, Library};

const PLAIN: Layout = Layout { width: 72, colour: false };

fn message() -> Message {
    Message {
        line: vec![Inline::Text("a line".into())],
        title: Some(vec![Inline::Text("acme/api #482 Add rate limits".into())]),
        url: WebUrl::parse("https://x.example/482"),
        accent: Accent::Info,
        body: blocks(
            "Some **bold** text with `code`, long enough that it has to go on in another line.\n\n- one\n- two\n  - deeper\n\n1. first\n\n> quoted\n\n```\nlet x = 1;\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n---\n",
        ),
        fields: vec![
            Field { name: "Branches".into(), value: vec![Inline::Code("a".into())] },
            Field { name: "By".into(), value: vec![Inline::Text("Bo".into())] },
        ],
        buttons: vec![Button { label: "Review".into(), url: WebUrl::parse("https://x.example/482").unwrap() }],
        author: Some("Ana".into()),
        footer: Some("small print".into()),
        ..Message::default()
    }
}

#[test]
fn message_with_all_parts() {
    insta::assert_snapshot!(draw(&message(), PLAIN));
}

#[test]
fn in_colour() {
    let small = Message { body: blocks("**b** [l](https://x.example/y)"), fields: vec![], ..message() };
    insta::assert_snapshot!(draw(&small, Layout { colour: true, ..PLAIN }).replace('\x1b', "␛"));
}

/// Every sample with the built-in templates, which new users see first.
#[test]
fn samples() {
    let library = Library::built_in();
    for provider in providers() {
        for sample in provider.samples {
            let events = provider.parse_sample(sample).unwrap().events;
            let drawn = events.iter().map(|event| draw(&library.render(&Context::of(event), None).message, PLAIN));
            insta::assert_snapshot!(format!("sample_{}", sample.name), drawn.collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let wide = Message {
        title: Some(vec![Inline::Text("x".repeat(300))]),
        body: blocks(&format!(
            "{} {} 漢字{}\n\n> > {}",
            "word ".repeat(50),
            "y".repeat(200),
            "漢".repeat(90),
            "z".repeat(90)
        )),
        url: None,
        buttons: vec![],
        ..message()
    };
    for width in [40, 41, 72, 100] {
        for line in draw(&wide, Layout { width, colour: false }).lines() {
            assert!(line.width() <= width, "{} > {width}: {line}", line.width());
        }
    }
}

#[test]
fn url_is_never_wrapped() {
    let long = format!("https://x.example/{}", "a".repeat(200));
    let message = Message { url: WebUrl::parse(&long), buttons: vec![], ..message() };
    assert!(draw(&message, PLAIN).contains(&long));
    let coloured = draw(&message, Layout { colour: true, ..PLAIN });
    assert!(coloured.contains(&format!("\x1b]8;;{long}\x1b\\")) && coloured.contains('…'));
}

#[test]
fn untrusted_text_moves_no_cursor() {
    let rude = "\x1b[2J\x07\u{9b}31m\n\x08".to_owned();
    let message = Message {
        line: vec![Inline::Text(rude.clone())],
        title: Some(vec![Inline::Text(rude.clone())]),
        body: vec![Block::Paragraph(vec![Inline::Code(rude.clone())]), Block::Code(rude.clone())],
        fields: vec![Field { name: rude.clone(), value: vec![Inline::Text(rude.clone())] }],
        buttons: vec![Button { label: rude, url: WebUrl::parse("https://x.example").unwrap() }],
        ..Message::default()
    };
    let drawn = draw(&message, PLAIN);
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'), "{drawn:?}");
}
