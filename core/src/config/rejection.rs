//! What was refused, in words for the person who wrote it.

use std::fmt;

/// Whether the unit is served at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Served, with something in it ignored.
    Warning,
    /// Not served as written: its last good version stays, if there was one.
    Error,
}

/// One refused unit or value. Never decides for any other unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub severity: Severity,
    /// Where it was written: a file, a KV prefix, a service's labels, `flag`, `environment`.
    pub source: String,
    /// The key in the source's own spelling, down to the offending value.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.source, self.key, self.message)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}
