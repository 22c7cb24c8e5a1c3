//! Provider `file`: YAML and TOML from one file or from all files below a directory.
//!
//! Owns the last good state *of each file*: one that cannot be read or parsed keeps its own last good content, and says
//! so; the others stand for themselves. Names that several files give belong to the first in the order of paths.
//!
//! A file may be caught in the middle of being written, so a change is taken over only when two looks in a row find the
//! same and nothing was written between them, [`SETTLE`] apart, each as long as the file says it is; where a file lost its
//! end, or vanished, all looks within [`SETTLE_CUT`] have to agree, on that and on whatever follows. A directory whose files vanish all at once (a volume that is not mounted) keeps everything.
//!
//! Deliberately absent: Go templates, the files that certificates name, and the meaning of anything.

mod merge;
mod scan;

use super::{EventKind, Provider, ProviderError, Sender};
use bytes::Bytes;
use fairlead_core::config::{
    RawDynamic, Rejection, Severity, Tree, decode,
    file::{Format, parse},
    static_::{FilePath, FileProvider as Options},
};
use fairlead_net::{
    fs, task,
    time::{Duration, after, now, sleep, timeout},
};
use scan::{MAX_FILE, Seen};
use std::{
    collections::BTreeMap,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

/// Time between the two looks that have to agree.
pub const SETTLE: Duration = Duration::from_millis(10);

/// The same where a file was cut short or vanished: an editor that writes in place makes it empty first.
pub const SETTLE_CUT: Duration = Duration::from_secs(1);

/// How often a file that was cut short is looked at meanwhile: its end may have come.
const GLANCE: Duration = Duration::from_millis(100);

/// How often a file that is in fault is looked at without word of a change.
const RETRY: Duration = Duration::from_secs(1);

/// Ends every message about a file as a whole.
const KEPT: &str = "; its last good content, if there was any, stays in force";

/// Looks at most, before a file that never rests is taken as it is.
const LOOKS: u32 = 100;

/// The provider. Remembers each file's last good content between runs.
pub struct FileProvider {
    path: FilePath,
    watch: bool,
    seen: Seen,
    files: BTreeMap<PathBuf, File>,
}

/// What is known of one file.
#[derive(Clone, Default)]
struct File {
    good: Option<Arc<Tree>>,
    fault: Option<Rejection>,
}

impl FileProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options) -> Self {
        Self { path: options.path.clone(), watch: options.watch, seen: Seen::default(), files: BTreeMap::new() }
    }

    async fn follow(&mut self, out: &Sender) -> ProviderError {
        let mut first = true;
        loop {
            // The watcher is made before the look, so that no change falls between them.
            let mut watched = match scan::places(&self.path).await {
                Ok(places) => places,
                Err(message) => return ProviderError::new(message),
            };
            let mut watcher = match fs::watch(&watched) {
                Ok(watcher) => watcher,
                Err(e) => return ProviderError::new(format!("{}: cannot be watched: {e}", self.place())),
            };
            loop {
                let changed = match self.look().await {
                    Ok(changed) => changed,
                    Err(message) => return ProviderError::new(message),
                };
                if changed || first {
                    first = false;
                    self.tell(out).await;
                }
                if !self.watch {
                    if self.files.values().all(|f| f.good.is_none() && f.fault.is_some()) && !self.files.is_empty() {
                        return ProviderError::new(format!("{}: nothing in it can be read", self.place()));
                    }
                    return std::future::pending().await;
                }
                let faulty = self.files.values().any(|f| f.fault.is_some());
                let word = match faulty {
                    true => timeout(RETRY, watcher.changed()).await.unwrap_or(Ok(())),
                    false => watcher.changed().await,
                };
                if let Err(e) = word {
                    return ProviderError::new(format!("{}: cannot be watched any longer: {e}", self.place()));
                }
                match scan::places(&self.path).await {
                    Ok(places) if places == watched => {}
                    Ok(places) => {
                        watched = places;
                        break;
                    }
                    Err(message) => return ProviderError::new(message),
                }
            }
            tracing::debug!(places = watched.len(), "the directories to watch changed");
        }
    }

    /// Looks until what is there has settled. Whether it differs from what was known.
    async fn look(&mut self) -> Result<bool, String> {
        let mut now = scan::look(&self.path).await?;
        let mut cut = false;
        for _ in 0..LOOKS {
            if now.says_the_same(&self.seen) {
                return Ok(false);
            }
            // What follows a file that was cut short, and not just read too early, may be the first part of another text.
            let is_cut = now.is_cut_from(&self.seen);
            cut |= is_cut && !now.busy;
            let patience = if cut || is_cut { SETTLE_CUT } else { SETTLE };
            match self.rests(&now, patience).await? {
                Ok(()) => break,
                Err(changed) => now = changed,
            }
        }
        if now.files.is_empty() && self.files.values().filter(|f| f.good.is_some()).count() > 1 {
            return Err(format!(
                "{}: every file vanished at once; what they said stays in force (is the volume mounted? To serve nothing from here, leave one empty .yml file)",
                self.place()
            ));
        }
        self.take(now).await;
        Ok(true)
    }

    /// Whether nothing is written for so long; otherwise what is there instead, as soon as it is found.
    async fn rests(&self, now: &Seen, patience: Duration) -> Result<Result<(), Seen>, String> {
        let until = after(patience);
        while fairlead_net::time::now() < until {
            sleep(patience.min(GLANCE)).await;
            let again = scan::look(&self.path).await?;
            if !now.rests(&again) {
                return Ok(Err(again));
            }
        }
        Ok(Ok(()))
    }

    /// Parses what changed.
    async fn take(&mut self, now: Seen) {
        let mut files = BTreeMap::new();
        for (path, content) in &now.files {
            let known = self.files.remove(path).unwrap_or_default();
            let unchanged = self.seen.files.get(path) == Some(content);
            let file = match content {
                _ if unchanged => known,
                Ok(text) => match read(path.clone(), text.clone()).await {
                    Ok(tree) => File { good: Some(Arc::new(tree)), fault: None },
                    Err(fault) => File { fault: Some(fault), ..known },
                },
                Err(message) => File { fault: Some(fault(path, message.clone(), "")), ..known },
            };
            files.insert(path.clone(), file);
        }
        self.files = files;
        self.seen = now;
    }

    async fn tell(&self, out: &Sender) {
        let faults: Vec<_> = self.files.values().filter_map(|f| f.fault.clone()).collect();
        let good: Vec<_> = self.files.values().filter_map(|f| f.good.clone()).collect();
        let failing = faults.first().map(|first| match faults.len() {
            1 => first.to_string(),
            n => format!("{first}; and {} more", n - 1),
        });
        for fault in &faults {
            tracing::warn!(provider = "file", "{fault}");
        }
        let nothing_good = good.is_empty() && failing.is_some();
        if !nothing_good {
            let place = self.place().to_owned();
            let single = matches!(self.path, FilePath::File(_));
            let decoded = task::spawn_blocking(move || assemble(&place, single, good)).await;
            match decoded {
                Ok((raw, rejections)) => {
                    let rejections = faults.into_iter().chain(rejections).collect();
                    out.send(EventKind::Configuration { raw, rejections, revision: self.seen.revision() });
                }
                Err(e) => out.send(EventKind::Failing { message: format!("{}: {e}", self.place()), since: now() }),
            }
        }
        if let Some(message) = failing.filter(|_| nothing_good || matches!(self.path, FilePath::File(_))) {
            out.send(EventKind::Failing { message, since: now() });
        }
    }

    fn place(&self) -> &str {
        let (FilePath::File(place) | FilePath::Directory(place)) = &self.path;
        place
    }
}

impl Provider for FileProvider {
    fn name(&self) -> &str {
        "file"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(self.follow(out))
    }
}

/// All files' trees as one configuration; `single` if a file was named rather than a directory.
pub fn assemble(place: &str, single: bool, good: Vec<Arc<Tree>>) -> (RawDynamic, Vec<Rejection>) {
    let (tree, mut rejections) = match (single, good.first()) {
        (true, Some(tree)) => (Tree::clone(tree), Vec::new()),
        _ => merge::merge(place, good.iter().map(|tree| Tree::clone(tree))),
    };
    let (raw, more) = decode(&tree);
    rejections.extend(more);
    (raw, rejections)
}

/// The tree of one file's bytes.
async fn read(path: PathBuf, content: Bytes) -> Result<Tree, Rejection> {
    let told = path.clone();
    let parsed = task::spawn_blocking(move || {
        let format = scan::format(&path).unwrap_or(Format::Yaml);
        let text = match std::str::from_utf8(&content) {
            Ok(text) => text,
            Err(e) => {
                let line = content[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                let told = fault(&path, "is not UTF-8 text".into(), "save the file as UTF-8");
                return Err(Rejection { source: format!("{}:{line}", told.source), ..told });
            }
        };
        parse(text, format, &path.to_string_lossy(), MAX_FILE).map_err(|mut rejection| {
            rejection.message.push_str(KEPT);
            if text.contains("{{") {
                rejection.remedy = "templates (`{{ … }}`) are not supported in files: write out what they would produce".into();
            }
            rejection
        })
    });
    parsed.await.unwrap_or_else(|e| Err(fault(&told, e.to_string(), "please report this file as a defect")))
}

fn fault(path: &Path, message: String, remedy: &str) -> Rejection {
    Rejection {
        severity: Severity::Error,
        source: path.to_string_lossy().into_owned(),
        key: String::new(),
        message: message + KEPT,
        remedy: remedy.to_owned(),
    }
}

impl Seen {
    /// A digest of all paths and contents.
    fn revision(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.files.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

#[cfg(all(test, not(madsim)))]
mod tests;
