//! The meaning of responses that all chats have in common: of proxies and servers, not of a chat's own words.

use super::{Failure, Outcome, Reason};
use crate::http_client::{Answer, NoAnswer};

impl From<NoAnswer> for Outcome {
    fn from(none: NoAnswer) -> Self {
        let reason = if none.is_timeout { Reason::Timeout } else { Reason::Network };
        let failure = Failure::new(reason, none.to_string());
        // A request that was sent may have posted the message.
        if none.is_unsent { Self::Retry { failure, after: None } } else { Self::Unknown(failure) }
    }
}

impl Answer {
    /// Returns the outcome of an unknown response. Nothing is known except that it is not a success.
    pub(crate) fn unexpected(&self) -> Outcome {
        let failure = Failure::new(Reason::Unexpected, self.said());
        match self.status {
            400 | 413 | 422 => Outcome::Rejected(failure),
            _ => Outcome::Retry { failure, after: self.retry_after() },
        }
    }

    /// Returns the outcome of a response that an intermediary sent: the message did not arrive, and neither it nor its
    /// destination is at fault.
    pub(crate) fn not_the_chat(&self) -> Outcome {
        let failure = Failure::with_help(
            Reason::NotTheChat,
            format!("the response is not from the chat: {}", self.said()),
            "a proxy, gateway or filter responded: allow this machine to reach the chat, or set `[http] proxy`",
        );
        Outcome::Retry { failure, after: self.retry_after() }
    }

    /// Returns the outcome of a response that all chats have in common; `None` for a chat's own responses.
    pub(crate) fn common(&self) -> Option<Outcome> {
        let response = self.said();
        let retry = |reason, response| {
            Some(Outcome::Retry { failure: Failure::new(reason, response), after: self.retry_after() })
        };
        match self.status {
            429 if self.is_page() => retry(Reason::RateLimited, response),
            500..=599 => retry(Reason::ServerError, response),
            _ if self.is_page() || self.is_block() => Some(self.not_the_chat()),
            200..=299 if !self.whole => Some(Outcome::Unknown(Failure::new(Reason::Network, "response cut off"))),
            429 => retry(Reason::RateLimited, response),
            408 | 425 => retry(Reason::ServerError, response),
            300..=399 => Some(Outcome::Closed(Failure::with_help(
                Reason::Unexpected,
                response,
                "the URL redirects, and redirects of secret URLs are not followed: set the new URL",
            ))),
            _ => None,
        }
    }
}
