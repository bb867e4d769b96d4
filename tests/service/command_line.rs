use crate::program::{EVERYTHING, Home};

#[test]
fn command_help() {
    let home = Home::new("");
    let (code, help, _) = home.run(&["--help"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("help", help);
    insta::assert_snapshot!("help_sample", home.run(&["sample", "--help"]).1);
    insta::assert_snapshot!("help_render", home.run(&["render", "--help"]).1);
}

#[test]
fn samples_are_listed_and_shown() {
    let home = Home::new("");
    let (code, list, _) = home.run(&["sample", "list"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("sample_list", list);
    let (code, shown, _) = home.run(&["sample", "show", "push"]);
    assert_eq!((code, shown.starts_with('{')), (0, true));
    let (code, _, error) = home.run(&["sample", "show", "pusch"]);
    assert_eq!((code, error.as_str()), (2, "error: unknown sample `pusch`; did you mean `push`?\n"));
}

#[test]
fn sample_is_signed_with_the_configured_secret() {
    let home = Home::new(
        &EVERYTHING.replace("secret = \"the tests' own secret\"", "secret = { file = \"b.secret\", generate = true }"),
    );
    let (code, _, error) = home.run(&["sample", "send", "push"]);
    assert_eq!(code, 1);
    assert!(error.contains("source `bitbucket` has no secret yet: start Hookbell once"), "{error}");
    let mut service = home.serve();
    let url = service.url("/hooks/bitbucket");
    let (code, answer, error) = home.run(&["sample", "send", "push", "--to", &url]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(answer.contains("  push (repo:push) → screen by route `everything`\n"), "{answer}");
    assert!(service.next_messages(1)[0].contains("Pushed 3 commits to main"));
    let (code, _, error) = home.run(&["sample", "send", "push", "--to", &service.url("/hooks/other")]);
    assert_eq!(code, 1);
    assert!(
        error.contains("answered 404: unknown source `other`; the webhook URL must end in `/hooks/bitbucket`"),
        "{error}"
    );
    service.stop("TERM");
    let (code, _, error) = home.run(&["sample", "send", "push", "--to", &url]);
    assert_eq!(code, 1);
    assert!(error.contains("is Hookbell running?"), "{error}");
}

#[test]
fn sample_send_shows_that_a_channel_does_not_accept_it() {
    let home = Home::new(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [sources.bitbucket]\nkind = \"bitbucket-cloud\"\nsecret = \"s3cret\"\n[channels.screen]\nkind = \"console\"\n\
         accept = { visibility = \"public\" }\n[[routes]]\nevent = \"@all\"\nto = \"screen\"\n",
    );
    let service = home.serve();
    let (code, out, error) = home.run(&["sample", "send", "push", "--to", &service.url("/hooks/bitbucket")]);
    let held = "→ not routed\n    channel `screen`: blocked by the channel's `accept` guard: \
                `visibility`: `private` does not match `public`";
    assert!(code == 0 && out.contains(held), "{out}{error}");
    let (_, events, _) = home.run(&["events"]);
    assert!(events.contains("not routed: `screen`: blocked by the channel's `accept` guard"), "{events}");
}

#[test]
fn samples_send_the_samples_that_they_require() {
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    let url = service.url("/hooks/bitbucket");
    let send = |name: &str| home.run(&["sample", "send", name, "--to", &url]).1;
    for name in
        ["pull_request.opened", "pull_request.ready", "pull_request.retargeted", "pull_request.ready", "build.fixed"]
    {
        let said = send(name);
        assert!(said.contains(&format!("  {name} (")), "{name}: {said}");
    }
    let again = send("build.fixed");
    assert!(again.contains("not routed: this state of the build was already reported"), "{again}");
}

#[test]
fn render_needs_no_config_and_draws_what_the_console_shows() {
    let home = Home::new("");
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    let (code, drawn, error) = home.run(&["render", "pull_request.opened", "--chat", "console"]);
    assert_eq!((code, error.as_str()), (0, ""));
    insta::assert_snapshot!("render_console", drawn);
    std::fs::write(home.path().join("empty.json"), r#"{"push":{"changes":[]}}"#).unwrap();
    let (code, drawn, error) = home.run(&["render", "empty.json", "--event", "repo:push", "--chat", "console"]);
    assert_eq!(
        (code, drawn.as_str(), error.as_str()),
        (0, "", "nothing to post for `empty.json`: no branch or tag moved\n")
    );
    let (code, _, error) = home.run(&["render", "empty.json", "--chat", "console"]);
    assert_eq!(code, 2);
    assert!(error.contains("add `--event KEY`, as in `--event repo:push`"), "{error}");
    let (code, _, error) = home.run(&["render", "nowhere.json", "--chat", "console"]);
    assert_eq!((code, error.as_str()), (2, "error: the file `nowhere.json` does not exist\n"));
}

#[test]
fn render_and_check_use_the_configs_templates() {
    let home = Home::new(&format!("templates = \"mine\"\n{EVERYTHING}"));
    let template = home.path().join("mine/push.md.hbs");
    std::fs::create_dir(home.path().join("mine")).unwrap();
    std::fs::write(&template, "+++\nline = 'x'\ntitle = 'My {{push.branch}}'\n+++\n").unwrap();
    let (code, drawn, _) = home.run(&["render", "push", "--chat", "console"]);
    assert_eq!((code, drawn.trim_end()), (0, "▌ My main"));
    let (code, said, _) = home.run(&["check"]);
    assert_eq!(code, 0);
    assert!(said.starts_with("config.toml: ok (1 route, 1 channel, "), "{said}");

    std::fs::write(&template, "+++\nline = 'x'\n+++\n{{trunctate push.branch 3}}\n").unwrap();
    let (code, _, error) = home.run(&["check"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!("check_template", error);
    std::fs::write(&template, "+++\nline = 'x'\n+++\n{{truncate push.branch (default push.branch)}}\n").unwrap();
    let (code, _, error) = home.run(&["check"]);
    assert_eq!(code, 1);
    assert!(error.contains("argument 2 must be a whole number, found `\"main\"` (sample `push`)"), "{error}");
}

#[test]
fn invalid_configuration_stops_the_service_with_all_problems() {
    let home = Home::new(&EVERYTHING.replace("@all", "@al").replace("[server]", "[server]\nlisen = 3"));
    let (code, _, error) = home.run(&[]);
    assert_eq!(code, 2);
    insta::assert_snapshot!("serve_wrong_config", error);
    let home = Home::new(EVERYTHING);
    let mut command = home.command(&["check"]);
    let output = command.env("HOOKBELL__SERVER__LISTEN", "nowhere").output().unwrap();
    insta::assert_snapshot!("check_wrong_variable", String::from_utf8(output.stderr).unwrap());
}

#[test]
fn digits_in_environment_variables_stay_text() {
    let home = Home::new(EVERYTHING);
    let check = |name: &str, value: &str| {
        let output = home.command(&["check"]).env(name, value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = check("HOOKBELL__SOURCES__BITBUCKET__SECRET", "0123456789");
    assert_eq!(code, Some(0), "{error}");
    let (code, error) = check("HOOKBELL__SERVER__LISTEN", "8080");
    assert_eq!(code, Some(1));
    assert!(error.contains("write an IP address and a port: `127.0.0.1:8080`"), "{error}");
}

#[test]
fn environment_variables_set_channels_with_capitals() {
    let own = "[channels.TeamA]\nkind = \"slack\"\n[[routes]]\nevent = \"push\"\nto = \"TeamA\"\n";
    let home = Home::new(&format!("{EVERYTHING}{own}"));
    for name in ["HOOKBELL__CHANNELS__TEAMA__WEBHOOK_URL", "HOOKBELL__channels__TeamA__webhook_url"] {
        let mut check = home.command(&["check"]);
        let output = check.env(name, "https://hooks.slack.com/services/T0/B0/x0").output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !error.contains("webhook_url"), "{name}: {error}");
    }
}

#[test]
fn address_in_use_is_an_error_with_help() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new(&EVERYTHING.replace("127.0.0.1:0", &address));
    let (code, _, error) = home.run(&[]);
    assert_eq!(code, 1);
    assert!(error.contains(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.contains("change `listen` in `[server]`"), "{error}");
}

#[test]
fn first_start_prints_the_next_steps() {
    let home = Home::new(
        &EVERYTHING
            .replace(r#"secret = "the tests' own secret""#, r#"secret = { file = "bb.secret", generate = true }"#),
    );
    let (code, out, err) = home.run(&["channels", "test"]);
    assert_eq!((code, out.trim()), (2, "screen  console"));
    assert!(err.contains("hookbell channels test NAME"), "{err}");
    let mut service = home.serve();
    // The line before the channels.
    let secret = service.wait_for_log("  secret  ");
    assert!(secret.contains("bb.secret") && secret.contains("enter it as the webhook's secret"), "{secret}");
    let url = service.url("/hooks/bitbucket");
    let (code, out, err) = home.run(&["sample", "send", "build.failed", "--to", &url]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("`build.failed` requires `build.started`, which is sent first\n"), "{out}");
}
