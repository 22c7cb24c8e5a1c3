//! `cargo scale`: what it costs to watch a large Swarm, and how soon a change there is traffic.
//!
//! The manager is [`fairlead_tests::engine`]; the gateway is the release binary, pinned to the first CPU while manager, backend and
//! client have the last, so that CPU time and latencies are the gateway's own.
//!
//! Options: `--services N` (5000, for changes), `--changes N` (100 each way), `--seconds N` (30, at rest). The goal for changes is one for
//! the 99th percentile: of 100 changes, the worst but one.

#![forbid(unsafe_code)]

use fairlead_tests::{
    Connection, Gateway, Server, Setup, arguments,
    engine::Engine,
    process,
    server::After,
    wait::{self, let_pass},
};
use serde_json::json;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

struct Options {
    services: usize,
    changes: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    let known = [("--services", 5000), ("--changes", 100), ("--seconds", 30)];
    let options = match arguments::numbers(std::env::args().skip(1), known) {
        Ok([services, changes, seconds]) => Options { services: services as usize, changes: changes as usize, seconds },
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(64);
        }
    };
    if std::env::var_os("FAIRLEAD").is_none() {
        println!("building the release binary");
        process::use_profile("release");
    }
    pin_to_last();
    let rest = at_rest(&options);
    let changes = changes(&options);
    if rest && changes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// 500 services of 10 tasks, nothing happens.
fn at_rest(options: &Options) -> bool {
    let backend = backend();
    let engine = Engine::start(500, 10, backend.port());
    let gateway = gateway(&engine);
    served(&gateway, "service-499.test", Duration::from_secs(30));
    let_pass(Duration::from_secs(3));
    let (cpu, calls, began) = (process::cpu_seconds(gateway.process.id()), engine.calls(), Instant::now());
    let_pass(Duration::from_secs(options.seconds));
    let wall = began.elapsed().as_secs_f64();
    let share = (process::cpu_seconds(gateway.process.id()) - cpu) / wall * 100.0;
    println!("500 services of 10 tasks, at rest for {wall:.0} s");
    println!("  CPU of polling           {share:.2} % of one core (goal: at most 3 %)");
    let after = engine.calls();
    let mut total = 0.0;
    for (path, count) in &after {
        let per_minute = (count - calls.get(path).copied().unwrap_or_default()) as f64 / wall * 60.0;
        total += per_minute;
        println!("  /{path:<12} {per_minute:>6.0} calls a minute");
    }
    println!("  altogether    {total:>6.0} calls a minute; with another method than GET: {}", engine.writes().len());
    share <= 3.0 && engine.writes().is_empty()
}

/// A label changes: how long until the new host is served.
fn changes(options: &Options) -> bool {
    let backend = backend();
    let engine = Engine::start(options.services, 1, backend.port());
    let gateway = gateway(&engine);
    served(&gateway, &format!("service-{}.test", options.services - 1), Duration::from_secs(60));
    println!("{} services, {} label changes each way", options.services, options.changes);
    let mut good = true;
    for (way, goal) in [("an event", 100.0), ("polling alone", 1200.0)] {
        if way == "polling alone" {
            engine.fall_silent();
            let_pass(Duration::from_secs(3));
        }
        let mut millis: Vec<f64> = (0..options.changes)
            .map(|round| {
                // Not in step with the gateway's own rhythm.
                let_pass(Duration::from_millis(1100 + (round as u64 * 377) % 900));
                let service = round * 7919 % options.services;
                let host = format!("{}-{round}.changed.test", way.replace(' ', "-"));
                let began = Instant::now();
                engine.set_label(service, &format!("traefik.http.routers.service-{service}.rule"), &format!("Host(`{host}`)"));
                served(&gateway, &host, Duration::from_secs(10));
                began.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis[((millis.len() as f64 * share).ceil() as usize).clamp(1, millis.len()) - 1];
        let (median, tail, worst) = (at(0.5), at(0.99), at(1.0));
        println!("  with {way:<14} p50 {median:>7.1} ms, p99 {tail:>7.1} ms (goal: at most {goal} ms), worst {worst:>7.1} ms");
        good &= tail <= goal;
    }
    println!("  resident memory of the gateway: {} MiB", gateway.process.resident_kib() / 1024);
    good
}

fn backend() -> Server {
    Server::start(|exchange| {
        exchange.body()?;
        exchange.reply(200, "", "ok")?;
        Ok(After::Keep)
    })
}

fn gateway(engine: &Engine) -> Gateway {
    let swarm = json!({ "swarm": { "endpoint": engine.endpoint(), "labels": ["traefik"] } });
    let gateway = Setup::new().section("fairlead", json!({ "workers": 1 })).section("providers", swarm).start();
    // After its start: whoever started it is pinned elsewhere.
    process::succeed("taskset", &["-a", "-c", "-p", "0", &gateway.process.id().to_string()]);
    gateway
}

fn served(gateway: &Gateway, host: &str, patience: Duration) {
    let mut connection: Option<Connection> = None;
    wait::within(patience, &format!("{host} is served"), || {
        let connection = connection.get_or_insert_with(|| Connection::open(gateway.port("web")));
        match connection.request("GET", "/", host, "").status {
            200 => Ok(()),
            status => Err(status),
        }
    });
}

fn pin_to_last() {
    let last = std::thread::available_parallelism().map_or(0, |n| n.get() - 1);
    process::succeed("taskset", &["-a", "-c", "-p", &last.to_string(), &std::process::id().to_string()]);
}
