//! The table of faults and oracles: which oracle must have judged under which fault, and which of these cells a sweep reached.
//!
//! Owns the table. A cell that no seed reached has not been rehearsed, however many seeds passed: a sweep names it.

use crate::{fault::Fault, oracle::Oracle};
use std::{collections::BTreeMap, fmt};

/// How much a cell matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The fault strikes at what the oracle watches.
    Must,
    /// It can touch it from afar.
    Also,
}

/// By fault, for O1 to O15: `#` must, `+` also, `.` nothing to see. What follows after O15 is watched in every run.
const TABLE: [(Fault, &str); 20] = [
    (Fault::Starvation, "#####+#++##+.++"),
    (Fault::Events, "+.####+.++++..."),
    (Fault::Overlay, "##+#+#+.#+#...."),
    (Fault::Kill, "#######++##+.++"),
    (Fault::Link, "#++####.+##+.#."),
    (Fault::Packets, "##+++###++#+.+."),
    (Fault::HalfOpen, "#++...#..##..#."),
    (Fault::Backend, "##+...#++##.##+"),
    (Fault::Writers, "+.+###...+.#+.."),
    (Fault::Store, "...####..#.+..+"),
    (Fault::Clock, "..+...+.+.+#..+"),
    (Fault::Authority, "....+##..#.#.++"),
    (Fault::Flap, "#.+#.+###+#...."),
    (Fault::Deploy, "#######+##....+"),
    (Fault::Client, "##....#..#.+##+"),
    (Fault::Restart, "#######.##.#..+"),
    (Fault::Collector, "+.....#..#...##"),
    (Fault::Exhaustion, "#...++#..#.#.#."),
    (Fault::Actor, "##++###..#+...#"),
    (Fault::Names, "#.+#.##..+#...."),
];

/// Faults that wait for the part of the product that they strike, and which part that is.
pub const WAITING: [(Fault, &str); 1] = [(Fault::Authority, "certificates that Fairlead issues itself")];

/// How much it matters that this oracle judges under this fault.
pub fn mark(fault: Fault, oracle: Oracle) -> Option<Mark> {
    match TABLE[fault as usize].1.as_bytes().get(oracle as usize) {
        Some(b'#') => Some(Mark::Must),
        Some(b'+') => Some(Mark::Also),
        _ => None,
    }
}

/// Why a fault cannot strike yet.
pub fn waits_for(fault: Fault) -> Option<&'static str> {
    WAITING.iter().find(|(waiting, _)| *waiting == fault).map(|(_, part)| *part)
}

/// What many runs reached: cells, and in how many runs each.
#[derive(Clone, Debug, Default)]
pub struct Reached(BTreeMap<(Fault, Oracle), u64>);

impl Reached {
    /// Adds a run's cells, as its report writes them: `F5:O1,F5:O2`.
    pub fn add(&mut self, cells: &str) {
        let cell = |text: &str| {
            let (fault, oracle) = text.split_once(':')?;
            Some((Fault::named(fault)?, Oracle::named(oracle)?))
        };
        for cell in cells.split(',').filter_map(cell) {
            *self.0.entry(cell).or_default() += 1;
        }
    }

    /// The cells of this mark, and of these those that no run reached; faults that cannot strike yet aside.
    pub fn never(&self, wanted: Mark) -> (usize, Vec<(Fault, Oracle)>) {
        let cells = || Fault::ALL.into_iter().filter(|fault| waits_for(*fault).is_none());
        let all: Vec<_> = cells()
            .flat_map(|fault| Oracle::ALL.map(|oracle| (fault, oracle)))
            .filter(|(fault, oracle)| mark(*fault, *oracle) == Some(wanted))
            .collect();
        (all.len(), all.into_iter().filter(|cell| !self.0.contains_key(cell)).collect())
    }

    /// What was never reached, in a line for each mark. `whole`: all scenarios ran; of fewer, most cells are none of their business.
    pub fn told(&self, whole: bool) -> String {
        let line = |wanted, what: &str| {
            let (all, never) = self.never(wanted);
            let never: Vec<_> = never.iter().map(|(fault, oracle)| format!("{}:{}", fault.id(), oracle.id())).collect();
            let names = match never.len() {
                0 => "none".into(),
                n if !whole => format!("{n}, some of them for other scenarios"),
                _ => never.join(" "),
            };
            format!("{what} be judged: {} of {all} reached; never: {names}", all - never.len())
        };
        format!(
            "cells of the table of faults and oracles (--table prints it; F5:O1: O1 under F5)\n  {}\n  {}",
            line(Mark::Must, "that must"),
            line(Mark::Also, "that may")
        )
    }
}

impl fmt::Display for Reached {
    /// The whole table, with the number of runs in each cell; `#` a cell that must be reached and was not, `-` one that may be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}", "")?;
        Oracle::ALL.into_iter().try_for_each(|oracle| write!(f, "{:>6}", oracle.id()))?;
        writeln!(f)?;
        for fault in Fault::ALL {
            write!(f, "{:<4}", fault.id())?;
            for oracle in Oracle::ALL {
                match (self.0.get(&(fault, oracle)), mark(fault, oracle)) {
                    (Some(runs), _) => write!(f, "{runs:>6}")?,
                    (None, Some(Mark::Must)) => write!(f, "{:>6}", "#")?,
                    (None, Some(Mark::Also)) => write!(f, "{:>6}", "-")?,
                    (None, None) => write!(f, "{:>6}", "")?,
                }
            }
            writeln!(f, "  {}", fault.about())?;
        }
        writeln!(
            f,
            "a number: seeds in which it was judged; #: must be, and was not; -: may be, and was not; blank: nothing to see"
        )?;
        WAITING.iter().try_for_each(|(fault, part)| writeln!(f, "{} waits for {part}", fault.id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_fault_and_a_column_for_each_oracle_up_to_o15() {
        for (index, (fault, row)) in TABLE.iter().enumerate() {
            assert_eq!((*fault as usize, row.len()), (index, Oracle::Telemetry as usize + 1), "{}", fault.id());
        }
    }

    #[test]
    fn what_no_run_reached_is_named() {
        let mut reached = Reached::default();
        let (all, never) = reached.never(Mark::Must);
        assert_eq!(all, never.len());
        reached.add("F5:O1,F5:O2,F99:O1,nonsense");
        assert_eq!(reached.never(Mark::Must).1.len(), all - 1);
        assert!(!reached.told(true).contains("F5:O1 ") && reached.told(true).contains("F5:O4"));
        assert!(!never.iter().any(|(fault, _)| *fault == Fault::Authority), "what waits for its part is not asked for");
    }
}
