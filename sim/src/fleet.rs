//! Many runs, each in a process of its own: what ractor keeps per process, and what a panic leaves, ends with the seed.
//!
//! Owns the sweep, the meta-test (the same seed in two processes) and the hunt for planted bugs.

use crate::{
    coverage::{Mark, Reached},
    machines,
    planted::{self, Bug},
    scenario::{self, Scenario},
};
use anyhow::{Context as _, bail};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// One seed to run.
#[derive(Clone, Debug)]
struct Job {
    scenario: &'static str,
    seed: u64,
    more: Vec<String>,
}

/// What a child printed.
#[derive(Debug)]
struct Done {
    job: Job,
    output: String,
    /// The last line's.
    hash: String,
    verdict: String,
    /// Cells of the table of faults and oracles.
    cells: String,
    figures: BTreeMap<String, u64>,
}

/// Runs of all scenarios that have to reach every cell which must be.
const COVERS: usize = 2_000;

/// Where sweeps leave the plans of seeds that failed, as `SCENARIO-SEED.json`.
pub const FAILURES: &str = "target/sim-failures";

/// Runs every seed of every given scenario; what failed comes first in the summary, and its plan is kept in [`FAILURES`]. With the
/// whole table of faults and oracles, if it is asked for. A sweep of [`COVERS`] runs fails as well if it misses a cell.
///
/// # Errors
/// A child could not be started.
pub fn sweep(scenarios: &[&'static Scenario], seeds: Range<u64>, jobs: usize, table: bool) -> anyhow::Result<ExitCode> {
    let work: Vec<_> = seeds
        .clone()
        .flat_map(|seed| scenarios.iter().map(move |scenario| Job { scenario: scenario.name, seed, more: Vec::new() }))
        .collect();
    let began = now();
    let done = all(&work, jobs, |_| true)?;
    let wall = began.elapsed();
    let total = |figure: &str| done.iter().filter_map(|done| done.figures.get(figure)).sum::<u64>();
    let mut failed: Vec<_> = done.iter().filter(|done| done.verdict != "pass").collect();
    failed.sort_by_key(|done| (done.job.seed, done.job.scenario));
    for done in failed.iter().take(3) {
        println!("{}", done.output);
    }
    for Job { scenario, seed, .. } in failed.iter().map(|done| &done.job) {
        println!("plan of the failure: {}", keep(scenarios, scenario, *seed)?);
    }
    for scenario in scenarios {
        let (of, bad): (Vec<_>, Vec<_>) = (
            done.iter().filter(|d| d.job.scenario == scenario.name).collect(),
            failed.iter().filter(|d| d.job.scenario == scenario.name).collect(),
        );
        let seeds: Vec<_> = bad.iter().take(10).map(|d| format!("{} ({})", d.job.seed, d.verdict)).collect();
        let line = format!("{:<16} {} seeds, {} failed {}", scenario.name, of.len(), bad.len(), seeds.join(", "));
        println!("{}", line.trim_end());
    }
    let mut reached = Reached::default();
    done.iter().for_each(|done| reached.add(&done.cells));
    if table {
        print!("{reached}");
    }
    println!("{}", reached.told(scenarios.len() == scenario::ALL.len()));
    let fold = done.iter().fold(0u64, |sum, d| sum.wrapping_add(u64::from_str_radix(&d.hash, 16).unwrap_or_default()));
    println!(
        "seeds {}..{}: {} runs, {} failed; {:.0} s of virtual time in {:.1} s ({:.0} : 1); {} requests ({} excused, {} aborted), {} arrivals, \
         {} faults, {} snapshots, {} checks; {} jobs; hashes {fold:016x}",
        seeds.start,
        seeds.end,
        done.len(),
        failed.len(),
        total("virtual-ms") as f64 / 1e3,
        wall.as_secs_f64(),
        total("virtual-ms") as f64 / 1e3 / wall.as_secs_f64(),
        total("requests"),
        total("excused"),
        total("aborted"),
        total("arrivals"),
        total("faults"),
        total("snapshots"),
        total("checks"),
        jobs,
    );
    let (_, never) = reached.never(Mark::Must);
    let has_gaps = scenarios.len() == scenario::ALL.len() && done.len() >= COVERS && !never.is_empty();
    if has_gaps {
        println!("so many runs have to reach each cell that must be");
    }
    Ok(if failed.is_empty() && !has_gaps { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Seeds that nobody has tried, so many of them: their range follows from the commit.
///
/// # Errors
/// This is no checkout.
pub fn fresh(count: u64) -> anyhow::Result<Range<u64>> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().context("cannot start git")?;
    let hash = String::from_utf8_lossy(&output.stdout);
    let first =
        hash.get(..10).and_then(|hex| u64::from_str_radix(hex, 16).ok()).context("a fresh range follows from a commit")?;
    Ok(first..first + count)
}

/// The figures that the simulator is held to, measured on one core.
///
/// # Errors
/// A child could not be started.
pub fn figures() -> anyhow::Result<ExitCode> {
    let measured = |name: &'static str, seeds: Range<u64>| -> anyhow::Result<(f64, f64, usize)> {
        let work: Vec<_> = seeds.map(|seed| Job { scenario: name, seed, more: Vec::new() }).collect();
        let began = now();
        let done = all(&work, 1, |_| true)?;
        let wall = began.elapsed().as_secs_f64();
        let failed = done.iter().filter(|done| done.verdict != "pass").count();
        Ok((done.iter().filter_map(|done| done.figures.get("virtual-ms")).sum::<u64>() as f64 / 1e3, wall, failed))
    };
    let (virtual_time, wall, failed) = measured("large", 0..12)?;
    let ratio = virtual_time / wall;
    println!(
        "a world of 3 gateways, 3 managers, 30 backends, 100 clients: {virtual_time:.0} s in {wall:.1} s, {ratio:.0} : 1 (goal 100 : 1), {failed} failed"
    );
    let (virtual_time, wall, broken) = measured("whole", 0..100)?;
    let hourly = 100.0 / wall * 3_600.0;
    println!(
        "whole worlds: 100 seeds in {wall:.1} s of one core, {hourly:.0} an hour (goal 1,500), {:.0} : 1, {broken} failed",
        virtual_time / wall
    );
    let core = Command::new(std::env::current_exe()?).args(["core", "--seeds", "0..200", "--jobs", "1"]).output()?;
    let said = String::from_utf8_lossy(&core.stdout);
    println!("state machines: {} (goal 100 a second)", said.lines().next_back().unwrap_or("no answer"));
    let held = failed + broken == 0 && ratio >= 100.0 && hourly >= 1_500.0 && core.status.success();
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes a seed's plan down. Drawn anew, so that it is there even if the run died without a word.
fn keep(scenarios: &[&'static Scenario], name: &str, seed: u64) -> anyhow::Result<String> {
    let file = format!("{FAILURES}/{name}-{seed}.json");
    std::fs::create_dir_all(FAILURES).with_context(|| format!("cannot make {FAILURES}"))?;
    let plan = scenarios.iter().find(|scenario| scenario.name == name).map(|scenario| scenario.plan(seed).to_json());
    std::fs::write(&file, plan.unwrap_or_default()).with_context(|| format!("cannot write {file}"))?;
    Ok(file)
}

/// Runs each seed in two processes: the traces must be the same to the byte.
///
/// # Errors
/// A child could not be started, or its trace not be read.
pub fn meta(scenarios: &[&'static Scenario], seeds: Range<u64>, jobs: usize) -> anyhow::Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("fairlead-meta-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = |job: &Job, twin: u8| folder.join(format!("{}-{}-{twin}", job.scenario, job.seed));
    let work: Vec<_> = (0..2u8)
        .flat_map(|twin| {
            let file = &file;
            // Seeds go round the scenarios, so that each has its share.
            seeds.clone().map(move |seed| {
                let job = Job { scenario: scenarios[seed as usize % scenarios.len()].name, seed, more: Vec::new() };
                let trace = file(&job, twin).to_string_lossy().into_owned();
                Job { more: vec!["--trace".into(), trace], ..job }
            })
        })
        .collect();
    let done = all(&work, jobs, |_| true)?;
    let mut differ = 0;
    for one in done.iter().filter(|d| d.job.more[1].ends_with("-0")) {
        let twin =
            done.iter().find(|d| (d.job.scenario, d.job.seed) == (one.job.scenario, one.job.seed) && d.job.more != one.job.more);
        let Some(twin) = twin else { bail!("seed {} of {} ran once only", one.job.seed, one.job.scenario) };
        if one.hash != twin.hash {
            differ += 1;
            let place = first_difference(&file(&one.job, 0), &file(&one.job, 1))?;
            println!("{} {}: {} and {}; {place}", one.job.scenario, one.job.seed, one.hash, twin.hash);
        }
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    println!("seeds {}..{} in two processes each: {differ} differ", seeds.start, seeds.end);
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn first_difference(a: &PathBuf, b: &PathBuf) -> anyhow::Result<String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let (a, b) = (read(a)?, read(b)?);
    let (mut first, mut second) = (a.lines(), b.lines());
    for n in 1.. {
        match (first.next(), second.next()) {
            (None, None) => break,
            (one, two) if one == two => {}
            (one, two) => {
                let text = |line: Option<&str>| line.unwrap_or("the end").to_owned();
                return Ok(format!("line {n}:\n  {}\n  {}", text(one), text(two)));
            }
        }
    }
    Ok("the lines are the same, the packets are not".into())
}

/// Looks for the first seed that catches each planted bug.
///
/// # Errors
/// A child could not be started.
pub fn hunt(bugs: &[&Bug], seeds: Range<u64>, jobs: usize) -> anyhow::Result<ExitCode> {
    let mut needed = Vec::new();
    let mut escaped = 0;
    for bug in bugs {
        if let Some(machine) = bug.scenarios.iter().find_map(|name| name.strip_prefix("core:")) {
            planted::choose(bug.name);
            let machine = machines::named(machine).with_context(|| format!("there is no machine `{machine}`"))?;
            if let Some(caught) = machines::hunt(&[machine], seeds.clone(), jobs)? {
                needed.push(caught.seed - seeds.start + 1);
                let (seed, class, id) = (caught.seed, caught.oracle.class(), caught.oracle.id());
                println!("{:<24} caught by seed {seed:>3} of core {} ({class} {id})", bug.name, caught.machine);
            } else {
                escaped += 1;
                println!("{:<24} ESCAPED seeds {}..{}: {}", bug.name, seeds.start, seeds.end, bug.about);
            }
            continue;
        }
        let scenarios: Vec<_> = scenario::ALL.iter().filter(|s| bug.scenarios.contains(&s.name)).collect();
        let work: Vec<_> = seeds
            .clone()
            .flat_map(|seed| {
                let more = vec!["--planted".to_owned(), bug.name.to_owned()];
                scenarios.iter().map(move |s| Job { scenario: s.name, seed, more: more.clone() })
            })
            .collect();
        let done = all(&work, jobs, |done| done.verdict == "pass")?;
        let caught = done.iter().filter(|done| done.verdict != "pass").min_by_key(|done| done.job.seed);
        match caught {
            Some(done) => {
                let oracle = done.output.lines().find_map(|line| line.strip_prefix("invariant:")).unwrap_or_default().trim();
                let oracle = oracle.split(':').next().unwrap_or_default();
                needed.push(done.job.seed - seeds.start + 1);
                println!(
                    "{:<24} caught by seed {:>3} of {} ({} {oracle})",
                    bug.name, done.job.seed, done.job.scenario, done.verdict
                );
            }
            None => {
                escaped += 1;
                println!("{:<24} ESCAPED seeds {}..{}: {}", bug.name, seeds.start, seeds.end, bug.about);
            }
        }
    }
    needed.sort_unstable();
    let (median, most) = (needed.get(needed.len() / 2).copied().unwrap_or_default(), needed.last().copied().unwrap_or_default());
    println!(
        "{} planted bugs, {escaped} escaped; seeds to detect: median {median}, most {most}",
        planted::BUGS.len().min(bugs.len())
    );
    Ok(if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs children, `jobs` at a time, for as long as `go_on` says so of each that ended.
fn all(work: &[Job], jobs: usize, go_on: impl Fn(&Done) -> bool + Sync) -> anyhow::Result<Vec<Done>> {
    let exe = std::env::current_exe().context("where is this binary?")?;
    let (next, stop, done) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    let worker = || -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let Some(job) = work.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let output = Command::new(&exe)
                .args(["run", job.scenario, "--seed", &job.seed.to_string()])
                .args(&job.more)
                .output()
                .with_context(|| format!("cannot start {}", exe.display()))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            let result = Done::read(job.clone(), text);
            if !go_on(&result) {
                stop.store(true, Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker of the fleet panicked")))
    })?;
    Ok(done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

impl Done {
    fn read(job: Job, output: String) -> Self {
        let fields: BTreeMap<_, _> = output.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let last = output.lines().rev().find(|line| line.starts_with("trace-hash=")).unwrap_or_default();
        let of_last = |name: &str| last.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned);
        // A child that died without a word crashed.
        let (hash, verdict) = (of_last("trace-hash=").unwrap_or_default(), of_last("verdict=").unwrap_or_else(|| "crash".into()));
        let figures = fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.parse().ok()?))).collect();
        let cells = fields.get("cells").copied().unwrap_or_default().to_owned();
        Self { job, cells, hash, verdict, figures, output }
    }
}

#[expect(clippy::disallowed_methods, reason = "the fleet runs outside of the simulation, and tells how long that took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
