//! `hookbell sample list|show|send`: list, show or send built-in sample webhooks.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::Value;
use ulid::Ulid;

use super::host::Host;
use super::print::outln;
use super::shown::in_line;
use super::{Failure, certificate};
use crate::config::{self, Secrets, Settings, SourceEntry};
use crate::event::ChannelName;
use crate::http_client::{Trust, last_cause};
use crate::service::payload::sample;
use crate::source::{Provider, Sample as Body};
use crate::store::{EventReceipt, Receipt};
use crate::text::cut_text;
use crate::tls::scheme;

/// Arguments of `hookbell sample`.
#[derive(Subcommand)]
pub(super) enum Sample {
    /// List all samples
    List {
        #[command(flatten)]
        host: Host,
    },
    /// Show the body of a sample
    Show {
        /// Name of the sample
        name: String,
        #[command(flatten)]
        host: Host,
    },
    /// Send a sample to a running instance, signed with the configured secret; samples that it requires are sent first
    Send {
        /// Name of the sample
        name: String,
        /// Webhook URL; by default, the URL of the configured source
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        #[command(flatten)]
        host: Host,
    },
}

impl Sample {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        match self {
            Self::List { host } => {
                list(host.provider()?);
                Ok(())
            }
            Self::Show { name, host } => {
                super::print::out(format_args!("{}", sample(host.provider()?, &name)?.body));
                Ok(())
            }
            Self::Send { name, to, host } => {
                let provider = host.provider()?;
                send(provider, sample(provider, &name)?, to, config)
            }
        }
    }
}

fn list(provider: &Provider) {
    let dim = anstyle::Style::new().dimmed();
    let width = provider.samples.iter().map(|sample| sample.name.len()).max().unwrap_or(0);
    let key_width = provider.samples.iter().map(|sample| sample.key.len()).max().unwrap_or(0);
    for Body { name, key, about, .. } in provider.samples {
        outln!("{name:width$}  {dim}{key:key_width$}{dim:#}  {about}");
    }
}

fn send(provider: &'static Provider, sample: &'static Body, to: Option<String>, config: &Path) -> Result<(), Failure> {
    let loaded = config::load(config, Secrets::Leave);
    let Some(settings) = loaded.settings else { return Err(Failure::Problems(loaded.problems)) };
    // The service's own address is local; its certificate names the public one.
    let own = certificate(&settings);
    let trust = match &own {
        Some(own) if to.is_none() => Trust::Only(own),
        own => Trust::SystemAnd(own.as_deref()),
    };
    let client = super::client(Duration::from_secs(15), trust)?;
    let (url, entry, secret) = target(provider, &settings, to)?;
    let runtime = super::runtime()?;
    let story = provider.story(sample);
    if let [before @ .., _] = story.as_slice()
        && !before.is_empty()
    {
        let names: Vec<_> = before.iter().map(|sample| format!("`{}`", sample.name)).collect();
        outln!("`{}` requires {}, which is sent first", sample.name, names.join(" and "));
    }
    for sample in story {
        let body = unique(&as_of_now(&in_allowed_place(provider, sample, entry)));
        let (status, answer) =
            runtime.block_on(post(&client, provider, sample.key, &body, &url, &secret)).map_err(|error| {
                let help = not_sent(&url, &error, &settings);
                Failure::NotSent { url: url.clone(), reason: last_cause(&error).to_string(), help }
            })?;
        if !(200..300).contains(&status) {
            let json: Value = serde_json::from_str(&answer).unwrap_or_default();
            let message = cut_text(&in_line(json["error"].as_str().unwrap_or(&answer)), MAX_SHOWN);
            return Err(Failure::SampleRejected { url, status, message });
        }
        show(sample.name, status, serde_json::from_str(&answer).ok());
    }
    Ok(())
}

/// Advice on a sample that was not sent.
fn not_sent(url: &str, error: &reqwest::Error, settings: &Settings) -> Option<&'static str> {
    match url.split_once("://") {
        Some(("http", _)) if settings.has_tls() => Some("Hookbell is configured for TLS: use `https://`"),
        Some(("https", _)) if settings.acme.is_some() && certificate(settings).is_none() => {
            Some("Hookbell has no certificate yet: `hookbell doctor` says why")
        }
        Some(("http" | "https", _)) => {
            error.is_connect().then_some("is Hookbell running? start it in another terminal")
        }
        _ => Some("write the whole URL: it begins with `http://` or `https://`"),
    }
}

/// Maximum length of an error of a server, in UTF-16 units.
const MAX_SHOWN: usize = 400;

/// Prints the receipt; `None` if the response is not one.
fn show(name: &str, status: u16, receipt: Option<Receipt>) {
    let Some(receipt) = receipt else { return outln!("{status} stored {name}") };
    outln!("{status} {} {name}", receipt.request);
    for event in &receipt.events {
        outln!("  {}", routing_of(event));
    }
    if let Some(note) = receipt.note {
        outln!("  nothing to post: {note}");
    }
}

/// Makes a body unique. A body that was sent before would be a duplicate.
fn unique(body: &str) -> String {
    body.replacen('{', &format!("{{\"hookbell_sample\": \"{}\",", Ulid::generate()), 1)
}

/// Returns the body with a repository that the source allows, if it does not allow the sample's own and a pattern tells
/// one.
fn in_allowed_place(provider: &Provider, sample: &'static Body, entry: &SourceEntry) -> String {
    let body = sample.body;
    let parsed = provider.parse_sample(sample).ok();
    let place = parsed.and_then(|parsed| Some(parsed.events.first()?.place()?.to_owned()));
    let Some((workspace, slug)) = place.as_deref().and_then(|place| place.split_once('/')) else {
        return body.to_owned();
    };
    let slug_or_default = if slug.is_empty() { DEFAULT_SLUG } else { slug };
    if entry.repo.matches(&format!("{workspace}/{slug}")) {
        return body.to_owned();
    }
    let named = entry.repo.texts().map(|pattern| pattern.replace("**", slug_or_default).replace('*', slug_or_default));
    let allowed = named.filter(|named| entry.repo.matches(named)).find_map(|named| {
        let (workspace, slug) = named.split_once('/')?;
        Some((workspace.to_owned(), slug.to_owned()))
    });
    let Some((new_workspace, new_slug)) = allowed else { return body.to_owned() };
    body.replace(&format!("{workspace}/{slug_or_default}"), &format!("{new_workspace}/{new_slug}"))
        .replace(&format!("/{workspace}/"), &format!("/{new_workspace}/"))
        .replace(&format!("\"{workspace}\""), &format!("\"{new_workspace}\""))
}

/// Repository of the samples that name one.
const DEFAULT_SLUG: &str = "api";

/// Timestamps in bodies.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static TIMESTAMP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00").expect("a valid pattern"));

/// Moves all timestamps of a body to the present and keeps their order. Hookbell ignores states that are older than the
/// known ones.
fn as_of_now(body: &str) -> String {
    let times = TIMESTAMP.find_iter(body).filter_map(|found| found.as_str().parse::<Timestamp>().ok());
    let (Some(last), now) = (times.max(), Timestamp::now()) else { return body.to_owned() };
    let moved = |timestamp: &Captures<'_>| {
        // Differences are scaled: one second becomes one microsecond.
        let before = |timestamp: Timestamp| SignedDuration::from_micros(last.duration_since(timestamp).as_secs());
        let moved = timestamp[0].parse::<Timestamp>().and_then(|timestamp| now.checked_sub(before(timestamp)));
        moved.map_or_else(|_| timestamp[0].to_owned(), |timestamp| format!("{timestamp:.6}").replace('Z', "+00:00"))
    };
    TIMESTAMP.replace_all(body, moved).into_owned()
}

/// Formats the routing of one event in a receipt.
fn routing_of(event: &EventReceipt) -> String {
    let kind = format!("{} ({})", event.kind, event.key);
    let sends = event.routes.iter().filter(|route| !route.channels.is_empty()).map(|route| {
        let channels: Vec<_> = route.channels.iter().map(ChannelName::as_str).collect();
        format!("{} by route `{}`", channels.join(", "), route.route)
    });
    let sends: Vec<_> = sends.collect();
    if let Some(why) = &event.pending_routing {
        return format!("{kind} → pending routing: {why}");
    }
    let held = event.held.iter().map(|held| format!("\n    channel `{}`: {}", held.channel, held.reason));
    let held: String = held.collect();
    if let Some(why) = &event.suppressed {
        return format!("{kind} → not routed: {why}");
    }
    match (&event.muted, sends.is_empty()) {
        (Some(mute), _) => format!("{kind} → not routed: muted by `{mute}`"),
        (None, false) => format!("{kind} → {}{held}", sends.join("; ")),
        (None, true) => event.near_misses.iter().fold(format!("{kind} → not routed{held}"), |line, near| {
            format!("{line}\n    near miss `{}`: {}", near.route, near.reason)
        }),
    }
}

fn target<'a>(
    provider: &Provider,
    settings: &'a Settings,
    to: Option<String>,
) -> Result<(String, &'a SourceEntry, SecretString), Failure> {
    let wanted = to.as_deref().and_then(|url| url.split(['?', '#']).next()?.rsplit('/').next());
    let of_kind = || settings.sources.iter().filter(|(_, entry)| entry.provider.kind == provider.kind);
    let named = of_kind().find(|(name, _)| Some(name.as_str()) == wanted);
    let Some((name, entry)) = named.or_else(|| of_kind().next()) else {
        return Err(Failure::NoSource(provider.kind));
    };
    let secret = match entry.secrets.first() {
        Some(secret) => secret.clone(),
        // The signature is not verified.
        None if entry.unsigned => SecretString::from("unsigned"),
        None => {
            return Err(Failure::NoSecretYet(name.to_string()));
        }
    };
    let scheme = scheme(settings.has_tls());
    let url =
        to.map_or_else(|| format!("{scheme}://{}/hooks/{name}", reachable(settings)), |url| whole(url, name.as_str()));
    Ok((url, entry, secret))
}

/// Adds the webhook path to a base URL.
fn whole(url: String, source: &str) -> String {
    match url::Url::parse(&url) {
        Ok(parsed) if parsed.path() == "/" && parsed.query().is_none() => {
            format!("{}/hooks/{source}", url.trim_end_matches('/'))
        }
        _ => url,
    }
}

/// Returns the address of the service; the loopback address if it listens on all addresses.
fn reachable(settings: &Settings) -> std::net::SocketAddr {
    let mut listen = settings.listen.address();
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
    client: &Client,
    provider: &Provider,
    key: &str,
    body: &str,
    url: &str,
    secret: &SecretString,
) -> Result<(u16, String), reqwest::Error> {
    let (header, signature) = (provider.sign)(secret, body.as_bytes());
    let response = client
        .post(url)
        .headers((provider.headers)(key, &Ulid::generate().to_string()))
        .header(header, signature)
        .body(body.to_owned())
        .send()
        .await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_gets_the_webhook_path() {
        for (url, completed) in [
            ("http://x:8080", "http://x:8080/hooks/bitbucket"),
            ("http://x:8080/", "http://x:8080/hooks/bitbucket"),
            ("http://x:8080/hooks/other", "http://x:8080/hooks/other"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(whole(url.to_owned(), "bitbucket"), completed);
        }
    }

    #[test]
    fn sample_times_are_moved_to_now_in_order() {
        let body = r#"{"created_on":"2026-11-20T14:09:02.100000+00:00","updated_on":"2026-11-20T14:13:27.800000+00:00",
                       "date":"2026-11-20T14:07:12+00:00","text":"2026"}"#;
        let moved: Value = serde_json::from_str(&as_of_now(body)).unwrap();
        let timestamp = |key: &str| moved[key].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (created, updated) = (timestamp("created_on"), timestamp("updated_on"));
        assert_eq!(updated.duration_since(created), SignedDuration::from_micros(265));
        assert!(Timestamp::now().duration_since(updated) < SignedDuration::from_secs(60));
        assert_eq!((&moved["date"], &moved["text"]), (&Value::from("2026-11-20T14:07:12+00:00"), &Value::from("2026")));
    }
}
