//! What labels mean, down to the routers and services that are served.

mod compose;
mod labels;
mod mesh;

use crate::{
    config::{
        Config, RawDynamic, Rejection,
        dynamic::{MiddlewareKind, Router, ServiceKind},
        resolve,
    },
    discovery::{
        Discovery, Mounts, Settings, Workload,
        fixture::{gateway, service},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// `com.docker.lb.` goes before each key.
fn web(name: &str, tasks: u8, labels: &[(&str, &str)]) -> Workload {
    let labels: Vec<(String, &str)> = labels.iter().map(|(key, value)| (format!("com.docker.lb.{key}"), *value)).collect();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    service(name, tasks, &labels)
}

fn aged(seconds: u64, workload: Workload) -> Workload {
    Workload { created: Duration::from_secs(seconds), ..workload }
}

fn mounts(names: &[&str]) -> Mounts {
    Mounts { names: names.iter().map(|name| (*name).to_owned()).collect(), directory: "/run/secrets".to_owned() }
}

fn settings() -> Settings {
    Settings::new("swarm")
}

/// What is served, and all that is wrong.
fn serve_with(settings: Settings, mounts: &Mounts, workloads: &[Workload]) -> (Config, Vec<String>) {
    let (raw, rejections) = Discovery::new(settings).compose(workloads, mounts);
    resolved(raw, rejections)
}

fn resolved(raw: RawDynamic, mut rejections: Vec<Rejection>) -> (Config, Vec<String>) {
    let (config, refused) = resolve(&BTreeMap::from([("swarm".to_owned(), raw)]), &gateway(), None);
    rejections.extend(refused);
    (config, rejections.iter().map(|rejection| format!("{:?} {rejection}", rejection.severity)).collect())
}

fn serve(workloads: &[Workload]) -> (Config, Vec<String>) {
    serve_with(settings(), &mounts(&["demo.local.cert", "demo.local.key", "both"]), workloads)
}

/// The same where nothing may be wrong.
fn clean(workloads: &[Workload]) -> Config {
    let (config, rejections) = serve(workloads);
    assert_eq!(rejections, [""; 0]);
    config
}

/// Routers as texts, highest priority first: `lb.demo.local: Host(`demo.local`) → lb.demo [lb-https] tls`.
fn routes(config: &Config) -> Vec<String> {
    let mut routers: Vec<&Router> = config.routers.values().map(AsRef::as_ref).collect();
    routers.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    let local = |name: &crate::Name| name.as_str().trim_end_matches("@swarm").to_owned();
    let text = |router: &&Router| {
        let middlewares: Vec<String> = router.middlewares.iter().map(local).collect();
        let (middlewares, tls) = (middlewares.join(" "), if router.tls.is_some() { " tls" } else { "" });
        format!("{}: {} → {} [{middlewares}]{tls}", local(&router.name), router.rule.text(), local(&router.service))
    };
    routers.iter().map(text).collect()
}

/// Members of a weighted service.
fn shares(config: &Config, name: &str) -> Vec<(String, u32)> {
    match &config.services[name].kind {
        ServiceKind::Weighted(weighted) => {
            weighted.services.iter().map(|(name, weight)| (name.as_str().to_owned(), *weight)).collect()
        }
        other => panic!("{name} is {other:?}"),
    }
}

fn balancer<'a>(config: &'a Config, name: &str) -> &'a crate::config::dynamic::LoadBalancer {
    match &config.services[name].kind {
        ServiceKind::LoadBalancer(balancer) => balancer,
        other => panic!("{name} is {other:?}"),
    }
}

fn middleware<'a>(config: &'a Config, name: &str) -> &'a MiddlewareKind {
    &config.middlewares[name].kind
}
