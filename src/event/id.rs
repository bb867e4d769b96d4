//! Names and ids that must not be mixed up.

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
            /// The text form.
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
    /// The id of one request from a host: `req_…`.
    RequestId
    /// The id of one event: `evt_…`.
    EventId
    /// The id of one delivery, an event on its way to a channel: `dlv_…`.
    DeliveryId
    /// A channel's name in the config: `[channels.NAME]`.
    ChannelName
    /// A source's name in the config: `[sources.NAME]`, and in its URL, `/hooks/NAME`.
    SourceName
}

macro_rules! fresh {
    ($($name:ident $prefix:literal)*) => {$(
        impl $name {
            /// A new id. It names, it does not order.
            pub fn fresh() -> Self {
                Self(format!(concat!($prefix, "{}"), Ulid::generate().to_string().to_ascii_lowercase()))
            }
        }
    )*};
}

fresh! {
    RequestId "req_"
    EventId "evt_"
    DeliveryId "dlv_"
}
