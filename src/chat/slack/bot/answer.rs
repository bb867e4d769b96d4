//! Meaning of the Web API's responses: a status of 200 also for failures, and an error word.
//!
//! Words: the pages of the methods, such as <https://docs.slack.dev/reference/methods/chat.postMessage#errors>.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::chat::{Failure, MessageRef, Outcome, Posted, Reason};
use crate::http_client::Answer;
use crate::text::cut_text;

/// A response, and what it says.
pub(super) struct Called {
    answer: Answer,
    response: Response,
    /// The response for people.
    said: String,
}

/// Body of a response.
#[derive(Default, Deserialize)]
struct Response {
    #[serde(default)]
    ok: Option<bool>,
    #[serde(default)]
    error: Option<String>,
    /// Scopes that the method needs.
    #[serde(default)]
    needed: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    ts: Option<String>,
    #[serde(default)]
    response_metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    /// Details of an invalid argument.
    #[serde(default)]
    messages: Vec<String>,
}

/// Wait of a workspace that has reached the limit of its plan.
const FULL: Duration = Duration::from_secs(60 * 60);

/// Maximum length of Slack's words in an error.
const MAX_SAID: usize = 300;

const TOKEN: &str =
    "create a new bot token on the app's page (OAuth & Permissions), and set it as the channel's `token`";
const INVITE: &str =
    "invite the bot to the channel (`/invite @hookbell`), or give the app the scope `chat:write.public`";
const CHANNEL: &str = "check the channel ID; to a private channel, invite the bot: `/invite @hookbell`";
const ARCHIVED: &str = "unarchive the channel, or set another one";
const RIGHTS: &str = "the channel's settings do not allow the app to post: change them, or set another channel";
const ADMIN: &str = "the workspace does not allow the app: ask its administrator to approve it";
const SCOPES: &str = "add the missing scope on the app's page (OAuth & Permissions), and reinstall the app";

/// The failure of a token without a scope.
pub(super) fn missing_scope(scope: &str) -> Failure {
    Failure::with_help(Reason::Forbidden, format!("missing_scope: needs {scope}"), SCOPES)
}

impl Called {
    pub(super) fn new(answer: Answer, token: &SecretString) -> Self {
        let response: Response = serde_json::from_str(&answer.text).unwrap_or_default();
        let mut said = response.error.clone().unwrap_or_default();
        if let Some(needed) = response.needed.as_deref().filter(|needed| !needed.is_empty()) {
            said.push_str(&format!(": needs {needed}"));
        }
        if !response.response_metadata.messages.is_empty() {
            said.push_str(&format!(": {}", response.response_metadata.messages.join("; ")));
        }
        let said: String = said.replace(token.expose_secret(), "***").chars().filter(|c| !c.is_control()).collect();
        Self { answer, response, said: cut_text(&said, MAX_SAID).to_string() }
    }

    pub(super) const fn status(&self) -> u16 {
        self.answer.status
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers.get(name)?.to_str().ok()
    }

    /// Returns the outcome that the response means.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.response.ok, self.response.error.as_deref()) {
            (Some(true), _) if self.answer.status == 200 && self.answer.whole => {
                Outcome::Delivered(Posted { message: self.message(), ..Posted::default() })
            }
            (_, Some(word)) => self.of_word(word),
            _ => self.answer.common().unwrap_or_else(|| match self.answer.status {
                200..=299 => self.answer.not_the_chat(),
                _ => self.answer.unexpected(),
            }),
        }
    }

    /// Reference to the message, which needs the channel's ID and the timestamp.
    fn message(&self) -> Option<MessageRef> {
        let (channel, ts) = (self.response.channel.as_deref()?, self.response.ts.as_deref()?);
        Some(MessageRef::new(format!("{channel}:{ts}")))
    }

    fn of_word(&self, word: &str) -> Outcome {
        let closed = |reason, help| Outcome::Closed(Failure::with_help(reason, self.said.clone(), help));
        let rejected = |reason| Outcome::Rejected(Failure::new(reason, self.said.clone()));
        let retry = |reason, after| Outcome::Retry { failure: Failure::new(reason, self.said.clone()), after };
        match word {
            "ratelimited" | "rate_limited" => retry(Reason::RateLimited, self.answer.retry_after()),
            "message_limit_exceeded" => retry(Reason::RateLimited, Some(FULL)),
            "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "update_failed"
            | "streaming_state_conflict"
            | "external_channel_migrating"
            | "rollup_error" => retry(Reason::ServerError, self.answer.retry_after()),

            "invalid_auth"
            | "not_authed"
            | "account_inactive"
            | "token_revoked"
            | "token_expired"
            | "not_allowed_token_type"
            | "is_bot"
            | "two_factor_setup_required" => closed(Reason::Forbidden, TOKEN),
            "missing_scope" => closed(Reason::Forbidden, SCOPES),
            "team_access_not_granted"
            | "org_login_required"
            | "ekm_access_denied"
            | "enterprise_is_restricted"
            | "access_denied"
            | "app_access_restricted"
            | "no_permission" => closed(Reason::Forbidden, ADMIN),

            "channel_not_found" | "team_not_found" | "messages_tab_disabled" => closed(Reason::Gone, CHANNEL),
            "is_archived" | "is_inactive" => closed(Reason::Gone, ARCHIVED),
            "not_in_channel" => closed(Reason::Forbidden, INVITE),
            "thread_locked" | "cannot_reply_to_message" | "restricted_action_thread_locked" | "thread_not_found" => {
                rejected(Reason::Blocked)
            }
            word if word.starts_with("restricted_action") => closed(Reason::Forbidden, RIGHTS),

            // The wanted state is there already.
            "already_reacted" | "no_reaction" => Outcome::Delivered(Posted::default()),
            // The message cannot be changed, and a new one has to be posted.
            "message_not_found" | "cant_update_message" | "edit_window_closed" | "block_mismatch" => {
                rejected(Reason::Gone)
            }
            "too_many_emoji"
            | "too_many_reactions"
            | "not_reactable"
            | "invalid_name"
            | "bad_timestamp"
            | "cant_delete_message" => rejected(Reason::Blocked),
            word if is_of_message(word) => rejected(Reason::InvalidMessage),
            _ => rejected(Reason::Unexpected),
        }
    }
}

/// Returns true for a word about the form of a message.
fn is_of_message(word: &str) -> bool {
    matches!(
        word,
        "msg_too_long"
            | "msg_blocks_too_long"
            | "too_many_attachments"
            | "attachment_payload_limit_exceeded"
            | "no_text"
            | "metadata_too_large"
            | "markdown_text_conflict"
            | "no_dual_broadcast_content_update"
            | "json_not_object"
    ) || word.starts_with("invalid_")
}
