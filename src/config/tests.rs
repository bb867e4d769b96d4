use super::*;

/// Loads a configuration from a temporary file.
fn load_text(text: &str) -> (tempfile::TempDir, Loaded) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    testing::write(&path, text);
    let loaded = load(&path, Secrets::Leave);
    (directory, loaded)
}

/// The problems of a configuration as text, with relative paths.
fn said(text: &str) -> String {
    let (directory, loaded) = load_text(text);
    let problems: Vec<_> = loaded.problems.iter().map(|problem| problem.render(false)).collect();
    problems.join("\n\n").replace(&format!("{}/", directory.path().display()), "")
}

const FINE: &str = r#"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "s3cret"

[channels.screen]
kind = "console"

[[routes]]
event = "@calm"
to = "screen"
"#;

#[test]
fn minimal_configuration_is_valid() {
    let (_directory, loaded) = load_text(FINE);
    assert_eq!(loaded.problems, []);
    let settings = loaded.settings.unwrap();
    assert_eq!(settings.listen.address().to_string(), "127.0.0.1:8080");
    assert!(settings.store.files()[0].ends_with("hookbell.db"));
    assert_eq!(settings.router.routes()[0].name, "route 1");
    assert!(settings.sources[&"bitbucket".into()].repo.matches("any/thing"));
    assert!(settings.sources[&"bitbucket".into()].repo.matches(""));
}

#[test]
fn shipped_configuration_has_no_warnings() {
    let loaded = load(Path::new("config.toml"), Secrets::Leave);
    let said: Vec<_> = loaded.problems.iter().map(|problem| problem.render(false)).collect();
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(loaded.settings.unwrap().router.mutes()[0].name, "bots");
}

#[cfg(unix)]
#[test]
fn secret_is_generated_once_and_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    let secret = r#"secret = { file = "b.secret", generate = true }"#;
    testing::write(&path, &FINE.replace(r#"secret = "s3cret""#, secret));
    let secrets = |mode| {
        let settings = load(&path, mode).sound().unwrap_or_else(|problems| panic!("{problems:?}"));
        let secrets = &settings.sources[&"bitbucket".into()].secrets;
        secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(secrets(Secrets::Leave), Vec::<String>::new());
    assert!(!directory.path().join("b.secret").exists());
    let generated = secrets(Secrets::Generate);
    assert_eq!((generated.len(), generated[0].len()), (1, 64));
    assert_eq!(secrets(Secrets::Generate), generated);
    assert_eq!(secrets(Secrets::Leave), generated);
    let mode = directory.path().join("b.secret").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Each file in `tests/config` has errors or warnings and is named after them; its snapshot has the expected output.
#[test]
fn errors_have_positions() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let files = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    for path in files {
        let said = said(&std::fs::read_to_string(path).unwrap());
        assert_ne!(said, "", "{} has no problem", path.display());
        settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), said));
    }
}

#[test]
fn twelve_errors_are_reported_at_once() {
    let (_directory, loaded) = load_text(include_str!("../../tests/config/twelve_mistakes.toml"));
    let errors = loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
    assert!(errors.count() >= 12);
}

#[test]
fn all_errors_are_reported_at_once() {
    let wrong =
        FINE.replace("@calm", "@clam").replace("\"s3cret\"", "\"\"").replace("kind = \"console\"", "kin = \"console\"");
    let (_directory, loaded) = load_text(&wrong);
    assert_eq!(loaded.problems.len(), 4, "{:?}", loaded.problems);
    assert!(loaded.settings.is_none());
}

#[test]
fn problems_contain_no_secret() {
    let wrongs = [
        "[\"s3cret\", 3]",
        "{ file = \"x\", env = \"y\", s3cret = \"s3cret\" }",
        "\"s3cret\"]",
        "\"s3cret\"\nscret = 3",
        "\"s3cret",
    ];
    for wrong in wrongs {
        let text = said(&FINE.replace("\"s3cret\"", wrong));
        assert!(text.contains("error: ") && !text.contains("\"s3cret"), "{text}");
    }
    let elsewhere = [
        "[http]\nproxy = \"http://user:s3cret@proxy\"\ncca = \"x\"",
        "[channels.x]\nwebhook_urll = \"https://hooks.example/s3cret\"",
        "\"webhook_url\" = \"https://x/s3cret",
        "webhook-url = \"https://x/s3cret\" oops",
        "secret = [\n\"s3cret\"\n",
        "[sources.b]\nsecret = s3cret",
        "[sources.b]\nsecret = \"\"\"\ns3cret\n",
        "[soruces.b]\nsecret = \"s3cret\"",
        "scret = \"s3cret\"",
        "[store]\nurl = \"postgres://me:s3cret@database/hookbell\"",
        "[[routes]]\nevent = \"push\"\nto = \"https://hooks.example/s3cret\"",
        "[[routes]]\nevent = \"push\"\nto = https://hooks.example/s3cret",
    ];
    for wrong in elsewhere {
        let text = said(wrong);
        assert!(text.contains("error: ") && !text.contains("s3cret"), "{text}");
    }
    for number in ["9999999999999999999999", "1234567890123"] {
        let text = said(&format!("[sources.b]\nkind = \"bitbucket-cloud\"\nsecret = {number}\n"));
        assert!(text.contains("config.toml:3") && !text.contains(number), "{text}");
    }
    let inline = "sources = { b = { kind = \"x\", secret = \"s3cret\" } }";
    let text = said(inline);
    assert!(text.contains("is not a valid source kind") && !text.contains("s3cret"), "{text}");
}

/// The problems of a configuration with other files in its directory, with relative paths.
fn said_with(files: &[(&str, &str, u32)]) -> (tempfile::TempDir, Loaded, String) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
    }
    let loaded = load(&directory.path().join("config.toml"), Secrets::Leave);
    let said: Vec<_> = loaded.problems.iter().map(|problem| problem.render(false)).collect();
    let said = said.join("\n\n").replace(&format!("{}/", directory.path().display()), "");
    (directory, loaded, said)
}

#[test]
fn included_files_are_read_first_relative_to_their_directory() {
    let main = format!("include = [\"routes.d/*.toml\"]\n{FINE}");
    let web = "[channels.web]\nkind = \"slack\"\nwebhook_url = { file = \"web.url\" }\n[[routes]]\nname = \"web\"\n\
               repo = \"acme/web\"\nto = [\"web\", \"screen\"]\n[[mutes]]\nevent = \"tag.*\"\nchannels = \"web\"\n";
    let api = "[[routes]]\nrepo = \"acme/api\"\nto = \"screen\"\n";
    let (_directory, loaded, said) = said_with(&[
        ("config.toml", &main, 0o600),
        ("routes.d/api.toml", api, 0o644),
        ("routes.d/web.toml", web, 0o644),
        ("routes.d/web.url", "https://hooks.slack.com/services/T0/B0/x", 0o600),
        ("routes.d/notes.txt", "[[routes]]", 0o644),
    ]);
    assert_eq!(said, "");
    let settings = loaded.settings.unwrap();
    let names: Vec<_> = settings.router.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["route 1", "web", "route 3"]);
    assert_eq!(settings.router.mutes()[0].channels, ["web".into()]);
    assert_eq!(settings.channels.len(), 2);
    let kept: serde_json::Value = serde_json::from_str(&settings.kept.text).unwrap();
    assert_eq!(kept["routes"][2]["name"], "route 3");
    assert!(!settings.kept.text.contains("url"), "{}", settings.kept.text);
    assert_eq!(kept_router(&settings.kept.text).unwrap().routes().len(), 3);
}

#[test]
fn included_file_that_reaches_beyond_its_channels_gets_a_warning() {
    let main = format!("include = \"team.toml\"\n{FINE}");
    let team = r#"[channels.team]
kind = "console"

[[mutes]]
name = "everywhere"
actor_kind = "bot"

[[mutes]]
name = "elsewhere"
event = "tag.*"
channels = ["team", "screen"]

[[mutes]]
name = "own"
event = "branch.*"
channels = "team"

[[routes]]
name = "ours"
repo = "acme/team-*"
to = "team"
final = true
"#;
    let (_directory, loaded, said) = said_with(&[("config.toml", &main, 0o600), ("team.toml", team, 0o644)]);
    insta::assert_snapshot!("included_file_that_reaches_beyond", said);
    assert!(loaded.sound().is_ok());
}

#[test]
fn configuration_without_secrets_can_be_checked_and_tested() {
    let text = FINE.replace(r#"secret = "s3cret""#, r#"secret = { env = "HOOKBELL_TEST_UNSET" }"#)
        + "[channels.pr]\nkind = \"slack\"\nwebhook_url = { file = \"no.secret\" }\n\
           [channels.ci]\nkind = \"webhook\"\nwebhook_url = { env = \"HOOKBELL_TEST_UNSET\" }\nsecret = \"s3cret\"\n\
           [[routes]]\nevent = \"@all\"\nto = [\"pr\", \"ci\"]\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    testing::write(&path, &text);
    let loaded = load(&path, Secrets::Optional);
    let said: Vec<_> = loaded.problems.iter().map(|problem| (problem.severity, problem.message.as_str())).collect();
    let unset = (Severity::Warning, "the environment variable `HOOKBELL_TEST_UNSET` is not set, or is not valid UTF-8");
    assert_eq!(said.iter().filter(|said| **said == unset).count(), 2, "{said:?}");
    assert!(said.iter().any(|(_, message)| message.starts_with("cannot read the secret file `no.secret`")), "{said:?}");
    let settings = loaded.sound().unwrap();
    assert_eq!(settings.channels.len(), 3);
    // Sending requires the secrets.
    assert!(load(&path, Secrets::Leave).sound().is_err());
}

#[test]
fn error_in_an_included_file_has_its_place_and_the_service_runs() {
    let main = format!("include = [\"a.toml\", \"b.toml\"]\n{FINE}name = \"the same\"\n");
    let a = "[server]\nlisten = \"127.0.0.1:1\"\n[channels.screen]\nkind = \"console\"\n[[routes]]\nname = \"the same\"\n\
             evnt = \"push\"\nto = \"sceen\"\n";
    let files = [("config.toml", main.as_str(), 0o600), ("a.toml", a, 0o644), ("b.toml", "[[routes]", 0o644)];
    let (_directory, loaded, said) = said_with(&files);
    insta::assert_snapshot!("included_files", said);
    let settings = loaded.settings.unwrap();
    assert!(settings.is_routing_invalid && settings.router.routes().is_empty());
    assert_eq!(settings.sources.len(), 1);
    assert!(kept_router(&settings.kept.text).is_none());
}

#[test]
fn exposed_secrets_get_a_warning() {
    let main = format!(
        "{}{}",
        FINE.replace("\"s3cret\"", "[\"s3cret\", {{ file = \"old.secret\" }}]").replace("{{", "{").replace("}}", "}"),
        "[[admin.tokens]]\ntoken = { env = \"CARGO_MANIFEST_DIR\" }\n"
    );
    let (_directory, _, said) = said_with(&[("config.toml", &main, 0o644), ("old.secret", "the old one", 0o604)]);
    insta::assert_snapshot!("exposed_secrets", said);
    let (_directory, _, said) = said_with(&[("config.toml", &main, 0o640), ("old.secret", "the old one", 0o640)]);
    assert_eq!(said, "");
}

#[test]
fn service_errors_stop_the_service_and_routing_errors_do_not() {
    let settings = |from: &str, to: &str| load_text(&FINE.replace(from, to)).1.settings;
    for (from, to) in [
        ("\"s3cret\"", "\"\""),
        ("[channels", "[server]\nlisten = \"x\"\n[channels"),
        ("[channels", "[stroe]\n[channels"),
        ("[channels", "[[admin.tokens]]\n[channels"),
        ("[channels", "[channels"),
    ] {
        let stops = from != to;
        assert_eq!(settings(from, to).is_none(), stops, "{to}");
    }
    for (from, to) in [
        ("\"@calm\"", "\"@clam\""),
        ("\"console\"", "\"consol\""),
        ("[channels", "[chanels.x]\n[channels"),
        ("[channels", "[delivery]\nmax_age = 3\n[channels"),
        ("[channels", "[http]\nca = \"nowhere\"\n[channels"),
    ] {
        assert!(settings(from, to).unwrap().is_routing_invalid, "{to}");
    }
}

#[test]
fn changes_are_listed_by_name() {
    let outline = |text: &str| {
        let (_directory, loaded) = load_text(text);
        loaded.settings.unwrap().outline
    };
    let two = format!("{FINE}name = \"a\"\n[[routes]]\nname = \"b\"\nevent = \"push\"\nto = \"screen\"\n");
    let old = outline(&two);
    assert_eq!(old.changes(&outline(&two)), Vec::<String>::new());
    assert_eq!(old.changes(&outline(&two.replace("\"push\"", "\"tag.*\""))), ["changed route `b`"]);
    let renamed = outline(&two.replace("\"a\"", "\"c\"").replace("s3cret", "another"));
    assert_eq!(old.changes(&renamed), ["added route `c`", "removed route `a`", "changed source `bitbucket`"]);
    let parts: Vec<_> = two.split("[[routes]]").collect();
    let turned = format!("{}[[routes]]{}[[routes]]{}", parts[0], parts[2], parts[1]);
    assert_eq!(old.changes(&outline(&turned)), ["changed the order of routes"]);
}

#[test]
fn missing_file_is_an_error() {
    let loaded = load(Path::new("no-such-config.toml"), Secrets::Leave);
    assert!(loaded.settings.is_none());
    insta::assert_snapshot!("missing_file", loaded.problems[0].render(false));
}
