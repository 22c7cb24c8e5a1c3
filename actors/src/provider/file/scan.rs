//! One look at the files: their bytes, bounded in number, depth and size.

use bytes::Bytes;
use fairlead_core::config::{file::Format, static_::FilePath};
use fairlead_net::fs;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Bytes of one file.
pub(super) const MAX_FILE: usize = 16 << 20;

/// Bytes of all files together.
const MAX_ALL: usize = 128 << 20;

/// Files below the directory.
const MAX_FILES: usize = 10_000;

/// Directories within directories; also what ends a loop of links.
const MAX_DEPTH: usize = 16;

/// What was found: bytes, or why there are none. Paths in the order of their components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub files: BTreeMap<PathBuf, Result<Bytes, String>>,
    /// A file changed while it was read: another look is due.
    pub busy: bool,
    /// When each file was last written to, as the file system says.
    written: BTreeMap<PathBuf, SystemTime>,
}

impl Seen {
    /// Whether the same is in the files.
    pub(super) fn says_the_same(&self, other: &Seen) -> bool {
        self.files == other.files
    }

    /// Whether nothing was written between the two looks: the same bytes twice may be two writers that had come as far.
    pub(super) fn rests(&self, again: &Seen) -> bool {
        self == again && !again.busy
    }

    /// Whether a file lost its end, or vanished: it may just be in the middle of being written.
    pub(super) fn is_cut_from(&self, before: &Seen) -> bool {
        before.files.iter().any(|(path, old)| {
            let Ok(old) = old else { return false };
            match self.files.get(path) {
                None => true,
                Some(Ok(new)) => new.len() < old.len() && old.starts_with(new),
                Some(Err(_)) => false,
            }
        })
    }
}

/// The language of a file, by its name.
pub(super) fn format(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "yml" | "yaml" => Some(Format::Yaml),
        "toml" => Some(Format::Toml),
        _ => None,
    }
}

/// What to watch: the file, or the directory and those below it.
pub(super) async fn places(path: &FilePath) -> Result<Vec<PathBuf>, String> {
    match path {
        FilePath::File(file) => Ok(vec![file.into()]),
        FilePath::Directory(root) => Ok(walk(Path::new(root)).await?.0),
    }
}

/// The bytes of every file. An error is one of the whole: nothing can be said of any file.
pub(super) async fn look(path: &FilePath) -> Result<Seen, String> {
    let paths = match path {
        FilePath::File(file) => {
            let file = PathBuf::from(file);
            if format(&file).is_none() {
                return Err(format!("{}: is neither YAML nor TOML by its name (name it .yml, .yaml or .toml)", file.display()));
            }
            vec![file]
        }
        FilePath::Directory(root) => walk(Path::new(root)).await?.1,
    };
    let mut seen = Seen::default();
    let mut left = MAX_ALL;
    for path in paths {
        let content = read(&path, MAX_FILE.min(left)).await.map(|(content, written)| {
            seen.written.insert(path.clone(), written);
            content
        });
        seen.busy |= content.as_ref().is_err_and(|e| e.kind() == ErrorKind::ResourceBusy);
        let content = content.map_err(|e| format!("cannot be read: {e}"));
        left -= content.as_ref().map_or(0, Bytes::len);
        seen.files.insert(path, content);
    }
    Ok(seen)
}

/// The whole file and when it was written, and not what a writer had got to: its length must be that of what was read.
async fn read(path: &Path, max: usize) -> io::Result<(Bytes, SystemTime)> {
    let content = fs::read(path, max).await?;
    let known = fs::metadata(path).await?;
    if known.len != content.len() as u64 {
        return Err(io::Error::new(ErrorKind::ResourceBusy, "it changed while it was read"));
    }
    Ok((content.into(), known.modified))
}

/// Directories and configuration files, each sorted.
async fn walk(root: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let (mut dirs, mut files) = (Vec::new(), Vec::new());
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((dir, depth)) = open.pop() {
        let names = match fs::read_dir(&dir).await {
            Ok(names) => names,
            Err(e) if depth > 0 && e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(format!("{}: cannot be listed: {e}", dir.display())),
        };
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            let path = dir.join(name);
            match fs::metadata(&path).await {
                Ok(m) if m.is_dir && depth < MAX_DEPTH => open.push((path, depth + 1)),
                Ok(m) if m.is_dir => {
                    return Err(format!("{}: is more than {MAX_DEPTH} directories deep (a loop of links?)", path.display()));
                }
                // A link that leads nowhere is told when it is read.
                _ if format(&path).is_some() => files.push(path),
                _ => {}
            }
            if files.len() > MAX_FILES {
                return Err(format!("{}: has more than {MAX_FILES} files", root.display()));
            }
        }
        dirs.push(dir);
    }
    dirs.sort_unstable();
    files.sort_unstable();
    Ok((dirs, files))
}
