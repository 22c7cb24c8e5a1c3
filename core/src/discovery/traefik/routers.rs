//! Routers get what they leave out: a rule from the provider's template, and the service where only one can be meant. Without any router,
//! the workload gets one of its own name.

use super::{
    Options, names,
    options::{Exposed, expected_truth},
    section, text,
};
use crate::{
    config::Severity,
    discovery::{Draft, Kind, Settings, Workload, template::Context},
    snapshot::Layer,
};

pub(super) fn complete(workload: &Workload, settings: &Settings, options: &Options<'_>, name: &str, draft: &mut Draft) {
    let services = names(draft, Layer::Http, "services");
    let written = names(draft, Layer::Http, "routers");
    let rule = rule(workload, settings, name);
    let routers = match (&written[..], services.len()) {
        // Of a workload that has no service, the reason is told already.
        ([], 0) => Vec::new(),
        // Nobody asked for it, and the template has nothing to say.
        ([], 1) if rule.as_deref() == Ok("") => Vec::new(),
        ([], 1) => vec![name.to_owned()],
        ([], _) => {
            let label = format!("traefik.http.routers.{name}.service");
            let message =
                format!("no router is declared, and of several services, {}, none is meant by itself", listed(&services));
            draft.reject(Severity::Warning, &label, message, "declare a router, and name its service");
            Vec::new()
        }
        _ => written,
    };
    for router in &routers {
        if options.exposed == Exposed::Unclear {
            hold(Layer::Http, workload, router, draft);
            continue;
        }
        if text(draft, Layer::Http, "routers", router, "rule").is_none() {
            give_rule(router, &rule, settings, draft);
        }
        if text(draft, Layer::Http, "routers", router, "service").is_none() {
            link(Layer::Http, router, &services, draft);
        }
    }
}

/// Routers of connections get the service where only one can be meant. A rule is not made up for them: it would take connections of others.
pub(super) fn complete_tcp(workload: &Workload, options: &Options<'_>, draft: &mut Draft) {
    let services = names(draft, Layer::Tcp, "services");
    for router in &names(draft, Layer::Tcp, "routers") {
        if options.exposed == Exposed::Unclear {
            hold(Layer::Tcp, workload, router, draft);
            continue;
        }
        if text(draft, Layer::Tcp, "routers", router, "rule").is_none() {
            let (path, label) = place(Layer::Tcp, router, "rule");
            let remedy = "set it, for instance to HostSNI(`db.example.com`), or HostSNI(`*`) for every connection";
            draft.spoil(&path, &label, "it has no rule, and there is no default one for connections", remedy);
        }
        if text(draft, Layer::Tcp, "routers", router, "service").is_none() {
            link(Layer::Tcp, router, &services, draft);
        }
    }
}

/// The rule of routers that have none.
fn rule(workload: &Workload, settings: &Settings, name: &str) -> Result<String, String> {
    // Of a Swarm service, which has many, the service's own: a rule must not depend on which task happens to run.
    let container = match workload.kind {
        Kind::Container => workload.instances.first().map_or(&workload.name, |instance| &instance.name),
        Kind::SwarmService | Kind::RancherService => &workload.name,
    };
    settings.default_rule.render(&Context { name, container_name: container, labels: &workload.labels })
}

fn give_rule(router: &str, rule: &Result<String, String>, settings: &Settings, draft: &mut Draft) {
    let (path, label) = place(Layer::Http, router, "rule");
    let remedy = format!("set it, or correct providers.{}.defaultRule", settings.provider);
    match rule {
        Ok(rule) if !rule.trim().is_empty() => draft.set(&path, &label, rule.clone()),
        Ok(_) => draft.spoil(&path, &label, "it has no rule, and the default rule is empty for it", remedy),
        Err(why) => draft.spoil(&path, &label, format!("it has no rule, and the default rule cannot be made: {why}"), remedy),
    }
}

fn link(layer: Layer, router: &str, services: &[String], draft: &mut Draft) {
    let (path, label) = place(layer, router, "service");
    match services {
        [only] => draft.set(&path, &label, only.clone()),
        // It names the service that could not be made, so that its own reason is found.
        [] => {}
        several => {
            let message = format!("there are several services, {}, and it is not said which it means", listed(several));
            draft.spoil(&path, &label, message, "set it to one of them");
        }
    }
}

/// Nothing new of it is served, because of `traefik.enable`.
fn hold(layer: Layer, workload: &Workload, router: &str, draft: &mut Draft) {
    let enable = workload.labels.iter().find(|(label, _)| label.eq_ignore_ascii_case("traefik.enable"));
    if let Some((label, value)) = enable {
        draft.spoil(&[section(layer), "routers", router], label, expected_truth(value), "write true or false");
    }
}

fn place<'r>(layer: Layer, router: &'r str, key: &'static str) -> ([&'r str; 4], String) {
    let section = section(layer);
    ([section, "routers", router, key], format!("traefik.{section}.routers.{router}.{key}"))
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
