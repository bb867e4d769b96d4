//! The *naive whole*: the smallest program that forwards a webhook without losing it. It verifies and parses the body
//! once, stores it and responds; then it renders one template, sends it and marks it as done. It does not route,
//! remember states, detect duplicates, limit its rate, escape text, fit messages into limits, retry, or resume after a
//! restart.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use handlebars::Handlebars;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::floors::packed;
use crate::journal::Journal;

/// Number of concurrent messages: the number of Hookbell's lanes in this benchmark.
const SENDERS: usize = 16;

const TEMPLATE: &str =
    "{{actor.display_name}} pushed {{len push.changes.0.commits}} commits to {{repository.full_name}} \
{{push.changes.0.new.name}}
{{#each push.changes.0.commits}}{{hash}} {{links.html.href}} {{message}} {{author.user.display_name}}
{{/each}}";

/// The part that handles requests.
pub(crate) struct Naive {
    journal: Journal,
    queues: Vec<mpsc::UnboundedSender<(i64, Value)>>,
    next: AtomicUsize,
}

impl Naive {
    /// Starts the senders.
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

    /// Stores a request and queues its message.
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
