//! Input of commands: a payload file or a sample.

use std::path::Path;

use super::failure::{Doing, Failure};
use crate::problem::nearest;
use crate::source::{PROVIDERS, Parsed, Provider, Sample, Source, provider};
use crate::text_file;

/// Returns the provider of this source kind, or the first one.
pub(super) fn named_provider(kind: Option<&str>) -> Result<&'static Provider, Failure> {
    let kinds: Vec<_> = PROVIDERS.iter().map(|provider| provider.kind).collect();
    let kind = kind.unwrap_or(kinds[0]);
    provider(kind).ok_or_else(|| {
        let near = nearest(kind, kinds.iter().copied());
        Failure::InvalidSourceKind { kind: kind.to_owned(), near, known: kinds.clone() }
    })
}

/// Returns the sample of this name.
pub(super) fn sample(provider: &'static Provider, name: &str) -> Result<&'static Sample, Failure> {
    provider.sample(name).ok_or_else(|| {
        let near = nearest(name, provider.samples.iter().map(|sample| sample.name));
        Failure::UnknownSample { name: name.to_owned(), near }
    })
}

/// Parses a payload file with the event key `key`, or a sample. `source` is the configured source, if there is one: its
/// settings affect parsing.
pub(super) fn parsed(
    provider: &'static Provider,
    source: Option<&dyn Source>,
    payload: &str,
    key: Option<&str>,
) -> Result<Parsed, Failure> {
    let plain = provider.plain();
    let source = source.unwrap_or(plain.as_ref());
    let path = Path::new(payload);
    let (key, body) = if path.is_file() {
        let body = text_file::read(path, text_file::MAX_FILE).map_err(Failure::file(Doing::Read, path))?;
        let key = key.ok_or_else(|| {
            let example = provider.samples.first().map_or("", |sample| sample.key);
            Failure::NoEventKey { file: payload.to_owned(), example }
        })?;
        (key, body)
    } else if payload.contains(['/', '\\']) || payload.ends_with(".json") {
        return Err(Failure::NoFile(payload.to_owned()));
    } else {
        let sample = sample(provider, payload)?;
        if key.is_none_or(|key| key == sample.key) {
            return provider.parse_sample_by(source, sample).map_err(Failure::InvalidSample);
        }
        (key.unwrap_or(sample.key), sample.body.as_bytes().to_vec())
    };
    let invalid = |rejection| Failure::InvalidPayload { file: payload.to_owned(), rejection };
    provider.parse_by(source, key, &body).map_err(invalid)
}
