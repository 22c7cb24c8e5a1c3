//! The command line of `fairlead-sim`.

use crate::{
    fleet, machines,
    plan::Plan,
    planted, rehearse,
    run::{self, Order, Report},
    scenario::{self, Scenario},
    shrink, timeline,
    trace::Keep,
};
use anyhow::{Context as _, bail};
use std::{ops::Range, path::PathBuf, process::ExitCode};

const USAGE: &str = "\
cargo sim list                                      scenarios, and planted bugs
cargo sim run SCENARIO --seed N                     one seed
          [--plan] [--planted BUG]                  print the plan instead of running it; with a bug (cargo planted)
          [--trace FILE] [--pcap FILE]              write all events, all packets
          [--timeline FILE]                         write the run as a page to look at
          [--save FILE]                             write the plan if it fails
cargo sim replay PLAN                               a plan from a file, as `--plan` prints it; with the options of `run`
cargo sim shrink PLAN | SCENARIO --seed N           make a failing plan small: steps, clients, requests, knobs, magnitudes
          [--out FILE] [--planted BUG] [--jobs N]
          [--tries N] [--minutes N]                 at most so many runs, and so long (2000, 10)
cargo sim sweep [SCENARIO] --seeds A..B [--jobs N]  many seeds, each in a process of its own
          [--table]                                 with the table of faults and oracles
cargo sim sweep [SCENARIO] --fresh N                N seeds that nobody has tried: they follow from the commit
cargo sim figures                                   how fast worlds and state machines are on this machine
cargo sim meta [SCENARIO] --seeds A..B [--jobs N]   each seed in two processes: equal traces
cargo sim rehearse --configFile FILE …              your own configuration in the simulated world; --help says more
cargo sim help                                      this
cargo planted hunt [BUG] [--seeds A..B] [--jobs N]  the first seed that catches each planted bug
";

/// Reads the arguments and does what they say. 0: all passed, 1: something failed, 64: the arguments make no sense.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("rehearse", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return rehearse::main(rest);
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") || args == ["help"] {
        print!("{USAGE}{}", machines::cli::USAGE);
        return ExitCode::SUCCESS;
    }
    let outcome = match args.split_first() {
        Some((word, rest)) if word == "core" => machines::cli::main(rest),
        _ => Arguments::read(&args).and_then(|arguments| arguments.obey()),
    };
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:#}\n`cargo sim help` lists the commands and their options");
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
    pcap: Option<PathBuf>,
    timeline: Option<PathBuf>,
    save: Option<PathBuf>,
    out: Option<PathBuf>,
    tries: u64,
    minutes: u64,
    plan: bool,
    table: bool,
    planted: Option<String>,
}

impl Arguments {
    fn read(args: &[String]) -> anyhow::Result<Self> {
        let mut read = Self { jobs: 2, tries: 2_000, minutes: 10, ..Self::default() };
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
                "--fresh" => read.seeds = Some(fleet::fresh(value()?.parse().context("--fresh wants a number")?)?),
                "--jobs" => read.jobs = value()?.parse().context("--jobs wants a number")?,
                "--trace" => read.trace = Some(value()?.into()),
                "--pcap" => read.pcap = Some(value()?.into()),
                "--out" => read.out = Some(value()?.into()),
                "--tries" => read.tries = value()?.parse().context("--tries wants a number")?,
                "--minutes" => read.minutes = value()?.parse().context("--minutes wants a number")?,
                "--timeline" => read.timeline = Some(value()?.into()),
                "--save" => read.save = Some(value()?.into()),
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
                scenario::ALL.iter().for_each(|s| println!("{:<24} {}", s.name, s.about));
                println!("\nstate machines of core (cargo sim core):");
                machines::ALL.iter().for_each(|kind| println!("{:<24} {}", kind.name, kind.about));
                println!("\nplanted bugs (cargo planted hunt):");
                planted::BUGS.iter().for_each(|bug| println!("{:<24} {}", bug.name, bug.about));
                Ok(ExitCode::SUCCESS)
            }
            ["run", name] => {
                let plan = named(name)?.plan(self.seed.context("which seed? give --seed N")?);
                if self.plan {
                    println!("{}", plan.to_json());
                    return Ok(ExitCode::SUCCESS);
                }
                self.run(plan, None)
            }
            ["replay", file] => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
                if rehearse::replays(&text) {
                    let path = |option: &str, file: &PathBuf| [option.to_owned(), file.display().to_string()];
                    let mut args = path("--replay", &file.into()).to_vec();
                    args.extend(self.trace.iter().flat_map(|file| path("--trace", file)));
                    args.extend(self.pcap.iter().flat_map(|file| path("--pcap", file)));
                    return Ok(rehearse::main(&args));
                }
                self.run(stored(file)?, Some(file.to_owned()))
            }
            ["shrink", what] => self.shrink(what),
            ["sweep", ref of @ ..] => fleet::sweep(&chosen(of)?, self.range(200), self.jobs, self.table),
            ["figures"] => fleet::figures(),
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

    fn run(&self, plan: Plan, file: Option<String>) -> anyhow::Result<ExitCode> {
        self.check_planted()?;
        log();
        let marks = self.timeline.is_some();
        let keep = Keep { lines: marks || self.trace.is_some(), marks, packets: self.pcap.is_some() };
        let report = run::run(plan, Order { keep, planted: self.planted.clone(), file });
        self.write(&report)?;
        print!("{report}");
        Ok(if report.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn shrink(&self, what: &str) -> anyhow::Result<ExitCode> {
        self.check_planted()?;
        let plan = match self.seed {
            Some(seed) => named(what)?.plan(seed),
            None => stored(what)?,
        };
        let out = || format!("{}/{}-{}.min.json", fleet::FAILURES, plan.scenario, plan.seed).into();
        let options = shrink::Options {
            out: self.out.clone().unwrap_or_else(out),
            planted: self.planted.clone(),
            jobs: self.jobs,
            tries: self.tries,
            minutes: self.minutes,
        };
        shrink::shrink(&plan, &options)
    }

    fn check_planted(&self) -> anyhow::Result<()> {
        if let Some(name) = &self.planted {
            bug(name)?;
            if !planted::BUILT_IN {
                bail!("this build holds no planted bugs: use `cargo planted run … --planted {name}`");
            }
        }
        Ok(())
    }

    /// What was asked for beside the report.
    fn write(&self, report: &Report) -> anyhow::Result<()> {
        let write = |file: &Option<PathBuf>, content: &dyn Fn() -> Vec<u8>| match file {
            Some(file) => std::fs::write(file, content()).with_context(|| format!("cannot write {}", file.display())),
            None => Ok(()),
        };
        write(&self.trace, &|| report.trace.clone().into_bytes())?;
        write(&self.pcap, &|| report.packets.clone())?;
        write(&self.timeline, &|| timeline::page(report).into_bytes())?;
        if report.violation.is_some() {
            write(&self.save, &|| report.plan.to_json().into_bytes())?;
        }
        Ok(())
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

/// The plan of a file.
fn stored(file: &str) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    Plan::from_json(&text).with_context(|| format!("{file} is no plan"))
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
