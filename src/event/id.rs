//! Typed names and ids.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::now;

macro_rules! newtypes {
    ($($(#[$meta:meta])* $name:ident)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )*};
}

newtypes! {
    /// Id of a request from a host: `req_` and a number in base 32. Stores of earlier versions had longer ids.
    RequestId
    /// Id of an event: `evt_` and a number in base 32.
    EventId
    /// Id of a delivery, which sends an event to a channel: `dlv_` and a number in base 32.
    DeliveryId
    /// Name of a channel in the configuration: `[channels.NAME]`.
    ChannelName
    /// Name of a source in the configuration, `[sources.NAME]`, and in its URL, `/hooks/NAME`.
    SourceName
}

macro_rules! numbered {
    ($($name:ident $prefix:literal)*) => {$(
        impl $name {
            /// Creates the id with this number, which is not negative.
            pub fn numbered(number: i64) -> Self {
                Self(text($prefix, number))
            }

            /// Returns the number of the id. `None` if it has another form.
            pub fn number(&self) -> Option<i64> {
                number(self.0.strip_prefix($prefix)?)
            }

            /// Returns an id that is not stored anywhere.
            pub fn fresh() -> Self {
                Self::numbered(now().max(0) << RANDOM_BITS | i64::from(rand::random::<u32>() >> (32 - RANDOM_BITS)))
            }
        }
    )*};
}

numbered! {
    RequestId "req_"
    EventId "evt_"
    DeliveryId "dlv_"
}

/// Number of random bits in an id that is not stored.
const RANDOM_BITS: u32 = 21;

/// Digits of Crockford's base 32, which has no letters that look like digits (<https://www.crockford.com/base32.html>).
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Number of digits. All numbers are padded to it, so that ids sort as their numbers do.
const LENGTH: usize = 13;

fn text(prefix: &str, number: i64) -> String {
    let mut text = String::with_capacity(prefix.len() + LENGTH);
    text.push_str(prefix);
    let digit = |n: usize| DIGITS[usize::try_from(number >> (5 * n) & 31).unwrap_or_default()];
    text.extend((0..LENGTH).rev().map(|n| char::from(digit(n))));
    text
}

fn number(digits: &str) -> Option<i64> {
    if digits.len() != LENGTH {
        return None;
    }
    digits.bytes().try_fold(0_i64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        number.checked_mul(32)?.checked_add(i64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_text_per_number_and_sort_by_it() {
        for number in [0, 1, 31, 32, 3_764_000_000_000_000_000, i64::MAX] {
            let id = EventId::numbered(number);
            assert_eq!((id.number(), id.as_str().len()), (Some(number), 17), "{id}");
        }
        assert_eq!(EventId::numbered(1_000).as_str(), "evt_00000000000z8");
        assert!(EventId::numbered(31) < EventId::numbered(32));
        for other in
            ["evt_1", "dlv_00000000000z8", "evt_00000000000Z8", "evt_zzzzzzzzzzzzz", "evt_01jdt8m0c9q4v6x2k7n5r3w1ya"]
        {
            assert_eq!(EventId::from(other).number(), None, "{other}");
        }
    }
}
