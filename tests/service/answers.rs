use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::program::{EVERYTHING, Home, SECRET, Service, bitbucket, post, request, sample};

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "one line: {text:?}");
    assert!(!text.contains(SECRET), "{text}");
    (status, serde_json::from_str(&text).unwrap())
}

fn said(message: &str) -> Value {
    json!({ "error": message })
}

#[tokio::test]
async fn each_case_gets_its_expected_outcome() {
    let home = Home::new(&EVERYTHING.replace("secret = ", "repo = \"acme/*\"\nsecret = "));
    let service = home.serve();
    let client = Client::new();
    let (url, (key, body)) = (service.url("/hooks/bitbucket"), sample("push"));
    let body = body.to_string();
    let headers = || (bitbucket().headers)(key, "request");
    let signed = |key: &str, body: &str| request(&client, &url, key, "request", body);

    let unsigned = client.post(&url).headers(headers()).body(body.clone());
    let no_signature = said("missing `X-Hub-Signature` header; set the webhook's secret to the source's secret");
    assert_eq!(answer(unsigned).await, (401, no_signature));

    let (_, signature) = (bitbucket().sign)(&"another secret".to_owned().into(), body.as_bytes());
    for wrong in [signature.as_str(), "sha256=", "sha256", "sha1=00", "", "sha256=zz"] {
        let request = client.post(&url).headers(headers()).header("X-Hub-Signature", wrong).body(body.clone());
        let mismatch = said("signature does not match; set the webhook's secret to the source's secret");
        assert_eq!(answer(request).await, (401, mismatch), "{wrong}");
    }

    let unknown = request(&client, &service.url("/hooks/nowhere"), key, "request", &body);
    assert_eq!(
        answer(unknown).await,
        (404, said("unknown source `nowhere`; the webhook URL must end in `/hooks/bitbucket`"))
    );
    let nothing = said("`/elsewhere` not found; the webhook URL must end in `/hooks/bitbucket`");
    assert_eq!(answer(client.post(service.url("/elsewhere"))).await, (404, nothing));

    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = client.request(method, &url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
        assert_eq!(response.json::<Value>().await.unwrap(), said("method not allowed: use POST"));
    }

    let large = "x".repeat(2 * 1024 * 1024);
    assert_eq!(answer(signed(key, &large)).await, (413, said("the body is larger than 1024 KB")));

    let (status, broken) = answer(signed(key, "{\"push\": ")).await;
    assert_eq!(status, 400);
    assert!(broken["error"].as_str().unwrap().starts_with("the body is not valid JSON: "), "{broken}");
    assert_eq!(answer(signed(key, "[]")).await, (400, said("the body is not a JSON object")));
    let misfit = said("invalid `pullrequest:created` body: missing object `pullrequest`");
    assert_eq!(answer(signed("pullrequest:created", &body)).await, (400, misfit));

    let foreign = body.replace("acme/api", "other/api");
    let not_allowed = said("`other/api` is not allowed by the source's `repo`; add it there");
    assert_eq!(answer(signed(key, &foreign)).await, (403, not_allowed));
    // An event without a repository is accepted and not posted.
    let (status, nameless) = answer(request(&client, &url, "repo:invented", "nameless", "{}")).await;
    let why = "the request does not name its repository, and no earlier one did";
    assert_eq!((status, &nameless["events"][0]["suppressed"]), (202, &json!(why)));

    assert_eq!(answer(signed(key, r#"{"push":{"changes":[]}}"#)).await.0, 202);
    assert_eq!(answer(client.get(service.url("/healthz"))).await, (200, json!({ "status": "ok" })));
    assert_eq!(answer(client.post(service.url("/healthz"))).await.0, 405);
    assert_eq!(answer(client.get(service.url("/readyz"))).await, (200, json!({ "status": "ready" })));
    assert_eq!(answer(client.post(service.url("/readyz"))).await.0, 405);
    assert_eq!(service.stop("TERM").1, Vec::<String>::new(), "no rejection is logged as stored");
}

#[tokio::test]
async fn unknown_event_key_is_accepted_and_posted() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let (_, body) = sample("push");
    let (status, answer) = post(&service, "repo:invented", "request", &body).await;
    assert_eq!((status, &answer["events"][0]["kind"]), (202, &json!("other")));
    assert!(service.next_messages(1)[0].contains("Ana Ruiz · acme/api\n▌ Event repo:invented"));
}

#[tokio::test]
async fn any_configured_secret_is_accepted() {
    let home =
        Home::new(&EVERYTHING.replace("secret = ", "secret = [\"a new one\", ").replace("secret\"\n", "secret\"]\n"));
    let service = home.serve();
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "one", &body).await.0, 202);
}

/// Reads until the other side closes; `None` if it does not in time.
fn read_to_close(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn connect(service: &Service, send: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.write_all(send).unwrap();
    stream
}

#[tokio::test]
async fn stalled_clients_are_closed_while_others_are_served() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let post_with = |rest: &str| {
        let signature = "0".repeat(64);
        let headers = format!("Host: x\r\nX-Event-Key: repo:push\r\nX-Hub-Signature: sha256={signature}\r\n");
        format!("POST /hooks/bitbucket HTTP/1.1\r\n{headers}{rest}")
    };
    let stalled: Vec<_> = [
        String::new(),
        "P".to_owned(),
        "POST /hooks/bitbucket HTTP/1.1\r\nHost: x\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\n".to_owned(),
        post_with("Content-Length: 10\r\n\r\n{"),
        post_with("Transfer-Encoding: chunked\r\n\r\n5\r\n{"),
    ]
    .iter()
    .map(|send| connect(&service, send.as_bytes()))
    .collect();
    let dropped = stalled.into_iter().map(|mut stream| std::thread::spawn(move || read_to_close(&mut stream)));
    let dropped: Vec<_> = dropped.collect();
    let (key, body) = sample("push");
    assert_eq!(post(&service, key, "request", &body).await.0, 202);
    service.next_messages(1);
    for (n, dropped) in dropped.into_iter().enumerate() {
        let answer = dropped.join().unwrap().unwrap_or_else(|| panic!("client {n} is still there"));
        assert_eq!(answer.contains("408"), n >= 4, "client {n}: {answer}");
    }
}

#[tokio::test]
async fn non_http_input_is_answered_or_closed() {
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    for send in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\r\n\r\n\x00\xff", long.as_bytes(), many.as_bytes()]
    {
        let mut stream = TcpStream::connect(service.address()).unwrap();
        let _ = stream.write_all(send);
        let _ = read_to_close(&mut stream);
    }
    assert_eq!(answer(Client::new().get(service.url("/healthz"))).await.0, 200);
}

#[tokio::test]
async fn http_2_is_served() {
    let home = Home::new(EVERYTHING);
    let mut service = home.serve();
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let (key, body) = sample("push");
    let url = service.url("/hooks/bitbucket");
    let response = request(&client, &url, key, "request", &body.to_string()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (202, reqwest::Version::HTTP_2));
    service.next_messages(1);
}
