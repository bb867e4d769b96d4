//! `hookbell sample list|show|send`.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::Value;
use ulid::Ulid;

use super::Failure;
use super::input::{named_provider, sample};
use crate::config::{self, Secrets, Settings};
use crate::source::{Provider, Sample as Body};

/// `hookbell sample …`
#[derive(Subcommand)]
pub(super) enum Sample {
    /// List the samples.
    List,
    /// Show a sample's body.
    Show {
        /// Its name.
        name: String,
    },
    /// Send a sample to a running Hookbell, signed with the config's secret.
    Send {
        /// Its name.
        name: String,
        /// Where to, if not to the source that the config describes.
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
}

impl Sample {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let provider = named_provider(None)?;
        match self {
            Self::List => {
                list(provider);
                Ok(())
            }
            Self::Show { name } => {
                anstream::print!("{}", sample(provider, &name)?.body);
                Ok(())
            }
            Self::Send { name, to } => send(provider, sample(provider, &name)?, to, config),
        }
    }
}

fn list(provider: &Provider) {
    let dim = anstyle::Style::new().dimmed();
    let width = provider.samples.iter().map(|sample| sample.name.len()).max().unwrap_or(0);
    let key_width = provider.samples.iter().map(|sample| sample.key.len()).max().unwrap_or(0);
    for Body { name, key, about, .. } in provider.samples {
        anstream::println!("{name:width$}  {dim}{key:key_width$}{dim:#}  {about}");
    }
}

fn send(provider: &'static Provider, sample: &Body, to: Option<String>, config: &Path) -> Result<(), Failure> {
    let loaded = config::load(config, Secrets::Leave);
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    let (url, secret) = target(provider, &settings, to)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::NotFine(format!("cannot start: {error}")))?;
    let (status, answer) = runtime.block_on(post(provider, sample, &url, &secret)).map_err(|error| {
        let hint = if error.is_connect() { "\n  is Hookbell running? start it in another terminal" } else { "" };
        Failure::NotFine(format!("cannot send to {url}: {}{hint}", root_cause(&error)))
    })?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
    if !(200..300).contains(&status) {
        let message = answer["error"].as_str().map_or_else(|| answer.to_string(), ToOwned::to_owned);
        return Err(Failure::NotFine(format!("{url} answered {status}: {message}")));
    }
    anstream::println!("{status} {}", answer["request"].as_str().unwrap_or("stored"));
    for event in answer["events"].as_array().into_iter().flatten() {
        anstream::println!("  {}", told(event));
    }
    Ok(())
}

/// What the answer says of one event, in a line.
fn told(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = format!("{} ({})", text(&event["kind"]), text(&event["key"]));
    let sends = event["routes"].as_array().into_iter().flatten().filter_map(|route| {
        let channels: Vec<_> = route["channels"].as_array()?.iter().filter_map(Value::as_str).collect();
        (!channels.is_empty()).then(|| format!("{} by route `{}`", channels.join(", "), text(&route["route"])))
    });
    let sends: Vec<_> = sends.collect();
    let near = || event["near"].as_array().into_iter().flatten();
    match (event["muted"].as_str(), sends.is_empty()) {
        (Some(mute), _) => format!("{kind} → nowhere: muted by `{mute}`"),
        (None, false) => format!("{kind} → {}", sends.join("; ")),
        (None, true) => near().fold(format!("{kind} → nowhere"), |line, near| {
            format!("{line}\n    route `{}`: {}", text(&near["route"]), text(&near["why"]))
        }),
    }
}

fn target(provider: &Provider, settings: &Settings, to: Option<String>) -> Result<(String, SecretString), Failure> {
    let wanted = to.as_deref().and_then(|url| url.split(['?', '#']).next()?.rsplit('/').next());
    let of_kind = || settings.sources.iter().filter(|(_, entry)| entry.provider.kind == provider.kind);
    let named = of_kind().find(|(name, _)| Some(name.as_str()) == wanted);
    let Some((name, entry)) = named.or_else(|| of_kind().next()) else {
        return Err(Failure::Usage(format!("the config has no source of kind `{}`", provider.kind)));
    };
    let Some(secret) = entry.secrets.first() else {
        return Err(Failure::NotFine(format!(
            "source `{name}` has no secret yet: start Hookbell once, it generates one"
        )));
    };
    let url = to.unwrap_or_else(|| format!("http://{}/hooks/{name}", reachable(settings.listen)));
    Ok((url, secret.clone()))
}

/// Who listens on every address is reached on the loopback.
fn reachable(mut listen: std::net::SocketAddr) -> std::net::SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match listen {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        listen.set_ip(loopback);
    }
    listen
}

async fn post(
    provider: &Provider,
    sample: &Body,
    url: &str,
    secret: &SecretString,
) -> Result<(u16, String), reqwest::Error> {
    let (header, signature) = (provider.sign)(secret, sample.body.as_bytes());
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15))
        .no_proxy()
        .build()?;
    let response = client
        .post(url)
        .headers((provider.headers)(sample.key, &Ulid::generate().to_string()))
        .header(header, signature)
        .body(sample.body)
        .send()
        .await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// reqwest says what it did; the last cause says what went wrong.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
