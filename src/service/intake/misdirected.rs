//! Requests to no known source: wrong path or method, unknown source, or body too large.
//!
//! Scanners send thousands of them, so they are not stored. The last hundred are kept in memory.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shown;
use crate::telemetry::LogLimit;
use crate::time::{Millis, now};

/// Maximum number of requests kept.
const KEPT: usize = 100;

/// A request to no known source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Misdirected {
    /// Time of arrival, in milliseconds since 1970-01-01 UTC.
    pub at: Millis,
    /// IP address of the client; `null` if unknown.
    pub client: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Request path, sanitized and cut to 200 UTF-16 units.
    pub path: String,
    /// Reason why the request was not for a source.
    pub reason: String,
}

/// Reason why a request was not for a source, as the `cause` label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The path is not that of a webhook.
    Path,
    /// No source has this name.
    Source,
    /// The method is not `POST`.
    Method,
    /// The body is too large.
    TooLarge,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Source => "source",
            Self::Method => "method",
            Self::TooLarge => "too_large",
        }
    }
}

/// The most recent requests to no known source.
#[derive(Clone, Default)]
pub(in crate::service) struct MisdirectedList(Arc<Inner>);

#[derive(Default)]
struct Inner {
    kept: Mutex<VecDeque<Misdirected>>,
    logged: LogLimit,
}

impl MisdirectedList {
    /// Logs, counts and keeps a request.
    pub(super) fn add(&self, cause: Cause, (method, path): (&str, &str), client: Option<IpAddr>, reason: &str) {
        metrics::counter!("hookbell_requests_misdirected_total", "cause" => cause.as_str()).increment(1);
        let (method, path) = (shown(method), shown(path));
        let client = client.map(|client| client.to_string());
        self.0
            .logged
            .log(|skipped| tracing::warn!(method, path, client, reason, skipped, "request to no known source"));
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Misdirected { at: now(), client, method, path, reason: reason.to_owned() });
    }

    /// Returns at most `limit` of the most recent requests, newest last.
    pub(in crate::service) fn last(&self, limit: usize) -> Vec<Misdirected> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
    }
}
