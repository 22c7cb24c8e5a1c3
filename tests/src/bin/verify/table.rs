//! The rungs, in the order in which a mistake is cheapest to hear of.

use crate::rung::Rung;

/// Every rung; the slow ones smaller or left out when it has to be quick.
///
/// All of them use three builds: development, simulation, and simulation with planted bugs, which shares dependencies with the second.
pub fn rungs(quick: bool) -> Vec<Rung> {
    // Of a scenario, and of a machine.
    let (seeds, fresh, cores) = if quick { ("0..10", "20", "0..200") } else { ("0..200", "200", "0..1000") };
    let mut rungs = vec![
        Rung::cargo("format", "the formatter has nothing to say", &["fmt", "--all", "--check"]),
        Rung::cargo("clippy", "the law of the house", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Rung::cargo(
            "unit",
            "unit and property tests, parity of the real arm, fuzz corpora, documentation examples",
            &["test", "--workspace", "--exclude", "fairlead-tests", "--no-fail-fast"],
        ),
        Rung::cargo(
            "end-to-end",
            "the built binary on real sockets against real servers; the house itself",
            &["test", "--package", "fairlead-tests", "--no-fail-fast"],
        ),
        Rung::cargo(
            "simulated",
            "parity of the simulated arm; the simulated world's own tests",
            &["simtest", "--package", "fairlead-net", "--package", "fairlead-sim", "--no-fail-fast"],
        ),
        Rung::cargo(
            "opinion",
            "plans that run both simulated and real, and must come to the same",
            &["test", "--package", "fairlead-tests", "--test", "second_opinion"],
        ),
        Rung::cargo(
            "meta",
            "one seed, two processes, one trace",
            &["sim", "meta", "--seeds", if quick { "0..3" } else { "0..50" }],
        ),
        Rung::cargo("sweep", "every scenario, and every cell of faults and oracles", &["sim", "sweep", "--seeds", seeds]),
        Rung::cargo("fresh", "everything at once, on seeds that nobody has tried", &["sim", "sweep", "whole", "--fresh", fresh]),
        Rung::cargo("machines", "core's state machines on more seeds", &["sim", "core", "--seeds", cores]),
    ];
    if !quick {
        let swarm = ["test", "--package", "fairlead-tests", "--test", "swarm", "--no-fail-fast"];
        rungs.insert(
            4,
            Rung::cargo("swarm", "a real Swarm: discovery, and rolling changes under load; 20 minutes at most", &swarm),
        );
        rungs.push(Rung::cargo("planted", "each planted bug is caught", &["planted", "hunt", "--seeds", "0..500"]));
    }
    rungs.push(
        Rung::cargo(
            "docs",
            "the documentation builds without a warning",
            &["doc", "--workspace", "--exclude", "fairlead-sim", "--no-deps"],
        )
        .with_environment("RUSTDOCFLAGS", "-D warnings"),
    );
    let deny = |name, what, checks: &[&'static str]| {
        let arguments = [&["deny", "--config", ".cargo/deny.toml", "check"], checks].concat();
        Rung::cargo(name, what, &arguments).needing("cargo-deny", "cargo install cargo-deny --locked")
    };
    rungs.push(deny("deny", "licences and sources of dependencies", &["licenses", "bans", "sources"]));
    rungs.push(
        deny("advisories", "no dependency with a known weakness", &["advisories"])
            // Where there is no way to the database, that is no finding about the dependencies.
            .excused_by("failed to fetch advisory database"),
    );
    rungs
}
