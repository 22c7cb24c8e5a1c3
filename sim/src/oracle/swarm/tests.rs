//! Each oracle, told of a breach, says so; told of what its bound allows, it is silent.

use super::*;

const A: &str = "service-a";
const B: &str = "service-b";

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 0, last)
}

fn facts(task: usize, service: &str) -> Facts {
    Facts { id: format!("t{task}"), service: service.into(), app: usize::from(service == B) }
}

fn route(service: &str, tasks: &[usize]) -> Route {
    let tasks: BTreeSet<usize> = tasks.iter().copied().collect();
    Route { service: service.into(), app: usize::from(service == B), runs: tasks.clone(), heirs: BTreeSet::new(), tasks }
}

/// Host 0 belongs to A with tasks 0 and 1, host 1 to B with task 2; all serve and are shown. A second has passed ten times.
fn judge() -> Discovery {
    let mut judge = Discovery::new(2);
    for (task, service) in [(0, A), (1, A), (2, B)] {
        judge.booted(task, address(task as u8), facts(task, service));
        judge.serves(0, task, true);
    }
    is_true(&mut judge, 0, &[0, 1], &[2]);
    judge.begins(100);
    shows(&mut judge, 100, 1, &["t0", "t1"], &["t2"]).unwrap();
    judge.converges(10_000).unwrap();
    judge
}

fn is_true(judge: &mut Discovery, now: u64, a: &[usize], b: &[usize]) {
    judge.truth(now, [(0, route(A, a)), (1, route(B, b))].into());
}

fn shows(judge: &mut Discovery, now: u64, number: u64, a: &[&str], b: &[&str]) -> Verdict {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    judge.published(now, number, [(0, ids(a)), (1, ids(b))].into())
}

fn ask(host: usize, post: bool) -> Ask {
    Ask { service: host, post, ..Ask::default() }
}

fn good(id: u64, task: usize) -> Answer {
    Answer { status: 200, server: Some(task), echo: Some(id), body_is_right: true, ..Answer::default() }
}

fn invented(status: u16, reason: &str) -> Answer {
    Answer { status, reason: Some(reason.into()), ..Answer::default() }
}

fn oracle(verdict: Verdict) -> Oracle {
    verdict.expect_err("a breach").oracle
}

#[test]
fn an_exchange_as_it_should_be_passes() {
    let mut judge = judge();
    judge.asked(10_000, 7, &ask(0, true));
    judge.arrived(10_001, 1, 7, "s0.test").unwrap();
    judge.answered(10_002, 7, &good(7, 1)).unwrap();
    assert_eq!(oracle(judge.answered(10_003, 7, &good(7, 1))), Oracle::Answer, "answered twice");
}

#[test]
fn an_address_that_changed_hands_is_nobodys_excuse_once_it_can_be_known() {
    for (well, at, excused) in [(true, 11_300 + UNDER_WAY, true), (true, 11_301 + UNDER_WAY, false), (false, 60_000, true)] {
        let mut judge = judge();
        judge.managers(9_000, well);
        is_true(&mut judge, 10_000, &[0], &[2]);
        judge.booted(3, address(1), facts(3, B));
        judge.asked(at, 7, &ask(0, false));
        let verdict = judge.arrived(at, 3, 7, "s0.test");
        assert_eq!(verdict.is_ok(), excused, "{well} {at}: {verdict:?}");
        if let Err(violation) = verdict {
            assert_eq!(violation.oracle, Oracle::Tenant);
        }
    }
    // Where it never was the host's there is no excuse.
    let mut judge = judge();
    judge.asked(10_000, 7, &ask(0, false));
    assert_eq!(oracle(judge.arrived(10_000, 2, 7, "s0.test")), Oracle::Tenant);
}

#[test]
fn what_changes_is_shown_within_a_poll_or_after_the_managers_are_mended() {
    let mut judge = judge();
    is_true(&mut judge, 10_000, &[0], &[2]);
    judge.converges(10_000 + SEEN).unwrap();
    assert_eq!(oracle(judge.converges(10_001 + SEEN)), Oracle::View, "still has");
    let mut judge = self::judge();
    judge.managers(10_000, false);
    is_true(&mut judge, 10_000, &[0], &[2]);
    judge.converges(90_000).unwrap();
    judge.managers(90_000, true);
    judge.converges(90_000 + MENDED + SEEN).unwrap();
    assert_eq!(oracle(judge.converges(90_001 + MENDED + SEEN)), Oracle::View);
    assert!(!judge.is_converged());
    shows(&mut judge, 130_000, 2, &["t0"], &["t2"]).unwrap();
    assert!(judge.is_converged());
}

#[test]
fn nothing_that_lives_is_lost_and_nothing_that_went_comes_back() {
    let mut judge = judge();
    judge.managers(10_000, false);
    assert_eq!(oracle(shows(&mut judge, 10_001, 2, &["t0"], &["t2"])), Oracle::Static);
    let mut judge = self::judge();
    assert_eq!(oracle(judge.published(10_001, 2, [(1, vec!["t2".to_owned()])].into())), Oracle::Static, "the route");
    let mut judge = self::judge();
    is_true(&mut judge, 10_000, &[0], &[2]);
    shows(&mut judge, 10_500, 2, &["t0"], &["t2"]).unwrap();
    assert_eq!(oracle(shows(&mut judge, 10_600, 3, &["t0", "t1"], &["t2"])), Oracle::View, "it came back");
    let mut judge = self::judge();
    assert_eq!(oracle(shows(&mut judge, 10_600, 2, &["t0", "t1", "t2"], &["t2"])), Oracle::View, "it was never to get them");
    let mut judge = self::judge();
    assert_eq!(oracle(shows(&mut judge, 10_600, 2, &["t0", "t1", "t9"], &["t2"])), Oracle::View, "nobody knows it");
}

#[test]
fn nothing_fails_for_what_was_planned_while_one_task_can_be_asked() {
    let failed = |judge: &mut Discovery, at: u64| {
        judge.asked(at, 7, &ask(0, true));
        judge.answered(at + 1, 7, &invented(502, "upstream_closed"))
    };
    let mut judge = judge();
    // One of two is told to end.
    is_true(&mut judge, 10_000, &[0], &[2]);
    judge.serves(12_000, 1, false);
    assert_eq!(oracle(failed(&mut judge, 12_000)), Oracle::Planned);
    // There was none for a while.
    let mut judge = self::judge();
    is_true(&mut judge, 10_000, &[], &[2]);
    (0..2).for_each(|task| judge.serves(11_000, task, false));
    is_true(&mut judge, 11_000, &[3], &[2]);
    failed(&mut judge, 11_500).unwrap();
    // One died, and nobody had planned that.
    let mut judge = self::judge();
    judge.dies(10_000, 1);
    judge.serves(10_000, 1, false);
    failed(&mut judge, 10_001).unwrap();
}

#[test]
fn a_get_that_fails_beside_a_death_needs_that_nobody_else_could_be_asked() {
    let mut judge = judge();
    judge.dies(10_000, 1);
    judge.serves(10_000, 1, false);
    judge.asked(10_001, 7, &ask(0, false));
    assert_eq!(oracle(judge.answered(10_002, 7, &invented(502, "connect_failed"))), Oracle::Answer);
    judge.dies(10_003, 0);
    judge.serves(10_003, 0, false);
    judge.asked(10_004, 8, &ask(0, false));
    judge.answered(10_005, 8, &invented(502, "connect_failed")).unwrap();
}

#[test]
fn a_task_that_is_shown_no_longer_gets_nothing_new() {
    let mut judge = judge();
    is_true(&mut judge, 10_000, &[0], &[2]);
    shows(&mut judge, 10_500, 2, &["t0"], &["t2"]).unwrap();
    judge.asked(10_499, 7, &ask(0, false));
    judge.arrived(10_510, 1, 7, "s0.test").unwrap();
    judge.asked(10_501, 8, &ask(0, false));
    assert_eq!(oracle(judge.arrived(10_510, 1, 8, "s0.test")), Oracle::Drain);
}
