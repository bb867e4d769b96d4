use super::*;
use crate::chat::slack::Slack;
use crate::chat::testing::{answer, channel, sample, serve, short};
use crate::chat::{Kind, Posted};

const CHANNEL_ID: &str = "C024BE91L";

fn bot(api: &str) -> Box<dyn Chat> {
    channel("slack", [(TOKEN, "xoxb-1-secret"), (CHANNEL, CHANNEL_ID), (API_URL, api)]).unwrap()
}

#[tokio::test]
async fn actions_are_methods_of_the_api() {
    let posted = r#"{"ok":true,"channel":"C024BE91L","ts":"1503435956.000247","message":{}}"#;
    let (api, mut requests) = serve(vec![(200, posted); 5]).await;
    let bot = bot(&api);
    let body = Body(Slack.draw(&sample("push")));
    let id = DeliveryId::from("dlv_1");
    let sent = bot.perform(&id, Action::Post(&body)).await;
    assert_eq!(short(&sent.outcome), r#"delivered Some("C024BE91L:1503435956.000247") None"#);
    let message = MessageRef::new("C024BE91L:1503435956.000247");
    let rendered: Value = serde_json::from_str(&body.0).unwrap();
    let (line, sent) = requests.recv().await.unwrap();
    assert_eq!((line.as_str(), &sent["channel"]), ("POST /chat.postMessage HTTP/1.1", &json!(CHANNEL_ID)));
    assert_eq!((&sent["blocks"], &sent["text"]), (&rendered["blocks"], &rendered["text"]));

    let plain = Body(r#"{"text":"plain"}"#.to_owned());
    bot.perform(&id, Action::Edit { message: &message, body: &plain }).await;
    let (line, sent) = requests.recv().await.unwrap();
    assert_eq!(line, "POST /chat.update HTTP/1.1");
    // What the new message lacks is emptied.
    let at = json!({ "channel": CHANNEL_ID, "ts": "1503435956.000247" });
    assert_eq!(
        sent,
        json!({ "channel": at["channel"], "ts": at["ts"], "text": "plain", "blocks": [], "attachments": [], "parse": "none" })
    );

    for also_in_channel in [false, true] {
        bot.perform(&id, Action::Reply { to: &message, body: &plain, also_in_channel }).await;
        let (line, sent) = requests.recv().await.unwrap();
        assert_eq!((line.as_str(), &sent["thread_ts"]), ("POST /chat.postMessage HTTP/1.1", &at["ts"]));
        assert_eq!((&sent["reply_broadcast"], &sent["text"]), (&json!(also_in_channel), &json!("plain")));
    }
    bot.perform(&id, Action::React { to: &message, reaction: "tada" }).await;
    let (line, sent) = requests.recv().await.unwrap();
    assert_eq!(line, "POST /reactions.add HTTP/1.1");
    assert_eq!(sent, json!({ "channel": CHANNEL_ID, "timestamp": "1503435956.000247", "name": "tada" }));
}

#[tokio::test]
async fn rejected_blocks_are_posted_in_a_simpler_form() {
    let rejected =
        r#"{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] no more than 50"]}}"#;
    let posted = r#"{"ok":true,"channel":"C024BE91L","ts":"1.2"}"#;
    let (api, mut requests) = serve(vec![(200, rejected), (200, posted)]).await;
    let body = Body(Slack.draw(&sample("push")));
    let sent = bot(&api).perform(&DeliveryId::from("dlv_1"), Action::Post(&body)).await;
    let Outcome::Delivered(Posted { message: Some(message), instead: Some(instead), .. }) = sent.outcome else {
        panic!("{sent:?}")
    };
    assert_eq!(message.as_str(), "C024BE91L:1.2");
    assert!(instead.why.contains("invalid_blocks: [ERROR] no more than 50"), "{}", instead.why);
    requests.recv().await.unwrap();
    assert_eq!(requests.recv().await.unwrap().1["channel"], CHANNEL_ID);
}

#[test]
fn error_words_have_outcomes() {
    for (word, outcome) in [
        ("ratelimited", "retry rate_limited Some(30s)"),
        ("message_limit_exceeded", "retry rate_limited Some(3600s)"),
        ("internal_error", "retry server_error Some(30s)"),
        ("fatal_error", "retry server_error Some(30s)"),
        ("invalid_auth", "closed forbidden"),
        ("token_revoked", "closed forbidden"),
        ("account_inactive", "closed forbidden"),
        ("missing_scope", "closed forbidden"),
        ("access_denied", "closed forbidden"),
        ("channel_not_found", "closed gone"),
        ("is_archived", "closed gone"),
        ("not_in_channel", "closed forbidden"),
        ("restricted_action", "closed forbidden"),
        ("restricted_action_read_only_channel", "closed forbidden"),
        ("restricted_action_thread_locked", "rejected blocked"),
        ("cannot_reply_to_message", "rejected blocked"),
        ("msg_blocks_too_long", "rejected invalid_message"),
        ("invalid_blocks", "rejected invalid_message"),
        ("invalid_blocks_format", "rejected invalid_message"),
        ("no_text", "rejected invalid_message"),
        ("message_not_found", "rejected gone"),
        ("cant_update_message", "rejected gone"),
        ("edit_window_closed", "rejected gone"),
        ("already_reacted", "delivered None None"),
        ("too_many_reactions", "rejected blocked"),
        ("something_new", "rejected unexpected"),
    ] {
        let text = format!(r#"{{"ok":false,"error":"{word}"}}"#);
        let status = if word == "ratelimited" { 429 } else { 200 };
        let called = answer::Called::new(answer(status, &[("retry-after", "30")], &text), &"xoxb-1".to_owned().into());
        assert_eq!(short(&called.outcome()), outcome, "{word}");
    }
}

#[test]
fn responses_of_others_are_not_slacks() {
    let of = |status, text: &str| {
        short(&answer::Called::new(answer(status, &[], text), &"xoxb-1".to_owned().into()).outcome())
    };
    assert_eq!(of(200, "<html>Sign in to the guest network</html>"), "retry not_the_chat None");
    assert_eq!(of(502, "<html>Bad gateway</html>"), "retry server_error None");
    assert_eq!(of(200, "ok"), "retry not_the_chat None");
    assert_eq!(of(404, "{}"), "retry unexpected None");
}

#[test]
fn response_names_the_scope_and_never_the_token() {
    let text = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"xoxb-1-secret"}"#;
    let called = answer::Called::new(answer(200, &[], text), &"xoxb-1-secret".to_owned().into());
    let Outcome::Closed(failure) = called.outcome() else { panic!("not closed") };
    assert_eq!(failure.response, "missing_scope: needs chat:write");
    let text = r#"{"ok":false,"error":"invalid_auth: xoxb-1-secret"}"#;
    let called = answer::Called::new(answer(200, &[], text), &"xoxb-1-secret".to_owned().into());
    assert_eq!(called.outcome().into_failure().unwrap().response, "invalid_auth: ***");
}

#[test]
fn mistakes_in_the_configuration_are_explained() {
    for (token, id, api, said) in [
        ("xoxb-1-secret", "#general", API, "this is not the ID of a channel"),
        ("xoxb-1-secret", "general", API, "this is not the ID of a channel"),
        ("xoxb-1-secret", "", API, "`token` requires `channel`"),
        ("xoxp-1-secret", CHANNEL_ID, API, "this is another kind of token, not a bot token"),
        (
            "https://hooks.slack.com/services/T/B/x",
            CHANNEL_ID,
            API,
            "this is a webhook URL, which belongs in `webhook_url`, not a bot token",
        ),
        (
            "xoxb-1-secret",
            CHANNEL_ID,
            "http://proxy.example/api",
            "the token would be sent without encryption (`http://`)",
        ),
    ] {
        let keys = [(TOKEN, token), (API_URL, api), (CHANNEL, id)];
        let built = if id.is_empty() { channel("slack", [keys[0], keys[1]]) } else { channel("slack", keys) };
        assert_eq!(built.err().unwrap().to_string(), said, "{token} {id} {api}");
    }
}

#[test]
fn destination_is_the_channel_whatever_its_token() {
    let of = |token, id| channel("slack", [(TOKEN, token), (CHANNEL, id)]).unwrap().destination();
    assert_eq!(of("xoxb-1-secret", CHANNEL_ID), of("xoxb-2-secret", CHANNEL_ID));
    assert_ne!(of("xoxb-1-secret", CHANNEL_ID), of("xoxb-1-secret", "C024BE91M"));
    assert!(!of("xoxb-1-secret", CHANNEL_ID).contains("C024"));
}
