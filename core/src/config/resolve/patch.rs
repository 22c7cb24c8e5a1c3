//! The next configuration from the last one, where a few services and routers changed and nothing depends on how.
//!
//! A unit that was served as it was written and is so again, under the same name and without a word to be said about it, decides for no other:
//! what was settled stays settled. Whatever is not as simple as that is left to [`super::resolve`].

use super::{
    Hints, INTERNAL, Settled, built,
    memo::{Built, Entry},
    router::{self, Copies, Known},
    service,
};
use crate::{
    Name,
    config::{
        Config, RawDynamic, StaticConfig,
        dynamic::{Service, ServiceKind},
        raw::{Unit, Units},
    },
    map::Map,
    planted::planted,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// More changes than this are settled as all are.
const MANY: usize = 500;

/// One unit: of a provider, under a name, before and now.
struct Changed<'u, T> {
    provider: &'u str,
    local: &'u str,
    before: Option<&'u Unit<T>>,
    now: Option<&'u Unit<T>>,
}

/// What comes of `inputs`, if that can be told from what came of the last ones.
pub(super) fn patch(inputs: &BTreeMap<String, RawDynamic>, config: &StaticConfig, last: &Config) -> Option<Config> {
    let before = &last.memo.inputs;
    if !before.keys().eq(inputs.keys()) {
        return None;
    }
    let (mut services, mut routers) = (Vec::new(), Vec::new());
    for ((provider, raw), before) in inputs.iter().zip(before.values()).filter(|((provider, _), _)| *provider != INTERNAL) {
        if !raw.is_alike_beside_routes(before) {
            return None;
        }
        services.extend(changed(provider, &raw.services, &before.services));
        routers.extend(changed(provider, &raw.routers, &before.routers));
    }
    let all_named_as_before = services.iter().all(Changed::keeps_its_name) && routers.iter().all(Changed::keeps_its_name);
    // What is refused may be served once a name is there, or be refused for another reason.
    if services.len() + routers.len() > MANY || !(all_named_as_before || last.memo.rejections.is_empty()) {
        return None;
    }
    let mut next = Config { memo: Arc::default(), ..last.clone() };
    let mut memo = (*last.memo).clone();
    memo.inputs.clone_from(inputs);
    for changed in &services {
        apply_service(changed, config, &mut next.services, &mut memo.services)?;
    }
    let hints = Hints::default();
    for changed in &routers {
        let Changed { provider, local, before, now } = changed;
        let known = Known {
            services: &next.services,
            middlewares: &last.middlewares,
            tls: &last.tls,
            service_names: &[],
            middleware_names: &[],
        };
        let name = Name::qualify(local, provider);
        let was = as_written(*before, local, provider, &memo.routers, memo.served.get(&name))?;
        let is = match now {
            None => None,
            Some(unit) => {
                let routers = was.as_ref().map_or(&[][..], |copies| copies.routers());
                let (copies, found) = router::build(unit, &name, provider, config, routers, known.services);
                let copies = copies.filter(|copies| found.is_empty() && router::is_whole(copies, inputs, &known, &hints))?;
                Some(match &was {
                    Some(was) if was.same(&copies) => was.clone(),
                    _ => Arc::new(copies),
                })
            }
        };
        let names = |copies: &Option<Arc<Copies>>| {
            copies.iter().flat_map(|copies| copies.routers()).map(|router| router.name.clone()).collect::<Vec<_>>()
        };
        if !last.memo.rejections.is_empty() && names(&was) != names(&is) {
            return None;
        }
        let entry = now.zip(is.as_ref()).map(|(unit, copies)| Entry::new(&unit.written, &name, copies, &[]));
        memo.routers.replace(before.map(|unit| &unit.written), entry);
        if was.as_ref().zip(is.as_ref()).is_some_and(|(was, is)| Arc::ptr_eq(was, is)) {
            continue;
        }
        for router in was.iter().flat_map(|copies| copies.routers()) {
            next.routers.remove(&router.name);
        }
        for router in is.iter().flat_map(|copies| copies.routers()) {
            // Two that want one name are for `resolve` to judge.
            if next.routers.insert(router.name.clone(), router.clone()).is_some() {
                return None;
            }
        }
        match is {
            Some(copies) => memo.served.insert(name, copies),
            None => memo.served.remove(&name),
        };
    }
    let gone: BTreeSet<Name> = services
        .iter()
        .filter(|changed| changed.now.is_none())
        .map(|changed| Name::qualify(changed.local, changed.provider))
        .collect();
    if !gone.is_empty() && is_referred_to(&gone, &next) {
        return None;
    }
    Some(Config { memo: Arc::new(memo), ..next })
}

/// Puts one service in its place; `None`: it has to be settled with all others.
fn apply_service(
    changed: &Changed<'_, crate::config::raw::Service>,
    config: &StaticConfig,
    services: &mut Map<Name, Arc<Service>>,
    memo: &mut Built<Service>,
) -> Option<()> {
    let Changed { provider, local, before, now } = changed;
    let name = Name::qualify(local, provider);
    let was = as_written(*before, local, provider, memo, services.get(&name))?;
    let is_balancer = |service: &Arc<Service>| matches!(service.kind, ServiceKind::LoadBalancer(_));
    if !was.iter().all(is_balancer) {
        return None;
    }
    let Some(unit) = now else {
        memo.replace(before.map(|unit| &unit.written), None);
        services.remove(&name);
        return Some(());
    };
    let (service, found) = built(unit, |raw, notes| service::build(raw, &name, provider, config, notes));
    let service = service.filter(|_| found.is_empty())?;
    let service = match was {
        Some(was) if was.same(&service) => {
            memo.replace(before.map(|unit| &unit.written), Some(Entry::new(&unit.written, &name, &was, &[])));
            return Some(());
        }
        was => {
            // A transport that was there for the version before is there.
            let transport = |service: &Service| match &service.kind {
                ServiceKind::LoadBalancer(balancer) => Some(balancer.transport.clone()),
                _ => None,
            };
            let wanted = transport(&service)?;
            let known = was.as_deref().and_then(transport);
            if known.is_none_or(|known| known != wanted) && wanted != config.servers_transport.name {
                return None;
            }
            Arc::new(service)
        }
    };
    memo.replace(before.map(|unit| &unit.written), Some(Entry::new(&unit.written, &name, &service, &[])));
    if !(planted!("patch_forgets") && before.is_some()) {
        services.insert(name, service);
    }
    Some(())
}

/// The unit that is served as `before` was written, or none where nothing was. `None`: it is served otherwise, or not at all.
fn as_written<R, T: Settled>(
    before: Option<&Unit<R>>,
    local: &str,
    provider: &str,
    memo: &Built<T>,
    served: Option<&Arc<T>>,
) -> Option<Option<Arc<T>>> {
    let Some(before) = before else { return served.is_none().then_some(None) };
    let entry = memo.find(&before.written, local, provider).filter(|entry| entry.rejections.is_empty())?;
    let served = served.filter(|served| Arc::ptr_eq(served, &entry.unit) || served.same(&entry.unit))?;
    Some(Some(served.clone()))
}

fn is_referred_to(services: &BTreeSet<Name>, config: &Config) -> bool {
    config.routers.values().any(|router| services.contains(&router.service))
        || config.services.values().any(|service| service::children(&service.kind).iter().any(|child| services.contains(child)))
}

fn changed<'u, T>(provider: &'u str, now: &'u Units<T>, before: &'u Units<T>) -> impl Iterator<Item = Changed<'u, T>> {
    let changes = now.changes(before, |was, is| Arc::ptr_eq(&was.written, &is.written));
    changes.into_iter().map(move |(local, before, now)| Changed { provider, local, before, now })
}

impl<T> Changed<'_, T> {
    fn keeps_its_name(&self) -> bool {
        self.before.is_some() && self.now.is_some()
    }
}

impl Copies {
    fn routers(&self) -> &[Arc<crate::config::dynamic::Router>] {
        &self.0
    }
}
