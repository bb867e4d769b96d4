//! Secrets: inline, in an environment variable, or in a file, which can be generated.

use std::io::Write;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use secrecy::SecretString;

use super::Secrets;
use super::document::Document;
use super::section::Taken;
use crate::problem::{Place, Problem};
use crate::text_file;

/// Help text: the forms of a secret.
const FORMS: &str =
    "write `{ file = \"name.secret\", generate = true }`, `{ file = \"…\" }`, `{ env = \"NAME\" }` or a string";

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

type SecretProblem = (String, &'static str);

/// Parses the location of a secret, or of each secret in a list. Problem texts never contain a secret.
pub(super) fn forms(taken: &Taken<Value>) -> Vec<Result<Origin, Problem>> {
    let items = match &taken.value {
        Value::Array(_, items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if items.is_empty() {
        return vec![Err(Problem::error("the list of secrets is empty", taken.place.clone()).help(FORMS))];
    }
    let numbered = |n: usize, message: String| match items.len() {
        1 => message,
        _ => format!("entry {}: {message}", n + 1),
    };
    let forms = items.iter().enumerate().map(|(n, item)| {
        form(item).map_err(|message| Problem::error(numbered(n, message), taken.place.clone()).help(FORMS))
    });
    forms.collect()
}

fn form(value: &Value) -> Result<Origin, String> {
    match value {
        Value::String(_, text) => Ok(Origin::Inline(text.clone())),
        Value::Dict(_, table) => in_table(table),
        _ => Err("a secret must be a string or a table".to_owned()),
    }
}

fn in_table(table: &Dict) -> Result<Origin, String> {
    if let Some(key) = table.keys().find(|key| !["file", "generate", "env"].contains(&key.as_str())) {
        return Err(format!("unknown key `{key}` in a secret"));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    match (text("env"), text("file")) {
        (Some(name), None) => Ok(Origin::Env(name.to_owned())),
        (None, Some(path)) => {
            let generate = table.get("generate").and_then(Value::to_bool).unwrap_or(false);
            Ok(Origin::File { path: path.into(), generate })
        }
        _ => Err("a secret must have either `file` or `env`".to_owned()),
    }
}

/// Reason why a secret cannot be read.
pub(super) enum Unreadable {
    /// It is missing or inaccessible: the variable is not set, or the file does not exist or cannot be opened.
    Missing(SecretProblem),
    /// It exists but cannot be used.
    Wrong(SecretProblem),
}

impl From<SecretProblem> for Unreadable {
    fn from(wrong: SecretProblem) -> Self {
        Self::Wrong(wrong)
    }
}

/// Reads a secret. Returns `None` if it is not generated yet and `secrets` does not allow generating it.
pub(super) fn read(origin: &Origin, directory: &Path, secrets: Secrets) -> Result<Option<SecretString>, Unreadable> {
    let text = match origin {
        Origin::Inline(text) => text.clone(),
        Origin::Env(name) => std::env::var(name).map_err(|_| {
            let message = format!("the environment variable `{name}` is not set, or is not valid UTF-8");
            Unreadable::Missing((message, "set it before starting Hookbell"))
        })?,
        Origin::File { path, generate } => match in_file(path, *generate, directory, secrets)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let trimmed = bare(&text);
    if trimmed.contains(['\n', '\r']) {
        return Err(("the secret has more than one line".to_owned(), "keep only the secret, on one line").into());
    }
    match trimmed {
        "" => Err(("the secret is empty".to_owned(), FORMS).into()),
        short if short.chars().count() < MIN_LENGTH => Err((
            format!("the secret has fewer than {MIN_LENGTH} characters and can be guessed"),
            "generate one: `openssl rand -hex 32`",
        )
            .into()),
        trimmed => Ok(Some(trimmed.to_owned().into())),
    }
}

/// Removes what editors and shells add around a secret: a byte order mark, whitespace, line ends, quotes.
fn bare(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    quoted.unwrap_or(text).trim()
}

fn in_file(path: &Path, generate: bool, directory: &Path, secrets: Secrets) -> Result<Option<String>, Unreadable> {
    let shown = path.display();
    let path = directory.join(path);
    match text_file::read_text(&path, text_file::MAX_SECRET) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && generate => match secrets {
            Secrets::Leave | Secrets::Optional => Ok(None),
            Secrets::Generate => generated(&path).map(Some).map_err(|error| {
                (format!("cannot write a new secret to `{shown}`: {error}"), "make its directory writable").into()
            }),
        },
        Err(error) => {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => "create it, or, for a source, generate it with `generate = true`",
                std::io::ErrorKind::PermissionDenied => "make it readable for the user that runs Hookbell",
                _ => "use a regular text file that contains only the secret",
            };
            let wrong = (format!("cannot read the secret file `{shown}`: {error}"), help);
            let is_missing =
                matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied);
            Err(if is_missing { Unreadable::Missing(wrong) } else { Unreadable::Wrong(wrong) })
        }
    }
}

/// Message and help for a secret that other users of the machine can read; `None` if it is protected.
pub(super) fn exposed(
    origin: &Origin,
    directory: &Path,
    document: &Document,
    place: &Place,
) -> Option<(String, String)> {
    match (origin, place) {
        (Origin::Inline(_), Place::Span(file, _)) if document.is_public => {
            let message = "a secret is in plain text in a file that other users can read".to_owned();
            Some((
                message,
                format!("run `chmod o-r {}`, or move the secret to a file: `{{ file = \"name.secret\" }}`", file.path),
            ))
        }
        (Origin::File { path, .. }, _) if is_public(&directory.join(path)) => {
            let path = path.display();
            Some((format!("other users can read the secret file `{path}`"), format!("run `chmod o-r {path}`")))
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
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("{secret}\n").as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_secret_is_not_part_of_it() {
        for text in ["s3cret", " s3cret\n", "\u{feff}s3cret\r\n", "\"s3cret\"\n", "'s3cret'", "\u{feff} \" s3cret \" "]
        {
            assert_eq!(bare(text), "s3cret", "{text:?}");
        }
        assert_eq!(bare("\"half"), "\"half");
        let read = |text: &str| read(&Origin::Inline(text.to_owned()), Path::new(""), Secrets::Leave);
        let wrong = |text: &str| match read(text) {
            Err(Unreadable::Wrong((message, _))) => message,
            _ => panic!("{text:?} is accepted"),
        };
        assert_eq!(wrong("the first\nthe second"), "the secret has more than one line");
        assert_eq!(wrong("\"\""), "the secret is empty");
    }
}
