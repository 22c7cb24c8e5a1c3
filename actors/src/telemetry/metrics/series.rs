//! The handles that the data plane and the actors hold: one per configured name, and one for the process.

use super::cells::Table;
use fairlead_core::{Name, reason::Reason};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn dec(&self) {
        self.add(-1);
    }

    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Durations by upper bound, from a millisecond to ten seconds. For what happens rarely.
#[derive(Debug, Default)]
pub struct Histogram {
    pub(super) buckets: [AtomicU64; Self::BOUNDS.len() + 1],
    pub(super) nanos: AtomicU64,
}

impl Histogram {
    pub(super) const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

    /// Durations added so far.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// Adds one duration.
    pub fn observe(&self, d: Duration) {
        let seconds = d.as_secs_f64();
        let bucket = Self::BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(Self::BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(crate::telemetry::nanos(d), Relaxed);
    }
}

/// How an attempt at a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptOutcome {
    /// A response head came.
    Response,
    /// No connection: refused, unreachable, TLS failed.
    ConnectFailed,
    /// A deadline passed.
    TimedOut,
    /// The connection closed, was reset, or broke the protocol before a response head.
    Broken,
    /// The client left first.
    Abandoned,
}

impl AttemptOutcome {
    pub(super) const ALL: [Self; 5] = [Self::Response, Self::ConnectFailed, Self::TimedOut, Self::Broken, Self::Abandoned];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::ConnectFailed => "connect_failed",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A counter for each [`Reason`].
pub(super) struct Reasons([AtomicU64; Reason::ALL.len()]);

impl Default for Reasons {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Reasons {
    pub(super) fn add(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Those that happened.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().map(|reason| (*reason, self.0[*reason as usize].load(Relaxed))).filter(|(_, n)| *n > 0)
    }
}

/// What is measured at one entry point.
pub struct EntryPointSeries {
    pub(super) name: Box<str>,
    pub(super) table: Arc<Table>,
    pub(super) reasons: Reasons,
    /// Connections of clients that are open now.
    pub open_connections: Gauge,
    /// Connections taken since the start.
    pub accepted: Counter,
    /// Connections refused because a limit was reached.
    pub refused: Counter,
    /// TLS handshakes that failed.
    pub tls_failed: Counter,
    /// Requests between their head and their last byte.
    pub in_flight: Gauge,
}

impl EntryPointSeries {
    pub(super) fn new(name: &str, table: Arc<Table>) -> Self {
        Self {
            name: name.into(),
            table,
            reasons: Reasons::default(),
            open_connections: Gauge::default(),
            accepted: Counter::default(),
            refused: Counter::default(),
            tls_failed: Counter::default(),
            in_flight: Gauge::default(),
        }
    }

    /// The entry point's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What is measured of one router and the service it names.
pub struct RouterSeries {
    router: Name,
    service: Name,
    internal: bool,
    pub(super) table: Arc<Table>,
}

impl RouterSeries {
    pub(super) fn new(router: &Name, service: &Name, table: Arc<Table>) -> Self {
        Self { router: router.clone(), service: service.clone(), internal: service.provider() == "internal", table }
    }

    /// The router's qualified name.
    pub fn name(&self) -> &str {
        self.router.as_str()
    }

    /// The qualified name of the service it sends to.
    pub fn service(&self) -> &str {
        self.service.as_str()
    }

    /// Its service is Fairlead's own.
    pub fn is_internal(&self) -> bool {
        self.internal
    }
}

/// What is measured of one service.
pub struct ServiceSeries {
    name: Name,
    pub(super) table: Arc<Table>,
    /// Attempts beyond the first.
    pub retries: Counter,
    /// Connection attempts that joined one that was slow.
    pub races: Counter,
    /// Servers taken out because requests failed at them.
    pub ejections: Counter,
    /// Retries that the budget refused.
    pub retries_refused: Counter,
    /// Connections of clients joined with one of its servers.
    pub tcp_connections: Counter,
    /// Those of them that are open now.
    pub tcp_open: Gauge,
    /// Bytes that such connections brought to servers, counted when they end.
    pub tcp_sent: Counter,
    /// Bytes that they brought to clients.
    pub tcp_received: Counter,
    pub(super) attempts: [AtomicU64; AttemptOutcome::ALL.len()],
}

impl ServiceSeries {
    pub(super) fn new(name: &Name, table: Arc<Table>) -> Self {
        Self {
            name: name.clone(),
            table,
            retries: Counter::default(),
            races: Counter::default(),
            ejections: Counter::default(),
            retries_refused: Counter::default(),
            tcp_connections: Counter::default(),
            tcp_open: Gauge::default(),
            tcp_sent: Counter::default(),
            tcp_received: Counter::default(),
            attempts: Default::default(),
        }
    }

    /// The service's qualified name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Counts an attempt that has ended.
    pub fn attempt(&self, outcome: AttemptOutcome) {
        self.attempts[outcome as usize].fetch_add(1, Relaxed);
    }
}

/// What is measured of one provider.
#[derive(Debug, Default)]
pub struct ProviderSeries {
    /// When it was last known to be up to date, in milliseconds since 1970; 0: never.
    pub(super) synced: AtomicU64,
    pub(super) connected: AtomicBool,
    /// Configurations it gave.
    pub updates: Counter,
    /// Times it failed to ask, or got no usable answer.
    pub failures: Counter,
}

impl ProviderSeries {
    /// It is up to date as of `now`, the time since 1970.
    pub fn synced(&self, now: Duration) {
        self.synced.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.connected.store(true, Relaxed);
    }

    /// Whether it is in touch with its source.
    pub fn connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }
}

/// A certificate that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateGauge {
    pub common_name: String,
    pub serial: String,
    /// Joined by commas.
    pub sans: String,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// Counters and gauges of the process as a whole.
#[derive(Debug, Default)]
pub struct Process {
    /// Configurations applied.
    pub config_reloads: Counter,
    /// Updates of which some unit was rejected.
    pub config_reloads_with_rejections: Counter,
    /// Seconds since 1970.
    pub config_last_reload_success: Gauge,
    /// Number of the snapshot in force.
    pub snapshot: Gauge,
    /// Rejections in force: units not served as written.
    pub rejections: Gauge,
    /// From a provider's event to the moment its snapshot was in force.
    pub event_to_served: Histogram,
    /// Actors that ended by a panic and were started again.
    pub actor_restarts: Counter,
    /// Connections to servers that are open now, idle ones included.
    pub upstream_open: Gauge,
    /// Connections to servers that wait for a request.
    pub upstream_idle: Gauge,
    /// Tasks of data-plane workers.
    pub worker_tasks: Gauge,
    /// Connections to servers that were opened.
    pub upstream_connects: Counter,
    /// Requests that went over a connection that was there already.
    pub upstream_reuses: Counter,
    /// Batches of access-log lines that could not be written; their lines count as dropped.
    pub access_log_write_errors: Counter,
    /// Names that came after the cap and share the series `overflow`.
    pub series_overflowed: Counter,
    /// Spans that were exported.
    pub spans_exported: Counter,
    /// Spans that an exporter gave up.
    pub spans_failed: Counter,
}
