//! Requests that reach no webhook: a wrong path or method, an unknown source, a body that is too large.
//!
//! Scanners send them by the thousand, so they are not stored: the last hundred are kept in memory, in a list of their own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use poem::Request;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hooks::shown;
use super::log_limit::LogLimit;
use crate::store::{Millis, now};

/// Requests that are kept.
const KEPT: usize = 100;

/// A request that reached no webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Misdirected {
    /// When it came, in milliseconds since 1970.
    pub at: Millis,
    /// The address that it came from.
    pub client: Option<String>,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a request reached no webhook, as metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Path,
    Source,
    Method,
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

/// The last requests that reached no webhook.
#[derive(Clone, Default)]
pub(crate) struct MisdirectedList(Arc<Inner>);

#[derive(Default)]
struct Inner {
    kept: Mutex<VecDeque<Misdirected>>,
    logged: LogLimit,
}

impl MisdirectedList {
    /// Logs, counts and keeps a request.
    pub(super) fn add(&self, cause: Cause, request: &Request, client: Option<IpAddr>, reason: &str) {
        metrics::counter!("hookbell_requests_misdirected_total", "cause" => cause.as_str()).increment(1);
        let (method, path) = (shown(request.method().as_str()), shown(request.uri().path()));
        let client = client.map(|client| client.to_string());
        self.0
            .logged
            .log(|skipped| tracing::warn!(method, path, client, reason, skipped, "request reached no webhook"));
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Misdirected { at: now(), client, method, path, reason: reason.to_owned() });
    }

    /// The last ones, at most so many; the newest last.
    pub(super) fn last(&self, limit: usize) -> Vec<Misdirected> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
    }
}
