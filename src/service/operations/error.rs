//! Errors of operations, and the reasons why a replay or a drop leaves something out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::queries::MAX_LIMIT;
use super::shown;
use crate::event::ChannelName;
use crate::service::reload::NotReloaded;
use crate::store::{State, StoreError};

/// Reason why an operation failed. The text is sent to the client, so values of the request are sanitized.
#[derive(Debug, Error)]
pub enum OperationError {
    // The request is invalid.
    /// The limit is outside of its range.
    #[error("`limit` must be between 1 and {0}")]
    InvalidLimit(usize),
    /// `kind` is neither an event kind nor an event key.
    #[error("unknown `kind`: use an event kind (`pull_request.opened`) or a host's event key")]
    UnknownKind,
    /// `since` is outside of its range.
    #[error("`since` must be in milliseconds since 1970, before the year 2100")]
    InvalidSince,
    /// `before` is not an id.
    #[error("`before` must be the id of a delivery: `dlv_…`")]
    InvalidBefore,
    /// A selection names nothing.
    #[error("nothing selected: set `ids` or `state`")]
    NothingSelected,
    /// A selection names too many ids.
    #[error("too many `ids`: at most {MAX_LIMIT} are allowed")]
    TooManyIds,
    /// The text is not the name of a template.
    #[error("`{}` is not a valid template name: use letters, digits, `.`, `_` and `-`", shown(.0))]
    InvalidTemplateName(String),
    /// The chat has no templates of its own.
    #[error("chat `{}` has no templates of its own", shown(.0))]
    NoNativeTemplates(String),

    // The requested object does not exist.
    /// No stored event matches.
    #[error("no stored event matches `{}`", shown(.0))]
    NoEvent(String),
    /// Nothing is stored yet.
    #[error("no events are stored yet")]
    NoEvents,
    /// No event has this id.
    #[error("unknown event `{}`", shown(.0))]
    UnknownEvent(String),
    /// No delivery has this id.
    #[error("unknown delivery `{}`", shown(.0))]
    UnknownDelivery(String),
    /// No channel has this name.
    #[error("unknown channel `{}`", shown(.0))]
    UnknownChannel(String),
    /// No template has this name.
    #[error("unknown template `{}`", shown(.0))]
    UnknownTemplate(String),
    /// No sample has this name.
    #[error("unknown sample `{}`, or it has no event", shown(.0))]
    UnknownSample(String),
    /// The configuration names no directory for templates.
    #[error("no template directory is configured; add `templates = \"templates\"`")]
    NoTemplatesDirectory,
    /// The operation needs a running service.
    #[error("Hookbell is not running; it reads the configuration when it starts")]
    NotRunning,

    // The store is failing, or the service is busy or stopping.
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many drafts are being rendered.
    #[error("too many drafts are being rendered; try again later")]
    Busy,
    /// Rendering panicked.
    #[error("rendering failed: {0}")]
    RenderingPanicked(tokio::task::JoinError),
    /// A template cannot be written.
    #[error("cannot write `{}`: {error}", path.display())]
    Unwritable {
        /// Path of its file.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// The configuration was not reloaded.
    #[error(transparent)]
    NotReloaded(#[from] NotReloaded),
}

impl OperationError {
    /// Returns true if what the operation names does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::NoEvent(_)
                | Self::NoEvents
                | Self::UnknownEvent(_)
                | Self::UnknownDelivery(_)
                | Self::UnknownChannel(_)
                | Self::UnknownTemplate(_)
                | Self::UnknownSample(_)
                | Self::NoTemplatesDirectory
                | Self::NotRunning
        )
    }
}

/// Reason why a replay, a reroute or a drop leaves out a delivery or an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Unchanged {
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
