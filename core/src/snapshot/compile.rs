//! Routers of requests with all that they refer to: the service found, chains flattened.

use super::{
    CompiledRouter, Layer, RetryPolicy, RouterId, ServiceId, StageRef, places::Placed, routers::Whole, services::Services,
};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{Middleware, MiddlewareKind, Router},
    },
    map::Map,
};
use std::{collections::BTreeSet, sync::Arc};

/// Chains nest no deeper; `resolve` refuses cycles, and this ends one that came through.
const MAX_CHAIN: usize = 32;

impl Placed for CompiledRouter {
    fn place(&self) -> u32 {
        self.id.0
    }
}

impl Whole for CompiledRouter {
    type Router = Router;

    fn name(&self) -> &Name {
        &self.name
    }

    fn router(&self) -> &Arc<Router> {
        &self.router
    }

    fn service(&self) -> ServiceId {
        self.service
    }

    fn is_same(&self, other: &Self) -> bool {
        let stage = |(a, b): (&StageRef, &StageRef)| Arc::ptr_eq(&a.middleware, &b.middleware);
        Arc::ptr_eq(&self.router, &other.router)
            && (self.id, self.service, self.retry) == (other.id, other.service, other.retry)
            && self.stages.len() == other.stages.len()
            && self.stages.iter().zip(&other.stages).all(stage)
    }
}

/// `None` unless it is whole: a router is never served without one of its middlewares.
pub(super) fn router(
    id: RouterId,
    name: &Name,
    router: &Arc<Router>,
    config: &Config,
    services: &Services,
) -> Option<CompiledRouter> {
    let service = services.named(Layer::Http, &router.service)?.id;
    let mut stages = Vec::with_capacity(router.middlewares.len());
    if !flatten(config, &router.middlewares, 0, &mut stages) {
        return None;
    }
    let retry = take_retry(&mut stages);
    Some(CompiledRouter { id, name: name.clone(), router: Arc::clone(router), stages, retry, service })
}

/// Middlewares that are others than before, or no more, and chains that lead to one.
pub(super) fn changed<'c>(
    middlewares: &'c Map<Name, Arc<Middleware>>,
    before: &'c Map<Name, Arc<Middleware>>,
) -> BTreeSet<&'c Name> {
    let mut changed: BTreeSet<&Name> = middlewares.changes(before, Arc::ptr_eq).into_iter().map(|(name, ..)| name).collect();
    let mut all = changed.len();
    while all > 0 {
        let leads_there = |(name, middleware): &(&Name, &Arc<Middleware>)| match &middleware.kind {
            MiddlewareKind::Chain { middlewares } => {
                !changed.contains(name) && middlewares.iter().any(|name| changed.contains(name))
            }
            _ => false,
        };
        let more: Vec<&Name> = middlewares.iter().filter(leads_there).map(|(name, _)| name).collect();
        all = more.len();
        changed.extend(more);
    }
    changed
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
