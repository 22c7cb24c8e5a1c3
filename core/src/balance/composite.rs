//! Services made of services: weighted and failover.

use super::wheel::Wheel;
use crate::config::dynamic::Weighted;
use std::sync::Arc;

/// Whose turn it is among the children of a weighted service. Children are meant by their index.
#[derive(Clone, Debug)]
pub struct WeightedPicker {
    wheel: Wheel,
    skips: bool,
}

/// A side of a failover service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Main,
    Fallback,
}

impl WeightedPicker {
    /// Begins with the first child.
    pub fn new(service: &Weighted) -> Self {
        Self { wheel: Wheel::new(children(service)), skips: service.health_check }
    }

    /// Takes over a changed configuration; children of the same name keep their place.
    pub fn update(&mut self, service: &Weighted) {
        self.wheel.update(children(service));
        self.skips = service.health_check;
    }

    /// The child for one request. As in Traefik, a child without a usable server is skipped only under `healthCheck`;
    /// `None` when none is left or all weights are 0.
    pub fn pick(&mut self, usable: &dyn Fn(usize) -> bool) -> Option<usize> {
        let skips = self.skips;
        self.wheel.next(|child| !skips || usable(child))
    }
}

/// Main while it has a usable server, or when neither has one: the answer is then that of main.
pub fn failover(main_usable: bool, fallback_usable: bool) -> Choice {
    if main_usable || !fallback_usable { Choice::Main } else { Choice::Fallback }
}

fn children(service: &Weighted) -> impl Iterator<Item = (Arc<str>, u32)> {
    service.services.iter().map(|(name, weight)| (name.shared(), *weight))
}
