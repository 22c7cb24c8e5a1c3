//! CPU time and memory of a process and its children, from `/proc`; and the middle of several values.

use fairlead_tests::process::{cpu_seconds, tree};
use std::{fs, time::Instant};

/// The middle value; NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Counts what a process spends from here on.
pub struct Meter {
    id: u32,
    cpu: f64,
    begun: Instant,
}

/// What it spent, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub cpu: f64,
    pub wall: f64,
}

impl Meter {
    /// Begins.
    pub fn start(id: u32) -> Self {
        Self { id, cpu: cpu_seconds(id), begun: Instant::now() }
    }

    /// What was spent so far.
    pub fn read(&self) -> Spent {
        Spent { cpu: cpu_seconds(self.id) - self.cpu, wall: self.begun.elapsed().as_secs_f64() }
    }
}

impl Spent {
    /// Microseconds of CPU for each of so many.
    pub fn micros_per(&self, count: u64) -> f64 {
        self.cpu / count.max(1) as f64 * 1e6
    }

    /// So many, a second.
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.wall
    }
}

/// Proportional share of memory in bytes, of a process and its children.
pub fn share(id: u32) -> f64 {
    tree(id).into_iter().map(|id| rollup(id, "Pss:")).sum()
}

/// Resident memory in bytes: the share of all, but no less than what the process itself has, so that pages which it shares with
/// another process of the same binary are not taken off.
pub fn resident(id: u32) -> f64 {
    share(id).max(rollup(id, "Rss:"))
}

fn rollup(id: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    value.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() * 1024.0
}

/// Descriptors that this process, and each that it starts, may have open.
pub fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let id = std::process::id();
        assert!(resident(id) >= share(id) && share(id) > 0.0);
        assert!(descriptors() > 0);
    }
}
