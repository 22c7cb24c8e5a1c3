//! Services ready to serve, made from those before.

use super::{
    CompiledKind, CompiledService, Layer, ServiceId,
    places::{Placed, Places},
};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{Service, ServiceKind},
    },
    map::Map,
};
use std::{collections::BTreeSet, sync::Arc};

/// Every service; of requests by name, then of connections by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    all: Places<(Layer, Name), CompiledService>,
    /// Those that refer to others.
    groups: Arc<BTreeSet<(Layer, Name)>>,
}

impl Placed for CompiledService {
    fn place(&self) -> u32 {
        self.id.0
    }
}

impl Services {
    /// What `config` comes to, where `before` came to these. And the places of services that are gone, even if others stand there now.
    pub fn after(&self, before: [&Map<Name, Arc<Service>>; 2], config: &Config) -> (Self, BTreeSet<ServiceId>) {
        let mut next = self.clone();
        let mut gone = BTreeSet::new();
        let mut moved = false;
        let mut groups = BTreeSet::new();
        let layers = [(Layer::Http, &config.services), (Layer::Tcp, &config.tcp.services)];
        for ((layer, services), before) in layers.into_iter().zip(before) {
            for (name, was, is) in services.changes(before, Arc::ptr_eq) {
                let key = (layer, name.clone());
                moved |= was.is_none() || is.is_none();
                let Some(service) = is else {
                    gone.extend(next.all.remove(&key).map(|service| service.id));
                    if next.groups.contains(&key) {
                        Arc::make_mut(&mut next.groups).remove(&key);
                    }
                    continue;
                };
                let kind = match service.kind {
                    ServiceKind::LoadBalancer(_) => CompiledKind::LoadBalancer,
                    ServiceKind::Internal(internal) => CompiledKind::Internal(internal),
                    // Until all have their places.
                    ServiceKind::Weighted(_) | ServiceKind::Failover(_) => CompiledKind::Weighted { children: Vec::new() },
                };
                let is_group = matches!(kind, CompiledKind::Weighted { .. });
                if is_group != next.groups.contains(&key) {
                    let all = Arc::make_mut(&mut next.groups);
                    let _ = if is_group { all.insert(key.clone()) } else { all.remove(&key) };
                }
                if is_group {
                    groups.insert(key.clone());
                }
                next.put(key, service, kind);
            }
        }
        // One that came may be what a group waited for; one that went left its place to another.
        let all = Arc::clone(&next.groups);
        for key in if moved { &*all } else { &groups } {
            let of = |all: &Map<Name, Arc<Service>>| all.get(&key.1).cloned();
            let service = of(if key.0 == Layer::Http { &config.services } else { &config.tcp.services });
            let Some(service) = service else { continue };
            let kind = next.group(key.0, &service.kind);
            if next.all.get(key).is_none_or(|known| known.kind != kind) {
                next.put(key.clone(), &service, kind);
            }
        }
        (next, gone)
    }

    fn put(&mut self, key: (Layer, Name), service: &Arc<Service>, kind: CompiledKind) {
        let id = ServiceId(self.all.place_for(&key));
        let compiled = CompiledService { id, layer: key.0, name: key.1.clone(), service: Arc::clone(service), kind };
        self.all.put(key, Arc::new(compiled));
    }

    /// References that are not found are left out of their group.
    fn group(&self, layer: Layer, kind: &ServiceKind) -> CompiledKind {
        let place = |name: &Name| self.named(layer, name).map(|service| service.id);
        match kind {
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
        }
    }

    pub fn get(&self, id: ServiceId) -> Option<&CompiledService> {
        self.all.at(id.0)
    }

    pub fn named(&self, layer: Layer, name: &Name) -> Option<&CompiledService> {
        self.all.get(&(layer, name.clone())).map(|service| &**service)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CompiledService> + Clone {
        self.all.iter()
    }

    /// Services that are others than before.
    pub fn changes<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s CompiledService>, Option<&'s CompiledService>)> + Clone {
        self.all.changes(&before.all)
    }

    pub fn is_sparse(&self) -> bool {
        self.all.is_sparse()
    }
}
