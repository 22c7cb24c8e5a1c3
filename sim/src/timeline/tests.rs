//! What marks amount to, and that a page is one file.

use super::{
    model::{Arrival, Group, Outcome, Segment},
    *,
};
use crate::{
    fault::{Fault, Phase},
    run::{self, Order},
    scenario,
    trace::{Keep, Mark, Marked, State},
};
use std::collections::BTreeSet;

fn marked(at: u64, node: &str, mark: Mark) -> Marked {
    Marked { at, line: 0, node: node.into(), mark }
}

fn picks(number: u64, names: &[&str]) -> Mark {
    Mark::Configuration { number, picks: names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>() }
}

fn asked(id: u64) -> Mark {
    Mark::Asked { id, gateway: "gateway".into(), method: "GET".into(), service: 0 }
}

#[test]
fn a_request_has_its_arrivals_and_its_end() {
    let marks = [
        marked(1, "client-0", asked(7)),
        marked(2, "server-1", Mark::Arrived { id: 7 }),
        marked(3, "server-0", Mark::Arrived { id: 7 }),
        marked(4, "server-0", Mark::Replied { id: 7 }),
        marked(5, "client-0", Mark::Answered { id: 7, status: 502, reason: Some("upstream_closed".into()) }),
        marked(6, "client-0", asked(8)),
    ];
    let model = Model::new(&marks, 10);
    let names: Vec<_> = model.lanes.iter().map(|lane| (lane.name.as_str(), lane.group)).collect();
    assert_eq!(names, [("server-0", Group::Servers), ("server-1", Group::Servers), ("client-0", Group::Clients)]);
    let [one, other] = &model.requests[..] else { panic!("{:?}", model.requests) };
    assert_eq!((one.from, one.to, one.outcome, one.status), (1, Some(5), Outcome::Invented, Some(502)));
    let arrivals = [Arrival { lane: 1, at: 2, replied: None }, Arrival { lane: 0, at: 3, replied: Some(4) }];
    assert_eq!(one.arrivals, arrivals);
    assert_eq!((other.to, other.outcome), (None, Outcome::Open));
}

#[test]
fn pick_sets_are_shares_of_the_gateways_that_are_up() {
    let marks = [
        marked(0, "task-3", Mark::Bears { identity: "x1".into() }),
        marked(1, "gateway", picks(1, &["x1"])),
        marked(2, "gateway-2", picks(1, &[])),
        marked(5, "gateway-2", Mark::State { state: State::Dark }),
        marked(8, "gateway", picks(2, &[])),
    ];
    let model = Model::new(&marks, 10);
    let of = |from, to, is| Segment { lane: 2, from, to, is };
    assert_eq!(model.picks, [of(1, 2, 1.0), of(2, 5, 0.5), of(5, 8, 1.0)]);
    let numbers: Vec<_> = model.configurations.iter().map(|s| (s.lane, s.from, s.to, s.is)).collect();
    assert_eq!(numbers, [(1, 2, 5, 1), (0, 1, 8, 1), (0, 8, 10, 2)]);
}

#[test]
fn a_fault_lasts_until_the_same_one_ends() {
    let fault = |at, phase, what: &str, nodes: &[&str]| {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        marked(at, "world", Mark::fault(Fault::Kill, phase, what.into(), nodes))
    };
    let marks = [
        fault(1, Phase::Begins, "node dies node 1", &[]),
        fault(2, Phase::Begins, "node dies node 2", &[]),
        fault(3, Phase::Ends, "node returns node 1", &[]),
        fault(4, Phase::Once, "kill 0", &[]),
        fault(5, Phase::Ends, "node returns node 3", &[]),
    ];
    let model = Model::new(&marks, 9);
    let spans: Vec<_> = model.faults.iter().map(|fault| (fault.from, fault.to, fault.once)).collect();
    assert_eq!(spans, [(1, 3, false), (2, 9, false), (4, 4, true)]);
    assert_eq!(model.happenings.len(), 1, "what was not broken is mended all the same");
}

#[test]
fn lines_that_do_not_fit_are_counted() {
    assert_eq!(last("one\ntwo\nthree\n", 100), (0, vec!["one", "two", "three"]));
    assert_eq!(last("one\ntwo\nthree\n", 17), (1, vec!["two", "three"]));
}

#[test]
fn no_data_ends_its_element_and_no_page_reaches_beyond_itself() {
    let page = assembled("{\"x\":\"</script><img src=http://there>\"}");
    assert!(page.contains("\\u003c/script>\\u003cimg"));
    assert_eq!(page.matches("</script>").count(), 2);
    for way_out in ["<link", "src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "onclick=\"", "eval("] {
        assert!(!page.contains(way_out), "{way_out} in the page");
    }
    assert!(page.contains("default-src 'none'") && !page.contains("/*DATA*/"));
}

#[test]
fn a_page_holds_the_run() {
    let plan = scenario::named("partition").expect("a scenario").plan(1);
    let order = Order { keep: Keep { lines: true, marks: true, packets: true }, ..Order::default() };
    let kept = run::run(plan, order);
    let page = page(&kept);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let model = Model::new(&kept.marks, kept.virtual_ms * 1000);
    assert_eq!(model.requests.len() as u64, kept.counts.asked);
    let answered = |outcome| model.requests.iter().filter(|request| request.outcome == outcome).count() as u64;
    assert_eq!(answered(Outcome::Answered) + answered(Outcome::Invented), kept.counts.answered);
    assert_eq!(model.requests.iter().map(|request| request.arrivals.len() as u64).sum::<u64>(), kept.counts.arrivals);
    assert_eq!(model.configurations.len() as u64, kept.counts.snapshots);
}
