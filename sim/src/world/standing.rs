//! What the gateways think of their servers, taken over at every look and held against their traffic.

use super::{World, instance::Instance};
use crate::oracle::{
    Answer, Oracle, Verdict, Violation, broken,
    standing::{Look, Standings},
};
use fairlead_actors::{endpoint::Endpoint, published::Published};
use std::sync::{Arc, Weak};

/// Looks that nothing asks for are this far apart, in the world's own looks.
pub(super) const SELDOM: u64 = 10;

/// The endpoints of one gateway's process.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) standings: Standings,
    /// The snapshot that they are of.
    snapshot: Option<u64>,
    endpoints: Vec<Known>,
    looks: Vec<Look>,
    /// The number of the next one.
    next: u64,
}

/// An endpoint, told from another one of the same name by its place in memory, which is kept as long as it is watched.
struct Known {
    endpoint: Weak<Endpoint>,
    number: u64,
    service: usize,
    server: usize,
}

impl Watched {
    fn look(&mut self, now: u64, instance: &Instance, published: &Published) -> Result<usize, Violation> {
        let snapshot = published.snapshot.number();
        if self.snapshot.replace(snapshot) != Some(snapshot) {
            self.count(instance, published);
        }
        let looks: Vec<_> = self.endpoints.iter().filter_map(Known::look).collect();
        if looks == self.looks {
            self.standings.unchanged(now);
            return Ok(0);
        }
        self.looks.clone_from(&looks);
        self.standings.looked(now, looks)
    }

    fn count(&mut self, instance: &Instance, published: &Published) {
        let before = std::mem::take(&mut self.endpoints);
        for (service, backend) in published.backends().enumerate() {
            for endpoint in &backend.endpoints {
                let Some(server) = instance.server_of(endpoint) else { continue };
                let known = before.iter().find(|known| known.endpoint.as_ptr() == Arc::as_ptr(endpoint));
                let number = known.map_or(self.next, |known| known.number);
                self.next += u64::from(known.is_none());
                self.endpoints.push(Known { endpoint: Arc::downgrade(endpoint), number, service, server });
            }
        }
    }
}

impl Known {
    fn look(&self) -> Option<Look> {
        let endpoint = self.endpoint.upgrade()?;
        Some(Look {
            endpoint: self.number,
            service: self.service,
            server: self.server,
            takes_new: endpoint.takes_new(),
            out: endpoint.is_ejected() || !endpoint.would_take_new(),
            ejected_until: endpoint.ejected_until().map(|until| until.as_millis() as u64),
            suspected_until: endpoint.suspected_until().as_millis() as u64,
        })
    }
}

impl World {
    /// Takes over what every gateway thinks of its servers.
    pub(super) fn look_at_standings(&self) {
        for index in 0..self.gateways.len() {
            self.look_at_standings_of(index);
        }
    }

    fn look_at_standings_of(&self, index: usize) {
        let instance = &self.gateways[index];
        let Some(shared) = instance.shared() else { return };
        let looked = instance.watched.lock().look(self.now(), instance, &shared.published.load());
        match looked {
            Ok(ended) => (0..ended).for_each(|_| self.judges_at(index, Oracle::Legality)),
            Err(violation) => self.judged(Err(violation)),
        }
    }

    /// A request came to a server: is it one that its gateway may give it to?
    pub(super) fn may_be_given(&self, gateway: usize, began: u64, server: usize, id: u64) -> Verdict {
        self.look_at_standings_of(gateway);
        let instance = &self.gateways[gateway];
        let watched = instance.watched.lock();
        if !watched.standings.is_told(began, server) || self.exchange.lock().is_bound(id) {
            return Ok(());
        }
        self.judges_at(gateway, Oracle::Legality);
        let could = |other: usize| instance.is_sound(began, other) && !self.exchange.lock().has_visited(id, other);
        watched.standings.asked(self.now(), began, server, could)
    }

    /// A request that brought a cookie was answered by a server.
    pub(super) fn stays(&self, gateway: usize, began: u64, id: u64, answer: &Answer) -> Verdict {
        let (Some(bound), Some(server)) = (self.exchange.lock().leads_to(id), answer.server) else { return Ok(()) };
        let instance = &self.gateways[gateway];
        // One that another service has by now binds nobody.
        let binds = |standings: &Standings| standings.is_well(began, bound) && standings.are_peers(bound, server);
        let binds = binds(&instance.watched.lock().standings) && instance.is_sound(began, bound);
        if !binds || self.exchange.lock().has_visited(id, bound) && server != bound {
            return Ok(());
        }
        self.judges_at(gateway, Oracle::Sticky);
        if server == bound {
            return Ok(());
        }
        broken(Oracle::Sticky, format!("request {id} is bound to server {bound}, which is well, and was answered by {server}"))
    }
}
