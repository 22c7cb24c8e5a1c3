//! The labels of Traefik 3 and 2: `traefik.http.routers.web.rule`, `traefik.tcp.routers.db.rule`.
//!
//! What a workload says is taken over as it is written; what it leaves out is made of the workload, as Traefik does: a service and a router
//! named after it, the service that a router means where there is only one, the rule of the provider's template, and the servers, which are
//! its instances.
//!
//! Of connections (`traefik.tcp.`) no router is made that is not written, and none gets a rule.
//!
//! A workload that says nothing of how it is served in this language, but does in another, gets nothing from this one.
//!
//! # Workloads without instances
//!
//! A Swarm service that has no running task at this moment keeps its routers, and requests are answered with 503 until there is one: it is
//! meant to be there, and a request must not fall to another router because its only task is being replaced. Traefik forgets such a
//! service, and answers 404 or with a router that was never meant for it. A *container* that does not run, or is not healthy, is left out as in
//! Traefik, unless `allowEmptyServices` or `traefik.docker.allownonrunning` says otherwise: where containers are stopped by hand, a router
//! of lower priority is what people take over with.
//!
//! Deliberately absent: what the units mean (`config`), and who owns a name ([`super::Discovery`]).

mod options;
mod routers;
mod services;
#[cfg(test)]
mod tests;
mod written;

use super::{Draft, Kind, Language, Reading, Settings, Workload};
use crate::{config::Severity, snapshot::Layer};
use options::{Exposed, Options};
use written::Written;

/// What one workload's labels ask for.
pub fn read(workload: &Workload, settings: &Settings) -> Reading {
    let mut draft = Draft::below(&workload.title(), "traefik");
    let options = Options::read(workload, settings, &mut draft);
    if options.exposed == Exposed::No || speaks_otherwise(workload, &options) || is_off(workload, settings, &options) {
        return Reading::default();
    }
    let written = Written::take(workload, &mut draft);
    if let Some(label) = written.stream {
        let remedy = "nothing needs to be done: what it declares below `traefik.http` is not affected";
        draft.reject(Severity::Warning, label, "routers and services of udp are not served yet", remedy);
    }
    let name = super::naming::service_name(workload);
    let none = |layer, kinds: &[&str]| kinds.iter().all(|kind| names(&draft, layer, kind).is_empty());
    let tcp = !none(Layer::Tcp, &["routers", "services"]);
    let http = !none(Layer::Http, &["routers", "services", "middlewares"]) || !tcp && written.stream.is_none();
    if tcp {
        services::complete(Layer::Tcp, workload, settings, &options, &written, &name, &mut draft);
        routers::complete_tcp(workload, &options, &mut draft);
    }
    if http {
        services::complete(Layer::Http, workload, settings, &options, &written, &name, &mut draft);
        routers::complete(workload, settings, &options, &name, &mut draft);
    }
    draft.finish().into()
}

/// Whether the workload says in another language how it is served, and nothing in this one.
fn speaks_otherwise(workload: &Workload, options: &Options<'_>) -> bool {
    if workload.speaks(Language::Traefik) {
        return false;
    }
    let docker = workload.speaks(Language::Interlock) || workload.speaks(Language::Mesh);
    workload.speaks(Language::Traefik1) || (docker && options.exposed == Exposed::ByDefault)
}

/// Whether it is left out because nothing of it runs. See the module.
fn is_off(workload: &Workload, settings: &Settings, options: &Options<'_>) -> bool {
    let kept = settings.allow_empty_services || options.allow_non_running;
    workload.kind == Kind::Container && workload.instances.is_empty() && !kept
}

/// Whether any of its labels is meant for Traefik. What goes wrong with one of whom nobody spoke is no mistake.
fn is_spoken_of(workload: &Workload) -> bool {
    let head = "traefik.";
    workload.labels.keys().any(|label| label.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head)))
}

/// The section of the configuration that a layer's units stand in.
fn section(layer: Layer) -> &'static str {
    match layer {
        Layer::Http => "http",
        Layer::Tcp => "tcp",
    }
}

/// Names written below `http.<kind>` or `tcp.<kind>`.
fn names(draft: &Draft, layer: Layer, kind: &str) -> Vec<String> {
    let section = draft.written().child(section(layer)).and_then(|section| section.child(kind));
    section.into_iter().flat_map(|section| section.children()).map(|(name, _)| name.to_owned()).collect()
}

/// The text at `http.<kind>.<name>.<key>` or below `tcp`, unless there is none.
fn text<'d>(draft: &'d Draft, layer: Layer, kind: &str, name: &str, key: &str) -> Option<&'d str> {
    draft.written().text(&[section(layer), kind, name, key]).filter(|text| !text.trim().is_empty())
}
