//! The files of a host, in memory. They outlive its processes and its power.
//!
//! Directories are there because files are in them. Torn writes are made by writing the pieces one after another
//! ([`Net::write_file`]); torn reads, as of a file being rewritten in place, by [`Net::torn_reads`].

use super::net::{HostId, Net};
use crate::fs::{Metadata, too_large};
use madsim::rand::{Rng, thread_rng};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    task::{Poll, Waker},
    time::SystemTime,
};

#[derive(Default)]
pub(super) struct Files {
    files: BTreeMap<PathBuf, File>,
    torn_reads: f64,
    failing: bool,
    /// Counts the changes; the last change of each path, present or not.
    changes: u64,
    changed: BTreeMap<PathBuf, u64>,
    watchers: Vec<Waker>,
}

struct File {
    data: Vec<u8>,
    modified: SystemTime,
}

impl Net {
    /// Puts content into a file of the host. Whoever watches it is told.
    pub fn write_file(&self, host: HostId, path: impl AsRef<Path>, data: impl AsRef<[u8]>) {
        self.change(host, path.as_ref(), Some(data.as_ref().to_vec()));
    }

    pub fn remove_file(&self, host: HostId, path: impl AsRef<Path>) {
        self.change(host, path.as_ref(), None);
    }

    /// What a file of the host holds.
    pub fn read_file(&self, host: HostId, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.with(|w| w.host(host).files.files.get(path.as_ref()).map(|f| f.data.clone()))
    }

    /// Reads see only the beginning of a file, with this probability.
    pub fn torn_reads(&self, host: HostId, probability: f64) {
        self.with(|w| w.host(host).files.torn_reads = probability);
    }

    /// Reads of this host's files fail with `EIO` from now on, or no longer.
    pub fn failing_disk(&self, host: HostId, failing: bool) {
        self.with(|w| w.host(host).files.failing = failing);
    }

    fn change(&self, host: HostId, path: &Path, data: Option<Vec<u8>>) {
        let modified = SystemTime::now();
        self.with(|w| {
            let files = &mut w.host(host).files;
            match data {
                Some(data) => files.files.insert(path.to_owned(), File { data, modified }),
                None => files.files.remove(path),
            };
            files.changes += 1;
            files.changed.insert(path.to_owned(), files.changes);
            let watchers = std::mem::take(&mut files.watchers);
            w.wakes.extend(watchers);
        });
    }

    fn files<R>(&self, f: impl FnOnce(&mut Files) -> io::Result<R>) -> io::Result<R> {
        self.with(|w| {
            let host = w.caller()?;
            f(&mut w.host(host).files)
        })
    }
}

/// What Linux says of a disk that cannot be read.
const EIO: i32 = 5;

impl Files {
    fn works(&self) -> io::Result<()> {
        if self.failing { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    /// What lies directly below a directory.
    fn entries(&self, dir: &Path) -> BTreeSet<String> {
        let below = self.files.keys().filter_map(|p| p.strip_prefix(dir).ok());
        below.filter_map(|p| Some(p.iter().next()?.to_str()?.to_owned())).collect()
    }

    fn last_change(&self, paths: &[PathBuf]) -> u64 {
        let watched = |p: &Path| paths.iter().any(|w| p == w || p.parent() == Some(w));
        self.changed.iter().filter(|(p, _)| watched(p)).map(|(_, n)| *n).max().unwrap_or(0)
    }
}

pub(crate) async fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    Net::current().files(|files| {
        files.works()?;
        let data = &files.files.get(path).ok_or(ErrorKind::NotFound)?.data;
        if data.len() > max {
            return Err(too_large(path, max));
        }
        let torn = files.torn_reads > 0.0 && !data.is_empty() && thread_rng().gen_bool(files.torn_reads);
        let end = if torn { thread_rng().gen_range(0..data.len()) } else { data.len() };
        Ok(data[..end].to_vec())
    })
}

pub(crate) async fn read_dir(path: &Path) -> io::Result<Vec<String>> {
    Net::current().files(|files| {
        files.works()?;
        let names = files.entries(path);
        match (files.files.contains_key(path), names.is_empty()) {
            (true, _) => Err(ErrorKind::NotADirectory.into()),
            (_, true) => Err(ErrorKind::NotFound.into()),
            _ => Ok(names.into_iter().collect()),
        }
    })
}

pub(crate) async fn metadata(path: &Path) -> io::Result<Metadata> {
    Net::current().files(|files| {
        if let Some(f) = files.files.get(path) {
            return Ok(Metadata { len: f.data.len() as u64, modified: f.modified, is_dir: false });
        }
        let below = files.files.iter().filter(|(p, _)| p.starts_with(path));
        let modified = below.map(|(_, f)| f.modified).max().ok_or(ErrorKind::NotFound)?;
        Ok(Metadata { len: 0, modified, is_dir: true })
    })
}

pub(crate) async fn write_atomic(path: &Path, data: &[u8]) -> io::Result<()> {
    let net = Net::current();
    let host = net.this_host()?;
    net.write_file(host, path, data);
    Ok(())
}

/// Tells of changes to a set of paths.
pub struct Watcher {
    paths: Vec<PathBuf>,
    seen: u64,
}

pub(crate) fn watch(paths: &[PathBuf]) -> io::Result<Watcher> {
    let seen = Net::current().files(|files| Ok(files.last_change(paths)))?;
    Ok(Watcher { paths: paths.to_vec(), seen })
}

impl Watcher {
    /// Waits until something changed since the watcher was made or last told of a change. Loses no change if dropped.
    pub async fn changed(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let last = Net::current().files(|files| {
                let last = files.last_change(&self.paths);
                if last == self.seen && !files.watchers.iter().any(|w| w.will_wake(cx.waker())) {
                    files.watchers.push(cx.waker().clone());
                }
                Ok(last)
            })?;
            if last == self.seen {
                return Poll::Pending;
            }
            self.seen = last;
            Poll::Ready(Ok(()))
        })
        .await
    }
}
