use proptest::prelude::*;

use super::*;
use crate::message::Ping;
use crate::message::shield;
use crate::message::splice::Splice;

/// Hostile text, as untrusted users may write it in titles, branches, names and messages.
pub(crate) const HOSTILE: &[&str] = &[
    "<!channel>",
    "@everyone",
    "<@U1>",
    "<at>x</at>",
    "[x](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example",
    "*a* _b_ ~c~ **d** ~~e~~",
    "`code` ``two`` ```three",
    "feature_login_form",
    "# heading",
    "> quote",
    "- item\n- item",
    "1. item",
    "a\nb\r\nc",
    "a\n\nb",
    "    indented",
    "| a | b |\n|---|---|\n| c | d |",
    "---",
    "\u{202e}gnirts\u{202c}",
    "\u{1b}[31mred\u{1b}[0m\u{9b}2J\u{7}",
    "{{DATE()}}",
    "${x}",
    "{{{{raw}}}}",
    "+++",
    "\"quotes' and \\ backslashes",
    "&amp; &lt; &#42;",
    "<script>alert(1)</script>",
    "\u{100001}l\u{100002}x\u{100003}",
    "“typographic” quotes",
    " leading and trailing ",
    "",
];

/// Returns a value as shown in a message, without the characters that shielding removes.
fn shown(value: &str) -> String {
    shield::unshield(&shield::shield(value))
}

fn text(inlines: &[Inline]) -> String {
    plain_text(inlines)
}

/// Normalizes white space, the only part of a text that may change on its way.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only_text(inlines: &[Inline]) -> bool {
    inlines.iter().all(|inline| matches!(inline, Inline::Text(_) | Inline::Break))
}

/// Puts a value into the text of a template, and checks that it is only a leaf there.
fn check(value: &str) -> Result<(), TestCaseError> {
    let v = shield::shield(value);
    let said = squeezed(&shown(value));

    // In running text.
    let tree = blocks(&format!("before {v} after"));
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    prop_assert!(only_text(inlines), "{value:?}: {inlines:?}");
    prop_assert_eq!(squeezed(&text(inlines)), squeezed(&format!("before {said} after")));

    // At the start of a line, where blocks begin.
    let tree = blocks(&format!("{v}\n\nlast"));
    prop_assert!(tree.iter().all(|b| matches!(b, Block::Paragraph(i) if only_text(i))), "{value:?}: {tree:?}");
    prop_assert!(tree.len() <= 2);

    // In a code span.
    let tree = blocks(&format!("a `{v}` b"));
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    let code: Vec<_> = inlines.iter().filter(|inline| matches!(inline, Inline::Code(_))).collect();
    prop_assert_eq!(code.len(), usize::from(!shown(value).is_empty()), "{:?}: {:?}", value, inlines);
    prop_assert_eq!(squeezed(&text(inlines)), squeezed(&format!("a {} b", shown(value))));

    // As a link's label.
    let tree = blocks(&format!("[{v}](https://ours.example/x) end"));
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    let links: Vec<_> = inlines.iter().filter(|inline| matches!(inline, Inline::Link { .. })).collect();
    let ours = matches!(links.as_slice(), [Inline::Link { url, .. }] if url.as_str() == "https://ours.example/x");
    prop_assert!(ours, "{value:?}: {inlines:?}");

    // As a link's destination: a web URL, or no link.
    let tree = blocks(&format!("[label]({v}) end"));
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    for inline in inlines {
        if let Inline::Link { url, text: label } = inline {
            prop_assert!(["http://", "https://"].iter().any(|scheme| url.as_str().starts_with(scheme)));
            prop_assert_eq!(text(label), "label");
        }
    }
    prop_assert_eq!(text(inlines), "label end");

    // In two list items, so that it could end one and start another.
    let tree = blocks(&format!("- {v}\n- {v}\n"));
    let [Block::List { start: None, items }] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    prop_assert_eq!(items.len(), 2);
    for item in items {
        prop_assert!(item.iter().all(|b| matches!(b, Block::Paragraph(i) if only_text(i))), "{value:?}: {item:?}");
    }

    // In a fence.
    let tree = blocks(&format!("```\n{v}\n```\n\nend"));
    let [Block::Code(code), Block::Paragraph(_)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    let fenced = shown(value);
    prop_assert_eq!(code.trim_end_matches('\n'), fenced.trim_end_matches('\n'));

    // In a table's cell.
    let tree = blocks(&format!("| a | b |\n|---|---|\n| {v} | c |\n"));
    let [Block::Table(rows)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
    prop_assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), vec![2, 2]);
    prop_assert!(only_text(&rows[1][0]), "{value:?}: {rows:?}");

    // In emphasis.
    for (open, close) in [("**", "**"), ("_", "_"), ("~~", "~~")] {
        let tree = blocks(&format!("a {open}{v}{close} b"));
        let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{value:?}: {tree:?}") };
        let is_wrapped = |inline: &&Inline| matches!(inline, Inline::Strong(i) | Inline::Emphasis(i) | Inline::Strike(i) if only_text(i));
        let wrapped = inlines.iter().filter(is_wrapped).count();
        prop_assert_eq!(wrapped, usize::from(!shown(value).trim().is_empty()), "{:?}: {:?}", value, inlines);
        prop_assert_eq!(squeezed(&text(inlines)), squeezed(&format!("a {} b", shown(value))));
    }

    // In the front matter's slots.
    let one = line(&format!("{v} said `{v}`"));
    prop_assert!(one.iter().all(|i| matches!(i, Inline::Text(_) | Inline::Code(_))), "{value:?}: {one:?}");
    prop_assert_eq!(squeezed(&plain(&v)), squeezed(&shown(value)));
    prop_assert!(!plain(&v).contains('\n'));
    prop_assert!(only_text(&super::inlines(&v)), "{value:?}");
    Ok(())
}

#[test]
fn hostile_text_is_text_in_every_context() {
    for value in HOSTILE {
        check(value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn text_stays_text_in_every_context(value in any::<String>()) {
        check(&value)?;
    }

    #[test]
    fn markup_fragments_are_text_in_every_context(
        parts in prop::collection::vec(prop::sample::select(HOSTILE.to_vec()), 1..6),
        glue in prop::sample::select(vec!["", " ", "\n", "*", "`", "](", "\\"]),
    ) {
        check(&parts.join(glue))?;
    }

    #[test]
    fn untrusted_markdown_never_panics_and_links_only_to_the_web(markdown in any::<String>()) {
        let tree = blocks(&Splice::Markdown(&markdown, usize::MAX).shielded());
        assert_safe(&flatten(tree));
    }
}

fn assert_safe(inlines: &[Inline]) {
    for inline in inlines {
        match inline {
            Inline::Link { url, text } => {
                assert!(["http://", "https://"].iter().any(|scheme| url.as_str().starts_with(scheme)));
                assert_safe(text);
            }
            Inline::Strong(i) | Inline::Emphasis(i) | Inline::Strike(i) => assert_safe(i),
            Inline::Text(text) | Inline::Code(text) | Inline::Mention(Ping { name: text, .. }) => {
                assert!(!text.chars().any(|c| c.is_control() || u32::from(c) >= 0xF_0000), "{text:?}");
            }
            Inline::Break => {}
        }
    }
}

fn untrusted(markdown: &str) -> Vec<Block> {
    blocks(&Splice::Markdown(markdown, usize::MAX).shielded())
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(vec![Inline::Text(text.to_owned())])
}

#[test]
fn untrusted_markdown_keeps_its_structure() {
    let tree = untrusted("First\nline\n\n- **a**\n- `b`\n\n> said");
    let expected = vec![
        Block::Paragraph(vec![Inline::Text("First".into()), Inline::Break, Inline::Text("line".into())]),
        Block::List {
            start: None,
            items: vec![
                vec![Block::Paragraph(vec![Inline::Strong(vec![Inline::Text("a".into())])])],
                vec![Block::Paragraph(vec![Inline::Code("b".into())])],
            ],
        },
        Block::Quote(vec![paragraph("said")]),
    ];
    assert_eq!(tree, expected);
}

#[test]
fn untrusted_heading_is_bold_and_untrusted_image_is_a_link() {
    let tree = untrusted("# Big\n\n![logo](https://x.example/l.png)");
    assert_eq!(tree[0], Block::Paragraph(vec![Inline::Strong(vec![Inline::Text("Big".into())])]));
    let Block::Paragraph(inlines) = &tree[1] else { panic!("{tree:?}") };
    assert!(matches!(&inlines[0], Inline::Link { url, .. } if url.as_str() == "https://x.example/l.png"));
}

#[test]
fn link_text_with_another_host_shows_its_target() {
    let labels =
        ["https://bank.example", "bank.example", "see bank.example/login now", "go:bank.example/x", "a/bank.example"];
    for label in labels {
        let Some(Block::Paragraph(inlines)) = untrusted(&format!("[{label}](https://evil.example/)")).pop() else {
            panic!("no paragraph");
        };
        assert!(only_text(&inlines), "{inlines:?}");
        assert_eq!(plain_text(&inlines), format!("{label} (https://evil.example/)"));
    }
    for label in ["the notes", "v2.8.0", "https://evil.example/a"] {
        let Some(Block::Paragraph(inlines)) = untrusted(&format!("[{label}](https://evil.example/a)")).pop() else {
            panic!("no paragraph");
        };
        assert!(matches!(inlines.as_slice(), [Inline::Link { .. }]), "{inlines:?}");
    }
}

#[test]
fn html_is_text_and_html_comments_are_removed() {
    assert_eq!(untrusted("<!-- what did you change? -->\n\nMuch."), vec![paragraph("Much.")]);
    assert_eq!(untrusted("a <!-- b --> c"), vec![paragraph("a  c")]);
    assert_eq!(untrusted("<!-- x --> Important <!-- y -->"), vec![paragraph("Important")]);
    assert_eq!(untrusted("<!-- never closed\n\nand on"), vec![]);
    assert_eq!(untrusted("<b>x</b>"), vec![paragraph("<b>x</b>")]);
    assert_eq!(untrusted("<at>all</at>"), vec![paragraph("<at>all</at>")]);
}

#[test]
fn only_web_urls_become_links() {
    for url in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example", "x"] {
        assert_eq!(untrusted(&format!("[x]({url})")), vec![paragraph("x")], "{url}");
    }
}

#[test]
fn deep_nesting_is_limited() {
    let deep = format!("{}x", "> ".repeat(20_000));
    let tree = untrusted(&deep);
    assert_eq!(plain_text(&flatten(tree)).trim(), "x");
    let deep = format!("{}x{}", "**a ".repeat(5_000), "**".repeat(5_000));
    assert!(plain_text(&flatten(untrusted(&deep))).contains('x'));
    let lists: String = (0..200).map(|n| format!("{}- {n}\n", "  ".repeat(n))).collect();
    assert!(plain_text(&flatten(untrusted(&lists))).contains("199"));
}

/// Checks that ten times the text takes about ten times as long. A quadratic algorithm took a hundred times as long.
#[test]
fn deep_nesting_takes_linear_time() {
    for (open, close) in [("**a ", "**"), ("*a _b ", "_*"), ("~~a ", "~~"), ("[a ", "](https://x.example)"), ("> ", "")]
    {
        let time = |times: usize| {
            let text = format!("{}x{}", open.repeat(times), close.repeat(times));
            let once = || {
                let began = std::time::Instant::now();
                assert!(plain_text(&flatten(untrusted(&text))).contains('x'));
                began.elapsed()
            };
            (0..3).map(|_| once()).min().unwrap()
        };
        let (few, many) = (time(1_000), time(10_000));
        assert!(many < few * 40 + std::time::Duration::from_millis(50), "{open}: {few:?}, then {many:?}");
    }
}

#[test]
fn helper_markup_is_spliced_in_place() {
    let link = Splice::Link { url: "https://x.example/a b", text: "a]b" }.shielded();
    let code = Splice::Code("x`y").shielded();
    let tree = blocks(&format!("see {link} and **{code}**"));
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{tree:?}") };
    assert!(matches!(&inlines[1], Inline::Link { url, .. } if url.as_str() == "https://x.example/a%20b"));
    assert_eq!(inlines[3], Inline::Strong(vec![Inline::Code("x`y".into())]));

    let quoted = blocks(&format!("> {}", Splice::Markdown("one\n\ntwo", 99).shielded()));
    assert_eq!(quoted, vec![Block::Quote(vec![paragraph("one"), paragraph("two")])]);
    let in_a_line = line(&format!("said: {}", Splice::Markdown("one\n\n- two", 99).shielded()));
    assert_eq!(plain_text(&in_a_line), "said: one • two");
    assert_eq!(plain(&format!("{link} {code}")), "a]b x`y");
}

#[test]
fn host_name_behind_zero_width_characters_is_recognized() {
    let tree = untrusted("[https:\u{200b}//bank.example](https://evil.example/)");
    let [Block::Paragraph(inlines)] = tree.as_slice() else { panic!("{tree:?}") };
    assert!(only_text(inlines), "{inlines:?}");
}

#[test]
fn character_references_do_not_bypass_shielding() {
    let markdown = "a&#27;[2J &#x202e;b&#155; `&#27;` &#8232;\n\n```\n&#27;\n```\n\n[&#27;l&#8;](https://x.example)";
    assert_safe(&flatten(untrusted(markdown)));
}

#[test]
fn long_markdown_is_cut_as_a_tree() {
    let cut = |markdown: &str, longest| blocks(&Splice::Markdown(markdown, longest).shielded());
    let link = "see [the notes](https://x.example/a/very/long/address) and **bold text that goes on**";
    let [Block::Paragraph(inlines)] = &cut(link, 20)[..] else { panic!("no paragraph") };
    assert!(matches!(&inlines[1], Inline::Link { .. }), "{inlines:?}");
    assert!(plain_text(inlines).chars().count() <= 20);
    let comment = format!("<!-- {} -->\n\nThe text.", "x".repeat(900));
    assert_eq!(cut(&comment, 100), vec![paragraph("The text.")]);
    assert_eq!(plain_text(&flatten(cut("- one\n- two\n- three\n- four\n", 9))), "• one • two • th…");
}

#[test]
fn quoted_text_has_no_markdown_source() {
    for (markdown, text) in [
        ("<!-- bot:1 -->\nHi", "Hi"),
        ("[//]: # (lintbot-id:7f3a;)\n\nThis sum can overflow.", "This sum can overflow."),
        ("> Is it?\n\nYes, **it** [is](https://x.example).", "Yes, it is."),
        ("> only quoted", "only quoted"),
        ("- a\n- `b`\n\n# c", "• a • b c"),
        ("&zwj;\u{200b}", ""),
    ] {
        assert_eq!(super::text_of(markdown).replace(['\u{200b}', '\u{200d}'], ""), text, "{markdown}");
    }
}

#[test]
fn empty_parts_are_not_shown() {
    for markdown in ["- ", "> ", "&zwj;", "\u{200b}", "- \n- \u{200b}\n", "> \u{200d}\n> - "] {
        assert_eq!(untrusted(markdown), vec![], "{markdown:?}");
    }
}

#[test]
fn link_with_a_file_name_stays_a_link() {
    let is_link = |markdown: &str| format!("{:?}", untrusted(markdown)).contains("Link");
    assert!(is_link("[shot.png](https://x.example/a)"));
    assert!(is_link("[README.md](https://bitbucket.org/acme/api/src/main/README.md)"));
    assert!(!is_link("[evil.md](https://x.example/a)"), "a host name");
    assert!(!is_link("[bank.example](https://x.example/a)"));
    assert!(!is_link("[bank.example/a.png](https://x.example/a.png)"));
}
