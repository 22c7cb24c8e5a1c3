//! Many seeds of many machines in one process, on threads: core keeps nothing per process.

use super::{Counts, Kind, Report};
use crate::{fleet, oracle::Oracle};
use anyhow::bail;
use std::{
    ops::Range,
    process::ExitCode,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Failures that are printed whole.
const PRINTED: usize = 3;

/// All seeds of one machine.
#[derive(Default)]
struct Tally {
    seeds: u64,
    busy: Duration,
    counts: Counts,
    hash: u64,
    failed: Vec<Report>,
}

/// Plays every seed of every machine, and prints what failed, how fast it went, and what was never met.
///
/// # Errors
/// A thread could not be started.
pub fn sweep(kinds: &[&'static Kind], seeds: Range<u64>, steps: usize, jobs: usize) -> anyhow::Result<ExitCode> {
    let began = fleet::now();
    let tallies = all(kinds, seeds.clone(), steps, jobs, |_| true)?;
    let wall = began.elapsed();
    let mut failed: Vec<&Report> = tallies.iter().flat_map(|tally| &tally.failed).collect();
    failed.sort_by_key(|report| report.seed);
    failed.iter().take(PRINTED).for_each(|report| println!("{report}"));
    let rate = |tally: &Tally| tally.seeds as f64 / tally.busy.as_secs_f64();
    for (kind, tally) in kinds.iter().zip(&tallies) {
        let bad: Vec<_> = tally.failed.iter().take(10).map(|report| format!("{} ({})", report.seed, report.verdict())).collect();
        let (name, counts) = (kind.name, &tally.counts);
        println!(
            "{name:<10} {:>6} seeds, {} failed {}; {:.0} seeds/s per core; {} steps, {} checks ({}); {} of {} transitions; hashes {:016x}",
            tally.seeds,
            tally.failed.len(),
            bad.join(", "),
            rate(tally),
            counts.steps,
            counts.checks.iter().sum::<u64>(),
            oracles(counts),
            counts.reached.count_ones(),
            kind.transitions.len(),
            tally.hash,
        );
        let never = kind.transitions.iter().enumerate().filter(|(at, _)| counts.reached >> at & 1 == 0).map(|(_, name)| *name);
        let never: Vec<_> = never.collect();
        if !never.is_empty() {
            println!("{:<10} never reached: {}", "", never.join("; "));
        }
    }
    let (played, busy) = tallies.iter().fold((0, Duration::ZERO), |(n, busy), tally| (n + tally.seeds, busy + tally.busy));
    println!(
        "seeds {}..{} of {} machines, {steps} steps each: {played} played, {} failed; {:.0} seeds/s per core, {:.1} s on {jobs} threads",
        seeds.start,
        seeds.end,
        kinds.len(),
        failed.len(),
        played as f64 / busy.as_secs_f64(),
        wall.as_secs_f64(),
    );
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn oracles(counts: &Counts) -> String {
    let each = Oracle::ALL.iter().filter(|oracle| counts.checks[**oracle as usize] > 0);
    each.map(|oracle| format!("{} {}", oracle.id(), counts.checks[*oracle as usize])).collect::<Vec<_>>().join(", ")
}

/// The first seed that failed with a planted bug.
pub struct Caught {
    pub seed: u64,
    pub machine: &'static str,
    pub oracle: Oracle,
}

/// Looks for a seed that catches the bug that was planted.
///
/// # Errors
/// A thread could not be started.
pub fn hunt(kinds: &[&'static Kind], seeds: Range<u64>, jobs: usize) -> anyhow::Result<Option<Caught>> {
    let tallies = all(kinds, seeds, super::STEPS, jobs, |report| report.failure.is_none())?;
    let first = tallies.into_iter().flat_map(|tally| tally.failed).min_by_key(|report| report.seed);
    Ok(first.and_then(|report| {
        let oracle = report.failure.as_ref()?.violation.oracle;
        Some(Caught { seed: report.seed, machine: report.machine, oracle })
    }))
}

/// Plays seeds on `jobs` threads for as long as `go_on` says so of each.
fn all(
    kinds: &[&'static Kind],
    seeds: Range<u64>,
    steps: usize,
    jobs: usize,
    go_on: impl Fn(&Report) -> bool + Sync,
) -> anyhow::Result<Vec<Tally>> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let tallies: Mutex<Vec<Tally>> = Mutex::new(kinds.iter().map(|_| Tally::default()).collect());
    let worker = || {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (at, seed) = (number % kinds.len(), seeds.start + (number / kinds.len()) as u64);
            if seed >= seeds.end {
                break;
            }
            let began = on_cpu();
            let report = kinds[at].play(seed, steps);
            let busy = on_cpu().saturating_sub(began);
            if !go_on(&report) {
                stop.store(true, Ordering::Relaxed);
            }
            let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
            let tally = &mut tallies[at];
            tally.seeds += 1;
            tally.busy += busy;
            tally.counts.add(&report.counts);
            // In whatever order they end.
            tally.hash = tally.hash.wrapping_add(report.hash);
            if report.failure.is_some() {
                tally.failed.push(report);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(()) => Ok(()),
            Err(_) => bail!("a thread of the sweep panicked"),
        })
    })?;
    let mut tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    tallies.iter_mut().for_each(|tally| tally.failed.sort_by_key(|report| report.seed));
    Ok(tallies)
}

/// How long this thread has been on a processor, as Linux counts it: what others do on the machine slows no seed. Without that figure,
/// the time of day.
fn on_cpu() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => fleet::now().duration_since(*START.get_or_init(fleet::now)),
    }
}
