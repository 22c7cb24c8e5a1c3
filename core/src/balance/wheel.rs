//! Turns by weight: earliest deadline first, as Traefik's `wrr`, in exact fractions.
//!
//! The k-th turn of a seat of weight w is due at k/w. The seat whose next turn is due first gets it; of several, the first.
//! In each unit of time a seat of weight w gets exactly w turns, spread evenly. Turns that fall due while a seat may not be
//! picked are lost, not saved up: it returns without a burst. Seats of equal weight need no arithmetic, only a cursor.

use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct Wheel {
    seats: Vec<Seat>,
    /// All weights above 0 are the same.
    equal: bool,
    /// Where the next round begins.
    cursor: usize,
    /// When the last turn was due, as a fraction.
    time: (u64, u32),
}

#[derive(Clone, Debug)]
struct Seat {
    key: Box<str>,
    weight: u32,
    /// Had or lost in this unit of time.
    turns: u64,
}

impl Wheel {
    pub(super) fn new<'a>(seats: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let seats: Vec<_> = seats.map(|(key, weight)| Seat { key: key.into(), weight, turns: 0 }).collect();
        Self { equal: all_equal(&seats), seats, cursor: 0, time: (0, 1) }
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn weight(&self, seat: usize) -> u32 {
        self.seats[seat].weight
    }

    pub(super) fn key(&self, seat: usize) -> &str {
        &self.seats[seat].key
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
            let earlier = |other: usize| seat.is_due_before(&self.seats[other]);
            if seat.weight > 0 && first.is_none_or(earlier) && admits(index) {
                first = Some(index);
            }
        }
        let first = first?;
        let winner = &mut self.seats[first];
        winner.turns += 1;
        self.time = (winner.turns, winner.weight);
        let mut unit_is_over = true;
        for seat in self.seats.iter_mut().filter(|seat| seat.weight > 0) {
            // The last turn due before now, for whoever could not take it.
            seat.turns = seat.turns.max(turns_at(self.time, seat.weight).1.saturating_sub(1));
            unit_is_over &= seat.turns >= u64::from(seat.weight);
        }
        if unit_is_over {
            self.seats.iter_mut().for_each(|seat| seat.turns = seat.turns.saturating_sub(u64::from(seat.weight)));
            self.time.0 = self.time.0.saturating_sub(u64::from(self.time.1));
        }
        Some(first)
    }

    /// Puts other seats in place. One with the same key keeps its turns, or its place in the round; of several with one
    /// key the first keeps the first's. A new one gets its first turn after a whole interval of its own.
    pub(super) fn update<'a>(&mut self, seats: impl Iterator<Item = (&'a str, u32)>) {
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
        for seat in &mut self.seats {
            seat.turns = turns_at(old.time, seat.weight).0;
        }
        for (seat, place) in old.seats.iter().zip(moved) {
            if let Some(place) = place
                && self.seats[place].weight == seat.weight
            {
                self.seats[place].turns = seat.turns;
            }
        }
    }
}

impl Seat {
    fn is_due_before(&self, other: &Self) -> bool {
        u128::from(self.turns + 1) * u128::from(other.weight) < u128::from(other.turns + 1) * u128::from(self.weight)
    }
}

/// How many turns of this weight are due by `time`: rounded down and up.
fn turns_at((number, of): (u64, u32), weight: u32) -> (u64, u64) {
    let product = u128::from(number) * u128::from(weight);
    let of = u128::from(of);
    ((product / of) as u64, product.div_ceil(of) as u64)
}

fn all_equal(seats: &[Seat]) -> bool {
    let mut weights = seats.iter().map(|seat| seat.weight).filter(|weight| *weight > 0);
    weights.next().is_none_or(|first| weights.all(|weight| weight == first))
}
