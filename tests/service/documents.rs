//! `docs/events.md`, `docs/config.md` and `docs/helpers.md`, which are generated from the program.
//!
//! `HOOKBELL_DOCS=write cargo test documents` writes them.

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

Hookbell turns the requests of a host into events. Routing rules (`event = \"…\"`) and templates use the names on this
page. It is generated from Hookbell's tables, samples and schema.

`hookbell sample list` lists the samples, `hookbell render NAME --chat console` shows one as a message, and
`hookbell schema event` prints the JSON Schema of an event.

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

/// Returns the events of a sample as templates see them.
fn events(provider: &Provider, sample: &'static Sample) -> Vec<Value> {
    let parsed = provider.parse_sample(sample).unwrap();
    parsed.events.iter().map(|event| Context::of(event).event().clone()).collect()
}

fn written() -> String {
    let provider = bitbucket();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Bitbucket Cloud\n\n| event key | kinds | samples |\n|---|---|---|\n");
    for key in provider.keys {
        let code =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" ");
        let samples = code(&mut provider.samples.iter().filter(|s| s.key == key.name).map(|s| s.name));
        let samples = if samples.is_empty() { "none: no body is known".to_owned() } else { samples };
        let kinds = code(&mut key.kinds.iter().map(|kind| kind.as_str()));
        writeln!(page, "| `{}` | {kinds} | {samples} |", key.name).unwrap();
    }
    page.push_str(
        "\nAny other key becomes `other`: it is stored, can be routed, and is posted in a generic form. The kind of\n\
         `pullrequest:updated`, and whether a build is `fixed`, come from a comparison with the last known state.\n\n\
         These are acknowledged and not posted: updates without a relevant change (`updated_on` alone), a push that \
         moves no ref,\nthe spans of a pipeline's steps and commands, and a state that was posted before.\n",
    );
    kinds(provider, &mut page);
    fields(&mut page);
    page
}

fn kinds(provider: &Provider, page: &mut String) {
    page.push_str("\n## Kinds\n\nEach kind, with its parts except `actor` and `repository`, and a sample message.\n");
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
            writeln!(page, "Contains {}.", held.join(", ")).unwrap();
        }
        let message = library.render(&Context::new(shown.unwrap()), None).message;
        writeln!(page, "\n```text\n{}\n```", console.draw(&message).trim_end()).unwrap();
    }
}

/// Writes every field, by type.
fn fields(page: &mut String) {
    let schema = serde_json::to_value(event::schema()).unwrap();
    page.push_str("\n## Fields\n\nEvery field is present; an empty one is `null`. Times are in RFC 3339 format.\n");
    table("event", &schema, page);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["properties"].is_object() {
            table(name, definition, page);
        }
    }
    page.push_str("\n### Values\n\n| type | values |\n|---|---|\n");
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
    writeln!(page, "\n### {name}\n\n{about}.\n\n| field | type | description |\n|---|---|---|").unwrap();
    for (field, schema) in definition["properties"].as_object().unwrap() {
        let about = one_line(&schema["description"]).replace('|', "\\|");
        assert!(!about.is_empty(), "{name}.{field} is not described");
        writeln!(page, "| `{field}` | {} | {about} |", kind_of(schema)).unwrap();
    }
}

/// Returns the type of a schema: a scalar, a list, or the name of another table.
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
# Configuration

This page lists every key, with its type, default and meaning. It is generated from Hookbell's source code.
[Routing](routing.md) explains how rules match.

`hookbell check` reports every error with its position. `hookbell schema config > hookbell.schema.json` writes this page
as JSON Schema. Editors that support TOML schemas (Even Better TOML, taplo) use it if the first line of the file is
`#:schema hookbell.schema.json`.

- **Environment:** An environment variable such as `HOOKBELL__SERVER__LISTEN` overrides a value of the main file: a
  string, a flag, or a list or table in TOML syntax. `HOOKBELL__CHANNELS__TEAMA__TOKEN` sets the token of the channel
  `TeamA`: keys of the main file are found in any case. Values of included files cannot be overridden.
- **Paths** are relative to the file that contains them.
- **Secrets** are a string, `{ env = \"NAME\" }` or `{ file = \"path\" }`. A file is reloaded when it changes. For a source,
  `generate = true` creates a missing file.
- **Edits** take effect when you save them, atomically. `listen`, `admin_listen` and the store's `url` take effect after
  a restart.
- **Errors at startup:** Hookbell does not start if the file is not valid TOML, or if `[server]`, `[store]`, `[sources]`
  or `[admin]` has an error. With any other error it starts, stores events, and routes them once you fix the error.
";

fn config() -> String {
    let mut page = CONFIG.to_owned();
    for Table { name, is_list, about, keys } in reference::tables() {
        let title = match (name, is_list) {
            ("", _) => "Top level".to_owned(),
            (name, true) => format!("`[[{name}]]`"),
            (name, false) => format!("`[{name}]`"),
        };
        writeln!(page, "\n## {title}\n\n{about}\n\n| key | type | default | description |\n|---|---|---|---|").unwrap();
        for Entry { key, shape, default, about, is_required } in keys {
            let is_code = default.contains(|c: char| c.is_ascii_digit() || c == '*');
            let default = match (is_required, is_code) {
                (true, _) => "required".to_owned(),
                (false, true) => format!("`{default}`"),
                (false, false) => default.to_owned(),
            };
            writeln!(page, "| `{key}` | {} | {default} | {about} |", shape.words()).unwrap();
        }
    }
    page
}

const HELPERS_PAGE: &str = "\
# Helpers

Templates can call these helpers ([how templates work](templates.md)). The page is generated from Hookbell's source
code, and a test runs the examples. Their event is a push by Ana Ruiz to `feature/_limits_` of acme/api. It has three
commits, two of which are in the event, and a pull request *Add [rate] limits* with two reviewers. A missing or null
argument is empty.

| helper | example | output | description |
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
fn helpers_page_matches_the_program() {
    assert_current("helpers.md", &helpers());
}

/// Checks that a page matches the program, or writes it.
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
fn events_page_matches_the_program() {
    assert_current("events.md", &written());
}

#[test]
fn configuration_page_matches_the_program() {
    assert_current("config.md", &config());
    let (code, printed, _) = Home::new("").run(&["schema", "config"]);
    let schema: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (code, &schema["properties"]["routes"]["items"]["properties"]["to"]["anyOf"][0]["type"]),
        (0, &"string".into())
    );
}

#[test]
fn every_event_matches_the_printed_schema() {
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
