//! Words of a host for things that hosts name differently.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The host's words for a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Words {
    /// Name of a pull request: `pull request`, `merge request`.
    pub pull_request: Cow<'static, str>,
    /// The same with a capital, for the beginning of a line: `Pull request`.
    pub pull_request_title: Cow<'static, str>,
    /// Sign before the number of a pull request: `#`, `!`.
    pub sign: Cow<'static, str>,
}

impl Words {
    /// The words of most hosts.
    pub const PULL_REQUEST: Self = Self::new("pull request", "Pull request", "#");

    /// Creates words from literals.
    pub const fn new(pull_request: &'static str, pull_request_title: &'static str, sign: &'static str) -> Self {
        Self {
            pull_request: Cow::Borrowed(pull_request),
            pull_request_title: Cow::Borrowed(pull_request_title),
            sign: Cow::Borrowed(sign),
        }
    }

    /// Returns `true` for the words of most hosts. They are not stored.
    pub fn are_usual(&self) -> bool {
        *self == Self::PULL_REQUEST
    }

    /// Returns a reference to a pull request: `#12`.
    pub fn reference(&self, number: u64) -> String {
        format!("{}{number}", self.sign)
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::PULL_REQUEST
    }
}
