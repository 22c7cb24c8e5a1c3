//! `cargo sim core`.

use super::{ALL, Kind, STEPS, named, sweep};
use crate::planted;
use anyhow::{Context as _, bail};
use std::{ops::Range, process::ExitCode};

/// How it is used, for the usage of all.
pub const USAGE: &str = "\
cargo sim core [MACHINE] --seeds A..B [--jobs N]    core's state machines alone: many seeds in one process
cargo sim core MACHINE --seed N                     one seed
          [--steps N] [--trace] [--shrink]          with so many operations (3000); print them; print the fewest that fail alike
          [--planted BUG]                           with a bug (cargo planted)
";

#[derive(Default)]
struct Arguments {
    machines: Vec<&'static Kind>,
    seed: Option<u64>,
    seeds: Option<Range<u64>>,
    steps: usize,
    jobs: usize,
    trace: bool,
    shrink: bool,
}

/// Does what the words after `core` say.
///
/// # Errors
/// They make no sense.
pub fn main(args: &[String]) -> anyhow::Result<ExitCode> {
    let Arguments { machines, seed, seeds, steps, jobs, trace, shrink } = Arguments::read(args)?;
    match (seed, &machines[..]) {
        (None, []) => sweep(&ALL.iter().collect::<Vec<_>>(), seeds.unwrap_or(0..200), steps, jobs),
        (None, machines) => sweep(machines, seeds.unwrap_or(0..200), steps, jobs),
        (Some(seed), [machine]) => {
            let report = if trace { machine.trace(seed, steps) } else { machine.play(seed, steps) };
            if shrink && let Some(shrunk) = (machine.shrink)(seed, steps) {
                print!("{shrunk}");
            }
            print!("{report}");
            Ok(if report.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        (Some(_), _) => bail!("which machine? One of {}", names()),
    }
}

impl Arguments {
    fn read(args: &[String]) -> anyhow::Result<Self> {
        let mut read = Self { steps: STEPS, jobs: 2, ..Self::default() };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg {
                "--seed" => read.seed = Some(value()?.parse().context("--seed wants a number")?),
                "--seeds" => read.seeds = Some(crate::cli::range(value()?)?),
                "--steps" => read.steps = value()?.parse().context("--steps wants a number")?,
                "--jobs" => read.jobs = value()?.parse().context("--jobs wants a number")?,
                "--trace" => read.trace = true,
                "--shrink" => read.shrink = true,
                "--planted" => {
                    let bug = crate::cli::bug(value()?)?;
                    if !planted::BUILT_IN {
                        bail!("this build holds no planted bugs: use `cargo planted core … --planted {}`", bug.name);
                    }
                    planted::choose(bug.name);
                }
                _ if arg.starts_with('-') => bail!("unknown option {arg}"),
                name => {
                    read.machines.push(named(name).with_context(|| format!("there is no machine `{name}`, only {}", names()))?)
                }
            }
        }
        Ok(read)
    }
}

fn names() -> String {
    ALL.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}
