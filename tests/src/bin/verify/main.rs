//! `cargo verify`: every rung of the testing ladder, from formatting to simulated worlds, in one command.
//!
//! `--quick` leaves out what takes minutes, `--list` names the rungs, `--only NAME` (again and again) runs some. Output of a
//! rung goes to `target/verify/<rung>.log`, and its end is shown when the rung fails. The last line is `N passed, M failed`,
//! tests counted where a rung has tests, rungs otherwise; the exit code says the same.
//!
//! Deliberately absent: anything that only this command could check. Each rung is a cargo command that a person can type.

#![forbid(unsafe_code)]

mod rung;
mod table;

use fairlead_tests::{process, tools};
use rung::{Outcome, Rung};
use std::{process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only: Vec<_> = arguments.windows(2).filter(|pair| pair[0] == "--only").map(|pair| pair[1].as_str()).collect();
    let known =
        |argument: &String| ["--quick", "--list", "--only"].contains(&argument.as_str()) || only.contains(&argument.as_str());
    if let Some(unknown) = arguments.iter().find(|argument| !known(argument)) {
        eprintln!("{unknown}: expected --quick, --list or --only NAME");
        return ExitCode::from(64);
    }
    let rungs = table::rungs(quick);
    if arguments.iter().any(|argument| argument == "--list") {
        rungs.iter().for_each(|rung| println!("{:12} {}\n{:13}{}", rung.name, rung.what, "", rung.command()));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = only.iter().find(|name| rungs.iter().all(|rung| rung.name != **name)) {
        eprintln!("there is no rung {unknown}; `cargo verify --list` names them");
        return ExitCode::from(64);
    }
    let missing = tools::provide(&[tools::FOR_TESTS, tools::FOR_SWARM].concat());
    if !missing.is_empty() {
        let words: Vec<_> = missing.iter().map(|(program, package)| format!("{program} (package {package})")).collect();
        println!("missing, and not to be installed by this user: {}; tests that need them will fail", words.join(", "));
    }
    let begun = Instant::now();
    let mut outcomes = Vec::new();
    for rung in rungs.iter().filter(|rung| only.is_empty() || only.contains(&rung.name)) {
        println!("\n== {}: {}\n   {}", rung.name, rung.what, rung.command());
        let outcome = rung.climb(process::root());
        println!("   {}", outcome.words());
        outcomes.push((rung, outcome));
    }
    summarize(&outcomes, begun)
}

fn summarize(outcomes: &[(&Rung, Outcome)], begun: Instant) -> ExitCode {
    println!("\n{:12} {:>8} {:>8} {:>9}", "rung", "passed", "failed", "seconds");
    for (rung, outcome) in outcomes {
        let note = if outcome.skipped.is_some() { "  skipped" } else { "" };
        println!("{:12} {:>8} {:>8} {:>9.1}{note}", rung.name, outcome.passed, outcome.failed, outcome.took.as_secs_f64());
    }
    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(|(_, outcome)| count(outcome)).sum::<usize>();
    let (passed, failed) = (sum(|o| o.passed), sum(|o| o.failed));
    println!("in {:.0} s\n{passed} passed, {failed} failed", begun.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
