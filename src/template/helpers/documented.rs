//! Arguments, description and example of every helper, for the lint and for the generated `docs/helpers.md`.

use serde_json::Value;

/// Documentation of a helper, with the limits that the lint checks.
pub struct Documented {
    /// Helper name, as written in templates.
    pub name: &'static str,
    /// Minimum number of arguments.
    pub least: usize,
    /// Maximum number of arguments; `usize::MAX` if there is no limit.
    pub most: usize,
    /// Zero-based indexes of arguments that must be whole numbers.
    pub numbers: &'static [usize],
    /// Accepted options, such as `more` in `more=true`.
    pub options: &'static [&'static str],
    /// True if arguments may be missing, because the helper tests them or falls back from one to the next.
    pub may_miss: bool,
    /// Example call.
    pub example: &'static str,
    /// Output of the example call for the event that [`example`] returns.
    pub gives: &'static str,
    /// Description, one sentence.
    pub about: &'static str,
}

impl Documented {
    /// Describes the accepted number of arguments: `2 to 3 arguments`.
    pub(in crate::template) fn takes(&self) -> String {
        let arguments = |n: usize| format!("{n} argument{}", if n == 1 { "" } else { "s" });
        match (self.least, self.most) {
            (least, most) if least == most => arguments(least),
            (least, usize::MAX) => format!("at least {}", arguments(least)),
            (least, most) => format!("{least} to {}", arguments(most)),
        }
    }
}

/// Returns the event that the examples use, shortened.
pub fn example() -> Value {
    serde_json::json!({
        "kind": "push", "key": "repo:push", "time": "2026-11-24T13:05:09Z",
        "actor": { "name": "Ana Ruiz" },
        "repository": { "full_name": "acme/api", "url": "https://bitbucket.org/acme/api", "description": null },
        "push": {
            "branch": "feature/_limits_", "count": 3, "truncated": false, "forced": false,
            "new": "f672147161e29990283e2acfa39b8ab06e2b359c",
            "commits": [
                { "subject": "Fix login timeout", "message": "Fix login timeout\n\nSee #42" },
                { "subject": "Test it", "message": "Test it" },
            ],
        },
        "pull_request": {
            "title": "Add [rate] limits", "description": "Counts **per token**.",
            "reviewers": [{ "name": "Bo Lindqvist" }, { "name": "Cy Okafor" }],
        },
    })
}

/// Creates a helper that takes `least` to `most` arguments.
const fn helper(
    name: &'static str,
    least: usize,
    most: usize,
    example: &'static str,
    gives: &'static str,
    about: &'static str,
) -> Documented {
    Documented { name, least, most, numbers: &[], options: &[], may_miss: false, example, gives, about }
}

impl Documented {
    const fn numbers(self, numbers: &'static [usize]) -> Self {
        Self { numbers, ..self }
    }

    const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn may_miss(self) -> Self {
        Self { may_miss: true, ..self }
    }
}

/// All helpers: those of Handlebars, then Hookbell's own.
pub static HELPERS: &[Documented] = &[
    helper("if", 1, 1, "{{#if push.forced}}forced{{else}}as usual{{/if}}", "as usual", "renders the block if the value is true; missing, null, `false`, `0` and empty values count as false").options(&["includeZero"]).may_miss(),
    helper("unless", 1, 1, "{{#unless push.forced}}as usual{{/unless}}", "as usual", "renders the block if the value counts as false").options(&["includeZero"]).may_miss(),
    helper("each", 1, 1, "{{#each push.commits}}{{subject}}. {{/each}}", "Fix login timeout. Test it.", "renders the block once per list item; sets `{{@index}}`, `{{@first}}` and `{{@last}}`; renders `{{else}}` if the list is empty").may_miss(),
    helper("with", 1, 1, "{{#with push}}{{branch}}{{/with}}", "feature/_limits_", "renders the block with names looked up in the value").may_miss(),
    helper("lookup", 2, 2, "{{lookup repository \"full_name\"}}", "acme/api", "looks up a field by name, or a list item by index; the name or index can be a value itself").may_miss(),
    helper("eq", 2, 2, "{{#if (eq push.count 3)}}three{{/if}}", "three", "true if both values are equal; numbers and numeric texts compare as numbers").may_miss(),
    helper("ne", 2, 2, "{{#if (ne push.count 3)}}not three{{else}}three{{/if}}", "three", "true if the values are not equal").may_miss(),
    helper("gt", 2, 2, "{{#if (gt push.count 2)}}many{{/if}}", "many", "true if the first value is greater").may_miss(),
    helper("gte", 2, 2, "{{#if (gte push.count 3)}}many{{/if}}", "many", "true if the first value is greater or equal").may_miss(),
    helper("lt", 2, 2, "{{#if (lt push.count 2)}}one{{else}}many{{/if}}", "many", "true if the first value is less").may_miss(),
    helper("lte", 2, 2, "{{#if (lte push.count 3)}}few{{/if}}", "few", "true if the first value is less or equal").may_miss(),
    helper("and", 1, usize::MAX, "{{#if (and push.count push.forced)}}forced{{else}}not both{{/if}}", "not both", "true if all values count as true").may_miss(),
    helper("or", 1, usize::MAX, "{{#if (or push.count push.forced)}}either{{/if}}", "either", "true if at least one value counts as true").may_miss(),
    helper("not", 1, 1, "{{#if (not push.forced)}}as usual{{/if}}", "as usual", "true if the value counts as false").may_miss(),
    helper("len", 1, 1, "{{len push.commits}}", "2", "number of items in a list, or of characters in a text").may_miss(),
    helper("truncate", 2, 2, "{{truncate pull_request.title 12}}", "Add [rate]…", "shortens a text to at most this many characters, between words").numbers(&[1]),
    helper("first_line", 1, 1, "{{first_line push.commits.0.message}}", "Fix login timeout", "first line of a text"),
    helper("short_hash", 1, 1, "{{short_hash push.new}}", "f672147", "first seven characters of a hash"),
    helper("plural", 2, 3, "{{plural push.count \"commit\"}}", "3 commits", "a number, or the length of a list, followed by the noun; add the plural if it is irregular; `more=push.truncated` gives `3+ commits`").options(&["more"]),
    helper("join", 2, 3, "{{join pull_request.reviewers \", \" \"name\"}}", "Bo Lindqvist, Cy Okafor", "joins a list into one text; for a list of objects, add the key to use; `max=3` gives the first three, then `and 37 more`").options(&["max"]),
    helper("default", 1, usize::MAX, "{{default repository.description \"no description\"}}", "no description", "first value that is not empty").may_miss(),
    helper("date", 1, 2, "{{date time \"%-d %b %Y, %H:%M\"}}", "24 Nov 2026, 13:05", "formats a time in UTC with a `strftime` format; the default is `2026-11-24 13:05`"),
    helper("ago", 1, 1, "{{ago time}}", "just now", "time elapsed between the value and the event: `3 h ago`, `2 d ago`"),
    helper("link", 2, 2, "{{link repository.url repository.full_name}}", "acme/api", "link with a URL and a text; only the text if the URL is invalid"),
    helper("code", 1, 1, "{{code push.branch}}", "feature/_limits_", "inline code; the text is escaped"),
    helper("markdown", 1, 2, "{{markdown pull_request.description}}", "Counts per token.", "renders Markdown written by the host's users, without misleading links and images; `{{markdown text 400}}` shortens it to 400 characters").numbers(&[1]),
    helper("plain", 1, 1, "{{plain pull_request.description}}", "Counts per token.", "Markdown written by the host's users as plain text: one line, without markup and quotes"),
    helper("mention", 1, 1, "{{mention pull_request.reviewers}}", "Bo Lindqvist, Cy Okafor", "name of an account, or names of a list of accounts; pings people listed in `[people]`, but never the actor"),
    helper("json", 1, 1, "{{json push.count}}", "3", "formats a value as JSON, for chat-native templates"),
    helper("skip", 0, 1, "{{#if push.forced}}{{skip \"forced\"}}{{/if}}posted", "posted", "stops rendering; the message is not sent, for this reason"),
];
