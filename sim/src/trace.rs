//! What happened, one line per event: virtual time, node, event; and a rolling hash over all lines.
//!
//! Two runs of one plan give the same lines. So nothing here may come from memory addresses, the order of hash maps, thread
//! identifiers, or bytes under TLS. What is kept beyond the last lines is the caller's choice, and changes nothing.

mod mark;

pub use mark::{Mark, Marked, State};

use std::{collections::VecDeque, fmt::Write as _};

/// Lines that a failure prints.
const LAST: usize = 60;

/// What is kept of a run beyond its last lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// All lines.
    pub lines: bool,
    /// What they mean.
    pub marks: bool,
    /// All packets.
    pub packets: bool,
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    last: VecDeque<String>,
    whole: Option<String>,
    marks: Option<Vec<Marked>>,
}

impl Trace {
    /// Nothing yet.
    pub fn new(keep: Keep) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            last: VecDeque::new(),
            whole: keep.lines.then(String::new),
            marks: keep.marks.then(Vec::new),
        }
    }

    /// Adds an event. `micros` is virtual time.
    pub fn add(&mut self, micros: u64, node: &str, event: &str) {
        let mut line = String::with_capacity(32 + event.len());
        // Writing to a String cannot fail.
        let _ = write!(line, "{:>5}.{:06} {node:<10} {event}", micros / 1_000_000, micros % 1_000_000);
        self.fold(line.as_bytes());
        self.events += 1;
        if let Some(whole) = &mut self.whole {
            whole.push_str(&line);
            whole.push('\n');
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Says what happens. `mark` is made only if marks are kept.
    pub fn mark(&mut self, micros: u64, node: &str, mark: impl FnOnce() -> Mark) {
        if let Some(marks) = &mut self.marks {
            marks.push(Marked { at: micros, line: self.events, node: node.to_owned(), mark: mark() });
        }
    }

    /// Mixes something into the hash that is no line: the hash of every packet.
    pub fn seal(&mut self, number: u64) {
        self.fold(&number.to_le_bytes());
    }

    /// Events so far: the step of a run.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The hash of all so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// All lines, if they were kept.
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// All marks, if they were kept.
    pub fn marks(&self) -> &[Marked] {
        self.marks.as_deref().unwrap_or_default()
    }

    fn fold(&mut self, bytes: &[u8]) {
        self.hash = bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    }
}
