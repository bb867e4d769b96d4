//! The *naive whole*: what somebody would write in a day to pass a webhook on, and lose nothing by it. It verifies,
//! parses once, keeps the body, answers; and then renders one template, sends it, and marks it done. It does not route,
//! remember, tell duplicates, pace, shield, fit, try again, or start again where it stopped.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use handlebars::Handlebars;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::floors::packed;
use crate::journal::Journal;

/// How many messages are on their way at once: as many as Hookbell has lanes here.
const SENDERS: usize = 16;

const TEMPLATE: &str =
    "{{actor.display_name}} pushed {{len push.changes.0.commits}} commits to {{repository.full_name}} \
{{push.changes.0.new.name}}
{{#each push.changes.0.commits}}{{hash}} {{links.html.href}} {{message}} {{author.user.display_name}}
{{/each}}";

/// The handler's side of it.
pub(crate) struct Naive {
    journal: Journal,
    queues: Vec<mpsc::UnboundedSender<(i64, Value)>>,
    next: AtomicUsize,
}

impl Naive {
    /// Starts what sends.
    pub(crate) fn start(directory: &Path, sink: &str) -> Self {
        let mut handlebars = Handlebars::new();
        handlebars.register_template_string("push", TEMPLATE).unwrap();
        let (journal, client) = (Journal::sqlite(&directory.join("naive.db")), Client::new());
        let queues = (0..SENDERS).map(|n| {
            let (queue, waiting) = mpsc::unbounded_channel();
            let url = format!("{sink}/services/lane{n:02}");
            tokio::spawn(send(waiting, url, handlebars.clone(), client.clone(), journal.clone()));
            queue
        });
        Self { queues: queues.collect(), journal, next: AtomicUsize::new(0) }
    }

    /// Keeps a request, and queues its message.
    pub(crate) async fn receive(&self, value: Value, body: &[u8]) {
        let number = self.journal.keep(packed(body)).await;
        let queue = self.next.fetch_add(1, Relaxed) % SENDERS;
        self.queues[queue].send((number, value)).unwrap();
    }
}

async fn send(
    mut waiting: mpsc::UnboundedReceiver<(i64, Value)>,
    url: String,
    handlebars: Handlebars<'static>,
    client: Client,
    journal: Journal,
) {
    while let Some((number, value)) = waiting.recv().await {
        let text = handlebars.render("push", &value).unwrap();
        let message = json!({ "text": text }).to_string();
        let request = client.post(&url).header("content-type", "application/json").body(message);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success());
        answer.bytes().await.unwrap();
        journal.done(number).await;
    }
}
