//! Labels that speak to the provider: whether a workload is served at all, and how it is reached.

use crate::{
    config::Severity,
    discovery::{Draft, Kind, Settings, Workload},
};

/// What they say.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) exposed: Exposed,
    /// The network that a label names.
    pub(super) network: Option<&'a str>,
    /// The label that names the network, or would.
    pub(super) network_label: &'static str,
    /// By the workload's virtual address.
    pub(super) virtual_address: bool,
    /// What of it cannot be understood: servers are not guessed then.
    pub(super) unclear: Option<&'a str>,
    pub(super) allow_non_running: bool,
}

/// Whether a workload is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposed {
    No,
    ByDefault,
    /// By `traefik.enable`.
    Asked,
    /// `traefik.enable` cannot be understood: nothing new is served, and what was stays.
    Unclear,
}

const DOCKER: [&str; 3] = ["network", "lbswarm", "allownonrunning"];
const SWARM: [&str; 2] = ["network", "lbswarm"];

impl<'a> Options<'a> {
    pub(super) fn read(workload: &'a Workload, settings: &Settings, draft: &mut Draft) -> Self {
        let labels = Labels { workload };
        let swarm = workload.kind == Kind::SwarmService;
        let (own, other) = if swarm { ("traefik.swarm.", "traefik.docker.") } else { ("traefik.docker.", "traefik.swarm.") };
        let exposed = match labels.get("traefik.enable").map(|(label, value)| (label, truth(value))) {
            Some((_, Some(true))) => Exposed::Asked,
            Some((_, Some(false))) => Exposed::No,
            Some((_, None)) => Exposed::Unclear,
            None if settings.exposed_by_default => Exposed::ByDefault,
            None => Exposed::No,
        };
        let network = labels.either(own, other, "network", draft).filter(|(_, value)| !value.is_empty());
        let balanced = labels.either(own, other, "lbswarm", draft);
        if let Some((label, _)) = balanced.filter(|_| !swarm) {
            draft.reject(Severity::Warning, label, "a container has no virtual address", "remove it");
        }
        let allow_non_running = labels.get("traefik.docker.allownonrunning");
        if let Some((label, value)) = allow_non_running.filter(|(_, value)| truth(value).is_none()) {
            draft.reject(Severity::Error, label, expected_truth(value), "write true or false");
        }
        let balanced = balanced.filter(|_| swarm);
        Self {
            exposed,
            network: network.map(|(_, value)| value),
            network_label: if swarm { "traefik.swarm.network" } else { "traefik.docker.network" },
            virtual_address: balanced.and_then(|(_, value)| truth(value)).unwrap_or(false),
            unclear: balanced.filter(|(_, value)| truth(value).is_none()).map(|(label, _)| label),
            allow_non_running: allow_non_running.and_then(|(_, value)| truth(value)).unwrap_or(false),
        }
    }

    /// Known keys below `traefik.docker.` or `traefik.swarm.`.
    pub(super) fn known(family: &str) -> &'static [&'static str] {
        if family.eq_ignore_ascii_case("docker") { &DOCKER } else { &SWARM }
    }
}

/// What Go reads as a truth value.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

pub(super) fn expected_truth(found: &str) -> String {
    format!("expected true or false, found {}", crate::config::quote(found))
}

#[derive(Clone, Copy)]
struct Labels<'a> {
    workload: &'a Workload,
}

impl<'a> Labels<'a> {
    /// A label with its spelling and value.
    fn get(self, name: &str) -> Option<(&'a str, &'a str)> {
        let exact = self.workload.labels.get_key_value(name);
        let found = exact.or_else(|| self.workload.labels.iter().find(|(label, _)| label.eq_ignore_ascii_case(name)));
        found.map(|(label, value)| (label.as_str(), value.as_str()))
    }

    /// The one of the orchestrator's own family; else that of the other, which people carry along.
    fn either(self, own: &str, other: &str, key: &str, draft: &mut Draft) -> Option<(&'a str, &'a str)> {
        let (own, other) = (self.get(&format!("{own}{key}")), self.get(&format!("{other}{key}")));
        if let (Some((counts, own)), Some((label, other))) = (own, other)
            && own != other
        {
            draft.reject(
                Severity::Warning,
                label,
                format!("`{counts}` says otherwise, and that counts here"),
                "remove one of them",
            );
        }
        own.or(other)
    }
}
