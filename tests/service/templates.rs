//! Users' templates: look-up, eject, rendering, and invalid ones, which lose no message.

use std::process::Stdio;

use serde_json::Value;

use crate::chats::{config, numbers, send};
use crate::fakes::{Fake, Kind};
use crate::program::{EVERYTHING, Home, Lines, Process};

/// A native template for Slack, with a comment and a trailing comma.
const NATIVE: &str = r#"{
  // One section, and a button.
  "text": "{{pull_request.title}}",
  "blocks": [
    { "type": "section", "text": { "type": "mrkdwn", "text": "*{{actor.name}}* asks: {{link pull_request.url pull_request.title}}" } },
    {{#if pull_request.url}}
    { "type": "actions", "elements": [
      { "type": "button", "action_id": "open", "text": { "type": "plain_text", "text": "Review" }, "url": "{{pull_request.url}}" },
    ] },
    {{/if}}
  ],
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn native_template_is_used_and_falls_back_when_it_fails() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let home = Home::new(&format!("templates = \"mine\"\n{}", config(&[("slack", &slack), ("discord", &discord)], "")));
    let own = home.path().join("mine/slack");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("pull_request.json.hbs"), NATIVE).unwrap();
    let (code, listed, err) = home.run(&["templates", "list"]);
    assert!(code == 0 && listed.contains("mine/slack/pull_request.json.hbs  on slack"), "{listed}{err}");
    // The more specific name comes first, even if only a built-in template has it.
    assert!(home.run(&["render", "pull_request.opened", "--chat", "slack"]).1.contains("rich_text"));
    std::fs::rename(own.join("pull_request.json.hbs"), own.join("pull_request.opened.json.hbs")).unwrap();
    let (_, drawn, _) = home.run(&["render", "pull_request.opened", "--chat", "slack"]);
    let drawn: Value = serde_json::from_str(&drawn).unwrap();
    let link = "*Ana Ruiz* asks: <https://bitbucket.org/acme/api/pull-requests/482|Add rate limits>";
    assert_eq!(drawn["blocks"][0]["text"]["text"], link);
    let (code, out, err) = home.run(&["check"]);
    assert!(code == 0 && err.is_empty(), "{out}{err}");
    let mut service = home.serve();
    send(&service, 0..1).await;
    assert!(slack.wait_for(1).await[0]["blocks"][0]["text"]["text"].as_str().unwrap().contains("number 0000"));
    assert!(discord.wait_for(1).await[0]["embeds"].is_array());
    // A template that renders to invalid JSON: `check` reports it, and the next template is used.
    std::fs::write(own.join("pull_request.opened.json.hbs"), NATIVE.replace("\"text\": \"{{pull", "\"text\" \"{{pull"))
        .unwrap();
    service.wait_for_log("changed template `pull_request.opened`");
    let (code, _, err) = home.run(&["check"]);
    assert!(code == 1 && err.contains("renders to invalid JSON: ") && err.contains("in line 3"), "{err}");
    send(&service, 1..2).await;
    let shown = slack.wait_for(2).await;
    assert_eq!(numbers(&shown[1..]), [1]);
    assert!(shown[1].to_string().contains("rich_text"));
    assert!(home.run(&["deliveries"]).1.contains("template failed: mine/slack/pull_request.opened.json.hbs"));
    // The style `line` applies in every chat.
    assert!(!home.run(&["render", "pull_request.opened", "--chat", "slack", "--style", "line"]).1.contains("asks"));
}

#[test]
fn built_in_template_is_ejected_edited_and_compared() {
    let home = Home::new(&format!("templates = \"mine\"\n{EVERYTHING}"));
    std::fs::create_dir(home.path().join("mine")).unwrap();
    let (code, out, err) = home.run(&["templates", "eject", "tag.created"]);
    assert_eq!((code, out.as_str()), (0, "mine/tag.created.md.hbs\n"), "{err}");
    let (code, _, err) = home.run(&["templates", "eject", "tag.created"]);
    assert!(code == 1 && err.contains("already exists"), "{err}");
    let (code, _, err) = home.run(&["templates", "eject", "tag.creatd"]);
    assert!(code == 2 && err.contains("did you mean `tag.created`?"), "{err}");
    assert!(home.run(&["templates", "diff"]).2.contains("none of your templates differs"));
    assert!(home.run(&["templates", "diff", "tag.created"]).2.contains("none of your templates differs"));
    assert!(home.run(&["templates", "diff", "tag.creatd"]).2.contains("there is no user template `tag.creatd`"));
    // A file counts as the user's once it differs.
    let (_, listed, _) = home.run(&["templates", "list"]);
    assert!(listed.lines().any(|line| line.starts_with("tag.created ") && line.ends_with("built in")), "{listed}");
    let file = home.path().join("mine/tag.created.md.hbs");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("created tag", "named tag", 1)).unwrap();
    let (_, diff, _) = home.run(&["templates", "diff", "tag.created"]);
    let changed: Vec<_> = diff.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert!(changed.len() == 4 && changed[2].starts_with("-line") && changed[3].contains("named"), "{diff}");
    let (_, listed, _) = home.run(&["templates", "list"]);
    let line = |kind: &str| listed.lines().find(|line| line.starts_with(kind)).unwrap().to_owned();
    assert!(line("tag.created ").ends_with("mine/tag.created.md.hbs"), "{listed}");
    assert!(line("tag.deleted ").ends_with("built in") && line("other ").contains("uses `event`"), "{listed}");
    // Without a directory of templates, `eject` fails.
    let (code, _, err) = Home::new(EVERYTHING).run(&["templates", "eject", "push"]);
    assert!(code == 2 && err.contains("add `templates = \"templates\"`"), "{err}");
}

#[test]
fn render_watch_redraws_when_a_template_is_saved() {
    let home = Home::new(&format!("templates = \"mine\"\n{EVERYTHING}"));
    std::fs::create_dir(home.path().join("mine")).unwrap();
    let write = |line: &str| {
        let text = format!("+++\nline = '{line}'\n+++\n");
        std::fs::write(home.path().join("mine/push.md.hbs"), text).unwrap();
    };
    write("first {{push.branch}}");
    let mut command = home.command(&["render", "push", "--chat", "console", "--watch"]);
    let mut child = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut out = Lines::of(child.stdout.take().unwrap());
    let mut err = Lines::of(child.stderr.take().unwrap());
    out.wait_for("first main");
    err.wait_for("waiting for changes");
    write("second {{push.branch}}");
    out.wait_for("second main");
    write("third {{push.brnch}}");
    err.wait_for("did you mean `branch`?");
    write("fourth {{push.branch}}");
    out.wait_for("fourth main");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_about_messages_that_a_chat_cuts() {
    let (slack, discord) = (Fake::start(Kind::Slack).await, Fake::start(Kind::Discord).await);
    let home = Home::new(&format!("templates = \"mine\"\n{}", config(&[("slack", &slack), ("discord", &discord)], "")));
    std::fs::create_dir(home.path().join("mine")).unwrap();
    for name in ["push", "pull_request.opened"] {
        assert_eq!(home.run(&["templates", "eject", name]).0, 0);
    }
    let (code, out, err) = home.run(&["check"]);
    assert!(code == 0 && err.is_empty(), "{out}{err}");
    // Slack's limit on blocks is larger than Discord's limit on text.
    let commits = format!("{{{{#each push.commits}}}}\n- {{{{hash}}}} {}\n{{{{/each}}}}", "words ".repeat(600));
    let template = format!("+++\nline = \"{{{{actor.name}}}}\"\n+++\n{commits}\n");
    std::fs::write(home.path().join("mine/push.md.hbs"), template).unwrap();
    let (code, out, err) = home.run(&["check"]);
    assert_eq!(code, 0, "{out}{err}");
    insta::assert_snapshot!(err);
    assert_eq!(home.run(&["check", "--deny-warnings"]).0, 1);
}
