//! `hookbell templates`: list, eject and compare templates.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use similar::{ChangeTag, TextDiff};

use super::failure::{Doing, Failure};
use super::print::{errln, outln};
use super::report;
use crate::config;
use crate::problem::{Severity, nearest};
use crate::template::{ALERT, Library, REFS};

/// Arguments of `hookbell templates`.
#[derive(Subcommand)]
pub(super) enum Templates {
    /// List the template for each event kind with its file, and all other templates
    List {
        /// JSON output, one object per kind
        #[arg(long)]
        json: bool,
    },
    /// Copy a built-in template to your templates directory for editing
    Eject {
        /// Name of the template: `pull_request.opened`
        name: String,
    },
    /// Compare your templates with the built-in ones of the same name
    Diff {
        /// Name of a single template
        name: Option<String>,
    },
}

impl Templates {
    pub(super) fn run(self, config: &Path) -> Result<(), Failure> {
        match self {
            Self::List { json } => list(config, json),
            Self::Eject { name } => eject(config, &name),
            Self::Diff { name } => diff(config, name.as_deref()),
        }
    }
}

fn library(config: &Path) -> Result<Library, Failure> {
    let (library, problems) = config::templates(config);
    report(&problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Failure::InvalidTemplates);
    }
    Ok(library)
}

fn list(config: &Path, json: bool) -> Result<(), Failure> {
    let library = library(config)?;
    let serving = library.serving();
    if json {
        for one in &serving {
            let text = serde_json::json!({ "kind": one.kind, "template": one.template, "file": one.file });
            outln!("{text}");
        }
        return Ok(());
    }
    let dim = anstyle::Style::new().dimmed();
    let width = serving.iter().map(|one| one.kind.as_str().len()).max().unwrap_or(0);
    for one in &serving {
        let kind = one.kind.as_str();
        let why = match one.template.as_str() {
            name if name == kind => String::new(),
            name => format!("  {dim}uses `{name}`; there is no template `{kind}`{dim:#}"),
        };
        let place = one.file.as_deref().map_or_else(|| format!("{dim}built in{dim:#}"), ToOwned::to_owned);
        outln!("{kind:width$}  {place}{why}");
    }
    let by_route = library.overrides().filter(|(name, _, _)| !serving.iter().any(|one| one.template == *name));
    for (name, file, _) in by_route {
        let used = match name {
            REFS => "for a push that changes several refs".to_owned(),
            ALERT => "for alerts".to_owned(),
            name => format!("for routes with `template = \"{name}\"`"),
        };
        outln!("{name:width$}  {file}  {dim}{used}{dim:#}");
    }
    for (chat, name, file) in library.of_chats() {
        outln!("{name:width$}  {file}  {dim}on {chat}, instead of the portable template{dim:#}");
    }
    Ok(())
}

fn eject(config: &Path, name: &str) -> Result<(), Failure> {
    let text = Library::built_in_text(name).ok_or_else(|| {
        let library = Library::built_in();
        let near = nearest(name, library.names()).map(ToOwned::to_owned);
        Failure::UnknownBuiltIn { name: name.to_owned(), near }
    })?;
    let directory = directory(config)?;
    std::fs::create_dir_all(&directory).map_err(Failure::file(Doing::Write, &directory))?;
    let path = directory.join(format!("{name}.md.hbs"));
    if path.exists() {
        return Err(Failure::TemplateExists { path, name: name.to_owned() });
    }
    std::fs::write(&path, text).map_err(Failure::file(Doing::Write, &directory))?;
    outln!("{}", path.display());
    errln!("edit it, and preview it: hookbell render {name} --chat console --watch");
    Ok(())
}

/// Returns the user's templates directory.
fn directory(config: &Path) -> Result<PathBuf, Failure> {
    let directory = config::templates_directory(config).map_err(Failure::Problems)?;
    directory.ok_or_else(|| Failure::NoTemplatesDirectory(config.to_owned()))
}

fn diff(config: &Path, name: Option<&str>) -> Result<(), Failure> {
    let library = library(config)?;
    let texts: Vec<_> = library.texts().filter(|(other, _)| name.is_none_or(|name| name == *other)).collect();
    if let (Some(name), true) = (name, texts.is_empty()) {
        Library::built_in_text(name).ok_or_else(|| Failure::NoUserTemplate(name.to_owned()))?;
    }
    let mut differ = 0;
    for (name, text) in texts {
        let Some(built_in) = Library::built_in_text(name) else { continue };
        if built_in != text {
            differ += 1;
            show(name, &built_in, text);
        }
    }
    if differ == 0 {
        errln!("none of your templates differs from its built-in version");
    }
    Ok(())
}

fn show(name: &str, built_in: &str, yours: &str) {
    use anstyle::AnsiColor::{Green, Red};
    let (red, green) = (Red.on_default(), Green.on_default());
    outln!("{red}--- built-in {name}.md.hbs{red:#}\n{green}+++ yours{green:#}");
    for hunk in TextDiff::from_lines(built_in, yours).unified_diff().iter_hunks() {
        outln!("{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Delete => outln!("{red}-{line}{red:#}"),
                ChangeTag::Insert => outln!("{green}+{line}{green:#}"),
                ChangeTag::Equal => outln!(" {line}"),
            }
        }
    }
}
