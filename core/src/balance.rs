//! Which server gets a request.
//!
//! A [`Balancer`] lives outside the snapshot and is told of a changed load balancer by [`Balancer::update`], so that
//! unchanged servers keep their place. Whether a server may be picked at all is the caller's answer ([`crate::endpoint`]).
//!
//! Deliberately absent: connections, health, and randomness of its own. A balancer is not shared: each worker has one.

mod composite;
mod hash;
mod rendezvous;
mod sticky;
#[cfg(test)]
mod tests;
mod wheel;

pub use composite::{Choice, WeightedPicker, failover};
pub use hash::{Key, by_cookie};
pub use sticky::Sticky;

use crate::config::dynamic::{LoadBalancer, Server, Strategy};
use std::sync::Arc;
use wheel::Wheel;

/// What a pick depends on besides the balancer's own state. Servers are meant by their index in the load balancer.
pub struct Pick<'a> {
    /// Whether the server may be given new work now.
    pub usable: &'a dyn Fn(usize) -> bool,
    /// Requests that the server has now.
    pub in_flight: &'a dyn Fn(usize) -> u32,
    /// Servers that this request has failed on. None of them is picked while another is usable.
    pub tried: &'a [usize],
    /// Uniform over all 64 bits; only `p2c` looks at it.
    pub random: u64,
    /// What stands for the client; only `hrw` looks at it.
    pub key: Key,
}

/// The servers of one load balancer and whose turn it is.
#[derive(Clone, Debug)]
pub struct Balancer {
    strategy: Strategy,
    wheel: Wheel,
}

impl Balancer {
    /// Begins with the first server.
    pub fn new(service: &LoadBalancer) -> Self {
        Self { strategy: service.strategy, wheel: Wheel::new(seats(&service.servers)) }
    }

    /// Takes over a changed configuration. Servers are the same when their URL text is; those keep their place.
    pub fn update(&mut self, service: &LoadBalancer) {
        self.strategy = service.strategy;
        self.wheel.update(seats(&service.servers));
    }

    /// The server for one attempt; `None` when no server is usable. A server of weight 0 is never picked.
    pub fn pick(&mut self, ctx: &Pick<'_>) -> Option<usize> {
        let untried = self.choose(ctx, &|server| !ctx.tried.contains(&server) && (ctx.usable)(server));
        if untried.is_some() || ctx.tried.is_empty() { untried } else { self.choose(ctx, ctx.usable) }
    }

    /// Whether there is a usable server that the request has not failed on: [`crate::retry::Attempt::others`].
    pub fn has_other(&self, ctx: &Pick<'_>) -> bool {
        (0..self.wheel.len()).any(|server| self.wheel.weight(server) > 0 && !ctx.tried.contains(&server) && (ctx.usable)(server))
    }

    fn choose(&mut self, ctx: &Pick<'_>, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
        match self.strategy {
            Strategy::Wrr => self.wheel.next(admits),
            Strategy::P2c => self.less_busy_of_two(ctx, admits),
            Strategy::LeastConn => self.least_busy(ctx, admits),
            Strategy::Hrw => rendezvous::highest(&self.wheel, ctx.key, admits),
        }
    }

    /// Two distinct servers, uniformly; the first on a tie. Weights do not count beyond being above 0.
    fn less_busy_of_two(&self, ctx: &Pick<'_>, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
        let admitted = |server: usize| self.wheel.weight(server) > 0 && admits(server);
        let draw = |random: u64, count: usize| {
            let scale = |half: u32, count: usize| ((u64::from(half) * count as u64) >> 32) as usize;
            let first = scale((random >> 32) as u32, count);
            // Of the others, so that the two are never the same.
            let second = scale(random as u32, count - 1);
            (first, if second >= first { second + 1 } else { second })
        };
        let less_busy = |first, second| if (ctx.in_flight)(second) < (ctx.in_flight)(first) { second } else { first };
        let all = self.wheel.len();
        if all >= 2 {
            let (first, second) = draw(ctx.random, all);
            if admitted(first) && admitted(second) {
                return Some(less_busy(first, second));
            }
        }
        let mut candidates = (0..all).filter(|server| admitted(*server));
        match candidates.clone().count() {
            0 => None,
            1 => candidates.next(),
            count => {
                // The first draw met a server that is out, so it is no longer a uniform one.
                let (first, second) = draw(rendezvous::mix(ctx.random), count);
                Some(less_busy(candidates.clone().nth(first)?, candidates.nth(second)?))
            }
        }
    }

    /// Fewest requests per weight once this one is counted; ties go round.
    fn least_busy(&mut self, ctx: &Pick<'_>, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
        let load = |server: usize| u64::from((ctx.in_flight)(server)) + 1;
        let mut best: Option<(usize, u64)> = None;
        for server in self.wheel.round() {
            if self.wheel.weight(server) == 0 || !admits(server) {
                continue;
            }
            let load = load(server);
            let better = best.is_none_or(|(other, least)| {
                u128::from(load) * u128::from(self.wheel.weight(other))
                    < u128::from(least) * u128::from(self.wheel.weight(server))
            });
            if better {
                best = Some((server, load));
            }
        }
        let (server, _) = best?;
        self.wheel.pass(server);
        Some(server)
    }
}

fn seats(servers: &[Server]) -> impl Iterator<Item = (Arc<str>, u32)> {
    servers.iter().map(|server| (server.url.text.clone(), server.weight))
}
