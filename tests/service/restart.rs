//! A passed socket outlives the program, so restarts lose no request.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use reqwest::Client;

use crate::program::{EVERYTHING, Home, Lines, Process, Service, request, sample};

/// Starts the service with a socket passed in, as systemd does (<https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>).
fn serve(home: &Home, listener: &TcpListener) -> Service {
    let program = home.command(&[]);
    let mut command = Command::new("sh");
    // The receiver of the socket is named by its process id, which a shell keeps when it executes another program.
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\""]).arg(program.get_program());
    command.current_dir(home.path()).env("NO_COLOR", "1").env("HOOKBELL__SERVER__ADMIN_LISTEN", "127.0.0.1:0");
    let parent_fd = OwnedFd::from(listener.try_clone().unwrap());
    command.fd_mappings(vec![FdMapping { parent_fd, child_fd: 3 }]).unwrap();
    Home::running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_under_load_behind_a_passed_in_socket_lose_no_request() {
    let home = Home::new(&EVERYTHING.replace("listen = \"127.0.0.1:0\"", "listen = \"systemd\""));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/bitbucket", listener.local_addr().unwrap());
    let mut service = serve(&home, &listener);
    let (done, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let senders = (0..8).map(|_| {
        let (done, next, url) = (done.clone(), next.clone(), url.clone());
        tokio::spawn(async move {
            // As hosts do: one connection per request, and no retry.
            let client = Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(30)).build().unwrap();
            let mut answers = vec![];
            while !done.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let (key, mut body) = sample("pull_request.opened");
                body["pullrequest"]["title"] = format!("number {n}").into();
                let sent = request(&client, &url, key, &format!("request-{n}"), &body.to_string()).send().await;
                answers.push(sent.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}")));
            }
            answers
        })
    });
    let senders: Vec<_> = senders.collect();
    for n in 1..=5 {
        let sent = next.load(Ordering::Relaxed);
        while next.load(Ordering::Relaxed) < sent + 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (status, _) = service.stop("TERM");
        assert!(status.success(), "stop {n}");
        service = serve(&home, &listener);
    }
    done.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for sender in senders {
        for answer in sender.await.unwrap() {
            assert_eq!(answer, Ok(202));
            accepted += 1;
        }
    }
    assert!(accepted >= 200, "{accepted}");
}

#[test]
fn missing_systemd_socket_is_an_error_with_help() {
    let home = Home::new(&EVERYTHING.replace("listen = \"127.0.0.1:0\"", "listen = \"systemd\""));
    let (code, _, err) = home.run(&[]);
    assert_eq!(code, 1);
    assert!(err.contains("no socket was passed") && err.contains("systemd socket unit"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_process_waits_visibly_and_listens_once_it_can_serve() {
    let home = Home::new(EVERYTHING);
    let first = home.serve();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut second = home.command(&[]);
    second.env("HOOKBELL__SERVER__LISTEN", free.to_string()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut second = Process::start(&mut second);
    let mut log = Lines::of(second.stderr.take().unwrap());
    let waiting = log.wait_for("store in use by another instance");
    assert!(waiting.contains("hookbell.db"), "{waiting}");
    assert!(std::net::TcpStream::connect(free).is_err(), "it does not listen yet");
    assert!(first.stop("TERM").0.success());
    log.wait_for("/hooks/");
    let (key, body) = sample("push");
    let request = request(&Client::new(), &format!("http://{free}/hooks/bitbucket"), key, "1", &body.to_string());
    assert_eq!(request.send().await.unwrap().status(), 202);
}
