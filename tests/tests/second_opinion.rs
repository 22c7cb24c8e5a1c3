//! Whether the simulator tells the truth: plans that run both in the simulated world and, in real time, with the built binary on real
//! sockets. How every request ended must be the same, and so must the servers that were used between two steps.
//!
//! It needs the simulator's build: a rung of its own, `cargo test -p fairlead-tests --test second_opinion`.

use fairlead_tests::opinion::{Outcome, Plan, simulated};
use std::path::{Path, PathBuf};

/// A change is served by then, in milliseconds, also where the machine is busy with other work.
const SETTLED: u64 = 450;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(format!("{name}.json"))
}

/// Both runs, agreed upon.
fn agreed(name: &str) -> (Plan, Outcome) {
    let (path, plan) = (file(name), Plan::read(&file(name)));
    let simulated = simulated(&path);
    let real = plan.run();
    let (expected, seen) = (simulated.kinds(), real.kinds());
    // The probe that ends every simulated run has no counterpart.
    let planned = plan.ids();
    assert!(!planned.is_empty() && planned.iter().all(|id| expected.contains_key(id) && seen.contains_key(id)), "{name}");
    let differing: Vec<_> = planned.iter().filter(|id| expected[id] != seen[id]).collect();
    let told: Vec<_> = differing.iter().map(|id| format!("{id}: simulated {}, real {}", expected[id], seen[id])).collect();
    assert!(told.is_empty(), "{name}: {told:#?}");
    for (phase, ids) in plan.phases(SETTLED).iter().enumerate() {
        assert_eq!(simulated.servers(ids), real.servers(ids), "{name}: the servers of phase {phase}, of requests {ids:?}");
    }
    (plan, real)
}

#[test]
fn servers_are_replaced_one_set_by_another() {
    let (_, real) = agreed("replaced");
    assert!(real.kinds().values().all(|kind| kind == "200 by a server"));
}

#[test]
fn a_server_is_killed_and_comes_back() {
    let (_, real) = agreed("killed");
    assert!(real.kinds().values().all(|kind| kind == "200 by a server"));
}

#[test]
fn the_only_server_dies_and_comes_back() {
    let (_, real) = agreed("only_one");
    assert!(real.kinds().values().any(|kind| kind.starts_with("50")), "{:?}", real.kinds());
}

#[test]
fn a_service_is_emptied_taken_away_and_restored() {
    let (_, real) = agreed("emptied");
    let kinds = real.kinds();
    assert!(
        kinds.values().any(|kind| kind.starts_with("503")) && kinds.values().any(|kind| kind.starts_with("404")),
        "{kinds:?}"
    );
}

#[test]
fn clients_leave_before_their_answers() {
    let (_, real) = agreed("impatient");
    assert!(real.kinds().values().any(|kind| kind == "left"));
    assert!(real.arrivals.values().all(|arrivals| *arrivals == 1), "nothing is repeated for a client that left");
}

#[test]
fn a_file_is_written_in_pieces() {
    let (_, real) = agreed("torn");
    assert!(real.kinds().values().all(|kind| kind == "200 by a server"));
}
