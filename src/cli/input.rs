//! Input of commands: a payload file or a sample.

use std::path::Path;

use super::Failure;
use crate::source::{PROVIDERS, Parsed, Provider, Sample, Source, provider};
use crate::text_file;

/// Returns the provider of this source kind, or the first one.
pub(super) fn named_provider(kind: Option<&str>) -> Result<&'static Provider, Failure> {
    let kinds: Vec<_> = PROVIDERS.iter().map(|provider| provider.kind).collect();
    let kind = kind.unwrap_or(kinds[0]);
    provider(kind).ok_or_else(|| {
        let help = crate::problem::nearest(kind, kinds.iter().copied());
        let help =
            help.map_or_else(|| format!("kinds: {}", kinds.join(", ")), |near| format!("did you mean `{near}`?"));
        Failure::Usage(format!("`{kind}` is not a valid source kind; {help}"))
    })
}

/// Returns the sample of this name.
pub(super) fn sample(provider: &'static Provider, name: &str) -> Result<&'static Sample, Failure> {
    provider.sample(name).ok_or_else(|| {
        let near = crate::problem::nearest(name, provider.samples.iter().map(|sample| sample.name));
        let help = near.map_or_else(
            || "`hookbell sample list` lists all samples".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        Failure::Usage(format!("unknown sample `{name}`; {help}"))
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
        let body = text_file::read(path, text_file::MAX_FILE)
            .map_err(|error| Failure::Usage(format!("cannot read `{payload}`: {error}")))?;
        let key = key.ok_or_else(|| {
            let example = provider.samples.first().map_or("", |sample| sample.key);
            Failure::Usage(format!("missing event key for `{payload}`; add `--event KEY`, as in `--event {example}`"))
        })?;
        (key, body)
    } else if payload.contains(['/', '\\']) || payload.ends_with(".json") {
        return Err(Failure::Usage(format!("the file `{payload}` does not exist")));
    } else {
        let sample = sample(provider, payload)?;
        if key.is_none_or(|key| key == sample.key) {
            return provider
                .parse_sample_by(source, sample)
                .map_err(|rejection| Failure::Failed(rejection.to_string()));
        }
        (key.unwrap_or(sample.key), sample.body.as_bytes().to_vec())
    };
    provider.parse_by(source, key, &body).map_err(|rejection| Failure::Failed(format!("{payload}: {rejection}")))
}
