//! A working day of a small team: the messages that the shipped configuration makes of everything that Bitbucket sends.

use reqwest::Client;
use serde_json::{Value, json};

use crate::program::{Home, SECRET, Service, bitbucket, request, sample};

const SHIPPED: &str = include_str!("../../config.toml");

/// The day so far.
struct Day {
    service: Service,
    client: Client,
    /// The current state of the pull request.
    pull_request: Value,
    minutes: u32,
    requests: u32,
}

/// The webhooks of the repository and of the workspace.
const HOOKS: [&str; 2] = ["5f1b6b0e-7c1d-4a63-9a52-1d0f3b9a7c44", "0b8c6a52-0b8f-4f3c-8c54-6a1e6f0d9b21"];

impl Day {
    /// Returns the next minute.
    fn now(&mut self) -> String {
        self.minutes += 1;
        format!("2026-11-23T{:02}:{:02}:00.000000+00:00", 9 + self.minutes / 60, self.minutes % 60)
    }

    async fn send(&mut self, key: &str, body: &Value) {
        self.send_by(HOOKS[0], key, body).await;
    }

    async fn send_by(&mut self, hook: &str, key: &str, body: &Value) {
        self.requests += 1;
        let (url, id) = (self.service.url("/hooks/bitbucket"), self.requests.to_string());
        let mut request = request(&self.client, &url, key, &id, &body.to_string()).build().unwrap();
        request.headers_mut().insert("x-hook-uuid", hook.parse().unwrap());
        let answer = self.client.execute(request).await.unwrap();
        assert_eq!(answer.status(), 202, "{key}: {}", answer.text().await.unwrap());
    }

    /// Sends a sample with the pull request's state after `change`.
    async fn pull_request(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let (key, mut body) = sample(name);
        let now = self.now();
        change(&mut self.pull_request);
        self.pull_request["updated_on"] = now.clone().into();
        body["pullrequest"] = self.pull_request.clone();
        for part in ["approval", "changes_request", "comment"] {
            if body[part].is_object() {
                body[part]["date"] = now.clone().into();
                body[part]["created_on"] = now.clone().into();
            }
        }
        self.send(key, &body).await;
    }

    /// Sends a push of one commit to a branch.
    async fn push(&mut self, branch: &str, hash: &str, parents: &[&str], message: &str) {
        let (key, mut body) = sample("push");
        let change = &mut body["push"]["changes"][0];
        for end in ["old", "new"] {
            change[end]["name"] = branch.into();
        }
        let target = &mut change["new"]["target"];
        target["hash"] = hash.into();
        target["message"] = message.into();
        target["parents"] = parents.iter().map(|hash| json!({ "hash": hash })).collect();
        target["links"]["html"]["href"] = format!("https://bitbucket.org/acme/api/commits/{hash}").into();
        change["commits"] = json!([change["new"]["target"]]);
        self.send(key, &body).await;
    }

    /// Sends the states of a commit's pipeline.
    async fn build(&mut self, number: u32, (branch, hash): (&str, &str), states: &[&str]) {
        let mut began = None;
        for state in states {
            let (key, mut body) = sample(if *state == "INPROGRESS" { "build.started" } else { "build.failed" });
            let now = self.now();
            let status = &mut body["commit_status"];
            status["state"] = (*state).into();
            status["name"] = format!("Pipeline #{number} for {branch}").into();
            status["url"] = format!("https://bitbucket.org/acme/api/pipelines/results/{number}").into();
            // Some systems do not send the branch; the push has it.
            status["refname"] = Value::Null;
            status["commit"]["hash"] = hash.into();
            status["created_on"] = began.get_or_insert(now.clone()).clone().into();
            status["updated_on"] = now.into();
            self.send(key, &body).await;
        }
    }
}

/// Changes the last commit of the pull request.
fn tip(hash: &str) -> impl FnOnce(&mut Value) + use<> {
    let short = hash[..12].to_owned();
    move |pr| pr["source"]["commit"]["hash"] = short.into()
}

fn hash(short: &str) -> String {
    format!("{short:0<40}")
}

#[tokio::test]
async fn working_day_with_calm_defaults() {
    let config = SHIPPED
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("templates = \"templates\"", "")
        .replace(r#"{ file = "bitbucket.secret", generate = true }"#, &format!("{SECRET:?}"));
    let home = Home::new(&config);
    let (_, opened) = sample("pull_request.opened.draft");
    let mut day = Day {
        service: home.serve(),
        client: Client::new(),
        pull_request: opened["pullrequest"].clone(),
        minutes: 0,
        requests: 0,
    };
    let (first, second, third) = (hash("a11ce01"), hash("a11ce02"), hash("a11ce03"));

    // Ana creates a branch and opens a draft.
    let (key, mut branch) = sample("branch.created");
    branch["push"]["changes"][0]["new"]["name"] = "feature/limits".into();
    branch["push"]["changes"][0]["new"]["target"]["hash"] = first.clone().into();
    day.send(key, &branch).await;
    day.build(301, ("feature/limits", &first), &["INPROGRESS", "INPROGRESS", "SUCCESSFUL"]).await;
    day.pull_request("pull_request.opened.draft", tip(&first)).await;

    // Work goes on; a build fails, fails again, and is fixed.
    day.push("feature/limits", &second, &[&first], "Count per token").await;
    day.pull_request("pull_request.updated", tip(&second)).await;
    day.build(302, ("feature/limits", &second), &["INPROGRESS", "FAILED"]).await;
    day.push("feature/limits", &third, &[&second], "Count from zero").await;
    day.pull_request("pull_request.updated", tip(&third)).await;
    day.build(303, ("feature/limits", &third), &["INPROGRESS", "FAILED"]).await;
    let fourth = hash("a11ce04");
    day.push("feature/limits", &fourth, &[&third], "Count, from zero, per token").await;
    day.pull_request("pull_request.updated", tip(&fourth)).await;
    day.build(304, ("feature/limits", &fourth), &["INPROGRESS", "SUCCESSFUL"]).await;

    // The pull request is ready and gets reviewed.
    day.pull_request("pull_request.updated", |pr| pr["draft"] = false.into()).await;
    day.pull_request("pull_request.updated", |pr| pr["title"] = "Add rate limits per token".into()).await;
    let (_, asked) = sample("pull_request.reviewers_changed");
    day.pull_request("pull_request.updated", |pr| pr["reviewers"] = asked["pullrequest"]["reviewers"].clone()).await;
    day.pull_request("pull_request.updated", |pr| pr["reviewers"] = opened["pullrequest"]["reviewers"].clone()).await;
    day.pull_request("pull_request.comment_added.inline", |_| {}).await;
    let (_, unhappy) = sample("pull_request.changes_requested");
    let votes = |body: &Value| {
        let participants = body["pullrequest"]["participants"].clone();
        move |pr: &mut Value| pr["participants"] = participants
    };
    day.pull_request("pull_request.changes_requested", votes(&unhappy)).await;
    let fifth = hash("a11ce05");
    day.push("feature/limits", &fifth, &[&fourth], "Let the limit be inclusive").await;
    day.pull_request("pull_request.updated", tip(&fifth)).await;
    day.build(305, ("feature/limits", &fifth), &["INPROGRESS", "SUCCESSFUL"]).await;
    day.pull_request("pull_request.comment_resolved", |_| {}).await;
    let (_, approved) = sample("pull_request.approved");
    day.pull_request("pull_request.changes_withdrawn", votes(&approved)).await;
    day.pull_request("pull_request.approved", votes(&approved)).await;

    // Bo merges: three requests in the order of the host, each by the webhooks of the repository and of the workspace.
    let merge = hash("bead001");
    for hook in HOOKS {
        let (key, mut merged) = sample("push");
        let change = &mut merged["push"]["changes"][0];
        change["new"]["target"]["hash"] = merge.clone().into();
        change["new"]["target"]["parents"] = json!([{ "hash": hash("0ddba11") }, { "hash": fifth }]);
        day.send_by(hook, key, &merged).await;
        let (key, mut closed) = sample("branch.deleted");
        closed["push"]["changes"][0]["old"]["name"] = "feature/limits".into();
        closed["push"]["changes"][0]["old"]["target"]["hash"] = fifth.clone().into();
        day.send_by(hook, key, &closed).await;
        let (key, mut fulfilled) = sample("pull_request.merged");
        let pr = &mut fulfilled["pullrequest"];
        pr["title"] = "Add rate limits per token".into();
        pr["source"]["commit"]["hash"] = fifth[..12].into();
        pr["merge_commit"]["hash"] = merge[..12].into();
        pr["updated_on"] = "2026-11-23T12:00:00.000000+00:00".into();
        day.send_by(hook, key, &fulfilled).await;
    }
    day.build(306, ("main", &merge), &["INPROGRESS", "SUCCESSFUL"]).await;
    for span in ["pipeline.step", "pipeline.succeeded"] {
        let (key, body) = sample(span);
        day.send(key, &body).await;
    }

    // A bot opens a pull request of its own; somebody pushes to main; the release is tagged.
    let (key, mut of_bot) = sample("pull_request.opened");
    of_bot["actor"]["display_name"] = "renovate".into();
    of_bot["pullrequest"]["id"] = 483.into();
    day.send(key, &of_bot).await;
    day.push("main", &hash("cafe001"), &[&merge], "Say what is new in 2.4").await;
    for name in ["tag.created", "repository.forked", "issue.opened", "repository.updated", "other"] {
        let (key, body) = sample(name);
        day.send(key, &body).await;
    }
    // The last event of the day: its message would come after all others.
    let (key, mut last) = sample("pull_request.declined");
    last["pullrequest"]["id"] = 484.into();
    day.send(key, &last).await;

    let mut messages = vec![];
    while messages.last().is_none_or(|message: &String| !message.contains("#484")) {
        messages.extend(day.service.next_messages(1));
    }
    assert_eq!((day.requests, messages.len()), (48, 12), "requests, and the messages that they are worth");
    insta::assert_snapshot!(messages.join("\n"));
    assert_eq!(day.service.stop("TERM").1, Vec::<String>::new());
    assert!(bitbucket().samples.len() > 50);
}
