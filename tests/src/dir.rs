//! A directory that lives as long as its test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Removed with its contents when dropped.
pub struct Dir(PathBuf);

impl Dir {
    /// A new, empty directory.
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("fairlead-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary directory takes a directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as text.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Puts a whole file in place, as an operator's tools do: written beside, then renamed.
    pub fn put(&self, name: &str, content: &str) -> String {
        let (path, beside) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        fs::write(&beside, content).expect("the directory is writable");
        fs::rename(&beside, &path).expect("the directory is writable");
        path.display().to_string()
    }

    /// Overwrites a file where it stands, as a careless editor does.
    pub fn overwrite(&self, name: &str, content: &str) {
        fs::write(self.0.join(name), content).expect("the directory is writable");
    }

    /// What a file holds; empty if there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read(self.0.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Default for Dir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {e}", self.0.display());
        }
    }
}
