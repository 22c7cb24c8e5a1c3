//! Routers of requests with all that they refer to: the service found, chains flattened.

use super::{
    CompiledRouter, Layer, RetryPolicy, RouterId, ServiceId, StageRef, places::Placed, routers::Whole, services::Services,
};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{MiddlewareKind, Router},
    },
};
use std::sync::Arc;

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
