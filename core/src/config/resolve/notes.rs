//! What is found wrong while one unit is built, and remedies for names that are not found.

use crate::{
    Name,
    config::{Rejection, Severity, Tree, decode::nearest},
};
use std::cell::Cell;

/// Collects what is wrong with one unit.
pub(super) struct Notes<'a> {
    pub(super) tree: &'a Tree,
    rejections: Vec<Rejection>,
    failed: bool,
}

impl<'a> Notes<'a> {
    pub(super) fn new(tree: &'a Tree, rejections: Vec<Rejection>) -> Self {
        let failed = rejections.iter().any(|rejection| rejection.severity == Severity::Error);
        Self { tree, rejections, failed }
    }

    /// The unit is not served as it is written.
    pub(super) fn error(&mut self, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.failed = true;
        self.rejections.push(self.tree.reject_at(Severity::Error, path, message, remedy));
    }

    /// The unit is served, with something ignored.
    pub(super) fn warning(&mut self, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.rejections.push(self.tree.reject_at(Severity::Warning, path, message, remedy));
    }

    /// The unit, if nothing was wrong.
    pub(super) fn done<T>(self, unit: Option<T>) -> (Option<T>, Vec<Rejection>) {
        (unit.filter(|_| !self.failed), self.rejections)
    }
}

/// Suggestions, of which there is a bounded number: a configuration with ten thousand dangling names must not cost their square.
#[derive(Debug)]
pub(super) struct Hints {
    left: Cell<u32>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { left: Cell::new(50) }
    }
}

impl Hints {
    /// What to do about a name that is not there.
    pub(super) fn for_name(&self, missing: &Name, known: &[Name]) -> String {
        let declare = || format!("declare `{}`, or correct the name", missing.local());
        let Some(left) = self.left.get().checked_sub(1) else { return declare() };
        self.left.set(left);
        if known.contains(missing) {
            return "it is declared, but not served: see its own rejection".to_owned();
        }
        let elsewhere = known.iter().find(|name| name.local() == missing.local() && *name != missing);
        if let Some(name) = elsewhere {
            return format!("did you mean `{name}`? A name without `@` belongs to the provider that uses it");
        }
        match nearest(missing.as_str(), known.iter().map(Name::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => declare(),
        }
    }
}
