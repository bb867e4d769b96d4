//! All errors of the admin API, and the reasons why a replay or a drop leaves something out.

use std::io;
use std::path::PathBuf;

use poem::http::StatusCode;
use thiserror::Error;

use super::operation::MAX_LIMIT;
use super::service::shown;
use crate::event::ChannelName;
use crate::server::reload::NotReloaded;
use crate::store::{State, StoreError};

/// Reason why an operation failed. The text is sent to the client, so values of the request are sanitized.
#[derive(Debug, Error)]
pub(crate) enum AdminError {
    // The request is invalid.
    #[error("invalid query: {0}")]
    InvalidQuery(serde_urlencoded::de::Error),
    #[error("invalid body: expected a JSON object")]
    NotAnObject,
    #[error("invalid body: {0}")]
    InvalidBody(serde_json::Error),
    #[error("`limit` must be between 1 and {0}")]
    InvalidLimit(usize),
    #[error("unknown `kind`: use an event kind (`pull_request.opened`) or a host's event key")]
    UnknownKind,
    #[error("`since` must be in milliseconds since 1970, before the year 2100")]
    InvalidSince,
    #[error("`before` must be the `seq` of a delivery")]
    InvalidBefore,
    #[error("nothing selected: set `ids` or `state`")]
    NothingSelected,
    #[error("too many `ids`: at most {MAX_LIMIT} are allowed")]
    TooManyIds,
    #[error("`{}` is not a valid template name: use letters, digits, `.`, `_` and `-`", shown(.0))]
    InvalidTemplateName(String),
    #[error("chat `{}` has no templates of its own", shown(.0))]
    NoNativeTemplates(String),

    // The requested object does not exist.
    #[error("no stored event matches `{}`", shown(.0))]
    NoEvent(String),
    #[error("no events are stored yet")]
    NoEvents,
    #[error("unknown event `{}`", shown(.0))]
    UnknownEvent(String),
    #[error("unknown delivery `{}`", shown(.0))]
    UnknownDelivery(String),
    #[error("unknown channel `{}`", shown(.0))]
    UnknownChannel(String),
    #[error("unknown template `{}`", shown(.0))]
    UnknownTemplate(String),
    #[error("unknown sample `{}`, or it has no event", shown(.0))]
    UnknownSample(String),
    #[error("no template directory is configured; add `templates = \"templates\"`")]
    NoTemplatesDirectory,
    #[error("Hookbell is not running; it reads the configuration when it starts")]
    NotRunning,

    // The store is failing, or the service is busy or stopping.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Unserializable(serde_json::Error),
    #[error("too many drafts are being rendered; try again later")]
    Busy,
    #[error("rendering failed: {0}")]
    RenderingPanicked(tokio::task::JoinError),
    #[error("cannot write `{}`: {error}", path.display())]
    Unwritable { path: PathBuf, error: io::Error },
    #[error(transparent)]
    NotReloaded(#[from] NotReloaded),
}

impl AdminError {
    /// Status code of the response.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::InvalidQuery(_)
            | Self::NotAnObject
            | Self::InvalidBody(_)
            | Self::InvalidLimit(_)
            | Self::UnknownKind
            | Self::InvalidSince
            | Self::InvalidBefore
            | Self::NothingSelected
            | Self::TooManyIds
            | Self::InvalidTemplateName(_)
            | Self::NoNativeTemplates(_)
            | Self::NotReloaded(NotReloaded::Invalid { .. }) => StatusCode::BAD_REQUEST,
            Self::NoEvent(_)
            | Self::NoEvents
            | Self::UnknownEvent(_)
            | Self::UnknownDelivery(_)
            | Self::UnknownChannel(_)
            | Self::UnknownTemplate(_)
            | Self::UnknownSample(_)
            | Self::NoTemplatesDirectory
            | Self::NotRunning => StatusCode::NOT_FOUND,
            Self::Store(_)
            | Self::Unserializable(_)
            | Self::Busy
            | Self::RenderingPanicked(_)
            | Self::Unwritable { .. }
            | Self::NotReloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Reason why a replay, a reroute or a drop leaves out a delivery or an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unchanged {
    #[error("the delivery is not finished yet")]
    Unfinished,
    #[error("the event is pending routing; it will be routed once the service runs with a valid routing configuration")]
    PendingRouting,
    #[error("the delivery has no channel; route its event with `hookbell replay --reroute`")]
    NoChannel,
    #[error("channel `{0}` is not in the configuration")]
    UnknownChannel(ChannelName),
    #[error("the delivery is `{}`; only `queued`, `parked` and `pending_routing` deliveries can be dropped", .0.as_str())]
    NotDroppable(State),
    #[error("unknown delivery, or it does not match the filters")]
    NotFound,
    #[error("no delivery of this event matches; `--reroute` routes it with the current routes")]
    NoDelivery,
    #[error("unknown event")]
    UnknownEvent,
    #[error("internal alerts cannot be routed")]
    Alert,
    #[error("the event is suppressed: {0}")]
    Suppressed(String),
    #[error("the current routes send it to no new channel")]
    NoNewChannel,
}
