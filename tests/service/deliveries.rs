use serde_json::json;

use crate::program::{EVERYTHING, Home, SECRET, Service, bitbucket, post, sample};

fn titled(n: usize) -> (&'static str, serde_json::Value) {
    let (key, mut body) = sample("pull_request.opened");
    body["pullrequest"]["title"] = format!("number {n:04}").into();
    (key, body)
}

/// Returns the numbers in messages of [`titled`].
fn numbers(messages: &[String]) -> Vec<usize> {
    let number = |message: &String| message.split("number ").nth(1).unwrap()[..4].parse().unwrap();
    messages.iter().map(number).collect()
}

#[tokio::test]
async fn every_sample_is_delivered_in_order() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let mut expected = vec![];
    for (n, sample) in bitbucket().samples.iter().enumerate() {
        let body = serde_json::from_str(sample.body).unwrap();
        let (status, answer) = post(&service, sample.key, &format!("request-{n}"), &body).await;
        assert_eq!(status, 202, "{answer}");
        for event in answer["events"].as_array().unwrap() {
            assert_eq!(event["routes"], json!([{ "route": "everything", "channels": ["screen"] }]));
            expected.push(event["kind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(expected.len(), bitbucket().samples.len() + 1, "one sample holds three events, and one nothing to tell");
    let messages = service.next_messages(expected.len());
    insta::assert_snapshot!(messages.join("\n"));
    let (status, rest) = service.stop("TERM");
    assert!(status.success(), "{status}");
    assert_eq!(rest, Vec::<String>::new());
}

#[tokio::test]
async fn one_request_sent_twice_at_once_is_one_event_with_the_same_answer() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    for round in 0..20 {
        let (key, body) = titled(round);
        let id = format!("request-{round}");
        let (one, two) = tokio::join!(post(&service, key, &id, &body), post(&service, key, &id, &body));
        let ((first, second), mut statuses) = ((one.1, two.1), [one.0, two.0]);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 202]);
        assert_eq!([&first, &second].iter().filter(|answer| answer["duplicate"] == true).count(), 1);
        assert_eq!((&first["request"], &first["events"]), (&second["request"], &second["events"]));
        let (status, later) = post(&service, key, &id, &body).await;
        assert_eq!((status, &later["duplicate"], &later["request"]), (200, &json!(true), &first["request"]));
    }
    assert_eq!(numbers(&service.next_messages(20)), (0..20).collect::<Vec<_>>());
    assert_eq!(service.stop("INT").1, Vec::<String>::new());
}

#[tokio::test]
async fn stored_request_is_posted_if_the_client_hung_up() {
    use std::io::Write;
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    for n in 0..30 {
        let (key, body) = titled(n);
        let body = body.to_string();
        let (header, signature) = (bitbucket().sign)(&SECRET.to_owned().into(), body.as_bytes());
        let mut request = format!("POST /hooks/bitbucket HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in &(bitbucket().headers)(key, &n.to_string()) {
            request.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        request.push_str(&format!("{header}: {signature}\r\n\r\n{body}"));
        let mut stream = std::net::TcpStream::connect(service.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        drop(stream);
    }
    // The host repeats all requests, stored or not, and each is posted once.
    let mut stored = 0;
    for n in 0..30 {
        let (key, body) = titled(n);
        let (status, _) = post(&service, key, &n.to_string(), &body).await;
        stored += usize::from(status == 200);
    }
    assert_eq!(service.next_messages(30).len(), 30, "{stored} were stored before");
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}

/// Sends until the console, which nobody reads, blocks.
async fn flood(service: &Service, count: usize) {
    for n in 0..count {
        let (key, body) = titled(n);
        let (status, answer) = post(service, key, &format!("request-{n}"), &body).await;
        assert_eq!(status, 202, "{answer}");
    }
}

#[tokio::test]
async fn acknowledged_request_is_delivered_after_a_kill() {
    const COUNT: usize = 250;
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    flood(&service, COUNT).await;
    let (_, before) = service.stop("KILL");
    let before = numbers(&before);
    assert_eq!(before, (0..before.len()).collect::<Vec<_>>(), "in order before the kill");
    assert!(before.len() < COUNT, "the console was to block before the end");

    let mut service = home.serve();
    // At least the last message is outstanding; the one that was shown during the kill may be shown again.
    let mut after = vec![];
    while after.last() != Some(&(COUNT - 1)) {
        after.extend(numbers(&service.next_messages(1)));
    }
    let first = after[0];
    assert!(first <= before.len() && first + 1 >= before.len(), "{} shown, then {first}", before.len());
    assert_eq!(after, (first..COUNT).collect::<Vec<_>>(), "in order after the kill");
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}

#[tokio::test]
async fn removed_channel_keeps_its_queue_until_it_is_back() {
    const COUNT: usize = 250;
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    flood(&service, COUNT).await;
    let shown = service.stop("KILL").1.len();

    let other = EVERYTHING.replace("screen", "another");
    home.write_config(&other);
    let mut service = home.serve();
    let (key, body) = titled(9_999);
    post(&service, key, "request-new", &body).await;
    assert_eq!(numbers(&service.next_messages(1)), [9_999], "what waits for the channel that is gone does not come");
    assert!(service.stop("TERM").0.success());

    home.write_config(EVERYTHING);
    let mut service = home.serve();
    let rest = numbers(&service.next_messages(COUNT - shown - 1));
    assert!(rest[0] == shown || rest[0] == shown + 1 || rest[0] + 1 == shown, "{shown} shown, then {}", rest[0]);
}

#[tokio::test]
async fn receipt_shows_routes_and_reasons() {
    let config = format!("{EVERYTHING}\n[[mutes]]\nname = \"drafts\"\ndraft = \"true\"\n",)
        .replace("event = \"@all\"", "event = \"pull_request.*\"\ntarget_branch = \"release/**\"");
    let home = Home::new(&config);
    let service = home.serve();
    let answer = |name: &'static str| {
        let service = &service;
        async move {
            let (key, body) = sample(name);
            post(service, key, name, &body).await.1["events"][0].clone()
        }
    };
    insta::assert_json_snapshot!(answer("pull_request.opened").await, @r#"
    {
      "key": "pullrequest:created",
      "kind": "pull_request.opened",
      "near_misses": [
        {
          "reason": "`target_branch`: `main` does not match `release/**`",
          "route": "everything"
        }
      ],
      "routes": []
    }
    "#);
    insta::assert_json_snapshot!(answer("pull_request.opened.draft").await, @r#"
    {
      "key": "pullrequest:created",
      "kind": "pull_request.opened",
      "muted": "drafts",
      "routes": []
    }
    "#);
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}

#[tokio::test]
async fn hostile_text_in_every_string_breaks_nothing() {
    let hostile =
        "\u{1b}[2J<!channel> @everyone [x](https://evil.example) `a` **b**\n# c\r\n| d |\u{202e}{{e}} ${f} \u{9b}";
    fn poison(value: &mut serde_json::Value, with: &str) {
        match value {
            serde_json::Value::String(text) => *text = with.to_owned(),
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, with)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|item| poison(item, with)),
            _ => {}
        }
    }
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let mut count = 0;
    for sample in bitbucket().samples {
        let mut body = serde_json::from_str(sample.body).unwrap();
        poison(&mut body, hostile);
        let (status, answer) = post(&service, sample.key, sample.name, &body).await;
        assert_eq!(status, 202, "{answer}");
        // An update without a change is not posted.
        count += answer["events"].as_array().unwrap().iter().filter(|event| event["suppressed"].is_null()).count();
    }
    assert!(count > 40, "{count}");
    for message in service.next_messages(count) {
        assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
        assert!(message.lines().all(|line| line.starts_with('▌')), "{message}");
        assert!(!message.contains('\u{202e}'));
    }
    assert_eq!(service.stop("TERM").1, Vec::<String>::new());
}
