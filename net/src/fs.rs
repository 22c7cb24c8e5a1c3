//! Files: small, bounded reads of configuration and certificates, atomic writes, and word of changes.
//!
//! Reads are bounded by the caller: a file that outgrows its bound is an error, never memory. A change may be told
//! although nothing changed, and several changes may be told as one; it is never left untold for longer than
//! [`POLL_INTERVAL`]. Deliberately absent: file handles, appending (logs), and any judgement about what was read.

pub use crate::arm::fs::Watcher;

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often watched paths are looked at, for file systems that tell of no changes (network mounts, some overlays).
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What is known of a path without reading it. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes; 0 for a directory.
    pub len: u64,
    pub modified: SystemTime,
    pub is_dir: bool,
}

/// The whole file. `FileTooLarge` if it has more than `max` bytes.
pub async fn read(path: impl AsRef<Path>, max: usize) -> io::Result<Vec<u8>> {
    crate::arm::fs::read(path.as_ref(), max).await
}

/// The names in a directory, sorted. Names that are not UTF-8 are left out.
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<String>> {
    crate::arm::fs::read_dir(path.as_ref()).await
}

pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    crate::arm::fs::metadata(path.as_ref()).await
}

/// Whether there is something at `path`; an error other than absence is an error.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Replaces the file so that a reader, or a crash, sees the old content or the new, never a mixture. The file is
/// readable by its owner only.
pub async fn write_atomic(path: impl AsRef<Path>, data: &[u8]) -> io::Result<()> {
    crate::arm::fs::write_atomic(path.as_ref(), data).await
}

/// Watches files and directories (their direct entries), present or not. A file is found changed also if it was
/// replaced by a rename, or if a symbolic link on the way to it was swapped, as Kubernetes does.
pub fn watch(paths: &[PathBuf]) -> io::Result<Watcher> {
    crate::arm::fs::watch(paths)
}

pub(crate) fn too_large(path: &Path, max: usize) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("{} has more than {max} bytes", path.display()))
}
