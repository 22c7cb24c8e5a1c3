//! The planted bugs: defects in product code that the oracles must catch.
//!
//! Each stands behind a cfg of its own, `planted = "<name>"`, so no build for production holds one. `cargo planted` builds with all
//! of these cfgs at once (`.cargo/planted.rs` makes them from the names below), and a run chooses its bug by
//! name: one build serves them all.

use parking_lot::Mutex;

/// A defect, and where it shows.
pub struct Bug {
    pub name: &'static str,
    pub about: &'static str,
    /// Scenarios that can meet it; `core:` and its name for a machine of core.
    pub scenarios: &'static [&'static str],
}

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "withdrawn_stays",
        about: "a server that the configuration no longer has stays in the pick set",
        scenarios: &["rolling_update", "config_race"],
    },
    Bug {
        name: "post_retried",
        about: "a POST is sent to another server although its bytes went out",
        scenarios: &["rolling_update", "partition", "traffic"],
    },
    Bug { name: "half_revision", about: "half of a transaction is applied", scenarios: &["config_race"] },
    Bug { name: "compaction_ignored", about: "after a compaction nothing is read again", scenarios: &["config_race"] },
    Bug {
        name: "idle_unchecked",
        about: "a kept connection is used without a look at whether it still lives",
        scenarios: &["swarm_update"],
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
    Bug { name: "abort_not_propagated", about: "a server works on although the client has left", scenarios: &["traffic"] },
    Bug {
        name: "responses_swapped",
        about: "a connection whose response was given up is used again, and gives the late response to the next request",
        scenarios: &["traffic"],
    },
    Bug {
        name: "ejected_asked",
        about: "a server that was ejected gets requests as before",
        scenarios: &["partition", "environment", "whole"],
    },
    Bug {
        name: "sticky_ignored",
        about: "cookies are not followed while another server of the service is ejected or ill",
        scenarios: &["partition", "environment", "whole"],
    },
    Bug {
        name: "nobody_panics",
        about: "a service without a server that can be asked is taken for one that has one more",
        scenarios: &["partition", "rolling_update", "whole"],
    },
    Bug {
        name: "manager_written",
        about: "a manager is asked with another method than GET",
        scenarios: &["swarm_update", "swarm_discovery"],
    },
    Bug {
        name: "balancer_shared",
        about: "the balancer of a state that is being served is told of the next state's servers",
        scenarios: &["partition", "rolling_update", "config_race"],
    },
    Bug {
        name: "word_lost",
        about: "what a provider says while the Router is down is lost",
        scenarios: &["environment", "rolling_update", "whole"],
    },
    Bug {
        name: "dead_unprobed",
        about: "nobody asks whether the host of a silent server still lives",
        scenarios: &["partition", "environment", "whole"],
    },
    Bug {
        name: "unread_kept",
        about: "an answer to a long request that nobody reads does not say that the connection ends",
        scenarios: &["config_race", "whole"],
    },
    Bug { name: "hop_by_hop_kept", about: "fields of the client's own connection are passed on", scenarios: &["traffic"] },
    Bug { name: "forwarded_spoofed", about: "any client is believed in what it says of itself", scenarios: &["traffic"] },
    Bug {
        name: "permit_leaked",
        about: "a request that is given up after its time-out stays counted at its server",
        scenarios: &["traffic"],
    },
    Bug {
        name: "buffer_unbounded",
        about: "a response is read from its server as fast as it comes, however slowly its client reads",
        scenarios: &["traffic"],
    },
    Bug {
        name: "length_trusted",
        about: "a chunked response that breaks off is ended as if it were whole",
        scenarios: &["traffic"],
    },
    Bug { name: "sticky_forged_trusted", about: "a cookie that nobody gave binds a client to a server", scenarios: &["traffic"] },
    Bug {
        name: "dirty_connection_reused",
        about: "a connection on which more came than the response is used again",
        scenarios: &["traffic"],
    },
    Bug { name: "timeout_ignored", about: "a response head is waited for without end", scenarios: &["traffic"] },
    Bug {
        name: "ready_before_sync",
        about: "a gateway is ready before its providers have spoken",
        scenarios: &["gateway_restart", "whole"],
    },
    Bug { name: "drain_cuts", about: "a drain cuts off requests that are under way", scenarios: &["gateway_restart", "whole"] },
    Bug {
        name: "snapshot_per_router",
        about: "of several routers that change at once, the first is served before the others",
        scenarios: &["config_race", "gateway_restart"],
    },
    Bug {
        name: "pool_kept",
        about: "connections to a server that was withdrawn are kept",
        scenarios: &["rolling_update", "config_race"],
    },
    Bug {
        name: "old_snapshot_admits",
        about: "workers look for a newer state five times a second only",
        scenarios: &["swarm_update"],
    },
    Bug {
        name: "api_stale",
        about: "the API shows a state that was in force a second ago",
        scenarios: &["gateway_restart", "whole"],
    },
    Bug {
        name: "rotation_restarted",
        about: "every request begins the rotation of its service anew, with the first server",
        scenarios: &["environment", "rolling_update"],
    },
    Bug {
        name: "half_open_off_by_one",
        about: "a server on probation is ejected again at its second failure, not the first",
        scenarios: &["core:health"],
    },
    Bug { name: "ejects_last", about: "the last server may be ejected", scenarios: &["core:health"] },
    Bug { name: "weight_ignored", about: "every server above 0 has weight 1", scenarios: &["core:balance"] },
    Bug {
        name: "sticky_forged_core",
        about: "of a sticky cookie, only the first digits are compared",
        scenarios: &["core:balance"],
    },
    Bug { name: "bucket_leaks", about: "a bucket that is not used fills up above its burst", scenarios: &["core:limits"] },
    Bug {
        name: "budget_unbounded",
        about: "retries are granted as long as there is one, and none is counted",
        scenarios: &["core:retry"],
    },
    Bug {
        name: "lost_post_retried",
        about: "a request that must not be repeated is, if nothing of it was acknowledged",
        scenarios: &["core:retry"],
    },
    Bug {
        name: "drain_deadline_ignored",
        about: "a gateway waits for its last connection beyond the deadline",
        scenarios: &["core:limits"],
    },
    Bug {
        name: "drain_skipped",
        about: "a server that is withdrawn is gone at once, whatever it has in flight",
        scenarios: &["core:health"],
    },
    Bug { name: "backoff_forgotten", about: "every ejection is as short as the first", scenarios: &["core:health"] },
    Bug { name: "rise_ignored", about: "a server returns after as many probes as it left after", scenarios: &["core:health"] },
    Bug {
        name: "last_good_forgotten",
        about: "a unit that cannot be read any more takes its last good version with it",
        scenarios: &["core:config"],
    },
    Bug { name: "patch_forgets", about: "a service that alone has changed is served as it was", scenarios: &["core:config"] },
    Bug {
        name: "rank_forgotten",
        about: "a router whose priority alone has changed is tried where it was before",
        scenarios: &["core:routes"],
    },
    Bug { name: "removal_undecoded", about: "a unit whose keys are all gone from the store stays", scenarios: &["config_race"] },
    Bug {
        name: "priority_ties_by_order",
        about: "of routers of equal priority, the provider does not decide",
        scenarios: &["core:routes"],
    },
    Bug {
        name: "wildcard_before_exact",
        about: "a host that a wildcard covers is not looked for by its own name",
        scenarios: &["core:routes"],
    },
];

/// The bug of this name.
pub fn named(name: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.name == name)
}

/// The bug that this process has.
static CHOSEN: Mutex<Option<String>> = Mutex::new(None);

/// Chooses a bug for this process: for good where it is one of the actors', until the next one is chosen where it is one of core's.
pub fn choose(name: &str) {
    fairlead_net::sim::plant(name);
    #[cfg(planted = "half_open_off_by_one")]
    fairlead_core::planted::plant(name);
    *CHOSEN.lock() = Some(name.to_owned());
}

/// The bug that was chosen.
pub fn chosen() -> Option<String> {
    CHOSEN.lock().clone()
}

/// Whether this build holds them.
pub const BUILT_IN: bool = cfg!(planted = "withdrawn_stays");
