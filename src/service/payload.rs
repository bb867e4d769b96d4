//! Payloads that people name: a file, or a built-in sample.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::problem::{did_you_mean, nearest};
use crate::source::{Parsed, Provider, Rejection, Sample, Source, provider, providers};
use crate::text_file;

/// Reason why a payload cannot be used.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// No provider has this kind.
    #[error("`{kind}` is not a valid source kind; {}", near.map_or_else(|| format!("kinds: {}", known.join(", ")), did_you_mean))]
    InvalidSourceKind {
        /// The kind.
        kind: String,
        /// The most similar kind.
        near: Option<&'static str>,
        /// All kinds.
        known: Vec<&'static str>,
    },
    /// No sample has this name.
    #[error("unknown sample `{name}`; {}", near.map_or_else(|| "`hookbell sample list` lists all samples".to_owned(), did_you_mean))]
    UnknownSample {
        /// The name.
        name: String,
        /// The most similar name.
        near: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// The file does not exist.
    #[error("the file `{0}` does not exist")]
    NoFile(String),
    /// A file does not say which event it is.
    #[error("missing event key for `{file}`; add `--event KEY`, as in `--event {example}`")]
    NoEventKey {
        /// Path of the file.
        file: String,
        /// An event key of the host.
        example: &'static str,
    },
    /// The sample cannot be parsed.
    #[error("{0}")]
    InvalidSample(Rejection),
    /// The payload cannot be parsed.
    #[error("{file}: {rejection}")]
    InvalidPayload {
        /// Path of the file, or the name of the sample.
        file: String,
        /// Reason.
        rejection: Rejection,
    },
}

impl PayloadError {
    /// Returns true if the payload is named wrongly, false if it is invalid.
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::InvalidSample(_) | Self::InvalidPayload { .. })
    }
}

/// Returns the provider of this source kind.
pub fn named_provider(kind: &str) -> Result<&'static Provider, PayloadError> {
    provider(kind).ok_or_else(|| {
        let known: Vec<_> = providers().iter().map(|provider| provider.kind).collect();
        let near = nearest(kind, known.iter().copied());
        PayloadError::InvalidSourceKind { kind: kind.to_owned(), near, known }
    })
}

/// Returns the sample of this name.
pub fn sample(provider: &'static Provider, name: &str) -> Result<&'static Sample, PayloadError> {
    provider.sample(name).ok_or_else(|| {
        let near = nearest(name, provider.samples.iter().map(|sample| sample.name));
        PayloadError::UnknownSample { name: name.to_owned(), near }
    })
}

/// Parses a payload file with the event key `key`, or a sample. `source` is the configured source, if there is one: its
/// settings affect parsing.
pub fn parsed(
    provider: &'static Provider,
    source: Option<&dyn Source>,
    payload: &str,
    key: Option<&str>,
) -> Result<Parsed, PayloadError> {
    let plain = provider.plain();
    let source = source.unwrap_or(plain.as_ref());
    let path = Path::new(payload);
    let (key, body) = if path.is_file() {
        let body = text_file::read(path, text_file::MAX_FILE)
            .map_err(|error| PayloadError::Unreadable { path: path.to_owned(), error })?;
        let key = key.ok_or_else(|| {
            let example = provider.samples.first().map_or("", |sample| sample.key);
            PayloadError::NoEventKey { file: payload.to_owned(), example }
        })?;
        (key, body)
    } else if payload.contains(['/', '\\']) || payload.ends_with(".json") {
        return Err(PayloadError::NoFile(payload.to_owned()));
    } else {
        let sample = sample(provider, payload)?;
        if key.is_none_or(|key| key == sample.key) {
            return provider.parse_sample_by(source, sample).map_err(PayloadError::InvalidSample);
        }
        (key.unwrap_or(sample.key), sample.body.as_bytes().to_vec())
    };
    let invalid = |rejection| PayloadError::InvalidPayload { file: payload.to_owned(), rejection };
    provider.parse_by(source, key, &body).map_err(invalid)
}
