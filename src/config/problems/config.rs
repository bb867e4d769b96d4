//! Problems with files, values, secrets, sources and channels.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::either;
use crate::chat::AddressError;
use crate::config::secret::{FormError, SecretError};
use crate::http_client::HttpError;
use crate::pattern::PatternError;
use crate::problem::{Describe, Severity, did_you_mean, one_of};
use crate::store::StoreUrl;
use crate::tls::TlsError;

/// Problem with a file, a value, a secret, a source or a channel.
#[derive(Debug, Error)]
pub(in crate::config) enum ConfigProblem {
    #[error("cannot read the config file: {0}")]
    UnreadableFile(io::Error),
    #[error("cannot read an included file: {0}")]
    UnreadableIncludedFile(io::Error),
    #[error("cannot read `{}`: {error}", path.display())]
    UnreadableDirectory { path: PathBuf, error: io::Error },
    #[error("no file matches `{0}`")]
    MissingIncludedFile(String),
    #[error("no file matches `{0}`")]
    NoFileMatches(String),
    #[error("`{pattern}` is not a valid file pattern: {reason}")]
    InvalidFilePattern { pattern: String, reason: &'static str },

    #[error("not valid TOML: {0}")]
    InvalidToml(String),
    #[error("not valid TOML: {reason}")]
    SingleBrackets { reason: String, list: &'static str },
    #[error("not valid TOML: {0}")]
    DuplicateKey(String),
    #[error("this value cannot be read")]
    UnreadableValue,
    #[error("cannot read the configuration: {0}")]
    Unreadable(Box<figment::Error>),
    #[error("unknown key `{key}` in {within}")]
    UnknownKey { key: String, within: String, known: Vec<&'static str>, near: Option<String> },
    #[error("unknown key `{key}` in `{table}`")]
    KeyBelowTable { key: String, table: String },
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType { key: String, expected: Expected, found: Found },

    #[error("`{0}` is not a valid duration")]
    InvalidDuration(String),
    #[error("`{value}` is not a valid network")]
    InvalidNetwork { value: String, near: Option<String>, words: Vec<&'static str> },
    #[error("`{0}` is not a valid listen address")]
    InvalidListenAddress(String),
    #[error("missing `kind` in `[{table}]`")]
    MissingKind { table: String, kinds: Vec<&'static str> },
    #[error("`{value}` is not a valid {of} kind")]
    InvalidKind { of: &'static str, value: String, kinds: Vec<&'static str>, near: Option<String> },
    #[error("`{0}` is not a valid style")]
    InvalidStyle(String),
    #[error("`{0}` is not a valid pace")]
    InvalidPace(String),
    #[error("`{value}` {reason}")]
    InvalidPattern { value: String, reason: PatternError },
    #[error("`{value}` looks like a regular expression but is read as a glob")]
    LooksLikeRegex { value: String, regex: String },
    #[error("`{0}` is not a valid store URL")]
    InvalidStoreUrl(String),
    #[error("`{0}` is not a valid role")]
    InvalidRole(String),
    #[error("the directory `{0}` does not exist")]
    MissingTemplates(String),
    #[error("`{name}` has no chat ID and cannot be pinged")]
    NoChatId { name: String, chats: Vec<&'static str> },
    #[error("`{value}` is not a valid {chat} ID")]
    InvalidChatId { value: String, chat: &'static str, help: &'static str },

    #[error("{what} requires `{key}`")]
    MissingSecret { what: String, key: &'static str },
    #[error("`{0}` must be a single existing value; it cannot be generated")]
    NotOneSecret(&'static str),
    #[error("the list of secrets is empty")]
    NoSecrets,
    #[error("{}{error}", entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default())]
    SecretForm { entry: Option<usize>, error: FormError },
    #[error("{0}")]
    Secret(SecretError),
    #[error("{0}")]
    OptionalSecret(SecretError),
    /// `is_optional` if the command works without TLS.
    #[error("{error}")]
    Tls { error: TlsError, is_optional: bool },
    #[error("the certificate `{0}` expired on {1}")]
    CertificateExpired(String, String),
    #[error("the certificate `{0}` is self-signed, so code hosts and other clients reject it")]
    SelfSigned(String),
    #[error("TLS needs a certificate and its key")]
    HalfTls,
    #[error("`tls` and `acme` cannot be combined")]
    TlsAndAcme,
    #[error("`acme` requires `domains`")]
    AcmeWithoutDomains,
    #[error("`{0}` is not a complete domain name")]
    NotADomain(String),
    #[error("`{0}` is not the directory URL of an authority")]
    NotAnAuthority(String),
    #[error("the secret file `{0}` no longer exists")]
    LostSecretFile(String),
    #[error("a secret is in plain text in a file that other users can read")]
    ExposedSecret { path: String },
    #[error("other users can read the secret file `{0}`")]
    ExposedSecretFile(String),

    #[error("the configuration has no sources, so every webhook would be rejected")]
    SourcesRemoved,
    #[error("no source is configured, so no webhook is accepted")]
    NoSource,
    #[error("`{0}` is not a valid source name")]
    InvalidSourceName(String),
    #[error("`{0}` matches no repository")]
    NotARepository(String),
    #[error("source `{0}` requires `secret`")]
    SourceWithoutSecret(String),
    #[error("`secret` and `unsigned` cannot be combined")]
    SecretAndUnsigned,
    #[error("`unsigned` must be `true` or `false`")]
    InvalidUnsigned,
    #[error("source `{0}` accepts unsigned requests: anyone who knows its URL can forge events")]
    Unsigned(String),
    #[error("`{0}` with `unsigned` accepts webhooks of every customer of the host")]
    UnsignedFromAll(String),

    #[error("{0}")]
    Http(HttpError),
    #[error("duplicate channel name `{0}`")]
    DuplicateChannel(String),
    #[error("`accept` of channel `{0}` has no matcher")]
    EmptyAccept(String),
    #[error("the webhook URL is not encrypted (`http://`)")]
    UnencryptedUrl,
    #[error("this URL belongs to `{owner}`, but the channel has `kind = \"{kind}\"`")]
    UrlOfOtherKind { owner: &'static str, kind: &'static str },
    #[error("{0}")]
    Address(AddressError),
}

impl Describe for ConfigProblem {
    fn severity(&self) -> Severity {
        match self {
            Self::NoFileMatches(_)
            | Self::LooksLikeRegex { .. }
            | Self::NoChatId { .. }
            | Self::OptionalSecret(_)
            | Self::Tls { is_optional: true, .. }
            | Self::CertificateExpired(..)
            | Self::SelfSigned(_)
            | Self::ExposedSecret { .. }
            | Self::ExposedSecretFile(_)
            | Self::NoSource
            | Self::Unsigned(_)
            | Self::UnsignedFromAll(_) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::UnreadableFile(_) => "run `hookbell init` to write one, or pass another file with `--config FILE`",
            Self::UnreadableDirectory { .. } => "make it readable for the user that runs Hookbell",
            Self::MissingIncludedFile(_) => "create the file, or fix the path; paths are relative to the config file",
            Self::NoFileMatches(_) => "fix the pattern; paths are relative to the config file",
            Self::InvalidFilePattern { .. } => "write `routes.d/*.toml`",
            Self::SingleBrackets { list, .. } => {
                return Some(format!(
                    "write `[[{list}]]` with double brackets each time: each one is an entry of a list"
                ));
            }
            Self::DuplicateKey(_) => "each table, and each key in a table, must be unique: rename or remove one",
            Self::UnreadableValue => "a number has at most 18 digits; put a longer one in quotes",
            Self::UnreadableIncludedFile(_) | Self::InvalidToml(_) | Self::Unreadable(_) | Self::InvalidUnsigned => {
                return None;
            }
            Self::UnknownKey { near: Some(near), .. } => return Some(did_you_mean(near)),
            Self::UnknownKey { known, .. } => return Some(format!("valid keys: {}", known.join(", "))),
            // In TOML, every key below a table header belongs to that table.
            Self::KeyBelowTable { key, .. } => {
                return Some(format!("move `{key}` to the top of the file, above the first `[table]`"));
            }
            Self::WrongType { key, expected, found } => match (expected, found) {
                (Expected::Table, _) => {
                    return Some(format!("write `[{key}]` on its own line, with its keys below it"));
                }
                (Expected::Text, Found::Number | Found::Flag) => "put it in quotes",
                (Expected::Flag, Found::Text) => "remove the quotes",
                _ => return None,
            },

            Self::InvalidDuration(_) => "write a positive number of days, hours or minutes: `30d`, `12h`, `90min`",
            Self::InvalidNetwork { near: Some(near), .. } => return Some(did_you_mean(near)),
            Self::InvalidNetwork { words, .. } => {
                let or_word: String = words.iter().map(|word| format!(", or `{word}`")).collect();
                return Some(format!("write a network or an IP address: `10.0.0.0/8`, `2001:db8::/32`{or_word}"));
            }
            Self::InvalidListenAddress(_) => {
                "write an IP address and a port: `127.0.0.1:8080`, `0.0.0.0:8080`, `[::]:8080`"
            }
            Self::MissingKind { kinds, .. } => return Some(format!("add `kind`; {}", one_of(None, kinds))),
            Self::InvalidKind { near, kinds, .. } => return Some(one_of(near.as_deref(), kinds)),
            Self::InvalidStyle(_) => "expected one of: full, line",
            Self::InvalidPace(_) => "write a number of messages per time unit: `5/s`, `30/min`, `100/h`",
            Self::InvalidPattern { .. } => {
                "`*` matches any text, `{a,b}` either, `~` starts a regular expression, `!` excludes"
            }
            Self::LooksLikeRegex { regex, .. } => {
                return Some(format!("write `{regex}`; in a glob, `{{a,b}}` matches either and `*` matches any text"));
            }
            Self::InvalidStoreUrl(_) => StoreUrl::FORMS,
            Self::InvalidRole(_) => "expected one of: read, operate",
            Self::MissingTemplates(_) => "create it, or remove `templates`",
            Self::NoChatId { chats, .. } => {
                let chats: Vec<_> = chats.iter().map(|chat| format!("`{chat}`")).collect();
                return Some(format!("add {}", either(&chats)));
            }
            Self::InvalidChatId { help, .. } => help,

            Self::MissingSecret { key, .. } => {
                return Some(format!(
                    "add `{key} = {{ env = \"NAME\" }}`, or `{{ file = \"…\" }}`, or the value itself"
                ));
            }
            Self::NotOneSecret(_) => "write `{ env = \"NAME\" }`, `{ file = \"…\" }` or the value itself",
            Self::NoSecrets | Self::SecretForm { .. } => SecretError::FORMS,
            Self::Secret(error) => error.help(),
            Self::Tls { error, is_optional: false } => error.help(),
            Self::CertificateExpired(..) => "renew it; Hookbell reads the files again when they change",
            Self::SelfSigned(_) => {
                "use the certificate of a public authority; if the host does not verify it, anybody in between can read and \
                 change what the host sends"
            }
            Self::HalfTls => "write `{ cert = \"cert.pem\", key = \"key.pem\" }`; both are files in PEM format",
            Self::TlsAndAcme => "remove `tls` to let Hookbell request the certificate, or `acme` to use the files",
            Self::AcmeWithoutDomains => {
                "add the names at which hosts reach Hookbell: `domains = \"hookbell.acme.example\"`"
            }
            Self::NotADomain(_) => "write a name such as `hookbell.acme.example`, without `*`, a scheme or a port",
            Self::NotAnAuthority(_) => {
                "remove `directory` for Let's Encrypt, or write an `https://` URL without `?` and `#`"
            }
            Self::OptionalSecret(_) | Self::Tls { is_optional: true, .. } => {
                "`hookbell serve` needs it; this command works without it"
            }
            Self::LostSecretFile(_) => {
                "restore it, because webhooks are signed with it; to generate a new secret, restart Hookbell"
            }
            Self::ExposedSecret { path } => {
                return Some(format!(
                    "run `chmod o-r {path}`, or move the secret to a file: `{{ file = \"name.secret\" }}`"
                ));
            }
            Self::ExposedSecretFile(path) => return Some(format!("run `chmod o-r {path}`")),

            Self::SourcesRemoved => "add `[sources.NAME]`; to run without sources, restart Hookbell",
            Self::NoSource => "add `[sources.bitbucket]` with `kind` and `secret`",
            Self::InvalidSourceName(_) => "use letters, digits, `-` and `_`: the name is part of the webhook URL",
            Self::NotARepository(_) => "write the names as in URLs, without the address: `acme/*`, `acme/api`",
            Self::SourceWithoutSecret(_) => {
                "add `secret = { file = \"bitbucket.secret\", generate = true }`, then copy the content of that file \
                 to the webhook's *Secret* field"
            }
            Self::SecretAndUnsigned => "remove one of them, preferably `unsigned`",
            Self::Unsigned(_) => "set a `secret`, or restrict the senders with `allow_from`",
            Self::UnsignedFromAll(_) => "use a `secret`: all customers share these IP addresses",

            Self::Http(error) => return error.help().map(ToOwned::to_owned),
            Self::DuplicateChannel(_) => "another file defines a channel with this name; rename one of them",
            Self::EmptyAccept(_) => "remove it, or add a matcher: `{ visibility = \"private\" }`",
            Self::UnencryptedUrl => "use `https://`, or add `insecure = true` if you trust the network",
            Self::UrlOfOtherKind { owner, .. } => return Some(format!("write `kind = \"{owner}\"`")),
            Self::Address(error) => error.help,
        };
        Some(help.to_owned())
    }
}

/// Type of value that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::config) enum Expected {
    #[error("a string")]
    Text,
    #[error("`true` or `false`")]
    Flag,
    #[error("a date or a time")]
    Timestamp,
    #[error("a string or a list of strings")]
    Texts,
    #[error("a table")]
    Table,
    #[error("`[[{0}]]` tables")]
    Tables(&'static str),
}

/// Type of value that a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::config) enum Found {
    #[error("a string")]
    Text,
    #[error("a character")]
    Character,
    #[error("`true` or `false`")]
    Flag,
    #[error("a number")]
    Number,
    #[error("nothing")]
    Nothing,
    #[error("a table")]
    Table,
    #[error("a list")]
    List,
}
