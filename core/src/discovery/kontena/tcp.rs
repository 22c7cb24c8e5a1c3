//! TCP services: every connection to the entry point that listens on a service's external port.
//!
//! HAProxy's lines are not read here. One that may keep somebody out spoils the router; the others are named.

use super::{Entry, source};
use crate::{
    config::{RawDynamic, Rejection, Severity, quote},
    discovery::{Draft, Place},
};
use std::collections::BTreeMap;

/// First words of lines that keep nobody out.
const HARMLESS: [&str; 9] = ["balance", "default-server", "fullconn", "log", "maxconn", "no", "option", "retries", "timeout"];

/// What becomes of TCP services. `ports`: entry points by the port that they listen on.
pub(super) fn compose(
    services: &BTreeMap<String, Entry>,
    root: &str,
    ports: &BTreeMap<u16, String>,
) -> (RawDynamic, Vec<Rejection>) {
    let mut all = RawDynamic::default();
    let mut rejections = Vec::new();
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, entry) in services {
        let base = format!("{root}/tcp-services/{name}");
        let mut draft = Draft::new(&source(name));
        let label = format!("{base}/external_port");
        match external_port(entry, ports, &owners) {
            Ok((port, entry_point)) => {
                owners.insert(port, name);
                route(&mut draft, name, &label, entry_point);
                custom(&mut draft, name, &base, entry);
                serve(&mut draft, name, &base, entry);
            }
            Err((message, remedy)) => draft.reject(Severity::Warning, &label, message, remedy),
        }
        let (raw, more) = draft.finish();
        rejections.extend(more);
        rejections.extend(all.merge(raw));
    }
    (all, rejections)
}

/// The port, and the entry point that listens there; else what is wrong, and what to do.
fn external_port<'p>(
    entry: &Entry,
    ports: &'p BTreeMap<u16, String>,
    owners: &BTreeMap<u16, &str>,
) -> Result<(u16, &'p str), (String, String)> {
    let text = entry.get("external_port").unwrap_or_default();
    let Ok(port) = text.trim().parse::<u16>() else {
        let message = format!("expected a port, found {}: the TCP service is not served", quote(text));
        return Err((message, "set KONTENA_LB_EXTERNAL_PORT of the service".to_owned()));
    };
    if let Some(owner) = owners.get(&port) {
        let message = format!("the port {port} is the TCP service {owner}'s already");
        return Err((message, "give one of the two another KONTENA_LB_EXTERNAL_PORT".to_owned()));
    }
    ports.get(&port).map(|entry_point| (port, entry_point.as_str())).ok_or_else(|| {
        let message = format!(
            "no entry point listens on {port}, so the TCP service with {} containers is not served",
            entry.upstreams.len()
        );
        (message, format!("add --entryPoints.tcp-{port}.address=:{port}, and publish that port"))
    })
}

fn route(draft: &mut Draft, name: &str, label: &str, entry_point: &str) {
    let mut set = |below: &[&str], value: &str| draft.set(&[&["tcp", "routers", name][..], below].concat(), label, value);
    set(&["rule"], "HostSNI(`*`)");
    set(&["ruleSyntax"], "v3");
    set(&["entryPoints", "0"], entry_point);
    set(&["service"], name);
}

fn custom(draft: &mut Draft, name: &str, base: &str, entry: &Entry) {
    let label = format!("{base}/custom_settings");
    let lines = entry.get("custom_settings").unwrap_or_default().lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = line.split_whitespace().next().unwrap_or_default();
        if HARMLESS.contains(&word) {
            draft.reject(
                Severity::Warning,
                &label,
                format!("{} has no effect for a TCP service", quote(line)),
                "remove the line",
            );
        } else {
            let message = format!("{} is not read for a TCP service, and may keep somebody out", quote(line));
            draft.spoil(
                &["tcp", "routers", name, "middlewares"],
                &label,
                message,
                "remove the line, or keep a Kontena load balancer for it",
            );
        }
    }
}

fn serve(draft: &mut Draft, name: &str, base: &str, entry: &Entry) {
    let mut places = Vec::new();
    for (container, address) in &entry.upstreams {
        match address.trim().parse() {
            Ok(address) => places.push(Place { address, instance: container.clone(), node: String::new(), unreachable: None }),
            Err(_) => {
                let message = format!("expected address:port, found {}", quote(address));
                let remedy = "write for instance 10.81.128.5:3306; the other containers are served";
                draft.reject(Severity::Warning, &format!("{base}/upstreams/{container}"), message, remedy);
            }
        }
    }
    draft.addresses(name, &format!("{base}/upstreams"), &places);
    let label = format!("{base}/balance");
    let strategy = match entry.get("balance").unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "roundrobin" | "static-rr" => return,
        "source" => "hrw",
        "leastcon" | "leastconn" => "leastconn",
        other => {
            let message = format!("{} is not known here, so containers take turns", quote(other));
            return draft.reject(Severity::Warning, &label, message, "write roundrobin, source or leastconn");
        }
    };
    draft.set(&["tcp", "services", name, "loadBalancer", "strategy"], &label, strategy);
}
