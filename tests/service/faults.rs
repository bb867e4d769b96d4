//! Faults of the disk and the database: only stored requests are acknowledged, and the service recovers by itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response};
use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit};

use crate::chats::{config, numbers};
use crate::fakes::{Fake, Kind};
use crate::program::{EVERYTHING, Home, Service, request, sample};

async fn send(client: &Client, service: &Service, n: usize) -> Response {
    let (key, mut body) = sample("pull_request.opened");
    body["pullrequest"]["title"] = format!("number {n:04}").into();
    let url = service.url("/hooks/bitbucket");
    request(client, &url, key, &format!("request-{n}"), &body.to_string()).send().await.unwrap()
}

/// Another process holds the store's write lock.
fn block(home: &Home) -> Connection {
    let db = Connection::open(home.path().join("hookbell.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn short_store_outage_delays_requests_and_rejects_none() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let service = home.serve();
    let client = Client::new();
    assert_eq!(send(&client, &service, 0).await.status(), 202);
    slack.wait_for(1).await;
    let blocker = block(&home);
    let began = Instant::now();
    let held = async { (send(&client, &service, 1).await.status(), began.elapsed()) };
    let free = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        drop(blocker);
    };
    let ((status, duration_ms), ()) = tokio::join!(held, free);
    assert_eq!(status, 202);
    assert!(duration_ms >= Duration::from_millis(1_400), "{duration_ms:?}");
    assert_eq!(numbers(&slack.wait_for(2).await), [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_store_outage_is_answered_in_time_and_recovers() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let service = home.serve();
    let client = Client::new();
    let blocker = block(&home);
    let began = Instant::now();
    let answers = tokio::join!(send(&client, &service, 0), send(&client, &service, 1));
    let duration_ms = began.elapsed();
    for answer in [answers.0, answers.1] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "10");
        let text = answer.text().await.unwrap();
        assert!(text.contains("could not be stored; send it again"), "{text}");
    }
    assert!(
        duration_ms >= Duration::from_secs(7) && duration_ms < Duration::from_secs(10),
        "hosts wait ten seconds: {duration_ms:?}"
    );
    drop(blocker);
    assert_eq!(send(&client, &service, 2).await.status(), 202);
    // A request with a 503 may be stored later; it is posted once if it is sent again.
    assert!([200, 202].contains(&send(&client, &service, 0).await.status().as_u16()));
    assert!([200, 202].contains(&send(&client, &service, 1).await.status().as_u16()));
    let mut shown = numbers(&slack.wait_for(3).await);
    shown.sort_unstable();
    assert_eq!(shown, [0, 1, 2]);
}

/// Files cannot grow: every write that needs space fails, as on a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn full_disk_loses_no_acknowledged_request_and_recovers() {
    let slack = Fake::start(Kind::Slack).await;
    let home = Home::new(&config(&[("slack", &slack)], ""));
    let program = home.command(&[]);
    let mut command = Command::new("sh");
    // Without this signal, a write beyond the limit is an ordinary error.
    command.args(["-c", "trap '' XFSZ; exec \"$0\""]).arg(program.get_program()).current_dir(home.path());
    command.env("HOOKBELL__SERVER__ADMIN_LISTEN", "127.0.0.1:0").env("NO_COLOR", "1");
    let mut service = Home::running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let client = Client::new();
    let mut acknowledged = vec![];
    for n in 0..5 {
        assert_eq!(send(&client, &service, n).await.status(), 202);
        acknowledged.push(n);
    }
    slack.wait_for(5).await;
    let pid = Pid::from_raw(i32::try_from(service.id()).unwrap());
    let size = std::fs::metadata(home.path().join("hookbell.db-wal")).unwrap().len();
    let limit =
        |bytes| rustix::process::prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    limit(Some(size));
    let (admin, _) = service.admin(&home);
    let statuses = futures(&client, &service, 5..25).await;
    acknowledged.extend((5..25).zip(&statuses).filter(|(_, status)| **status == 202).map(|(n, _)| n));
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| [202, 503].contains(status)), "{statuses:?}");
    service.wait_for_log("store failing");
    // It is not ready while requests cannot be stored, and ready again by itself, without a request.
    readiness(&client, &admin, 503).await;
    limit(None);
    readiness(&client, &admin, 200).await;
    for n in 25..30 {
        assert_eq!(send(&client, &service, n).await.status(), 202, "it goes on by itself");
        acknowledged.push(n);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = numbers(&slack.shown());
        if acknowledged.iter().all(|n| shown.contains(n)) {
            break;
        }
        assert!(Instant::now() < deadline, "{acknowledged:?} were acknowledged, {shown:?} were shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `/readyz` has this status, for at most five seconds.
async fn readiness(client: &Client, admin: &str, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = client.get(format!("{admin}/readyz")).send().await.unwrap();
        let (found, text) = (answer.status(), answer.text().await.unwrap());
        if found == status {
            assert_eq!(text.contains("the store cannot store requests"), status == 503, "{text}");
            return;
        }
        assert!(Instant::now() < deadline, "{found}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends requests concurrently and returns their statuses.
async fn futures(client: &Client, service: &Service, numbers: std::ops::Range<usize>) -> Vec<u16> {
    let url = service.url("/hooks/bitbucket");
    let sent: Vec<_> = numbers
        .map(|n| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move {
                let (key, mut body) = sample("pull_request.opened");
                body["pullrequest"]["title"] = format!("number {n:04}").into();
                let sent = request(&client, &url, key, &format!("request-{n}"), &body.to_string()).send().await;
                sent.unwrap().status().as_u16()
            })
        })
        .collect();
    let mut statuses = vec![];
    for sent in sent {
        statuses.push(sent.await.unwrap());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_waiting_for_the_store_are_limited() {
    const PLACES: usize = 1_024;
    let _alone = crate::MANY_CONNECTIONS.lock().await;
    let home = Home::new(EVERYTHING);
    let service = home.serve();
    // Several requests share a connection, so that there are more requests than connections.
    let clients: Vec<_> =
        (0..140).map(|_| Client::builder().http2_prior_knowledge().no_proxy().build().unwrap()).collect();
    // Prepared before the store is blocked: requests are held for eight seconds only, and signing this many takes a while.
    let requests = (0..PLACES + 60).map(|n| {
        let (key, mut body) = sample("pull_request.opened");
        body["pullrequest"]["title"] = format!("number {n:04}").into();
        let url = service.url("/hooks/bitbucket");
        request(&clients[n % clients.len()], &url, key, &format!("request-{n}"), &body.to_string())
    });
    let requests: Vec<_> = requests.collect();
    let blocker = block(&home);
    let send = |request: RequestBuilder| async { request.send().await.unwrap().status().as_u16() };
    let sent: Vec<_> = requests.into_iter().map(|request| tokio::spawn(send(request))).collect();
    // A request without a place is rejected immediately; the others are held until the store works.
    let deadline = Instant::now() + Duration::from_secs(6);
    while sent.iter().filter(|sent| sent.is_finished()).count() < 60 {
        assert!(Instant::now() < deadline, "no request was rejected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(blocker);
    let mut statuses = vec![];
    for sent in sent {
        statuses.push(sent.await.unwrap());
    }
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(202), count(503)), (PLACES, 60), "{statuses:?}");
}
