//! How soon a change of the configuration is traffic, at many services and under load.
//!
//! Fairlead follows a real etcd. nginx and HAProxy have the same services in generated files, and are told to read them again.
//! A change moves one service to another server. It counts from its acknowledgement (etcd has the key; the signal to reload is
//! sent) to the first answer from the new server, asked for twice in a millisecond over a kept connection. Meanwhile a service
//! that nobody changes has load in an open loop, of which no request may fail. A kept connection that the proxy has closed before
//! a request is sent is opened anew, as clients do; what is lost after that is a failure.

mod etcd;
mod haproxy;
mod nginx;
mod reloaded;

use crate::{
    bench::Bench,
    client::{Client, get},
    measure::{Meter, resident},
    open::Open,
    options::Options,
    outcome::{Base, Column, FAILED, Outcome},
    scenario::closed::wrk,
};
use fairlead_tests::{load::report::percentile, wait::let_pass};
use std::time::{Duration, Instant};

/// What the load is, of what a closed loop carries.
const LOAD: f64 = 0.3;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks whether a change is served.
const LOOK: Duration = Duration::from_micros(500);

/// Under load alone, to know what the changes cost beyond it.
const BEFORE: Duration = Duration::from_secs(2);

/// A proxy that can be told of a change.
trait System {
    fn id(&self) -> u32;
    fn port(&self) -> u16;
    /// How many changes are worth the time.
    fn changes(&self) -> usize;
    /// Time for what a change leaves behind.
    fn rest(&self) -> Duration;
    /// Moves a service to a server's port, and returns when that is acknowledged.
    fn change(&mut self, service: usize, port: u16);
}

/// At 1,000 services.
pub fn thousand(bench: &Bench, _: &Options) -> Outcome {
    run(bench, 1000)
}

/// At 10,000 services.
pub fn ten_thousand(bench: &Bench, _: &Options) -> Outcome {
    run(bench, 10_000)
}

fn run(bench: &Bench, services: usize) -> Outcome {
    let mut outcome = Outcome::new(Base::BestPeer, Vec::new());
    let mut rate = None;
    for name in bench.kinds() {
        let mut system: Box<dyn System> = match name {
            "nginx" => Box::new(nginx::start(bench, services)),
            "haproxy" => Box::new(haproxy::start(bench, services)),
            "fairlead" => Box::new(etcd::Following::start(bench, services)),
            _ => continue,
        };
        // The same for all: a share of what the first one carries.
        let rate = *rate.get_or_insert_with(|| {
            let url = format!("http://127.0.0.1:{}/", system.port());
            let rate = wrk(64, 1, &["-H", &format!("Host: {}", host(0))], &url).requests as f64 * LOAD;
            println!("  {rate:.0} requests a second meanwhile");
            rate.max(1.0)
        });
        let (mut column, wrong) = measure(system.as_mut(), services, rate, bench.backends[1]);
        column.name = name.to_owned();
        outcome.columns.push(column);
        outcome.wrong.extend(wrong.map(|wrong| format!("{name}: {wrong}")));
    }
    outcome
}

fn measure(system: &mut dyn System, services: usize, rate: f64, moved: u16) -> (Column, Option<String>) {
    let load = Open { port: system.port(), host: host(0), path: "/".into(), rate, connections: 32 }.begin();
    let meter = Meter::start(system.id());
    let_pass(BEFORE);
    let before = meter.read();
    let meter = Meter::start(system.id());
    let mut look = Look { port: system.port(), client: None, failed: 0 };
    let (mut times, mut wrong) = (Vec::new(), None);
    for round in 0..system.changes() {
        // Not in step with a rhythm of the proxy's own.
        let_pass(system.rest() + Duration::from_millis((round as u64 * 377) % 50));
        // Each is moved once: 7919 is prime, and divides neither number.
        let service = 1 + round * 7919 % (services - 1);
        system.change(service, moved);
        match look.until_served(&host(service), moved) {
            Some(time) => times.push(time),
            None => {
                wrong = Some(format!("a change was not served within {PATIENCE:?}"));
                break;
            }
        }
    }
    let spent = meter.read();
    let resident = resident(system.id()) / f64::from(1 << 20);
    let tally = load.end();
    tally.failures.iter().for_each(|(kind, count)| println!("  of the load, {count} times: {kind}"));
    let single = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_unstable();
    let millis = |percent| if times.is_empty() { f64::NAN } else { percentile(&times, percent).as_secs_f64() * 1e3 };
    let beyond_load = spent.cpu - before.cpu / before.wall * spent.wall;
    let round = vec![
        ("p99Millis", millis(99.0)),
        ("p50Millis", millis(50.0)),
        ("worstMillis", millis(100.0)),
        ("loadP99Millis", tally.micros(99.0) / 1e3),
        ("cpuSeconds", spent.cpu),
        ("cpuMillisEach", beyond_load / times.len().max(1) as f64 * 1e3),
        ("residentMiB", resident),
        ("changes", times.len() as f64),
        (FAILED, (tally.failed() + look.failed) as f64),
    ];
    (Column { rounds: vec![round], single, ..Column::default() }, wrong)
}

/// Who looks whether a change is served.
struct Look {
    port: u16,
    client: Option<Client>,
    failed: u64,
}

impl Look {
    /// How long it takes from now until a host is served from a port.
    fn until_served(&mut self, host: &str, port: u16) -> Option<Duration> {
        let (begun, request, port) = (Instant::now(), get(host, "/port"), port.to_string());
        while begun.elapsed() < PATIENCE {
            match self.served_from(&request) {
                Ok(body) if body == port.as_bytes() => return Some(begun.elapsed()),
                Ok(_) => {}
                Err(()) => {
                    self.client = None;
                    self.failed += 1;
                }
            }
            let_pass(LOOK);
        }
        None
    }

    fn served_from(&mut self, request: &[u8]) -> Result<Vec<u8>, ()> {
        let mut client = match self.client.take().filter(|client| !client.is_stale()) {
            Some(client) => client,
            None => Client::open(self.port).map_err(drop)?,
        };
        let answer = client.ask(request).map_err(drop)?;
        let (body, good, closes) = (answer.body.to_vec(), answer.status == 200, answer.closes);
        if !closes {
            self.client = Some(client);
        }
        if good { Ok(body) } else { Err(()) }
    }
}

/// The name by which a service is asked for.
fn host(service: usize) -> String {
    format!("service-{service}.test")
}
