//! The search by itself: what it finds, and that it finds the same whatever runs beside it.

use super::*;
use crate::scenario;
use std::cell::RefCell;

/// Fails as long as both of two steps are there, and one client still asks.
fn fails(plan: &Value, steps: [&Value; 2]) -> bool {
    let there = |step: &&Value| plan["steps"].as_array().is_some_and(|all| all.iter().any(|other| other["what"] == step["what"]));
    let asks = plan["clients"].as_array().into_iter().flatten().flat_map(|client| client["asks"].as_array()).flatten().count();
    steps.iter().all(there) && asks > 0
}

fn search(jobs: usize, tries: u64) -> (Value, u64, Vec<String>) {
    let plan = scenario::named("config_race").expect("a scenario").plan(3).to_json();
    let plan: Value = serde_json::from_str(&plan).expect("plans are JSON");
    let steps = plan["steps"].as_array().expect("a list").clone();
    let (first, last) = (&steps[1], &steps[steps.len() - 2]);
    let seen = RefCell::new(Vec::new());
    let test = |candidates: &[Value]| {
        seen.borrow_mut().extend(candidates.iter().map(Value::to_string));
        Ok(candidates.iter().map(|plan| fails(plan, [first, last])).collect())
    };
    let mut search = Search { plan, test: &test, jobs, tries, over: &|| false, known: BTreeMap::new(), tried: 0 };
    search.all(&mut |_, _, _| {}).expect("the test never errs");
    let (plan, tried) = (search.plan, search.tried);
    (plan, tried, seen.into_inner())
}

#[test]
fn what_does_not_matter_is_gone() {
    let (plan, _, seen) = search(1, u64::MAX);
    let read = Plan::from_json(&plan.to_string()).expect("a plan");
    assert_eq!((read.steps.len(), read.requests()), (2, 1));
    assert_eq!((read.network.duplicate, read.network.short_io, read.network.latency), (0, 0, (0, 0)));
    assert!(read.steps.iter().all(|step| step.at == 0), "{:?}", read.steps);
    assert!(seen.iter().all(|plan| Plan::from_json(plan).is_ok()), "only plans are run");
}

#[test]
fn the_number_of_jobs_changes_nothing() {
    let (alone, tried, _) = search(1, u64::MAX);
    let (beside, as_often, _) = search(5, u64::MAX);
    assert_eq!((alone, tried), (beside, as_often));
}

#[test]
fn no_more_is_tried_than_allowed() {
    let (_, tried, _) = search(1, 7);
    assert_eq!(tried, 7);
}

#[test]
fn failures_are_alike_by_oracle_and_words_and_panics_by_place() {
    let failure = |oracle: &str, detail: &str| Failure { oracle: oracle.into(), detail: detail.into() };
    let [one, other] =
        ["GET 7 to s1 got 502 (upstream_closed), while [3] were well", "POST 100009 to s0 got 504 (x), while [0, 4] were well"];
    assert!(failure("O1", one).is_like(&failure("O1", other)));
    assert!(!failure("O1", one).is_like(&failure("O1", "GET 7 to s1 got 404, and its route stood")));
    assert!(!failure("O1", one).is_like(&failure("O2", one)));
    assert!(failure("O17", "3 (at a.rs:1)").is_like(&failure("O17", "4 (at a.rs:1)")));
    assert!(!failure("O17", "3 (at a.rs:1)").is_like(&failure("O17", "3 (at a.rs:2)")));
    let block = "an event\ninvariant:    O2: the right one\n              request 7 is wrong\noptions:      none\n";
    assert_eq!(Failure::read(block), Some(failure("O2", "request 7 is wrong")));
    assert_eq!(Failure::read("trace-hash=1 verdict=pass"), None);
}
