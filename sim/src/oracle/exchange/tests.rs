//! Each rule about exchanges, told of a breach, says so; told of what the table allows, it is silent.

use super::*;
use crate::{plan::traffic::Habit, scenario};

const ID: u64 = 100_000;

/// One service; server 0 meets every request with this quirk, the others with none.
fn judge(servers: usize, quirk: Option<Quirk>) -> Judge {
    let mut plan = scenario::named("traffic").unwrap().plan(1);
    (plan.services, plan.network.latency) = (1, (100, 200));
    let server = Server { service: 0, body: 1_000, think: (0, 10), ..plan.servers[0].clone() };
    let habits = |index| quirk.clone().filter(|_| index == 0).map(|quirk| Habit { share: 1_000, quirk });
    plan.servers =
        (0..servers).map(|index| Server { habits: Some(habits(index).into_iter().collect()), ..server.clone() }).collect();
    let judge = Judge::new(&plan);
    assert!(judge.is_calm());
    judge
}

fn caller() -> Caller {
    Caller { address: "10.2.0.1".into(), tells: true, alone: true, ..Caller::default() }
}

fn ask(post: bool, act: Act) -> Ask {
    Ask { post, act, ..Ask::default() }
}

fn begin(judge: &mut Judge, id: u64, post: bool) {
    judge.asked(100, id, &ask(post, Act::Plain), caller());
}

fn visit(judge: &mut Judge, server: usize, id: u64, reused: bool) {
    judge.arrived(101, server, id, None, reused).unwrap();
    judge.uploaded(101, server, id, 0, true).unwrap();
}

fn good(id: u64, server: usize) -> Answer {
    Answer { status: 200, server: Some(server), echo: Some(id), body_is_right: true, ..Answer::default() }
}

fn invented(status: u16, reason: &str) -> Answer {
    Answer { status, reason: Some(reason.into()), ..Answer::default() }
}

fn oracle<T: std::fmt::Debug>(verdict: Result<T, Violation>) -> Oracle {
    verdict.expect_err("a breach").oracle
}

#[test]
fn an_exchange_as_it_should_be_passes() {
    let mut judge = judge(2, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 1, ID, false);
    assert_eq!(judge.answered(110, ID, &good(ID, 1), None), Ok(Fate::Usual));
    assert_eq!(oracle(judge.answered(111, ID, &good(ID, 1), None)), Oracle::Answer, "answered twice");
}

#[test]
fn what_another_server_or_request_was_given_is_cross_talk() {
    for wrong in
        [good(ID, 0), good(ID + 1, 1), Answer { body_is_right: false, ..good(ID, 1) }, Answer { status: 500, ..good(ID, 1) }]
    {
        let mut judge = judge(2, None);
        begin(&mut judge, ID, false);
        visit(&mut judge, 1, ID, false);
        assert_eq!(oracle(judge.answered(110, ID, &wrong, None)), Oracle::CrossTalk, "{wrong:?}");
    }
    let mut judge = judge(1, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    assert_eq!(oracle(judge.cut_off(110, ID, Some(0), false)), Oracle::CrossTalk);
    assert_eq!(oracle(judge.arrived(101, 0, 7, None, false)), Oracle::Headers, "nobody sent it");
    assert_eq!(oracle(judge.uploaded(101, 0, ID, 1, true)), Oracle::CrossTalk);
}

#[test]
fn a_cut_body_is_passed_on_as_a_cut_one() {
    for quirk in
        [Quirk::HangBody { after: 1, lasts: 1 }, Quirk::ResetBody { after: 1 }, Quirk::Deficit(1), Quirk::Unfinished { after: 1 }]
    {
        let mut judge = judge(2, Some(quirk));
        for id in [ID, ID + 1] {
            begin(&mut judge, id, false);
            visit(&mut judge, 0, id, false);
        }
        assert_eq!(judge.cut_off(110, ID, Some(0), true), Ok(Fate::Odd));
        assert_eq!(oracle(judge.answered(110, ID + 1, &good(ID + 1, 0), None)), Oracle::CrossTalk);
    }
    let mut judge = judge(2, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    assert_eq!(judge.cut_off(110, ID, Some(0), true), Ok(Fate::Usual), "the usual judge knows whether the server is well");
}

#[test]
fn a_failure_has_the_answer_that_it_is_owed() {
    for (quirk, reused, status, reason) in [
        (Quirk::HangHead, false, 504, "upstream_timeout"),
        (Quirk::SlowHead(HEAD_TIMEOUT), false, 504, "upstream_timeout"),
        (Quirk::Garbage, false, 502, "upstream_protocol"),
        (Quirk::Interims(9), false, 502, "upstream_protocol"),
        (Quirk::Forgetful { reset: true }, true, 502, "upstream_closed"),
    ] {
        let floods = quirk.floods();
        let mut judge = judge(2, Some(quirk.clone()));
        for id in ID..ID + 3 {
            begin(&mut judge, id, id == ID);
            visit(&mut judge, 0, id, reused);
        }
        assert_eq!(judge.answered(9_000, ID, &invented(status, reason), None), Ok(Fate::Odd), "{quirk:?}");
        let repeatable = judge.answered(9_000, ID + 1, &invented(status, reason), None);
        assert_eq!(repeatable.is_ok(), floods, "{quirk:?}: a GET goes to another server");
        assert_eq!(oracle(judge.answered(9_000, ID + 2, &invented(503, "overloaded"), None)), Oracle::Answer);
    }
}

#[test]
fn a_request_fails_after_two_failures_or_where_nobody_else_could_be_asked() {
    let timeout = invented(504, "upstream_timeout");
    let mut judge = self::judge(1, Some(Quirk::HangHead));
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    assert_eq!(judge.answered(9_000, ID, &timeout, None), Ok(Fate::Odd), "there is no other server");
    let mut judge = self::judge(2, Some(Quirk::HangHead));
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    judge.failures[1] = EJECTED;
    assert_eq!(judge.answered(9_000, ID, &timeout, None), Ok(Fate::Odd), "the other one may be ejected");
    let mut judge = self::judge(2, Some(Quirk::HangHead));
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    visit(&mut judge, 1, ID, false);
    assert_eq!(judge.answered(9_000, ID, &good(ID, 1), None), Ok(Fate::Usual), "another one was asked");
    begin(&mut judge, ID + 1, false);
    visit(&mut judge, 1, ID + 1, false);
    visit(&mut judge, 1, ID + 1, false);
    assert_eq!(oracle(judge.answered(9_000, ID + 1, &good(ID + 1, 1), None)), Oracle::Answer, "asked twice for nothing");
}

#[test]
fn a_client_that_trickles_or_smuggles_is_refused() {
    let mut judge = judge(1, None);
    judge.asked(100, ID, &ask(true, Act::Smuggle(0)), caller());
    assert_eq!(judge.answered(110, ID, &invented(400, "malformed_request"), None), Ok(Fate::Odd));
    judge.asked(100, ID + 1, &ask(true, Act::Trickle { head: true, piece: 1, pause: 1 }), caller());
    assert_eq!(judge.answered(110, ID + 1, &invented(408, "request_timeout"), None), Ok(Fate::Odd));
    begin(&mut judge, ID + 2, false);
    assert_eq!(judge.answered(110, ID + 2, &invented(408, "request_timeout"), None), Ok(Fate::Usual), "not one who does neither");
}

#[test]
fn whose_client_left_is_let_go() {
    let mut judge = judge(1, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    judge.left(200, ID);
    judge.overdue(200 + CANCELLED).unwrap();
    assert_eq!(oracle(judge.overdue(201 + CANCELLED)), Oracle::Liveness);
    judge.let_go(0, ID);
    judge.overdue(201 + CANCELLED).unwrap();
}

#[test]
fn a_server_that_hangs_is_left_in_time() {
    let mut judge = judge(1, Some(Quirk::HangHead));
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    judge.overdue(101 + HEAD_TIMEOUT + SLACK).unwrap();
    assert_eq!(oracle(judge.overdue(102 + HEAD_TIMEOUT + SLACK)), Oracle::Liveness);
    judge.cut_link(0);
    judge.overdue(102 + HEAD_TIMEOUT + SLACK).unwrap();
}

#[test]
fn what_is_flushed_is_delivered_and_what_is_not_read_is_not_held_without_bound() {
    let mut judge = judge(1, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    judge.produced(200, 0, ID, 100).unwrap();
    judge.got(300, ID, 99);
    judge.overdue(200 + DELIVERED).unwrap();
    assert_eq!(oracle(judge.overdue(201 + DELIVERED)), Oracle::Liveness);
    judge.got(300, ID, 100);
    judge.overdue(201 + DELIVERED).unwrap();
    judge.produced(400, 0, ID, 100 + HELD).unwrap();
    assert_eq!(oracle(judge.produced(400, 0, ID, 101 + HELD)), Oracle::Bounded);
}

#[test]
fn who_does_nothing_odd_is_served_in_time() {
    let mut judge = judge(1, None);
    for id in [ID, ID + 1] {
        begin(&mut judge, id, false);
        visit(&mut judge, 0, id, false);
    }
    judge.answered(100 + SERVED + 10, ID, &good(ID, 0), None).unwrap();
    assert_eq!(oracle(judge.answered(111 + SERVED, ID + 1, &good(ID + 1, 0), None)), Oracle::Bounded);
}

#[test]
fn a_cookie_leads_to_its_server_and_a_forged_one_nowhere() {
    let mut judge = judge(2, None);
    let with = |value: &str, cookie| (Ask { cookie, ..Ask::default() }, Caller { cookie: Some(value.into()), ..caller() });
    let gives = |id, server, value: &str| Answer { set_cookie: Some(value.into()), ..good(id, server) };
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    judge.answered(110, ID, &gives(ID, 0, "a"), None).unwrap();
    for (id, server, cookie, answer, holds) in [
        (1, 0, Cookie::Kept, good(1, 0), true),
        (2, 1, Cookie::Kept, gives(2, 1, "b"), false),
        (3, 1, Cookie::Forged, gives(3, 1, "b"), true),
        (4, 1, Cookie::Forged, good(4, 1), false),
        (5, 1, Cookie::None, gives(5, 1, "a"), false),
    ] {
        let (ask, caller) = with("a", cookie);
        judge.asked(100, id, &ask, caller);
        visit(&mut judge, server, id, false);
        let verdict = judge.answered(110, id, &answer, None);
        assert_eq!(verdict.is_ok(), holds, "{id}: {verdict:?}");
        assert!(verdict.err().is_none_or(|violation| violation.oracle == Oracle::Sticky));
    }
}

#[test]
fn a_request_that_a_server_had_is_not_left_without_an_answer() {
    let mut judge = judge(1, None);
    begin(&mut judge, ID, false);
    judge.unanswered(ID).unwrap();
    visit(&mut judge, 0, ID, false);
    assert_eq!(oracle(judge.unanswered(ID)), Oracle::Answer);
}

#[test]
fn hop_by_hop_fields_do_not_reach_the_client() {
    let mut judge = judge(1, None);
    begin(&mut judge, ID, false);
    visit(&mut judge, 0, ID, false);
    let head = Head { fields: vec![("X-Hop".into(), "1".into())], ..Head::default() };
    assert_eq!(oracle(judge.answered(110, ID, &good(ID, 0), Some(&head))), Oracle::Headers);
}

#[test]
fn what_goes_upstream_is_strict_and_true() {
    let honest = [
        ("Host", "s0.test"),
        ("X-Forwarded-For", "10.2.0.1"),
        ("X-Real-Ip", "10.2.0.1"),
        ("X-Forwarded-Host", "s0.test"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "80"),
    ];
    let judged = |change: &dyn Fn(&mut Head)| {
        let fields = honest.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let line = ["GET", "/request/7", "HTTP/1.1"].map(str::to_owned);
        let mut head = Head { line, fields };
        change(&mut head);
        upstream::judge(7, &head, &Ask::default(), &caller())
    };
    judged(&|_| {}).unwrap();
    let adds =
        |name: &'static str, value: &'static str| move |head: &mut Head| head.fields.push((name.to_owned(), value.to_owned()));
    for (name, value) in [
        ("Content-Length", "5"),
        ("Transfer-Encoding", "gzip"),
        ("Keep-Alive", "timeout=5"),
        ("X-Hop", "1"),
        ("TE", "gzip"),
        ("Connection", "X-Hop"),
        ("Upgrade", "websocket"),
        ("Forwarded", "for=6.6.6.6"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Forwarded-For", "6.6.6.6"),
    ] {
        assert_eq!(oracle(judged(&adds(name, value))), Oracle::Headers, "{name}");
    }
    assert_eq!(oracle(judged(&|head| head.fields[1].1 = "6.6.6.6, 10.2.0.1".into())), Oracle::Headers);
    assert_eq!(oracle(judged(&|head| head.line[0] = "POST".into())), Oracle::Headers);
}
