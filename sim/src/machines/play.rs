//! One seed of one machine, and what came of it.

use super::{Counts, Judge, Machine, Plan};
use crate::oracle::{Oracle, Verdict, Violation};
use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// What a seed leaves behind.
#[derive(Clone, Debug)]
pub struct Report {
    pub machine: &'static str,
    pub seed: u64,
    /// Operations drawn.
    pub steps: usize,
    pub failure: Option<Failure>,
    pub counts: Counts,
    /// Of all that core decided.
    pub hash: u64,
    /// Every operation, if it was asked for.
    pub trace: String,
}

/// What did not hold, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The operation's number from 0; the number of operations: after all of them.
    pub step: usize,
    pub operation: String,
    pub violation: Violation,
    pub knobs: String,
}

impl Report {
    /// The command that runs this again.
    pub fn command(&self) -> String {
        let Self { machine, seed, steps, .. } = self;
        let steps = if *steps == super::STEPS { String::new() } else { format!(" --steps {steps}") };
        match crate::planted::chosen() {
            None => format!("cargo sim core {machine} --seed {seed}{steps}"),
            Some(bug) => format!("cargo planted core {machine} --seed {seed}{steps} --planted {bug}"),
        }
    }

    /// `pass`, or the class of the failure.
    pub fn verdict(&self) -> String {
        self.failure.as_ref().map_or_else(|| "pass".to_owned(), |failure| failure.violation.oracle.class().to_string())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace)?;
        if let Some(Failure { step, operation, violation, knobs }) = &self.failure {
            let oracle = violation.oracle;
            writeln!(f, "---- {} ----", oracle.class())?;
            writeln!(f, "class:        {}", oracle.class())?;
            writeln!(f, "machine:      {}", self.machine)?;
            writeln!(f, "seed:         {}", self.seed)?;
            writeln!(f, "step:         {step} of {}: {operation}", self.steps)?;
            writeln!(f, "invariant:    {}: {}", oracle.id(), oracle.invariant())?;
            writeln!(f, "              {}", violation.detail)?;
            writeln!(f, "knobs:        {knobs}")?;
            writeln!(f, "replay:       {} --trace", self.command())?;
            writeln!(f, "shrink:       {} --shrink", self.command())?;
        }
        let checks: u64 = self.counts.checks.iter().sum();
        writeln!(f, "core-hash={:016x} steps={} checks={checks} verdict={}", self.hash, self.counts.steps, self.verdict())
    }
}

thread_local! {
    static PLAYS: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Draws the plan of a seed and carries it out.
pub(super) fn play<M: Machine>(seed: u64, steps: usize, trace: bool) -> Report {
    let plan = Plan::<M>::draw(seed, steps);
    let mut text = trace.then(|| format!("{} {:?}\n", M::NAME, plan.knobs));
    let (failure, judge) = carry_out::<M>(&plan.knobs, &plan.ops, text.as_mut());
    let Judge { counts, hash, .. } = judge;
    Report { machine: M::NAME, seed, steps, failure, counts, hash, trace: text.unwrap_or_default() }
}

/// Carries operations out until one breaks something.
pub(super) fn carry_out<'o, M: Machine>(
    knobs: &M::Knobs,
    ops: impl IntoIterator<Item = &'o M::Op>,
    mut trace: Option<&mut String>,
) -> (Option<Failure>, Judge)
where
    M::Op: 'o,
{
    let mut judge = Judge::new(M::TRANSITIONS);
    let (mut step, mut current) = (0, None);
    let outcome = caught(|| {
        let mut machine = M::new(knobs);
        for op in ops {
            current = Some(op);
            if let Some(trace) = &mut trace {
                // Writing to a string cannot fail.
                _ = writeln!(trace, "{step:>5} {op:?}");
            }
            machine.step(op, &mut judge)?;
            judge.counts.steps += 1;
            step += 1;
        }
        current = None;
        machine.end(&mut judge)
    });
    let failure = outcome.err().map(|violation| Failure {
        step,
        operation: current.map_or_else(|| "after the last operation".to_owned(), |op| format!("{op:?}")),
        violation,
        knobs: format!("{knobs:?}"),
    });
    (failure, judge)
}

/// A panic is a violation like any other.
fn caught(play: impl FnOnce() -> Verdict) -> Verdict {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match PLAYS.get() {
            true => PANIC.set(info.to_string()),
            false => others(info),
        }));
    });
    PLAYS.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(play));
    PLAYS.set(false);
    outcome.unwrap_or_else(|_| Err(Violation { oracle: Oracle::Panic, detail: PANIC.take() }))
}
