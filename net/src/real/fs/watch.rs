//! Word of changes: inotify on the parents of what is watched, and a look every few seconds.
//!
//! The parent is watched because an editor replaces a file by a rename, which a watch on the file itself would not
//! survive. Kubernetes swaps a symbolic link (`..data`) beside the file: its parent tells of that, too. A link whose
//! far end changes is found by the look.

use super::{Metadata, look, parent};
use crate::{
    fs::POLL_INTERVAL,
    time::{Interval, interval_at, now},
};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

/// Tells of changes to a set of paths.
pub struct Watcher {
    paths: Vec<PathBuf>,
    seen: Picture,
    told: Arc<Told>,
    poll: Interval,
    /// Watched directories: some may be absent, or be made anew under the same name.
    dirs: BTreeSet<PathBuf>,
    inner: Option<RecommendedWatcher>,
}

#[derive(Default)]
struct Told {
    /// Something moved near a watched path.
    near: Notify,
    /// A watched path itself was touched, even if size and time do not show it.
    touched: AtomicBool,
}

/// What every watched path, and every entry of a watched directory, looked like.
type Picture = BTreeMap<PathBuf, Option<(Metadata, PathBuf)>>;

pub(crate) fn watch(paths: &[PathBuf]) -> io::Result<Watcher> {
    let paths = paths.iter().map(std::path::absolute).collect::<io::Result<Vec<_>>>()?;
    let told = Arc::new(Told::default());
    let (tell, ours) = (told.clone(), paths.clone());
    let inner = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means lost events: look. Reading a file changes nothing.
        if let Ok(event) = &event
            && !event.need_rescan()
        {
            if event.kind.is_access() {
                return;
            }
            let touches = |p: &PathBuf| ours.iter().any(|o| p == o || p.parent() == Some(o));
            tell.touched.fetch_or(event.paths.iter().any(touches), Relaxed);
        }
        tell.near.notify_one();
    });
    let inner = match inner {
        Ok(w) => Some(w),
        Err(e) => {
            tracing::warn!(error = %e, "no word of file changes from the kernel (fs.inotify.max_user_instances?); looking every {POLL_INTERVAL:?}");
            None
        }
    };
    let mut watcher = Watcher {
        paths,
        seen: Picture::new(),
        told,
        poll: interval_at(now() + POLL_INTERVAL, POLL_INTERVAL),
        dirs: BTreeSet::new(),
        inner,
    };
    watcher.attach();
    watcher.seen = picture(&watcher.paths);
    Ok(watcher)
}

impl Watcher {
    /// Waits until something changed since the watcher was made or last told of a change. Loses no change if dropped.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = self.told.near.notified() => {}
                () = self.poll.tick() => {}
            }
            self.attach();
            let touched = self.told.touched.swap(false, Relaxed);
            let paths = self.paths.clone();
            let now = super::blocking(move || Ok(picture(&paths))).await?;
            if touched || now != self.seen {
                self.seen = now;
                return Ok(());
            }
        }
    }

    /// Watches the directories that exist and are not watched yet, and forgets those that are gone.
    fn attach(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        let wanted = self.paths.iter().flat_map(|p| [parent(p), p.clone()]).filter(|p| p.is_dir()).collect::<BTreeSet<_>>();
        for gone in self.dirs.difference(&wanted) {
            if let Err(e) = inner.unwatch(gone) {
                tracing::debug!(path = %gone.display(), error = %e, "was not watched any more");
            }
        }
        self.dirs.retain(|d| wanted.contains(d));
        for dir in wanted {
            if self.dirs.contains(&dir) {
                continue;
            }
            match inner.watch(&dir, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.dirs.insert(dir);
                }
                Err(e) => {
                    tracing::debug!(path = %dir.display(), error = %e, "not watched by the kernel; looking every {POLL_INTERVAL:?}");
                }
            }
        }
    }
}

fn picture(paths: &[PathBuf]) -> Picture {
    let mut seen = Picture::new();
    for path in paths {
        seen.insert(path.clone(), glimpse(path));
        // A directory that cannot be read looks empty here; whoever reads it is told why.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            seen.insert(entry.path(), glimpse(&entry.path()));
        }
    }
    seen
}

/// Size, time and the place where the links lead: a swap of links between equal files is a change as well.
fn glimpse(path: &Path) -> Option<(Metadata, PathBuf)> {
    Some((look(path).ok()?, fs::canonicalize(path).ok()?))
}
