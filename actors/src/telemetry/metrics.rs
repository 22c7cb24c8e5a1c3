//! The registry: which series exist, and what each request adds to them.
//!
//! A series is made when configuration names it and lives as long as somebody holds it; after the last holder is gone it
//! is exported once more. Beyond a hard cap, new names share one series labelled `overflow`.

mod cells;
mod prometheus;
mod series;

pub use series::{
    AttemptOutcome, CertificateGauge, Counter, EntryPointSeries, Gauge, Histogram, Process, ProviderSeries, RouterSeries,
    ServiceSeries,
};

use super::{Record, nanos};
#[cfg(test)]
pub(super) use cells::MAX_CELLS;
use cells::{Key, Table};
use fairlead_core::Name;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// What is measured of requests. Traefik's options, with its defaults.
#[derive(Clone, Debug)]
pub struct MetricsOptions {
    /// Upper bounds of the duration histograms in seconds, rising.
    pub buckets: Vec<f64>,
    pub entry_points: bool,
    pub routers: bool,
    pub services: bool,
    /// Also requests to `…@internal` services.
    pub internals: bool,
    /// Names of each kind (routers, services) that get a series of their own.
    pub max_series: usize,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            buckets: vec![0.1, 0.3, 1.2, 5.0],
            entry_points: true,
            routers: false,
            services: true,
            internals: false,
            max_series: 20_000,
        }
    }
}

pub(super) struct Registry {
    options: Option<MetricsOptions>,
    shape: Arc<cells::Shape>,
    pub(super) process: Process,
    /// Requests of the names beyond the cap, and none of those that are not measured.
    overflow: Arc<Table>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    entry_points: BTreeMap<Box<str>, Arc<EntryPointSeries>>,
    /// By router, then service: a router that changes its service starts anew.
    routers: BTreeMap<(Name, Name), Arc<RouterSeries>>,
    services: BTreeMap<Name, Arc<ServiceSeries>>,
    providers: BTreeMap<Box<str>, Arc<ProviderSeries>>,
    servers: BTreeMap<(Box<str>, Box<str>), bool>,
    certificates: Vec<CertificateGauge>,
}

impl Registry {
    pub(super) fn new(options: Option<MetricsOptions>, shards: usize) -> Self {
        let shape = Arc::new(cells::Shape::new(options.as_ref().map_or(&[], |o| &o.buckets), shards));
        Self { overflow: Arc::new(Table::new(&shape)), options, shape, process: Process::default(), names: Mutex::default() }
    }

    pub(super) fn entry_point(&self, name: &str) -> Arc<EntryPointSeries> {
        let mut names = self.names.lock();
        let new = || Arc::new(EntryPointSeries::new(name, Arc::new(Table::new(&self.shape))));
        Arc::clone(names.entry_points.entry(name.into()).or_insert_with(new))
    }

    pub(super) fn router(&self, router: &Name, service: &Name) -> Arc<RouterSeries> {
        if !self.options.as_ref().is_some_and(|options| options.routers) {
            // Named in logs and traces, and not measured.
            return Arc::new(RouterSeries::new(router, service, Arc::clone(&self.overflow)));
        }
        let key = (router.clone(), service.clone());
        let mut names = self.names.lock();
        self.find_or_make(&mut names.routers, key, |table| RouterSeries::new(router, service, table))
    }

    pub(super) fn service(&self, name: &Name) -> Arc<ServiceSeries> {
        let mut names = self.names.lock();
        self.find_or_make(&mut names.services, name.clone(), |table| ServiceSeries::new(name, table))
    }

    pub(super) fn provider(&self, name: &str) -> Arc<ProviderSeries> {
        let mut names = self.names.lock();
        Arc::clone(names.providers.entry(name.into()).or_default())
    }

    pub(super) fn server_up(&self, service: &str, url: &str, up: Option<bool>) {
        let mut names = self.names.lock();
        let key = (Box::from(service), Box::from(url));
        match up {
            Some(up) if names.servers.len() < self.cap() * 4 || names.servers.contains_key(&key) => {
                names.servers.insert(key, up);
            }
            Some(_) => self.process.series_overflowed.inc(),
            None => {
                names.servers.remove(&key);
            }
        }
    }

    pub(super) fn certificates(&self, installed: Vec<CertificateGauge>) {
        self.names.lock().certificates = installed;
    }

    /// Adds a request to the series it belongs to.
    pub(super) fn record(&self, shard: usize, record: &Record<'_>) {
        if let Some(reason) = record.reason {
            record.entry_point.reasons.add(reason);
        }
        // Connections have counters of their own, which do not speak of requests, and which do not wait for their end.
        if record.tcp {
            return;
        }
        if let Some(service) = record.service
            && record.attempts > 1
        {
            service.retries.add(u64::from(record.attempts - 1));
        }
        let Some(options) = &self.options else { return };
        if !options.internals && record.is_internal() {
            return;
        }
        let key = Key::of(record);
        let sample = cells::Sample {
            nanos: nanos(record.total),
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
        };
        if options.entry_points && planted!("metrics_miscounted") && record.attempts > 1 {
            // Once more for the attempt that failed.
            record.entry_point.table.add(shard, key, &sample, record.tls.as_ref());
        }
        if options.entry_points {
            record.entry_point.table.add(shard, key, &sample, record.tls.as_ref());
        }
        if options.routers
            && let Some(router) = record.router
        {
            router.table.add(shard, key, &sample, record.tls.as_ref());
        }
        // A service that was never asked (no server, refused before it) is measured by the entry point's reasons.
        if options.services
            && let Some(service) = record.service
            && record.attempts > 0
        {
            let nanos = nanos(record.phases.origin());
            service.table.add(shard, key, &cells::Sample { nanos, ..sample }, record.tls.as_ref());
        }
    }

    fn cap(&self) -> usize {
        self.options.as_ref().map_or(20_000, |o| o.max_series)
    }

    fn find_or_make<K: Ord, S>(&self, map: &mut BTreeMap<K, Arc<S>>, key: K, make: impl FnOnce(Arc<Table>) -> S) -> Arc<S> {
        if let Some(found) = map.get(&key) {
            return Arc::clone(found);
        }
        if map.len() >= self.cap() {
            map.retain(|_, series| Arc::strong_count(series) > 1);
        }
        if map.len() >= self.cap() {
            self.process.series_overflowed.inc();
            return Arc::new(make(Arc::clone(&self.overflow)));
        }
        let made = Arc::new(make(Arc::new(Table::new(&self.shape))));
        map.insert(key, Arc::clone(&made));
        made
    }
}
