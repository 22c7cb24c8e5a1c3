//! Fewer operations that break the same oracle: delta debugging (Zeller's ddmin), then one by one.

use super::{Machine, Plan, play::carry_out};
use crate::oracle::Oracle;
use std::fmt;

/// Attempts at most: a failing seed of thousands of operations takes some hundreds.
const MAX_ATTEMPTS: usize = 20_000;

/// What is left of a failing seed.
pub(super) struct Shrunk {
    oracle: Oracle,
    detail: String,
    knobs: String,
    operations: Vec<String>,
    drawn: usize,
    attempts: usize,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oracle, detail, knobs, operations, drawn, attempts } = self;
        writeln!(f, "{} of {drawn} operations break {} alike ({attempts} attempts):", operations.len(), oracle.id())?;
        writeln!(f, "  {knobs}")?;
        operations.iter().enumerate().try_for_each(|(step, op)| writeln!(f, "{step:>5} {op}"))?;
        writeln!(f, "  {}: {detail}", oracle.id())
    }
}

/// The smallest part found of the operations of a seed that fails; `None` if it passes.
pub(super) fn shrink<M: Machine>(seed: u64, steps: usize) -> Option<Shrunk> {
    let Plan { knobs, mut ops } = Plan::<M>::draw(seed, steps);
    let drawn = ops.len();
    let (failure, _) = carry_out::<M>(&knobs, &ops, None);
    let failure = failure?;
    let oracle = failure.violation.oracle;
    ops.truncate(failure.step + 1);
    let mut attempts = 0;
    let fails = |ops: &[M::Op]| carry_out::<M>(&knobs, ops, None).0.is_some_and(|failure| failure.violation.oracle == oracle);
    let least = minimal(ops, |part| {
        attempts += 1;
        attempts <= MAX_ATTEMPTS && fails(part)
    });
    let detail = carry_out::<M>(&knobs, &least, None).0.map(|failure| failure.violation.detail).unwrap_or_default();
    let operations = least.iter().map(|op| format!("{op:?}")).collect();
    Some(Shrunk { oracle, detail, knobs: format!("{knobs:?}"), operations, drawn, attempts })
}

/// A part of `whole` that still fails and does no longer without any one of its members.
pub(super) fn minimal<T: Clone>(whole: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut left = whole;
    let mut size = left.len().div_ceil(2);
    while size > 0 {
        let (mut from, mut shorter) = (0, false);
        while from < left.len() {
            let without: Vec<T> = left[..from].iter().chain(&left[(from + size).min(left.len())..]).cloned().collect();
            if fails(&without) {
                left = without;
                shorter = true;
            } else {
                from += size;
            }
        }
        // At single members until none of them can go.
        size = if size == 1 && shorter { 1 } else { size / 2 };
    }
    left
}
