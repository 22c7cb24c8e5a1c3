//! From the static configuration to what a gateway is made of: providers and telemetry.
//!
//! Deliberately absent: anything that runs.

use crate::{
    config_watch::Make,
    provider::{
        Provider,
        docker::{PlainProvider, SwarmProvider},
        etcd::EtcdProvider,
        file::FileProvider,
        kontena::KontenaProvider,
        rancher::RancherProvider,
    },
    telemetry::{self, AccessLogOptions, FieldMode, HeaderMode, LogFormat, MetricsOptions, StatusRange, TracingOptions},
};
use fairlead_core::config::static_::{self, AccessLog, AccessLogFormat, Protocol, StaticConfig};
use std::collections::BTreeMap;

/// Entry points for TCP by the port that they listen on.
fn tcp_ports(config: &StaticConfig) -> BTreeMap<u16, String> {
    let points = config.entry_points.values().filter(|point| point.address.protocol == Protocol::Tcp);
    points.map(|point| (point.address.port, point.name.clone())).collect()
}

/// The providers that are configured, by name.
pub fn providers(config: &StaticConfig) -> Vec<(String, Make)> {
    let mut providers: Vec<(String, Make)> = Vec::new();
    if let Some(options) = config.providers.file.clone() {
        let make: Make = Box::new(move || Box::new(FileProvider::new(&options)) as Box<dyn Provider>);
        providers.push(("file".into(), make));
    }
    if let Some(options) = config.providers.etcd.clone() {
        let make: Make = Box::new(move || Box::new(EtcdProvider::new(&options)) as Box<dyn Provider>);
        providers.push(("etcd".into(), make));
    }
    if let Some(options) = config.providers.kontena.clone() {
        let ports = tcp_ports(config);
        let make: Make = Box::new(move || Box::new(KontenaProvider::new(&options, ports.clone())) as Box<dyn Provider>);
        providers.push(("kontena".into(), make));
    }
    for options in config.providers.docker.iter().chain(&config.providers.swarm).cloned() {
        let name = options.settings.provider.clone();
        let make: Make = if options.swarm {
            Box::new(move || Box::new(SwarmProvider::new(&options)))
        } else {
            Box::new(move || Box::new(PlainProvider::new(&options)))
        };
        providers.push((name, make));
    }
    if let Some(options) = config.providers.rancher.clone() {
        let make: Make = Box::new(move || Box::new(RancherProvider::new(&options)) as Box<dyn Provider>);
        providers.push(("rancher".into(), make));
    }
    providers
}

/// What is recorded. `seed` begins the sequence of trace identifiers.
pub fn telemetry(config: &StaticConfig, workers: usize, seed: u64) -> telemetry::Options {
    telemetry::Options {
        workers,
        seed,
        metrics: config.prometheus.as_ref().map(|wanted| MetricsOptions {
            buckets: wanted.buckets.clone(),
            entry_points: wanted.add_entry_points_labels,
            routers: wanted.add_routers_labels,
            services: wanted.add_services_labels,
            internals: wanted.add_internals,
            ..MetricsOptions::default()
        }),
        access_log: config.access_log.as_ref().map(access_log),
        tracing: config.tracing.as_ref().map(|wanted| TracingOptions {
            sample_rate: wanted.sample_rate,
            captured_request_headers: wanted.captured_request_headers.clone(),
            captured_response_headers: wanted.captured_response_headers.clone(),
            safe_query_params: wanted.safe_query_params.clone(),
            internals: wanted.add_internals,
            ..TracingOptions::default()
        }),
    }
}

fn access_log(wanted: &AccessLog) -> AccessLogOptions {
    let keep = |mode: static_::FieldMode| if mode == static_::FieldMode::Drop { FieldMode::Drop } else { FieldMode::Keep };
    let header = |mode: static_::FieldMode| match mode {
        static_::FieldMode::Keep => HeaderMode::Keep,
        static_::FieldMode::Drop => HeaderMode::Drop,
        static_::FieldMode::Redact => HeaderMode::Redact,
    };
    let defaults = AccessLogOptions::default();
    AccessLogOptions {
        format: match wanted.format {
            AccessLogFormat::Common => LogFormat::Common,
            AccessLogFormat::Json => LogFormat::Json,
            AccessLogFormat::GenericClf => LogFormat::GenericClf,
        },
        status_codes: wanted
            .filters
            .status_codes
            .iter()
            .map(|(first, last)| StatusRange { first: *first, last: *last })
            .collect(),
        retry_attempts: wanted.filters.retry_attempts,
        min_duration: wanted.filters.min_duration,
        default_mode: keep(wanted.fields.default_mode),
        names: wanted.fields.names.iter().map(|(name, mode)| (name.clone(), keep(*mode))).collect(),
        header_default_mode: header(wanted.fields.headers_default),
        headers: wanted.fields.headers.iter().map(|(name, mode)| (name.clone(), header(*mode))).collect(),
        query_parameters: keep(wanted.fields.query_parameters),
        internals: wanted.add_internals,
        // Traefik counts lines; a line is rarely longer than half a kilobyte.
        buffer: if wanted.buffering_size > 0 { wanted.buffering_size * 512 } else { defaults.buffer },
    }
}
