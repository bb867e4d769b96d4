//! Responses, and what a person may see of them.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::target::Target;

/// Maximum wait that a chat can request. A longer one is an error, or the chat repeats the request.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// Response of a chat.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Start of the body, as text.
    pub(crate) text: String,
    /// True if the body ended regularly, or exceeded the maximum size.
    pub(crate) whole: bool,
    /// URL of the request.
    pub(crate) target: Target,
}

impl Answer {
    /// Returns the wait that `Retry-After` requests.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        wait_of(&self.headers)
    }

    /// Returns the chat's response, short enough to be stored and shown.
    pub(crate) fn said(&self) -> String {
        self.saying(&self.text)
    }

    /// Formats a text taken from the chat's response like [`Self::said`]. Echoed parts of the URL are masked: they are
    /// secret, and "not found" pages often repeat them.
    pub(crate) fn saying(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.target.secrets() {
            text = masked(&text, &secret);
        }
        let text = crate::text::cut_text(text.trim(), 300);
        if text.is_empty() { format!("status {}", self.status) } else { format!("status {}: {text}", self.status) }
    }

    /// Returns true for a web page. No chat responds with one.
    pub(crate) fn is_page(&self) -> bool {
        let text = self.text.trim_start_matches('\u{feff}').trim_start();
        let begins = |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"].into_iter().any(begins)
    }

    /// Returns true for a block by Cloudflare, which protects some chats
    /// (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/>).
    pub(crate) fn is_block(&self) -> bool {
        let code = self.text.trim().strip_prefix("error code: ").unwrap_or_default();
        self.status >= 400 && code.len() == 4 && code.starts_with("10")
    }
}

/// Returns the wait that `Retry-After` requests, as seconds or as a date.
pub(crate) fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<f64>() {
        Ok(seconds) => seconds_of(seconds)?,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
            Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_WAIT))
}

/// Length from which parts of a URL are masked everywhere. Shorter ones also occur as words, or within words.
const SHORT_PART: usize = 6;

/// Masks a secret in a text; a short one only where it is a separate word.
fn masked(text: &str, secret: &str) -> String {
    if secret.len() >= SHORT_PART {
        return text.replace(secret, "***");
    }
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        let within =
            before.chars().next_back().or_else(|| masked.chars().next_back()).is_some_and(char::is_alphanumeric)
                || behind.chars().next().is_some_and(char::is_alphanumeric);
        masked.push_str(before);
        masked.push_str(if within { secret } else { "***" });
        rest = behind;
    }
    masked + rest
}

/// Converts a number of seconds to a wait of at most [`MAX_WAIT`], if it is a valid number.
pub(crate) fn seconds_of(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok().map(|wait| wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_urls_are_masked() {
        let target =
            Target::parse(&"https://x.example/hook/p%40ss-word/ab1/q?sig=S%2Bx&v=1".to_owned().into()).unwrap();
        let answer = |text: &str| Answer {
            status: 404,
            headers: HeaderMap::new(),
            text: text.to_owned(),
            whole: true,
            target: target.clone(),
        };
        for (text, response) in [
            ("no /hook/p%40ss-word/ab1/q here", "status 404: no *** here"),
            ("unknown: p%40ss-word", "status 404: unknown: ***"),
            ("unknown: p@ss-word", "status 404: unknown: ***"),
            ("`ab1` and cab12", "status 404: `***` and cab12"),
            ("sig S%2Bx or S+x", "status 404: sig *** or ***"),
            ("a hook at v 1", "status 404: a hook at v 1"),
        ] {
            assert_eq!(answer(text).said(), response);
        }
    }
}
