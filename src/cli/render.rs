//! `hookbell render`.

use std::path::Path;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::input::{named_provider, parsed};
use super::{Failure, report};
use crate::chat::{self, Style};
use crate::config;
use crate::problem::Severity;
use crate::template::{Context, Library};

/// `hookbell render …`
#[derive(Args)]
pub(super) struct Render {
    /// A sample's name, or the file of a webhook's body.
    #[arg(value_name = "SAMPLE|PAYLOAD")]
    payload: String,
    /// The chat to draw for: the exact body of the request, one a line; `console` as the terminal shows it.
    #[arg(long, value_parser = PossibleValuesParser::new(chat::KINDS.iter().map(|kind| kind.name)))]
    chat: String,
    /// How much of the message: `full` or `line`, as a channel's or a route's `style` would.
    #[arg(long, default_value = "full", value_parser = PossibleValuesParser::new(["full", "line"]))]
    style: String,
    /// What the host calls it, for a file: `repo:push`.
    #[arg(long, value_name = "KEY")]
    event: Option<String>,
    /// The kind of source that it comes from [default: bitbucket-cloud].
    #[arg(long, value_name = "KIND")]
    source: Option<String>,
    /// The template to use first, as a route's `template` would.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
}

impl Render {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        let provider = named_provider(self.source.as_deref())?;
        let parsed = parsed(provider, None, &self.payload, self.event.as_deref())?;
        let library = library(config)?;
        if let Some(name) = self.template.as_deref().filter(|name| !library.contains(name)) {
            let near = library.nearest(name).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(Failure::Usage(format!("there is no template `{name}`{near}")));
        }
        let style = Style::parse(&self.style).unwrap_or_default();
        let chat = chat::kind(&self.chat).ok_or_else(|| Failure::Usage(format!("there is no chat `{}`", self.chat)))?;
        if let Some(note) = parsed.note {
            anstream::eprintln!("nothing to tell of `{}`: {note}", self.payload);
        }
        for event in parsed.events {
            let context = Context::of(&event);
            let rendered = library.render(&context, self.template.as_deref());
            for failure in &rendered.failures {
                anstream::eprintln!("template failed, used `{}` instead: {failure}", rendered.template);
            }
            if let Some(why) = rendered.skip {
                anstream::eprintln!("nothing to tell of `{}`: {why}", self.payload);
                continue;
            }
            match chat.draw {
                Some(draw) => anstream::println!("{}", draw(&style.of(rendered.message))),
                None => anstream::println!("{}", chat::program::body(context.event())),
            }
        }
        Ok(())
    }
}

/// The config's templates, or the built-in ones where there is no config file.
fn library(config: &Path) -> Result<Library, Failure> {
    if !config.exists() {
        return Ok(Library::built_in());
    }
    let (library, problems) = config::templates(config);
    report(&problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Failure::NotFine("the templates have errors".to_owned()));
    }
    Ok(library)
}
