//! Programs as channels.

use crate::chats::{numbers, send};
use crate::fakes::{Fake, Fault, Kind, PROGRAM_SECRET};
use crate::program::Home;

fn config(program: &Fake) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "the tests' own secret"
[channels.build]
kind = "webhook"
webhook_url = "{}"
secret = "{PROGRAM_SECRET}"
[[routes]]
name = "everything"
event = "@all"
to = "build"
"#,
        program.url
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn program_gets_a_signed_event_with_one_id_for_all_attempts() {
    let program = Fake::start(Kind::Program).await;
    program.fail([Fault::status(503), Fault::status(500)]);
    let home = Home::new(&config(&program));
    let service = home.serve();
    send(&service, 0..2).await;
    let shown = program.wait_for(2).await;
    assert_eq!(numbers(&shown), [0, 1]);
    let event = &shown[0];
    assert_eq!(event["type"], "pull_request.opened");
    assert_eq!(event["data"]["pull_request"]["title"], "number 0000");
    assert_eq!(event["timestamp"], event["data"]["time"]);
    let ids = program.ids();
    assert_eq!(ids.len(), 4);
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    assert!(ids[0].starts_with("dlv_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn response_gone_closes_the_channel_of_a_program() {
    let program = Fake::start(Kind::Program).await;
    program.fail([Fault::status(410)]);
    let home = Home::new(&config(&program));
    let mut service = home.serve();
    send(&service, 0..2).await;
    service.wait_for_log("channel closed");
    let (code, out, _) = home.run(&["channels"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("build  webhook  closed") && out.contains("2 messages queued"), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
    assert_eq!(program.came().len(), 1);
}

#[test]
fn program_requires_a_secret() {
    let home = Home::new("[channels.build]\nkind = \"webhook\"\nwebhook_url = \"https://ci.example/hook\"\n");
    let (code, _, err) = home.run(&["check"]);
    assert_eq!(code, 1);
    assert!(err.contains("channel `build` requires `secret`"), "{err}");
}
