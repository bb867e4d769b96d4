//! A fake of Bitbucket's API for webhooks over real HTTP. It has state, and answers as the documentation of the API says:
//! pages, scopes in both vocabularies, rate limits, at most 50 webhooks, secrets that it never returns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use poem::listener::TcpAcceptor;
use poem::{Endpoint, Request, Response, Server};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::bitbucket;

/// A webhook.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) uuid: String,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) active: bool,
    pub(crate) events: BTreeSet<String>,
    pub(crate) secret: Option<String>,
    pub(crate) skip_cert_verification: bool,
}

impl Hook {
    /// Creates a webhook of somebody else.
    pub(crate) fn foreign(n: usize) -> Self {
        Self {
            uuid: format!("{{00000000-0000-4000-8000-{n:012}}}"),
            url: format!("https://ci.example/hook/{n}?token=s3cret"),
            description: format!("CI {n}"),
            active: true,
            events: ["repo:push".to_owned()].into(),
            secret: None,
            skip_cert_verification: false,
        }
    }

    fn json(&self) -> Value {
        json!({
            "uuid": self.uuid, "url": self.url, "description": self.description, "active": self.active,
            "events": self.events, "secret_set": self.secret.is_some(), "type": "webhook_subscription",
            "skip_cert_verification": self.skip_cert_verification, "created_at": "2026-11-27T10:00:00.000000+00:00",
        })
    }
}

/// State of the API, which tests may change.
pub(crate) struct State {
    /// The only accepted `Authorization` header.
    pub(crate) authorization: String,
    /// Scopes of the token, in either vocabulary.
    pub(crate) scopes: BTreeSet<String>,
    /// Webhooks of each existing place: `workspaces/acme`, `repositories/acme/api`.
    pub(crate) hooks: BTreeMap<String, Vec<Hook>>,
    /// Places whose webhooks only others may manage.
    pub(crate) forbidden: BTreeSet<String>,
    /// Maximum size of a page.
    pub(crate) page: usize,
    /// Answers of the next requests, instead of the API's own: 429 with this `Retry-After`, if any.
    pub(crate) busy: VecDeque<Option<u64>>,
    /// Requests: `POST workspaces/acme/hooks`.
    pub(crate) requests: Vec<String>,
    /// Seconds by which its clock is ahead.
    pub(crate) clock_ahead: i64,
    created: usize,
}

/// The API.
#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    /// URL of the API.
    pub(crate) url: String,
}

/// Scopes of an API token that may do everything.
const GRANULAR: [&str; 8] = [
    "read:webhook:bitbucket",
    "write:webhook:bitbucket",
    "delete:webhook:bitbucket",
    "read:repository:bitbucket",
    "read:pullrequest:bitbucket",
    "read:issue:bitbucket",
    "read:pipeline:bitbucket",
    "read:project:bitbucket",
];

impl Api {
    /// Starts the API with the workspace `acme` and its repositories `api` and `web`.
    pub(crate) async fn start() -> Self {
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode("bot@acme.example:the token");
        let state = State {
            authorization: format!("Basic {basic}"),
            scopes: GRANULAR.map(ToOwned::to_owned).into(),
            hooks: ["workspaces/acme", "repositories/acme/api", "repositories/acme/web"]
                .map(|place| (place.to_owned(), vec![]))
                .into(),
            forbidden: BTreeSet::new(),
            page: 10,
            busy: VecDeque::new(),
            requests: vec![],
            clock_ahead: 0,
            created: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/2.0", listener.local_addr().unwrap());
        let serve = Serve { state: state.clone(), url: url.clone() };
        tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(serve));
        Self { state, url }
    }

    /// Reads or changes the state.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Returns the webhooks of a place.
    pub(crate) fn hooks(&self, place: &str) -> Vec<Hook> {
        self.with(|state| state.hooks[place].clone())
    }

    /// Returns the requests that changed something since the last call.
    pub(crate) fn changes(&self) -> Vec<String> {
        let requests = self.with(|state| std::mem::take(&mut state.requests));
        requests.into_iter().filter(|request| !request.starts_with("GET ")).collect()
    }
}

struct Serve {
    state: Arc<Mutex<State>>,
    url: String,
}

impl Endpoint for Serve {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let (status, headers, answer) = state.answer(&self.url, &request, &body);
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(state.clock_ahead);
        let mut response = Response::builder()
            .status(status.try_into().unwrap())
            .header("Date", date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
            .content_type("application/json");
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(answer.map(|answer| answer.to_string()).unwrap_or_default()))
    }
}

type Answer = (u16, Vec<(&'static str, String)>, Option<Value>);

fn says(status: u16, answer: Value) -> Answer {
    (status, vec![], Some(answer))
}

fn error(status: u16, message: &str) -> Answer {
    says(status, json!({ "type": "error", "error": { "message": message } }))
}

impl State {
    fn answer(&mut self, base: &str, request: &Request, body: &Value) -> Answer {
        let (method, uri) = (request.method().as_str(), request.uri());
        let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap().into_owned();
        let Some(path) = path.strip_prefix("/2.0/") else { return error(404, "There is no API hosted at this URL.") };
        self.requests.push(format!("{method} {path}"));
        if let Some(wait) = self.busy.pop_front() {
            let wait = wait.map(|seconds| ("Retry-After", seconds.to_string()));
            return (429, wait.into_iter().collect(), None);
        }
        if request.header("authorization") != Some(self.authorization.as_str()) {
            return error(401, "Token is invalid, expired, or not supported for this endpoint.");
        }
        if let Some(subject) = path.strip_prefix("hook_events/") {
            let events = offered(subject).into_iter().map(|event| json!({ "event": event })).collect();
            return self.pages(base, path, uri.query(), events);
        }
        let (place, id) = match path.split_once("/hooks") {
            Some((place, "")) => (place.to_owned(), None),
            Some((place, id)) => (place.to_owned(), Some(id.trim_start_matches('/').to_owned())),
            None => return error(404, "Resource not found"),
        };
        if let Some(missing) = self.missing(method, body) {
            return missing;
        }
        if self.forbidden.contains(&place) {
            return error(403, "Access denied. You must have admin access.");
        }
        if !self.hooks.contains_key(&place) {
            let name = place.split_once('/').unwrap().1;
            return error(404, &format!("Repository {name} not found"));
        }
        let subject = if place.starts_with("workspaces/") { "workspace" } else { "repository" };
        if let Some(unknown) = body["events"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|event| !offered(subject).contains(&event.as_str().unwrap()))
        {
            return error(400, &format!("Invalid event: {unknown}"));
        }
        self.serve(base, (method, path, uri.query()), &place, id, body)
    }

    fn serve(
        &mut self,
        base: &str,
        (method, path, query): (&str, &str, Option<&str>),
        place: &str,
        id: Option<String>,
        body: &Value,
    ) -> Answer {
        match (method, id) {
            ("GET", None) => {
                let hooks = self.hooks[place].iter().map(Hook::json).collect();
                self.pages(base, path, query, hooks)
            }
            ("POST", None) => {
                self.created += 1;
                let uuid = format!("{{11111111-1111-4111-8111-{:012}}}", self.created);
                let hooks = self.hooks.get_mut(place).unwrap();
                if hooks.len() >= 50 {
                    return error(400, "The maximum number of webhooks is 50.");
                }
                let mut hook = Hook { uuid, secret: None, skip_cert_verification: false, ..Hook::foreign(0) };
                hook.take(body);
                hooks.push(hook.clone());
                says(201, hook.json())
            }
            ("PUT", Some(id)) => match self.hooks.get_mut(place).unwrap().iter_mut().find(|hook| hook.uuid == id) {
                Some(hook) => {
                    hook.take(body);
                    says(200, hook.json())
                }
                None => error(404, "Webhook not found"),
            },
            ("DELETE", Some(id)) => {
                let hooks = self.hooks.get_mut(place).unwrap();
                let before = hooks.len();
                hooks.retain(|hook| hook.uuid != id);
                if hooks.len() < before { (204, vec![], None) } else { error(404, "Webhook not found") }
            }
            _ => error(405, "Method not allowed"),
        }
    }

    /// Returns the error about a scope that the token lacks. Scopes of the newer vocabulary do not imply each other.
    fn missing(&self, method: &str, body: &Value) -> Option<Answer> {
        let events = body["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let families: BTreeSet<&str> = events.map(|event| event.split(':').next().unwrap()).collect();
        let granular = self.scopes.iter().any(|scope| scope.contains(':'));
        let family = |name: &str| match (name, granular) {
            ("repo", false) => "repository".to_owned(),
            (name, false) => name.to_owned(),
            ("repo", true) => "read:repository:bitbucket".to_owned(),
            (name, true) => format!("read:{name}:bitbucket"),
        };
        let own = match (granular, method) {
            (false, _) => "webhook",
            (true, "GET") => "read:webhook:bitbucket",
            (true, "DELETE") => "delete:webhook:bitbucket",
            (true, _) => "write:webhook:bitbucket",
        };
        let required: Vec<String> = [own.to_owned()].into_iter().chain(families.into_iter().map(family)).collect();
        if required.iter().all(|scope| self.scopes.contains(scope)) {
            return None;
        }
        let message = "Your credentials lack one or more required privilege scopes.";
        let detail = json!({ "required": required, "granted": self.scopes });
        Some(says(403, json!({ "type": "error", "error": { "message": message, "detail": detail } })))
    }

    fn pages(&self, base: &str, path: &str, query: Option<&str>, values: Vec<Value>) -> Answer {
        let parameter = |name: &str| {
            let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse::<usize>().ok())
        };
        let (page, length) = (parameter("page").unwrap_or(1), parameter("pagelen").unwrap_or(10).min(self.page));
        let shown: Vec<_> = values.iter().skip((page - 1) * length).take(length).collect();
        let mut answer = json!({ "pagelen": length, "page": page, "size": values.len(), "values": shown });
        if page * length < values.len() {
            answer["next"] = format!("{base}/{path}?pagelen={length}&page={}", page + 1).into();
        }
        says(200, answer)
    }
}

impl Hook {
    /// Takes the fields of a request. Without a secret in it, the secret stays; an empty one removes it.
    fn take(&mut self, body: &Value) {
        let text = |name: &str| body[name].as_str().map(ToOwned::to_owned);
        self.url = text("url").unwrap();
        self.description = text("description").unwrap();
        self.active = body["active"].as_bool().unwrap();
        if let Some(skip) = body["skip_cert_verification"].as_bool() {
            self.skip_cert_verification = skip;
        }
        self.events =
            body["events"].as_array().unwrap().iter().map(|event| event.as_str().unwrap().to_owned()).collect();
        if let Some(secret) = body.get("secret") {
            self.secret = secret.as_str().filter(|secret| !secret.is_empty()).map(ToOwned::to_owned);
        }
    }
}

/// Returns the event keys that a subject can subscribe to.
fn offered(subject: &str) -> Vec<&'static str> {
    const OF_WORKSPACES: [&str; 4] = ["project:updated", "repo:created", "repo:deleted", "repo:imported"];
    let keys = bitbucket().keys.iter().map(|key| key.name);
    keys.filter(|key| subject == "workspace" || !OF_WORKSPACES.contains(key)).collect()
}
