//! The files that make up a config: the main one, and those that it includes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::document::{Document, Overrides};
use super::secret::is_public;
use super::section::{Notes, Section};
use crate::problem::{Place, Problem};

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
}

/// How something looked: when it was changed last, and its size. `None` of what was not there.
type Look = Option<(SystemTime, u64)>;

fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Watched {
    /// Adds a file or a directory, before it is read.
    pub(super) fn add(&mut self, path: PathBuf) {
        let list = if path.is_dir() { &mut self.directories } else { &mut self.files };
        list.entry(path).or_insert_with_key(|path| look(path));
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
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the config file: {error}");
        let help = "name another with `--config FILE`, or start from the `config.toml` that comes with Hookbell";
        vec![Problem::error(message, Place::Named(shown.clone())).help(help)]
    })?;
    let mut main = Document::parse(shown, &text, Overrides::Yes).map_err(|problem| vec![problem])?;
    main.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    main.is_public = is_public(path);
    let (mut included, mut problems) = (vec![], vec![]);
    for path in named(&main, &mut watched, &mut problems) {
        watched.add(path.clone());
        match read_included(&path) {
            Ok(document) => included.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(Files { main, included, problems, watched: watched.into() })
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
            Err(reason) => {
                let message = format!("`{}` is no pattern of files: {reason}", pattern.value);
                problems.push(Problem::error(message, pattern.place).help("write `routes.d/*.toml`"));
            }
        }
    }
    all
}

/// What stands for something else in a pattern of files.
const WILD: [char; 3] = ['*', '?', '['];

/// The files that a pattern means; the directory in which they may come to be is watched.
fn find(directory: &Path, pattern: &str, watched: &mut Watched) -> Result<Vec<PathBuf>, String> {
    let plain = Path::new(pattern).components().take_while(|part| !part.as_os_str().to_string_lossy().contains(WILD));
    let base = directory.join(plain.collect::<PathBuf>());
    watched.add(base);
    let whole = Path::new(&glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).map_err(|error| error.msg.to_owned())?;
    let paths = paths.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

fn read_included(path: &Path) -> Result<Document, Problem> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::error(format!("cannot read an included file: {error}"), Place::Named(shown.clone()))
    })?;
    let mut document = Document::parse(shown, &text, Overrides::No)?;
    document.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    document.is_public = is_public(path);
    Ok(document)
}
