//! Slack by a bot token, against a fake of its Web API over real HTTP. It has state, and answers as the documentation of
//! the methods says: 200 also for failures, an error word, scopes, membership, rate limits.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use poem::listener::TcpAcceptor;
use poem::{Endpoint, Request, Response, Server};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::{EVERYTHING, Home, PATIENCE, output_of, post, sample};

const TOKEN: &str = "xoxb-1-s3cret";
const CHANNEL: &str = "C024BE91L";

struct State {
    scopes: BTreeSet<&'static str>,
    is_member: bool,
    /// Words of the next answers, instead of the method's own, with their `Retry-After`.
    faults: VecDeque<(&'static str, Option<u64>)>,
    messages: Vec<Value>,
}

#[derive(Clone)]
struct Api {
    state: Arc<Mutex<State>>,
    url: String,
}

impl Api {
    async fn start() -> Self {
        let state = State { scopes: ["chat:write"].into(), is_member: true, faults: VecDeque::new(), messages: vec![] };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api =
            Self { state: Arc::new(Mutex::new(state)), url: format!("http://{}/api", listener.local_addr().unwrap()) };
        tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(api.clone()));
        api
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    async fn wait_for(&self, count: usize) -> Vec<Value> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let messages = self.with(|state| state.messages.clone());
            if messages.len() >= count {
                return messages;
            }
            assert!(std::time::Instant::now() < deadline, "{} of {count} messages came", messages.len());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Configuration that posts everything to the channel.
    fn config(&self) -> String {
        let channel = format!(
            "[channels.screen]\nkind = \"slack\"\ntoken = \"{TOKEN}\"\nchannel = \"{CHANNEL}\"\napi_url = \"{}\"",
            self.url
        );
        EVERYTHING.replace("[channels.screen]\nkind = \"console\"", &channel)
    }
}

impl Endpoint for Api {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_bytes().await.unwrap();
        let arguments: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (answer, wait) = self.with(|state| state.answer(&request, &arguments));
        let scopes = self.with(|state| state.scopes.iter().copied().collect::<Vec<_>>().join(","));
        let status = if answer["error"] == "ratelimited" { 429_u16 } else { 200 };
        let mut response = Response::builder().status(status.try_into().unwrap()).header("X-OAuth-Scopes", scopes);
        if let Some(seconds) = wait {
            response = response.header("Retry-After", seconds.to_string());
        }
        Ok(response.content_type("application/json; charset=utf-8").body(answer.to_string()))
    }
}

impl State {
    fn answer(&mut self, request: &Request, arguments: &Value) -> (Value, Option<u64>) {
        let fails = |word: &str| json!({ "ok": false, "error": word });
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return (fails("invalid_auth"), None);
        }
        if !request.content_type().is_some_and(|kind| kind.starts_with("application/json")) {
            return (fails("invalid_post_type"), None);
        }
        let method = request.uri().path().trim_start_matches("/api/");
        if method == "auth.test" {
            return (json!({ "ok": true, "team": "Acme", "user": "hookbell" }), None);
        }
        if let Some((word, wait)) = self.faults.pop_front() {
            return (fails(word), wait);
        }
        let answer = match method {
            "chat.postMessage" if !self.scopes.contains("chat:write") => {
                json!({ "ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "reactions:write" })
            }
            "chat.postMessage" if arguments["channel"] != CHANNEL => fails("channel_not_found"),
            "chat.postMessage" if !self.is_member => fails("not_in_channel"),
            "chat.postMessage" if arguments["text"].as_str().is_none_or(str::is_empty) => fails("no_text"),
            "chat.postMessage" => {
                self.messages.push(arguments.clone());
                let ts = format!("1503435956.{:06}", self.messages.len());
                json!({ "ok": true, "channel": CHANNEL, "ts": ts, "message": {} })
            }
            _ => fails("unknown_method"),
        };
        (answer, None)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_posts_to_its_channel() {
    let api = Api::start().await;
    let home = Home::new(&api.config());
    assert_eq!(home.run(&["check"]).0, 0);
    assert_eq!(output_of(&home, &["channels", "test", "screen"]), "screen: delivered\n");
    // A limit of the workspace is waited for.
    api.with(|state| state.faults.push_back(("ratelimited", Some(1))));
    let service = home.serve();
    let (key, body) = sample("pull_request.opened");
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
    let messages = api.wait_for(2).await;
    assert!(messages[1]["text"].as_str().unwrap().contains("#482 Add rate limits"), "{}", messages[1]);
    assert_eq!((&messages[1]["channel"], messages.len()), (&json!(CHANNEL), 2));
    // The reference to the message, for later edits.
    let (_, out, _) = home.run(&["deliveries", "--json"]);
    assert!(!out.contains("s3cret"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_close_the_channel_until_they_are_given() {
    let api = Api::start().await;
    let home = Home::new(&api.config());
    api.with(|state| state.is_member = false);
    let (code, _, error) = home.run(&["channels", "test", "screen"]);
    assert!(code == 1 && error.contains("not_in_channel") && error.contains("/invite @hookbell"), "{error}");
    let mut service = home.serve();
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
    service.wait_for_log("channel closed");
    api.with(|state| {
        state.is_member = true;
        state.scopes = ["reactions:write"].into();
    });
    let (_, out, _) = home.run(&["doctor"]);
    assert!(out.contains("error  chat     `screen`: missing_scope: needs chat:write; add the missing scope"), "{out}");
    let (_, _, error) = home.run(&["channels", "test", "screen"]);
    assert!(error.contains("missing_scope: needs chat:write"), "{error}");
    api.with(|state| state.scopes = ["chat:write"].into());
    output_of(&home, &["channels", "reopen", "screen"]);
    api.wait_for(1).await;
    let out = output_of(&home, &["doctor"]);
    assert!(out.contains("ok     chat     `screen`: slack responds"), "{out}");
    for output in [&out, &home.run(&["channels"]).1, &home.run(&["deliveries"]).1] {
        assert!(!output.contains("s3cret"), "{output}");
    }
}
