//! Watching the files that the configuration was read from.
//!
//! Watches directories, not files: editors replace a file by a new one, and Kubernetes swaps a symbolic link.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::{Event, EventKindMask, RecommendedWatcher, RecursiveMode};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::reload::absolute;
use crate::config::Watched;
use crate::service::health::Health;

/// Time without further changes after which a change is reported, so that several files can be written together.
const QUIET: Duration = Duration::from_millis(100);

/// Maximum time to wait for that.
const MAX_QUIET_WAIT: Duration = Duration::from_secs(2);

/// Events to watch for in a directory. A written file counts only once it is closed: the store's log is usually in the
/// same directory, is written all the time and is never closed. Only Linux reports closed files.
const EVENT_KINDS: EventKindMask = {
    let written = if cfg!(target_os = "linux") { EventKindMask::ACCESS_CLOSE } else { EventKindMask::MODIFY_DATA };
    EventKindMask::CREATE
        .union(EventKindMask::REMOVE)
        .union(EventKindMask::MODIFY_META)
        .union(EventKindMask::MODIFY_NAME)
        .union(written)
};

/// Watched files and directories, as absolute paths.
#[derive(Default)]
struct Interesting {
    /// Files, the symbolic links on the way to them, and the targets of these links.
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    of: Watched,
}

/// Maximum number of links to follow, as in Linux: links may form a cycle.
const MAX_LINKS: usize = 40;

/// Returns a path, every symbolic link on the way to its final target, and the targets of these links: each of them may
/// change. All are given by their real directories, so that no directory is watched under two names, of which events
/// would report only one.
fn with_links(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    let mut followed = 0;
    while let Some(path) = all.get(followed).cloned().filter(|_| followed < MAX_LINKS) {
        followed += 1;
        for link in path.ancestors().filter(|part| part.is_symlink()) {
            let (Ok(target), Some(parent)) = (std::fs::read_link(link), link.parent()) else { continue };
            let led_to = path.strip_prefix(link).map(|rest| parent.join(target).join(rest));
            for path in [Ok(link.to_owned()), led_to].into_iter().flatten() {
                // Joining an empty path appends a `/`.
                let path: PathBuf = path.components().collect();
                if !all.contains(&path) {
                    all.push(path);
                }
            }
        }
    }
    all.iter().map(|path| placed(path)).collect()
}

/// Resolves the directory of a path, if it exists.
fn placed(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
    directory.zip(path.file_name()).map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}

/// Interval between polls, if the system does not report all changes.
const POLL: Duration = Duration::from_secs(2);

/// Returns `true` if a path is a mount point, for example a single file mounted into a container. The system reports
/// changes in its directory, and such a file does not change there.
fn is_mount(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    is_mount_point(&mounts, path)
}

/// Looks up a path in the mounts of a process (<https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>).
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    // Spaces and similar characters are octal escapes.
    let unescaped = |point: &str| {
        let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
        pairs.iter().fold(point.to_owned(), |point, (escape, plain)| point.replace(escape, plain))
    };
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| Path::new(&unescaped(point)) == path)
}

/// Reports file changes.
pub(super) struct Watcher {
    /// `None` if the system cannot watch files.
    watcher: Option<RecommendedWatcher>,
    /// The files are polled, because the system does not report all changes.
    is_polling: bool,
    /// Watched files, to compare when polling.
    files: Watched,
    health: Health,
    directories: BTreeSet<PathBuf>,
    interesting: Arc<RwLock<Interesting>>,
    changed: Arc<Notify>,
}

impl Watcher {
    pub(super) fn new(health: Health) -> Self {
        use notify::Watcher as _;
        let (changed, interesting) = (Arc::new(Notify::new()), Arc::new(RwLock::new(Interesting::default())));
        let (tell, matters) = (changed.clone(), interesting.clone());
        let handle = move |event: notify::Result<Event>| {
            // If events were lost, anything may have changed.
            let is_change = event.map_or(true, |event| {
                let known = matters.read().unwrap_or_else(PoisonError::into_inner);
                event.need_rescan() || is_change(&event, &known)
            });
            if is_change {
                tell.notify_one();
            }
        };
        let watcher = RecommendedWatcher::new(handle, notify::Config::default().with_event_kinds(EVENT_KINDS));
        Self::with(watcher, health, interesting, changed)
    }

    fn with(
        watcher: notify::Result<RecommendedWatcher>,
        health: Health,
        interesting: Arc<RwLock<Interesting>>,
        changed: Arc<Notify>,
    ) -> Self {
        let (watcher, error) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error)),
        };
        let (directories, files) = (BTreeSet::new(), Watched::default());
        let mut new = Self { watcher, is_polling: false, files, health, directories, interesting, changed };
        if let Some(error) = error {
            new.poll(&format!("the system cannot watch files ({error})"));
        }
        new
    }

    /// Polls the files from now on. Logged once.
    fn poll(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_polling, true) {
            tracing::warn!(why, seconds = POLL.as_secs(), "configuration files are polled for changes");
            let seconds = POLL.as_secs();
            self.health.note(format!("configuration files are polled for changes every {seconds} s: {why}"));
        }
    }

    /// Watches these files from now on.
    pub(super) fn watch(&mut self, files: &Watched) {
        use notify::Watcher as _;
        self.files = files.clone();
        let links = |path: &Path| with_links(&absolute(path));
        let (mut wanted, directories) =
            (Interesting { of: files.clone(), ..Interesting::default() }, files.directories());
        for path in directories.flat_map(links) {
            let list = if path.is_symlink() { &mut wanted.files } else { &mut wanted.directories };
            list.insert(path);
        }
        wanted.files.extend(files.files().flat_map(links));
        if let Some(mounted) = wanted.files.iter().find(|path| path.is_file() && is_mount(path)) {
            let why = format!("`{}` is mounted as a single file", mounted.display());
            self.poll(&why);
        }
        let parents = wanted.files.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        let there = parents.chain(wanted.directories.iter().cloned()).filter(|path| path.is_dir());
        let directories: BTreeSet<PathBuf> = there.collect();
        *self.interesting.write().unwrap_or_else(PoisonError::into_inner) = wanted;
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.directories.difference(&directories) {
            let _ = watcher.unwatch(gone);
        }
        // Directories that are already watched are watched again: a different directory may have that name now.
        let mut unwatched = None;
        for directory in &directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                unwatched = Some(format!("`{}` cannot be watched ({error})", directory.display()));
            }
        }
        self.directories = directories;
        if let Some(why) = unwatched {
            self.poll(&why);
        }
    }

    /// Waits until something changes, and then until nothing changes for [`QUIET`].
    pub(super) async fn changed(&mut self) {
        if self.is_polling {
            while timeout(POLL, self.changed.notified()).await.is_err() {
                if self.files.is_changed() {
                    break;
                }
            }
        } else {
            self.changed.notified().await;
        }
        let began = Instant::now();
        while began.elapsed() < MAX_QUIET_WAIT && timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// Returns `true` if an event concerns the configuration. A directory contains other files too, such as the store.
fn is_change(event: &Event, known: &Interesting) -> bool {
    let is_known = |path: &Path| {
        // Other files there do not belong to the configuration. A new directory may later contain files that do.
        let is_ours = known.of.is_ours(path) || path.is_dir();
        let within = is_ours && path.parent().is_some_and(|parent| known.directories.contains(parent));
        // Kubernetes mounts volumes behind a link with this name.
        let swapped = path.file_name().is_some_and(|name| name == "..data");
        // A directory on the path may be replaced.
        let leads_there = known.files.iter().chain(&known.directories).any(|known| known.starts_with(path));
        leads_there || within || swapped
    };
    event.paths.iter().any(|path| is_known(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_mounted_file_is_recognized() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/root rw\n\
                      99 22 254:0 /home/me/config.toml /etc/hook\\040bell/config.toml rw,relatime - ext4 /dev/root rw\n";
        assert!(is_mount_point(mounts, Path::new("/etc/hook bell/config.toml")));
        assert!(!is_mount_point(mounts, Path::new("/etc/hook bell")));
        assert!(!is_mount_point(mounts, Path::new("/home/me/config.toml")));
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_polled_where_the_system_cannot_watch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, "").unwrap();
        let loaded = crate::config::load(&path, crate::config::Secrets::Leave);
        let health = Health::default();
        let watcher = Err(notify::Error::generic("no space left on device"));
        let mut watcher = Watcher::with(watcher, health.clone(), Arc::default(), Arc::default());
        watcher.watch(&loaded.files);
        watcher.poll("logged once");
        let note = "configuration files are polled for changes every 2 s: the system cannot watch files (no space left on device)";
        assert_eq!(health.notes(), [note]);
        assert!(timeout(Duration::from_secs(60), watcher.changed()).await.is_err(), "nothing changed");
        std::fs::write(&path, "# changed").unwrap();
        timeout(Duration::from_secs(60), watcher.changed()).await.unwrap();
    }
}
