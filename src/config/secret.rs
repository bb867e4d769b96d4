//! Secrets: inline, in an environment variable, or in a file, which can be generated.

use std::io;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use secrecy::SecretString;
use thiserror::Error;

use super::Secrets;
use super::document::Document;
use super::problems::ConfigProblem;
use super::section::Taken;
use crate::problem::{Describe, Place, Problem};
use crate::text_file;

/// Location of a secret.
pub(super) enum Origin {
    /// In the config file itself.
    Inline(String),
    /// In an environment variable with this name.
    Env(String),
    /// In this file. If it is missing and `generate` is true, it is created.
    File { path: PathBuf, generate: bool },
}

impl Origin {
    /// The location as text, for an operator who needs the secret elsewhere.
    pub(super) fn shown(&self, directory: &Path) -> String {
        match self {
            Self::Inline(_) => "in the config file".to_owned(),
            Self::Env(name) => format!("in the environment variable {name}"),
            Self::File { path, .. } => format!("in {}", directory.join(path).display()),
        }
    }
}

/// Minimum length of a secret, a token or a URL, in characters.
const MIN_LENGTH: usize = 6;

/// Error in the form of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum FormError {
    #[error("a secret must be a string or a table")]
    WrongType,
    #[error("unknown key `{0}` in a secret")]
    UnknownKey(String),
    #[error("a secret must have either `file` or `env`")]
    NoLocation,
}

/// Error in the value of a secret. The text never contains the secret.
#[derive(Debug, Error)]
pub(super) enum SecretError {
    #[error("the environment variable `{0}` is not set, or is not valid UTF-8")]
    NoVariable(String),
    #[error("cannot read the secret file `{}`: {error}", path.display())]
    UnreadableFile { path: PathBuf, error: io::Error },
    #[error("cannot write a new secret to `{}`: {error}", path.display())]
    NotGenerated { path: PathBuf, error: io::Error },
    #[error("the secret is empty")]
    Empty,
    #[error("the secret file `{}` is empty", .0.display())]
    EmptyFile(PathBuf),
    #[error("the secret has more than one line")]
    SeveralLines,
    #[error("the secret has fewer than {MIN_LENGTH} characters and can be guessed")]
    TooShort,
}

impl SecretError {
    /// The forms of a secret.
    pub(super) const FORMS: &str =
        "write `{ file = \"name.secret\", generate = true }`, `{ file = \"…\" }`, `{ env = \"NAME\" }` or a string";

    /// Returns true if the secret does not exist or is not accessible, as opposed to unusable.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::NoVariable(_) => true,
            Self::UnreadableFile { error, .. } => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
            }
            _ => false,
        }
    }

    /// Advice on how to fix the error.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::NoVariable(_) => "set it before starting Hookbell",
            Self::UnreadableFile { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => {
                    "create it with the secret; for a channel, that is the webhook URL from the chat; for a source, \
                     `generate = true` creates it"
                }
                io::ErrorKind::PermissionDenied => "make it readable for the user that runs Hookbell",
                _ => "use a regular text file that contains only the secret",
            },
            Self::NotGenerated { .. } => "make its directory writable",
            Self::Empty => Self::FORMS,
            Self::EmptyFile(_) => "put the secret into it; for a channel, that is the webhook URL from the chat",
            Self::SeveralLines => "keep only the secret, on one line",
            Self::TooShort => "generate one: `openssl rand -hex 32`",
        }
    }
}

/// Parses the location of a secret, or of each secret in a list. Problem texts never contain a secret.
pub(super) fn forms(taken: &Taken<Value>) -> Vec<Result<Origin, Problem>> {
    let items = match &taken.value {
        Value::Array(_, items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if items.is_empty() {
        return vec![Err(ConfigProblem::NoSecrets.at(taken.place.clone()))];
    }
    let forms = items.iter().enumerate().map(|(n, item)| {
        let entry = (items.len() > 1).then_some(n + 1);
        form(item).map_err(|error| ConfigProblem::SecretForm { entry, error }.at(taken.place.clone()))
    });
    forms.collect()
}

fn form(value: &Value) -> Result<Origin, FormError> {
    match value {
        Value::String(_, text) => Ok(Origin::Inline(text.clone())),
        Value::Dict(_, table) => in_table(table),
        _ => Err(FormError::WrongType),
    }
}

fn in_table(table: &Dict) -> Result<Origin, FormError> {
    if let Some(key) = table.keys().find(|key| !["file", "generate", "env"].contains(&key.as_str())) {
        return Err(FormError::UnknownKey(key.clone()));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    match (text("env"), text("file")) {
        (Some(name), None) => Ok(Origin::Env(name.to_owned())),
        (None, Some(path)) => {
            let generate = table.get("generate").and_then(Value::to_bool).unwrap_or(false);
            Ok(Origin::File { path: path.into(), generate })
        }
        _ => Err(FormError::NoLocation),
    }
}

/// Reads a secret. Returns `None` if it is not generated yet and `secrets` does not allow generating it.
pub(super) fn read(origin: &Origin, directory: &Path, secrets: Secrets) -> Result<Option<SecretString>, SecretError> {
    let text = match origin {
        Origin::Inline(text) => text.clone(),
        Origin::Env(name) => std::env::var(name).map_err(|_| SecretError::NoVariable(name.clone()))?,
        Origin::File { path, generate } => match in_file(path, *generate, directory, secrets)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let trimmed = bare(&text);
    if trimmed.contains(['\n', '\r']) {
        return Err(SecretError::SeveralLines);
    }
    match trimmed {
        "" => Err(match origin {
            Origin::File { path, .. } => SecretError::EmptyFile(path.clone()),
            Origin::Inline(_) | Origin::Env(_) => SecretError::Empty,
        }),
        short if short.chars().count() < MIN_LENGTH => Err(SecretError::TooShort),
        trimmed => Ok(Some(trimmed.to_owned().into())),
    }
}

/// Removes what editors and shells add around a secret: a byte order mark, whitespace, line ends, quotes.
fn bare(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    quoted.unwrap_or(text).trim()
}

fn in_file(path: &Path, generate: bool, directory: &Path, secrets: Secrets) -> Result<Option<String>, SecretError> {
    let shown = path.to_owned();
    let path = directory.join(path);
    match text_file::read_text(&path, text_file::MAX_SECRET) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && generate => match secrets {
            Secrets::Leave | Secrets::Optional => Ok(None),
            Secrets::Generate => {
                generated(&path).map(Some).map_err(|error| SecretError::NotGenerated { path: shown, error })
            }
        },
        Err(error) => Err(SecretError::UnreadableFile { path: shown, error }),
    }
}

/// The problem of a secret that other users of the machine can read; `None` if it is protected.
pub(super) fn exposed(origin: &Origin, directory: &Path, document: &Document, place: &Place) -> Option<ConfigProblem> {
    match (origin, place) {
        (Origin::Inline(_), Place::Span(file, _)) if document.is_public => {
            Some(ConfigProblem::ExposedSecret { path: file.path.clone() })
        }
        (Origin::File { path, .. }, _) if is_public(&directory.join(path)) => {
            Some(ConfigProblem::ExposedSecretFile(path.display().to_string()))
        }
        _ => None,
    }
}

/// Returns true if users other than the file's owner and group can read it.
pub(super) fn is_public(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// Generates a secret of 256 bits and writes it to a new file that only its owner can read.
pub(crate) fn generated(path: &Path) -> std::io::Result<String> {
    let secret = hex::encode(rand::random::<[u8; 32]>());
    text_file::create(path, 0o600, &format!("{secret}\n"))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_trimmed() {
        for text in ["s3cret", " s3cret\n", "\u{feff}s3cret\r\n", "\"s3cret\"\n", "'s3cret'", "\u{feff} \" s3cret \" "]
        {
            assert_eq!(bare(text), "s3cret", "{text:?}");
        }
        assert_eq!(bare("\"half"), "\"half");
        let read = |text: &str| read(&Origin::Inline(text.to_owned()), Path::new(""), Secrets::Leave);
        let wrong = |text: &str| match read(text) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text:?} is accepted"),
        };
        assert_eq!(wrong("the first\nthe second"), "the secret has more than one line");
        assert_eq!(wrong("\"\""), "the secret is empty");
    }

    #[test]
    fn empty_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("slack.secret"), "\n").unwrap();
        let origin = Origin::File { path: "slack.secret".into(), generate: false };
        let error = super::read(&origin, directory.path(), Secrets::Leave).err().unwrap();
        assert_eq!(error.to_string(), "the secret file `slack.secret` is empty");
        assert!(error.help().contains("the webhook URL from the chat"));
    }
}
