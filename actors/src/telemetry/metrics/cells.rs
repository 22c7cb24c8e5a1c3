//! The counters behind one name: a small table from (code, method, protocol) to a cell, one table per worker.
//!
//! All three come from closed lists or bounded numbers, and a table holds at most [`MAX_CELLS`] cells; what comes after
//! goes to one cell for the rest. A table only grows, so it is read without a lock, and a cell is found by walking a
//! chain of a few entries.

use crate::telemetry::{Record, TlsInfo};
use fairlead_net::http::Method;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// Cells of one table. Ten times what a service needs that answers with every usual code to every usual method.
pub(in crate::telemetry) const MAX_CELLS: usize = 256;
/// Pairs of TLS version and suite of one table.
const MAX_TLS: usize = 32;
const HEADS: usize = 16;

/// Every method that has a label of its own; then the label of the others.
const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI", "EXTENSION_METHOD"];
const PROTOCOLS: [&str; 5] = ["http", "websocket", "sse", "grpc", "grpc-web"];

/// What all tables have in common.
pub(super) struct Shape {
    /// Upper bounds in nanoseconds.
    pub(super) bounds: Box<[u64]>,
    /// The same as Prometheus prints them, then `+Inf`.
    pub(super) labels: Box<[Box<str>]>,
    shards: usize,
}

impl Shape {
    pub(super) fn new(buckets: &[f64], shards: usize) -> Self {
        let mut buckets: Vec<f64> = buckets.iter().copied().filter(|b| b.is_finite() && *b >= 0.0).collect();
        buckets.sort_by(f64::total_cmp);
        buckets.dedup();
        buckets.truncate(64);
        let bounds = buckets.iter().map(|b| (b * 1e9) as u64).collect();
        let labels = buckets.iter().map(|b| b.to_string().into()).chain(["+Inf".into()]).collect();
        Self { bounds, labels, shards }
    }
}

/// The three request labels, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u32);

impl Key {
    /// Where everything goes once a table is full.
    const REST: Self = Self(u32::MAX);

    pub(super) fn of(record: &Record<'_>) -> Self {
        let protocol = protocol(record);
        let code = if protocol >= 3 { grpc_code(record) } else { record.status };
        Self(u32::from(code.min(999)) << 8 | (method(record.method) as u32) << 4 | protocol as u32)
    }

    pub(super) fn labels(self) -> (Code, &'static str, &'static str) {
        if self == Self::REST {
            return (Code(None), "EXTENSION_METHOD", "other");
        }
        let method = METHODS.get((self.0 >> 4 & 15) as usize).unwrap_or(&"EXTENSION_METHOD");
        let protocol = PROTOCOLS.get((self.0 & 15) as usize).unwrap_or(&"http");
        (Code(Some((self.0 >> 8) as u16)), method, protocol)
    }
}

/// A status as a label.
pub(super) struct Code(Option<u16>);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(code) => code.fmt(f),
            None => f.write_str("other"),
        }
    }
}

fn method(method: &Method) -> usize {
    match method {
        Method::Get => 0,
        Method::Head => 1,
        Method::Post => 2,
        Method::Put => 3,
        Method::Delete => 4,
        Method::Connect => 5,
        Method::Options => 6,
        Method::Trace => 7,
        Method::Patch => 8,
        Method::Other(name) if &**name == "PRI" => 9,
        Method::Other(_) => 10,
    }
}

/// In Traefik's order: what asks for an upgrade, then an event stream, then gRPC by content type.
fn protocol(record: &Record<'_>) -> usize {
    let fields = record.request_fields;
    let has = |name: &str, token: &[u8]| {
        fields.get(name).is_some_and(|v| v.len() < 1024 && v.windows(token.len()).any(|w| w.eq_ignore_ascii_case(token)))
    };
    if has("upgrade", b"websocket") {
        return 1;
    }
    if has("accept", b"text/event-stream") {
        return 2;
    }
    match fields.get("content-type") {
        Some(v) if v.starts_with(b"application/grpc-web") => 4,
        Some(v) if v.starts_with(b"application/grpc") => 3,
        _ => 0,
    }
}

/// `Grpc-Status` of the trailers or the head; 2 (unknown) without.
fn grpc_code(record: &Record<'_>) -> u16 {
    let said = |fields: Option<&fairlead_net::http::Fields>| fields.and_then(|f| f.get_str("grpc-status")?.parse::<u16>().ok());
    said(record.trailers).or_else(|| said(record.response_fields)).filter(|code| *code <= 16).unwrap_or(2)
}

/// What one request adds.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) nanos: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
}

/// Sums of one cell over all workers.
#[derive(Clone, Default)]
pub(super) struct Sum {
    pub(super) buckets: Vec<u64>,
    pub(super) nanos: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
}

impl Sum {
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// The counters behind one name.
pub(super) struct Table {
    shape: Arc<Shape>,
    /// Made when a worker has its first request for this name.
    shards: Box<[OnceLock<Box<Shard>>]>,
}

#[derive(Default)]
struct Shard {
    heads: [OnceLock<Box<Node>>; HEADS],
    cells: AtomicUsize,
    rest: OnceLock<Box<Cell>>,
    tls: OnceLock<Box<TlsNode>>,
}

struct Node {
    key: Key,
    cell: Cell,
    next: OnceLock<Box<Node>>,
}

struct TlsNode {
    version: &'static str,
    cipher: Box<str>,
    count: AtomicU64,
    next: OnceLock<Box<TlsNode>>,
}

struct Cell {
    /// Requests by duration, the last bucket without bound: their sum is the number of requests.
    buckets: Box<[AtomicU64]>,
    nanos: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

impl Table {
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        Self { shape: Arc::clone(shape), shards: (0..shape.shards).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn add(&self, shard: usize, key: Key, sample: &Sample, tls: Option<&TlsInfo<'_>>) {
        let shard = self.shards[shard].get_or_init(Box::default);
        shard.cell(key, &self.shape).add(sample, &self.shape.bounds);
        if let Some(tls) = tls {
            shard.add_tls(tls);
        }
    }

    /// Every cell, summed over the workers.
    pub(super) fn sums(&self) -> BTreeMap<Key, Sum> {
        let mut sums = BTreeMap::<Key, Sum>::new();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for head in &shard.heads {
                let mut at = head.get();
                while let Some(node) = at {
                    node.cell.sum_into(sums.entry(node.key).or_default());
                    at = node.next.get();
                }
            }
            if let Some(cell) = shard.rest.get() {
                cell.sum_into(sums.entry(Key::REST).or_default());
            }
        }
        sums
    }

    /// Requests by TLS version and suite.
    pub(super) fn tls_sums(&self) -> BTreeMap<(&'static str, &str), u64> {
        let mut sums = BTreeMap::new();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            let mut at = shard.tls.get();
            while let Some(node) = at {
                *sums.entry((node.version, &*node.cipher)).or_default() += node.count.load(Relaxed);
                at = node.next.get();
            }
        }
        sums
    }
}

impl Shard {
    fn cell(&self, key: Key, shape: &Shape) -> &Cell {
        let mut slot = &self.heads[(key.0 ^ key.0 >> 8) as usize % HEADS];
        loop {
            let node = match slot.get() {
                Some(node) => node,
                None if self.cells.load(Relaxed) >= MAX_CELLS => return self.rest.get_or_init(|| Box::new(Cell::new(shape))),
                None => slot.get_or_init(|| {
                    self.cells.fetch_add(1, Relaxed);
                    Box::new(Node { key, cell: Cell::new(shape), next: OnceLock::new() })
                }),
            };
            // Another worker that shares this shard may have filled the slot with another key.
            if node.key == key {
                return &node.cell;
            }
            slot = &node.next;
        }
    }

    fn add_tls(&self, tls: &TlsInfo<'_>) {
        let mut slot = &self.tls;
        for _ in 0..MAX_TLS {
            let node = slot.get_or_init(|| {
                Box::new(TlsNode {
                    version: tls.version,
                    cipher: tls.cipher.into(),
                    count: AtomicU64::new(0),
                    next: OnceLock::new(),
                })
            });
            if node.version == tls.version && &*node.cipher == tls.cipher {
                node.count.fetch_add(1, Relaxed);
                return;
            }
            slot = &node.next;
        }
    }
}

impl Cell {
    fn new(shape: &Shape) -> Self {
        Self {
            buckets: (0..=shape.bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            nanos: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }

    fn add(&self, sample: &Sample, bounds: &[u64]) {
        let bucket = bounds.iter().position(|bound| sample.nanos <= *bound).unwrap_or(bounds.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(sample.nanos, Relaxed);
        if sample.request_bytes > 0 {
            self.request_bytes.fetch_add(sample.request_bytes, Relaxed);
        }
        if sample.response_bytes > 0 {
            self.response_bytes.fetch_add(sample.response_bytes, Relaxed);
        }
    }

    fn sum_into(&self, sum: &mut Sum) {
        sum.buckets.resize(self.buckets.len(), 0);
        for (sum, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Relaxed);
        }
        sum.nanos = sum.nanos.wrapping_add(self.nanos.load(Relaxed));
        sum.request_bytes += self.request_bytes.load(Relaxed);
        sum.response_bytes += self.response_bytes.load(Relaxed);
    }
}
