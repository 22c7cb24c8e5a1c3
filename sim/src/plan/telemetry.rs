//! What a gateway records of its traffic, and those who read it.

use serde::{Deserialize, Serialize};

/// Metrics, access log and traces are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Bytes of lines that wait for their reader, per worker.
    pub log_buffer: usize,
    /// Spans that wait for theirs.
    pub span_buffer: usize,
}
