//! From the resolved configuration to routers and services that refer to each other by place.

use super::{
    CompiledKind, CompiledRouter, CompiledService, CompiledTcpRouter, Layer, RetryPolicy, RouterId, ServiceId, StageRef, tcp,
};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{MiddlewareKind, Service, ServiceKind},
    },
};
use std::sync::Arc;

/// Chains nest no deeper; `resolve` refuses cycles, and this ends one that came through.
const MAX_CHAIN: usize = 32;

/// Where services stand in the list of them: those of requests by name, then those of connections by name.
pub(super) struct Places<'c> {
    http: Vec<&'c Name>,
    tcp: Vec<&'c Name>,
}

impl<'c> Places<'c> {
    pub(super) fn of(config: &'c Config) -> Self {
        Self { http: config.services.keys().collect(), tcp: config.tcp.services.keys().collect() }
    }

    pub(super) fn http(&self, name: &Name) -> Option<ServiceId> {
        self.http.binary_search(&name).ok().map(id)
    }

    pub(super) fn tcp(&self, name: &Name) -> Option<ServiceId> {
        self.tcp.binary_search(&name).ok().map(|at| id(self.http.len() + at))
    }
}

/// Routers, services, and routers of connections.
pub(super) type Lists = (Arc<Vec<CompiledRouter>>, Arc<Vec<CompiledService>>, Arc<Vec<CompiledTcpRouter>>);

pub(super) fn lists(config: &Config) -> Lists {
    let places = Places::of(config);
    (Arc::new(routers(config, &places)), Arc::new(services(config, &places)), Arc::new(tcp::routers(config, &places)))
}

/// Every service, in the order of [`Places`]. References that are not found are left out of their group.
pub(super) fn services(config: &Config, places: &Places<'_>) -> Vec<CompiledService> {
    let compile = |layer: Layer, name: &Name, service: &Arc<Service>| {
        let place = |name: &Name| if layer == Layer::Http { places.http(name) } else { places.tcp(name) };
        let kind = match &service.kind {
            ServiceKind::LoadBalancer(_) => CompiledKind::LoadBalancer,
            ServiceKind::Internal(internal) => CompiledKind::Internal(*internal),
            ServiceKind::Weighted(weighted) => CompiledKind::Weighted {
                children: weighted.services.iter().filter_map(|(child, weight)| Some((place(child)?, *weight))).collect(),
            },
            ServiceKind::Failover(failover) => match (place(&failover.service), place(&failover.fallback)) {
                (Some(main), Some(fallback)) => CompiledKind::Failover { main, fallback },
                (main, fallback) => {
                    CompiledKind::Weighted { children: main.into_iter().chain(fallback).map(|child| (child, 1)).collect() }
                }
            },
        };
        let id = place(name)?;
        Some(CompiledService { id, layer, name: name.clone(), service: Arc::clone(service), kind })
    };
    let http = config.services.iter().filter_map(|(name, service)| compile(Layer::Http, name, service));
    let tcp = config.tcp.services.iter().filter_map(|(name, service)| compile(Layer::Tcp, name, service));
    http.chain(tcp).collect()
}

/// Every router that is whole, sorted by name.
pub(super) fn routers(config: &Config, services: &Places<'_>) -> Vec<CompiledRouter> {
    let mut compiled = Vec::with_capacity(config.routers.len());
    for (name, router) in &config.routers {
        let Some(service) = services.http(&router.service) else { continue };
        let mut stages = Vec::with_capacity(router.middlewares.len());
        if !flatten(config, &router.middlewares, 0, &mut stages) {
            continue;
        }
        let retry = take_retry(&mut stages);
        compiled.push(CompiledRouter {
            id: RouterId(id(compiled.len()).0),
            name: name.clone(),
            router: Arc::clone(router),
            stages,
            retry,
            service,
        });
    }
    compiled
}

/// Appends the stages of these middlewares and tells whether all were found.
fn flatten(config: &Config, names: &[Name], depth: usize, stages: &mut Vec<StageRef>) -> bool {
    depth < MAX_CHAIN
        && names.iter().all(|name| match config.middlewares.get(name) {
            None => false,
            Some(middleware) => match &middleware.kind {
                MiddlewareKind::Chain { middlewares } => flatten(config, middlewares, depth + 1, stages),
                _ => {
                    stages.push(StageRef { name: name.clone(), middleware: Arc::clone(middleware) });
                    true
                }
            },
        })
}

fn take_retry(stages: &mut Vec<StageRef>) -> Option<RetryPolicy> {
    let mut most: Option<RetryPolicy> = None;
    stages.retain(|stage| match stage.middleware.kind {
        MiddlewareKind::Retry { attempts, initial_interval } => {
            if most.is_none_or(|policy| policy.attempts < attempts) {
                most = Some(RetryPolicy { attempts, initial_interval });
            }
            false
        }
        _ => true,
    });
    most
}

fn id(at: usize) -> ServiceId {
    // More than four billion units do not fit into memory.
    ServiceId(u32::try_from(at).unwrap_or(u32::MAX))
}
