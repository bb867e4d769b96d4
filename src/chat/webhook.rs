//! Chats whose channels are webhooks: a URL that takes messages, an HTTP client, a pace.

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::pace::Limit;
use super::{
    Action, AddressError, Body, Capabilities, ChannelKey, Chat, Failure, KeyType, Keys, Kind, MessageRef, Outcome,
    Pace, Probed, Sent,
};
use crate::event::DeliveryId;
use crate::http_client::{Answer, Http, Target, USER_AGENT};
use crate::message::Message;

/// Size that fits most rendered messages, in bytes.
const USUAL_BODY: usize = 16 * 1024;

/// Serializes a rendered message as JSON. This cannot fail, because payloads consist of names and texts only.
pub(super) fn to_json(payload: &impl Serialize) -> String {
    let mut json = Vec::with_capacity(USUAL_BODY);
    let written = serde_json::to_writer(&mut json, payload).ok();
    written.and_then(|()| String::from_utf8(json).ok()).unwrap_or_default()
}

/// Key of the URL.
pub(super) const URL: &str = "webhook_url";

/// The key of the URL, for the documentation.
pub(super) const URL_KEY: ChannelKey = ChannelKey {
    key: URL,
    value: KeyType::Secret,
    default: "",
    about: "required by kinds with a webhook: the webhook URL from the chat",
};

/// Address of a channel.
pub(super) struct Address {
    pub(super) target: Target,
    pub(super) http: Http,
    /// Rate limit from the configuration, if it sets one.
    pub(super) pace: Option<Pace>,
}

impl Address {
    /// Reads the address of a channel.
    pub(super) fn read(keys: &mut dyn Keys) -> Option<Self> {
        let (pace, url) = (keys.pace(), keys.url(URL));
        let (url, http) = (url?, keys.http()?);
        let target = Target::parse(&url).map_err(|error| keys.reject(URL, error)).ok()?;
        Some(Self { target, http, pace })
    }

    /// Creates the channel of a kind. `wire` checks the URL, and returns it as it is used.
    pub(super) fn channel<S: Service + 'static>(
        self,
        keys: &mut dyn Keys,
        service: S,
        wire: impl FnOnce(Target) -> Result<Target, AddressError>,
    ) -> Option<Box<dyn Chat>> {
        let target = wire(self.target).map_err(|error| keys.reject(URL, error)).ok()?;
        Some(Box::new(Webhook { service, target, http: self.http, pace: self.pace }))
    }
}

/// A chat that takes messages at a webhook.
pub(super) trait Service: Send + Sync {
    /// Returns the kind of the chat.
    fn kind(&self) -> &'static dyn Kind;

    /// Returns the chat's rate limits, which apply if the configuration sets none.
    fn limits(&self) -> &'static [Limit];

    /// Renders a message within the chat's limits.
    fn encode(&self, message: &Message) -> String {
        self.kind().draw(message)
    }

    /// Returns the actions that the chat supports.
    fn capabilities(&self) -> Capabilities;

    /// Returns the value of the `User-Agent` header.
    fn user_agent(&self) -> &'static str {
        USER_AGENT
    }

    /// Returns additional headers of a request.
    fn headers(&self, _delivery: &DeliveryId, _body: &Body) -> HeaderMap {
        HeaderMap::new()
    }

    /// Returns the outcome that a response means.
    fn outcome(&self, answer: &Answer) -> Outcome;

    /// Returns replacements for a body whose format the chat rejected, best first, each with how it differs.
    fn poorer(&self, _body: &Body) -> Vec<(Body, &'static str)> {
        vec![]
    }

    /// Returns true if a `GET` of the URL describes the webhook, and posts nothing.
    fn is_readable(&self) -> bool {
        false
    }

    /// Returns the request that edits a message: its URL and body. `None` if the chat cannot edit.
    fn edit(&self, _target: &Target, _message: &MessageRef, _body: &Body) -> Option<(Target, Body)> {
        None
    }
}

/// A channel at a webhook.
pub(super) struct Webhook<S> {
    service: S,
    target: Target,
    http: Http,
    /// Rate limit from the configuration, if it sets one.
    pace: Option<Pace>,
}

impl<S: Service> Webhook<S> {
    async fn request(&self, method: Method, target: &Target, delivery: &DeliveryId, body: &Body) -> Sent {
        let headers = self.service.headers(delivery, body);
        match self.http.send(method, target, self.service.user_agent(), headers, body.0.clone()).await {
            Ok(answer) => Sent { outcome: self.service.outcome(&answer), status: Some(answer.status) },
            Err(none) => Outcome::from(none).into(),
        }
    }

    /// Posts a message. If the chat rejects its format, tries the replacements.
    async fn post(&self, delivery: &DeliveryId, body: &Body) -> Sent {
        let sent = self.request(Method::POST, &self.target, delivery, body).await;
        let Some(rejected) = sent.rejected_form() else { return sent };
        for (body, what) in self.service.poorer(body) {
            let again = self.request(Method::POST, &self.target, delivery, &body).await;
            if let Some(again) = again.of_replacement(body, what, rejected) {
                return again;
            }
        }
        // The first rejection explains more than the rejections of the replacements.
        sent
    }
}

#[async_trait]
impl<S: Service> Chat for Webhook<S> {
    /// Reveals nothing about the URL.
    fn destination(&self) -> String {
        self.target.destination(self.service.kind().name())
    }

    fn pace(&self) -> Pace {
        self.pace.clone().unwrap_or_else(|| Pace(self.service.limits().to_vec()))
    }

    fn capabilities(&self) -> Capabilities {
        self.service.capabilities()
    }

    fn encode(&self, message: &Message) -> Body {
        Body(self.service.encode(message))
    }

    fn encode_event(&self, event: &Value) -> Option<Body> {
        self.service.kind().draw_event(event).map(Body)
    }

    async fn perform(&self, delivery: &DeliveryId, action: Action<'_>) -> Sent {
        match action {
            Action::Post(body) => self.post(delivery, body).await,
            Action::Edit { message, body } => match self.service.edit(&self.target, message, body) {
                Some((target, body)) => self.request(Method::PATCH, &target, delivery, &body).await,
                None => action.unsupported(),
            },
            Action::Reply { .. } | Action::React { .. } | Action::Delete(_) => action.unsupported(),
        }
    }

    async fn probe(&self) -> Option<Result<Probed, Failure>> {
        let mut outcome = self.http.probe(&self.target).await.err().map(Outcome::from);
        if outcome.is_none() && self.service.is_readable() {
            let nothing = Body(String::new());
            outcome = Some(self.request(Method::GET, &self.target, &DeliveryId::from("probe"), &nothing).await.outcome);
        }
        Some(match outcome {
            None => Ok(Probed::Chat),
            Some(outcome) => outcome.into_failure().map_or(Ok(Probed::Destination), Err),
        })
    }
}
