//! What was judged: counts of requests and checks, and which oracle spoke under which fault.
//!
//! A cell of the table of faults and oracles is reached when the oracle judges while the fault lasts or soon after. A sweep that
//! never reaches a cell has not tried it, however many seeds passed.

use super::Oracle;
use crate::fault::{Fault, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// After the end of a fault its consequences are looked for, for so many milliseconds.
pub const AFTERMATH: u64 = 10_000;

/// A fault, and an oracle that judged under it.
pub type Cell = (Fault, Oracle);

/// Of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub asked: u64,
    pub answered: u64,
    /// Answers that the gateway made, where a rule allows it.
    pub excused: u64,
    pub aborted: u64,
    pub arrivals: u64,
    pub snapshots: u64,
    /// Judgements by an oracle, of any kind.
    pub checks: u64,
    /// The table's cells that were reached.
    pub cells: BTreeSet<Cell>,
    /// Faults that struck, and until when their consequences count.
    struck: BTreeMap<Fault, u64>,
}

impl Counts {
    /// A fault strikes, begins, or ends.
    pub fn strikes(&mut self, now: u64, fault: Fault, phase: Phase) {
        match phase {
            Phase::Once => {
                let until = self.struck.entry(fault).or_default();
                *until = (*until).max(now + AFTERMATH);
            }
            Phase::Begins => drop(self.struck.insert(fault, u64::MAX)),
            Phase::Ends => {
                if let Some(until) = self.struck.get_mut(&fault) {
                    *until = now + AFTERMATH;
                }
            }
        }
    }

    /// An oracle judges.
    pub fn judges(&mut self, now: u64, oracle: Oracle) {
        self.checks += 1;
        self.cells.extend(self.struck.iter().filter(|(_, until)| now <= **until).map(|(fault, _)| (*fault, oracle)));
    }

    /// Takes over what another judge counted.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.excused += other.excused;
        self.aborted += other.aborted;
        self.arrivals += other.arrivals;
        self.snapshots += other.snapshots;
        self.checks += other.checks;
        self.cells.extend(&other.cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_reached_while_a_fault_lasts_and_soon_after() {
        let mut counts = Counts::default();
        counts.judges(5, Oracle::Answer);
        counts.strikes(10, Fault::Kill, Phase::Once);
        counts.judges(10, Oracle::Answer);
        counts.judges(10 + AFTERMATH, Oracle::Drain);
        counts.judges(11 + AFTERMATH, Oracle::Atomic);
        assert_eq!(counts.cells, BTreeSet::from([(Fault::Kill, Oracle::Answer), (Fault::Kill, Oracle::Drain)]));
        assert_eq!(counts.checks, 4);
    }

    #[test]
    fn a_fault_without_end_lasts_until_it_is_ended() {
        let mut counts = Counts::default();
        counts.strikes(10, Fault::Link, Phase::Begins);
        counts.judges(1_000_000, Oracle::Liveness);
        counts.strikes(1_000_000, Fault::Link, Phase::Ends);
        counts.judges(1_000_001 + AFTERMATH, Oracle::Answer);
        assert_eq!(counts.cells, BTreeSet::from([(Fault::Link, Oracle::Liveness)]));
    }
}
