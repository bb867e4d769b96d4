//! What `hookbell init` must know: from its arguments, or asked in the terminal.

use std::io::{BufRead, Write};

use secrecy::SecretString;
use thiserror::Error;
use url::Url;

use super::Init;
use crate::chat::{KeyType, Kind, kind_at, kinds};
use crate::cli::Failure;
use crate::config::service_url;
use crate::problem::{did_you_mean, nearest};

/// Answers to all questions.
pub(super) struct Answers {
    pub(super) chats: Vec<Chat>,
    /// Without a slash at its end.
    pub(super) public_url: Option<String>,
    /// Pattern of repositories.
    pub(super) repo: String,
}

/// Answer that cannot be used. A webhook URL is a secret: no text shows it.
#[derive(Debug, Error)]
pub(in crate::cli) enum AnswerError {
    #[error("unknown chat `{name}`; {}", near.as_deref().map_or_else(|| format!("chats: {}", known.join(", ")), did_you_mean))]
    UnknownChat { name: String, near: Option<String>, known: Vec<&'static str> },
    #[error("`--webhook-url` needs the name of a chat in `--chat` and its URL, as in `slack=https://…`")]
    UrlWithoutChat,
    #[error("this is not a webhook URL for {0}; copy the complete URL, which begins with `https://`")]
    NotWebhookUrl(&'static str),
    #[error("this URL is of {other}, not of {chat}")]
    UrlOf { other: &'static str, chat: &'static str },
    #[error("`{0}` is not an address such as `https://hookbell.acme.example`")]
    NotPublicUrl(String),
    #[error("`{0}` is not a workspace or a pattern, such as `acme` or `acme/api-*`")]
    NotRepositories(String),
    #[error("the input ended before all questions were answered")]
    Ended,
}

/// A chat, which gets a channel of its name.
pub(super) struct Chat {
    pub(super) kind: &'static dyn Kind,
    /// Webhook URL, if it is known yet.
    pub(super) url: Option<String>,
}

impl Chat {
    /// Name of the file with its webhook URL; `None` if it has none.
    pub(super) fn file(&self) -> Option<String> {
        (required(self.kind).count() > 0).then(|| format!("{}.secret", self.kind.name()))
    }
}

fn required(kind: &dyn Kind) -> impl Iterator<Item = &'static str> {
    let keys = kind.keys().iter().filter(|key| key.value == KeyType::Secret && key.default.is_empty());
    keys.map(|key| key.key)
}

/// Key of a channel with the webhook URL.
pub(super) const URL: &str = "webhook_url";

/// Kinds that need nothing but a webhook URL.
fn offered() -> Vec<&'static dyn Kind> {
    kinds().iter().copied().filter(|kind| required(*kind).all(|key| key == URL)).collect()
}

fn names() -> Vec<&'static str> {
    offered().iter().map(|kind| kind.name()).collect()
}

/// Kind that needs nothing, for a first try.
const DEFAULT: &str = "console";

/// Questions.
const ADDRESS: &str =
    "\nThe code host must reach Hookbell at a public address, such as https://hookbell.acme.example.\nAddress [later]";
const REPOSITORIES: &str =
    "\nEvents can be limited to a workspace, such as acme, or a pattern, such as acme/api-*.\nRepositories [all]";

/// Pattern of all repositories.
const ALL: &str = "**";

impl Answers {
    /// Takes the answers from the arguments, and defaults for the rest.
    pub(super) fn of(init: &Init) -> Result<Self, Failure> {
        let default = [DEFAULT.to_owned()];
        let chosen = if init.chat.is_empty() { &default[..] } else { &init.chat };
        let mut chats = chats(chosen)?;
        for given in &init.webhook_url {
            let (name, url) = given.split_once('=').unwrap_or_default();
            let Some(chat) = chats.iter_mut().find(|chat| chat.kind.name() == name && chat.file().is_some()) else {
                return Err(AnswerError::UrlWithoutChat.into());
            };
            chat.url = Some(webhook_url(chat.kind, url)?);
        }
        Ok(Self {
            chats,
            public_url: init.public_url.as_deref().map(public_url).transpose()?,
            repo: init.repo.as_deref().map_or_else(|| Ok(ALL.to_owned()), repositories)?,
        })
    }

    /// Asks for what the arguments leave open. An invalid answer is asked for again.
    pub(super) fn ask(init: &Init, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<Self, Failure> {
        let mut answers = Self::of(init)?;
        let mut terminal = Terminal { input, output };
        if init.chat.is_empty() {
            let question = format!("Chats to post to: one or more of {} [{DEFAULT}]", names().join(", "));
            answers.chats = terminal
                .ask(&question, |line| chats(&if line.is_empty() { vec![DEFAULT.to_owned()] } else { words(line) }))?;
        }
        for chat in answers.chats.iter_mut().filter(|chat| chat.file().is_some() && chat.url.is_none()) {
            let kind = chat.kind;
            let question = format!("\nTo get a webhook URL: {}.\nURL for {} [later]", kind.setup(), kind.name());
            chat.url = terminal.ask(&question, |line| optional(line, |url| webhook_url(kind, url)))?;
        }
        if init.public_url.is_none() {
            answers.public_url = terminal.ask(ADDRESS, |line| optional(line, public_url))?;
        }
        if init.repo.is_none() {
            let repo = terminal.ask(REPOSITORIES, |line| optional(line, repositories))?;
            answers.repo = repo.unwrap_or_else(|| ALL.to_owned());
        }
        Ok(answers)
    }
}

/// The terminal of the person who answers.
struct Terminal<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Terminal<'_> {
    /// Asks until the answer is valid.
    fn ask<T>(&mut self, question: &str, read: impl Fn(&str) -> Result<T, AnswerError>) -> Result<T, Failure> {
        loop {
            let mut line = String::new();
            let written = write!(self.output, "{question}: ").and_then(|()| self.output.flush());
            let end = written.and_then(|()| self.input.read_line(&mut line)).map_err(Failure::Asking)? == 0;
            if end {
                return Err(AnswerError::Ended.into());
            }
            match read(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(error) => writeln!(self.output, "{error}").map_err(Failure::Asking)?,
            }
        }
    }
}

fn optional<T>(line: &str, read: impl FnOnce(&str) -> Result<T, AnswerError>) -> Result<Option<T>, AnswerError> {
    if line.is_empty() { Ok(None) } else { read(line).map(Some) }
}

fn words(line: &str) -> Vec<String> {
    line.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn chats(chosen: &[String]) -> Result<Vec<Chat>, AnswerError> {
    let mut chats: Vec<Chat> = vec![];
    for name in chosen {
        let Some(kind) = offered().into_iter().find(|kind| kind.name() == name) else {
            let near = nearest(name, names()).map(ToOwned::to_owned);
            return Err(AnswerError::UnknownChat { name: name.clone(), near, known: names() });
        };
        if !chats.iter().any(|chat| chat.kind.name() == kind.name()) {
            chats.push(Chat { kind, url: None });
        }
    }
    Ok(chats)
}

fn webhook_url(kind: &dyn Kind, text: &str) -> Result<String, AnswerError> {
    let name = kind.name();
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let url = url.ok_or(AnswerError::NotWebhookUrl(name))?;
    match kind_at(&SecretString::from(text)).filter(|found| found.name() != name) {
        Some(other) => Err(AnswerError::UrlOf { other: other.name(), chat: name }),
        None => Ok(url.into()),
    }
}

fn public_url(text: &str) -> Result<String, AnswerError> {
    let wrong = || AnswerError::NotPublicUrl(text.to_owned());
    let url = service_url(text).filter(|url| !url.path().contains("/hooks/")).ok_or_else(wrong)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Returns the pattern for a workspace, or a pattern as it is. Takes the URL of a workspace or of a repository too.
fn repositories(text: &str) -> Result<String, AnswerError> {
    let path = Url::parse(text).ok().filter(|url| url.has_host()).map(|url| url.path().trim_matches('/').to_owned());
    let name = path.as_deref().unwrap_or(text).trim_end_matches('/');
    if name.is_empty() || name.contains([' ', ':', '?', '#']) {
        return Err(AnswerError::NotRepositories(text.to_owned()));
    }
    Ok(if name.contains(['/', '*']) { name.to_owned() } else { format!("{name}/*") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(chat: &[&str]) -> Init {
        let chat = chat.iter().map(|name| (*name).to_owned()).collect();
        Init { chat, webhook_url: vec![], public_url: None, repo: None }
    }

    fn asked(init: &Init, lines: &str) -> (Result<Answers, Failure>, String) {
        let mut output = vec![];
        let answers = Answers::ask(init, &mut lines.as_bytes(), &mut output);
        (answers, String::from_utf8(output).unwrap())
    }

    #[test]
    fn invalid_answers_are_asked_for_again() {
        let lines = "slak\nSlack, console\nhttps://discord.com/api/webhooks/1/s3cret\nno URL\n\
                     https://hooks.slack.com/services/T0/B0/s3cret\nhookbell\nhttps://hookbell.acme.example/\nacme\n";
        let (answers, output) = asked(&arguments(&[]), lines);
        let answers = answers.unwrap();
        let chats: Vec<_> = answers.chats.iter().map(|chat| (chat.kind.name(), chat.url.as_deref())).collect();
        let url = "https://hooks.slack.com/services/T0/B0/s3cret";
        assert_eq!(chats, [("slack", Some(url)), ("console", None)]);
        assert_eq!(answers.public_url.as_deref(), Some("https://hookbell.acme.example"));
        assert_eq!(answers.repo, "acme/*");
        assert!(!output.contains("s3cret"), "{output}");
        // In a terminal, each answer ends its line.
        insta::assert_snapshot!(output.replace("]: ", "]: …\n"));
    }

    #[test]
    fn empty_answers_are_the_defaults() {
        let (answers, _) = asked(&arguments(&[]), "\n\n\n");
        let answers = answers.unwrap();
        assert_eq!((answers.chats.len(), answers.chats[0].kind.name(), answers.repo.as_str()), (1, "console", "**"));
        assert_eq!((answers.chats[0].file(), answers.public_url), (None, None));
        // What the arguments say is not asked for.
        let (answers, output) = asked(&arguments(&["console"]), "\n\n");
        assert!(answers.is_ok() && !output.contains("Chats"), "{output}");
        let (ended, _) = asked(&arguments(&[]), "console\n");
        assert_eq!(ended.err().unwrap().to_string(), "the input ended before all questions were answered");
    }
}
