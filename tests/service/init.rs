//! `hookbell init`: what it writes works.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::fakes::{Fake, Kind};
use crate::program::Home;

const CHATS: [(&str, Option<Kind>); 4] =
    [("slack", Some(Kind::Slack)), ("teams", Some(Kind::Teams)), ("discord", Some(Kind::Discord)), ("console", None)];

#[tokio::test(flavor = "multi_thread")]
async fn sample_arrives_in_each_combination_of_chats() {
    for combination in 1..1 << CHATS.len() {
        let (mut arguments, mut fakes) = (vec!["init".to_owned()], vec![]);
        let chosen: Vec<_> = (0..CHATS.len()).filter(|n| combination >> n & 1 == 1).map(|n| CHATS[n]).collect();
        for (name, kind) in &chosen {
            arguments.extend(["--chat".to_owned(), (*name).to_owned()]);
            if let Some(kind) = kind {
                let fake = Fake::start(*kind).await;
                arguments.extend(["--webhook-url".to_owned(), format!("{name}={}", fake.url)]);
                fakes.push(fake);
            }
        }
        let home = Home::empty();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, out, err) = home.run(&arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        for (name, kind) in &chosen {
            let file = home.path().join(format!("{name}.secret"));
            assert_eq!(file.exists(), kind.is_some(), "{name}: {out}");
        }
        let (code, out, err) = home.run(&["check"]);
        assert!(code == 0 && err.is_empty() && out.contains("config.toml: ok"), "{arguments:?}: {out}{err}");

        let mut command = home.command(&["serve"]);
        command.env("HOOKBELL__SERVER__LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut service = Home::running(command.spawn().unwrap());
        let url = service.url("/hooks/bitbucket");
        let (code, out, err) = home.run(&["sample", "send", "push", "--to", &url]);
        assert_eq!(code, 0, "{out}{err}");
        for fake in &fakes {
            assert_eq!(fake.wait_for(1).await.len(), 1);
        }
        if chosen.iter().any(|(name, _)| *name == "console") {
            assert!(service.next_messages(1)[0].contains("Pushed 3 commits to main"));
        }
    }
}

#[test]
fn files_are_private_and_ignored_and_never_replaced() {
    let home = Home::empty();
    std::fs::write(home.path().join(".gitignore"), "/target\n*.secret").unwrap();
    let (code, out, err) = home.run(&[
        "init",
        "--chat",
        "slack,teams",
        "--webhook-url",
        "slack=https://hooks.slack.com/services/T0/B0/s3cret",
        "--public-url",
        "https://hookbell.acme.example",
        "--repo",
        "acme",
    ]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!out.contains("s3cret"), "{out}");
    // If cargo started it, the program is probably not in the PATH.
    insta::assert_snapshot!("init_output", out.replace("cargo run -- ", "hookbell "));
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
    insta::assert_snapshot!("init_config", read("config.toml"));
    assert_eq!(read("slack.secret"), "https://hooks.slack.com/services/T0/B0/s3cret\n");
    for name in ["config.toml", "bitbucket.secret", "slack.secret"] {
        let mode = std::fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let ignored = read(".gitignore");
    assert!(ignored.starts_with("/target\n*.secret\n*.db\n"), "{ignored}");
    assert_eq!(ignored.matches("*.secret").count(), 1);

    let secret = read("bitbucket.secret");
    let (code, _, err) = home.run(&["init"]);
    assert!(code == 2 && err.contains("`config.toml` already exists"), "{err}");
    // Without the configuration, the secret that a host may already know stays.
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    assert_eq!(home.run(&["init"]).0, 0);
    assert_eq!(read("bitbucket.secret"), secret);
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    let (code, _, err) =
        home.run(&["init", "--chat", "slack", "--webhook-url", "slack=https://hooks.slack.com/services/T0/B0/other"]);
    assert!(code == 2 && err.contains("`slack.secret` already exists: remove it"), "{err}");
    assert!(!home.path().join("config.toml").exists());
}

#[test]
fn wrong_arguments_name_the_right_ones() {
    let home = Home::empty();
    for (arguments, expected) in [
        (&["--chat", "slak"][..], "unknown chat `slak`; did you mean `slack`?"),
        (&["--chat", "webhook"], "unknown chat `webhook`"),
        (&["--webhook-url", "slack=https://x.example/s3cret"], "needs the name of a chat in `--chat`"),
        (&["--chat", "slack", "--webhook-url", "slack=s3cret"], "this is not a webhook URL for slack"),
        (
            &["--chat", "slack", "--webhook-url", "slack=https://discord.com/s3cret"],
            "this URL is of discord, not of slack",
        ),
        (&["--public-url", "hookbell"], "`hookbell` is not an address"),
    ] {
        let (code, _, err) = home.run(&[&["init"][..], arguments].concat());
        assert!(code == 2 && err.contains(expected) && !err.contains("s3cret"), "{arguments:?}: {err}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn managed_webhooks_only_need_their_comment_signs_removed() {
    let home = Home::empty();
    let url = "https://hookbell.acme.example";
    let (code, ..) = home.run(&["init", "--chat", "console", "--public-url", url, "--repo", "acme"]);
    assert_eq!(code, 0);
    let text = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    let (before, rest) = text.split_once("# [hooks]").unwrap();
    let (hooks, after) = rest.split_once("\n\n").unwrap();
    home.write_config(&format!("{before}[hooks]{}\n\n{after}", hooks.replace("\n# ", "\n")));
    let (code, out, error) = home.run(&["check"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let (code, _, error) = home.run(&["hooks", "sync", "--dry-run"]);
    assert!(code == 2 && error.contains("put it in the environment variable BITBUCKET_TOKEN"), "{error}");
}

#[test]
fn sample_is_of_a_repository_that_the_source_allows() {
    for (repo, pattern, sent) in [
        ("mycompany", "mycompany/*", "mycompany/api"),
        ("https://bitbucket.org/mycompany", "mycompany/*", "mycompany/api"),
        ("https://bitbucket.org/mycompany/web/", "mycompany/web", "mycompany/web"),
        ("mycompany/backend-*", "mycompany/backend-*", "mycompany/backend-api"),
    ] {
        let home = Home::empty();
        let (code, _, error) = home.run(&["init", "--chat", "console", "--repo", repo]);
        assert_eq!(code, 0, "{error}");
        let text = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
        assert!(text.contains(&format!("repo = \"{pattern}\"")), "{text}");
        home.write_config(&text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0"));
        let service = home.serve();
        let (code, out, error) = home.run(&["sample", "send", "push", "--to", &service.url("/hooks/bitbucket")]);
        assert_eq!(code, 0, "{out}{error}");
        let (_, events, _) = home.run(&["events"]);
        assert!(events.contains(sent), "{sent}: {events}");
    }
    let (code, _, error) = Home::empty().run(&["init", "--chat", "console", "--repo", "acme workspace"]);
    assert!(code == 2 && error.contains("`acme workspace` is not a workspace or a pattern"), "{error}");
}

#[test]
fn all_documented_files_are_ignored_by_git() {
    let page = include_str!("../../docs/getting-started.md");
    let rows =
        page.lines().skip_while(|line| !line.starts_with("| file | content |")).take_while(|line| !line.is_empty());
    let files: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(files.len() > 6 && files.contains(&"hookbell.db.acme"), "{files:?}");
    let home = Home::empty();
    home.run(&["init", "--chat", "console"]);
    let git = |arguments: &[&str]| {
        std::process::Command::new("git").args(arguments).current_dir(home.path()).output().unwrap().status.success()
    };
    assert!(git(&["init", "-q"]));
    for file in files {
        assert!(git(&["check-ignore", "-q", file]), "{file} is not ignored");
    }
}
