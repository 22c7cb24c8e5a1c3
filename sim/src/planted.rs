//! The planted bugs: defects in product code that the oracles must catch.
//!
//! Each stands behind a cfg of its own, `planted = "<name>"`, so no build for production holds one. `cargo planted` builds with all
//! of these cfgs at once, into a folder of its own, and a run chooses its bug by name: one build serves them all.

/// A defect, and where it shows.
pub struct Bug {
    pub name: &'static str,
    pub about: &'static str,
    /// Scenarios that can meet it.
    pub scenarios: &'static [&'static str],
}

/// All of them.
pub const BUGS: [Bug; 7] = [
    Bug {
        name: "withdrawn_stays",
        about: "a server that the configuration no longer has stays in the pick set",
        scenarios: &["rolling_update", "config_race"],
    },
    Bug {
        name: "post_retried",
        about: "a POST is sent to another server although its bytes went out",
        scenarios: &["rolling_update", "partition"],
    },
    Bug { name: "half_revision", about: "half of a transaction is applied", scenarios: &["config_race"] },
    Bug { name: "compaction_ignored", about: "after a compaction nothing is read again", scenarios: &["config_race"] },
    Bug {
        name: "idle_unchecked",
        about: "a kept connection is used without a look at whether it still lives",
        scenarios: &["rolling_update"],
    },
    Bug {
        name: "in_flight_leaked",
        about: "a request that ends beside another one to the same server is not counted down",
        scenarios: &["rolling_update", "partition"],
    },
    Bug {
        name: "last_good_dropped",
        about: "a provider that fails takes its configuration with it",
        scenarios: &["config_race", "partition"],
    },
];

/// The bug of this name.
pub fn named(name: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.name == name)
}

/// Whether this build holds them.
pub const BUILT_IN: bool = cfg!(planted = "withdrawn_stays");
