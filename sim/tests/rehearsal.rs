//! The simulator itself: that it repeats itself, that pinned seeds stay mended, and that it can fail.
#![cfg(madsim)]

use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead-sim")).args(args).output().expect("the binary was built for this test")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Seeds that once failed: see `docs/found-by-simulation.md`.
const PINNED: [(&str, &[u64]); 3] =
    [("rolling_update", &[76, 191]), ("config_race", &[53, 631, 717]), ("partition", &[4, 18, 23, 24, 31, 101, 823])];

#[test]
fn seeds_that_once_failed_pass() {
    for (scenario, seeds) in PINNED {
        for seed in seeds {
            let output = sim(&["run", scenario, "--seed", &seed.to_string()]);
            assert!(output.status.success(), "{}", text(&output));
            let last = text(&output).lines().last().unwrap_or_default().to_owned();
            assert!(last.starts_with("trace-hash=") && last.ends_with(" verdict=pass"), "{last}");
        }
    }
}

/// Plans that once failed, kept as they were drawn then: see `docs/found-by-simulation.md`.
const PLANS: &[&str] = &[
    "lagging_manager",
    "empty_manager",
    "managers_behind_one_address",
    "two_managers_in_one_reading",
    "stranger_at_an_old_address",
    "truncated_before_a_byte",
    "event_before_the_first_lists",
    "certificate_that_ran_out",
    "lists_of_two_moments",
    "lists_emptied_meanwhile",
    "turns_of_a_state_to_come",
    "change_while_the_router_is_down",
    "silent_host",
    "answer_to_a_long_request",
    // The one that docs/simulation.md walks through: it never failed without its planted bug.
    "kept_connection",
];

#[test]
fn plans_that_once_failed_pass() {
    for plan in PLANS {
        let output = sim(&["replay", &format!("{}/tests/plans/{plan}.json", env!("CARGO_MANIFEST_DIR"))]);
        assert!(output.status.success(), "{plan}: {}", text(&output));
    }
}

#[test]
fn twenty_seeds_give_the_same_trace_in_two_processes() {
    let output = sim(&["meta", "--seeds", "0..20"]);
    assert!(output.status.success() && text(&output).contains(" 0 differ"), "{}", text(&output));
}

#[test]
fn seeds_differ() {
    let hash = |seed| text(&sim(&["run", "partition", "--seed", seed])).lines().last().map(str::to_owned);
    assert_ne!(hash("1"), hash("2"));
}

#[test]
fn a_plan_replays_as_the_seed_that_drew_it() {
    let plan = sim(&["run", "config_race", "--seed", "3", "--plan"]);
    let file = std::env::temp_dir().join(format!("fairlead-plan-{}", std::process::id()));
    std::fs::write(&file, &plan.stdout).expect("a temporary file");
    let replayed = sim(&["replay", &file.to_string_lossy()]);
    std::fs::remove_file(&file).expect("the temporary file");
    assert_eq!(text(&replayed), text(&sim(&["run", "config_race", "--seed", "3"])));
}

/// An oracle that cannot fail proves nothing: here a server is told that it belongs to another service than the configuration says.
#[test]
fn a_broken_promise_fails_and_says_how_to_see_it_again() {
    let plan = text(&sim(&["run", "config_race", "--seed", "3", "--plan"]));
    let mut plan: serde_json::Value = serde_json::from_str(&plan).expect("plans are JSON");
    plan["steps"] = serde_json::json!([]);
    plan["servers"][0]["service"] = serde_json::json!(1);
    plan["first"]["units"][0]["servers"] = serde_json::json!([0]);
    let file = std::env::temp_dir().join(format!("fairlead-broken-{}", std::process::id()));
    std::fs::write(&file, plan.to_string()).expect("a temporary file");
    let output = sim(&["replay", &file.to_string_lossy()]);
    std::fs::remove_file(&file).expect("the temporary file");
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    for part in ["class:        safety", "invariant:    O2", "seed:         3", "replay:       ", "verdict=safety"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}
