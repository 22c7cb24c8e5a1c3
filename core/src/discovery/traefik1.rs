//! Labels of Traefik 1, of 1.4 to 1.7: `traefik.frontend.rule`, `traefik.port`, `traefik.<segment>.frontend.rule`.
//!
//! ```text
//! traefik.frontend.*                      → router frontend-<rule>, middlewares frontend-<workload>-…
//! traefik.backend.*, port, protocol, …    → service backend-<workload>
//! ```
//!
//! A frontend is named after its rule, as in Traefik 1: two workloads with one rule claim one name, which [`super::Discovery`] decides, where
//! Traefik 1 let the last one win. A service is named after its workload, whatever `traefik.backend` says: two stacks that chose the same
//! backend never share servers. The priority of a rule is the length of its text, as it was written for Traefik 1.
//!
//! What has no equivalent here is told label by label. Labels that guard (authentication, addresses, hosts) or decide where a request goes
//! keep the frontend from being served; those that only shape traffic are left out with a warning. The list is in [`guard`].
//!
//! Deliberately absent: error pages, circuit breakers, connection limits, and everything about the static configuration.

mod backend;
mod frontend;
mod guard;
mod headers;
mod labels;
mod rule;
#[cfg(test)]
mod tests;

use super::{Draft, Kind, Mounts, Reading, Settings, Workload};
use crate::config::Severity;
use labels::{Labels, View};
use sha1::{Digest, Sha1};
use std::{cell::Cell, collections::BTreeSet};

/// What a workload asks for.
pub fn read(workload: &Workload, settings: &Settings, _mounts: &Mounts) -> Reading {
    let mut draft = Draft::new(&workload.title());
    let labels = Labels::of(workload);
    if concerns(workload, settings, &labels, &mut draft) {
        let mut taken = BTreeSet::new();
        for view in labels.views() {
            let unit = Unit::new(workload, settings, view);
            if unit.is_first(&mut taken, &mut draft) {
                frontend::write(&unit, &mut draft);
                backend::write(&unit, &mut draft);
            }
        }
    }
    draft.finish().into()
}

fn concerns(workload: &Workload, settings: &Settings, labels: &Labels<'_>, draft: &mut Draft) -> bool {
    // Rancher's provider has no other language, and no other way to ask for a service: what is meant must not go unsaid.
    let meant = labels.speak() || (workload.kind == Kind::RancherService && labels.any());
    if !meant {
        return false;
    }
    let Some(enable) = labels.plain().get("enable") else { return settings.exposed_by_default };
    enable.truth().unwrap_or_else(|| {
        let taken = if settings.exposed_by_default { "served" } else { "not served" };
        draft.reject(
            Severity::Warning,
            enable.name,
            format!("expected true or false, so the service is {taken}, as by default"),
            "write true or false",
        );
        settings.exposed_by_default
    })
}

/// One frontend with its backend, and their names.
struct Unit<'a> {
    workload: &'a Workload,
    settings: &'a Settings,
    labels: View<'a>,
    /// In Traefik 1's language: as written, or the default.
    rule: String,
    /// The label that holds the rule, or would.
    rule_label: String,
    router: String,
    service: String,
    /// What names of middlewares begin with.
    middleware: String,
    refused: Cell<bool>,
}

impl<'a> Unit<'a> {
    fn new(workload: &'a Workload, settings: &'a Settings, labels: View<'a>) -> Self {
        let label = labels.get("frontend.rule");
        let rule = label.map_or_else(|| default_rule(workload, settings, &labels), |label| label.value.trim().to_owned());
        let mut router = router_name(&rule);
        // Segments of one rule are told apart by entry points: one redirects what comes in the clear, another serves.
        if let Some(points) = labels.get("frontend.entrypoints").filter(|_| labels.segment.is_some()) {
            let sorted: BTreeSet<String> = points.list().into_iter().map(word).collect();
            router = format!("{router}:{}", sorted.into_iter().collect::<Vec<_>>().join("+"));
        }
        let mut owner = match labels.get("backend") {
            // Containers of one backend and one rule are one service, as in Traefik 1.
            Some(label) if workload.kind == Kind::Container => format!("{}:{router}", word(label.value.trim())),
            _ => distinct(workload),
        };
        if let Some(segment) = labels.segment {
            // A workload's name holds no colon.
            owner = format!("{owner}:{}", word(segment));
        }
        Self {
            workload,
            settings,
            rule,
            rule_label: label.map_or_else(|| labels.name_of("frontend.rule"), |label| label.name.to_owned()),
            router,
            service: format!("backend-{owner}"),
            middleware: format!("frontend-{owner}"),
            labels,
            refused: Cell::new(false),
        }
    }

    /// Two segments with one rule on the same entry points cannot both be served.
    fn is_first(&self, taken: &mut BTreeSet<String>, draft: &mut Draft) -> bool {
        let first = taken.insert(self.router.to_ascii_lowercase());
        if !first {
            let message = format!("another segment of this service has the rule `{}` already, and that one is served", self.rule);
            draft.reject(Severity::Error, &self.rule_label, message, "give each segment a rule or entry points of its own");
        }
        first
    }

    fn router_path<'p>(&'p self, key: &'p str) -> [&'p str; 4] {
        ["http", "routers", &self.router, key]
    }

    /// Keeps the frontend from being served.
    fn refuse(&self, draft: &mut Draft, label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        // One reason travels with the router, the others beside it.
        if self.refused.replace(true) {
            draft.reject(Severity::Error, label, message, remedy);
        } else {
            draft.spoil(&["http", "routers", &self.router], label, message, remedy);
        }
    }
}

/// The host that a workload has without a rule: `Host:web.shop.example.com`.
fn default_rule(workload: &Workload, settings: &Settings, labels: &View<'_>) -> String {
    let domain = labels.get("domain").map_or(settings.domain.as_str(), |label| label.value.trim()).trim_matches('.');
    let name = match (workload.kind, workload.name.split_once('/')) {
        // As Traefik 1.7; 1.4 turned the two around.
        (Kind::RancherService, Some((stack, service))) => format!("{service}.{stack}"),
        _ => workload.name.trim_matches('/').replace('_', "-").replace('/', "."),
    };
    let host = if domain.is_empty() { name } else { format!("{name}.{domain}") };
    format!("Host:{}", host.to_ascii_lowercase())
}

/// `frontend-PathPrefix-api`: Traefik 1's name, with a digest where other rules would have the same.
fn router_name(rule: &str) -> String {
    let words: Vec<&str> = rule.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(120).collect();
    if rule::is_plain(rule) { format!("frontend-{short}") } else { format!("frontend-{short}-{}", digest(rule)) }
}

/// The workload's name for use in others, which no two workloads of one provider share: `shop/web` becomes `shop.web`.
fn distinct(workload: &Workload) -> String {
    let name = workload.name.trim_start_matches('/');
    match name.split_once('/') {
        // Rancher's names are of two parts without dots, the others' of one part.
        Some((stack, service)) if workload.kind == Kind::RancherService && !name.contains('.') && word(service) == service => {
            format!("{}.{service}", word(stack))
        }
        None if workload.kind != Kind::RancherService => word(name),
        _ => format!("{}-{}", word(&name.replace('/', ".")), digest(name)),
    }
}

/// Fit to be a part of a name.
fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(fits) { text.to_owned() } else { format!("{}-{}", text.replace(|c| !fits(c), "-"), digest(text)) }
}

fn digest(text: &str) -> String {
    Sha1::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
