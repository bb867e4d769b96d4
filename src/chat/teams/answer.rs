//! What a flow's answers mean. `202` says that the flow has begun, not that the message is there: a card that Teams
//! rejects fails later, and nothing reports it.
//!
//! Errors have a code, `{"error": {"code": "…"}}`
//! (<https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-configuration>, and reports).

use serde_json::Value;

use crate::chat::{Failure, Outcome, Reason};
use crate::http_client::Answer;

const CUT: &str = "the address was cut: copy it again from the flow's trigger, whole; it ends with `&sig=…`, and in a shell or a file \
                   of variables it needs quotes, because of its `&`";
const SIGN_IN: &str =
    "the flow wants its callers to sign in: open its trigger and set \"Who can trigger the flow\" to \"Anyone\"";
const SIGNATURE: &str =
    "the address's signature is not, or no longer, right: copy it again from the flow's trigger, whole";
const OFF: &str = "the flow is turned off: turn it on at make.powerautomate.com (My flows > … > Turn on)";
const GONE: &str = "the flow was deleted: make a new one, and set its address";
const TRIGGER: &str = "the flow has another trigger: it must be \"When a Teams webhook request is received\"; make a flow from that template";

/// What an answer means.
pub(super) fn outcome(answer: &Answer) -> Outcome {
    if let Some(common) = answer.common() {
        return common;
    }
    let closed = |reason, help| Outcome::Closed(Failure::with_remedy(reason, answer.said(), help));
    let is_cut = !answer.parameters.iter().any(|name| name == "sig");
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
        (404 | 410, _) => closed(Reason::Gone, "the flow was deleted, or is turned off: turn it on, or make a new one"),
        (400 | 413, _) => Outcome::Rejected(Failure::with_remedy(
            Reason::InvalidMessage,
            answer.said(),
            "the flow did not take this message; if it takes none, its trigger must be \"When a Teams webhook request is received\"",
        )),
        _ => answer.unexpected(),
    }
}

/// The error's code; empty where there is none.
fn code(text: &str) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let code = json["error"]["code"].as_str().or_else(|| json["code"].as_str());
    code.unwrap_or_default().to_owned()
}
