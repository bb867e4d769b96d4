use serde_json::json;

use super::*;
use crate::message::plain_text;
use crate::source::PROVIDERS;

/// Compiles one file's text in a library of its own.
fn compile(text: &str) -> (Library, Vec<Problem>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("push.md.hbs"), text).unwrap();
    Library::load(directory.path(), "templates")
}

fn problems(text: &str) -> String {
    let (_, problems) = compile(text);
    problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n\n")
}

/// The same, as the event of a push.
fn pushed(mut event: Value) -> Value {
    event["kind"] = "push".into();
    event
}

/// What a template's `line` says of a context.
fn line_of(line: &str, context: &Value) -> String {
    let (library, problems) = compile(&format!("+++\nline = '''{line}'''\n+++\n"));
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let rendered = library.render(&Context::new(pushed(context.clone())), None);
    assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
    plain_text(&rendered.message.line)
}

#[test]
fn every_built_in_template_compiles_and_is_there() {
    let library = Library::built_in();
    let mut count = 0;
    for path in BuiltIn::iter() {
        let text = String::from_utf8(BuiltIn::get(&path).unwrap().data.into_owned()).unwrap();
        let name = path.strip_suffix(PORTABLE).unwrap_or_else(|| panic!("{path} is no template"));
        let source = Arc::new(SourceFile { path: path.to_string(), text });
        if let Err(problems) = Portable::compile(name, source) {
            panic!("{}", problems[0].render(false));
        }
        assert!(library.built_in.contains_key(name));
        count += 1;
    }
    assert_eq!(count, library.built_in.len());
}

#[test]
fn every_sample_has_a_message_from_its_first_template() {
    let library = Library::built_in();
    for provider in PROVIDERS {
        for sample in provider.samples {
            for event in provider.parse_sample(sample).unwrap().events {
                let rendered = library.render(&Context::of(&event), None);
                assert!(rendered.failures.is_empty(), "{}: {:?}", sample.name, rendered.failures);
                let expected = if event.kind == crate::event::Kind::Other { "event" } else { event.kind.as_str() };
                assert_eq!(rendered.template, expected, "{}", sample.name);
            }
        }
    }
}

#[test]
fn an_event_of_which_nothing_is_known_has_a_message_all_the_same() {
    let library = Library::built_in();
    for &kind in Kind::ALL {
        let rendered = library.render(&Context::of(&Event::new(kind, "some:key")), None);
        assert!(rendered.failures.is_empty(), "{kind}: {:?}", rendered.failures);
        let line = plain_text(&rendered.message.line);
        assert!(!line.trim().is_empty() && !line.contains("null"), "{kind}: {line}");
    }
    let rendered = library.render(&Context::new(Value::Null), None);
    assert!(!plain_text(&rendered.message.line).trim().is_empty());
}

#[test]
fn the_most_special_name_wins_and_a_failing_one_gives_way() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, line: &str| {
        let text = format!("+++\nline = \"{line}\"\n+++\n");
        std::fs::write(directory.path().join(format!("{name}.md.hbs")), text).unwrap();
    };
    write("pull_request.merged", "a file for the kind");
    write("special", "{{truncate title 'ten'}}");
    let (library, problems) = Library::load(directory.path(), "templates");
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let event = Context::of(&Event::new(Kind::PullRequestMerged, "pullrequest:fulfilled"));

    let rendered = library.render(&event, None);
    assert_eq!(plain_text(&rendered.message.line), "a file for the kind");
    let rendered = library.render(&event, Some("special"));
    assert_eq!(rendered.template, "pull_request.merged");
    let failure = rendered.failures[0].to_string();
    assert!(failure.contains("special.md.hbs") && failure.contains("argument 2 must be a whole number"), "{failure}");
    let rendered = library.render(&event, Some("no such thing"));
    assert_eq!(plain_text(&rendered.message.line), "a file for the kind");
}

#[test]
fn helpers_do_what_their_examples_say() {
    let context = json!({
        "text": "  one two three four\nfive", "hash": "a1b2c3d4e5f6", "one": 1, "three": 3, "none": null, "empty": "",
        "people": [{ "name": "Bo" }, { "name": null }, { "name": "Cy" }], "words": ["x", "y"],
    });
    let cases = [
        ("{{truncate text 15}}", "one two three…"),
        ("{{truncate text 100}}", "one two three four five"),
        ("{{truncate none 3}}|", "|"),
        ("{{first_line text}}", "one two three four"),
        ("{{short_hash hash}}", "a1b2c3d"),
        ("{{plural one \"commit\"}}", "1 commit"),
        ("{{plural three \"commit\"}}", "3 commits"),
        ("{{plural three \"branch\" \"branches\"}}", "3 branches"),
        ("{{plural three \"commit\" more=true}}", "3+ commits"),
        ("{{plural one \"commit\" more=true}}", "1+ commits"),
        ("{{plural none \"commit\"}}", "0 commits"),
        ("{{join people \", \" \"name\"}}", "Bo, Cy"),
        ("{{join words \"-\"}}", "x-y"),
        ("{{join none \"-\"}}|", "|"),
        ("{{default none empty hash}}", "a1b2c3d4e5f6"),
        ("{{default nowhere.at.all \"else\"}}", "else"),
        ("{{link \"https://x.example\" text}}", "one two three four five"),
        ("{{code hash}}", "a1b2c3d4e5f6"),
        ("{{markdown \"**bold** text\"}}", "bold text"),
        ("{{truncate (code hash) 4}}", "a1b…"),
        ("{{#if (eq one 1)}}yes{{/if}}", "yes"),
    ];
    for (template, expected) in cases {
        assert_eq!(line_of(template, &context).trim(), expected, "{template}");
    }
}

#[test]
fn what_is_cut_is_cut_between_characters_as_readers_count_them() {
    let family = "👨‍👩‍👧‍👦".repeat(5);
    let context = json!({ "text": family });
    assert_eq!(line_of("{{truncate text 3}}", &context), format!("{}…", "👨‍👩‍👧‍👦".repeat(2)));
    assert_eq!(line_of("{{truncate text 5}}", &context), family);
}

#[test]
fn what_renders_blank_is_left_out() {
    let (library, problems) = compile(
        "+++\nline = 'x'\ntitle = '{{a}}'\nurl = '{{b}}'\n[[fields]]\nname = 'F'\nvalue = '{{c}} `{{d}}`'\n\
         [[buttons]]\nlabel = 'B'\nurl = 'javascript:{{e}}'\n+++\n{{#if f}}text{{/if}}\n",
    );
    assert!(problems.is_empty());
    let message = library.render(&Context::new(pushed(json!({}))), None).message;
    assert_eq!(message, Message { line: vec![Inline::Text("x".into())], ..Message::default() });
}

#[test]
fn output_without_end_is_refused_and_the_next_template_used() {
    let loops = "{{#each push.commits}}{{#each @root.push.commits}}xxxxxxxxxxxxxxxxxxxxxxxxx{{/each}}{{/each}}";
    let (library, problems) = compile(&format!("+++\nline = 'x'\n+++\n{loops}"));
    assert!(problems.is_empty());
    let commits = vec![json!({ "hash": "a" }); 5_000];
    let event = json!({ "kind": "push", "key": "repo:push", "push": { "commits": commits, "count": 5000 } });
    let rendered = library.render(&Context::new(event), None);
    assert!(rendered.failures[0].reason.contains("more than 256 KB"), "{}", rendered.failures[0]);
    assert_eq!(rendered.template, "push");
}

/// One template for each mistake, and what is said of it.
#[test]
fn mistakes_are_told_where_they_are() {
    let front = |line: &str| format!("+++\nline = 'x'\n{line}\n+++\n");
    let body = |body: &str| format!("+++\nline = 'x'\n+++\nfirst line\n{body}\n");
    let cases = [
        ("no_front_matter", "just text".to_owned()),
        ("front_matter_without_end", "+++\nline = 'x'\n".to_owned()),
        ("no_line", "+++\ntitle = 'x'\n+++\n".to_owned()),
        ("unknown_key", front("titel = 'x'")),
        ("wrong_type", front("title = 3")),
        ("toml_syntax", front("title = 'it's'")),
        ("unknown_accent", front("accent = 'green'")),
        ("unclosed_each", body("{{#each push.commits}}{{hash}}")),
        ("unclosed_mustache", body("{{actor.name")),
        ("unknown_helper", body("text {{trunctate push.branch 3}}")),
        ("unknown_helper_in_front_matter", front("title = 'a {{plurl 1 \"x\"}}'")),
        ("unknown_block", body("{{#push}}x{{/push}}")),
        ("triple_mustache", body("a {{{actor.name}}}")),
        ("partial", body("{{> footer}}")),
        ("inline_partial", body("{{#*inline \"x\"}}{{> x}}{{/inline}}{{> x}}")),
        ("loops_too_deep", body("{{#each a}}{{#each b}}{{#each c}}x{{/each}}{{/each}}{{/each}}")),
    ];
    for (name, text) in cases {
        insta::assert_snapshot!(name, problems(&text));
    }
}
