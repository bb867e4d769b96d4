//! A toy code host and a toy chat, which use only public items: what adding one takes. They are in the lists of
//! providers and kinds by `add_providers` and `add_kinds`; in `src/`, each would be one folder and one line of a list.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chat;
mod host;

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use hookbell::chat::{Action, Body, Outcome, Posted, add_kinds};
use hookbell::config::{Live, Loaded, Secrets, Settings, load, reference};
use hookbell::event::DeliveryId;
use hookbell::service::intake::{Head, Refusal, Taken};
use hookbell::service::operations::{EventsQuery, OperationError};
use hookbell::service::reload::reloads;
use hookbell::service::{Config, Service};
use hookbell::source::add_providers;
use hookbell::store::Receipt;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[sources.forge]
kind = "toy-host"
secret = "letmein"

[channels.tearoom]
kind = "toy-chat"
room = "tea"
token = "open the door"

[people.1001]
toy-chat = "@ana"

[[routes]]
name = "changes"
event = ["change opened", "pull_request.edited"]
to = "tearoom"
"#;

/// Adds the toys, once per process.
fn add_toys() {
    static ADDED: Once = Once::new();
    ADDED.call_once(|| assert!(add_providers(&[&host::TOY]) && add_kinds(&[&chat::Toy])));
}

fn loaded(directory: &Path, config: &str) -> Loaded {
    add_toys();
    let path = directory.join("config.toml");
    std::fs::write(&path, config).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    load(&path, Secrets::Generate)
}

fn problems(config: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    loaded(directory.path(), config).problems.iter().map(|problem| problem.message.clone()).collect()
}

/// Starts the service. Returns it with its settings.
async fn start(directory: &Path) -> (Service, Arc<Settings>) {
    let Loaded { settings, problems, files } = loaded(directory, CONFIG);
    assert!(problems.is_empty(), "{problems:?}");
    let live = Live::new(settings.unwrap());
    let (reloads, asking) = reloads();
    let store = live.now().store.open().unwrap();
    let path = directory.join("config.toml");
    let config = Config { path, live: live.clone(), reloads, asking, files, show: |_| () };
    (Service::start(config, store).await.unwrap(), live.now())
}

/// Sends a request of the toy host. Returns its receipt.
async fn send(service: &Service, settings: &Arc<Settings>, key: &str, body: &Value) -> Result<Receipt, Refusal> {
    let (body, secret) = (body.to_string(), settings.sources[&"forge".into()].secrets[0].clone());
    let mut headers = (host::TOY.headers)(key, &DeliveryId::fresh().to_string());
    let (name, value) = (host::TOY.sign)(&secret, body.as_bytes());
    headers.insert(name, value.parse().unwrap());
    let head = Head::new(settings.clone(), "forge".into(), None, headers).unwrap();
    service.intake.check(&head)?;
    match service.intake.accept(&head, body.into()).await? {
        Taken::New(receipt) => Ok(receipt),
        Taken::Again(_) => unreachable!("each request has its own id"),
    }
}

#[tokio::test]
async fn toy_host_reaches_the_toy_chat() {
    let directory = tempfile::tempdir().unwrap();
    let (service, settings) = start(directory.path()).await;
    let change = json!({ "number": 7, "title": "More tea", "by": { "id": 1001, "name": "Ana" } });
    let receipt = send(&service, &settings, "change opened", &change).await.ok().unwrap();
    assert_eq!((receipt.events[0].kind.as_ref(), receipt.events[0].routes.len()), ("pull_request.opened", 1));
    let posted = chat::posted("tea", 1).await;
    assert!(posted[0].starts_with("Ana opened !7 More tea"), "{posted:?}");

    // The host names an edit itself, and then reports the same state once more.
    let edited = json!({ "number": 7, "title": "Much more tea", "by": { "id": 1001, "name": "Ana" } });
    let receipt = send(&service, &settings, "change edited", &edited).await.ok().unwrap();
    assert_eq!((receipt.events[0].kind.as_ref(), &receipt.events[0].suppressed), ("pull_request.edited", &None));
    let posted = chat::posted("tea", 2).await;
    assert!(posted[1].contains("!7") && posted[1].contains("Much more tea"), "{posted:?}");
    let receipt = send(&service, &settings, "change touched", &edited).await.ok().unwrap();
    assert!(receipt.events[0].suppressed.is_some(), "{receipt:?}");

    // People look it up by the host's own words, and the chat's reference to the message is stored.
    let query = EventsQuery { kind: Some("change opened".to_owned()), ..EventsQuery::default() };
    let found = service.operations.events(query).await.unwrap();
    assert_eq!(found.events[0].summary.title.as_deref(), Some("!7 More tea"));
    let delivery = service.operations.event(found.events[0].id.clone()).await.unwrap().deliveries.remove(0);
    assert_eq!(delivery.message_id.as_ref().map(|message| message.as_str()), Some("tea/0"));

    let unknown = EventsQuery { kind: Some("change eaten".to_owned()), ..EventsQuery::default() };
    assert!(matches!(service.operations.events(unknown).await, Err(OperationError::UnknownKind)));
    let headers = (host::TOY.headers)("change opened", "r");
    let unsigned = Head::new(settings.clone(), "forge".into(), None, headers).unwrap();
    assert!(matches!(service.intake.check(&unsigned), Err(Refusal::Rejected(_))));
    service.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn toy_chat_edits_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let settings = loaded(directory.path(), &CONFIG.replace("\"tea\"", "\"edits\"")).settings.unwrap();
    let chat = &settings.channels[&"tearoom".into()].chat;
    assert!(chat.capabilities().edit && chat.capabilities().delete && !chat.capabilities().reaction);
    let delivery = DeliveryId::fresh();
    let post = chat.perform(&delivery, Action::Post(&Body("one".to_owned()))).await.outcome;
    let Outcome::Delivered(Posted { message: Some(message), .. }) = post else { unreachable!("{post:?}") };
    let body = Body("two".to_owned());
    chat.perform(&delivery, Action::Edit { message: &message, body: &body }).await;
    assert_eq!(chat::posted("edits", 1).await, ["two"]);
    chat.perform(&delivery, Action::Delete(&message)).await;
    assert_eq!(chat::posted("edits", 1).await, [""]);
    let react = chat.perform(&delivery, Action::React { to: &message, reaction: "tea" }).await.outcome;
    assert!(matches!(react, Outcome::Rejected(_)), "{react:?}");
}

#[test]
fn toys_are_configured_and_documented_like_all_others() {
    assert_eq!(problems(&CONFIG.replace("token = \"open the door\"\n", "")), ["channel `tearoom` requires `token`"]);
    assert_eq!(problems(&CONFIG.replace("@ana", "ana")), ["`ana` is not a valid Teahouse ID"]);
    let unknown = problems(&CONFIG.replace("change opened", "change opend"));
    assert!(unknown[0].contains("`change opend`"), "{unknown:?}");
    let schema = reference::schema();
    let channel = &schema["properties"]["channels"]["additionalProperties"]["properties"];
    assert_eq!(channel["room"]["type"], "string");
    assert!(channel["kind"]["enum"].as_array().unwrap().contains(&json!("toy-chat")));
    let people = &schema["properties"]["people"]["additionalProperties"]["properties"];
    assert!(people["toy-chat"]["description"].as_str().unwrap().starts_with("a nickname after `@`"));
}
