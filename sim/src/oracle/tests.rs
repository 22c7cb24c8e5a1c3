//! Each oracle, told of a breach, says so; told of what a rule allows, it is silent.

use super::*;
use crate::{
    plan::{Manner, Unit, Write},
    scenario,
};

/// Two services: s0 with servers 0 and 1, s1 with server 2; all running and published since the beginning.
fn judge() -> Judge {
    let mut plan = scenario::named("config_race").unwrap().plan(1);
    plan.services = 2;
    plan.gateway.health_check = false;
    let server = plan.servers[0].clone();
    plan.servers = [0, 0, 1].map(|service| crate::plan::Server { service, ..server.clone() }).into();
    let mut judge = Judge::new(&plan);
    (0..3).for_each(|server| judge.runs(0, server, true));
    written(&mut judge, 0, 1, &[(0, &[0, 1]), (1, &[2])]);
    published(&mut judge, 10, 1, &[(0, &[0, 1]), (1, &[2])]).unwrap();
    judge
}

fn write(generation: u64, units: &[(usize, &[usize])], manner: Manner) -> Write {
    let units = units.iter().map(|(service, servers)| Unit { service: *service, servers: Some(servers.to_vec()) }).collect();
    Write { generation, units, manner }
}

fn written(judge: &mut Judge, now: u64, generation: u64, units: &[(usize, &[usize])]) {
    let write = write(generation, units, Manner::Whole);
    judge.write_begins(now, &write);
    judge.write_ends(now, &write);
}

fn published(judge: &mut Judge, now: u64, number: u64, routes: &[(usize, &[usize])]) -> Verdict {
    judge.published(now, number, routes.iter().map(|(service, servers)| (*service, servers.iter().copied().collect())).collect())
}

fn ask(service: usize, post: bool) -> Ask {
    Ask { service, post, ..Ask::default() }
}

fn good(id: u64, server: usize) -> Answer {
    let (mark, body_is_right) = (Some(1), true);
    Answer { status: 200, server: Some(server), echo: Some(id), mark, request_mark: mark, body_is_right, ..Answer::default() }
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
    judge.asked(100, 7, &ask(0, true));
    judge.arrived(101, 1, 7, "s0.test").unwrap();
    judge.answered(102, 7, &good(7, 1)).unwrap();
    assert_eq!(oracle(judge.answered(103, 7, &good(7, 1))), Oracle::Answer, "answered twice");
}

#[test]
fn a_post_reaches_servers_once_and_a_get_may_come_again() {
    let mut judge = judge();
    for (id, post) in [(1, false), (2, true)] {
        judge.asked(100, id, &ask(0, post));
        judge.arrived(101, 0, id, "s0.test").unwrap();
        assert_eq!(judge.arrived(102, 1, id, "s0.test").is_err(), post);
    }
}

#[test]
fn what_belongs_to_another_request_or_service_is_cross_talk() {
    let mut judge = judge();
    judge.asked(100, 1, &ask(0, false));
    assert_eq!(oracle(judge.arrived(101, 2, 1, "s0.test")), Oracle::CrossTalk);
    assert_eq!(oracle(judge.arrived(101, 0, 1, "s1.test")), Oracle::CrossTalk);
    assert_eq!(oracle(judge.arrived(101, 0, 99, "s0.test")), Oracle::CrossTalk);
    let wrong = [
        Answer { echo: Some(2), ..good(1, 0) },
        good(1, 2),
        Answer { body_is_right: false, ..good(1, 0) },
        Answer { status: 500, ..good(1, 0) },
    ];
    for (id, wrong) in (10..).zip(wrong) {
        judge.asked(100, id, &ask(0, false));
        let echo = wrong.echo.map(|echo| if echo == 1 { id } else { echo });
        assert_eq!(oracle(judge.answered(102, id, &Answer { echo, ..wrong })), Oracle::CrossTalk);
    }
}

#[test]
fn an_invented_answer_needs_that_no_server_could_have_given_one() {
    let mut judge = judge();
    judge.asked(100, 1, &ask(0, false));
    assert_eq!(oracle(judge.answered(102, 1, &invented(502, "connect_failed"))), Oracle::Answer);
    // One of two fails: a GET must go to the other, a POST of which bytes were sent may not.
    judge.runs(150, 0, false);
    for (id, post) in [(2, false), (3, true)] {
        judge.asked(149, id, &ask(0, post));
        assert_eq!(judge.answered(152, id, &invented(502, "upstream_closed")).is_err(), !post);
    }
    judge.asked(160, 4, &ask(0, true));
    assert_eq!(oracle(judge.answered(161, 4, &invented(503, "no_healthy_server"))), Oracle::Answer, "nothing was sent");
    judge.link(170, 1, Direction::In, true);
    judge.asked(180, 5, &ask(0, false));
    judge.answered(190, 5, &invented(503, "no_healthy_server")).unwrap();
}

#[test]
fn no_route_is_an_answer_only_while_there_is_none() {
    let mut judge = judge();
    judge.asked(100, 1, &ask(1, false));
    assert_eq!(oracle(judge.answered(102, 1, &invented(404, "no_route"))), Oracle::Answer);
    judge.asked(103, 2, &ask(1, false));
    let gone = Write { generation: 2, units: vec![Unit { service: 1, servers: None }], manner: Manner::Whole };
    judge.write_begins(104, &gone);
    judge.write_ends(104, &gone);
    published(&mut judge, 105, 2, &[(0, &[0, 1])]).unwrap();
    judge.answered(106, 2, &invented(404, "no_route")).unwrap();
}

#[test]
fn a_response_that_breaks_off_needs_a_server_that_did() {
    let mut judge = judge();
    judge.asked(100, 1, &ask(0, false));
    assert_eq!(oracle(judge.cut_off(1, 1, Some(0), "reset")), Oracle::Answer);
    judge.asked(100, 2, &ask(0, false));
    judge.runs(110, 0, false);
    judge.cut_off(2, 2, Some(0), "reset").unwrap();
}

#[test]
fn a_withdrawn_server_gets_what_was_under_way_and_nothing_new() {
    let mut judge = judge();
    judge.asked(100, 1, &ask(0, false));
    written(&mut judge, 101, 2, &[(0, &[1])]);
    published(&mut judge, 102, 2, &[(0, &[1]), (1, &[2])]).unwrap();
    judge.arrived(104, 0, 1, "s0.test").unwrap();
    judge.asked(103, 2, &ask(0, false));
    assert_eq!(oracle(judge.arrived(104, 0, 2, "s0.test")), Oracle::Drain);
    assert_eq!(oracle(judge.arrived(102 + UNDER_WAY + 1, 0, 1, "s0.test")), Oracle::Drain);
}

#[test]
fn snapshots_rise_and_hold_what_was_written_whole() {
    let mut judge = judge();
    assert_eq!(oracle(published(&mut judge, 20, 1, &[(0, &[0, 1]), (1, &[2])])), Oracle::Atomic, "the number fell");
    assert_eq!(oracle(published(&mut judge, 20, 2, &[(0, &[0]), (1, &[2])])), Oracle::Atomic, "half of a write");
    let mut judge = self::judge();
    judge.write_begins(15, &write(2, &[(0, &[0])], Manner::Torn { order: 1, pause: 1 }));
    published(&mut judge, 20, 2, &[(0, &[1]), (1, &[2])]).unwrap();
}

#[test]
fn a_request_sees_one_snapshot_and_never_an_older_one() {
    let mut judge = judge();
    written(&mut judge, 50, 2, &[(0, &[1])]);
    published(&mut judge, 60, 2, &[(0, &[1]), (1, &[2])]).unwrap();
    let under = |id, server, out, back| Answer { request_mark: Some(out), mark: Some(back), ..good(id, server) };
    judge.asked(100, 1, &ask(0, false));
    judge.answered(101, 1, &under(1, 1, 2, 2)).unwrap();
    for (id, answer) in [(2, under(2, 1, 1, 2)), (4, under(4, 0, 1, 1)), (5, under(5, 1, 9, 9))] {
        judge.asked(110, id, &ask(0, false));
        assert_eq!(oracle(judge.answered(111, id, &answer)), Oracle::Atomic, "{answer:?}");
    }
}

#[test]
fn a_request_goes_to_servers_of_the_state_it_was_admitted_under_and_that_is_no_old_one() {
    let mut judge = judge();
    written(&mut judge, 50, 2, &[(0, &[1])]);
    published(&mut judge, 60, 2, &[(0, &[1]), (1, &[2])]).unwrap();
    let under = |id, server, mark| Answer { request_mark: Some(mark), mark: Some(mark), ..good(id, server) };
    judge.asked(100, 1, &ask(0, false));
    assert_eq!(oracle(judge.answered(101, 1, &under(1, 0, 2))), Oracle::Removed, "generation 2 has no server 0");
    judge.marks([(0, 2), (1, 1)].into()).unwrap();
    judge.asked(110, 2, &ask(0, false));
    assert_eq!(oracle(judge.answered(111, 2, &under(2, 1, 1))), Oracle::Removed, "generation 2 was in force");
    judge.asked(120, 3, &ask(0, false));
    judge.servers[0].left_at = None;
    assert_eq!(oracle(judge.arrived(121, 0, 3, "s0.test")), Oracle::Removed);
}

#[test]
fn a_transaction_over_two_services_is_in_a_snapshot_as_a_whole() {
    let mut judge = judge();
    written(&mut judge, 50, 2, &[(0, &[1]), (1, &[2])]);
    judge.marks([(0, 1), (1, 1)].into()).unwrap();
    judge.marks([(0, 2), (1, 2)].into()).unwrap();
    assert_eq!(oracle(judge.marks([(0, 2), (1, 1)].into())), Oracle::Atomic);
    written(&mut judge, 60, 3, &[(1, &[2])]);
    judge.marks([(0, 2), (1, 3)].into()).unwrap();
    assert_eq!(oracle(judge.marks([(0, 2)].into())), Oracle::Atomic, "nobody took s1 away");
    let gone = Write { generation: 4, units: vec![Unit { service: 1, servers: None }], manner: Manner::Whole };
    judge.write_begins(70, &gone);
    judge.write_ends(70, &gone);
    judge.marks([(0, 2)].into()).unwrap();
}

#[test]
fn a_gateway_is_ready_with_what_its_source_held_when_it_began() {
    let mut well = judge_at(&[(0, &[0, 1]), (1, &[2])]);
    well.ready(130, 100).unwrap();
    let mut early = judge_at(&[]);
    assert_eq!(oracle(early.ready(130, 100)), Oracle::Convergence);
    let mut unreadable = judge_at(&[(0, &[0, 1])]);
    unreadable.source(110, "leader", true);
    unreadable.ready(130, 100).unwrap();
    // What was withdrawn while nobody looked stays withdrawn.
    let mut judge = judge_at(&[(0, &[1]), (1, &[2])]);
    judge.services[0].versions.insert(2, Some([1].into()));
    judge.ready(130, 100).unwrap();
    judge.asked(140, 1, &ask(0, false));
    assert_eq!(oracle(judge.arrived(141, 0, 1, "s0.test")), Oracle::Drain);
}

/// A gateway that began at 100 and shows this.
fn judge_at(routes: &[(usize, &[usize])]) -> Judge {
    let mut judge = judge();
    judge.source(90, "gone", true);
    judge.restarted();
    judge.source(100, "gone", false);
    // It was otherwise once.
    judge.services[0].versions.insert(0, Some([1].into()));
    let routes = routes.iter().map(|(service, servers)| (*service, servers.iter().copied().collect())).collect();
    // Whether anybody ever wrote that is another matter.
    let _verdict = judge.published(120, 1, routes);
    judge
}

#[test]
fn what_is_written_is_served_within_its_bound_unless_the_source_cannot_be_read() {
    let mut judge = judge();
    judge.converges(100_000).unwrap();
    written(&mut judge, 200_000, 2, &[(0, &[0])]);
    assert!(!judge.is_converged());
    judge.converges(202_000).unwrap();
    assert_eq!(oracle(judge.converges(202_001)), Oracle::Convergence);
    judge.source(202_002, "leader", true);
    judge.converges(400_000).unwrap();
    judge.source(400_000, "leader", false);
    judge.converges(460_000).unwrap();
    assert_eq!(oracle(judge.converges(460_001)), Oracle::Convergence);
    published(&mut judge, 460_002, 2, &[(0, &[0]), (1, &[2])]).unwrap();
    assert!(judge.is_converged());
}

#[test]
fn a_write_is_served_when_its_settings_are_too() {
    let marks = |generation| [(0, generation), (1, 1)].into();
    let mut judge = judge();
    judge.marks(marks(1)).unwrap();
    assert!(judge.is_converged());
    written(&mut judge, 100_000, 2, &[(0, &[0])]);
    published(&mut judge, 100_100, 2, &[(0, &[0]), (1, &[2])]).unwrap();
    judge.marks(marks(1)).unwrap();
    assert!(!judge.is_converged(), "its servers are those of the write, its settings those before");
    assert_eq!(oracle(judge.converges(200_000)), Oracle::Convergence);
    judge.marks(marks(2)).unwrap();
    assert!(judge.is_converged());
    judge.converges(200_000).unwrap();
}

#[test]
fn a_server_that_fails_its_checks_gets_no_request_while_another_is_well() {
    let mut judge = judge();
    judge.ill(1_000, 1, true);
    judge.asked(4_000, 7, &ask(0, false));
    judge.arrived(4_001, 1, 7, "s0.test").expect("it is not found out yet");
    judge.asked(20_000, 8, &ask(0, false));
    assert_eq!(oracle(judge.arrived(20_001, 1, 8, "s0.test")), Oracle::Legality);
    judge.arrived(20_001, 0, 8, "s0.test").unwrap();
    judge.runs(20_002, 0, false);
    judge.asked(20_010, 9, &ask(0, false));
    judge.arrived(20_011, 1, 9, "s0.test").expect("there is no other one");
    judge.runs(20_020, 0, true);
    judge.ill(20_020, 1, false);
    judge.asked(40_000, 10, &ask(0, false));
    judge.arrived(40_001, 1, 10, "s0.test").expect("it is well again");
}
