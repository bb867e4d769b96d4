use serde_json::Value;

use super::*;
use crate::chat::Outcome;
use crate::chat::testing::{
    all, answer, assert_clean, channel, hold_against_sizes, hold_against_strangers, leads_astray, markup, pinging,
    pinging_fact, sample, short, texts,
};
use crate::http_client::{Answer, Target};
use crate::message::Inline;

fn encode(message: &Message) -> String {
    Teams.draw(message)
}

/// Asserts the limits of Teams, which rejects or silently drops other messages.
fn check(body: &Value, what: &str) {
    assert_clean(body, what);
    assert!(body.to_string().len() <= 20_000, "{what}: {} bytes", body.to_string().len());
    let card = &body["attachments"][0]["content"];
    assert!(!card["body"].as_array().unwrap().is_empty(), "{what}");
    for text in texts(card, "text") {
        assert!(!text.is_empty(), "{what}");
    }
    let mut lists = vec![];
    for name in ["items", "inlines", "facts", "actions"] {
        all(card, name, &mut lists);
    }
    assert!(lists.iter().all(|list| !list.as_array().unwrap().is_empty()), "{what}: {card}");
    assert!(card["actions"].as_array().is_none_or(|actions| actions.len() <= 6), "{what}");
}

#[test]
fn untrusted_text_is_text() {
    hold_against_strangers(encode, |body, what| {
        check(body, what);
        let whole = body.to_string();
        assert!(!whole.contains("{{") && !whole.contains("${"), "{what}: {whole}");
        assert!(!whole.contains("\"TextBlock\""), "{what}: only text runs do not parse Markdown");
        for url in texts(body, "url") {
            assert!(!leads_astray(url), "{what}: {url}");
        }
        for fact in texts(body, "title").into_iter().chain(texts(body, "value")) {
            assert_eq!(markup(fact), Vec::<String>::new(), "{what}: {fact:?}");
        }
    });
}

#[test]
fn any_message_fits_the_limits() {
    hold_against_sizes(encode, check);
}

#[test]
fn drawn_samples() {
    for name in ["push", "pull_request.opened", "pull_request.merged"] {
        let body: Value = serde_json::from_str(&encode(&sample(name))).unwrap();
        insta::assert_json_snapshot!(format!("teams_{name}"), body);
    }
    let line: Value = serde_json::from_str(&encode(&sample("push").into_line())).unwrap();
    insta::assert_json_snapshot!("teams_line", line);
}

#[test]
fn every_response_has_its_outcome() {
    let sign_in =
        r#"{"error":{"code":"DirectApiAuthorizationRequired","message":"The OAuth authorization scheme is required"}}"#;
    let cases = [
        (202, "", "accepted"),
        (200, "", "accepted"),
        (400, r#"{"error":{"code":"TriggerInputSchemaMismatch"}}"#, "closed gone"),
        (400, r#"{"error":{"code":"WorkflowTriggerIsNotEnabled"}}"#, "closed gone"),
        (400, r#"{"error":{"code":"MissingApiVersionParameter"}}"#, "closed forbidden"),
        (404, r#"{"error":{"code":"WorkflowNotFound"}}"#, "closed gone"),
        (400, r#"{"error":{"code":"SomethingNew"}}"#, "rejected invalid_message"),
        (200, "<html>", "retry not_the_chat None"),
        (403, "<html>", "retry not_the_chat None"),
        (413, "", "rejected invalid_message"),
        (401, sign_in, "closed forbidden"),
        (401, "", "closed forbidden"),
        (403, "", "closed forbidden"),
        (404, "", "closed gone"),
        (410, "", "closed gone"),
        (429, "", "retry rate_limited None"),
        (500, "", "retry server_error None"),
        (502, "<html>", "retry server_error None"),
        (504, "", "retry server_error None"),
        (308, "", "closed unexpected"),
        (418, "", "retry unexpected None"),
    ];
    for (status, text, expected) in cases {
        assert_eq!(short(&answer::outcome(&answer(status, &[], text))), expected, "{status} {text}");
    }
    let help = |status, text: &str, query: &str| {
        let target = Target::parse(&format!("https://x.example/?{query}").into()).unwrap();
        let answer = Answer { target, ..answer(status, &[], text) };
        let Outcome::Closed(failure) = answer::outcome(&answer) else { panic!("not closed") };
        failure.help.unwrap()
    };
    let off = r#"{"error":{"code":"WorkflowTriggerIsNotEnabled"}}"#;
    assert!(help(401, sign_in, "api-version=1&sig=a").contains("\"Anyone\""));
    assert!(help(401, sign_in, "api-version=1").starts_with("the flow URL is incomplete"));
    assert!(help(400, off, "sig=a").starts_with("the flow is turned off"));
}

#[test]
fn retired_connector_url_is_rejected_with_help() {
    let made = |url: &str| channel("teams", [("webhook_url", url)]).map(|_| ()).map_err(|error| error.message);
    let retired = "this is the URL of an Office 365 connector, which Microsoft has retired";
    assert_eq!(made("https://acme.webhook.office.com/webhookb2/x"), Err(retired));
    assert_eq!(made("https://outlook.office.com/webhook/x"), Err(retired));
    let workflow = "https://1.2.environment.api.powerplatform.com:443/powerautomate/x/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a_b-c";
    assert_eq!(made(workflow), Ok(()));
    assert_eq!(made("https://prod-1.westeurope.logic.azure.com:443/workflows/x?sig=y"), Ok(()));
    assert_eq!(made("nonsense"), Err("the webhook URL is not a valid URL"));
    assert_eq!(made("ftp://x"), Err("the webhook URL is not an HTTP URL with a host"));
}

#[test]
fn pings_are_below_the_headline_with_escaped_names() {
    for message in [pinging(), pinging().into_line()] {
        let body: Value = serde_json::from_str(&encode(&message)).unwrap();
        check(&body, "a ping");
        let card = &body["attachments"][0]["content"];
        let named = [
            ("Bo Lindqvist", "bo@acme.example"),
            ("Bo Lindqvist 2", "bo.l@acme.example"),
            ("at DATE x ahttpsevil.example", "h@acme.example"),
            ("👩‍👩‍👧", "f@acme.example"),
            (&"x".repeat(60), "x@acme.example"),
        ];
        let marks = named.map(|(name, _)| format!("<at>{name}</at>"));
        let entities = named.map(|(name, id)| {
            serde_json::json!({ "type": "mention", "text": format!("<at>{name}</at>"), "mentioned": { "id": id, "name": name } })
        });
        assert_eq!(card["msteams"]["entities"], serde_json::json!(entities));
        let mentions = card["body"].as_array().unwrap().iter().find(|element| element["type"] == "TextBlock");
        assert_eq!(
            *mentions.unwrap(),
            serde_json::json!({ "type": "TextBlock", "spacing": "Small", "wrap": true, "text": marks.join(", ") })
        );
    }
}

#[test]
fn pings_leave_room_for_the_message() {
    let mut message = pinging();
    let person = |n: usize| crate::message::Person::from_iter([("teams", format!("p{n}@acme.example"))]);
    for name in ["漢".repeat(200), "Seán O'Brien-Smith Jr.".to_owned()] {
        message.pings = (0..60).map(|n| crate::message::Ping { name: name.clone(), person: person(n) }).collect();
        let body: Value = serde_json::from_str(&encode(&message)).unwrap();
        check(&body, "many pings");
        let card = &body["attachments"][0]["content"];
        let entities = card["msteams"]["entities"].as_array().unwrap();
        assert!(entities.len() >= 8 && entities.len() <= 50, "{}", entities.len());
        assert!(card["body"].to_string().contains("Public endpoints had no limit"), "{card}");
    }
    let body: Value = serde_json::from_str(&encode(&message)).unwrap();
    assert!(body.to_string().contains("<at>Seán O'Brien-Smith Jr. 2</at>"));
}

#[test]
fn fallback_text_contains_no_untrusted_markup() {
    let line = vec![Inline::Text("[x](https://evil.example) **b** {{now}}".to_owned())];
    let drawn: Value = serde_json::from_str(&draw::draw(&Message { line, ..Message::default() })).unwrap();
    let fallback = &drawn["attachments"][0]["content"]["fallbackText"];
    assert_eq!(fallback, "\\[x\\](https://evil.example) \\*\\*b\\*\\* {\u{200b}{now}}");
}

#[test]
fn a_fact_that_pings_is_a_line_of_mentions_and_nowhere_else() {
    let drawn = encode(&pinging_fact());
    let body: Value = serde_json::from_str(&drawn).unwrap();
    let card = &body["attachments"][0]["content"];
    let lines = card["body"].as_array().unwrap().iter().filter(|element| element["type"] == "TextBlock");
    let lines: Vec<_> = lines.map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(lines, ["Reviewers: <at>Bo Lindqvist</at>, Cy Okafor"]);
    assert_eq!(drawn.matches("Reviewers").count(), 1);
}

#[test]
fn every_card_has_a_visible_link() {
    for name in ["pull_request.merged", "pull_request.opened", "push", "build.failed"] {
        let body: Value = serde_json::from_str(&encode(&sample(name))).unwrap();
        let links = body["attachments"][0]["content"]["actions"].as_array().unwrap();
        assert_eq!(links.len(), 1, "{name}: {links:?}");
    }
}
