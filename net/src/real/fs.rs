//! Files of the operating system, read on tokio's threads for blocking work.

pub use watch::Watcher;
pub(crate) use watch::watch;

use crate::fs::{Metadata, too_large};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

mod watch;

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    super::task::spawn_blocking(f).await.map_err(io::Error::other)?
}

pub(crate) async fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    blocking(move || {
        let mut data = Vec::new();
        File::open(&path)?.take((max as u64).saturating_add(1)).read_to_end(&mut data)?;
        if data.len() > max { Err(too_large(&path, max)) } else { Ok(data) }
    })
    .await
}

pub(crate) async fn read_dir(path: &Path) -> io::Result<Vec<String>> {
    let path = path.to_owned();
    blocking(move || {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    })
    .await
}

pub(crate) async fn metadata(path: &Path) -> io::Result<Metadata> {
    let path = path.to_owned();
    blocking(move || look(&path)).await
}

fn look(path: &Path) -> io::Result<Metadata> {
    let m = fs::metadata(path)?;
    Ok(Metadata { len: if m.is_dir() { 0 } else { m.len() }, modified: m.modified()?, is_dir: m.is_dir() })
}

pub(crate) async fn write_atomic(path: &Path, data: &[u8]) -> io::Result<()> {
    let (path, data) = (path.to_owned(), data.to_owned());
    blocking(move || {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{:016x}", super::random::u64()));
        let written = write_new(&temporary, &data).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // The first error is the one to tell; a file that was never made cannot be removed either.
            fs::remove_file(&temporary).ok();
        }
        written?;
        File::open(parent(&path))?.sync_all()
    })
    .await
}

fn write_new(path: &Path, data: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(data)?;
    file.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    }
}
