//! Turns: within every round each one that takes part is measured once, so that what the machine does meanwhile falls on all.

use crate::{
    options::Options,
    outcome::{Column, Round},
};

/// Measures each in turn, after a second that nobody counts: connections to the backend are made, code is paged in.
pub fn take<T>(takers: &[(String, T)], options: &Options, measure: impl Fn(&T, u32) -> Round) -> Vec<Column> {
    take_together(takers, options, |taker, seconds, _| measure(taker, seconds))
}

/// The same, where a turn may depend on what the first in this round came to.
pub fn take_together<T>(
    takers: &[(String, T)],
    options: &Options,
    measure: impl Fn(&T, u32, Option<&Round>) -> Round,
) -> Vec<Column> {
    for (_, taker) in takers {
        measure(taker, 1, None);
    }
    let mut columns: Vec<_> = takers.iter().map(|(name, _)| Column { name: name.clone(), ..Column::default() }).collect();
    for number in 0..options.rounds as usize {
        for (at, (_, taker)) in takers.iter().enumerate() {
            let round = measure(taker, options.seconds, columns.first().and_then(|first| first.rounds.get(number)));
            columns[at].rounds.push(round);
        }
    }
    columns
}
