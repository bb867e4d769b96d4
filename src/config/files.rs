//! The files that make up a config: the main one, and those that it includes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::document::{Document, Overrides};
use super::secret::is_public;
use super::section::{Notes, Section};
use crate::problem::{Place, Problem};
use crate::text_file;

/// What a config is read from.
pub(super) struct Files {
    pub(super) main: Document,
    /// In the order of their names.
    pub(super) included: Vec<Document>,
    /// What is wrong with what is included.
    pub(super) problems: Vec<Problem>,
    /// All of it, and what is read beside it.
    pub(super) watched: RefCell<Watched>,
}

/// What a config was read from, and what may come to belong to it; each as it was just before it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// These files, or whatever stands there.
    files: BTreeMap<PathBuf, Look>,
    /// Any file in these directories.
    directories: BTreeMap<PathBuf, Look>,
    /// How names end that `include` asks for, beside the usual.
    extensions: BTreeSet<String>,
}

/// How something looked: when it was changed last, its size, and which one it was, for two that stood there in turn may
/// have been changed at the same tick of the clock. `None` of what was not there.
type Look = Option<(SystemTime, u64, u64)>;

fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl Watched {
    /// Adds a file or a directory, before it is read.
    pub(super) fn add(&mut self, path: PathBuf) {
        if !path.is_dir() {
            self.files.entry(path).or_insert_with_key(|path| look(path));
            return;
        }
        // A link in a directory may lead to a file elsewhere.
        let within = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in within.filter(|path| path.is_symlink()) {
            self.files.entry(path).or_insert_with_key(|path| look(path));
        }
        self.directories.entry(path).or_insert_with_key(|path| look(path));
    }

    /// A file was changed by ourselves.
    pub(super) fn look_again(&mut self, path: &Path) {
        if let Some(seen) = self.files.get_mut(path) {
            *seen = look(path);
        }
    }

    /// Whether a file of this name belongs to the config, if it is in one of the directories.
    pub fn is_ours(&self, path: &Path) -> bool {
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        extension.is_some_and(|extension| {
            ["toml", "hbs"].contains(&extension.as_str()) || self.extensions.contains(&extension)
        })
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// The directories.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.keys().map(PathBuf::as_path)
    }

    /// Whether anything looks other than it did.
    pub fn is_changed(&self) -> bool {
        self.files.iter().chain(&self.directories).any(|(path, seen)| look(path) != *seen)
    }
}

/// Reads the main file and what it includes. An error is one of the main file.
pub(super) fn read(path: &Path) -> Result<Files, Vec<Problem>> {
    let mut watched = Watched::default();
    watched.add(path.to_owned());
    let shown = path.display().to_string();
    let text = text_file::read_text(path, text_file::MAX_FILE).map_err(|error| {
        let message = format!("cannot read the config file: {error}");
        let help = "name another with `--config FILE`, or start from the `config.toml` that comes with Hookbell";
        vec![Problem::error(message, Place::Named(shown.clone())).help(help)]
    })?;
    let mut main = Document::parse(shown, &text, Overrides::Yes).map_err(|problem| vec![problem])?;
    main.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    main.is_public = is_public(path);
    let (mut included, mut problems) = (vec![], vec![]);
    let found = named(&main, &mut watched, &mut problems);
    // A pattern may mean the config itself.
    for path in found.into_iter().filter(|found| !is_same(found, path)) {
        watched.add(path.clone());
        match read_included(&path) {
            Ok(document) => included.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(Files { main, included, problems, watched: watched.into() })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

/// The files that `include` names, in the order of their names.
fn named(main: &Document, watched: &mut Watched, problems: &mut Vec<Problem>) -> BTreeSet<PathBuf> {
    let notes = Notes::default();
    // What is wrong with the values as a whole is told by whoever builds of them; here, the includes alone count.
    let mut root = Section::root(&notes, main, main.values().unwrap_or_default());
    let mut all = BTreeSet::new();
    for pattern in root.strings("include").unwrap_or_default() {
        let is_pattern = pattern.value.contains(WILD);
        match find(&main.directory, &pattern.value, watched) {
            Ok(found) if found.is_empty() => {
                // A directory may be empty for now.
                let problem = if is_pattern { Problem::warning } else { Problem::error };
                let problem = problem(format!("there is no file `{}`", pattern.value), pattern.place);
                problems.push(problem.help("names are relative to the config file; `*` stands for any"));
            }
            Ok(found) => all.extend(found),
            Err((message, help)) => problems.push(Problem::error(message, pattern.place).help(help)),
        }
    }
    all
}

/// What stands for something else in a pattern of files.
const WILD: [char; 3] = ['*', '?', '['];

/// The files that a pattern means; the directory in which they may come to be is watched.
fn find(directory: &Path, pattern: &str, watched: &mut Watched) -> Result<Vec<PathBuf>, Wrong> {
    let pattern = Path::new(pattern);
    let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(WILD);
    let plain: PathBuf = pattern.components().take_while(is_plain).collect();
    watched.add(here(directory.join(plain)));
    let extension = pattern.extension().map(|extension| extension.to_string_lossy().into_owned());
    watched.extensions.extend(extension);
    // Files may come to be in every directory that is meant, also in one that itself has yet to.
    for parent in pattern.ancestors().skip(1) {
        globbed(directory, parent)?.into_iter().filter(|path| path.is_dir()).for_each(|path| watched.add(here(path)));
    }
    Ok(globbed(directory, pattern)?.into_iter().filter(|path| path.is_file()).collect())
}

/// What is wrong, and the way out.
type Wrong = (String, &'static str);

/// What a pattern means. What cannot be looked into may hold some of it.
fn globbed(directory: &Path, pattern: &Path) -> Result<Vec<PathBuf>, Wrong> {
    let whole = Path::new(&glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).map_err(|error| {
        (format!("`{}` is no pattern of files: {}", pattern.display(), error.msg), "write `routes.d/*.toml`")
    })?;
    let is_there = |path: &Result<PathBuf, glob::GlobError>| {
        path.as_ref().err().is_none_or(|error| error.error().kind() != std::io::ErrorKind::NotFound)
    };
    let paths = paths.filter(is_there).collect::<Result<_, _>>();
    paths.map_err(|error| {
        let message = format!("cannot look into `{}`: {}", error.path().display(), error.error());
        (message, "let the user that Hookbell runs as read it")
    })
}

/// No path at all is where we are.
fn here(path: PathBuf) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

fn read_included(path: &Path) -> Result<Document, Problem> {
    let shown = path.display().to_string();
    let text = text_file::read_text(path, text_file::MAX_FILE).map_err(|error| {
        Problem::error(format!("cannot read an included file: {error}"), Place::Named(shown.clone()))
    })?;
    let mut document = Document::parse(shown, &text, Overrides::No)?;
    document.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    document.is_public = is_public(path);
    Ok(document)
}
