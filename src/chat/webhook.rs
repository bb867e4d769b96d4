//! What chats that are reached by a webhook have in common: an address, a client, a pace.

use super::pace::Limit;
use super::{Body, Outcome, Pace, Sent};
use crate::http_client::{Answer, Http, Target};

use reqwest::header::HeaderMap;
use serde::Serialize;

/// Room for what most messages are drawn to, in bytes.
const USUAL_BODY: usize = 16 * 1024;

/// What was drawn, as the text to post. Names and texts alone always have one.
pub(super) fn to_json(payload: &impl Serialize) -> String {
    let mut json = Vec::with_capacity(USUAL_BODY);
    let written = serde_json::to_writer(&mut json, payload).ok();
    written.and_then(|()| String::from_utf8(json).ok()).unwrap_or_default()
}

/// A channel's webhook.
pub(super) struct Webhook {
    target: Target,
    http: Http,
    pace: Pace,
}

impl Webhook {
    /// Of a checked address. `limits` are the chat's own, where the config sets no pace.
    pub(super) fn new(target: Target, http: Http, pace: Option<Pace>, limits: &[Limit]) -> Self {
        Self { target, http, pace: pace.unwrap_or_else(|| Pace(limits.to_vec())) }
    }

    /// A name for where it leads, that tells nothing of the address.
    pub(super) fn destination(&self, chat: &str) -> String {
        self.target.destination(chat)
    }

    /// How fast messages may follow each other.
    pub(super) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Posts what was drawn; `outcome` says what the chat's answer means.
    pub(super) async fn post(&self, user_agent: &str, body: &Body, outcome: fn(&Answer) -> Outcome) -> Sent {
        self.post_with(HeaderMap::new(), user_agent, body, outcome).await
    }

    /// The same with more headers.
    pub(super) async fn post_with(
        &self,
        headers: HeaderMap,
        user_agent: &str,
        body: &Body,
        outcome: fn(&Answer) -> Outcome,
    ) -> Sent {
        match self.http.post(&self.target, user_agent, headers, body.0.clone()).await {
            Ok(answer) => Sent { outcome: outcome(&answer), status: Some(answer.status) },
            Err(outcome) => outcome.into(),
        }
    }
}
