//! What one label language makes of workloads, on its way to the whole.

use crate::config::{RawDynamic, Rejection};
use std::sync::Arc;

/// What one language makes of one workload's labels, or of several workloads that it sees as one thing.
///
/// What is wrong with a unit travels with it in `raw`; `rejections` belong to none, and are reported as long as this reading counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub raw: RawDynamic,
    pub rejections: Vec<Rejection>,
}

/// A reading and whose it is: its units have the names that they claim by the age of that workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// [`super::Workload::id`]; of several workloads, the oldest.
    pub owner: String,
    /// Shared with the last call where nothing changed.
    pub reading: Arc<Reading>,
}

impl From<(RawDynamic, Vec<Rejection>)> for Reading {
    /// As [`super::Draft::finish`] hands it out.
    fn from((raw, rejections): (RawDynamic, Vec<Rejection>)) -> Self {
        Self { raw, rejections }
    }
}
