//! Webhook URLs, which are secrets.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Error in a webhook URL. Neither text contains the URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct AddressError {
    /// Description of the error.
    pub message: &'static str,
    /// Instructions that fix the error.
    pub help: &'static str,
}

/// A validated webhook URL.
#[derive(Clone)]
pub(crate) struct Target(Arc<Url>);

impl Target {
    /// Validates a URL. `http` is for this machine only, unless the configuration sets `insecure`.
    pub(crate) fn parse(url: &SecretString) -> Result<Self, AddressError> {
        let wrong = |message: &'static str, help| Err(AddressError { message, help });
        let Ok(url) = Url::parse(url.expose_secret()) else {
            return wrong("the webhook URL is not a valid URL", "copy the complete URL; it begins with `https://`");
        };
        if url.query().is_some_and(|query| query.contains("amp;")) {
            return wrong(
                "the webhook URL contains `&amp;`",
                "replace `&amp;` with `&`: the URL was copied from the source of a web page",
            );
        }
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return wrong(
                "the webhook URL is not an HTTP URL with a host",
                "copy the complete URL; it begins with `https://`",
            );
        }
        Ok(Self(url.into()))
    }

    /// Returns true if messages would cross a network unencrypted.
    pub(crate) fn is_exposed(&self) -> bool {
        self.0.scheme() == "http" && !is_loopback(&self.0)
    }

    /// Returns the URL.
    pub(super) fn url(&self) -> Url {
        Url::clone(&self.0)
    }

    /// Returns the URL of the server alone, which is not secret.
    pub(super) fn server(&self) -> Url {
        let mut url = self.url();
        // A URL with a host can have neither.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    /// Returns the secret parts of the URL: path and query, complete and in parts, as written and decoded.
    pub(super) fn secrets(&self) -> Vec<String> {
        /// Minimum length of a secret part. A single character occurs everywhere.
        const MIN_LENGTH: usize = 2;
        /// Well-known parts of webhook URLs.
        const COMMON: &[&str] = &["api", "hook", "hooks", "services", "v1", "v10", "webhook", "webhooks", "workflows"];
        let query = self.0.query().unwrap_or_default();
        let mut secrets: Vec<String> = [self.0.path(), query].map(ToOwned::to_owned).into();
        secrets.extend(self.0.path_segments().into_iter().flatten().map(ToOwned::to_owned));
        secrets.extend(query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        secrets.extend(self.0.query_pairs().map(|(_, value)| value.into_owned()));
        let decoded: Vec<_> = secrets
            .iter()
            .map(|secret| percent_decode_str(secret).decode_utf8_lossy().into_owned())
            .filter(|decoded| !secrets.contains(decoded))
            .collect();
        secrets.extend(decoded);
        secrets.retain(|secret| secret.len() >= MIN_LENGTH && !COMMON.contains(&secret.as_str()));
        // Longest first: one part may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// Returns true if the host is this domain or a subdomain of it.
    pub(crate) fn is_within(&self, domain: &str) -> bool {
        self.0
            .host_str()
            .and_then(|host| host.strip_suffix(domain))
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// Returns the value of a query parameter, unless it is empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.0.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    }

    /// Returns true if there is a query parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.0.query_pairs().any(|(known, _)| known == name)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path()
    }

    /// Returns the URL with the path prefix `from` replaced by `to`, or unchanged if the path has another prefix.
    pub(crate) fn with_path_prefix(&self, from: &str, to: &str) -> Self {
        let mut url = Url::clone(&self.0);
        if let Some(rest) = self.0.path().strip_prefix(from) {
            url.set_path(&format!("{to}{rest}"));
        }
        Self(url.into())
    }

    /// Returns the URL with a query parameter added, unless it has one of this name.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Self {
        let mut url = Url::clone(&self.0);
        if !self.has_parameter(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
        Self(url.into())
    }

    /// Returns the URL with further segments of the path, and the same query.
    pub(crate) fn below(&self, segments: &[&str]) -> Self {
        Self(below(&self.0, segments).into())
    }

    /// Returns an identifier of the destination that reveals nothing about the URL.
    pub(crate) fn destination(&self, kind: &str) -> String {
        format!("{kind}:{}", hex::encode(&Sha256::digest(self.0.as_str().as_bytes())[..8]))
    }
}

/// Returns a URL with further segments of the path. Each segment is encoded.
pub(crate) fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    // A URL with a host always has segments.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Returns true if a URL is one of this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Returns true if a channel with this URL needs `insecure = true`.
pub fn is_exposed(url: &SecretString) -> bool {
    Target::parse(url).is_ok_and(|target| target.is_exposed())
}
