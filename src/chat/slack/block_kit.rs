//! Block Kit rules for bodies of custom templates: types, required and allowed fields, lengths
//! (<https://docs.slack.dev/reference/block-kit>). Slack rejects other bodies with `invalid_blocks`.

use serde_json::{Map, Value};

use super::limits;
use crate::chat::native::{BodyError, at_most};
use crate::problem::nearest;
use crate::text::units;

/// Type of a block or an element, with its fields. `None` for types whose fields are not checked.
struct Sort {
    name: &'static str,
    fields: Option<Fields>,
}

struct Fields {
    required: &'static [&'static str],
    /// At least one of these is required, if there are any.
    one_of: &'static [&'static str],
    optional: &'static [&'static str],
}

const fn sort(
    name: &'static str,
    required: &'static [&'static str],
    one_of: &'static [&'static str],
    optional: &'static [&'static str],
) -> Sort {
    Sort { name, fields: Some(Fields { required, one_of, optional }) }
}

const fn known(name: &'static str) -> Sort {
    Sort { name, fields: None }
}

const BLOCKS: &[Sort] = &[
    sort("section", &[], &["text", "fields"], &["accessory", "expand"]),
    sort("divider", &[], &[], &[]),
    sort("header", &["text"], &[], &["level"]),
    sort("context", &["elements"], &[], &[]),
    sort("actions", &["elements"], &[], &[]),
    sort("image", &["alt_text"], &["image_url", "slack_file"], &["title"]),
    sort("markdown", &["text"], &[], &[]),
    sort("rich_text", &["elements"], &[], &[]),
    sort("file", &["external_id", "source"], &[], &[]),
    sort("input", &["label", "element"], &[], &["dispatch_action", "hint", "optional"]),
    sort("table", &["rows"], &[], &["column_settings"]),
    sort(
        "video",
        &["alt_text", "title", "thumbnail_url", "video_url"],
        &[],
        &["author_name", "description", "provider_icon_url", "provider_name", "title_url"],
    ),
    known("alert"),
    known("card"),
    known("carousel"),
    known("container"),
    known("context_actions"),
    known("data_table"),
    known("plan"),
    known("task_card"),
];

/// Elements of `actions`, and of a section's `accessory`.
const ELEMENTS: &[Sort] = &[
    sort("button", &["text"], &[], &["action_id", "url", "value", "style", "confirm", "accessibility_label"]),
    sort("image", &["alt_text"], &["image_url", "slack_file"], &[]),
    known("channels_select"),
    known("checkboxes"),
    known("conversations_select"),
    known("datepicker"),
    known("datetimepicker"),
    known("external_select"),
    known("multi_channels_select"),
    known("multi_conversations_select"),
    known("multi_external_select"),
    known("multi_static_select"),
    known("multi_users_select"),
    known("overflow"),
    known("radio_buttons"),
    known("static_select"),
    known("timepicker"),
    known("users_select"),
    known("workflow_button"),
];

/// Elements of `context`.
const CONTEXT: &[Sort] = &[
    sort("image", &["alt_text"], &["image_url", "slack_file"], &[]),
    sort("mrkdwn", &["text"], &[], &["verbatim"]),
    sort("plain_text", &["text"], &[], &["emoji"]),
];

/// Elements of `rich_text`.
const RICH: &[Sort] = &[
    sort("rich_text_section", &["elements"], &[], &[]),
    sort("rich_text_list", &["style", "elements"], &[], &["indent", "offset", "border"]),
    sort("rich_text_preformatted", &["elements"], &[], &["border", "language"]),
    sort("rich_text_quote", &["elements"], &[], &["border"]),
];

/// Elements within the elements of `rich_text`.
const INLINE: &[Sort] = &[
    sort("text", &["text"], &[], &["style"]),
    sort("link", &["url"], &[], &["text", "unsafe", "style"]),
    sort("emoji", &["name"], &[], &["unicode", "skin_tone", "style"]),
    sort("user", &["user_id"], &[], &["style"]),
    sort("usergroup", &["usergroup_id"], &[], &["style"]),
    sort("channel", &["channel_id"], &[], &["style"]),
    sort("broadcast", &["range"], &[], &["style"]),
    sort("date", &["timestamp", "format"], &[], &["url", "fallback", "style"]),
    sort("color", &["value"], &[], &["style"]),
    sort("team", &["team_id"], &[], &["style"]),
];

/// Text objects of both types.
const TEXTS: &[Sort] = &[sort("plain_text", &["text"], &[], &["emoji"]), sort("mrkdwn", &["text"], &[], &["verbatim"])];

/// Text objects where only plain text is allowed.
const PLAIN: &[Sort] = &[sort("plain_text", &["text"], &[], &["emoji"])];

/// Checks all blocks of a message, including those of its attachments.
pub(super) fn check(body: &Value) -> Result<(), BodyError> {
    if let Some(found) = body.get("blocks") {
        blocks(found, "blocks")?;
    }
    let attachments = body.get("attachments").and_then(Value::as_array).into_iter().flatten();
    for (n, attachment) in attachments.enumerate() {
        if let Some(found) = attachment.get("blocks") {
            blocks(found, &format!("attachments[{n}].blocks"))?;
        }
    }
    Ok(())
}

fn blocks(found: &Value, path: &str) -> Result<(), BodyError> {
    let found = list(found, path)?;
    at_most(&format!("`{path}`"), found.len(), limits::BLOCKS, "blocks")?;
    found.iter().enumerate().try_for_each(|(n, found)| block(found, &format!("{path}[{n}]")))
}

fn block(found: &Value, path: &str) -> Result<(), BodyError> {
    let (sort, object) = typed(found, BLOCKS, &["block_id"], path)?;
    at_most_units(object, "block_id", limits::ID, path)?;
    match sort {
        "section" => {
            text(object, "text", TEXTS, limits::TEXT, path)?;
            if let Some(fields) = object.get("fields") {
                let path = format!("{path}.fields");
                let fields = list(fields, &path)?;
                at_most(&format!("`{path}`"), fields.len(), limits::FIELDS, "fields")?;
                for (n, field) in fields.iter().enumerate() {
                    text_object(field, TEXTS, limits::FIELD, &format!("{path}[{n}]"))?;
                }
            }
            object.get("accessory").map_or(Ok(()), |found| element(found, ELEMENTS, &format!("{path}.accessory")))
        }
        "header" => text(object, "text", PLAIN, limits::HEADER, path),
        "context" => each(object, path, limits::CONTEXT, |found, path| element(found, CONTEXT, path)),
        "actions" => each(object, path, limits::BUTTONS, |found, path| element(found, ELEMENTS, path)),
        "image" => {
            text(object, "title", PLAIN, limits::ALT, path)?;
            image(object, path)
        }
        "markdown" => at_most_units(object, "text", limits::MARKDOWN, path),
        "rich_text" => each(object, path, usize::MAX, rich),
        _ => Ok(()),
    }
}

fn element(found: &Value, sorts: &'static [Sort], path: &str) -> Result<(), BodyError> {
    match typed(found, sorts, &[], path)? {
        ("button", object) => {
            text(object, "text", PLAIN, limits::LABEL, path)?;
            at_most_units(object, "action_id", limits::ID, path)?;
            at_most_units(object, "url", limits::TEXT, path)?;
            one_of(object, "style", &["primary", "danger"], path)
        }
        ("image", object) => image(object, path),
        (_, object) => at_most_units(object, "text", limits::TEXT, path),
    }
}

fn rich(found: &Value, path: &str) -> Result<(), BodyError> {
    let (sort, object) = typed(found, RICH, &[], path)?;
    if sort == "rich_text_list" {
        one_of(object, "style", &["bullet", "ordered"], path)?;
        return each(object, path, usize::MAX, rich);
    }
    each(object, path, usize::MAX, |found, path| typed(found, INLINE, &[], path).map(|_| ()))
}

fn image(object: &Map<String, Value>, path: &str) -> Result<(), BodyError> {
    at_most_units(object, "alt_text", limits::ALT, path)?;
    at_most_units(object, "image_url", limits::TEXT, path)
}

/// Checks each of `elements`.
fn each(
    object: &Map<String, Value>,
    path: &str,
    most: usize,
    check: impl Fn(&Value, &str) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    let path = format!("{path}.elements");
    let found = list(object.get("elements").unwrap_or(&Value::Null), &path)?;
    at_most(&format!("`{path}`"), found.len(), most, "elements")?;
    found.iter().enumerate().try_for_each(|(n, found)| check(found, &format!("{path}[{n}]")))
}

fn text(
    object: &Map<String, Value>,
    key: &str,
    sorts: &'static [Sort],
    most: usize,
    path: &str,
) -> Result<(), BodyError> {
    object.get(key).map_or(Ok(()), |found| text_object(found, sorts, most, &format!("{path}.{key}")))
}

fn text_object(found: &Value, sorts: &'static [Sort], most: usize, path: &str) -> Result<(), BodyError> {
    let (_, object) = typed(found, sorts, &[], path)?;
    at_most_units(object, "text", most, path)?;
    if object.get("text").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(BodyError::Empty { path: format!("{path}.text"), chat: "Slack" });
    }
    Ok(())
}

/// Checks that an object has one of these types, its required fields, and no unknown fields.
fn typed<'a>(
    found: &'a Value,
    sorts: &'static [Sort],
    common: &[&str],
    path: &str,
) -> Result<(&'static str, &'a Map<String, Value>), BodyError> {
    let object = found.as_object().ok_or_else(|| wrong_type(path, "an object"))?;
    let known = || sorts.iter().map(|sort| sort.name).collect::<Vec<_>>();
    let Some(name) = object.get("type").and_then(Value::as_str) else {
        return Err(BodyError::NoType { path: path.to_owned(), known: known() });
    };
    let Some(sort) = sorts.iter().find(|sort| sort.name == name) else {
        let (known, path) = (known(), path.to_owned());
        let near = nearest(name, known.iter().copied());
        return Err(BodyError::UnknownType { path, name: name.to_owned(), near, known: known.clone() });
    };
    let Some(fields) = &sort.fields else { return Ok((sort.name, object)) };
    let has = |key: &&&str| object.get(**key).is_some_and(|value| !value.is_null());
    if let Some(missing) = fields.required.iter().find(|key| !has(key)) {
        return Err(BodyError::MissingField { path: path.to_owned(), of: sort.name, fields: vec![*missing] });
    }
    if !fields.one_of.is_empty() && !fields.one_of.iter().any(|key| has(&key)) {
        return Err(BodyError::MissingField { path: path.to_owned(), of: sort.name, fields: fields.one_of.to_vec() });
    }
    let allowed = || {
        let own = fields.required.iter().chain(fields.one_of).chain(fields.optional);
        own.chain(common).copied().chain(["type"])
    };
    if let Some(unknown) = object.keys().find(|key| !allowed().any(|known| known == key.as_str())) {
        let (path, near) = (path.to_owned(), nearest(unknown, allowed()).map(ToOwned::to_owned));
        return Err(BodyError::UnknownField { path, of: sort.name, field: unknown.clone(), near });
    }
    Ok((sort.name, object))
}

fn list<'a>(found: &'a Value, path: &str) -> Result<&'a [Value], BodyError> {
    found.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(path, "a list"))
}

fn wrong_type(path: &str, expected: &'static str) -> BodyError {
    BodyError::WrongType { path: path.to_owned(), expected }
}

fn at_most_units(object: &Map<String, Value>, key: &str, most: usize, path: &str) -> Result<(), BodyError> {
    match object.get(key) {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(Value::String(text)) => at_most(&format!("`{path}.{key}`"), units(text), most, "characters"),
        Some(_) => Err(wrong_type(&format!("{path}.{key}"), "a string")),
    }
}

fn one_of(object: &Map<String, Value>, key: &str, known: &'static [&'static str], path: &str) -> Result<(), BodyError> {
    match object.get(key) {
        None => Ok(()),
        Some(found) if known.iter().any(|known| found == known) => Ok(()),
        Some(found) => Err(BodyError::UnknownValue { path: format!("{path}.{key}"), found: found.to_string(), known }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn valid_block_kit_passes() {
        let body = json!({ "text": "t", "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": "T", "emoji": true } },
            { "type": "section", "block_id": "b", "text": { "type": "mrkdwn", "text": "*t*" },
              "fields": [{ "type": "plain_text", "text": "f" }],
              "accessory": { "type": "image", "image_url": "https://x.example/a.png", "alt_text": "a" } },
            { "type": "divider" },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": "c" },
              { "type": "image", "image_url": "https://x.example/a.png", "alt_text": "a" }] },
            { "type": "actions", "elements": [{ "type": "button", "action_id": "a", "url": "https://x.example",
              "text": { "type": "plain_text", "text": "Go" }, "style": "primary" }] },
            { "type": "rich_text", "elements": [
              { "type": "rich_text_section", "elements": [{ "type": "text", "text": "a" }, { "type": "user", "user_id": "U1" }] },
              { "type": "rich_text_list", "style": "bullet", "elements": [
                { "type": "rich_text_section", "elements": [{ "type": "link", "url": "https://x.example" }] }] }] },
            { "type": "markdown", "text": "**m**" },
            { "type": "card", "whatever": 1 },
        ], "attachments": [{ "color": "good", "blocks": [{ "type": "divider" }] }] });
        assert_eq!(check(&body), Ok(()));
    }

    #[test]
    fn block_kit_errors_have_their_path() {
        let text = json!({ "type": "mrkdwn", "text": "t" });
        let plain = json!({ "type": "plain_text", "text": "t" });
        for (block, expected) in [
            (
                json!({ "type": "sektion", "text": text }),
                "`blocks[0].type`: `sektion` is not valid here; did you mean `section`?",
            ),
            (json!({ "text": text }), "`blocks[0]` has no `type`; expected one of: section, "),
            (json!("x"), "`blocks[0]` must be an object"),
            (json!({ "type": "section" }), "`blocks[0]`: `section` requires `text` or `fields`"),
            (json!({ "type": "section", "text": "t" }), "`blocks[0].text` must be an object"),
            (
                json!({ "type": "section", "text": { "type": "markdown", "text": "t" } }),
                "`blocks[0].text.type`: `markdown` is not valid here",
            ),
            (json!({ "type": "section", "text": { "type": "mrkdwn", "text": "" } }), "`blocks[0].text.text` is empty"),
            (
                json!({ "type": "section", "txt": plain, "text": text }),
                "`blocks[0]`: unknown field `txt` in `section`; did you mean `text`?",
            ),
            (json!({ "type": "header", "text": text }), "`blocks[0].text.type`: `mrkdwn` is not valid here"),
            (
                json!({ "type": "header", "text": { "type": "plain_text", "text": "x".repeat(151) } }),
                "`blocks[0].text.text` has 151 characters; the maximum is 150",
            ),
            (
                json!({ "type": "context", "elements": vec![text.clone(); 11] }),
                "`blocks[0].elements` has 11 elements; the maximum is 10",
            ),
            (
                json!({ "type": "context", "elements": [{ "type": "button", "text": plain }] }),
                "`blocks[0].elements[0].type`: `button` is not valid here",
            ),
            (
                json!({ "type": "actions", "elements": [{ "type": "button", "text": text }] }),
                "`blocks[0].elements[0].text.type`: `mrkdwn`",
            ),
            (
                json!({ "type": "actions", "elements": [{ "type": "button", "text": plain, "style": "blue" }] }),
                "expected one of: primary, danger",
            ),
            (json!({ "type": "actions", "elements": "x" }), "`blocks[0].elements` must be a list"),
            (json!({ "type": "image", "image_url": "https://x.example" }), "`image` requires `alt_text`"),
            (
                json!({ "type": "rich_text", "elements": [{ "type": "rich_text_list", "style": "dots", "elements": [] }] }),
                "expected one of: bullet, ordered",
            ),
            (
                json!({ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [{ "type": "txt" }] }] }),
                "`blocks[0].elements[0].elements[0].type`: `txt` is not valid here",
            ),
        ] {
            let error = check(&json!({ "blocks": [block] })).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let error = check(&json!({ "attachments": [{ "blocks": [{ "type": "dividr" }] }] })).unwrap_err().to_string();
        assert!(error.starts_with("`attachments[0].blocks[0].type`"), "{error}");
        assert!(check(&json!({ "blocks": {} })).unwrap_err().to_string().contains("`blocks` must be a list"));
    }
}
