//! What chats that are reached by a webhook have in common: an address, a client, a pace.

use super::pace::Limit;
use super::{Body, Outcome, Pace, Sent};
use crate::http_client::{Answer, Http, Target};

use reqwest::header::HeaderMap;

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
