//! Errors of the admin API.

use poem::http::StatusCode;
use thiserror::Error;

use crate::service::operations::OperationError;
use crate::service::reload::NotReloaded;

/// Reason why a request to the API failed. The text is sent to the client.
#[derive(Debug, Error)]
pub(crate) enum AdminError {
    #[error("invalid query: {0}")]
    InvalidQuery(serde_urlencoded::de::Error),
    #[error("invalid body: expected a JSON object")]
    NotAnObject,
    #[error("invalid body: {0}")]
    InvalidBody(serde_json::Error),
    #[error("{0}")]
    Unserializable(serde_json::Error),
    #[error(transparent)]
    Operation(#[from] OperationError),
}

impl AdminError {
    /// Status code of the response.
    pub(super) const fn status(&self) -> StatusCode {
        use OperationError as Failed;
        match self {
            Self::InvalidQuery(_)
            | Self::NotAnObject
            | Self::InvalidBody(_)
            | Self::Operation(
                Failed::InvalidLimit(_)
                | Failed::UnknownKind
                | Failed::InvalidSince
                | Failed::InvalidBefore
                | Failed::NothingSelected
                | Failed::TooManyIds
                | Failed::InvalidTemplateName(_)
                | Failed::NoNativeTemplates(_)
                | Failed::NotReloaded(NotReloaded::Invalid { .. }),
            ) => StatusCode::BAD_REQUEST,
            Self::Operation(failed) if failed.is_not_found() => StatusCode::NOT_FOUND,
            Self::Unserializable(_) | Self::Operation(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
