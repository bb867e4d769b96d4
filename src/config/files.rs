//! The files of a configuration: the main file and the files it includes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::document::{Document, Overrides};
use super::problems::ConfigProblem;
use super::secret::is_public;
use super::section::{Notes, Section};
use crate::problem::{Describe, Place, Problem};
use crate::text_file;

/// The files of a configuration.
pub(super) struct Files {
    pub(super) main: Document,
    /// The included files, sorted by name.
    pub(super) included: Vec<Document>,
    /// Problems with included files.
    pub(super) problems: Vec<Problem>,
    /// All of these files, and the other files that the configuration refers to.
    pub(super) watched: RefCell<Watched>,
}

/// Files and directories that the configuration depends on, including directories where files may appear later. Each
/// has the state it had just before it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Single files; a path may be missing or a link.
    files: BTreeMap<PathBuf, Look>,
    /// Directories whose files all count.
    directories: BTreeMap<PathBuf, Look>,
    /// File extensions from `include`, in addition to `toml` and `hbs`.
    extensions: BTreeSet<String>,
}

/// State of a file: modification time, size and inode. The inode tells a replaced file from the old one if both were
/// changed in the same clock tick. `None` if the file does not exist.
type Look = Option<(SystemTime, u64, u64)>;

fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl Watched {
    /// Adds a file or a directory. Call this before reading it.
    pub(super) fn add(&mut self, path: PathBuf) {
        if !path.is_dir() {
            self.files.entry(path).or_insert_with_key(|path| look(path));
            return;
        }
        // A link in a directory may point to a file elsewhere.
        let within = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in within.filter(|path| path.is_symlink()) {
            self.files.entry(path).or_insert_with_key(|path| look(path));
        }
        self.directories.entry(path).or_insert_with_key(|path| look(path));
    }

    /// Updates the state of a file that Hookbell itself changed.
    pub(super) fn look_again(&mut self, path: &Path) {
        if let Some(seen) = self.files.get_mut(path) {
            *seen = look(path);
        }
    }

    /// Returns true if the configuration uses files with this extension. Applies to files in one of the directories.
    pub fn is_ours(&self, path: &Path) -> bool {
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        extension.is_some_and(|extension| {
            ["toml", "hbs"].contains(&extension.as_str()) || self.extensions.contains(&extension)
        })
    }

    /// The watched files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// The watched directories.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.keys().map(PathBuf::as_path)
    }

    /// Returns true if the state of any file or directory changed.
    pub fn is_changed(&self) -> bool {
        self.files.iter().chain(&self.directories).any(|(path, seen)| look(path) != *seen)
    }
}

/// Reads the main file and the files it includes. An error means that the main file cannot be read.
pub(super) fn read(path: &Path) -> Result<Files, Vec<Problem>> {
    let mut watched = Watched::default();
    watched.add(path.to_owned());
    let shown = path.display().to_string();
    let text = text_file::read_text(path, text_file::MAX_FILE)
        .map_err(|error| vec![ConfigProblem::UnreadableFile(error).at(Place::Named(shown.clone()))])?;
    let mut main = Document::parse(shown, &text, Overrides::Yes).map_err(|problem| vec![problem])?;
    main.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    main.is_public = is_public(path);
    let (mut included, mut problems) = (vec![], vec![]);
    let found = named(&main, &mut watched, &mut problems);
    // A pattern may match the main file itself.
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

/// The files that `include` matches, sorted by name.
fn named(main: &Document, watched: &mut Watched, problems: &mut Vec<Problem>) -> BTreeSet<PathBuf> {
    let notes = Notes::default();
    // The builder reports errors in the values. Here, only `include` matters.
    let mut root = Section::root(&notes, main, main.values().unwrap_or_default());
    let mut all = BTreeSet::new();
    for pattern in root.strings("include").unwrap_or_default() {
        let is_pattern = pattern.value.contains(WILD);
        match find(&main.directory, &pattern.value, watched) {
            Ok(found) if found.is_empty() => {
                // A pattern may match nothing yet.
                let problem =
                    if is_pattern { ConfigProblem::NoFileMatches } else { ConfigProblem::MissingIncludedFile };
                problems.push(problem(pattern.value).at(pattern.place));
            }
            Ok(found) => all.extend(found),
            Err(problem) => problems.push(problem.at(pattern.place)),
        }
    }
    all
}

/// Wildcard characters in a file pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// The files that a pattern matches. The directories where matching files may appear are watched.
fn find(directory: &Path, pattern: &str, watched: &mut Watched) -> Result<Vec<PathBuf>, ConfigProblem> {
    let pattern = Path::new(pattern);
    let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(WILD);
    let plain: PathBuf = pattern.components().take_while(is_plain).collect();
    watched.add(here(directory.join(plain)));
    let extension = pattern.extension().map(|extension| extension.to_string_lossy().into_owned());
    watched.extensions.extend(extension);
    // Files may appear in every matching directory, including directories that do not exist yet.
    for parent in pattern.ancestors().skip(1) {
        globbed(directory, parent)?.into_iter().filter(|path| path.is_dir()).for_each(|path| watched.add(here(path)));
    }
    Ok(globbed(directory, pattern)?.into_iter().filter(|path| path.is_file()).collect())
}

/// The paths that a pattern matches. An unreadable directory is an error, because it may contain matching files.
fn globbed(directory: &Path, pattern: &Path) -> Result<Vec<PathBuf>, ConfigProblem> {
    let whole = Path::new(&glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).map_err(|error| ConfigProblem::InvalidFilePattern {
        pattern: pattern.display().to_string(),
        reason: error.msg,
    })?;
    let is_there = |path: &Result<PathBuf, glob::GlobError>| {
        path.as_ref().err().is_none_or(|error| error.error().kind() != std::io::ErrorKind::NotFound)
    };
    let paths = paths.filter(is_there).collect::<Result<_, _>>();
    paths.map_err(|error| ConfigProblem::UnreadableDirectory { path: error.path().to_owned(), error: error.into() })
}

/// Replaces an empty path by `.`, the current directory.
fn here(path: PathBuf) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

fn read_included(path: &Path) -> Result<Document, Problem> {
    let shown = path.display().to_string();
    let text = text_file::read_text(path, text_file::MAX_FILE)
        .map_err(|error| ConfigProblem::UnreadableIncludedFile(error).at(Place::Named(shown.clone())))?;
    let mut document = Document::parse(shown, &text, Overrides::No)?;
    document.directory = path.parent().unwrap_or(Path::new("")).to_owned();
    document.is_public = is_public(path);
    Ok(document)
}
