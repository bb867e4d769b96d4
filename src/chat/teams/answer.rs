//! Meaning of a flow's responses. `202` means that the flow was started, not that the message was posted: if Teams
//! rejects the card, the flow fails later, and nothing reports that to Hookbell.
//!
//! Errors have a code, `{"error": {"code": "…"}}`
//! (<https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-configuration>, and user reports).

use serde_json::Value;

use crate::chat::{Failure, Outcome, Reason};
use crate::http_client::Answer;

const CUT: &str = "the flow URL is incomplete: copy the complete URL from the flow's trigger again; it ends with \
                   `&sig=…`; quote it in a shell or environment file, because it contains `&`";
const SIGN_IN: &str =
    "the flow requires callers to sign in: open its trigger and set \"Who can trigger the flow\" to \"Anyone\"";
const SIGNATURE: &str =
    "the signature in the flow URL is invalid or outdated: copy the complete URL from the flow's trigger again";
const OFF: &str = "the flow is turned off: turn it on at make.powerautomate.com (My flows > … > Turn on)";
const GONE: &str = "the flow was deleted: create a new one and set its URL";
const TRIGGER: &str = "the flow has the wrong trigger: create a flow from the template whose trigger is \"When a Teams \
                       webhook request is received\", and set its URL";

/// Returns the outcome that a response means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    if let Some(common) = answer.common() {
        return common;
    }
    let closed = |reason, help| Outcome::Closed(Failure::with_help(reason, answer.said(), help));
    let is_cut = !answer.target.has_parameter("sig");
    let code = code(&answer.text);
    match (answer.status, code.as_str()) {
        (200..=299, _) => Outcome::Accepted,
        (_, "WorkflowTriggerIsNotEnabled" | "WorkflowDisabled" | "WorkflowIsDisabled" | "WorkflowSuspended") => {
            closed(Reason::Gone, OFF)
        }
        (
            _,
            "WorkflowNotFound"
            | "WorkflowTriggerNotFound"
            | "WorkflowDeleted"
            | "EnvironmentNotFound"
            | "ResourceNotFound",
        ) => closed(Reason::Gone, GONE),
        (
            _,
            "TriggerInputSchemaMismatch"
            | "InvalidTriggerType"
            | "TriggerTypeNotSupported"
            | "WorkflowTriggerTypeMismatch",
        ) => closed(Reason::Gone, TRIGGER),
        (_, "MissingApiVersionParameter" | "InvalidApiVersionParameter" | "UnsupportedApiVersion") => {
            closed(Reason::Forbidden, CUT)
        }
        (_, "DirectApiAuthorizationRequired") | (401 | 403, _) if is_cut => closed(Reason::Forbidden, CUT),
        (_, "DirectApiAuthorizationRequired") => closed(Reason::Forbidden, SIGN_IN),
        (401 | 403, _) if answer.text.contains("OAuth authorization scheme is required") => {
            closed(Reason::Forbidden, SIGN_IN)
        }
        (401 | 403, _) => closed(Reason::Forbidden, SIGNATURE),
        (404 | 410, _) => {
            closed(Reason::Gone, "the flow was deleted or is turned off: turn it on, or create a new one")
        }
        (400 | 413, _) => Outcome::Rejected(Failure::with_help(
            Reason::InvalidMessage,
            answer.said(),
            "the flow rejected this message; if it rejects every message, set its trigger to \"When a Teams webhook \
             request is received\"",
        )),
        _ => answer.unexpected(),
    }
}

/// Returns the error code of a response; empty if it has none.
fn code(text: &str) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let code = json["error"]["code"].as_str().or_else(|| json["code"].as_str());
    code.unwrap_or_default().to_owned()
}
