//! `cargo compare`: what a request costs here, and what it costs nginx, HAProxy and Caddy, side by side on this machine.
//!
//! Each proxy is pinned to the first CPU, backend and load to the last; proxies take turns within every round, so that what
//! the machine does meanwhile falls on all of them. Medians are shown, and ratios, which travel between machines where
//! microseconds do not. CPU time is the figure; requests a second and the 99th percentile stand beside it.
//!
//! Options: `--rounds N` (5), `--seconds N` (3), `--only SCENARIO,…`, `--proxies NAME,…`, `--json FILE`
//! (`target/compare.json`), `--list`. Caddy takes part if it is installed.

#![forbid(unsafe_code)]

mod measure;
mod proxies;
mod scenario;

use fairlead_tests::{process, tools};
use measure::median;
use proxies::{Field, Proxy};
use scenario::{SCENARIOS, Sample, Scenario};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode};

/// What was asked for.
struct Options {
    rounds: u32,
    seconds: u32,
    only: Vec<String>,
    proxies: Vec<String>,
    json: String,
}

/// Samples by proxy, in the order in which proxies take turns.
type Row = Vec<(&'static str, Vec<Sample>)>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        SCENARIOS.iter().for_each(|scenario| println!("{:18} {}", scenario.name, scenario.what));
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(&arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(64);
        }
    };
    let missing = tools::provide(tools::FOR_COMPARISON);
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        eprintln!("missing, and not to be installed by this user: {}", packages.join(" "));
        return ExitCode::FAILURE;
    }
    println!("building the release binary");
    let exe = std::env::var_os("FAIRLEAD").map_or_else(|| process::build("release"), Into::into);
    let field = Field::start(&exe, &options.proxies);
    let mut rows = BTreeMap::new();
    // First, while nobody has memory left over from a load that went before.
    let memory = measure::memory(&field);
    println!(
        "\n{:18} {:12} {:>10} {:>10} {:>10} {:>8} {:>7}",
        "scenario", "proxy", "CPU µs", "req/s", "p99 ms", "failed", "ratio"
    );
    for scenario in SCENARIOS.iter().filter(|s| options.only.is_empty() || options.only.iter().any(|name| name == s.name)) {
        let row = run(scenario, &field, &options);
        show(scenario, &row);
        rows.insert(scenario.name, row);
    }
    let failed: u64 = rows.values().flatten().flat_map(|(_, samples)| samples).map(|sample| sample.failed).sum();
    match std::fs::write(&options.json, format!("{:#}\n", report(&rows, &memory, &options))) {
        Ok(()) => println!("written to {}", options.json),
        Err(e) => eprintln!("{}: {e}", options.json),
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(scenario: &Scenario, field: &Field, options: &Options) -> Row {
    let taking_part: Vec<&Proxy> = field.proxies.iter().filter(|proxy| scenario.takes(proxy)).collect();
    let mut row: Row = taking_part.iter().map(|proxy| (proxy.name, Vec::new())).collect();
    // Warm: connections to the backend are made, code is paged in.
    for proxy in &taking_part {
        scenario.sample(proxy, field, 1);
    }
    for _ in 0..options.rounds {
        for (proxy, (_, samples)) in taking_part.iter().zip(&mut row) {
            samples.push(scenario.sample(proxy, field, options.seconds));
        }
    }
    row
}

/// The cheapest of the others: what a ratio is taken to.
fn best_peer(row: &Row) -> Option<f64> {
    let peers = row.iter().filter(|(name, _)| !name.starts_with("fairlead")).map(|(_, samples)| cost(samples));
    peers.min_by(f64::total_cmp)
}

fn cost(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.cpu_micros))
}

fn show(scenario: &Scenario, row: &Row) {
    let best = best_peer(row);
    for (name, samples) in row {
        let ratio = best.map(|best| format!("{:.2}", cost(samples) / best)).unwrap_or_default();
        let p99 = median(samples.iter().filter_map(|sample| sample.p99_millis));
        let p99 = if p99.is_nan() { "-".to_owned() } else { format!("{p99:.2}") };
        println!(
            "{:18} {name:12} {:>10.2} {:>10.0} {p99:>10} {:>8} {ratio:>7}",
            scenario.name,
            cost(samples),
            median(samples.iter().map(|sample| sample.per_second)),
            samples.iter().map(|sample| sample.failed).sum::<u64>(),
        );
    }
}

fn report(rows: &BTreeMap<&str, Row>, memory: &Value, options: &Options) -> Value {
    let sample = |s: &Sample| json!({ "cpuMicros": s.cpu_micros, "perSecond": s.per_second, "p99Millis": s.p99_millis, "failed": s.failed });
    let proxy = |(name, samples): &(&str, Vec<Sample>), best: Option<f64>| {
        let value = json!({
            "cpuMicros": cost(samples),
            "ratioToBestPeer": best.map(|best| cost(samples) / best),
            "samples": samples.iter().map(sample).collect::<Vec<_>>(),
        });
        ((*name).to_owned(), value)
    };
    let row = |row: &Row| row.iter().map(|entry| proxy(entry, best_peer(row))).collect::<serde_json::Map<_, _>>();
    json!({
        "rounds": options.rounds,
        "seconds": options.seconds,
        "scenarios": rows.iter().map(|(name, r)| ((*name).to_owned(), row(r).into())).collect::<serde_json::Map<_, Value>>(),
        "memory": memory,
    })
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 5,
            seconds: 3,
            only: Vec::new(),
            proxies: ["nginx", "haproxy", "caddy", "fairlead", "fairlead-10k"].map(str::to_owned).to_vec(),
            json: process::root().join("target/compare.json").display().to_string(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name}: expected a value"))?;
            let number = || value.parse().map_err(|_| format!("{name} {value}: expected a number"));
            let list = || value.split(',').map(str::to_owned).collect();
            match name.as_str() {
                "--rounds" => options.rounds = number()?,
                "--seconds" => options.seconds = number()?,
                "--only" => options.only = list(),
                "--proxies" => options.proxies = list(),
                "--json" => options.json.clone_from(value),
                _ => return Err(format!("{name}: expected --rounds, --seconds, --only, --proxies, --json or --list")),
            }
        }
        if let Some(unknown) = options.only.iter().find(|name| SCENARIOS.iter().all(|s| s.name != **name)) {
            return Err(format!("there is no scenario {unknown}; --list names them"));
        }
        Ok(options)
    }
}
