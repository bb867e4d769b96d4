//! Every helper, with what it takes, what it does, and an example: for the lint, and for the documentation.

use serde_json::Value;

/// A helper, for whoever calls it.
pub struct Documented {
    /// Its name.
    pub name: &'static str,
    /// The fewest arguments that it takes.
    pub least: usize,
    /// The most.
    pub most: usize,
    /// Arguments, counted from 0, that are whole numbers.
    pub numbers: &'static [usize],
    /// Options that it takes: `more=true`.
    pub options: &'static [&'static str],
    /// Its arguments are asked about, or stand in for each other: they may be missing.
    pub may_miss: bool,
    /// A call.
    pub example: &'static str,
    /// What that gives, of [`example`].
    pub gives: &'static str,
    /// What it does.
    pub about: &'static str,
}

impl Documented {
    /// How many arguments it takes, in words.
    pub(in crate::template) fn takes(&self) -> String {
        let arguments = |n: usize| format!("{n} argument{}", if n == 1 { "" } else { "s" });
        match (self.least, self.most) {
            (least, most) if least == most => arguments(least),
            (least, usize::MAX) => format!("at least {}", arguments(least)),
            (least, most) => format!("{least} to {}", arguments(most)),
        }
    }
}

/// The event that the examples are of, in short.
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

/// Takes so many arguments, from the fewest to the most.
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

/// Every helper: Handlebars' own, then ours.
pub static HELPERS: &[Documented] = &[
    helper("if", 1, 1, "{{#if push.forced}}forced{{else}}as usual{{/if}}", "as usual", "what is between, if it holds something: neither missing, null, false, 0 nor empty").options(&["includeZero"]).may_miss(),
    helper("unless", 1, 1, "{{#unless push.forced}}as usual{{/unless}}", "as usual", "what is between, if it does not").options(&["includeZero"]).may_miss(),
    helper("each", 1, 1, "{{#each push.commits}}{{subject}}. {{/each}}", "Fix login timeout. Test it.", "what is between, once for each; also `{{@index}}`, `{{@first}}`, `{{@last}}`, and `{{else}}` where there is none").may_miss(),
    helper("with", 1, 1, "{{#with push}}{{branch}}{{/with}}", "feature/_limits_", "what is between, with names looked up there").may_miss(),
    helper("lookup", 2, 2, "{{lookup repository \"full_name\"}}", "acme/api", "a value by a name or number that is a value itself").may_miss(),
    helper("eq", 2, 2, "{{#if (eq push.count 3)}}three{{/if}}", "three", "whether both are the same; numbers and texts of numbers compare as numbers").may_miss(),
    helper("ne", 2, 2, "{{#if (ne push.count 3)}}not three{{else}}three{{/if}}", "three", "whether they are not").may_miss(),
    helper("gt", 2, 2, "{{#if (gt push.count 2)}}many{{/if}}", "many", "whether the first is greater").may_miss(),
    helper("gte", 2, 2, "{{#if (gte push.count 3)}}many{{/if}}", "many", "greater, or the same").may_miss(),
    helper("lt", 2, 2, "{{#if (lt push.count 2)}}one{{else}}many{{/if}}", "many", "whether it is less").may_miss(),
    helper("lte", 2, 2, "{{#if (lte push.count 3)}}few{{/if}}", "few", "less, or the same").may_miss(),
    helper("and", 1, usize::MAX, "{{#if (and push.count push.forced)}}forced{{else}}not both{{/if}}", "not both", "whether all hold something").may_miss(),
    helper("or", 1, usize::MAX, "{{#if (or push.count push.forced)}}either{{/if}}", "either", "whether one does").may_miss(),
    helper("not", 1, 1, "{{#if (not push.forced)}}as usual{{/if}}", "as usual", "whether it does not").may_miss(),
    helper("len", 1, 1, "{{len push.commits}}", "2", "how many there are of a list, or characters of a text").may_miss(),
    helper("truncate", 2, 2, "{{truncate pull_request.title 12}}", "Add [rate]…", "at most so many characters, cut between words").numbers(&[1]),
    helper("first_line", 1, 1, "{{first_line push.commits.0.message}}", "Fix login timeout", "the first line of a text"),
    helper("short_hash", 1, 1, "{{short_hash push.new}}", "f672147", "the first seven characters of a hash"),
    helper("plural", 2, 3, "{{plural push.count \"commit\"}}", "3 commits", "a number, or how many there are of a list, with its word; the plural where it is irregular; `more=push.truncated`: `3+ commits`").options(&["more"]),
    helper("join", 2, 3, "{{join pull_request.reviewers \", \" \"name\"}}", "Bo Lindqvist, Cy Okafor", "a list in one text; of a list of things, one key of each; `max=3`: the first three, then `and 37 more`").options(&["max"]),
    helper("default", 1, usize::MAX, "{{default repository.description \"no description\"}}", "no description", "the first that is not empty").may_miss(),
    helper("date", 1, 2, "{{date time \"%-d %b %Y, %H:%M\"}}", "24 Nov 2026, 13:05", "a time, in UTC, as `strftime` has it; without a format `2026-11-24 13:05`"),
    helper("ago", 1, 1, "{{ago time}}", "just now", "how long before the event's own time something was: `3 h ago`, `2 d ago`"),
    helper("link", 2, 2, "{{link repository.url repository.full_name}}", "acme/api", "a text that leads somewhere; the text alone where the address is none"),
    helper("code", 1, 1, "{{code push.branch}}", "feature/_limits_", "code within a line, whatever is in it"),
    helper("markdown", 1, 2, "{{markdown pull_request.description}}", "Counts per token.", "Markdown that the host's users wrote, with what could mislead made inert; `{{markdown text 400}}` at most so much of it").numbers(&[1]),
    helper("plain", 1, 1, "{{plain pull_request.description}}", "Counts per token.", "Markdown that the host's users wrote, as its reader sees it: in one line, without markup, and without what it quotes"),
    helper("mention", 1, 1, "{{mention pull_request.reviewers}}", "Bo Lindqvist, Cy Okafor", "an account or a list of them, by name; who is in `[people]` is pinged, but never the actor"),
    helper("json", 1, 1, "{{json push.count}}", "3", "a value as JSON, for chat-native templates"),
    helper("skip", 0, 1, "{{#if push.forced}}{{skip \"forced\"}}{{/if}}told", "told", "ends this message: nothing is sent, for this reason"),
];
