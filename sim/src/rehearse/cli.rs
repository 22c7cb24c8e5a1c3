//! The command line of `cargo sim rehearse`: its own options, and everything else for the product.

use super::{
    blueprint::Blueprint,
    draw,
    finding::statics,
    input,
    plan::{Assumed, KINDS, Plan, Texts},
    report::Report,
    run::{self, Outcome},
};
use crate::trace::Keep;
use anyhow::{Context as _, bail};
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    ops::Range,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

const USAGE: &str = "\
cargo sim rehearse --configFile FILE [--flag=value …]   the static configuration, exactly as `fairlead run` takes it
    [--in DIR]               read files as if started in this folder
    [--dynamic FILE|DIR]     the dynamic configuration, in place of every provider
    [--faults kind,kind]     all (the default), none, or some:
{kinds}
    [--seeds A..B]           as many as it takes to try everything once, unless given; [--jobs N] of them at once (2)
    [--seed N]               one seed; [--trace FILE] [--pcap FILE] [--plan]: every event, every packet, the plan instead of the run
    [--replay PLAN]          a plan that --plan printed; nothing else is read
    [--json]                 the report for programs
  assumptions, where the configuration does not say:
    [--load 10]              requests a second and router
    [--patience 30]          seconds that a client waits
    [--longest 8]            seconds that the longest request takes
    [--stop-grace 10]        seconds between SIGTERM and a server's end
    [--warm-up 4]            seconds in which a new server answers 503
    [--node HOST,HOST=NAME]  these hosts are one machine; may be repeated
exit codes: 0 no finding, 1 findings, 64 unusable input";

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    /// Where `fairlead run` would be started.
    folder: Option<PathBuf>,
    dynamic: Option<PathBuf>,
    faults: Option<String>,
    seeds: Option<Range<u64>>,
    seed: Option<u64>,
    jobs: usize,
    replay: Option<PathBuf>,
    trace: Option<PathBuf>,
    pcap: Option<PathBuf>,
    plan: bool,
    json: bool,
    /// A child of a rehearsal: the plan comes in, the outcome goes out.
    one: bool,
    assumed: Assumed,
    product: Vec<String>,
    /// Everything that decides what a seed means, for the command that replays it.
    repeated: Vec<String>,
}

/// Rehearses. `args` are those after the word `rehearse`.
pub fn main(args: &[String]) -> ExitCode {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    match Options::read(args).and_then(Options::obey) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::from(64)
        }
    }
}

/// Whether this is a rehearsal's plan, for `cargo sim replay`.
pub fn replays(text: &str) -> bool {
    Plan::from_json(text).is_ok()
}

impl Options {
    fn read(args: &[String]) -> anyhow::Result<Self> {
        let mut read = Self { jobs: 2, ..Self::default() };
        let mut rest = args.iter().map(String::as_str);
        while let Some(arg) = rest.next() {
            let (name, inline) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
            let mut value = || inline.or_else(|| rest.next()).with_context(|| format!("{name} needs a value"));
            let number = |text: &str| text.parse::<u64>().with_context(|| format!("{name} wants a number, and `{text}` is none"));
            let seconds = |text: &str| match text.trim_end_matches('s').parse::<f64>() {
                Ok(n) if (0.0..100_000.0).contains(&n) => Ok((n * 1000.0) as u64),
                _ => bail!("{name} wants seconds, and `{text}` are none"),
            };
            let before = read.repeated.len();
            let mut given = String::new();
            let mut take = |text: anyhow::Result<&str>| -> anyhow::Result<String> {
                given = text?.to_owned();
                Ok(given.clone())
            };
            match name {
                "--in" => read.folder = Some(take(value())?.into()),
                "--dynamic" => read.dynamic = Some(take(value())?.into()),
                "--faults" => read.faults = Some(take(value())?),
                "--load" => {
                    let text = take(value())?;
                    let load: f64 = text.parse().with_context(|| format!("--load wants requests a second, not `{text}`"))?;
                    anyhow::ensure!(load > 0.0 && load <= 10_000.0, "--load is between 0 and 10000 requests a second");
                    read.assumed.load = load;
                }
                "--patience" => read.assumed.patience = seconds(&take(value())?)?.max(1_000),
                "--longest" => read.assumed.longest = Some(seconds(&take(value())?)?),
                "--stop-grace" => read.assumed.stop_grace = seconds(&take(value())?)?,
                "--warm-up" => read.assumed.warm_up = seconds(&take(value())?)?,
                "--node" => {
                    let text = take(value())?;
                    let (hosts, node) = text.split_once('=').context("--node wants HOST,HOST=NAME")?;
                    for host in hosts.split(',') {
                        read.assumed.nodes.insert(host.trim().to_ascii_lowercase(), node.to_owned());
                    }
                }
                "--seeds" => read.seeds = Some(range(value()?)?),
                "--seed" => read.seed = Some(number(value()?)?),
                "--jobs" => read.jobs = number(value()?)?.clamp(1, 64) as usize,
                "--replay" => read.replay = Some(value()?.into()),
                "--trace" => read.trace = Some(value()?.into()),
                "--pcap" => read.pcap = Some(value()?.into()),
                "--plan" => read.plan = true,
                "--json" => read.json = true,
                "--one" => read.one = true,
                _ => {
                    read.product.push(arg.to_owned());
                    read.repeated.push(quoted(arg));
                }
            }
            if read.repeated.len() == before && !given.is_empty() {
                read.repeated.push(quoted(&format!("{name}={given}")));
            }
        }
        Ok(read)
    }

    fn obey(self) -> anyhow::Result<ExitCode> {
        if self.one {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the plan cannot be read")?;
            let outcome = run::run(Plan::from_json(&text)?, Keep::default())?;
            println!("{}", serde_json::to_string(&outcome)?);
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(file) = &self.replay {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let plan = Plan::from_json(&text).with_context(|| format!("{} is no plan of a rehearsal", file.display()))?;
            let blueprint = Blueprint::new(&plan.texts, &plan.assumed)?;
            return self.one_run(&blueprint, plan);
        }
        if self.product.is_empty() && self.dynamic.is_none() {
            bail!("which configuration? Give --configFile FILE; `cargo sim rehearse --help` says more");
        }
        let kinds = self.kinds()?;
        let texts = self.texts()?;
        let blueprint = Blueprint::new(&texts, &self.assumed)?;
        if let Some(seed) = self.seed {
            let plan = draw::plan(&texts, &self.assumed, &blueprint, &kinds, seed);
            if self.plan {
                println!("{}", plan.to_json());
                return Ok(ExitCode::SUCCESS);
            }
            return self.one_run(&blueprint, plan);
        }
        let seeds = self.seeds.clone().unwrap_or(0..if kinds.is_empty() { 1 } else { draw::seeds(&blueprint, &kinds) });
        let plans = seeds.map(|seed| draw::plan(&texts, &self.assumed, &blueprint, &kinds, seed)).collect();
        let outcomes = all(plans, self.jobs, !self.json)?;
        let all: Vec<String> = draw::shared(&blueprint, &kinds).iter().map(super::plan::What::told).collect();
        self.tell(&blueprint, &texts, outcomes, &all)
    }

    /// The configuration, read from the folder that was named.
    fn texts(&self) -> anyhow::Result<Texts> {
        let here = std::env::current_dir().context("where is this?")?;
        let enter = |folder: &PathBuf| {
            std::env::set_current_dir(folder).with_context(|| format!("--in {}: cannot go there", folder.display()))
        };
        self.folder.as_ref().map_or(Ok(()), enter)?;
        let texts = input::read(&self.product, self.dynamic.as_deref())?;
        enter(&here)?;
        Ok(texts)
    }

    fn one_run(&self, blueprint: &Blueprint, plan: Plan) -> anyhow::Result<ExitCode> {
        if let Ok(filter) = std::env::var("FAIRLEAD_LOG") {
            tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
        }
        let texts = plan.texts.clone();
        let outcome = run::run(plan, Keep { lines: self.trace.is_some(), packets: self.pcap.is_some(), marks: false })?;
        if let Some(file) = &self.trace {
            std::fs::write(file, &outcome.trace).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if let Some(file) = &self.pcap {
            std::fs::write(file, &outcome.pcap).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if !self.json {
            println!("trace-hash={:016x}\n", outcome.hash);
        }
        self.tell(blueprint, &texts, vec![outcome], &[])
    }

    fn tell(&self, blueprint: &Blueprint, texts: &Texts, outcomes: Vec<Outcome>, all: &[String]) -> anyhow::Result<ExitCode> {
        let of = texts.file.iter().map(|(name, _)| name.clone()).chain([texts.place.clone()]).collect();
        let command = match &self.replay {
            Some(file) => format!("cargo sim rehearse --replay {}", quoted(&file.display().to_string())),
            None => format!("cargo sim rehearse {}", self.repeated.join(" ")),
        };
        let mut report = Report::new(blueprint, of, outcomes, statics(blueprint, texts), all, &command);
        if self.replay.is_some() {
            report
                .findings
                .iter_mut()
                .for_each(|group| group.replay = if group.first.is_some() { command.clone() } else { String::new() });
        }
        if self.json {
            println!("{}", report.to_json())
        } else {
            print!("{report}")
        }
        Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn kinds(&self) -> anyhow::Result<BTreeSet<String>> {
        let every = || KINDS.iter().map(|(name, _)| (*name).to_owned());
        match self.faults.as_deref() {
            None | Some("all") => Ok(every().collect()),
            Some("none") => Ok(BTreeSet::new()),
            Some(list) => {
                let kinds: BTreeSet<String> = list.split(',').map(|kind| kind.trim().to_owned()).collect();
                match kinds.iter().find(|kind| !KINDS.iter().any(|(known, _)| known == kind)) {
                    Some(unknown) => {
                        bail!("--faults: there is no kind `{unknown}`; there are {}", every().collect::<Vec<_>>().join(", "))
                    }
                    None => Ok(kinds),
                }
            }
        }
    }
}

/// Runs every plan in a process of its own, `jobs` at a time. `tells`: progress on standard error.
fn all(plans: Vec<Plan>, jobs: usize, tells: bool) -> anyhow::Result<Vec<Outcome>> {
    let exe = std::env::current_exe().context("where is this binary?")?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let one = |plan: &Plan| -> anyhow::Result<Outcome> {
        let mut child = Command::new(&exe)
            .args(["rehearse", "--one"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", exe.display()))?;
        let text = plan.to_json();
        child.stdin.take().context("a child without standard input")?.write_all(text.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        match serde_json::from_slice(&output.stdout) {
            Ok(outcome) => Ok(outcome),
            Err(e) => bail!("seed {} ended without an outcome ({e}): {}", plan.seed, said.trim()),
        }
    };
    let worker = || -> anyhow::Result<()> {
        while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = one(plan)?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(outcome);
            if tells && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
                eprint!("\r{} of {} seeds", done.len(), plans.len());
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    if tells && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        eprintln!("\r");
    }
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn usage() -> String {
    let kinds: Vec<_> = KINDS.iter().map(|(name, about)| format!("        {name:<18} {about}")).collect();
    USAGE.replace("{kinds}", &kinds.join("\n"))
}

fn range(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").with_context(|| format!("`{text}` is no range: write A..B"))?;
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number"));
    Ok(number(from)?..number(to)?)
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
