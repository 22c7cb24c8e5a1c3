//! Core's state machines: a few hundred seeds of each, in the same process for all, and that they repeat themselves in others.
#![cfg(madsim)]

use fairlead_sim::machines::{ALL, STEPS, named};
use std::process::{Command, Output};

/// Seeds that once failed: see `docs/found-by-simulation.md`.
const PINNED: [(&str, &[u64]); 2] = [("retry", &[4, 6, 11]), ("config", &[31, 36])];

fn core(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead-sim")).arg("core").args(args).output().expect("the binary was built for this test")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_sweep_passes_and_reaches_every_transition() {
    let output = core(&["--seeds", "0..300"]);
    let text = text(&output);
    assert!(output.status.success() && text.contains(" 0 failed; ") && text.contains("seeds/s per core"), "{text}");
    assert!(!text.contains("never reached"), "{text}");
}

#[test]
fn seeds_that_once_failed_pass() {
    for (machine, seeds) in PINNED {
        let machine = named(machine).expect("a machine");
        for seed in seeds {
            let report = machine.play(*seed, STEPS);
            assert!(report.failure.is_none(), "{report}");
        }
    }
}

#[test]
fn a_seed_decides_alike_in_two_processes() {
    for machine in &ALL {
        let run = || text(&core(&[machine.name, "--seed", "7", "--steps", "1000"]));
        let (one, other) = (run(), run());
        assert!(one.starts_with("core-hash=") && one == other, "{one}{other}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_told() {
    for args in
        [&["nowhere"][..], &["--seed", "1"], &["balance", "--seed"], &["--seeds", "3"], &["retry", "--planted", "ejects_last"]]
    {
        let output = core(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", text(&output));
    }
}
