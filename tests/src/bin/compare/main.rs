//! `cargo compare`: what a request costs here, and what it costs nginx, HAProxy and Caddy, side by side on this machine.
//!
//! Each proxy is pinned to the first CPU, backend and load to the last; proxies take turns within every round, so that what
//! the machine does meanwhile falls on all of them. Medians are shown, and ratios, which travel between machines where
//! microseconds do not. Every round is kept in the JSON file; `--table` makes README's table of it.
//!
//! Options: `--rounds N` (5), `--seconds N` (3), `--only SCENARIO,…`, `--proxies NAME,…`, `--json FILE`
//! (`target/compare.json`), `--list`, `--table FILE`. A scenario's name also stands for those that continue it: `changes` for
//! `changes-1000` and `changes-10000`. Caddy takes part if it is installed.

#![forbid(unsafe_code)]

mod bench;
mod client;
mod goals;
mod machine;
mod measure;
mod open;
mod options;
mod outcome;
mod proxies;
mod scenario;
mod table;
mod turns;

use bench::Bench;
use fairlead_tests::{process, tools};
use machine::Machine;
use options::{Options, Task};
use outcome::Outcome;
use scenario::SCENARIOS;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Task::read(&arguments) {
        Ok(Task::List) => SCENARIOS.iter().for_each(|scenario| println!("{:18} {}", scenario.name, scenario.what)),
        Ok(Task::Table(file)) => return told(table::of_file(&file).map(|table| print!("{table}"))),
        Ok(Task::Run(options)) => return told(run(&options)),
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let missing = tools::provide(tools::FOR_COMPARISON);
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        return Err(format!("missing, and not to be installed by this user: {}", packages.join(" ")));
    }
    if std::env::var_os("FAIRLEAD").is_none() {
        println!("building the release binary");
        process::use_profile("release");
    }
    let machine = Machine::look(process::fairlead());
    println!("{machine}");
    let bench = Bench::start(options);
    let mut outcomes = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| options.wants(scenario.name)) {
        println!("\n{}: {}", scenario.name, scenario.what);
        let outcome = scenario.run(&bench, options);
        print!("{outcome}");
        outcomes.push((scenario.name, outcome));
        // After each one: what was measured is not lost if a later one breaks.
        let report = report(options, &machine, &outcomes);
        std::fs::write(&options.json, format!("{report:#}\n")).map_err(|e| format!("{}: {e}", options.json))?;
    }
    println!("\nwritten to {}", options.json);
    let problems: Vec<String> =
        outcomes.iter().flat_map(|(name, outcome)| outcome.problems().into_iter().map(move |p| format!("{name}: {p}"))).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn report(options: &Options, machine: &Machine, outcomes: &[(&str, Outcome)]) -> Value {
    let problems = outcomes.iter().filter(|(_, outcome)| !outcome.problems().is_empty());
    json!({
        "machine": machine.json(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "scenarios": outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.json())).collect::<Map<_, _>>(),
        "problems": problems.map(|(name, outcome)| ((*name).to_owned(), json!(outcome.problems()))).collect::<Map<_, _>>(),
    })
}
