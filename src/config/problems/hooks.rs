//! Problems with `[hooks]`.

use thiserror::Error;

use crate::config::secret::SecretError;
use crate::problem::{Describe, Severity, nearest, one_of};

/// Problem with `[hooks]`.
#[derive(Debug, Error)]
pub(in crate::config) enum HooksProblem {
    #[error("`[hooks]` requires `{0}`")]
    MissingKey(&'static str),
    #[error("there is no source `{name}` whose webhooks Hookbell can manage")]
    UnknownSource { name: String, known: Vec<String> },
    #[error("`[hooks]` requires `source`")]
    WhichSource(Vec<String>),
    #[error("`{0}` is not the name of a workspace or a repository")]
    NotAName(String),
    #[error("the list of repositories is empty")]
    NoRepos,
    #[error("`token` cannot be used: {0}")]
    Token(SecretError),
    #[error("`{0}` is not the URL of a service")]
    NotAServiceUrl(String),
    #[error("`public_url` is the whole URL of a webhook")]
    WebhookUrl,
    #[error("the code host cannot reach this address")]
    PrivateUrl,
    #[error("the code host would post to this URL without encryption (`http://`)")]
    PlainPublicUrl,
    #[error("the token would be sent without encryption (`http://`)")]
    PlainApiUrl,
}

impl Describe for HooksProblem {
    fn severity(&self) -> Severity {
        match self {
            Self::PlainPublicUrl | Self::PrivateUrl | Self::Token(_) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::MissingKey("token") => "add `token = { env = \"BITBUCKET_TOKEN\" }`, or `{ file = \"…\" }`",
            Self::MissingKey("public_url") => {
                "add the address at which the host reaches Hookbell: `public_url = \"https://hookbell.acme.example\"`"
            }
            Self::MissingKey(_) => "add the short name, as in the URL of the workspace: `workspace = \"acme\"`",
            Self::WhichSource(known) | Self::UnknownSource { known, .. } if known.is_empty() => {
                "add a source of a host whose webhooks Hookbell can manage: `kind = \"bitbucket-cloud\"`"
            }
            Self::UnknownSource { name, known } => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                return Some(one_of(nearest(name, known.iter().copied()), &known));
            }
            Self::WhichSource(known) => return Some(format!("add the name of one of: {}", known.join(", "))),
            Self::NotAName(_) => "write short names, as in URLs: `workspace = \"acme\"`, `repos = [\"api\", \"web\"]`",
            Self::NoRepos => "add repositories, or remove `repos` for one webhook of the whole workspace",
            Self::NotAServiceUrl(_) => "write a URL such as `https://hookbell.acme.example`, without `?` and `#`",
            Self::WebhookUrl => {
                "write only the address, `https://hookbell.acme.example`: Hookbell adds `/hooks/` and the source"
            }
            Self::PrivateUrl => "write the public address, `https://hookbell.acme.example`",
            Self::Token(_) => {
                "put the token of the host's API there; only `hookbell hooks` and `hookbell doctor` need it"
            }
            Self::PlainPublicUrl => "use `https://`, so that nobody in between can read what the host sends",
            Self::PlainApiUrl => "use `https://`; `http://` is for this machine only",
        };
        Some(help.to_owned())
    }
}
