use serde_json::json;

use super::helpers::{HELPERS, example};
use super::*;
use crate::event::Event;
use crate::message::{Block, Person, plain_text};
use crate::source::providers;

/// Loads a library with one file that has this text.
fn compile(text: &str) -> (Library, Vec<Problem>) {
    compile_as("push", text)
}

fn compile_as(name: &str, text: &str) -> (Library, Vec<Problem>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(format!("{name}.md.hbs")), text).unwrap();
    Library::load(directory.path(), "templates")
}

/// Returns the event with the kind `push`.
fn pushed(mut event: Value) -> Value {
    event["kind"] = "push".into();
    event
}

/// Renders `line` for a context and returns its plain text.
fn line_of(line: &str, context: &Value) -> String {
    // The lint does not check paths of a foreign template, and the test uses paths that events do not have.
    let (library, problems) = compile_as(ALERT, &format!("+++\nline = '''{line}'''\n+++\n"));
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let rendered = library.render(&Context::new(pushed(context.clone())), Some(ALERT));
    assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
    plain_text(&rendered.message.line)
}

/// An event that an earlier version stored has neither words nor references.
#[test]
fn events_of_earlier_versions_get_the_references_of_most_hosts() {
    let event = json!({
        "kind": "pull_request.opened", "key": "k", "actor": { "name": "Ana" },
        "repository": { "full_name": "acme/api" },
        "pull_request": { "id": 7, "title": "Limits", "url": "https://host.example/7" },
    });
    let rendered = Library::built_in().render(&Context::new(event), None);
    assert_eq!(plain_text(&rendered.message.line), "Ana opened #7 Limits in acme/api");
}

#[test]
fn every_built_in_template_compiles() {
    let library = Library::built_in();
    let mut count = 0;
    for path in BuiltIn::iter() {
        let text = String::from_utf8(BuiltIn::get(&path).unwrap().data.into_owned()).unwrap();
        let name = path.strip_suffix(PORTABLE).unwrap_or_else(|| panic!("{path} is not a template"));
        let source = Arc::new(SourceFile { path: path.to_string(), text });
        // Compiled like a user's file, because `eject` writes these files.
        let kinds = served_by_name(name);
        let (_, problems) = library.compile(name, source, kinds.as_deref());
        let problems: Vec<_> = problems.iter().map(|problem| problem.render(false)).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(library.built_in.contains_key(name));
        count += 1;
    }
    assert_eq!(count, library.built_in.len());
}

#[test]
fn every_sample_renders_with_its_first_template() {
    let library = Library::built_in();
    for provider in providers() {
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
fn event_without_data_has_a_message() {
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
fn most_specific_template_wins_and_falls_back() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, line: &str| {
        let text = format!("+++\nline = \"{line}\"\n+++\n");
        std::fs::write(directory.path().join(format!("{name}.md.hbs")), text).unwrap();
    };
    write("pull_request.merged", "a file for the kind");
    write("special", "{{truncate key (default key)}}");
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

/// Checks the documented examples and their output.
#[test]
fn every_helper_example_renders_as_documented() {
    for helper in HELPERS {
        assert_eq!(line_of(helper.example, &example()).trim(), helper.gives, "{}", helper.example);
        assert!(helper.example.contains(helper.name), "{}", helper.name);
    }
}

#[test]
fn helpers_accept_missing_and_unusual_values() {
    let context = json!({
        "time": "2026-11-24T13:05:09Z", "text": "  one two three four\nfive", "hash": "a1b2c3d4e5f6", "one": 1, "three": 3, "none": null, "empty": "",
        "people": [{ "name": "Bo" }, { "name": null }, { "name": "Cy" }], "texts": ["x", "y"],
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
        ("{{join texts \"-\"}}", "x-y"),
        ("{{join none \"-\"}}|", "|"),
        ("{{default none empty hash}}", "a1b2c3d4e5f6"),
        ("{{default nowhere.at.all \"else\"}}", "else"),
        ("{{link \"https://x.example\" text}}", "one two three four five"),
        ("{{code hash}}", "a1b2c3d4e5f6"),
        ("{{markdown \"**bold** text\"}}", "bold text"),
        ("{{truncate (code hash) 4}}", "a1b…"),
        ("{{#if (eq one 1)}}yes{{/if}}", "yes"),
        ("{{date none}}|", "|"),
        ("{{ago none}}|", "|"),
        ("{{ago \"2026-11-24T10:00:00Z\"}}", "3 h ago"),
        ("{{ago \"2026-11-21T10:00:00Z\"}}", "3 d ago"),
        ("{{ago \"2027-11-21T10:00:00Z\"}}", "just now"),
        ("{{date \"2026-11-24T08:09:10Z\"}}", "2026-11-24 08:09"),
        ("{{mention \"Bo\"}}", "Bo"),
        ("{{mention none}}|", "|"),
        ("{{len empty}}", "0"),
    ];
    for (template, expected) in cases {
        assert_eq!(line_of(template, &context).trim(), expected, "{template}");
    }
}

#[test]
fn texts_are_cut_between_graphemes() {
    let family = "👨‍👩‍👧‍👦".repeat(5);
    let context = json!({ "text": family });
    assert_eq!(line_of("{{truncate text 3}}", &context), format!("{}…", "👨‍👩‍👧‍👦".repeat(2)));
    assert_eq!(line_of("{{truncate text 5}}", &context), family);
}

#[test]
fn blank_parts_are_left_out() {
    let (library, problems) = compile_as(
        ALERT,
        "+++\nline = 'x'\ntitle = '{{a}}'\nurl = '{{b}}'\n[[fields]]\nname = 'F'\nvalue = '{{c}} `{{d}}`'\n\
         [[buttons]]\nlabel = 'B'\nurl = 'javascript:{{e}}'\n+++\n{{#if f}}text{{/if}}\n",
    );
    assert!(problems.is_empty());
    let message = library.render(&Context::new(pushed(json!({}))), Some(ALERT)).message;
    assert_eq!(message, Message { line: vec![Inline::Text("x".into())], ..Message::default() });
}

#[test]
fn too_much_output_falls_back_to_the_next_template() {
    let loops = "{{#each push.commits}}{{#each @root.push.commits}}xxxxxxxxxxxxxxxxxxxxxxxxx{{/each}}{{/each}}";
    let (library, problems) = compile(&format!("+++\nline = 'x'\n+++\n{loops}"));
    assert!(problems.is_empty());
    let commits = vec![json!({ "hash": "a" }); 5_000];
    let event = json!({ "kind": "push", "key": "repo:push", "push": { "commits": commits, "count": 5000 } });
    let rendered = library.render(&Context::new(event), None);
    assert!(rendered.failures[0].reason.to_string().contains("more than 256 KB"), "{}", rendered.failures[0]);
    assert_eq!(rendered.template, "push");
}

/// Checks one template file per error, with the expected problems in a snapshot next to it. Each file is loaded as a
/// template for `push`, or for the kind after the dot in its name.
#[test]
fn errors_have_positions() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let home = tempfile::tempdir().unwrap();
    let partials = home.path().join("partials");
    std::fs::create_dir(&partials).unwrap();
    for entry in std::fs::read_dir(directory.join("partials")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), partials.join(entry.file_name())).unwrap();
    }
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut count = 0;
    for path in files {
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let Some(rule) = file_name.strip_suffix(PORTABLE) else { continue };
        let served = rule.split_once('.').map_or("push", |(_, served)| served);
        let copy = home.path().join(format!("{served}{PORTABLE}"));
        std::fs::copy(&path, &copy).unwrap();
        let (_, problems) = Library::load(home.path(), "templates");
        std::fs::remove_file(copy).unwrap();
        assert!(!problems.is_empty(), "{file_name} has no problems");
        let said: Vec<_> = problems.iter().map(|problem| problem.render(false)).collect();
        settings.bind(|| insta::assert_snapshot!(rule, said.join("\n\n")));
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn partial_is_checked_where_it_is_included() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    std::fs::create_dir(directory.path().join("partials")).unwrap();
    write("partials/commit.hbs", "{{code short}} {{subject}} {{note}}");
    write("push.md.hbs", "+++\nline = 'x'\n+++\n{{#each push.commits}}{{> commit note=\"(new)\"}}\n\n{{/each}}");
    let (library, problems) = Library::load(directory.path(), "templates");
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let bitbucket = crate::source::provider("bitbucket-cloud").unwrap();
    let event = bitbucket.parse_sample(bitbucket.sample("push").unwrap()).unwrap().events.remove(0);
    let rendered = library.render(&Context::of(&event), None);
    assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
    let Block::Paragraph(first) = &rendered.message.body[0] else { panic!("{:?}", rendered.message.body) };
    assert_eq!(plain_text(first), "4eb2224 Fix login timeout after a daylight saving change (new)");
    assert!(matches!(first[0], Inline::Code(_)));
    // In another template, its paths have another meaning.
    write("tag.created.md.hbs", "+++\nline = 'x'\n+++\n{{> commit}}");
    let (_, problems) = Library::load(directory.path(), "templates");
    assert!(problems[0].render(false).contains("unknown field `short`"), "{}", problems[0].render(false));
}

#[test]
fn fields_and_buttons_may_have_conditions_and_be_many() {
    let (library, problems) = compile_as(
        "pull_request",
        "+++\nline = 'x'\nimage = 'https://img.example/{{pull_request.id}}.png'\ntime = '{{pull_request.created}}'\n\
         accent = '{{#if pull_request.reason}}danger{{/if}}'\n\
         [[fields]]\nwhen = 'pull_request.reviewers.1'\nname = 'At'\nvalue = '{{date pull_request.created \"%H:%M %Z\"}}'\n\
         [[fields]]\nwhen = 'pull_request.reviewers.2'\nname = 'Third'\nvalue = 'x'\n\
         [[fields]]\nwhen = 'pull_request.reason'\nname = 'Reason'\nvalue = '{{pull_request.reason}}'\n\
         [[fields]]\nwhen = 'pull_request.title'\nname = 'Title'\nvalue = '{{pull_request.title}}'\n\
         [[fields]]\neach = 'pull_request.reviewers'\nname = '{{item.name}}'\nvalue = '{{default item.vote \"asked\"}}'\n\
         [[buttons]]\nwhen = 'pull_request.draft'\nlabel = 'Draft'\nurl = '{{pull_request.url}}'\n\
         [[buttons]]\neach = 'pull_request.reviewers'\nlabel = '{{item.name}}'\nurl = 'https://x.example/{{item.name}}'\n+++\n",
    );
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let bitbucket = crate::source::provider("bitbucket-cloud").unwrap();
    let event = bitbucket.parse_sample(bitbucket.sample("pull_request.opened").unwrap()).unwrap().events.remove(0);
    let rendered = library.render(&Context::of(&event), Some("pull_request"));
    assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
    let message = rendered.message;
    let fields: Vec<_> = message.fields.iter().map(|field| (field.name.as_str(), plain_text(&field.value))).collect();
    let named = |name, value: &str| (name, value.to_owned());
    assert_eq!(
        fields,
        [
            named("At", "15:14 UTC"),
            named("Title", "Add rate limits"),
            named("Bo Lindqvist", "asked"),
            named("Cy Okafor", "asked")
        ]
    );
    let buttons: Vec<_> = message.buttons.iter().map(|button| button.url.as_str()).collect();
    assert_eq!(buttons, ["https://x.example/Bo%20Lindqvist", "https://x.example/Cy%20Okafor"]);
    assert_eq!(message.image.unwrap().as_str(), "https://img.example/482.png");
    assert_eq!(message.time, event.pull_request.unwrap().created);
    assert_eq!(message.accent, Accent::Neutral, "a blank accent is neutral");
}

#[test]
fn trusted_markup_passes_and_cannot_forge_values() {
    let text = "+++\nline = 'x'\n+++\n{{! trusted: our own branches }}{{{push.branch}}}\n";
    let (library, problems) = compile(text);
    assert!(problems.is_empty(), "{}", problems[0].render(false));
    let link = crate::message::splice::Splice::Link { url: "https://evil.example", text: "here" }.shielded();
    let event = json!({ "kind": "push", "key": "x", "push": { "branch": format!("**b**{link}") } });
    let message = library.render(&Context::new(event), None).message;
    let Block::Paragraph(inlines) = &message.body[0] else { panic!("{:?}", message.body) };
    assert!(matches!(inlines[0], Inline::Strong(_)), "{inlines:?}");
    assert!(!format!("{inlines:?}").contains("Link"), "{inlines:?}");
}

/// Checks the declared parts of each kind against the samples.
#[test]
fn parts_of_kinds_match_the_samples() {
    let mut met: BTreeMap<Kind, std::collections::BTreeSet<&str>> = BTreeMap::new();
    for provider in providers() {
        for sample in provider.samples {
            for event in provider.parse_sample(sample).unwrap().events {
                let json = serde_json::to_value(&event).unwrap();
                let parts = Kind::Other.parts().iter().copied().filter(|part| !json[*part].is_null());
                met.entry(event.kind).or_default().extend(parts);
            }
        }
    }
    for &kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Other) {
        let mut said: std::collections::BTreeSet<&str> = kind.parts().iter().copied().collect();
        // Most updates have an empty comment, as in the sample.
        if kind == Kind::IssueUpdated {
            assert!(said.remove("comment"));
        }
        assert_eq!(met.remove(&kind).unwrap_or_default(), said, "{kind}");
    }
}

#[test]
fn mentions_ping_mapped_people_and_never_the_actor() {
    let person = |id: &str| Person::from_iter([("slack", id)]);
    let known = [("ana:1", "U0A"), ("bo:1", "U0B"), ("cy", "U0C"), ("Di Moss", "U0D")];
    let ana = json!({ "id": "ana:1", "nickname": "ana", "name": "Ana Ruiz" });
    let bo = json!({ "id": "bo:1", "name": "Bo **L** <@U0X>" });
    let cy = json!({ "id": "cy:1", "nickname": "cy", "name": "Cy" });
    let nobody = json!({ "id": "no:1", "nickname": "no", "name": "Ana Ruiz" });
    // An account without an id is mapped by its nickname.
    let known = [known.as_slice(), &[("ana", "U0A")]].concat();
    let people = People::new(known.into_iter().map(|(name, id)| (name.to_owned(), person(id))), |_| false);
    let mut library = Library::built_in().with_people(Arc::new(people));
    let event = json!({ "actor": ana, "bo": bo, "nobody": nobody, "all": [ana, bo, cy, nobody, bo, null] });
    let cases: &[(&str, &str, &[&str])] = &[
        ("{{mention actor}}", "Ana Ruiz", &[]),
        ("{{mention nobody}}", "Ana Ruiz", &[]),
        ("{{mention bo}}", "Bo **L** <@U0X>", &["U0B"]),
        ("**{{mention all}}**", "Ana Ruiz, Bo **L** <@U0X>, Cy, Ana Ruiz, Bo **L** <@U0X>", &["U0B", "U0C"]),
        ("`{{mention bo}}` and {{mention \"Di Moss\"}}", "Bo **L** <@U0X> and Di Moss", &["U0B", "U0D"]),
        // Another helper gets the text of a mention.
        ("{{truncate (mention bo) 4}}", "Bo…", &[]),
        ("{{mention \"ana\"}} {{mention actor.name}}", "ana Ana Ruiz", &[]),
        ("{{bo.name}} {{markdown bo.name}}", "Bo **L** <@U0X> Bo L <@U0X>", &[]),
    ];
    for (template, shown, pinged) in cases {
        let text = format!("+++\nline = '''{template}'''\n+++\n");
        let problems = library.replace(ALERT, None, &text);
        assert!(problems.is_empty(), "{}", problems[0].render(false));
        let message = library.render(&Context::new(pushed(event.clone())), Some(ALERT)).message;
        let ids: Vec<_> = message.pings.iter().filter_map(|ping| ping.id("slack")).collect();
        assert_eq!((plain_text(&message.line).as_str(), ids.as_slice()), (*shown, *pinged), "{template}");
        assert_eq!(message.clone().into_line().pings, message.pings);
    }
    // A person mentioned in a part that is not shown is not pinged.
    let text = "+++\nline = 'x'\nurl = 'https://x.example/{{mention bo}}'\n[[fields]]\nname = '{{nowhere}}'\nvalue = '{{mention bo}}'\n\
                [[fields]]\nname = 'Y'\nvalue = '{{mention \"cy\"}}'\n+++\n{{mention \"Di Moss\"}}";
    library.replace(ALERT, None, text);
    let message = library.render(&Context::new(pushed(event.clone())), Some(ALERT)).message;
    let ids: Vec<_> = message.pings.iter().filter_map(|ping| ping.id("slack")).collect();
    assert_eq!(ids, ["U0D", "U0C"]);
}

#[test]
fn reviewers_are_pinged_on_request_and_not_for_drafts() {
    let people = People::new([("bo".to_owned(), Person::from_iter([("slack", "U0B")]))], |_| false);
    let library = Library::built_in().with_people(Arc::new(people));
    let bo = json!([{ "id": "b:1", "nickname": "bo", "name": "Bo Lindqvist" }]);
    let changes = json!([
        { "what": "target", "old": "main", "new": "next" },
        { "what": "reviewers", "old": null, "new": "Bo Lindqvist" },
    ]);
    for (kind, is_always) in [
        ("opened", false),
        ("ready", true),
        ("reviewers_changed", false),
        ("commits_added", false),
        ("retargeted", false),
    ] {
        for is_draft in [false, true] {
            let event = json!({
                "kind": format!("pull_request.{kind}"), "actor": { "name": "Ana Ruiz" }, "changes": changes,
                "repository": { "full_name": "acme/api" },
                "pull_request": { "id": "1", "title": "T", "draft": is_draft, "reviewers": bo, "reviewers_added": bo },
            });
            let rendered = library.render(&Context::new(event), None);
            assert!(rendered.failures.is_empty(), "{:?}", rendered.failures);
            assert_eq!(rendered.message.pings.is_empty(), is_draft && !is_always, "{kind}, draft: {is_draft}");
        }
    }
}

#[test]
fn unused_template_files_get_a_warning() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("slack")).unwrap();
    let text = "\u{feff}+++\nline = 'x'\n+++\n";
    for name in [
        "pullrequest.opened.md.hbs",
        "pull_request.opened.md",
        "push.hbs",
        "release.md.hbs",
        "README.md",
        "notes.txt",
        "push.md.hbs",
        "slack/push.md.hbs",
        "slack/pull_request.json",
    ] {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let (library, problems) = Library::load(home.path(), "mine");
    let mut said: Vec<_> = problems.iter().map(|problem| problem.render(false)).collect();
    let uses = BTreeMap::from([("release", vec![])]);
    said.extend(library.unused(&uses).iter().map(|problem| problem.render(false)));
    insta::assert_snapshot!("misnamed_files", said.join("\n\n"));
    // A byte order mark is not part of the template.
    assert_eq!(
        library.overrides().map(|(name, ..)| name).collect::<Vec<_>>(),
        ["pullrequest.opened", "push", "release"]
    );
}

#[test]
fn json_error_of_a_template_has_its_line() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("slack")).unwrap();
    let text = "{\n  {{! a comment\n  of two lines }}\n  \"text\": \"x\",\n  {{#each push.commits}}\n  \"{{short}}\": 1\n  \
                {{/each}}\n  \"blocks\": []\n}\n";
    std::fs::write(home.path().join("slack/push.json.hbs"), text).unwrap();
    let (library, problems) = Library::load(home.path(), "mine");
    assert_eq!(problems, []);
    let event = providers()[0].parse_sample(providers()[0].sample("push").unwrap()).unwrap().events.remove(0);
    let rendered = library.render_for(&Context::of(&event), None, crate::chat::kind("slack"));
    let failure = rendered.failures[0].to_string();
    assert!(failure.starts_with("mine/slack/push.json.hbs:6: renders to invalid JSON"), "{failure}");
}

#[test]
fn branch_in_a_url_is_encoded() {
    let text = "+++\nline = '[b]({{repository.url}}/src/{{push.branch}})'\nurl = '{{repository.url}}/branch/{{push.branch}}'\n+++\n\
                [b]({{repository.url}}/src/{{push.branch}}?at={{push.branch}})\n";
    let (library, problems) = compile(text);
    assert_eq!(problems, []);
    let event = json!({ "repository": { "url": "https://x.example/acme/api" }, "push": { "branch": "fix/#12?50%" } });
    let message = library.render(&Context::new(pushed(event)), None).message;
    let message = format!("{message:?}");
    for address in [
        "https://x.example/acme/api/src/fix/%2312%3F50%25\"",
        "https://x.example/acme/api/branch/fix/%2312%3F50%25\"",
        "https://x.example/acme/api/src/fix/%2312%3F50%25?at=fix/%2312%3F50%25\"",
    ] {
        assert!(message.contains(address), "{address}: {message}");
    }
}
