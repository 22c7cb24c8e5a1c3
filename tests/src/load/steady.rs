//! Steady load of our own: requests begin when they are due, whether or not earlier ones are answered, and the time of each is
//! counted from when it was due. A gateway that stalls is so charged with every request that it kept from beginning.
//!
//! Two populations at once, of half the rate each: connections that are kept alive, and a connection for each request.

use super::report::{Failure, Population, Report, Sample};
use crate::{
    http::{Connection, Response},
    wait::let_pass,
};
use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What is to be asked, and how often.
#[derive(Clone, Debug)]
pub struct Steady {
    /// On this machine's loopback.
    pub port: u16,
    pub host: String,
    pub path: String,
    /// Requests a second, of both populations together.
    pub rate: u32,
    /// Connections of each population at most.
    pub connections: usize,
}

/// Load that goes on beside the test.
pub struct Going {
    shared: Arc<Shared>,
    begun: Instant,
    kept: Vec<JoinHandle<Vec<Sample>>>,
    single: Vec<JoinHandle<Vec<Sample>>>,
}

struct Shared {
    steady: Steady,
    ended: AtomicBool,
    sent: AtomicU64,
}

/// When the requests of one population are due.
struct Schedule {
    begin: Instant,
    interval: Duration,
    next: AtomicU64,
}

impl Steady {
    /// GETs of `/` for a host, from so many connections that a stall of some seconds finds one free for each.
    pub fn new(port: u16, host: &str, rate: u32) -> Self {
        Self { port, host: host.to_owned(), path: "/".to_owned(), rate, connections: 48 }
    }

    /// Begins.
    pub fn begin(self) -> Going {
        let interval = Duration::from_secs(2) / self.rate;
        let count = self.connections;
        let shared = Arc::new(Shared { steady: self, ended: AtomicBool::new(false), sent: AtomicU64::new(0) });
        let begun = Instant::now();
        let population = |keep: bool| {
            // The populations take turns.
            let begin = if keep { begun } else { begun + interval / 2 };
            let schedule = Arc::new(Schedule { begin, interval, next: AtomicU64::new(0) });
            let client = |_| {
                let (shared, schedule) = (shared.clone(), schedule.clone());
                thread::spawn(move || shared.client(&schedule, keep))
            };
            (0..count).map(client).collect::<Vec<_>>()
        };
        let (kept, single) = (population(true), population(false));
        Going { shared, begun, kept, single }
    }
}

impl Going {
    /// Requests that have begun.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends it, when what has begun is answered.
    ///
    /// # Panics
    /// A client of it panicked.
    pub fn end(self) -> Report {
        self.shared.ended.store(true, Ordering::Relaxed);
        let gather = |clients: Vec<JoinHandle<Vec<Sample>>>| {
            Population::of(clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect())
        };
        Report { kept: gather(self.kept), single: gather(self.single), took: self.begun.elapsed() }
    }
}

impl Shared {
    fn client(&self, schedule: &Schedule, keep: bool) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut connection = None;
        while !self.ended.load(Ordering::Relaxed) {
            let number = schedule.next.fetch_add(1, Ordering::Relaxed);
            let due = schedule.begin + schedule.interval.mul_f64(number as f64);
            let_pass(due.saturating_duration_since(Instant::now()));
            self.sent.fetch_add(1, Ordering::Relaxed);
            let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut sample = Sample { sent, took: Duration::ZERO, own: Duration::ZERO, instance: String::new(), failure: None };
            match self.request(&mut connection, keep) {
                Ok(answer) => {
                    sample.instance = answer.field("instance").unwrap_or_default().to_owned();
                    let own = answer.field("took-micros").and_then(|own| own.parse().ok()).unwrap_or_default();
                    sample.own = Duration::from_micros(own);
                    let reason = || answer.field("x-fairlead-reason").unwrap_or_default().to_owned();
                    sample.failure = (answer.status != 200).then(|| Failure::Status(answer.status, reason()));
                    if !keep || answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                        connection = None;
                    }
                }
                Err(failure) => {
                    sample.failure = Some(failure);
                    connection = None;
                }
            }
            sample.took = due.elapsed();
            samples.push(sample);
        }
        samples
    }

    fn request(&self, connection: &mut Option<Connection>, keep: bool) -> Result<Response, Failure> {
        let open = match connection {
            Some(open) => open,
            None => connection.insert(Connection::try_open(self.steady.port).map_err(|e| Failure::Connect(e.to_string()))?),
        };
        let (path, host) = (&self.steady.path, &self.steady.host);
        let close = if keep { "" } else { "Connection: close\r\n" };
        open.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n"));
        open.try_answer("GET").map_err(|e| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::TimeOut,
            ErrorKind::UnexpectedEof => Failure::Closed,
            _ => Failure::Reset(e.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Server,
        server::{After, whoami},
        until,
    };

    /// The load is only as good as its counting: see it count each kind.
    #[test]
    fn failures_and_stalls_are_counted() {
        let number = AtomicU64::new(0);
        let server = Server::start(move |exchange| match number.fetch_add(1, Ordering::SeqCst) {
            20 => {
                exchange.reply(503, "", "")?;
                Ok(After::Keep)
            }
            40 => {
                exchange.reset();
                Ok(After::Close)
            }
            60 => {
                let_pass(Duration::from_millis(400));
                whoami("slow", exchange)
            }
            _ => whoami("well", exchange),
        });
        let load = Steady { connections: 4, ..Steady::new(server.port(), "a", 400) }.begin();
        until("enough was sent", || load.sent() > 300);
        let report = load.end();
        assert_eq!(report.failed(), 2, "{report}");
        assert!(report.worst() >= Duration::from_millis(400), "{report}");
        assert!(report.rate() > 200.0, "{report}");
        assert!(report.kept.requests.min(report.single.requests) > 100, "{report}");
    }

    #[test]
    fn a_stall_is_charged_for_every_request_that_was_due_meanwhile() {
        let number = AtomicU64::new(0);
        let server = Server::start(move |exchange| {
            if number.fetch_add(1, Ordering::SeqCst) == 20 {
                let_pass(Duration::from_millis(600));
            }
            whoami("stalling", exchange)
        });
        // With one connection in each population, a stall holds up a hundred requests that are due meanwhile.
        let load = Steady { connections: 1, ..Steady::new(server.port(), "a", 400) }.begin();
        until("enough was sent", || load.sent() > 400);
        let report = load.end();
        assert!(report.percentile(90.0) > Duration::from_millis(100), "{report}");
    }
}
