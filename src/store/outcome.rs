//! The outcome of an attempt, as it is stored.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::chat::Reason;

/// Outcome of an attempt. Its text form is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The chat shows the message.
    Delivered,
    /// The chat accepted the message, but does not report whether it shows it.
    Accepted,
    /// The chat rejected the message.
    Rejected,
    /// The chat reported that the destination accepts no messages.
    Closed,
    /// The message may have arrived.
    Unknown,
    /// The attempt failed for this reason, and may succeed later.
    Failed(Reason),
}

impl AttemptOutcome {
    fn all() -> impl Iterator<Item = Self> {
        let own = [Self::Delivered, Self::Accepted, Self::Rejected, Self::Closed, Self::Unknown];
        own.into_iter().chain(Reason::ALL.into_iter().map(Self::Failed))
    }

    /// Returns the text form: `delivered`, `rate_limited`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
            Self::Failed(reason) => reason.as_str(),
        }
    }

    /// Returns the outcome with this text form. A word of another version is a failure that is not known.
    pub fn parse(text: &str) -> Self {
        Self::all().find(|outcome| outcome.as_str() == text).unwrap_or(Self::Failed(Reason::Unexpected))
    }

    /// Returns `true` if the chat took the message.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Delivered | Self::Accepted)
    }
}

impl Serialize for AttemptOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AttemptOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&Cow::<str>::deserialize(deserializer)?))
    }
}

impl JsonSchema for AttemptOutcome {
    fn schema_name() -> Cow<'static, str> {
        "AttemptOutcome".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = Self::all().map(Self::as_str).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_word() {
        for outcome in AttemptOutcome::all() {
            assert_eq!(AttemptOutcome::parse(outcome.as_str()), outcome);
        }
        assert_eq!(AttemptOutcome::parse("of tomorrow"), AttemptOutcome::Failed(Reason::Unexpected));
    }
}
