//! Load in an open loop: a request begins when it is due, whether or not earlier ones are answered, and its time is counted from
//! then. A proxy that stalls is so charged with every request that it kept from beginning.
//!
//! One thread has all connections, and never sleeps: a timer for each request would cost more than the request. It gives the CPU, which the
//! backend shares, away whenever there is nothing to do.

use crate::client::{Client, get};
use fairlead_tests::{load::report::percentile, wait::let_pass};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Longer than this, no answer is waited for.
const SILENCE: Duration = Duration::from_secs(10);

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
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when each was due to the end of its answer; ascending.
    times: Vec<Duration>,
    /// How often what went wrong.
    pub failures: BTreeMap<String, u64>,
}

/// What one thread has in hand.
struct Run {
    load: Open,
    request: Vec<u8>,
    connections: Vec<Option<Client>>,
    /// Those that nothing is asked on; the one that rested longest goes first.
    free: VecDeque<usize>,
    /// The others.
    busy: Vec<Busy>,
    tally: Tally,
}

/// A connection that waits for an answer.
#[derive(Clone, Copy)]
struct Busy {
    place: usize,
    due: Instant,
    asked: Instant,
}

impl Open {
    /// Begins, once all connections are open and have been used.
    pub fn begin(self) -> Going {
        let ended = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let run = {
            let ended = ended.clone();
            move || {
                let run = Run::new(self);
                tell.send(()).expect("who began it waits");
                run.until(&ended)
            }
        };
        let thread = thread::spawn(run);
        told.recv().expect("the load begins");
        Going { ended, thread }
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
        self.ended.store(true, Ordering::Relaxed);
        let mut tally = self.thread.join().expect("the load does not panic");
        tally.times.sort_unstable();
        tally
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

impl Run {
    fn new(load: Open) -> Self {
        let request = get(&load.host, &load.path);
        let open = |_| {
            let mut client = Client::open(load.port).ok()?;
            client.ask(&request).ok()?;
            // One that cannot be opened now is missed, and told of, when a request is due on it.
            client.without_waiting().ok()
        };
        let connections: Vec<_> = (0..load.connections).map(open).collect();
        Self { free: (0..connections.len()).collect(), busy: Vec::new(), tally: Tally::default(), connections, request, load }
    }

    fn until(mut self, ended: &AtomicBool) -> Tally {
        let begun = Instant::now();
        let mut number = 0_u64;
        loop {
            let goes_on = !ended.load(Ordering::Relaxed);
            if !goes_on && self.busy.is_empty() {
                return self.tally;
            }
            let before = number;
            while goes_on && !self.free.is_empty() {
                let (due, now) = (begun + Duration::from_secs_f64(number as f64 / self.load.rate), Instant::now());
                if due > now {
                    break;
                }
                number += 1;
                self.begin(due, now);
            }
            if !self.look() && number == before {
                thread::yield_now();
            }
        }
    }

    fn begin(&mut self, due: Instant, asked: Instant) {
        let Some(place) = self.free.pop_front() else { return };
        match self.ask(place) {
            Ok(()) => self.busy.push(Busy { place, due, asked }),
            Err(e) => self.failed(place, e.to_string()),
        }
    }

    fn ask(&mut self, place: usize) -> io::Result<()> {
        let connection = &mut self.connections[place];
        if connection.as_ref().is_none_or(Client::is_stale) {
            let opened = Client::open(self.load.port).and_then(Client::without_waiting);
            *connection = Some(opened.map_err(|e| io::Error::new(e.kind(), format!("connect: {e}")))?);
        }
        connection.as_mut().map_or(Ok(()), |client| client.begin(&self.request))
    }

    /// Takes what has been answered. Whether anything has.
    fn look(&mut self) -> bool {
        let before = self.busy.len();
        for at in (0..before).rev() {
            let Busy { place, due, asked } = self.busy[at];
            let Some(client) = &mut self.connections[place] else { continue };
            let outcome = match client.poll() {
                Ok(None) if asked.elapsed() < SILENCE => continue,
                Ok(None) => Err("no answer".to_owned()),
                Ok(Some(answer)) if answer.status == 200 => Ok(answer.closes),
                Ok(Some(answer)) => Err(format!("status {}", answer.status)),
                Err(e) => Err(e.to_string()),
            };
            self.busy.swap_remove(at);
            match outcome {
                Ok(closes) => {
                    self.tally.times.push(due.elapsed());
                    if closes {
                        self.connections[place] = None;
                    }
                    self.free.push_back(place);
                }
                Err(problem) => self.failed(place, problem),
            }
        }
        self.busy.len() < before
    }

    fn failed(&mut self, place: usize, problem: String) {
        self.connections[place] = None;
        self.free.push_back(place);
        *self.tally.failures.entry(problem).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_tests::{Server, server::After};
    use std::sync::atomic::AtomicU64;

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
