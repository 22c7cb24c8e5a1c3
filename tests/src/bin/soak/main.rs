//! `cargo soak`: what hours would do to a gateway, in minutes: nothing that it takes may it keep.
//!
//! Ten million requests with a change of the configuration every second; 1 GiB pulled by a client that reads slowly; 1,000 uploads at once
//! to a server that reads slowly. Memory is bounded meanwhile; memory, descriptors and tasks are where they were afterwards.
//!
//! Options: `--requests N` (10000000), `--mib N` (1024), `--uploads N` (1000). `FAIRLEAD` names the binary; else the release build.

#![forbid(unsafe_code)]

use fairlead_tests::{
    Connection, Gateway, Server, Setup, arguments,
    gateway::routes,
    load::start_wrk,
    process,
    server::After,
    wait::{self, let_pass},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    process::ExitCode,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
/// What idle pools, allocators and counters may hold more than before, in KiB.
const SLACK: u64 = 6 * 1024;
/// What a stream or an upload may cost while it goes on, in KiB: its buffers both ways.
const PER_STREAM: u64 = 256;

/// Workers count their tasks once a second.
const REST: Duration = Duration::from_secs(4);

struct Options {
    requests: u64,
    mib: usize,
    uploads: usize,
}

/// What a gateway holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: u64,
    descriptors: usize,
    tasks: f64,
}

fn main() -> ExitCode {
    let known = [("--requests", 10_000_000), ("--mib", 1024), ("--uploads", 1000)];
    let options = match arguments::numbers(std::env::args().skip(1), known) {
        Ok([requests, mib, uploads]) => Options { requests, mib: mib as usize, uploads: uploads as usize },
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(64);
        }
    };
    if std::env::var_os("FAIRLEAD").is_none() {
        println!("building the release binary");
        process::use_profile("release");
    }
    let held = [slow_reader(&options), uploads(&options), requests(&options)];
    if held.iter().all(|held| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A gateway that tells how many tasks it has.
fn gateway(dynamic: Value) -> Gateway {
    Setup::new().section("metrics", json!({ "prometheus": {} })).dynamic(dynamic).start()
}

impl Held {
    fn by(gateway: &Gateway) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", gateway.process.id())).expect("the gateway lives").count();
        Self { resident_kib: gateway.process.resident_kib(), descriptors, tasks: gateway.metric("fairlead_worker_tasks", &[]) }
    }

    /// What it holds at rest, when its descriptors and tasks have stood still for longer than it takes each worker to count anew.
    fn at_rest(gateway: &Gateway) -> Self {
        let (mut last, mut since) = (Self::by(gateway), Instant::now());
        wait::within(Duration::from_secs(60), "the gateway comes to rest", || {
            let now = Self::by(gateway);
            if (now.descriptors, now.tasks) != (last.descriptors, last.tasks) || now.tasks == 0.0 {
                since = Instant::now();
            }
            last = now;
            if since.elapsed() > REST { Ok(now) } else { Err(now) }
        })
    }

    /// Waits until descriptors and tasks are down to what they were, and tells whether memory is, too.
    fn is_back(self, gateway: &Gateway) -> bool {
        let settled = wait::attempt(Duration::from_secs(120), || {
            let now = Self::by(gateway);
            // The connection that asks is one of each.
            let is_back = now.descriptors <= self.descriptors + 2 && now.tasks <= self.tasks + 1.0;
            if is_back { Ok(now) } else { Err(now) }
        });
        let (now, is_back) = match settled {
            Ok(now) => (now, true),
            Err(now) => (now, false),
        };
        println!("  before  {self:?}\n  after   {now:?}");
        is_back && now.resident_kib <= self.resident_kib + SLACK
    }
}

/// Says how a part of it went.
fn verdict(what: &str, good: bool) -> bool {
    println!("  {}: {what}", if good { "held" } else { "FAILED" });
    good
}

/// A client pulls a large body, slower than it could be sent.
fn slow_reader(options: &Options) -> bool {
    let length = options.mib * MIB;
    println!("a slow reader pulls {} MiB", options.mib);
    let server = Server::start(move |exchange| {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
        let block = vec![b'x'; MIB];
        for _ in 0..length / MIB {
            exchange.send(&block)?;
        }
        Ok(After::Keep)
    });
    let gateway = gateway(routes(&[("all", "PathPrefix(`/`)", &[&server])]));
    let before = Held::at_rest(&gateway);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head();
    let (mut most, begun) = (0, Instant::now());
    // It panics where something is missing.
    for _ in 0..length / MIB {
        client.read(MIB);
        // Some 200 MiB a second at most: the server and the gateway could do several times that.
        let_pass(Duration::from_millis(5));
        most = most.max(gateway.process.resident_kib());
    }
    drop(client);
    let grown = most.saturating_sub(before.resident_kib);
    println!("  in {:.1} s; resident memory grew by {grown} KiB meanwhile", begun.elapsed().as_secs_f64());
    let bounded = verdict("memory was bounded", grown <= SLACK);
    bounded && verdict("memory, descriptors and tasks are back", before.is_back(&gateway))
}

/// Many clients upload at once to a server that reads slowly.
fn uploads(options: &Options) -> bool {
    const LENGTH: usize = MIB;
    println!("{} uploads of 1 MiB at once, to a server that reads slowly", options.uploads);
    let server = Server::start(|exchange| {
        let mut block = [0; 16 * 1024];
        let mut left = LENGTH;
        while left > 0 {
            let n = exchange.reader().read(&mut block)?;
            if n == 0 {
                return Ok(After::Close);
            }
            left -= n.min(left);
            if left % (LENGTH / 8) < block.len() {
                let_pass(Duration::from_millis(400));
            }
        }
        exchange.reply(200, "", "taken")?;
        Ok(After::Close)
    });
    let gateway = gateway(routes(&[("all", "PathPrefix(`/`)", &[&server])]));
    let before = Held::at_rest(&gateway);
    let (web, together) = (gateway.web(), Arc::new(Barrier::new(options.uploads)));
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..options.uploads)
        .map(|_| {
            let (together, answered) = (together.clone(), answered.clone());
            let client = move || {
                together.wait();
                let mut client = Connection::open(web);
                client.stream().set_read_timeout(Some(Duration::from_secs(120))).ok();
                client.send(format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\n\r\n"));
                let block = vec![b'u'; 64 * 1024];
                for _ in 0..LENGTH / block.len() {
                    if client.stream().write_all(&block).is_err() {
                        return;
                    }
                }
                if client.try_answer("PUT").is_ok_and(|answer| answer.status == 200) {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            };
            thread::Builder::new().stack_size(256 * 1024).spawn(client).expect("a thread can be started")
        })
        .collect();
    let mut most = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        most = most.max(gateway.process.resident_kib());
        let_pass(Duration::from_millis(50));
    }
    let grown = most.saturating_sub(before.resident_kib);
    println!("  {} answered; resident memory grew by {grown} KiB meanwhile", answered.load(Ordering::Relaxed));
    let all = verdict("every upload was taken", answered.load(Ordering::Relaxed) == options.uploads as u64);
    let bounded = verdict("memory was bounded", grown <= options.uploads as u64 * PER_STREAM);
    drop(server);
    let again = Server::whoami("again");
    gateway.configure_until(&routes(&[("all", "PathPrefix(`/`)", &[&again])]), "another server answers", || {
        gateway.get("/").status == 200
    });
    // Slabs for a thousand streams went back to the allocator, which keeps some.
    let slack = Held { resident_kib: before.resident_kib + options.uploads as u64 * PER_STREAM / 8, ..before };
    all && bounded && verdict("memory, descriptors and tasks are back", slack.is_back(&gateway))
}

/// Requests while the configuration changes every second.
fn requests(options: &Options) -> bool {
    println!("{} requests, and a change every second", options.requests);
    let (a, b) = (Server::whoami("a"), Server::whoami("b"));
    let config = |number: u64| {
        let path = format!("Path(`/round-{number}`)");
        routes(&[("a", "PathPrefix(`/`)", &[&a]), (&format!("round-{number}"), &path, &[&b])])
    };
    let gateway = gateway(config(0));
    let url = format!("http://127.0.0.1:{}/", gateway.web());
    // Warm: pools are filled, and a hundred changes have been seen.
    let load = start_wrk(&url, 64, 600, &[]);
    for number in 1..=100 {
        let path = format!("/round-{number}");
        gateway.configure_until(&config(number), "the new route answers", || gateway.get(&path).server() == "b");
    }
    let mut failed = load.stop().failed;
    let before = Held::at_rest(&gateway);
    let (begun, mut done, mut number) = (Instant::now(), 0, 100);
    while done < options.requests {
        let load = start_wrk(&url, 64, 60, &[]);
        let round = Instant::now();
        while round.elapsed() < Duration::from_secs(59) {
            number += 1;
            gateway.configure(&config(number));
            let_pass(Duration::from_secs(1));
        }
        let tally = load.tally();
        (done, failed) = (done + tally.requests, failed + tally.failed);
        println!("  {done} requests, {failed} failed, {:?}", Held::by(&gateway));
    }
    println!("  {done} requests and {} changes in {:.0} s", number - 100, begun.elapsed().as_secs_f64());
    let none = verdict("no request failed", failed == 0);
    none && verdict("memory, descriptors and tasks are back", before.is_back(&gateway))
}
