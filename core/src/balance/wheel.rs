//! Turns by weight: earliest deadline first, as Traefik's `wrr`, in exact fractions.
//!
//! In each unit of time a seat of weight w gets exactly w turns, 1/w apart. When in its interval a seat's turn is due (its
//! phase) differs from seat to seat: if all came at the end, as in Traefik, the light seats would queue up behind a run of
//! the heavy ones. The turn that is due first is given first; of several, the first seat's. Turns that fall due while a seat
//! may not be picked are lost, not saved up: it returns without a burst.
//!
//! Seats of equal weight need no arithmetic, only a cursor.

use crate::planted::planted;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Clone, Debug)]
pub(super) struct Wheel {
    seats: Vec<Seat>,
    /// All weights above 0 are the same.
    equal: bool,
    /// Where the next round begins.
    cursor: usize,
    /// When the last turn was due.
    time: Time,
}

#[derive(Clone, Debug)]
struct Seat {
    key: Arc<str>,
    digest: u64,
    weight: u32,
    /// Where in its interval a turn is due, in parts of [`PARTS`].
    phase: u8,
    /// Had or lost in this unit of time.
    turns: u64,
}

/// Parts of an interval.
const PARTS: u64 = 256;

/// A moment in a unit of time: `parts / (PARTS × weight)`.
#[derive(Clone, Copy, Debug)]
struct Time {
    parts: u64,
    weight: u32,
}

impl Wheel {
    pub(super) fn new(seats: impl Iterator<Item = (Arc<str>, u32)>) -> Self {
        // Halves, quarters, eighths, …: any few neighbours lie apart.
        let phase = |index: usize| (index as u8).wrapping_add(1).reverse_bits();
        let seats: Vec<_> = seats
            .enumerate()
            .map(|(index, (key, weight))| Seat {
                digest: fnv(key.as_bytes()),
                key,
                weight: if planted!("weight_ignored") { weight.min(1) } else { weight },
                phase: phase(index),
                turns: 0,
            })
            .collect();
        Self { equal: all_equal(&seats), seats, cursor: 0, time: Time { parts: 0, weight: 1 } }
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn weight(&self, seat: usize) -> u32 {
        self.seats[seat].weight
    }

    /// Seat numbers, weights and digests of the keys.
    pub(super) fn members(&self) -> impl Iterator<Item = (usize, u32, u64)> {
        self.seats.iter().enumerate().map(|(index, seat)| (index, seat.weight, seat.digest))
    }

    /// All weights above 0 are the same.
    pub(super) fn is_equal(&self) -> bool {
        self.equal
    }

    /// All seats, beginning with the one at the cursor.
    pub(super) fn round(&self) -> impl Iterator<Item = usize> + use<> {
        (self.cursor..self.seats.len()).chain(0..self.cursor)
    }

    /// The next round begins after this seat.
    pub(super) fn pass(&mut self, seat: usize) {
        self.cursor = if seat + 1 < self.seats.len() { seat + 1 } else { 0 };
    }

    /// Gives the next turn among the seats that `admits` holds for.
    pub(super) fn next(&mut self, admits: impl Fn(usize) -> bool) -> Option<usize> {
        if self.equal {
            let seat = self.round().find(|seat| self.seats[*seat].weight > 0 && admits(*seat))?;
            self.pass(seat);
            return Some(seat);
        }
        let mut first: Option<usize> = None;
        for (index, seat) in self.seats.iter().enumerate() {
            let earlier = |other: usize| seat.next_turn().is_before(self.seats[other].next_turn());
            if seat.weight > 0 && first.is_none_or(earlier) && admits(index) {
                first = Some(index);
            }
        }
        let first = first?;
        self.time = self.seats[first].next_turn();
        self.seats[first].turns += 1;
        let mut unit_is_over = true;
        for seat in self.seats.iter_mut().filter(|seat| seat.weight > 0) {
            if seat.next_turn().is_before(self.time) {
                seat.turns = seat.turns_before(self.time);
            }
            unit_is_over &= seat.turns >= u64::from(seat.weight);
        }
        if unit_is_over {
            self.seats.iter_mut().for_each(|seat| seat.turns = seat.turns.saturating_sub(u64::from(seat.weight)));
            self.time = Time { parts: 0, weight: 1 };
        }
        Some(first)
    }

    /// Puts other seats in place. One with the same key keeps its turns, or its place in the round; of several with one
    /// key the first keeps the first's. A new one gets no turn for the time before it came.
    pub(super) fn update(&mut self, seats: impl Iterator<Item = (Arc<str>, u32)>) {
        let fresh = Self::new(seats);
        let old = std::mem::replace(self, fresh);
        let mut places: BTreeMap<(&str, usize), usize> = BTreeMap::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, seat) in self.seats.iter().enumerate() {
            let nth = seen.entry(&seat.key).or_default();
            places.insert((&seat.key, *nth), index);
            *nth += 1;
        }
        seen.clear();
        let mut moved = vec![None; old.seats.len()];
        for (index, seat) in old.seats.iter().enumerate() {
            let nth = seen.entry(&seat.key).or_default();
            moved[index] = places.get(&(&*seat.key, *nth)).copied();
            *nth += 1;
        }
        self.cursor = old.round().find_map(|seat| moved[seat]).unwrap_or(0);
        if self.equal || old.equal {
            return;
        }
        self.time = old.time;
        for (seat, place) in old.seats.iter().zip(moved) {
            if let Some(place) = place {
                let new = &mut self.seats[place];
                new.phase = seat.phase;
                new.turns = if new.weight == seat.weight { seat.turns } else { 0 };
            }
        }
        for seat in &mut self.seats {
            seat.turns = seat.turns.max(seat.turns_before(old.time));
        }
    }
}

impl Seat {
    fn next_turn(&self) -> Time {
        Time { parts: self.turns * PARTS + u64::from(self.phase), weight: self.weight }
    }

    /// How many turns are due before `time`.
    fn turns_before(&self, time: Time) -> u64 {
        let (parts, weight) = (u128::from(time.parts), u128::from(time.weight));
        let due = (parts * u128::from(self.weight)).saturating_sub(u128::from(self.phase) * weight);
        due.div_ceil(u128::from(PARTS) * weight) as u64
    }
}

impl Time {
    fn is_before(self, other: Self) -> bool {
        u128::from(self.parts) * u128::from(other.weight) < u128::from(other.parts) * u128::from(self.weight)
    }
}

/// FNV-1a.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    let offset = 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(offset, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn all_equal(seats: &[Seat]) -> bool {
    let mut weights = seats.iter().map(|seat| seat.weight).filter(|weight| *weight > 0);
    weights.next().is_none_or(|first| weights.all(|weight| weight == first))
}
