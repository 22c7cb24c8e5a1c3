//! One run: a plan on a fresh thread and a fresh runtime, and what came of it.
//!
//! Owns the verdict: a violation that an oracle found, or a panic, which is one of them. ractor catches panics in actors, as it
//! must in production; here they are counted all the same. The clock of every run begins at an instant of 2022 that follows from
//! the seed.

use crate::{
    oracle::{self, Oracle, Violation},
    plan::Plan,
    world::{self, World},
};
use madsim::runtime::Runtime;
use parking_lot::Mutex;
use std::{
    fmt,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    process::Command,
    sync::Arc,
    time::Duration,
};

/// Virtual time after which a run is hung.
const LIMIT: Duration = Duration::from_secs(3_600);

/// What a run leaves behind.
pub struct Report {
    pub plan: Plan,
    pub violation: Option<Violation>,
    pub hash: u64,
    /// The last event's number.
    pub step: u64,
    pub virtual_ms: u64,
    pub counts: oracle::Counts,
    pub last: Vec<String>,
    /// All lines, if they were asked for.
    pub trace: String,
    planted: Option<String>,
}

type Panics = Arc<Mutex<Vec<String>>>;

/// Runs a plan. `planted` is the bug that this build is to have.
///
/// # Panics
/// If the system has no thread to give.
pub fn run(plan: Plan, whole_trace: bool, planted: Option<&str>) -> Report {
    if let Some(name) = planted {
        crate::planted::choose(name);
    }
    let panics = Panics::default();
    let before = panic::take_hook();
    let heard = panics.clone();
    panic::set_hook(Box::new(move |info| heard.lock().extend(told(info))));
    let world: Arc<Mutex<Option<Arc<World>>>> = Arc::default();
    let thread = {
        let (world, plan) = (world.clone(), plan.clone());
        move || {
            let mut runtime = Runtime::with_seed_and_config(plan.seed, madsim::Config::default());
            runtime.set_time_limit(LIMIT);
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(world::rehearse(plan, whole_trace, |new| *world.lock() = Some(new.clone())))
            }));
            // The world's nodes belong to the runtime, and are let go before it.
            let seen = world.lock().take().map(|world| {
                let trace = world.trace();
                let last: Vec<_> = trace.last().map(str::to_owned).collect();
                (trace.hash(), trace.events(), last, trace.whole().unwrap_or_default().to_owned())
            });
            (outcome.ok(), seen)
        }
    };
    let ended = std::thread::Builder::new().name("run".into()).spawn(thread).expect("a thread for the run").join();
    panic::set_hook(before);
    let (outcome, seen) = ended.unwrap_or((None, None));
    let (hash, step, last, trace) = seen.unwrap_or_default();
    let violation = verdict(outcome.as_ref(), &panics.lock());
    let (virtual_ms, counts) = outcome.map(|outcome| (outcome.virtual_ms, outcome.counts)).unwrap_or_default();
    Report { plan, violation, hash, step, virtual_ms, counts, last, trace, planted: planted.map(str::to_owned) }
}

fn verdict(outcome: Option<&world::Outcome>, panics: &[String]) -> Option<Violation> {
    let panicked = |message: &str| {
        // madsim's words for a world in which nothing can happen any more.
        let hung = message.contains("all tasks will block forever") || message.contains("time limit exceeded");
        let oracle = if hung { Oracle::Liveness } else { Oracle::Panic };
        Violation { oracle, detail: message.to_owned() }
    };
    // A panic comes first: what else was found may follow from it.
    match (panics.first(), outcome) {
        (Some(message), _) => Some(panicked(message)),
        (None, Some(outcome)) => outcome.violation.clone(),
        (None, None) => Some(panicked("the run ended without a verdict")),
    }
}

/// A panic in words, unless the plan ordered it.
fn told(info: &PanicHookInfo<'_>) -> Option<String> {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a panic without a message");
    let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
    (text != "crashed on request").then(|| format!("{text} (at {place})"))
}

impl Report {
    /// As the last line of a run says it.
    pub fn verdict(&self) -> String {
        self.violation.as_ref().map_or_else(|| "pass".to_owned(), |violation| violation.oracle.class().to_string())
    }

    /// The command that runs this again.
    pub fn command(&self) -> String {
        let Plan { scenario, seed, .. } = &self.plan;
        match &self.planted {
            None => format!("cargo sim run {scenario} --seed {seed}"),
            Some(bug) => format!("cargo planted run {scenario} --seed {seed} --planted {bug}"),
        }
    }
}

impl fmt::Display for Report {
    /// What happened last, and the block; one line of figures for a run that passed; and always the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, counts) = (&self.plan, &self.counts);
        if let Some(violation) = &self.violation {
            for line in &self.last {
                writeln!(f, "{line}")?;
            }
            let network = &plan.network;
            writeln!(f, "---- {} ----", violation.oracle.class())?;
            writeln!(f, "class:        {}", violation.oracle.class())?;
            writeln!(f, "scenario:     {}", plan.scenario)?;
            writeln!(f, "seed:         {}", plan.seed)?;
            writeln!(f, "step:         {}", self.step)?;
            writeln!(f, "virtual time: {}.{:03} s", self.virtual_ms / 1000, self.virtual_ms % 1000)?;
            writeln!(f, "commit:       {}", commit())?;
            writeln!(f, "invariant:    {}: {}", violation.oracle.id(), violation.oracle.invariant())?;
            writeln!(f, "              {}", violation.detail)?;
            writeln!(
                f,
                "options:      {:?} source, {} workers, {} members, health check {}, {} services, {} servers, {} clients, {} steps; \
                 latency {}..{} µs, duplicates {}‰, reorder {}, short I/O {}‰, torn reads {}‰",
                plan.gateway.source,
                plan.gateway.workers,
                plan.gateway.members,
                plan.gateway.health_check,
                plan.services,
                plan.servers.len(),
                plan.clients.len(),
                plan.steps.len(),
                network.latency.0,
                network.latency.1,
                network.duplicate,
                network.reorder,
                network.short_io,
                plan.gateway.torn_reads,
            )?;
            writeln!(f, "replay:       {}", self.command())?;
        }
        writeln!(
            f,
            "requests={} answered={} excused={} aborted={} arrivals={} snapshots={} checks={} faults={} events={} virtual-ms={}",
            counts.asked,
            counts.answered,
            counts.excused,
            counts.aborted,
            counts.arrivals,
            counts.snapshots,
            counts.checks,
            plan.faults(),
            self.step,
            self.virtual_ms,
        )?;
        let cells: Vec<_> = counts.cells.iter().map(|(fault, oracle)| format!("{}:{}", fault.id(), oracle.id())).collect();
        writeln!(f, "cells={}", cells.join(","))?;
        writeln!(f, "trace-hash={:016x} verdict={}", self.hash, self.verdict())
    }
}

/// The commit of the tree that this runs in, for a report.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => "unknown".into(),
        Some(hash) if git(&["status", "--porcelain"]).is_some_and(|changed| changed.is_empty()) => hash,
        Some(hash) => format!("{hash} with changes"),
    }
}
