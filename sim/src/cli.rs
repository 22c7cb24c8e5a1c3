//! The command line of `fairlead-sim`.

use crate::{
    fleet, machines,
    plan::Plan,
    planted, run,
    scenario::{self, Scenario},
};
use anyhow::{Context as _, bail};
use std::{ops::Range, path::PathBuf, process::ExitCode};

const USAGE: &str = "\
cargo sim list                                      scenarios, and planted bugs
cargo sim run SCENARIO --seed N                     one seed
          [--trace FILE] [--plan] [--planted BUG]   write all events; print the plan instead of running it; with a bug (cargo planted)
cargo sim replay PLAN [--trace FILE]                a plan from a file, as `--plan` prints it
cargo sim sweep [SCENARIO] --seeds A..B [--jobs N]  many seeds, each in a process of its own
          [--table]                                 with the table of faults and oracles
cargo sim meta [SCENARIO] --seeds A..B [--jobs N]   each seed in two processes: equal traces
cargo planted hunt [BUG] [--seeds A..B] [--jobs N]  the first seed that catches each planted bug
";

/// Reads the arguments and does what they say. 0: all passed, 1: something failed, 64: the arguments make no sense.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((word, rest)) if word == "core" => machines::cli::main(rest),
        _ => Arguments::read(&args).and_then(|arguments| arguments.obey()),
    };
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:#}\n\n{USAGE}{}", machines::cli::USAGE);
            ExitCode::from(64)
        }
    }
}

#[derive(Default)]
struct Arguments {
    words: Vec<String>,
    seed: Option<u64>,
    seeds: Option<Range<u64>>,
    jobs: usize,
    trace: Option<PathBuf>,
    plan: bool,
    table: bool,
    planted: Option<String>,
}

impl Arguments {
    fn read(args: &[String]) -> anyhow::Result<Self> {
        let mut read = Self { jobs: 2, ..Self::default() };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let (name, mut value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let mut value = || value.take().or_else(|| args.next()).with_context(|| format!("{name} needs a value"));
            match name {
                "--seed" => read.seed = Some(value()?.parse().context("--seed wants a number")?),
                "--seeds" => read.seeds = Some(range(value()?)?),
                "--jobs" => read.jobs = value()?.parse().context("--jobs wants a number")?,
                "--trace" => read.trace = Some(value()?.into()),
                "--planted" => read.planted = Some(value()?.to_owned()),
                "--plan" => read.plan = true,
                "--table" => read.table = true,
                _ if name.starts_with('-') => bail!("unknown option {name}"),
                _ => read.words.push(arg.to_owned()),
            }
        }
        Ok(read)
    }

    fn obey(self) -> anyhow::Result<ExitCode> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words[..] {
            ["list"] => {
                scenario::ALL.iter().for_each(|s| println!("{:<20} {}", s.name, s.about));
                println!("\nstate machines of core (cargo sim core):");
                machines::ALL.iter().for_each(|kind| println!("{:<20} {}", kind.name, kind.about));
                println!("\nplanted bugs (cargo planted hunt):");
                planted::BUGS.iter().for_each(|bug| println!("{:<20} {}", bug.name, bug.about));
                Ok(ExitCode::SUCCESS)
            }
            ["run", name] => {
                let plan = named(name)?.plan(self.seed.context("which seed? give --seed N")?);
                if self.plan {
                    println!("{}", plan.to_json());
                    return Ok(ExitCode::SUCCESS);
                }
                self.run(plan)
            }
            ["replay", file] => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
                self.run(Plan::from_json(&text).with_context(|| format!("{file} is no plan"))?)
            }
            ["sweep", ref of @ ..] => fleet::sweep(&chosen(of)?, self.range(200), self.jobs, self.table),
            ["meta", ref of @ ..] => fleet::meta(&chosen(of)?, self.range(20), self.jobs),
            ["hunt", ref of @ ..] => {
                if !planted::BUILT_IN {
                    bail!("this build holds no planted bugs: use `cargo planted hunt`");
                }
                let bugs = match of {
                    [] => planted::BUGS.iter().collect(),
                    names => names.iter().map(|name| bug(name)).collect::<anyhow::Result<Vec<_>>>()?,
                };
                fleet::hunt(&bugs, self.range(200), self.jobs)
            }
            [] => bail!("what is to be done?"),
            _ => bail!("this makes no sense: {}", words.join(" ")),
        }
    }

    fn run(&self, plan: Plan) -> anyhow::Result<ExitCode> {
        if let Some(name) = &self.planted {
            bug(name)?;
            if !planted::BUILT_IN {
                bail!("this build holds no planted bugs: use `cargo planted run … --planted {name}`");
            }
        }
        log();
        let report = run::run(plan, self.trace.is_some(), self.planted.as_deref());
        if let Some(file) = &self.trace {
            std::fs::write(file, &report.trace).with_context(|| format!("cannot write {}", file.display()))?;
        }
        print!("{report}");
        Ok(if report.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn range(&self, default: u64) -> Range<u64> {
        self.seeds.clone().unwrap_or(0..default)
    }
}

pub(crate) fn range(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").with_context(|| format!("`{text}` is no range: write A..B"))?;
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number"));
    Ok(number(from)?..number(to)?)
}

fn named(name: &str) -> anyhow::Result<&'static Scenario> {
    scenario::named(name).with_context(|| {
        let known: Vec<_> = scenario::ALL.iter().map(|s| s.name).collect();
        format!("there is no scenario `{name}`, only {}", known.join(", "))
    })
}

pub(crate) fn bug(name: &str) -> anyhow::Result<&'static planted::Bug> {
    planted::named(name).with_context(|| format!("there is no planted bug `{name}`: see `cargo sim list`"))
}

fn chosen(of: &[&str]) -> anyhow::Result<Vec<&'static Scenario>> {
    match of {
        [] => Ok(scenario::ALL.iter().collect()),
        names => names.iter().map(|name| named(name)).collect(),
    }
}

/// The product's own log, if `FAIRLEAD_LOG` asks for it, on standard error: it is no part of the trace.
fn log() {
    if let Ok(filter) = std::env::var("FAIRLEAD_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
}
