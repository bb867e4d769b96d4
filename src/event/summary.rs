//! One-line summaries of events, for lists and alerts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Title, actor and URL of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Object that the event is about: `#12 Add rate limits`, or the name of a branch, tag or build.
    pub title: Option<String>,
    /// Name of the account that triggered the event.
    pub actor: Option<String>,
    /// URL of the event's page on the host.
    pub url: Option<String>,
}

impl Summary {
    /// Summarizes the JSON that an [`Event`](super::Event) serializes to.
    pub fn of(event: &Value) -> Self {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let numbered = |pointer: &str| {
            let number = event.pointer(pointer)?.get("id")?.as_u64()?;
            let title = event.pointer(pointer)?.get("title").and_then(Value::as_str).unwrap_or_default();
            // Issues have the sign of most hosts everywhere.
            let sign = text("/words/sign").filter(|_| pointer == "/pull_request").unwrap_or_else(|| "#".to_owned());
            Some(format!("{sign}{number} {title}").trim_end().to_owned())
        };
        let title = numbered("/pull_request")
            .or_else(|| numbered("/issue"))
            .or_else(|| text("/build/name"))
            .or_else(|| Some(format!("pipeline #{}", event.pointer("/pipeline/number")?)))
            .or_else(|| text("/push/branch"))
            .or_else(|| text("/push/tag"))
            .or_else(|| text("/build/branch"))
            .or_else(|| text("/commit/subject"))
            .or_else(|| text("/alert/title"));
        let pages = ["comment", "pull_request", "issue", "build", "pipeline", "push", "commit", "repository"];
        let url = pages.iter().find_map(|part| text(&format!("/{part}/url")));
        Self { title, actor: text("/actor/name"), url }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn most_specific_part_decides_title_and_url() {
        let event = json!({
            "actor": { "name": "Dee" }, "repository": { "url": "https://r" },
            "pull_request": { "id": 7, "title": "Limits", "url": "https://p" }, "comment": { "url": "https://c" },
        });
        let of = |title: &str, actor: Option<&str>, url: &str| Summary {
            title: Some(title.to_owned()),
            actor: actor.map(ToOwned::to_owned),
            url: Some(url.to_owned()),
        };
        assert_eq!(Summary::of(&event), of("#7 Limits", Some("Dee"), "https://c"));
        let merge_request = json!({ "words": { "sign": "!" }, "pull_request": { "id": 7, "title": "Limits" } });
        assert_eq!(Summary::of(&merge_request).title.as_deref(), Some("!7 Limits"));
        let push =
            json!({ "repository": { "url": "https://r" }, "push": { "branch": null, "tag": "v1", "url": null } });
        assert_eq!(Summary::of(&push), of("v1", None, "https://r"));
        assert_eq!(Summary::of(&json!({ "pipeline": { "number": 3 } })).title.as_deref(), Some("pipeline #3"));
        assert_eq!(Summary::of(&json!({})), Summary::default());
    }
}
