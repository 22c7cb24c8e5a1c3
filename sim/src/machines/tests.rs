use super::*;
use std::collections::BTreeSet;

#[test]
fn a_seed_gives_the_same_decisions_again_and_seeds_differ() {
    for kind in &ALL {
        let hashes: Vec<_> = (0..6).map(|seed| kind.play(seed, 300).hash).collect();
        let again: Vec<_> = (0..6).map(|seed| kind.trace(seed, 300).hash).collect();
        assert_eq!(hashes, again, "{}", kind.name);
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len(), "{}", kind.name);
    }
}

#[test]
fn transitions_are_distinct_and_counted_in_bits() {
    for kind in &ALL {
        let distinct: BTreeSet<_> = kind.transitions.iter().collect();
        assert!(distinct.len() == kind.transitions.len() && distinct.len() <= 64, "{}", kind.name);
    }
    let mut judge = Judge::new(&["a→b"]);
    assert_eq!(judge.moved("a→b"), Ok(()));
    assert_eq!(judge.moved("b→a").map_err(|violation| violation.oracle), Err(Oracle::Legality));
    assert_eq!(judge.counts.reached, 1);
}

/// Sums numbers, and breaks when three of them were above 90. A panic at 0 after that many others.
struct Sums(Vec<u64>);

impl Machine for Sums {
    const NAME: &'static str = "sums";
    const ABOUT: &'static str = "for tests";
    const TRANSITIONS: &'static [&'static str] = &[];
    type Knobs = u64;
    type Op = u64;

    fn knobs(chance: &mut Chance) -> u64 {
        chance.within(1, 2)
    }

    fn draw(_: &u64, chance: &mut Chance) -> u64 {
        chance.within(1, 100)
    }

    fn new(_: &u64) -> Self {
        Self(Vec::new())
    }

    fn step(&mut self, op: &u64, judge: &mut Judge) -> Verdict {
        self.0.push(*op);
        assert!(*op != 100, "a hundred");
        judge.holds(Oracle::Bounded, self.0.iter().filter(|n| (91..100).contains(*n)).count() < 3, || {
            format!("{:?}", self.0.len())
        })
    }
}

#[test]
fn a_failure_names_its_step_and_shrinks_to_what_matters() {
    let failing = (0..50).map(|seed| play::play::<Sums>(seed, 3_000, false)).find_map(|report| {
        let failure = report.failure.clone()?;
        (failure.violation.oracle == Oracle::Bounded).then_some((report, failure))
    });
    let (report, failure) = failing.expect("most seeds have three large numbers before the first hundred");
    assert_eq!(report.counts.steps as usize, failure.step);
    let block = report.to_string();
    for part in ["class:        safety", "machine:      sums", "invariant:    O14", "--trace", "verdict=safety"] {
        assert!(block.contains(part), "{block}");
    }
    let shrunk = shrink::shrink::<Sums>(report.seed, 3_000).expect("it fails").to_string();
    assert!(shrunk.starts_with("3 of 3000 operations break O14 alike"), "{shrunk}");
}

#[test]
fn a_panic_is_a_crash_of_its_step() {
    let reports = (0..50).map(|seed| play::play::<Sums>(seed, 3_000, false));
    let violations = reports.filter_map(|report| report.failure).map(|failure| failure.violation);
    let panic = violations.filter(|violation| violation.oracle == Oracle::Panic).last().expect("some seeds meet a hundred first");
    assert!(panic.detail.contains("a hundred"), "{}", panic.detail);
    assert!(shrink::minimal(vec![1, 2, 3, 4, 5], |part| part.contains(&2) && part.contains(&5)) == [2, 5]);
}

#[test]
fn a_mix_leaves_out_what_has_no_weight() {
    let mut chance = Chance::new(1, "mix");
    let mix = Mix(vec![0, 3, 0, 1]);
    let picks: Vec<_> = (0..400).map(|_| mix.pick(&mut chance)).collect();
    assert!(picks.iter().all(|kind| [1, 3].contains(kind)));
    assert!((40..160).contains(&picks.iter().filter(|kind| **kind == 3).count()));
}
