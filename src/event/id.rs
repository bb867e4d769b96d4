//! Typed names and ids.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

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
    /// Id of a request from a host: a ULID with the prefix `req_`.
    RequestId
    /// Id of an event: a ULID with the prefix `evt_`.
    EventId
    /// Id of a delivery, which sends an event to a channel: a ULID with the prefix `dlv_`.
    DeliveryId
    /// Name of a channel in the configuration: `[channels.NAME]`.
    ChannelName
    /// Name of a source in the configuration, `[sources.NAME]`, and in its URL, `/hooks/NAME`.
    SourceName
}

macro_rules! fresh {
    ($($name:ident $prefix:literal)*) => {$(
        impl $name {
            /// Generates a new id. Ids identify; their order has no meaning.
            pub fn fresh() -> Self {
                Ulid::generate().into()
            }
        }

        impl From<Ulid> for $name {
            fn from(ulid: Ulid) -> Self {
                Self(format!(concat!($prefix, "{}"), ulid.to_string().to_ascii_lowercase()))
            }
        }
    )*};
}

fresh! {
    RequestId "req_"
    EventId "evt_"
    DeliveryId "dlv_"
}
