//! Load in an open loop: a request begins when it is due, whether or not earlier ones are answered, and its time is counted from
//! then. A proxy that stalls is so charged with every request that it kept from beginning.
//!
//! Each connection has a thread that sleeps until the next request is due, and blocks until it is answered: nothing spins, as the
//! backend shares the CPU. The kernel may stretch a sleep by 50 µs unless a thread asks it not to, which these do.

use crate::client::{Client, get};
use fairlead_tests::{load::report::percentile, wait::let_pass};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub struct Open {
    pub port: u16,
    pub host: String,
    pub path: String,
    /// Requests a second. An infinite rate is a closed loop.
    pub rate: f64,
    /// Open at most; a request that is due waits while all are busy.
    pub connections: usize,
}

/// Load that goes on.
pub struct Going {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when each was due to the end of its answer; ascending.
    times: Vec<Duration>,
    /// How often what went wrong.
    pub failures: BTreeMap<String, u64>,
}

struct Shared {
    load: Open,
    /// Where all wait for each other before the first request is due.
    start: Barrier,
    begun: OnceLock<Instant>,
    next: AtomicU64,
    ended: AtomicBool,
}

impl Open {
    /// Begins, once all connections are open and have been used.
    pub fn begin(self) -> Going {
        let connections = self.connections;
        let shared = Arc::new(Shared {
            load: self,
            start: Barrier::new(connections + 1),
            begun: OnceLock::new(),
            next: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let client = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.client())
        };
        let clients = (0..connections).map(client).collect();
        shared.start.wait();
        Going { shared, clients }
    }

    /// Goes on for so long.
    pub fn last(self, duration: Duration) -> Tally {
        let going = self.begin();
        let_pass(duration);
        going.end()
    }
}

impl Going {
    /// Ends it, when what has begun is answered.
    pub fn end(self) -> Tally {
        self.shared.ended.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("a client does not panic");
            all.times.extend(tally.times);
            tally.failures.into_iter().for_each(|(kind, count)| *all.failures.entry(kind).or_default() += count);
        }
        all.times.sort_unstable();
        all
    }
}

impl Tally {
    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.times.len() as u64
    }

    /// Requests that were not.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// A percentile in microseconds.
    pub fn micros(&self, percent: f64) -> f64 {
        percentile(&self.times, percent).as_secs_f64() * 1e6
    }
}

impl Shared {
    fn client(&self) -> Tally {
        sleep_exactly();
        let request = get(&self.load.host, &self.load.path);
        let mut tally = Tally::default();
        let mut connection = None;
        // One that cannot be opened now is missed, and told of, when a request is due on it.
        self.ask(&mut connection, &request).ok();
        self.start.wait();
        let begun = *self.begun.get_or_init(Instant::now);
        while !self.ended.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = begun + Duration::from_secs_f64(number as f64 / self.load.rate);
            let_pass(due.saturating_duration_since(Instant::now()));
            match self.ask(&mut connection, &request) {
                Ok(()) => tally.times.push(due.elapsed()),
                Err(problem) => {
                    connection = None;
                    *tally.failures.entry(problem).or_default() += 1;
                }
            }
        }
        tally
    }

    fn ask(&self, connection: &mut Option<Client>, request: &[u8]) -> Result<(), String> {
        if connection.as_ref().is_some_and(Client::is_stale) {
            *connection = None;
        }
        let open = match connection {
            Some(open) => open,
            None => connection.insert(Client::open(self.load.port).map_err(|e| format!("connect: {e}"))?),
        };
        let answer = open.ask(request).map_err(|e| e.to_string())?;
        let (status, closes) = (answer.status, answer.closes);
        if closes {
            *connection = None;
        }
        if status == 200 { Ok(()) } else { Err(format!("status {status}")) }
    }
}

/// Has this thread's sleeps end on time. Where `/proc` does not know how, they end up to 50 µs late.
fn sleep_exactly() {
    let thread = std::fs::read_link("/proc/thread-self").ok();
    if let Some(id) = thread.as_ref().and_then(|path| path.file_name()) {
        std::fs::write(std::path::Path::new("/proc").join(id).join("timerslack_ns"), "1").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_tests::{Server, server::After};

    fn load(server: &Server, connections: usize) -> Open {
        Open { port: server.port(), host: "a".into(), path: "/".into(), rate: 400.0, connections }
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let number = AtomicU64::new(0);
        let server = Server::start(move |exchange| {
            match number.fetch_add(1, Ordering::SeqCst) {
                20 => exchange.reply(503, "", "")?,
                40 => return Ok(After::Close),
                _ => exchange.reply(200, "", "ok")?,
            }
            Ok(After::Keep)
        });
        let going = load(&server, 8).begin();
        fairlead_tests::until("enough was sent", || server.requests() > 100);
        let tally = going.end();
        assert_eq!(tally.failed(), 2, "{:?}", tally.failures);
        assert_eq!(tally.failures.get("status 503"), Some(&1));
        assert!(tally.answered() > 90);
    }

    #[test]
    fn a_stall_is_charged_for_what_was_due_meanwhile() {
        let number = AtomicU64::new(0);
        let server = Server::start(move |exchange| {
            if number.fetch_add(1, Ordering::SeqCst) == 20 {
                let_pass(Duration::from_millis(600));
            }
            exchange.reply(200, "", "ok")?;
            Ok(After::Keep)
        });
        let going = load(&server, 1).begin();
        fairlead_tests::until("enough was sent", || server.requests() > 400);
        // Of some four hundred, two hundred and forty were due while the one connection was held up.
        assert!(going.end().micros(80.0) > 100_000.0);
    }
}
