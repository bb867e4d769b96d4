use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::*;
use crate::chat::testing::{
    answer, assert_clean, hold_against_sizes, hold_against_strangers, leads_astray, pinging, pinging_fact, sample,
    short, texts, utf16,
};

fn encode(message: &Message) -> String {
    Slack.draw(message)
}

/// Asserts the limits in Slack's documentation, independently of the constants that rendering uses.
fn check(body: &Value, what: &str) {
    assert_clean(body, what);
    let text = body["text"].as_str().unwrap();
    assert!(!text.trim().is_empty() && utf16(text) <= 4_000, "{what}: {text:?}");
    let mut blocks: Vec<&Value> = body["blocks"].as_array().unwrap().iter().collect();
    for attachment in body["attachments"].as_array().into_iter().flatten() {
        let inner = attachment["blocks"].as_array().unwrap();
        assert!(!inner.is_empty() && inner.len() <= 50, "{what}");
        blocks.extend(inner);
    }
    let all: usize = blocks.iter().flat_map(|block| texts(block, "text")).map(utf16).sum();
    assert!(all <= 9_000, "{what}: {all}");
    assert!(body.to_string().len() <= 16_000, "{what}: {} bytes", body.to_string().len());
    for block in &blocks {
        for text in texts(block, "text") {
            assert!(!text.is_empty() && utf16(text) <= 3_000, "{what}: {text:?}");
        }
        let kind = block["type"].as_str().unwrap();
        assert!(matches!(kind, "rich_text" | "actions" | "context"), "{what}: {kind}");
        assert!(!block["elements"].as_array().unwrap().is_empty(), "{what}");
        for element in block["elements"].as_array().unwrap() {
            if kind == "actions" {
                assert!(utf16(element["text"]["text"].as_str().unwrap()) <= 75, "{what}");
            }
        }
    }
}

#[test]
fn untrusted_text_is_text() {
    hold_against_strangers(encode, |body, what| {
        check(body, what);
        let notification = body["text"].as_str().unwrap();
        assert!(!notification.contains(['<', '>']), "{what}: {notification}");
        let facts: Vec<_> = markup_texts(body).collect();
        assert_eq!(facts.len(), body.to_string().matches("\"mrkdwn\"").count(), "{what}");
        facts.into_iter().for_each(|text| assert_inert(text, what));
        for url in texts(body, "url") {
            assert!(!leads_astray(url), "{what}: {url}");
        }
    });
}

/// Returns the lines of facts, the only texts that Slack parses.
fn markup_texts(body: &Value) -> impl Iterator<Item = &str> {
    let blocks = body["attachments"].as_array().into_iter().flatten().flat_map(|part| part["blocks"].as_array());
    let contexts = blocks.flatten().filter(|block| block["type"] == "context");
    let elements = contexts.flat_map(|block| block["elements"].as_array()).flatten();
    elements.filter(|element| element["type"] == "mrkdwn").filter_map(|element| element["text"].as_str())
}

/// A link or code that Hookbell wrote.
static OWN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]+`|<https?://[^|<>\s]+\|[^<>]*>").unwrap());

/// Asserts that a line of facts has no markup of untrusted users.
fn assert_inert(text: &str, what: &str) {
    let links = Regex::new(r"<(https?://[^|]+)\|").unwrap();
    links.captures_iter(text).for_each(|link| assert!(!leads_astray(&link[1]), "{what}: {text}"));
    let rest: Vec<char> = OWN.replace_all(text, "").chars().collect();
    for (n, c) in rest.iter().enumerate() {
        assert!(!matches!(c, '<' | '>'), "{what}: {text}");
        if matches!(c, '*' | '_' | '~' | '`') {
            let joined = |at: usize| rest.get(at) == Some(&'\u{2060}');
            assert!(joined(n - 1) && joined(n + 1), "{what}: {text}");
        }
    }
}

#[test]
fn any_message_fits_the_limits() {
    hold_against_sizes(encode, check);
}

#[test]
fn drawn_samples() {
    for name in ["push", "pull_request.opened", "pull_request.merged"] {
        let body: Value = serde_json::from_str(&encode(&sample(name))).unwrap();
        insta::assert_json_snapshot!(format!("slack_{name}"), body);
    }
    let line: Value = serde_json::from_str(&encode(&sample("push").into_line())).unwrap();
    insta::assert_json_snapshot!("slack_line", line);
}

#[test]
fn rejected_slack_message_is_sent_as_plain_text() {
    let plain: Value = serde_json::from_str(&fallback::plain(&encode(&sample("push"))).unwrap()).unwrap();
    insta::assert_json_snapshot!("slack_plain", plain);
}

#[test]
fn every_error_word_has_its_outcome() {
    let cases = [
        (200, "ok", "delivered None None"),
        (200, "ok\n", "delivered None None"),
        (200, "no_service", "closed gone"),
        (404, "no_service", "closed gone"),
        (404, "no_active_hooks", "closed gone"),
        (404, "no_team", "closed gone"),
        (403, "invalid_token", "closed gone"),
        (404, "channel_not_found", "closed gone"),
        (410, "channel_is_archived", "closed gone"),
        (403, "action_prohibited", "closed forbidden"),
        (403, "posting_to_general_channel_denied", "closed forbidden"),
        (400, "user_not_found", "closed gone"),
        (400, "invalid_payload", "rejected invalid_message"),
        (400, "invalid_blocks", "rejected invalid_message"),
        (400, "no_text", "rejected invalid_message"),
        (400, "missing_text_or_fallback_or_attachments", "rejected invalid_message"),
        (400, "too_many_attachments", "rejected invalid_message"),
        (500, "rollup_error", "retry server_error None"),
        (400, "rollup_error", "retry server_error None"),
        (500, "", "retry server_error None"),
        (503, "<html>", "retry server_error None"),
        (429, "", "retry rate_limited None"),
        (404, "something new", "closed gone"),
        (400, "something new", "rejected unexpected"),
        (200, "<html>login</html>", "retry not_the_chat None"),
        (200, "something else", "retry not_the_chat None"),
        (403, "<!DOCTYPE html><html>blocked</html>", "retry not_the_chat None"),
        (404, "<html>", "retry not_the_chat None"),
        (413, "<html>", "retry not_the_chat None"),
        (302, "<HTML>", "retry not_the_chat None"),
        (403, "error code: 1015", "retry not_the_chat None"),
        (405, "", "retry unexpected None"),
        (302, "", "closed unexpected"),
    ];
    for (status, word, expected) in cases {
        assert_eq!(short(&answer::outcome(&answer(status, &[], word))), expected, "{status} {word}");
    }
    let waits = |value: &str| short(&answer::outcome(&answer(429, &[("retry-after", value)], "")));
    assert_eq!(waits("30"), "retry rate_limited Some(30s)");
    assert_eq!(waits("1.5"), "retry rate_limited Some(1.5s)");
    assert_eq!(waits("Fri, 20 Nov 2020 10:00:00 GMT"), "retry rate_limited Some(0ns)");
    assert_eq!(waits("999999999"), "retry rate_limited Some(3600s)");
    assert_eq!(waits("soon"), "retry rate_limited None");
}

#[test]
fn pings_are_below_the_headline() {
    let elements = serde_json::json!([
        { "type": "user", "user_id": "U0B" },
        { "type": "text", "text": " " },
        { "type": "usergroup", "usergroup_id": "S0R" },
        { "type": "text", "text": " " },
        { "type": "user", "user_id": "U0H" },
    ]);
    for message in [pinging(), pinging().into_line()] {
        let body: Value = serde_json::from_str(&encode(&message)).unwrap();
        let last = body["blocks"].as_array().unwrap().last().unwrap();
        assert_eq!(last["elements"][0]["elements"], elements);
        check(&body, "a ping");
    }
}

#[test]
fn fallbacks_keep_links_and_can_drop_pictures() {
    let drawn = encode(&sample("pull_request.opened"));
    let plain: Value = serde_json::from_str(&fallback::plain(&drawn).unwrap()).unwrap();
    let texts: Vec<_> = plain["blocks"].as_array().unwrap().iter().filter_map(|b| b["text"]["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("<https://bitbucket.org/acme/api/pull-requests/482>")), "{texts:?}");
    assert!(drawn.contains("\"image\"") && !fallback::without_pictures(&drawn).unwrap().contains("\"image\""));
    let without = encode(&Message { avatar: None, ..sample("pull_request.opened") });
    assert_eq!(fallback::without_pictures(&without), None, "the message has no picture");
    let picture = json!({ "type": "image", "image_url": "https://x.example/a.png", "alt_text": "a" });
    let own = json!({ "text": "t", "blocks": [
        picture,
        { "type": "section", "text": { "type": "mrkdwn", "text": "<https://x.example/b|b> &amp; c" }, "accessory": picture },
        { "type": "context", "elements": [picture, { "type": "plain_text", "text": "d" }] },
        { "type": "context", "elements": [picture] },
    ]});
    let left: Value = serde_json::from_str(&fallback::without_pictures(&own.to_string()).unwrap()).unwrap();
    assert_eq!(
        left["blocks"],
        json!([
            { "type": "section", "text": { "type": "mrkdwn", "text": "<https://x.example/b|b> &amp; c" } },
            { "type": "context", "elements": [{ "type": "plain_text", "text": "d" }] },
        ])
    );
    let plain: Value = serde_json::from_str(&fallback::plain(&own.to_string()).unwrap()).unwrap();
    assert_eq!(plain["blocks"][1]["text"]["text"], "<https://x.example/b>");
}

#[test]
fn fallback_text_pings_the_same_people() {
    let plain: Value = serde_json::from_str(&fallback::plain(&encode(&pinging())).unwrap()).unwrap();
    assert_eq!(plain["blocks"][0]["text"]["text"], "Ana Ruiz opened #482 Add rate limits in acme/api");
    assert_eq!(plain["blocks"][1]["text"]["text"], "<@U0B> <!subteam^S0R> <@U0H>");
    // Marks that a custom template writes, and untrusted text in places without markup.
    let own = serde_json::json!({
        "text": "<@U0B>, look: a &lt;@U0X&gt;",
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": "<!subteam^S0R> &lt;@U0X&gt;" } },
            { "type": "section", "text": { "type": "plain_text", "text": "<@U0X>" } },
        ],
    });
    let plain: Value = serde_json::from_str(&fallback::plain(&own.to_string()).unwrap()).unwrap();
    assert_eq!(plain["blocks"][0]["text"]["text"], ", look: a <@U0X>");
    assert_eq!(plain["blocks"][1]["text"]["text"], "<@U0B> <!subteam^S0R>");
    assert_eq!(plain["blocks"][2], Value::Null);
}

#[test]
fn a_fact_that_pings_is_in_the_message_and_nowhere_else() {
    let drawn = encode(&pinging_fact());
    let body: Value = serde_json::from_str(&drawn).unwrap();
    let fact = body["blocks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        fact["elements"][0]["elements"],
        json!([
            { "type": "text", "text": "Reviewers", "style": { "bold": true } },
            { "type": "text", "text": "  " },
            { "type": "user", "user_id": "U0B" },
            { "type": "text", "text": ", " },
            { "type": "text", "text": "Cy Okafor" },
        ])
    );
    assert_eq!((drawn.matches("Reviewers").count(), drawn.matches("U0B").count()), (1, 1));
}

#[test]
fn links_are_buttons_only_where_the_app_handles_interactions() {
    let message = sample("pull_request.comment_added");
    let (links, buttons) = (fitted(&message, false), fitted(&message, true));
    assert!(links.contains("View comment") && !links.contains("actions"), "{links}");
    assert!(buttons.contains("View comment") && buttons.contains("\"actions\""), "{buttons}");
    check(&serde_json::from_str(&buttons).unwrap(), "buttons");
    assert!(!encode(&sample("pull_request.opened")).contains("Review\""), "the headline has this link");
}

#[test]
fn emoji_names_in_facts_are_text() {
    let value = vec![crate::message::Inline::Text(":tada: 12:30 a:b:c".to_owned())];
    let fields = vec![crate::message::Field { name: "Branch".to_owned(), value }];
    let drawn = encode(&Message { fields, ..sample("pull_request.approved") });
    assert!(drawn.contains(":\u{2060}tada: 12:30 a:\u{2060}b:c"), "{drawn}");
}
