//! TLS of the listeners.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Version};

use crate::program::{EVERYTHING, Home, PATIENCE, Service};

const TLS: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

fn with_tls() -> String {
    EVERYTHING.replace("[server]", &format!("[server]\n{TLS}"))
}

/// Writes a certificate for `localhost` and its key.
fn write_certificate(directory: &Path, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Vec<u8> {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut parameters);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    write_private(&directory.join("key.pem"), &key.serialize_pem());
    std::fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
    certificate.der().to_vec()
}

/// Writes a certificate that an authority signed, and its key.
pub(crate) fn write_signed_certificate(directory: &Path) {
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    let issuer = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer);
    write_private(&directory.join("key.pem"), &key.serialize_pem());
    std::fs::write(directory.join("cert.pem"), certificate.unwrap().pem()).unwrap();
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Requests `/healthz` at `localhost`, and trusts only this certificate.
async fn health(service: &Service, certificate: &[u8]) -> reqwest::Result<reqwest::Response> {
    let trusted = Certificate::from_der(certificate).unwrap();
    let client = Client::builder().tls_certs_only([trusted]).build().unwrap();
    client.get(format!("https://localhost:{}/healthz", service.address().port())).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_and_commands_use_tls() {
    let home = Home::empty();
    let (code, out, err) = home.run(&["dev-cert"]);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!("dev_cert", out);
    let keys = "tls = { cert = \"dev-cert.pem\", key = \"dev-key.pem\" }";
    home.write_config(&EVERYTHING.replace("[server]", &format!("[server]\n{keys}\nadmin_{keys}")));
    let (code, _, err) = home.run(&["check"]);
    assert!(
        code == 0 && err.contains("`dev-cert.pem` is self-signed, so code hosts and other clients reject it"),
        "{err}"
    );

    let mut service = home.serve();
    service.wait_for_log("admin     https://");
    let address = service.address();
    // By its local address, which no public certificate names, and by name.
    for to in [format!("https://127.0.0.1:{}", address.port()), format!("https://localhost:{}", address.port())] {
        let (code, out, err) = home.run(&["sample", "send", "push", "--to", &to]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let (_, _, err) = home.run(&["sample", "send", "push", "--to", &format!("http://{address}")]);
    assert!(err.contains("Hookbell is configured for TLS: use `https://`"), "{err}");
    assert_eq!(service.next_messages(2).len(), 2);
    let (code, out, err) = home.run(&["events"]);
    assert!(code == 0 && out.matches("acme/api").count() == 2, "{out}{err}");
    let (_, out, _) = home.run(&["doctor"]);
    for listener in ["listen", "admin_listen"] {
        assert!(
            out.contains(&format!(
                "note   tls      the certificate of `{listener}` is self-signed: code hosts reject it"
            )),
            "{out}"
        );
    }
    assert!(out.contains("MB free for the store"), "{out}");
    // Never replaces a key.
    let (code, _, err) = home.run(&["dev-cert"]);
    assert!(code == 2 && err.contains("`dev-cert.pem` already exists: remove it to create another"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_replaced_while_the_service_runs() {
    let home = Home::new(&with_tls());
    let first = write_certificate(home.path(), |_| ());
    let mut service = home.serve();
    let response = health(&service, &first).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));

    let second = write_certificate(home.path(), |_| ());
    service.wait_for_log("changed certificate `cert.pem`");
    assert!(health(&service, &first).await.is_err());
    assert_eq!(health(&service, &second).await.unwrap().status(), 200);

    // A file that does not fit is reported, and the last valid certificate stays in use.
    write_private(&home.path().join("key.pem"), &rcgen::KeyPair::generate().unwrap().serialize_pem());
    service.wait_for_log("`key.pem` is not the key of the certificate in `cert.pem`");
    assert_eq!(health(&service, &second).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_handshake_are_closed() {
    let home = Home::new(&with_tls());
    let certificate = write_certificate(home.path(), |_| ());
    let mut service = home.serve();
    let connect = || {
        let stream = TcpStream::connect(service.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let (mut silent, mut plain) = (connect(), connect());
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = vec![];
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let began = std::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_secs(20));
    service.wait_for_log("the client uses http; use https");
    assert_eq!(health(&service, &certificate).await.unwrap().status(), 200);
}

#[test]
fn unusable_certificates_are_explained() {
    let home = Home::new(&with_tls());
    let found = || {
        let (code, _, err) = home.run(&["check"]);
        (code, err.lines().find(|line| line.starts_with("error") || line.starts_with("warning")).unwrap().to_owned())
    };
    let error = |text: &str| (1, format!("error: {text}"));
    // A check on another machine needs no certificate; the service does.
    let missing = "cannot read `cert.pem`: No such file or directory (os error 2)";
    assert_eq!(found(), (0, format!("warning: {missing}")));
    let (code, _, err) = home.run(&["serve"]);
    assert!(code == 2 && err.contains(&format!("error: {missing}")), "{err}");

    let write = |name: &str, text: &str| write_private(&home.path().join(name), text);
    write("cert.pem", "nothing");
    write("key.pem", "nothing");
    assert_eq!(found(), error("`cert.pem` contains no certificate in PEM format"));
    write_certificate(home.path(), |_| ());
    write("key.pem", "nothing");
    assert_eq!(found(), error("`key.pem` contains no unencrypted private key in PEM format"));
    write("key.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(found(), error("`key.pem` is not the key of the certificate in `cert.pem`"));
    write_certificate(home.path(), |parameters| parameters.not_after = rcgen::date_time_ymd(2021, 3, 4));
    assert_eq!(found(), (0, "warning: the certificate `cert.pem` expired on 2021-03-04".to_owned()));
    let (_, out, _) = home.run(&["doctor"]);
    assert!(out.contains("error  tls      the certificate of `listen` expired on 2021-03-04"), "{out}");
    home.write_config(&with_tls().replace(", key = \"key.pem\"", ""));
    assert_eq!(found(), error("TLS needs a certificate and its key"));
}
