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
pub const BUGS: [Bug; 24] = [
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
    Bug {
        name: "desired_ignored",
        about: "tasks of a Swarm that are to end get requests as long as they run",
        scenarios: &["swarm_update", "swarm_discovery"],
    },
    Bug {
        name: "empty_believed",
        about: "a manager that suddenly knows no service is believed at once",
        scenarios: &["swarm_discovery"],
    },
    Bug {
        name: "stale_view_applied",
        about: "a manager that lags behind takes back what another one said",
        scenarios: &["swarm_discovery"],
    },
    Bug {
        name: "event_gap",
        about: "after a gap in its events a manager is not asked for all again, and services are read because of events only",
        scenarios: &["swarm_discovery"],
    },
    Bug { name: "error_as_empty", about: "an answer with an error is read as an empty list", scenarios: &["swarm_discovery"] },
    Bug {
        name: "conflict_newcomer_wins",
        about: "of two services that claim one name, the younger has it",
        scenarios: &["swarm_discovery"],
    },
    Bug {
        name: "stranger_trusted",
        about: "a connection counts as the server's although another one may have its address by now",
        scenarios: &["swarm_discovery", "swarm_update"],
    },
    Bug {
        name: "expired_served",
        about: "of two certificates for a name, the one that ran out since they were loaded is shown",
        scenarios: &["environment"],
    },
    Bug {
        name: "sni_fallback",
        about: "a certificate for one host of a domain is shown for the others, which have their own",
        scenarios: &["environment"],
    },
    Bug { name: "rotation_ignored", about: "certificate files that changed are not read again", scenarios: &["environment"] },
    Bug { name: "metrics_miscounted", about: "a request that took two attempts is counted twice", scenarios: &["environment"] },
    Bug { name: "accept_stops", about: "a listener that once found no descriptor accepts no more", scenarios: &["environment"] },
    Bug { name: "dns_cached_forever", about: "the first address of a name is kept for good", scenarios: &["environment"] },
    Bug {
        name: "actor_not_restarted",
        about: "an actor that ended without a panic is not started again",
        scenarios: &["environment"],
    },
    Bug { name: "probe_never_recovers", about: "a server that was found ill is not asked again", scenarios: &["environment"] },
    Bug {
        name: "resync_dropped",
        about: "an environment whose version stands still is not read again",
        scenarios: &["metadata"],
    },
    Bug {
        name: "lists_mixed",
        about: "lists between which something changed are taken for one reading",
        scenarios: &["metadata"],
    },
];

/// The bug of this name.
pub fn named(name: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.name == name)
}

/// Whether this build holds them.
pub const BUILT_IN: bool = cfg!(planted = "withdrawn_stays");
