use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::*;
use crate::chat::testing::{
    answer, assert_clean, channel, hold_against_sizes, hold_against_strangers, leads_astray, markup, pinging,
    pinging_fact, sample, serve, short, utf16,
};
use crate::chat::{Action, Failure, Posted, Reason};
use crate::event::DeliveryId;

fn encode(message: &Message) -> String {
    Discord.draw(message)
}

fn texts(body: &Value) -> Vec<&str> {
    let embed = &body["embeds"][0];
    let fields = embed["fields"].as_array().into_iter().flatten();
    let fields = fields.flat_map(|field| [&field["name"], &field["value"]]);
    let rest = [&embed["title"], &embed["description"], &embed["footer"]["text"], &embed["author"]["name"]];
    fields.chain(rest).chain([&body["content"]]).filter_map(Value::as_str).collect()
}

/// Asserts the limits in Discord's documentation, independently of the constants that rendering uses.
fn check(body: &Value, what: &str) {
    assert_clean(body, what);
    assert_eq!(body["allowed_mentions"], serde_json::json!({ "parse": [] }), "{what}");
    if body["embeds"].is_null() {
        let content = body["content"].as_str().unwrap();
        assert!(!content.trim().is_empty() && utf16(content) <= 2_000, "{what}: {}", utf16(content));
        return;
    }
    assert!(body["content"].as_str().is_none_or(|content| utf16(content) <= 2_000), "{what}");
    let embed = &body["embeds"][0];
    let within = |value: &Value, longest: usize| {
        value.as_str().is_none_or(|text| !text.trim().is_empty() && utf16(text) <= longest)
    };
    assert!(within(&embed["title"], 256) && within(&embed["description"], 4_096), "{what}: {embed}");
    assert!(within(&embed["footer"]["text"], 2_048) && within(&embed["author"]["name"], 256), "{what}");
    let fields = embed["fields"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(fields.len() <= 25, "{what}");
    assert!(
        fields.iter().all(|field| within(&field["name"], 256) && within(&field["value"], 1_024)),
        "{what}: {embed}"
    );
    let total: usize = texts(body).into_iter().map(utf16).sum();
    assert!(total > 0 && total <= 6_000, "{what}: {total}");
}

/// An unescaped mention, emoji or timestamp.
static MENTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|[^\\(])<(?:@|#|!|:|a:|t:|at>|id:)").unwrap());

/// Code, which is not checked for mentions.
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]+`").unwrap());

#[test]
fn untrusted_text_is_text() {
    hold_against_strangers(encode, |body, what| {
        check(body, what);
        // Discord parses no markup in these.
        let mut body = body.clone();
        for embed in body["embeds"].as_array_mut().into_iter().flatten() {
            (embed["author"], embed["footer"]) = (Value::Null, Value::Null);
        }
        for text in texts(&body) {
            assert!(!MENTION.is_match(&CODE.replace_all(text, "")), "{what}: {text}");
            for found in markup(text) {
                assert!(
                    !leads_astray(&found) && !found.contains("Image") && !found.contains("Table"),
                    "{what}: {found} in {text}"
                );
                assert!(!found.contains("Heading") && !found.contains("rule"), "{what}: {found} in {text}");
            }
        }
    });
}

#[test]
fn any_message_fits_the_limits() {
    hold_against_sizes(encode, check);
}

#[test]
fn drawn_samples() {
    for name in ["push", "pull_request.opened", "pull_request.merged", "pull_request.comment_added"] {
        let body: Value = serde_json::from_str(&encode(&sample(name))).unwrap();
        insta::assert_json_snapshot!(format!("discord_{name}"), body);
    }
    let line: Value = serde_json::from_str(&encode(&sample("push").into_line())).unwrap();
    insta::assert_json_snapshot!("discord_line", line);
}

#[test]
fn unescapable_characters_are_replaced_by_lookalikes() {
    use crate::message::{Inline, WebUrl};
    let url = WebUrl::parse("https://x.example/a_(b)").unwrap();
    let text = vec![Inline::Text("fix(api): [1] a_b".into()), Inline::Code("c`d".into())];
    let message = Message { line: vec![Inline::Link { url, text }], ..Message::default() };
    let body: Value = serde_json::from_str(&encode(&message)).unwrap();
    assert_eq!(body["content"], "[fix（api）: ［1］ aˍb`cˋd`](<https://x.example/a_%28b%29>)");
    let message = Message {
        line: vec![Inline::Text("see https://x.example/a_b_c, 1_2 and [y](z)".into())],
        ..Message::default()
    };
    let body: Value = serde_json::from_str(&encode(&message)).unwrap();
    assert_eq!(body["content"], r"see https://x.example/a_b_c, 1\_2 and \[y\](z)");
}

#[test]
fn every_response_has_its_outcome() {
    let code = |code: u64| format!(r#"{{"code": {code}, "message": "Said so"}}"#);
    let cases = [
        (200, r#"{"id": "123"}"#.to_owned(), r#"delivered Some("123") None"#),
        (204, String::new(), "delivered None None"),
        (404, code(10015), "closed gone"),
        (404, code(10003), "closed gone"),
        (401, code(50027), "closed forbidden"),
        (403, code(50013), "closed forbidden"),
        (403, code(50001), "closed forbidden"),
        (400, code(50083), "closed forbidden"),
        (400, code(160_005), "closed forbidden"),
        (400, code(220_001), "closed forbidden"),
        (400, code(200_000), "rejected blocked"),
        (400, code(200_001), "rejected blocked"),
        (400, code(50035), "rejected invalid_message"),
        (400, code(50006), "rejected invalid_message"),
        (413, code(40005), "rejected invalid_message"),
        (500, "x".to_owned(), "retry server_error None"),
        (429, r#"{"message":"x","retry_after":64.57,"global":false}"#.to_owned(), "retry rate_limited Some(64.57s)"),
        (429, "<html>banned</html>".to_owned(), "retry rate_limited None"),
        (404, "<html>".to_owned(), "retry not_the_chat None"),
        (403, "<html>".to_owned(), "retry not_the_chat None"),
        (200, "<html>".to_owned(), "retry not_the_chat None"),
        (200, "ok".to_owned(), "retry not_the_chat None"),
        (403, r#"{"message": "internal network error", "code": 40333}"#.to_owned(), "retry not_the_chat None"),
        (403, "error code: 1015".to_owned(), "retry not_the_chat None"),
        (404, "{}".to_owned(), "closed gone"),
        (400, "{}".to_owned(), "rejected invalid_message"),
        (418, "{}".to_owned(), "retry unexpected None"),
    ];
    for (status, text, expected) in cases {
        assert_eq!(short(&answer::outcome(&answer(status, &[], &text))), expected, "{status} {text}");
    }
    let html = answer(429, &[("retry-after", "3600")], "<html>banned</html>");
    assert_eq!(short(&answer::outcome(&html)), "retry rate_limited Some(3600s)");
    // A webhook URL without an API version, or a proxy: the wait may be in seconds or in milliseconds.
    let waits = |reset: &str, after: &str, body: &str| {
        let headers = [("x-ratelimit-reset-after", reset), ("retry-after", after)];
        short(&answer::outcome(&answer(429, &headers, &format!(r#"{{"retry_after":{body}}}"#))))
    };
    assert_eq!(waits("1.337", "1337", "1337"), "retry rate_limited Some(1.337s)");
    assert_eq!(waits("1.337", "2", "1.337"), "retry rate_limited Some(2s)");
    assert_eq!(waits("0.2", "65", "64.6"), "retry rate_limited Some(200ms)");
    let bucket = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.25")];
    assert_eq!(short(&answer::outcome(&answer(200, &bucket, "{}"))), "delivered None Some(1.25s)");
    let bucket = [("x-ratelimit-remaining", "4"), ("x-ratelimit-reset-after", "1.25")];
    assert_eq!(short(&answer::outcome(&answer(200, &bucket, "{}"))), "delivered None None");
}

#[test]
fn discord_errors_name_the_field() {
    let text = r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"title":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH"}]}}}}}"#;
    let Outcome::Rejected(failure) = answer::outcome(&answer(400, &[], text)) else { panic!("not rejected") };
    assert!(failure.response.starts_with("status 400: Invalid Form Body (50035) {\"embeds\""), "{}", failure.response);
}

#[test]
fn wait_parameter_is_added_once() {
    let made = |url: &str| channel("discord", [("webhook_url", url)]);
    let one = made("https://discord.com/api/v10/webhooks/1/x?thread_id=2").unwrap().destination();
    let two = made("https://discord.com/api/v10/webhooks/1/x?thread_id=2&wait=true").unwrap().destination();
    assert_eq!(one, two);
    assert!(made("https://discord.com/api/webhooks/1/x/slack").is_err());
}

#[tokio::test]
async fn edit_replaces_the_whole_message() {
    let missing = r#"{"message": "Unknown Message", "code": 10008}"#;
    let answers = vec![(200, r#"{"id": "77"}"#), (200, r#"{"id": "77"}"#), (404, missing)];
    let (server, mut requests) = serve(answers).await;
    let url = format!("{server}/api/webhooks/1/x?thread_id=2");
    let chat = channel("discord", [("webhook_url", &url)]).unwrap();
    assert!(chat.capabilities().message_ids && chat.capabilities().edit && !chat.capabilities().thread);
    let (delivery, posted) = (DeliveryId::fresh(), chat.encode(&sample("push")));
    let Outcome::Delivered(Posted { message: Some(message), .. }) =
        chat.perform(&delivery, Action::Post(&posted)).await.outcome
    else {
        panic!("not posted")
    };
    assert_eq!(requests.recv().await.unwrap().0, "POST /api/v10/webhooks/1/x?thread_id=2&wait=true HTTP/1.1");

    // A line has no embed, so the edit removes the embed of the message.
    let line = chat.encode(&sample("push").into_line());
    let edit = Action::Edit { message: &message, body: &line };
    let outcome = chat.perform(&delivery, edit).await.outcome;
    assert_eq!(outcome, Outcome::Delivered(Posted { message: Some(message.clone()), ..Posted::default() }));
    let (first, body) = requests.recv().await.unwrap();
    assert_eq!(first, "PATCH /api/v10/webhooks/1/x/messages/77?thread_id=2&wait=true HTTP/1.1");
    assert_eq!((&body["embeds"], &body["components"]), (&json!([]), &json!([])));
    assert_eq!(body["content"], serde_json::from_str::<Value>(&line.0).unwrap()["content"]);
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));

    let Outcome::Rejected(failure) = chat.perform(&delivery, edit).await.outcome else { panic!("edited") };
    assert_eq!((failure.reason, failure.response.contains("Unknown Message")), (Reason::Gone, true));
    let react = chat.perform(&delivery, Action::React { to: &message, reaction: "eyes" }).await.outcome;
    assert_eq!(react, Outcome::Rejected(Failure::new(Reason::Unsupported, "the channel cannot add reactions")));
}

#[test]
fn pings_are_above_the_embed() {
    let allowed = serde_json::json!({ "parse": [], "users": ["80351110224678912"], "roles": ["165511591545143296"] });
    let body: Value = serde_json::from_str(&encode(&pinging())).unwrap();
    assert_eq!(
        (&body["content"], &body["allowed_mentions"]),
        (&"<@80351110224678912> <@&165511591545143296>".into(), &allowed)
    );
    let line: Value = serde_json::from_str(&encode(&pinging().into_line())).unwrap();
    let content = line["content"].as_str().unwrap();
    assert!(content.ends_with(" in acme/api\n<@80351110224678912> <@&165511591545143296>"), "{content}");
    assert_eq!(line["allowed_mentions"], allowed);
    // The maximum number of pings, below the longest line.
    let mut full = pinging().into_line();
    let ping = full.pings.remove(0);
    full.pings = vec![ping; crate::message::people::MAX_PINGS];
    full.line = vec![crate::message::Inline::Text("word ".repeat(1_000))];
    let line: Value = serde_json::from_str(&encode(&full)).unwrap();
    let content = line["content"].as_str().unwrap();
    assert!(utf16(content) <= 2_000 && content.starts_with("word word") && content.ends_with("8912>"), "{content}");
}

#[test]
fn a_fact_that_pings_is_above_the_embed_and_nowhere_else() {
    let body: Value = serde_json::from_str(&encode(&pinging_fact())).unwrap();
    assert_eq!(body["content"], "Reviewers: <@80351110224678912>, Cy Okafor");
    assert_eq!(body["embeds"][0]["fields"], Value::Null);
}

#[test]
fn a_fact_that_is_too_long_stays_in_the_embed_and_pings() {
    let mut message = pinging_fact();
    let name = "https://evil.example/x".to_owned();
    message.fields[0].value.push(crate::message::Inline::Text(format!(", {name}")));
    let body: Value = serde_json::from_str(&encode(&message)).unwrap();
    assert!(!body["content"].as_str().unwrap().contains("https://"), "{body}");
    message.fields[0].value.push(crate::message::Inline::Text("x".repeat(3_000)));
    let body: Value = serde_json::from_str(&encode(&message)).unwrap();
    assert_eq!(body["content"], "<@80351110224678912>");
    assert_eq!(body["embeds"][0]["fields"][0]["name"], "Reviewers");
}

#[test]
fn only_markup_is_escaped() {
    let shown = markdown::escape;
    assert_eq!(shown("#482 is done at 15:04 (on a-b)"), r"\#482 is done at 15:04 (on a-b)");
    assert_eq!(shown("see #482 and 1. or - or > x"), "see #482 and 1. or - or > x");
    assert_eq!((shown("1. a"), shown("2.8.0 is out")), (r"1\. a".to_owned(), "2.8.0 is out".to_owned()));
    assert_eq!(shown(":tada: *a* _b_ @here <#1>"), r"\:tada: \*a\* \_b\_ \@here \<#1>");
}
