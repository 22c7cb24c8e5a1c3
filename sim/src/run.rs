//! One run: a plan on a fresh thread and a fresh runtime, and what came of it.
//!
//! Owns the verdict: a violation that an oracle found, or a panic, which is one of them. ractor catches panics in actors, as it
//! must in production; here they are counted all the same. The clock of every run begins at an instant of 2022 that follows from
//! the seed.

use crate::{
    oracle::{self, Oracle, Violation},
    plan::Plan,
    trace::{Keep, Marked},
    words,
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

/// How a run is done, beside its plan.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub keep: Keep,
    /// The bug that this build is to have.
    pub planted: Option<String>,
    /// The file that the plan came from; else its seed drew it.
    pub file: Option<String>,
}

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
    /// What they mean, if it was asked for.
    pub marks: Vec<Marked>,
    /// All packets as a pcap file, if they were asked for.
    pub packets: Vec<u8>,
    order: Order,
}

/// What is taken out of a world before it ends.
#[derive(Default)]
struct Seen {
    hash: u64,
    step: u64,
    last: Vec<String>,
    trace: String,
    marks: Vec<Marked>,
    packets: Vec<u8>,
}

/// Characters of a line of the block.
const WIDTH: usize = 110;

type Panics = Arc<Mutex<Vec<String>>>;

/// Runs a plan.
///
/// # Panics
/// If the system has no thread to give.
pub fn run(plan: Plan, order: Order) -> Report {
    if let Some(name) = &order.planted {
        crate::planted::choose(name);
    }
    let panics = Panics::default();
    let before = panic::take_hook();
    let heard = panics.clone();
    panic::set_hook(Box::new(move |info| heard.lock().extend(told(info))));
    let world: Arc<Mutex<Option<Arc<World>>>> = Arc::default();
    let thread = {
        let (world, plan, keep) = (world.clone(), plan.clone(), order.keep);
        move || {
            let mut runtime = Runtime::with_seed_and_config(plan.seed, madsim::Config::default());
            runtime.set_time_limit(LIMIT);
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(world::rehearse(plan, keep, |new| *world.lock() = Some(new.clone())))
            }));
            // The world's nodes belong to the runtime, and are let go before it.
            let seen = world.lock().take().map(|world| seen(&world));
            (outcome.ok(), seen)
        }
    };
    let ended = std::thread::Builder::new().name("run".into()).spawn(thread).expect("a thread for the run").join();
    panic::set_hook(before);
    let (outcome, seen) = ended.unwrap_or((None, None));
    let Seen { hash, step, last, trace, marks, packets } = seen.unwrap_or_default();
    let violation = verdict(outcome.as_ref(), &panics.lock());
    let (virtual_ms, counts) = outcome.map(|outcome| (outcome.virtual_ms, outcome.counts)).unwrap_or_default();
    Report { plan, violation, hash, step, virtual_ms, counts, last, trace, marks, packets, order }
}

fn seen(world: &World) -> Seen {
    let packets = world.packets();
    let trace = world.trace();
    Seen {
        hash: trace.hash(),
        step: trace.events(),
        last: trace.last().map(str::to_owned).collect(),
        trace: trace.whole().unwrap_or_default().to_owned(),
        marks: trace.marks().to_vec(),
        packets,
    }
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
        let what = match &self.order.file {
            Some(file) => format!("replay {file}"),
            None => format!("run {} --seed {}", self.plan.scenario, self.plan.seed),
        };
        match &self.order.planted {
            None => format!("cargo sim {what}"),
            Some(bug) => format!("cargo planted {what} --planted {bug}"),
        }
    }

    /// Class, oracle, place, and how to see it again.
    fn block(&self, violation: &Violation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let oracle = violation.oracle;
        writeln!(f, "---- {} ----", oracle.class())?;
        writeln!(f, "class:        {}", oracle.class())?;
        writeln!(f, "scenario:     {}", self.plan.scenario)?;
        writeln!(f, "seed:         {}", self.plan.seed)?;
        writeln!(f, "step:         {}", self.step)?;
        writeln!(f, "virtual time: {}.{:03} s", self.virtual_ms / 1000, self.virtual_ms % 1000)?;
        writeln!(f, "commit:       {}", commit())?;
        writeln!(f, "invariant:    {}: {}", oracle.id(), oracle.invariant())?;
        writeln!(f, "              {}", violation.detail)?;
        let faults = match words::faults(&self.plan) {
            none if none.is_empty() => vec!["none among the steps".to_owned()],
            faults => faults,
        };
        for (name, lines) in [
            ("options:", words::wrapped(&words::options(&self.plan), "", WIDTH)),
            ("faults:", words::wrapped(&faults, ",", WIDTH)),
        ] {
            for (n, line) in lines.iter().enumerate() {
                writeln!(f, "{:<13} {line}", if n == 0 { name } else { "" })?;
            }
        }
        writeln!(f, "replay:       {}", self.command())
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
            self.block(violation, f)?;
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
