//! From the resolved configuration to routers and services that refer to each other by place.

use super::{CompiledKind, CompiledRouter, CompiledService, RetryPolicy, RouterId, ServiceId, StageRef};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{MiddlewareKind, ServiceKind},
    },
};
use std::sync::Arc;

/// Chains nest no deeper; `resolve` refuses cycles, and this ends one that came through.
const MAX_CHAIN: usize = 32;

/// Every service, sorted by name. References that are not found are left out of their group.
pub(super) fn services(config: &Config) -> Vec<CompiledService> {
    let names: Vec<&Name> = config.services.keys().collect();
    let place = |name: &Name| names.binary_search(&name).ok().map(id);
    let compile = |(at, (name, service)): (usize, (&Name, &Arc<crate::config::dynamic::Service>))| {
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
        CompiledService { id: id(at), name: name.clone(), service: Arc::clone(service), kind }
    };
    config.services.iter().enumerate().map(compile).collect()
}

/// Every router that is whole, sorted by name.
pub(super) fn routers(config: &Config, services: &[CompiledService]) -> Vec<CompiledRouter> {
    let mut compiled = Vec::with_capacity(config.routers.len());
    for (name, router) in &config.routers {
        let Ok(service) = services.binary_search_by(|service| service.name.cmp(&router.service)) else { continue };
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
            service: id(service),
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
