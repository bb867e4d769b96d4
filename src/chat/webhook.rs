//! Common part of chats with a webhook: a URL, an HTTP client, a pace.

use super::pace::Limit;
use super::{Body, Outcome, Pace, Sent};
use crate::http_client::{Answer, Http, Target};

use reqwest::header::HeaderMap;
use serde::Serialize;

/// Size that fits most rendered messages, in bytes.
const USUAL_BODY: usize = 16 * 1024;

/// Serializes a rendered message as JSON. This cannot fail, because payloads consist of names and texts only.
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
    /// Creates a webhook from a checked URL. The chat's `limits` apply if the configuration sets no pace.
    pub(super) fn new(target: Target, http: Http, pace: Option<Pace>, limits: &[Limit]) -> Self {
        Self { target, http, pace: pace.unwrap_or_else(|| Pace(limits.to_vec())) }
    }

    /// Returns a name for the destination that reveals nothing about the URL.
    pub(super) fn destination(&self, chat: &str) -> String {
        self.target.destination(chat)
    }

    /// Returns the rate limits.
    pub(super) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Posts a rendered body. `outcome` interprets the chat's response.
    pub(super) async fn post(&self, user_agent: &str, body: &Body, outcome: fn(&Answer) -> Outcome) -> Sent {
        self.post_with(HeaderMap::new(), user_agent, body, outcome).await
    }

    /// Posts a rendered body with additional headers.
    pub(super) async fn post_with(
        &self,
        headers: HeaderMap,
        user_agent: &str,
        body: &Body,
        outcome: fn(&Answer) -> Outcome,
    ) -> Sent {
        match self.http.post(&self.target, user_agent, headers, body.0.clone()).await {
            Ok(answer) => Sent { outcome: outcome(&answer), status: Some(answer.status) },
            Err(none) => Outcome::from(none).into(),
        }
    }
}
