//! Certificates from an authority.

use std::os::unix::fs::PermissionsExt;

use reqwest::Version;

use crate::pebble::{Pebble, are_installed, port};
use crate::program::{EVERYTHING, Home, output_of, post_to, sample};

const NAME: &str = "hookbell.acme.example";

/// Configuration that requests a certificate for these names.
fn config(pebble: &Pebble, port: u16, names: &str) -> String {
    let (directory, ca) = (&pebble.directory, pebble.ca.display());
    let acme = format!("acme = {{ domains = {names}, email = \"ops@acme.example\", directory = \"{directory}\" }}");
    let listen = format!("listen = \"127.0.0.1:{port}\"\n{acme}");
    format!("{}\n[http]\nca = \"{ca}\"\n", EVERYTHING.replace("listen = \"127.0.0.1:0\"", &listen))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_requested_renewed_and_kept() {
    if !are_installed(&["pebble", "pebble-challtestsrv"]) {
        return;
    }
    let (home, port) = (Home::empty(), port());
    let pebble = Pebble::start(home.path(), port, 1, 15);
    home.write_config(&config(&pebble, port, &format!("\"{NAME}\"")));
    let mut service = home.serve();
    service.wait_for_log("certificate received");
    let client = pebble.client(NAME).await;
    let url = format!("https://{NAME}:{port}");
    let response = client.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    let (key, body) = sample("push");
    assert_eq!(post_to(&client, &format!("{url}/hooks/bitbucket"), key, "one", &body).await.0, 202);
    // The commands know the certificate.
    assert!(output_of(&home, &["sample", "send", "push"]).contains("push (repo:push) → screen"));
    let kept = home.path().join("hookbell.db.acme");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&kept).unwrap();

    // After two thirds of its life.
    service.wait_for_log("certificate received");
    let second = std::fs::read_to_string(&kept).unwrap();
    let account = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["account"].clone();
    assert!(first != second && account(&first) == account(&second));
    assert_eq!(client.get(format!("{url}/healthz")).send().await.unwrap().status(), 200);

    // More names are a new order, without a restart.
    home.write_config(&config(&pebble, port, &format!("[\"{NAME}\", \"bell.acme.example\"]")));
    service.wait_for_log("domains=\"hookbell.acme.example, bell.acme.example\"");
    let other = pebble.client("bell.acme.example").await;
    assert_eq!(other.get(format!("https://bell.acme.example:{port}/healthz")).send().await.unwrap().status(), 200);

    // The next start uses the certificate that is there, also without the authority.
    service.stop("TERM");
    drop(pebble);
    let _service = home.serve();
    assert_eq!(other.get(format!("https://bell.acme.example:{port}/healthz")).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_the_authority_is_explained() {
    if !are_installed(&["pebble", "pebble-challtestsrv"]) {
        return;
    }
    let (home, listen) = (Home::empty(), port());
    // Nothing listens where the authority checks.
    let pebble = Pebble::start(home.path(), port(), 1, 3_600);
    home.write_config(&config(&pebble, listen, &format!("\"{NAME}\"")));
    let mut service = home.serve();
    let logged = service.wait_for_log("no certificate; trying again");
    assert!(logged.contains(&format!("the authority refuses {NAME}: ")) && logged.contains("onnect"), "{logged}");
    let (code, out, _) = home.run(&["doctor"]);
    assert!(code == 1 && out.contains(&format!("error  service  no new certificate for {NAME}: ")), "{out}");
    assert!(out.contains("the authority must reach port 443 of each name"), "{out}");

    // Without a certificate there is no connection, and no plain one either.
    let error = pebble.client(NAME).await.get(format!("https://{NAME}:{listen}/healthz")).send().await;
    assert!(error.is_err());
}
