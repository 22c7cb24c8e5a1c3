//! The access log: one line per request, in Traefik's formats, with Fairlead's own fields beside Traefik's.
//!
//! Owns which requests are logged (filters), which fields stand in a line (selection) and the buffers that lines are
//! formatted into. What a client chose is escaped so that it can neither end a line nor a quoted value; credentials are
//! redacted unless an operator names the very header to keep.
//!
//! Deliberately absent: files, rotation, and waiting. The writer takes whole buffers; when they are full, lines are
//! dropped and counted.

mod clf;
mod escape;
mod json;
mod select;
mod stamp;

use select::Selection;
pub use select::{FieldMode, HeaderMode, StatusRange};
pub(crate) use stamp::rfc3339;

use super::{Record, outbox::Outbox, trace::Ids, writer::LogDrain};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The Common Log Format with Traefik's additions.
    #[default]
    Common,
    /// The same up to and including the user agent.
    GenericClf,
    /// One JSON object per line, keys sorted.
    Json,
}

/// What is logged, and how. Traefik's options.
#[derive(Clone, Debug)]
pub struct AccessLogOptions {
    pub format: LogFormat,
    /// A request is logged when one of the three filters holds, or when none is set.
    pub status_codes: Vec<StatusRange>,
    pub retry_attempts: bool,
    /// Zero: not set.
    pub min_duration: Duration,
    pub default_mode: FieldMode,
    /// By field name, case-insensitive.
    pub names: BTreeMap<String, FieldMode>,
    pub header_default_mode: HeaderMode,
    /// By header name, case-insensitive.
    pub headers: BTreeMap<String, HeaderMode>,
    /// `Drop` leaves the query out of `RequestPath`.
    pub query_parameters: FieldMode,
    /// Also requests to `…@internal` services.
    pub internals: bool,
    /// Bytes of lines that wait for the writer, per worker.
    pub buffer: usize,
}

impl Default for AccessLogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Common,
            status_codes: Vec::new(),
            retry_attempts: false,
            min_duration: Duration::ZERO,
            default_mode: FieldMode::Keep,
            names: BTreeMap::new(),
            header_default_mode: HeaderMode::Drop,
            headers: BTreeMap::new(),
            query_parameters: FieldMode::Keep,
            internals: false,
            buffer: 4 << 20,
        }
    }
}

pub(super) struct AccessLog {
    format: LogFormat,
    status_codes: Vec<StatusRange>,
    retry_attempts: bool,
    min_duration: Duration,
    internals: bool,
    selection: Selection,
    lines: Arc<Outbox<u8>>,
    /// Requests logged since the start: `RequestCount`.
    count: AtomicU64,
}

impl AccessLog {
    pub(super) fn new(options: AccessLogOptions, shards: usize) -> Self {
        Self {
            selection: Selection::new(&options),
            format: options.format,
            status_codes: options.status_codes,
            retry_attempts: options.retry_attempts,
            min_duration: options.min_duration,
            internals: options.internals,
            lines: Arc::new(Outbox::new(shards, options.buffer)),
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn record(&self, shard: usize, record: &Record<'_>, ids: Option<Ids>) {
        if !self.wants(record) {
            return;
        }
        let count = self.count.fetch_add(1, Relaxed) + 1;
        self.lines.put(shard, |line| self.format(line, record, count, ids));
    }

    fn format(&self, line: &mut Vec<u8>, record: &Record<'_>, count: u64, ids: Option<Ids>) {
        match self.format {
            LogFormat::Common => clf::write(line, record, &self.selection, Some(count)),
            LogFormat::GenericClf => clf::write(line, record, &self.selection, None),
            LogFormat::Json => json::write(line, record, &self.selection, count, ids),
        }
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        if record.is_internal() && !self.internals {
            return false;
        }
        let unfiltered = self.status_codes.is_empty() && !self.retry_attempts && self.min_duration.is_zero();
        unfiltered
            || self.status_codes.iter().any(|range| range.contains(record.status))
            || self.retry_attempts && record.retries() > 0
            || !self.min_duration.is_zero() && record.total > self.min_duration
    }

    pub(super) fn drain(&self) -> LogDrain {
        LogDrain::new(Arc::clone(&self.lines))
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    pub(super) fn close(&self) {
        self.lines.close();
    }
}

#[cfg(test)]
mod tests;
