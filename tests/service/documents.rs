//! `docs/events.md`, `docs/config.md` and `docs/helpers.md`, made of what the program knows, so that they cannot tell anything else.
//!
//! `HOOKBELL_DOCS=write cargo test documents` writes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use hookbell::config::reference::{self, Entry, Table};
use hookbell::event::{self, Kind};
use hookbell::source::{Provider, Sample};
use hookbell::template::helpers::HELPERS;
use hookbell::template::{Context, Library};
use serde_json::Value;

use crate::program::{Home, bitbucket};

const INTRODUCTION: &str = "\
# Events

What Hookbell makes of what hosts send: the words that rules (`event = \"…\"`) and templates use. This page is made of the
program's own tables, samples and schema. `hookbell sample list` lists the samples, `hookbell render NAME --chat console`
shows one as a message, `hookbell schema event` prints the JSON Schema of an event.

";

/// The parts of an event, with the schema's name for each.
const PARTS: &[&str] = &[
    "push",
    "commit",
    "pull_request",
    "comment",
    "build",
    "pipeline",
    "issue",
    "project",
    "forked_to",
    "previous_owner",
];

fn events(provider: &Provider, sample: &'static Sample) -> Vec<Value> {
    let parsed = provider.parse_sample(sample).unwrap();
    parsed.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn written() -> String {
    let provider = bitbucket();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Bitbucket Cloud\n\n| its key | becomes | samples |\n|---|---|---|\n");
    for key in provider.keys {
        let code =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" ");
        let samples = code(&mut provider.samples.iter().filter(|s| s.key == key.name).map(|s| s.name));
        let samples = if samples.is_empty() { "none: no such body was ever seen".to_owned() } else { samples };
        let kinds = code(&mut key.kinds.iter().map(|kind| kind.as_str()));
        writeln!(page, "| `{}` | {kinds} | {samples} |", key.name).unwrap();
    }
    page.push_str(
        "\nAny other key is `other`: stored, routable, told plainly. What `pullrequest:updated` is about, and whether a \
         build is `fixed`, is known\nby comparison with what was seen before. Not told, though acknowledged: updates of \
         nothing that people would want to hear of\n(`updated_on` alone), a push that moves nothing, spans of a \
         pipeline's steps and commands, a state that was told before.\n",
    );
    kinds(provider, &mut page);
    fields(&mut page);
    page
}

fn kinds(provider: &Provider, page: &mut String) {
    page.push_str("\n## Kinds\n\nEach with what it holds beside `actor` and `repository`, and a sample's message.\n");
    let library = Library::built_in();
    let console = hookbell::chat::kind("console").unwrap();
    for &kind in Kind::ALL {
        writeln!(page, "\n### `{kind}`\n\n{}", kind.meaning()).unwrap();
        let of_kind =
            |sample: &&'static Sample| events(provider, sample).iter().any(|event| event["kind"] == kind.as_str());
        let samples: Vec<_> = provider.samples.iter().filter(of_kind).collect();
        let (mut held, mut shown) = (BTreeSet::new(), None);
        for event in samples.iter().flat_map(|sample| events(provider, sample)) {
            if event["kind"] != kind.as_str() {
                continue;
            }
            held.extend(PARTS.iter().filter(|part| !event[**part].is_null()));
            if event["changes"].as_array().is_some_and(|changes| !changes.is_empty()) {
                held.insert(&"changes");
            }
            shown.get_or_insert(event);
        }
        let held: Vec<_> = held.iter().map(|part| format!("`{part}`")).collect();
        if !held.is_empty() {
            writeln!(page, "Holds {}.", held.join(", ")).unwrap();
        }
        let message = library.render(&Context::new(shown.unwrap()), None).message;
        writeln!(page, "\n```text\n{}\n```", (console.draw.unwrap())(&message).trim_end()).unwrap();
    }
}

/// Every field, by the type that has it.
fn fields(page: &mut String) {
    let schema = serde_json::to_value(event::schema()).unwrap();
    page.push_str("\n## Fields\n\nEvery field is there, `null` where it is empty. Times are RFC 3339.\n");
    table("event", &schema, page);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["properties"].is_object() {
            table(name, definition, page);
        }
    }
    page.push_str("\n### Words\n\n| type | its words |\n|---|---|\n");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let words = words(definition);
        if !words.is_empty() && name != "Kind" {
            writeln!(page, "| {name} | {} |", words.join(" ")).unwrap();
        }
    }
}

fn words(definition: &Value) -> Vec<String> {
    let listed = definition["enum"].as_array().into_iter().flatten();
    let described = definition["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    listed.chain(described).filter_map(|word| Some(format!("`{}`", word.as_str()?))).collect()
}

fn table(name: &str, definition: &Value, page: &mut String) {
    let one_line = |text: &Value| text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let about = one_line(&definition["description"]);
    let about = about.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    writeln!(page, "\n### {name}\n\n{about}.\n\n| field | type | what it is |\n|---|---|---|").unwrap();
    for (field, schema) in definition["properties"].as_object().unwrap() {
        let about = one_line(&schema["description"]).replace('|', "\\|");
        assert!(!about.is_empty(), "{name}.{field} is not described");
        writeln!(page, "| `{field}` | {} | {about} |", kind_of(schema)).unwrap();
    }
}

/// A schema's type, in a word: a scalar, a list, or the name of another table.
fn kind_of(schema: &Value) -> String {
    let reference = |schema: &Value| Some(schema["$ref"].as_str()?.rsplit('/').next()?.to_owned());
    if let Some(name) = reference(schema) {
        return name;
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().find_map(reference).unwrap();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap(),
        name => name.as_str().unwrap(),
    };
    match types {
        "array" => format!("list of {}", kind_of(&schema["items"])),
        "integer" => "number".to_owned(),
        name => name.to_owned(),
    }
}

const CONFIG: &str = "\
# The config

Every key, with what it may be, its default and its meaning. `hookbell check` says what is wrong with a config, and where;
`hookbell schema config > hookbell.schema.json` writes this page as JSON Schema, and an editor that knows TOML (Even Better
TOML, taplo) uses it where the first line is `#:schema hookbell.schema.json`. How rules match is in [routing](routing.md).

- A text of this file can be overridden by an environment variable, `HOOKBELL__SERVER__LISTEN=0.0.0.0:8080`; one of an included file cannot.
- Paths are relative to the file that they stand in.
- A secret is a text, `{ env = \"NAME\" }`, or `{ file = \"path\" }`; with `generate = true` a missing file is made, of a
  source. A file is read again when it changes.
- An edit takes effect when it is saved, whole or not at all; `listen`, `admin_listen` and the store's `url` at the next start.
- Where this file is no TOML, or with mistakes in `[server]`, `[store]`, `[sources]` or `[admin]`, Hookbell does not start. With any other, events come in and
  wait, and are routed when it is mended.
";

fn config() -> String {
    let mut page = CONFIG.to_owned();
    for Table { name, is_list, about, keys } in reference::tables() {
        let title = match (name, is_list) {
            ("", _) => "At the top".to_owned(),
            (name, true) => format!("`[[{name}]]`"),
            (name, false) => format!("`[{name}]`"),
        };
        writeln!(
            page,
            "\n## {title}\n\n{about}\n\n| key | what it may be | default | what it means |\n|---|---|---|---|"
        )
        .unwrap();
        for Entry { key, shape, default, about } in keys {
            let is_code = default.contains(|c: char| c.is_ascii_digit() || c == '*');
            let default = if is_code { format!("`{default}`") } else { default.to_owned() };
            writeln!(page, "| `{key}` | {} | {default} | {about} |", shape.words()).unwrap();
        }
    }
    page
}

const HELPERS_PAGE: &str = "\
# Helpers

What templates may call. Each example is of a push by Ana Ruiz to `feature/_limits_` of acme/api, with two commits shown of three,
beside a pull request *Add [rate] limits* with two reviewers; a test runs them. An argument that is missing or null is empty.
[How templates work](templates.md).

| helper | example | gives | what it does |
|---|---|---|---|
";

fn helpers() -> String {
    let mut page = HELPERS_PAGE.to_owned();
    for helper in HELPERS {
        let cell = |text: &str| text.replace('|', "\\|");
        let (name, example, gives, about) = (helper.name, cell(helper.example), cell(helper.gives), cell(helper.about));
        writeln!(page, "| `{name}` | `{example}` | {gives} | {about} |").unwrap();
    }
    page
}

#[test]
fn the_page_of_helpers_is_what_the_program_knows() {
    assert_current("helpers.md", &helpers());
}

/// Holds a page to what the program knows, or writes it.
fn assert_current(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var("HOOKBELL_DOCS").as_deref() == Ok("write") {
        std::fs::write(&path, now).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = format!("docs/{name} is behind: HOOKBELL_DOCS=write cargo test --test service documents");
    let differs = page.lines().zip(now.lines()).find(|(page, now)| page != now);
    assert!(page == now, "{hint}; it first differs at {differs:?}");
}

#[test]
fn the_page_of_events_is_what_the_program_knows() {
    assert_current("events.md", &written());
}

#[test]
fn the_page_of_the_config_is_what_the_program_knows() {
    assert_current("config.md", &config());
    let (code, printed, _) = Home::new("").run(&["schema", "config"]);
    let schema: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (code, &schema["properties"]["routes"]["items"]["properties"]["to"]["anyOf"][0]["type"]),
        (0, &"string".into())
    );
}

#[test]
fn the_schema_is_printed_and_every_event_is_of_it() {
    let (code, printed, _) = Home::new("").run(&["schema", "event"]);
    let schema: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, schema["title"].as_str()), (0, Some("Event")));
    let known: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    for sample in bitbucket().samples {
        for event in events(bitbucket(), sample) {
            assert_eq!(event.as_object().unwrap().keys().collect::<BTreeSet<_>>(), known, "{}", sample.name);
        }
    }
}
