//! What is found wrong while the labels of one workload are read.

use crate::{
    config::{Rejection, Severity},
    discovery::Workload,
};

/// Collects it. Every entry names a label, and what to write instead.
#[derive(Debug)]
pub struct Notes {
    source: String,
    rejections: Vec<Rejection>,
    failed: bool,
}

impl Notes {
    pub fn new(workload: &Workload) -> Self {
        Self { source: workload.title(), rejections: Vec::new(), failed: false }
    }

    /// The workload is not served as it asks.
    pub fn error(&mut self, label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.failed = true;
        self.missing(label, message, remedy);
    }

    /// A part of what it asks for is not served.
    pub fn missing(&mut self, label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Error, label, message.into(), remedy.into());
    }

    /// It is served, with something ignored.
    pub fn warning(&mut self, label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Warning, label, message.into(), remedy.into());
    }

    /// Whether something is wrong that it cannot be served with.
    pub fn failed(&self) -> bool {
        self.failed
    }

    pub fn finish(self) -> Vec<Rejection> {
        self.rejections
    }

    fn push(&mut self, severity: Severity, label: &str, message: String, remedy: String) {
        let source = self.source.clone();
        self.rejections.push(Rejection { severity, source, key: label.to_owned(), message, remedy });
    }
}

/// Adds that what was asked for before is still in force.
pub fn say_kept(rejections: &mut [Rejection]) {
    for rejection in rejections.iter_mut().filter(|rejection| rejection.severity == Severity::Error) {
        rejection.message.push_str("; the last good version is still served");
    }
}
