//! From the access log's buffers to a file or a stream.
//!
//! Owns the only place that may wait for a disk. Deliberately absent: rotation; an external rotator renames the file and
//! asks for it to be opened again.

use super::{Telemetry, outbox::Outbox};
use fairlead_net::{task, time};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Where lines go.
pub trait LogSink: Send + 'static {
    /// Writes a batch of whole lines.
    ///
    /// # Errors
    /// What the disk or the pipe said. The batch is lost and counted.
    fn write(&mut self, batch: &[u8]) -> io::Result<()>;

    /// Opens the destination again, after a rotator has moved it.
    ///
    /// # Errors
    /// The old one stays in use.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output.
#[derive(Debug, Default)]
pub struct StdoutSink;

impl LogSink for StdoutSink {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(batch)?;
        out.flush()
    }
}

/// A file that is appended to.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: File,
}

impl FileSink {
    /// Opens the file, making it and its directory if they are missing.
    ///
    /// # Errors
    /// Permission, or a path that is no file.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = append(&path)?;
        Ok(Self { path, file })
    }
}

impl LogSink for FileSink {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        self.file.write_all(batch)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).create(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Memory that others can read: for simulations and tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    lines: Arc<parking_lot::Mutex<Vec<u8>>>,
}

impl MemorySink {
    /// What was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.lock()).into_owned()
    }
}

impl LogSink for MemorySink {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        self.lines.lock().extend_from_slice(batch);
        Ok(())
    }
}

/// The reading end of the access log. There should be one reader.
pub struct LogDrain {
    lines: Arc<Outbox<u8>>,
    spare: Vec<u8>,
}

impl LogDrain {
    pub(super) fn new(lines: Arc<Outbox<u8>>) -> Self {
        Self { lines, spare: Vec::new() }
    }

    /// Until there may be lines (true), or the log was closed and everything taken (false).
    pub async fn ready(&self) -> bool {
        self.lines.ready().await
    }

    /// Writes what is there. Blocks for as long as the sink does.
    ///
    /// # Errors
    /// The first error of the sink; later batches were tried all the same, and what was lost is counted as dropped.
    pub fn write_to(&mut self, sink: &mut dyn LogSink) -> io::Result<()> {
        let mut outcome = Ok(());
        let lines = Arc::clone(&self.lines);
        self.lines.take(&mut self.spare, |batch| {
            if let Err(e) = sink.write(batch) {
                lines.count_dropped(batch.iter().filter(|b| **b == b'\n').count() as u64);
                if outcome.is_ok() {
                    outcome = Err(e);
                }
            }
        });
        outcome
    }
}

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(20);

/// Says that the access log's file was moved. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reopen {
    asked: Arc<(AtomicBool, Notify)>,
}

impl Reopen {
    /// Has the file opened again before the next line is written.
    pub fn ask(&self) {
        self.asked.0.store(true, Relaxed);
        self.asked.1.notify_one();
    }
}

/// Writes lines until the log is closed and the last is written. Writing happens where blocking is allowed.
pub async fn write_logs(telemetry: Telemetry, mut drain: LogDrain, mut sink: Box<dyn LogSink>, reopen: Reopen) {
    let mut failing = false;
    loop {
        let more = tokio::select! {
            biased;
            () = reopen.asked.1.notified() => true,
            more = drain.ready() => more,
        };
        if !more {
            return;
        }
        tokio::select! {
            biased;
            () = drain.lines.closed() => {}
            () = time::sleep(GATHER) => {}
        }
        let again = reopen.asked.0.swap(false, Relaxed);
        let batch = task::spawn_blocking(move || {
            let reopened = if again { sink.reopen() } else { Ok(()) };
            let written = drain.write_to(&mut *sink);
            (drain, sink, reopened, written)
        });
        let reopened;
        let written;
        (drain, sink, reopened, written) = match batch.await {
            Ok(done) => done,
            Err(e) => {
                tracing::error!("the access log ends: its writer failed: {e}");
                return;
            }
        };
        if let Err(e) = reopened {
            tracing::error!("access log: the file could not be opened again, the old one stays in use: {e}");
        }
        match written {
            Ok(()) => failing = false,
            Err(e) => {
                telemetry.process().access_log_write_errors.inc();
                // Once per episode: a full disk must not fill another log.
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!("access log: lines are lost because they cannot be written: {e}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
