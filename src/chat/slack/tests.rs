use serde_json::{Value, json};

use super::*;
use crate::chat::testing::{
    answer, assert_clean, hold_against_sizes, hold_against_strangers, leads_astray, pinging, sample, short, texts,
    utf16,
};

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
        assert!(!body.to_string().contains("mrkdwn"), "{what}");
        for url in texts(body, "url") {
            assert!(!leads_astray(url), "{what}: {url}");
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
        assert_eq!(body["blocks"][1]["elements"][0]["elements"], elements);
        check(&body, "a ping");
    }
}

#[test]
fn fallbacks_keep_links_and_can_drop_pictures() {
    let drawn = encode(&sample("pull_request.opened"));
    let plain: Value = serde_json::from_str(&fallback::plain(&drawn).unwrap()).unwrap();
    let texts: Vec<_> = plain["blocks"].as_array().unwrap().iter().filter_map(|b| b["text"]["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("<https://bitbucket.org/acme/api/pull-requests/482>")), "{texts:?}");
    assert_eq!(fallback::without_pictures(&drawn), None, "the message has no picture");
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
