//! `traefik.backend.*`, `traefik.port`, `traefik.protocol`, `traefik.weight`: the service behind a frontend.

use super::{Draft, Unit, View, labels::Label};
use crate::{
    config::Severity,
    discovery::{
        Kind,
        placement::{self, Mode, Wanted},
    },
};

/// Writes the service.
pub(super) fn write(unit: &Unit<'_>, draft: &mut Draft) {
    let port = match port(unit) {
        Ok(port) => port,
        Err((label, message, remedy)) => {
            unit.refuse(draft, &label, message, remedy);
            return;
        }
    };
    let scheme = match scheme(&unit.labels) {
        Ok(scheme) => scheme,
        Err(label) => {
            let message = format!("expected http, https or h2c, found `{}`", label.value.escape_debug());
            unit.refuse(draft, label.name, message, "write https where the server speaks TLS, or remove the label");
            return;
        }
    };
    servers(unit, port, scheme, draft);
    balancing(unit, draft);
    stickiness(unit, draft);
    health_check(unit, draft);
}

/// Label, message and remedy, where the port is not known.
fn port(unit: &Unit<'_>) -> Result<u16, (String, String, String)> {
    let Some(label) = unit.labels.get("port") else {
        // Rancher knows nothing of ports that an image exposes.
        return match unit.workload.ports.first() {
            Some(port) if unit.workload.kind != Kind::RancherService => Ok(*port),
            _ => {
                let name = unit.labels.name_of("port");
                let remedy = format!("add {name} with the port that the server listens on inside the container");
                Err((name, "the port is missing, and it cannot be found out".to_owned(), remedy))
            }
        };
    };
    let number = label.value.trim().parse::<u16>().ok().filter(|port| *port > 0);
    number.ok_or_else(|| {
        let message = format!("expected a port from 1 to 65535, found `{}`", label.value.escape_debug());
        (label.name.to_owned(), message, "write for instance 80".to_owned())
    })
}

fn scheme<'a>(labels: &View<'a>) -> Result<&'static str, Label<'a>> {
    let Some(label) = labels.get("protocol") else { return Ok("http") };
    let known = ["http", "https", "h2c"].into_iter().find(|scheme| label.value.trim().eq_ignore_ascii_case(scheme));
    known.ok_or(label)
}

fn servers(unit: &Unit<'_>, port: u16, scheme: &str, draft: &mut Draft) {
    const NETWORK: &str = "docker.network";
    let network = unit.labels.get(NETWORK).map(|label| label.value.trim()).or(Some(unit.settings.network.as_str()));
    let is_virtual = unit.labels.get("backend.loadbalancer.swarm").is_some_and(|label| label.is_on());
    let mode = match (is_virtual, unit.settings.use_bind_port_ip) {
        (true, _) => Mode::Virtual,
        (false, true) => Mode::Published,
        (false, false) => Mode::Instances,
    };
    let wanted = Wanted { network: network.filter(|name| !name.is_empty()), port, mode };
    let label = unit.labels.get("port").map_or_else(|| unit.labels.name_of("port"), |label| label.name.to_owned());
    match placement::place(unit.workload, &wanted) {
        Ok(places) => {
            draft.servers(&unit.service, &label, scheme, &places);
            weight(unit, places.len(), draft);
        }
        Err(problem) => {
            let label = unit.labels.get(NETWORK).map_or_else(|| format!("traefik.{NETWORK}"), |label| label.name.to_owned());
            unit.refuse(draft, &label, problem.to_string(), problem.remedy(&label));
        }
    }
}

/// Every server of the workload has the same one.
fn weight(unit: &Unit<'_>, servers: usize, draft: &mut Draft) {
    let Some(label) = unit.labels.get("weight") else { return };
    let weight = match label.value.trim().parse::<u32>() {
        Ok(weight) => weight.max(1),
        Err(_) => {
            let message =
                format!("expected a whole number, found `{}`, so every server counts as one", label.value.escape_debug());
            draft.reject(Severity::Warning, label.name, message, "write for instance 10");
            return;
        }
    };
    for index in 0..servers {
        let path = ["http", "services", &unit.service, "loadBalancer", "servers", &index.to_string(), "weight"];
        draft.set(&path, label.name, weight.to_string());
    }
}

/// The strategy and the host that servers see. Written in any case: a service without servers answers 503, one that is not there nothing.
fn balancing(unit: &Unit<'_>, draft: &mut Draft) {
    let path = |key| ["http", "services", unit.service.as_str(), "loadBalancer", key];
    let label = unit.labels.get("frontend.passhostheader");
    let pass = label.map_or("true", |label| label.value.trim());
    draft.set(&path("passHostHeader"), label.map_or(unit.rule_label.as_str(), |label| label.name), pass);
    let Some(method) = unit.labels.get("backend.loadbalancer.method") else { return };
    match method.value.trim().to_ascii_lowercase().as_str() {
        "wrr" => draft.set(&path("strategy"), method.name, "wrr"),
        other => {
            let message = match other {
                "drr" => "`drr` is not supported, so the servers take turns by weight (wrr)".to_owned(),
                _ => format!("expected wrr, found `{}`, so the servers take turns by weight", other.escape_debug()),
            };
            let remedy = "write wrr; servers that fail are left out for a while in any case";
            draft.reject(Severity::Warning, method.name, message, remedy);
        }
    }
}

fn stickiness(unit: &Unit<'_>, draft: &mut Draft) {
    let sticky = ["backend.loadbalancer.stickiness", "backend.loadbalancer.sticky"];
    let Some(label) = sticky.iter().find_map(|property| unit.labels.get(property)) else {
        if let Some(label) = unit.labels.get("backend.loadbalancer.stickiness.cookiename") {
            let message = "without effect, because sticky sessions are not switched on";
            let remedy = format!("add {}=true, or remove it", unit.labels.name_of(sticky[0]));
            draft.reject(Severity::Warning, label.name, message, remedy);
        }
        return;
    };
    if !label.is_on() {
        return;
    }
    let path = |below: &'static [&'static str]| {
        [&["http", "services", unit.service.as_str(), "loadBalancer", "sticky", "cookie"], below].concat()
    };
    draft.set(&path(&[]), label.name, "true");
    // The deprecated spelling had a cookie of fixed name.
    let old = unit.labels.get(sticky[0]).is_none();
    let fixed = old.then_some(Label { name: label.name, value: "_TRAEFIK_BACKEND" });
    let name = unit.labels.get("backend.loadbalancer.stickiness.cookiename").or(fixed);
    for (key, label) in [
        (["name"].as_slice(), name),
        (["secure"].as_slice(), unit.labels.get("backend.loadbalancer.stickiness.secure")),
        (["httpOnly"].as_slice(), unit.labels.get("backend.loadbalancer.stickiness.httponly")),
        (["sameSite"].as_slice(), unit.labels.get("backend.loadbalancer.stickiness.samesite")),
    ] {
        if let Some(label) = label {
            draft.set(&path(key), label.name, label.value.trim());
        }
    }
}

fn health_check(unit: &Unit<'_>, draft: &mut Draft) {
    let base = ["http", "services", unit.service.as_str(), "loadBalancer", "healthCheck"];
    let below = unit.labels.below("backend.healthcheck.");
    let Some((_, path)) = below.iter().find(|(key, label)| *key == "path" && !label.value.trim().is_empty()) else {
        if let Some((_, label)) = below.first() {
            let remedy = format!("add {} with the path to ask for", unit.labels.name_of("backend.healthcheck.path"));
            draft.reject(Severity::Warning, label.name, "without effect: there is no path to check", remedy);
        }
        return;
    };
    draft.set(&[&base[..], &["path"]].concat(), path.name, path.value.trim());
    for (key, label) in below.iter().filter(|(_, label)| !label.value.trim().is_empty()) {
        match *key {
            "path" => {}
            "interval" | "port" | "scheme" | "hostname" => {
                draft.set(&[&base[..], &[key]].concat(), label.name, label.value.trim());
            }
            "headers" => {
                for pair in label.map() {
                    match pair {
                        Ok((name, value)) => draft.set(&[&base[..], &["headers", name]].concat(), label.name, value),
                        Err(text) => super::headers::not_a_pair(*label, text, draft),
                    }
                }
            }
            _ => super::guard::unknown(unit, &format!("backend.healthcheck.{key}"), *label, draft),
        }
    }
}
