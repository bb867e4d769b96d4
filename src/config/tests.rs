use super::*;

/// Loads a config file of its own.
fn load_text(text: &str) -> (tempfile::TempDir, Loaded) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path, Secrets::Leave);
    (directory, loaded)
}

/// What is said of a config, with its path as a user would write it.
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
fn a_small_config_is_enough() {
    let (_directory, loaded) = load_text(FINE);
    assert_eq!(loaded.problems, []);
    let settings = loaded.settings.unwrap();
    assert_eq!(settings.listen.address().to_string(), "127.0.0.1:8080");
    assert!(settings.store.ends_with("hookbell.db"));
    assert_eq!(settings.router.routes[0].name, "route 1");
    assert!(settings.sources[&"bitbucket".into()].repo.matches("any/thing"));
    assert!(settings.sources[&"bitbucket".into()].repo.matches(""));
}

#[test]
fn the_shipped_config_loads_without_a_word() {
    let loaded = load(Path::new("config.toml"), Secrets::Leave);
    let said: Vec<_> = loaded.problems.iter().map(|problem| problem.render(false)).collect();
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(loaded.settings.unwrap().router.mutes[0].name, "bots");
}

#[cfg(unix)]
#[test]
fn a_secret_is_generated_once_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    let secret = r#"secret = { file = "b.secret", generate = true }"#;
    std::fs::write(&path, FINE.replace(r#"secret = "s3cret""#, secret)).unwrap();
    let secrets = |mode| {
        let settings = load(&path, mode).settings.unwrap();
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

/// One config for each mistake, and what is said of it.
#[test]
fn mistakes_are_told_where_they_are() {
    let with = |more: &str| format!("{more}\n{FINE}");
    let instead = |from: &str, to: &str| FINE.replace(from, to);
    let cases = [
        ("toml_syntax", with("[server\nlisten = 1")),
        ("unknown_table", with("[sever]\nlisten = \"127.0.0.1:1\"")),
        ("unknown_key", with("[server]\nlissten = \"127.0.0.1:1\"")),
        ("wrong_type", with("[server]\nlisten = 8080")),
        ("wrong_address", with("[server]\nlisten = \"localhost\"")),
        ("wrong_store", with("[store]\nurl = \"mysql://x\"")),
        ("wrong_keep", with("[store]\nkeep = \"a month\"\nkeep_raw = \"0d\"")),
        ("table_expected", with("server = 3")),
        ("source_without_secret", instead("secret = \"s3cret\"", "")),
        ("empty_secret", instead("\"s3cret\"", "\"\"")),
        ("missing_secret_file", instead("\"s3cret\"", "{ file = \"nowhere.secret\" }")),
        ("missing_secret_variable", instead("\"s3cret\"", "{ env = \"HOOKBELL_TEST_UNSET\" }")),
        ("secret_and_unsigned", instead("secret = ", "unsigned = true\nsecret = ")),
        ("unsigned", instead("secret = \"s3cret\"", "unsigned = true")),
        ("unsigned_is_no_flag", instead("secret = \"s3cret\"", "unsigned = \"yes\"")),
        (
            "unsigned_from_every_customer",
            instead("secret = \"s3cret\"", "unsigned = true\nallow_from = [\"atlassian\"]"),
        ),
        ("wrong_network", instead("secret = ", "allow_from = [\"atlasian\", \"10.0.0.0/33\"]\nsecret = ")),
        ("wrong_proxy_network", with("[server]\ntrusted_proxies = [\"proxy\"]")),
        ("wrong_secret", instead("\"s3cret\"", "{ fiel = \"x\" }")),
        ("unknown_source_kind", instead("\"bitbucket-cloud\"", "\"bitbucket\"")),
        ("source_name_in_no_url", instead("sources.bitbucket", "sources.\"bit bucket\"")),
        ("unknown_channel_kind", instead("\"console\"", "\"consol\"")),
        ("unknown_channel", instead("to = \"screen\"", "to = [\"screen\", \"sreen\"]")),
        ("unknown_event", instead("\"@calm\"", "[\"@calm\", \"pull_request.openend\"]")),
        ("unknown_set", instead("\"@calm\"", "\"@clam\"")),
        ("unknown_matcher", instead("event = ", "evnt = ")),
        ("unknown_template", instead("to = ", "template = \"pull_reqest.opened\"\nto = ")),
        ("wrong_glob", instead("to = ", "repo = \"acme/[a\"\nto = ")),
        ("wrong_regex", instead("to = ", "repo = \"~acme/(\"\nto = ")),
        ("route_without_matcher", instead("event = \"@calm\"", "")),
        ("route_to_nowhere", instead("to = \"screen\"", "")),
        (
            "two_routes_of_a_name",
            format!("{FINE}name = \"a\"\n[[routes]]\nname = \"a\"\nevent = \"push\"\nto = \"screen\"\n"),
        ),
        ("mute_of_everything", format!("{FINE}[[mutes]]\nname = \"m\"\n")),
        ("channel_without_route", format!("{FINE}[channels.other]\nkind = \"console\"\n")),
        ("missing_templates", with("templates = \"nowhere\"")),
    ];
    let channel = |keys: &str| format!("{FINE}[[routes]]\nevent = \"push\"\nto = \"team\"\n[channels.team]\n{keys}\n");
    let channels = [
        ("channel_without_address", channel("kind = \"slack\"")),
        ("channel_without_encryption", channel("kind = \"slack\"\nwebhook_url = \"http://chat.example/s3cret\"")),
        ("channel_address_is_no_url", channel("kind = \"discord\"\nwebhook_url = \"s3cret\"")),
        ("retired_connector", channel("kind = \"teams\"\nwebhook_url = \"https://x.webhook.office.com/s3cret\"")),
        ("unknown_style", channel("kind = \"console\"\nstyle = \"lines\"")),
        ("unknown_pace", channel("kind = \"slack\"\nwebhook_url = \"https://x.example\"\npace = \"5\"")),
        ("wrong_proxy", with("[http]\nproxy = \"::\"")),
        ("missing_ca", with("[http]\nca = \"/nowhere/ca.pem\"")),
    ];
    for (name, text) in cases.into_iter().chain(channels) {
        insta::assert_snapshot!(name, said(&text));
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let wrong =
        FINE.replace("@calm", "@clam").replace("\"s3cret\"", "\"\"").replace("kind = \"console\"", "kin = \"console\"");
    let (_directory, loaded) = load_text(&wrong);
    assert_eq!(loaded.problems.len(), 4, "{:?}", loaded.problems);
    assert!(loaded.settings.is_none());
}

#[test]
fn no_problem_tells_a_secret() {
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
    ];
    for wrong in elsewhere {
        let text = said(wrong);
        assert!(text.contains("error: ") && !text.contains("s3cret"), "{text}");
    }
    let inline = "sources = { b = { kind = \"x\", secret = \"s3cret\" } }";
    let text = said(inline);
    assert!(text.contains("is no kind of source") && !text.contains("s3cret"), "{text}");
}

#[test]
fn a_missing_file_says_so() {
    let loaded = load(Path::new("no-such-config.toml"), Secrets::Leave);
    assert!(loaded.settings.is_none());
    insta::assert_snapshot!("missing_file", loaded.problems[0].render(false));
}
