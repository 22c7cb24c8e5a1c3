//! That each rule can be broken, and that what is excused is not.

use super::*;

fn facts(name: &str, from: i64, until: i64) -> Facts {
    Facts { names: vec![name.to_owned()], from: from * SECOND, until: until * SECOND }
}

/// Number 0 for `a.test` to second 100, 1 for `*.test` to 500, 2 the default.
fn judge(strict: bool) -> Certificates {
    let files = [
        (0, facts("a.test", -50, 100), false),
        (1, facts("*.test", -50, 500), false),
        (2, facts("default.test", -50, 500), true),
    ];
    Certificates::new(strict, &files)
}

fn shown(judge: &mut Certificates, at: u64, name: &str, shown: Shown) -> bool {
    let before = judge.begins(at);
    judge.ended(at + 5, &before, name, shown).is_ok()
}

#[test]
fn a_name_gets_its_own_and_a_valid_one() {
    let mut judge = judge(false);
    assert!(shown(&mut judge, 1_000, "a.test", Shown::Known(0)) && shown(&mut judge, 1_000, "a.test", Shown::Known(1)));
    assert!(!shown(&mut judge, 1_000, "a.test", Shown::Known(2)), "the default's, although there is its own");
    assert!(!shown(&mut judge, 1_000, "a.test", Shown::Stranger) && !shown(&mut judge, 1_000, "a.test", Shown::Refused));
    assert!(shown(&mut judge, 100_500, "a.test", Shown::Known(0)), "whole seconds");
    assert!(!shown(&mut judge, 110_000, "a.test", Shown::Known(0)), "it ran out, and the wildcard has not");
    assert!(shown(&mut judge, 510_000, "a.test", Shown::Known(0)), "all have run out");
}

#[test]
fn a_name_without_one_gets_the_default_or_under_sni_strict_nothing() {
    let mut lax = judge(false);
    assert!(shown(&mut lax, 1_000, "else.where", Shown::Known(2)) && !shown(&mut lax, 1_000, "else.where", Shown::Refused));
    let mut strict = judge(true);
    assert!(shown(&mut strict, 1_000, "else.where", Shown::Refused) && !shown(&mut strict, 1_000, "else.where", Shown::Known(2)));
    assert!(!shown(&mut strict, 1_000, "a.test", Shown::Refused));
}

#[test]
fn a_rotation_is_served_within_its_bound_and_a_broken_one_changes_nothing() {
    let mut judge = judge(false);
    let next = judge.made(facts("a.test", 0, 300));
    judge.written(10_000, 0, None);
    assert!(shown(&mut judge, 90_000, "a.test", Shown::Known(0)), "the last good one stays");
    assert!(!shown(&mut judge, 20_000, "a.test", Shown::Known(next)), "which nobody wrote yet");
    judge.written(91_000, 0, Some(next));
    assert!(shown(&mut judge, 91_000, "a.test", Shown::Known(0)) && shown(&mut judge, 91_000, "a.test", Shown::Known(next)));
    assert!(!shown(&mut judge, 91_002 + USUAL, "a.test", Shown::Known(0)), "it should have been taken over");
    assert!(shown(&mut judge, 91_002 + USUAL, "a.test", Shown::Known(next)));
}

#[test]
fn what_the_gateways_clock_shows_decides_and_trouble_takes_a_look() {
    let mut judge = judge(false);
    judge.clock(1_000, 200 * SECOND);
    assert!(!shown(&mut judge, 2_000, "a.test", Shown::Known(0)), "by its clock that one has run out");
    assert!(shown(&mut judge, 2_000, "a.test", Shown::Known(1)));
    let next = judge.made(facts("a.test", 0, 150));
    judge.written(3_000, 0, Some(next));
    assert!(!shown(&mut judge, 60_000, "a.test", Shown::Known(next)), "by its clock nobody can load it");
    judge.clock(70_000, 0);
    assert!(shown(&mut judge, 80_000, "a.test", Shown::Known(0)), "no watch tells of a clock");
    assert!(!shown(&mut judge, 70_001 + LOOKED + 10, "a.test", Shown::Known(0)));
    judge.disk(90_000, true);
    let third = judge.made(facts("a.test", 0, 150));
    judge.written(91_000, 0, Some(third));
    assert!(shown(&mut judge, 99_000, "a.test", Shown::Known(next)), "the disk is gone");
}

#[test]
fn a_process_that_begins_has_nothing_to_fall_back_on() {
    let mut judge = judge(false);
    judge.written(10_000, 0, None);
    judge.written(10_000, 2, None);
    assert!(shown(&mut judge, 11_000, "a.test", Shown::Known(0)), "the last good one");
    judge.restarted(12_000);
    judge.ready(12_100);
    assert!(!shown(&mut judge, 13_000, "a.test", Shown::Known(0)), "the one before knew it");
    assert!(shown(&mut judge, 13_000, "a.test", Shown::Known(1)) && !shown(&mut judge, 13_000, "a.test", Shown::Refused));
    assert!(shown(&mut judge, 13_000, "else.where", Shown::Stranger), "there is no default");
    let next = judge.made(facts("a.test", 0, 300));
    judge.written(20_000, 0, Some(next));
    assert!(shown(&mut judge, 20_001, "a.test", Shown::Known(1)), "not read yet");
    assert!(shown(&mut judge, 20_002 + USUAL, "a.test", Shown::Known(next)));
}

#[test]
fn what_is_written_while_a_process_begins_it_may_have_missed_or_not() {
    let mut judge = judge(true);
    judge.restarted(10_000);
    judge.written(10_010, 1, None);
    judge.ready(10_100);
    assert!(shown(&mut judge, 10_200, "b.test", Shown::Refused) && shown(&mut judge, 10_200, "b.test", Shown::Known(1)));
    assert!(!shown(&mut judge, 10_200, "a.test", Shown::Refused), "nobody touched that one");
}

#[test]
fn a_process_that_was_stopped_takes_another_look() {
    let mut judge = judge(false);
    judge.stops(10_000, true);
    let next = judge.made(facts("a.test", 0, 300));
    judge.written(11_000, 0, Some(next));
    judge.stops(20_000, false);
    assert!(shown(&mut judge, 20_001, "a.test", Shown::Known(0)), "it could not see it");
    assert!(!shown(&mut judge, 20_002 + LOOKED, "a.test", Shown::Known(0)));
}
