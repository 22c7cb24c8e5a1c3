//! Services get their servers: the workload's instances, at the port that a label names, or the lowest that is known.

use super::{
    Options, is_spoken_of, names,
    options::{expected_truth, truth},
    section, text,
    written::{ServerLabels, Written},
};
use crate::{
    config::{self, Severity},
    discovery::{Draft, Kind, Mode, Place, Problem, Settings, Wanted, Workload, placement},
    snapshot::Layer,
};

/// Gives every load balancer that is written its servers. Where no service is written, makes one called `name`, if anything needs it.
pub(super) fn complete(
    layer: Layer,
    workload: &Workload,
    settings: &Settings,
    options: &Options<'_>,
    written: &Written<'_>,
    name: &str,
    draft: &mut Draft,
) {
    let filler = Filler { layer, workload, settings, options };
    let services = names(draft, layer, "services");
    for service in &services {
        if is_load_balancer(draft, layer, service) {
            let labels = written.servers.get(&(layer, service.to_ascii_lowercase()));
            let fault = filler.fill(service, labels.unwrap_or(&ServerLabels::default()), draft).err();
            if let Some(fault) = fault {
                fault.spoil(layer, service, workload, draft);
            }
        }
    }
    if services.is_empty() {
        filler.make(name, draft);
    }
}

/// Why a service has no servers, and the label that would help.
struct Fault {
    label: String,
    message: String,
    remedy: String,
}

impl Fault {
    fn new(label: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { label: label.into(), message: message.into(), remedy: remedy.into() }
    }

    /// The service is not served as it is written. Its last good version keeps to the instances that there are, so they are named all the same.
    fn spoil(self, layer: Layer, service: &str, workload: &Workload, draft: &mut Draft) {
        let path = [section(layer), "services", service, "loadBalancer", "server"];
        draft.spoil(&path, &self.label, self.message, self.remedy);
        for (index, instance) in workload.instances.iter().enumerate() {
            let path = [section(layer), "services", service, "loadBalancer", "servers", &index.to_string(), "instance"];
            draft.set(&path, &self.label, instance.id.clone());
        }
    }
}

fn is_load_balancer(draft: &Draft, layer: Layer, service: &str) -> bool {
    let section = draft.written().child(section(layer));
    let tree = section.and_then(|section| section.child("services")).and_then(|services| services.child(service));
    let other = ["weighted", "failover", "mirroring", "highestRandomWeight"];
    tree.is_some_and(|tree| tree.child("loadBalancer").is_some() || !other.iter().any(|kind| tree.child(kind).is_some()))
}

struct Filler<'a> {
    layer: Layer,
    workload: &'a Workload,
    settings: &'a Settings,
    options: &'a Options<'a>,
}

impl Filler<'_> {
    /// The service that no label writes. Of a workload of which nobody spoke, and of one whose routers all name a service, none is missed.
    fn make(&self, name: &str, draft: &mut Draft) {
        let routers = names(draft, self.layer, "routers");
        let needed =
            routers.is_empty() || routers.iter().any(|router| text(draft, self.layer, "routers", router, "service").is_none());
        match (self.fill(name, &ServerLabels::default(), draft), is_spoken_of(self.workload)) {
            (Err(fault), true) if needed => fault.spoil(self.layer, name, self.workload, draft),
            (Err(fault), false) => draft.reject(Severity::Warning, &fault.label, fault.message, fault.remedy),
            _ => {}
        }
    }

    /// Writes the servers, unless it is not certain what they are.
    fn fill(&self, service: &str, labels: &ServerLabels<'_>, draft: &mut Draft) -> Result<(), Fault> {
        let section = section(self.layer);
        let written = |key: &str| format!("traefik.{section}.services.{service}.loadbalancer.server.{key}");
        let scheme = labels.scheme.map_or(Ok("http"), |(label, value)| scheme(label, value))?;
        let places = match labels.url {
            Some((label, url)) => {
                for (label, _) in [labels.port, labels.scheme].into_iter().flatten() {
                    draft.reject(Severity::Warning, label, "has no effect beside `url`", "remove one of them");
                }
                self.url(service, label, url, draft);
                1
            }
            None => {
                let (label, port) = match labels.port {
                    Some((label, value)) => (label.to_owned(), port(label, value)?),
                    None => (written("port"), self.known_port(&written("port"))?),
                };
                let places = self.places(port, draft)?;
                match self.layer {
                    Layer::Http => draft.servers(service, &label, scheme, &places),
                    Layer::Tcp => draft.addresses(service, &label, &places),
                }
                places.len()
            }
        };
        // Found last, so that a service which falls back to its last good version has the servers that there are now.
        if let Some((label, message, remedy)) = &labels.wrong {
            return Err(Fault::new(*label, message, remedy));
        }
        let weight = labels.weight.map(|(label, value)| whole(label, value)).transpose()?;
        let preserve = labels.preserve_path.map(|(label, value)| boolean(label, value)).transpose()?;
        for index in 0..places {
            let index = index.to_string();
            for (key, value) in [("weight", &weight), ("preservePath", &preserve)] {
                if let Some((label, value)) = value {
                    let path = ["http", "services", service, "loadBalancer", "servers", &index, key];
                    draft.set(&path, label, value.clone());
                }
            }
        }
        Ok(())
    }

    /// The one server that is written out.
    fn url(&self, service: &str, label: &str, url: &str, draft: &mut Draft) {
        let below = |key| ["http", "services", service, "loadBalancer", "servers", "0", key];
        draft.set(&below("url"), label, url);
        if self.workload.instances.is_empty() {
            draft.set(&below("unreachable"), label, self.nothing_runs());
        }
    }

    fn known_port(&self, label: &str) -> Result<u16, Fault> {
        let lowest = self.workload.ports.iter().min().copied();
        lowest.ok_or_else(|| Fault::new(label, "it is not known on which port it listens", "set it to that port"))
    }

    fn places(&self, port: u16, draft: &mut Draft) -> Result<Vec<Place>, Fault> {
        if let Some(label) = self.options.unclear {
            let value = self.workload.labels.get(label).map_or("", String::as_str);
            return Err(Fault::new(label, expected_truth(value), "write true or false"));
        }
        let label = self.options.network_label;
        let mode = if self.options.virtual_address { Mode::Virtual } else { Mode::Instances };
        let default = Some(self.settings.network.as_str()).filter(|network| !network.is_empty());
        let wanted = Wanted { network: self.options.network.or(default), port, mode };
        let places = match self.reach(wanted) {
            // Where there is no choice, a network that is named and not there does no harm.
            Err(problem @ Problem::NotOn { .. }) => match self.reach(Wanted { network: None, ..wanted }) {
                Ok(places) => {
                    let message = format!("{problem}; the only one that can be meant is used");
                    draft.reject(Severity::Warning, label, message, problem.remedy(label));
                    Ok(places)
                }
                Err(_) => Err(problem),
            },
            reached => reached,
        };
        let places = places.map_err(|problem| Fault::new(label, problem.to_string(), problem.remedy(label)))?;
        let unreachable = places.iter().find_map(|place| place.unreachable.clone());
        if let Some(why) = unreachable.filter(|_| !self.workload.instances.is_empty()) {
            draft.reject(Severity::Warning, label, why, "until then it is answered with 503");
        }
        Ok(places)
    }

    /// As `placement` finds them; by the port published on the node where that is wanted and there is one.
    fn reach(&self, wanted: Wanted<'_>) -> Result<Vec<Place>, Problem> {
        if !self.settings.use_bind_port_ip || wanted.mode == Mode::Virtual {
            return placement::place(self.workload, &wanted);
        }
        let mut places = placement::place(self.workload, &Wanted { mode: Mode::Published, ..wanted })?;
        if places.len() < self.workload.instances.len() {
            let inside = placement::place(self.workload, &wanted)?;
            places.extend(
                inside
                    .into_iter()
                    .filter(|place| !places.iter().any(|other| other.instance == place.instance))
                    .collect::<Vec<_>>(),
            );
        }
        Ok(places)
    }

    fn nothing_runs(&self) -> &'static str {
        match self.workload.kind {
            Kind::SwarmService => "no task is running",
            Kind::Container | Kind::RancherService => "no container is running",
        }
    }
}

fn port(label: &str, value: &str) -> Result<u16, Fault> {
    let port = value.trim().parse::<u16>().ok().filter(|port| *port > 0 && !value.contains('+'));
    let message = || format!("expected a port from 1 to 65535, found {}", config::quote(value));
    port.ok_or_else(|| Fault::new(label, message(), "write the port inside the container"))
}

fn scheme(label: &str, value: &str) -> Result<&'static str, Fault> {
    let known = ["http", "https", "h2c"].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(value.trim()));
    let message = || format!("expected http, https or h2c, found {}", config::quote(value));
    match known {
        None if value.trim().is_empty() => Ok("http"),
        None => Err(Fault::new(label, message(), "remove it for http")),
        Some(scheme) => Ok(scheme),
    }
}

fn whole<'a>(label: &'a str, value: &str) -> Result<(&'a str, String), Fault> {
    let message = || format!("expected a whole number, not negative, found {}", config::quote(value));
    match value.parse::<u32>() {
        Ok(number) => Ok((label, number.to_string())),
        Err(_) => Err(Fault::new(label, message(), "remove it for 1")),
    }
}

fn boolean<'a>(label: &'a str, value: &str) -> Result<(&'a str, String), Fault> {
    match truth(value) {
        Some(truth) => Ok((label, truth.to_string())),
        None => Err(Fault::new(label, expected_truth(value), "write true or false")),
    }
}
