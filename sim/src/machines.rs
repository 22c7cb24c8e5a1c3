//! Core's state machines alone: no network, no actors, no runtime; thousands of steps in a few milliseconds.
//!
//! A seed draws knobs and a list of operations, both data. They are carried out on the real machines of `fairlead-core`, and after each
//! one a small model, written for obviousness, says what must hold. As nothing but the operations decides, a failing seed shrinks to the
//! few of them that matter.
//!
//! Owns what all machines have in common; each file below owns one. Deliberately absent: anything that takes two of core's callers to
//! go wrong, which the scenarios rehearse with the actors.

mod balance;
pub mod cli;
mod config;
mod health;
mod limits;
mod play;
mod retry;
mod routes;
mod rules;
mod shrink;
mod sweep;
#[cfg(test)]
mod tests;

use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict, Violation, broken},
};
pub use play::Report;
use std::fmt::Debug;
pub use sweep::{Caught, hunt, sweep};

/// Operations of a seed.
pub const STEPS: usize = 3_000;

/// What each kind has to tell of itself, whatever its types.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// What a sweep should have met.
    pub transitions: &'static [&'static str],
    play: fn(u64, usize, bool) -> Report,
    shrink: fn(u64, usize) -> Option<shrink::Shrunk>,
}

/// All of them.
pub const ALL: [Kind; 6] = [
    Kind::of::<balance::Balance>(),
    Kind::of::<health::Health>(),
    Kind::of::<retry::Retry>(),
    Kind::of::<limits::Limits>(),
    Kind::of::<config::Configs>(),
    Kind::of::<routes::Routes>(),
];

/// The machine of this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}

impl Kind {
    const fn of<M: Machine>() -> Self {
        Self { name: M::NAME, about: M::ABOUT, transitions: M::TRANSITIONS, play: play::play::<M>, shrink: shrink::shrink::<M> }
    }

    /// Plays a seed.
    pub fn play(&self, seed: u64, steps: usize) -> Report {
        (self.play)(seed, steps, false)
    }

    /// The same, with every operation written down.
    pub fn trace(&self, seed: u64, steps: usize) -> Report {
        (self.play)(seed, steps, true)
    }
}

/// One machine of core, or a few that belong together, beside the model of them.
trait Machine: Sized {
    const NAME: &'static str;
    const ABOUT: &'static str;
    const TRANSITIONS: &'static [&'static str];
    /// What differs from seed to seed and not from step to step.
    type Knobs: Clone + Debug;
    /// One operation. It means something in every state, so that any of them can be left out.
    type Op: Clone + Debug;

    fn knobs(chance: &mut Chance) -> Self::Knobs;
    fn draw(knobs: &Self::Knobs, chance: &mut Chance) -> Self::Op;
    fn new(knobs: &Self::Knobs) -> Self;
    fn step(&mut self, op: &Self::Op, judge: &mut Judge) -> Verdict;
    /// After the last operation.
    fn end(&mut self, _judge: &mut Judge) -> Verdict {
        Ok(())
    }
}

/// All that is drawn of a seed.
struct Plan<M: Machine> {
    knobs: M::Knobs,
    ops: Vec<M::Op>,
}

impl<M: Machine> Plan<M> {
    fn draw(seed: u64, steps: usize) -> Self {
        let mut chance = Chance::new(seed, M::NAME);
        let knobs = M::knobs(&mut chance);
        let ops = (0..steps).map(|_| M::draw(&knobs, &mut chance)).collect();
        Self { knobs, ops }
    }
}

/// What was tried in a seed, or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub steps: u64,
    /// By the oracle's place in [`Oracle::ALL`].
    pub checks: [u64; Oracle::ALL.len()],
    /// A bit for each of the machine's transitions.
    pub reached: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.checks.iter_mut().zip(other.checks).for_each(|(sum, n)| *sum += n);
        self.reached |= other.reached;
    }
}

/// Counts what is judged and met, and folds what core decided into one number.
struct Judge {
    counts: Counts,
    transitions: &'static [&'static str],
    hash: u64,
}

impl Judge {
    fn new(transitions: &'static [&'static str]) -> Self {
        Self { counts: Counts::default(), transitions, hash: 0 }
    }

    /// `oracle` says whether this holds.
    fn holds(&mut self, oracle: Oracle, ok: bool, detail: impl FnOnce() -> String) -> Verdict {
        self.counts.checks[oracle as usize] += 1;
        if ok { Ok(()) } else { Err(Violation { oracle, detail: detail() }) }
    }

    /// A transition took place; one that is not declared is illegal.
    fn moved(&mut self, transition: &str) -> Verdict {
        match self.transitions.iter().position(|known| *known == transition) {
            Some(at) => self.counts.reached |= 1 << at,
            None => return broken(Oracle::Legality, format!("`{transition}` is no declared transition")),
        }
        Ok(())
    }

    /// Core decided this.
    fn notes(&mut self, decision: u64) {
        self.hash = crate::chance::mix(self.hash.wrapping_mul(31) ^ decision);
    }
}

/// How often each kind of operation comes in one seed: some never, the others as different as one and a hundred.
#[derive(Clone, Debug)]
struct Mix(Vec<u64>);

impl Mix {
    /// For so many kinds; the first ones, without which nothing happens, are never left out.
    fn draw(chance: &mut Chance, kinds: usize, always: usize) -> Self {
        let weight = |chance: &mut Chance| chance.magnitude(1, 100);
        Self((0..kinds).map(|kind| if kind < always || chance.percent(75) { weight(chance) } else { 0 }).collect())
    }

    /// With one kind so many times rarer: where an operation stands for many.
    fn rarer(mut self, kind: usize, times: u64) -> Self {
        self.0.iter_mut().enumerate().filter(|(at, _)| *at != kind).for_each(|(_, weight)| *weight *= times);
        self
    }

    fn pick(&self, chance: &mut Chance) -> usize {
        let mut at = chance.within(0, self.0.iter().sum::<u64>() - 1);
        let mut passed = |weight: &u64| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        };
        self.0.iter().position(&mut passed).unwrap_or_default()
    }
}
