//! URLs that a message may link to.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use url::{Host, Url};

/// Maximum length of a URL. Discord's limit is the lowest of all chats
/// (<https://discord.com/developers/docs/resources/message#embed-object>).
const MAX_BYTES: usize = 2048;

/// Top-level domains of private networks
/// (<https://www.iana.org/assignments/special-use-domain-names/special-use-domain-names.xhtml>; `.corp`, `.home`, `.lan`
/// and `.local` are in wide use).
const PRIVATE_DOMAINS: &[&str] =
    &[".corp", ".home", ".home.arpa", ".internal", ".intranet", ".invalid", ".lan", ".local", ".localhost", ".test"];

/// Web URL: `http` or `https`, with a host, percent-encoded where needed, and short enough for every chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebUrl(Box<str>);

impl WebUrl {
    /// Parses a URL. Returns `None` for anything else, so that callers leave it out instead of trusting it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() <= MAX_BYTES && is_plain(text) {
            return Some(Self(text.into()));
        }
        let mut url = Url::parse(text).ok()?;
        // Everyone in the channel sees the links, so credentials are removed. The calls fail only for URLs without a
        // host, which have no credentials.
        if url.password().is_some() {
            let _ = (url.set_username(""), url.set_password(None));
        }
        let safe = matches!(url.scheme(), "http" | "https") && url.has_host() && url.as_str().len() <= MAX_BYTES;
        safe.then(|| Self(String::from(url).into()))
    }

    /// Joins parts into a URL. `true` marks a value. A value at the start may be a complete URL. Other values are
    /// encoded, so that a branch named `fix/#12?` works.
    pub(crate) fn join<'a>(parts: impl IntoIterator<Item = (Cow<'a, str>, bool)>) -> String {
        let mut url = String::new();
        for (part, is_value) in parts {
            if is_value && !url.trim().is_empty() {
                url.push_str(&encoded(&part));
            } else {
                url.push_str(&part);
            }
        }
        url
    }

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the host can be reached from the internet, as far as its name or address tells. A chat cannot
    /// load a picture from any other host.
    pub fn is_public(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return false };
        match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name.contains('.') && !PRIVATE_DOMAINS.iter().any(|private| name.ends_with(private))
            }
            Some(Host::Ipv4(ip)) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
            Some(Host::Ipv6(ip)) => {
                !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
            }
            None => false,
        }
    }

    /// Returns the host.
    pub fn host(&self) -> Option<String> {
        Url::parse(&self.0).ok()?.host_str().map(ToOwned::to_owned)
    }
}

/// Characters that are not encoded in a part of a path or query.
const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Encodes text inside a URL. Keeps `/`, unless a `.` or `..` segment could change the path.
fn encoded(text: &str) -> String {
    let is_upwards = text.split('/').any(|part| matches!(part, "." | ".."));
    let encoded = utf8_percent_encode(text, AS_IT_IS).to_string();
    if is_upwards { encoded.replace('/', "%2F") } else { encoded }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true if parsing would not change the URL. This saves time: a message has many URLs, and most are like that.
fn is_plain(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let Some((host, path)) = rest.split_once('/') else { return false };
    let of_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    // A host that ends in a number (`7`, `0x7f`) is an IPv4 address. A label with two hyphens can be an encoded
    // international name.
    let end = host.rsplit('.').next().unwrap_or_default();
    let is_name = end.starts_with(|c: char| c.is_ascii_lowercase()) && end.ends_with(|c: char| c.is_ascii_lowercase());
    let name = host.bytes().all(of_host) && !host.contains("--") && is_name;
    let of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
    // Parsing removes `.` and `..` from a path.
    let dots = path.starts_with('.') || path.contains("/.");
    name && host.starts_with(|c: char| c.is_ascii_alphanumeric()) && path.bytes().all(of_path) && !dots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_go_only_to_web_urls() {
        for text in
            ["javascript:alert(1)", "data:text/html,x", "file:///x", "//x.example/", "x", "", "https://", "mailto:a@b"]
        {
            assert_eq!(WebUrl::parse(text), None, "{text}");
        }
        assert_eq!(WebUrl::parse(&format!("https://x.example/{}", "a".repeat(3_000))), None);
        assert_eq!(WebUrl::parse(" https://x.example/a b ").unwrap().as_str(), "https://x.example/a%20b");
        assert_eq!(WebUrl::parse("http://bob:hunter2@x.example/a").unwrap().as_str(), "http://x.example/a");
        assert_eq!(WebUrl::parse("https://a.0x/"), None, "neither a valid number nor a valid name");
        assert_eq!(WebUrl::parse("https://1.2.3.0xa/x").unwrap().as_str(), "https://1.2.3.10/x");
        assert_eq!(WebUrl::parse("https://x.example").unwrap().as_str(), "https://x.example/");
        for private in [
            "http://git.acme.internal/a",
            "http://localhost/a",
            "http://git/a",
            "http://10.0.0.7/a",
            "http://[fd00::1]/a",
        ] {
            assert!(!WebUrl::parse(private).unwrap().is_public(), "{private}");
        }
        assert!(WebUrl::parse("https://avatars.example/a.png").unwrap().is_public());
        assert_eq!(WebUrl::parse("http://x.example:81/?q#f").unwrap().host().as_deref(), Some("x.example"));
    }

    #[test]
    fn values_inside_a_url_are_encoded() {
        let join =
            |parts: &[(&'static str, bool)]| WebUrl::join(parts.iter().map(|(text, value)| ((*text).into(), *value)));
        let (repository, branch) = (("https://x.example/a/b", true), ("fix/#12?50%", true));
        assert_eq!(join(&[repository, ("/src/", false), branch]), "https://x.example/a/b/src/fix/%2312%3F50%25");
        assert_eq!(join(&[("https://x.example/", false), ("a/b", true)]), "https://x.example/a/b");
        assert_eq!(
            join(&[("https://x.example/r/", false), ("../../evil", true)]),
            "https://x.example/r/..%2F..%2Fevil"
        );
        assert_eq!(
            join(&[("", false), ("https://x.example/?q=a%20b#c", true), ("", false)]),
            "https://x.example/?q=a%20b#c"
        );
    }

    proptest! {
        #[test]
        fn direct_rendering_equals_full_rendering(
            text in "https://[a-z0-9.-]{0,12}(/[A-Za-z0-9._-]{0,4}){0,4}|https://(1\\.2\\.3\\.4|0x7f\\.1|0x7f|1\\.2\\.0xa|a\\.0x|xn--a|a\\.b)/(\\./|\\.\\./|a/){0,3}",
        ) {
            if is_plain(&text) {
                let parsed = Url::parse(&text).map(String::from);
                prop_assert_eq!(parsed, Ok(text));
            }
        }
    }
}
