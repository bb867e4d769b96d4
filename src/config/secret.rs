//! Secrets: written out, in an environment variable, or in a file that may be generated.

use std::io::Write;
use std::path::Path;

use figment::value::{Dict, Value};
use secrecy::SecretString;

use super::Secrets;
use super::section::Taken;
use crate::problem::Problem;

/// What a secret may be, for whoever wrote something else.
const FORMS: &str =
    "write `{ file = \"name.secret\", generate = true }`, `{ file = \"…\" }`, `{ env = \"NAME\" }` or a string";

/// Reads a secret, or a list of them. One that is to be generated and not there yet is left out where `secrets`
/// says so. No text of a problem holds a secret.
pub(super) fn read(taken: &Taken<Value>, directory: &Path, secrets: Secrets) -> Result<Vec<SecretString>, Problem> {
    let items = match &taken.value {
        Value::Array(_, items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut read = vec![];
    for item in items {
        let secret = one(item, directory, secrets)
            .map_err(|(message, help)| Problem::error(message, taken.place.clone()).help(help))?;
        read.extend(secret.map(SecretString::from));
    }
    if items.is_empty() {
        return Err(Problem::error("the list of secrets is empty", taken.place.clone()).help(FORMS));
    }
    Ok(read)
}

type Wrong = (String, &'static str);

fn one(value: &Value, directory: &Path, secrets: Secrets) -> Result<Option<String>, Wrong> {
    let text = match value {
        Value::String(_, text) => text.clone(),
        Value::Dict(_, table) => match from_table(table, directory, secrets)? {
            Some(text) => text,
            None => return Ok(None),
        },
        _ => return Err(("a secret must be a string or a table".to_owned(), FORMS)),
    };
    match text.trim() {
        "" => Err(("the secret is empty, and an empty secret protects nothing".to_owned(), FORMS)),
        trimmed => Ok(Some(trimmed.to_owned())),
    }
}

fn from_table(table: &Dict, directory: &Path, secrets: Secrets) -> Result<Option<String>, Wrong> {
    if let Some(key) = table.keys().find(|key| !["file", "generate", "env"].contains(&key.as_str())) {
        return Err((format!("unknown key `{key}` in a secret"), FORMS));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let generate = table.get("generate").and_then(Value::to_bool).unwrap_or(false);
    match (text("env"), text("file")) {
        (Some(name), None) => std::env::var(name).map(Some).map_err(|_| {
            (format!("the environment variable `{name}` is not set, or no text"), "set it before starting Hookbell")
        }),
        (None, Some(name)) => {
            let path = directory.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && generate => match secrets {
                    Secrets::Leave => Ok(None),
                    Secrets::Generate => generated(&path).map(Some).map_err(|error| {
                        (format!("cannot write a new secret to `{name}`: {error}"), "make its directory writable")
                    }),
                },
                Err(error) => Err((
                    format!("cannot read the secret file `{name}`: {error}"),
                    "create it, or add `generate = true`",
                )),
            }
        }
        _ => Err(("a secret is either in a `file` or in an `env` variable".to_owned(), FORMS)),
    }
}

/// A new secret of 256 bits, in a file that only its owner may read.
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
