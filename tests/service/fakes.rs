//! Fakes of Slack, Teams and Discord: servers over real HTTP, which store messages, reject what the real ones reject,
//! and fail on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use poem::listener::TcpAcceptor;
use poem::{Endpoint, EndpointExt, Request, Response, Route, Server};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::PATIENCE;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Slack,
    Teams,
    Discord,
    /// A program that verifies requests according to Standard Webhooks.
    Program,
}

/// Secret that programs verify with.
pub(crate) const PROGRAM_SECRET: &str = "the program's own secret";

/// Fault of the next request, instead of the chat's response.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This response.
    Says(u16, Vec<(&'static str, String)>, String),
    /// Half a response, then nothing.
    Stalls,
    /// A response of this number of bytes.
    Huge(usize),
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Says(status, vec![], String::new())
    }

    pub(crate) fn word(status: u16, word: &str) -> Self {
        Self::Says(status, vec![], word.to_owned())
    }
}

struct State {
    kind: Kind,
    /// Messages in the channel.
    shown: Vec<Value>,
    /// All requests, with their times.
    came: Vec<(Instant, Value)>,
    /// Ids of requests to a program.
    ids: Vec<String>,
    faults: VecDeque<Fault>,
    refused: Vec<String>,
}

/// A fake chat with one channel.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    pub(crate) url: String,
}

impl Fake {
    pub(crate) async fn start(kind: Kind) -> Self {
        let state = State { kind, shown: vec![], came: vec![], ids: vec![], faults: VecDeque::new(), refused: vec![] };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let path = match kind {
            Kind::Slack => "/services/T0/B0/s3cret",
            Kind::Teams => "/workflows/w/triggers/manual/paths/invoke",
            Kind::Discord => "/api/v10/webhooks/1/s3cret",
            Kind::Program => "/build/s3cret",
        };
        let query = if kind == Kind::Teams { "?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sig=s3cret_-" } else { "" };
        let endpoint = Route::new().at(path, Serve(state.clone())).map_to_response();
        tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(endpoint));
        Self { state, url: format!("http://{address}{path}{query}") }
    }

    /// Makes the next requests fail, in this order.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Messages in the channel.
    pub(crate) fn shown(&self) -> Vec<Value> {
        self.state.lock().unwrap().shown.clone()
    }

    /// Returns all requests, shown or not.
    pub(crate) fn came(&self) -> Vec<(Instant, Value)> {
        self.state.lock().unwrap().came.clone()
    }

    /// Returns the ids of requests to a program, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.state.lock().unwrap().ids.clone()
    }

    /// Waits until this number of messages is shown; none may have been rejected for its form.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            assert_eq!(self.refused(), Vec::<String>::new());
            if shown.len() >= count {
                return shown;
            }
            assert!(Instant::now() < deadline, "{} of {count} messages came", shown.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }
}

struct Serve(Arc<Mutex<State>>);

impl Endpoint for Serve {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_bytes().await.unwrap();
        // Discord describes its webhook.
        if request.method() == "GET" && self.0.lock().unwrap().kind == Kind::Discord {
            return Ok(says(200, json!({ "type": 1, "id": "1", "name": "Hookbell" }).to_string()));
        }
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let fault = {
            let mut state = self.0.lock().unwrap();
            state.came.push((Instant::now(), message.clone()));
            let id = request.header("webhook-id").map(ToOwned::to_owned);
            state.ids.extend(id);
            state.faults.pop_front()
        };
        match fault {
            Some(Fault::Says(status, headers, text)) => {
                let mut response = Response::builder().status(status.try_into().unwrap());
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                return Ok(response.body(text));
            }
            Some(Fault::Stalls) => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return Ok(Response::builder().body("late"));
            }
            Some(Fault::Huge(bytes)) => return Ok(Response::builder().body(vec![b'x'; bytes])),
            None => {}
        }
        let mut state = self.0.lock().unwrap();
        let answer = match state.kind {
            Kind::Slack => slack(&request, &message),
            Kind::Teams => teams(&request, &body),
            Kind::Discord => discord(&request, &message, state.shown.len()),
            Kind::Program => program(&request, &body),
        };
        if answer.is_shown {
            state.shown.push(message);
        } else {
            state.refused.push(message.to_string());
        }
        Ok(answer.response)
    }
}

/// Response of a chat; `shown` is true if it shows the message.
struct Answer {
    response: Response,
    is_shown: bool,
}

fn shows(response: Response) -> Answer {
    Answer { response, is_shown: true }
}

fn refuses(response: Response) -> Answer {
    Answer { response, is_shown: false }
}

fn says(status: u16, text: impl Into<String>) -> Response {
    Response::builder().status(status.try_into().unwrap()).body(text.into())
}

fn is_json(request: &Request) -> bool {
    request.content_type().is_some_and(|kind| kind.starts_with("application/json"))
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.iter().for_each(|(key, item)| match item {
            Value::String(text) if key == "text" => found.push(text),
            item => texts(item, found),
        }),
        _ => {}
    }
}

fn slack(request: &Request, message: &Value) -> Answer {
    if !is_json(request) || !message.is_object() {
        return refuses(says(400, "invalid_payload"));
    }
    if message["text"].as_str().is_none_or(str::is_empty) && message["blocks"].is_null() {
        return refuses(says(400, "no_text"));
    }
    let blocks = message["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    let attached = message["attachments"].as_array().into_iter().flatten();
    let attached: Vec<_> =
        attached.flat_map(|attachment| attachment["blocks"].as_array().into_iter().flatten()).collect();
    let mut found = vec![];
    blocks.iter().chain(attached.iter().copied()).for_each(|block| texts(block, &mut found));
    if blocks.len() > 50 || attached.len() > 50 || found.iter().any(|text| text.is_empty() || utf16(text) > 3_000) {
        return refuses(says(400, "invalid_blocks"));
    }
    if found.iter().map(|text| utf16(text)).sum::<usize>() > 11_000 {
        return refuses(says(400, "msg_blocks_too_long"));
    }
    shows(says(200, "ok"))
}

/// A flow accepts any JSON of its form; a message that is too large is lost later.
fn teams(request: &Request, body: &[u8]) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    if query != "api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sig=s3cret_-" {
        return refuses(says(401, "the signature is not right"));
    }
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    if message["type"] != "message" || message["attachments"][0]["content"]["type"] != "AdaptiveCard" {
        return refuses(says(400, "TriggerInputSchemaMismatch"));
    }
    if body.len() * 118 / 100 > 28_672 { refuses(says(202, "")) } else { shows(says(202, "")) }
}

fn program(request: &Request, body: &[u8]) -> Answer {
    use base64::Engine;
    use hmac::{KeyInit, Mac};
    let header = |name| request.header(name).unwrap_or_default();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(PROGRAM_SECRET.as_bytes()).unwrap();
    mac.update(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat());
    let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let age = jiff::Timestamp::now().as_second() - timestamp.parse::<i64>().unwrap_or_default();
    if header("webhook-signature") != format!("v1,{expected}") || age.abs() > 300 || id.is_empty() {
        return refuses(says(401, "the signature is not right"));
    }
    if !is_json(request) { refuses(says(415, "")) } else { shows(says(204, "")) }
}

fn discord(request: &Request, message: &Value, shown: usize) -> Answer {
    if !request.header("user-agent").is_some_and(|agent| agent.starts_with("DiscordBot (https://")) {
        return refuses(says(403, "<html>blocked</html>"));
    }
    let invalid = |what: &str| {
        refuses(says(400, json!({ "code": 50035, "message": "Invalid Form Body", "errors": { what: {} } }).to_string()))
    };
    if !is_json(request) || !message.is_object() {
        return invalid("content_type");
    }
    let within = |value: &Value, longest: usize| {
        value.is_null() || value.as_str().is_some_and(|text| !text.trim().is_empty() && utf16(text.trim()) <= longest)
    };
    let embed = &message["embeds"][0];
    if !within(&embed["title"], 256) || !within(&embed["description"], 4_096) || !within(&message["content"], 2_000) {
        return invalid("embeds");
    }
    if embed.is_null() && message["content"].is_null() {
        return refuses(says(400, json!({ "code": 50006, "message": "Cannot send an empty message" }).to_string()));
    }
    if !request.uri().query().is_some_and(|query| query.contains("wait=true")) {
        return refuses(says(204, ""));
    }
    let id = json!({ "id": format!("{}", 1_000 + shown) }).to_string();
    let response = Response::builder().header("x-ratelimit-remaining", "4").header("x-ratelimit-reset-after", "0.4");
    shows(response.content_type("application/json").body(id))
}
