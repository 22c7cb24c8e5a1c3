//! What is known of a Rancher environment, and what an answer makes of it. Pure: answers come in, workloads come out.
//!
//! Rules
//! - A service's identity is its UUID, its name `stack/service`. What has neither is passed over, and spoils nothing else.
//! - A container takes requests while it runs and is not known to be unhealthy.
//! - The metadata tells no service's age. Those of the first reading are of one age, which leaves their UUIDs to decide between two that claim one
//!   name; one that appears later is younger than all before.
//! - **Doubt.** No service at all, where there were some, is not believed: the environment holds at least what this gateway is itself. Nor is an
//!   empty list of what others name. What is known stays until it is listed again.

use super::lists::{Lists, Service, text};
use fairlead_core::discovery::{Instance, Kind, Network, Workload};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// The one network of an environment, as far as the metadata tells.
const MANAGED: &str = "managed";

/// Services that are read at most.
pub const MAX_SERVICES: usize = 100_000;

/// What a reading meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing changed; the source is well.
    Nothing,
    /// [`State::workloads`] differ from what they were.
    Changed,
    /// What the source says is not believed, for this reason; the workloads stay.
    Doubt(String),
}

/// See the head of this file.
#[derive(Debug)]
pub struct State {
    /// Services that are neither active nor being upgraded are left out.
    health_filter: bool,
    /// None before the first reading.
    workloads: Option<Vec<Workload>>,
    /// Services in the last reading that was believed, served or not.
    listed: usize,
    /// By identity: the reading in which a service was seen first.
    since: BTreeMap<String, u64>,
    readings: u64,
}

impl State {
    /// Nothing is known yet.
    pub fn new(health_filter: bool) -> Self {
        Self { health_filter, workloads: None, listed: 0, since: BTreeMap::new(), readings: 0 }
    }

    /// What is served, by identity.
    pub fn workloads(&self) -> &[Workload] {
        self.workloads.as_deref().unwrap_or_default()
    }

    /// Whether anything was read yet.
    pub fn is_known(&self) -> bool {
        self.workloads.is_some()
    }

    /// Takes a whole reading.
    ///
    /// # Errors
    ///
    /// There is more than anyone has.
    pub fn read(&mut self, lists: &Lists) -> Result<News, String> {
        if let Some(list) = lists.emptied() {
            return Ok(News::Doubt(format!(
                "the metadata service lists no {0}, although it names {0}: has it lost its data meanwhile? What was known before stays in force \
                 until it lists them again (if it does not, restart the metadata service)",
                list.path()
            )));
        }
        let services = lists.services();
        if services.len() > MAX_SERVICES {
            return Err(format!("there are {} services, and at most {MAX_SERVICES} are read", services.len()));
        }
        if services.is_empty() && self.listed > 0 {
            return Ok(News::Doubt(format!(
                "the metadata service suddenly lists no service, not even this gateway's: has it lost its data? The {} services known \
                 before stay in force until one is listed again (restart the metadata service, or this gateway to serve what it lists)",
                self.listed
            )));
        }
        self.listed = services.len();
        let workloads = self.of_age(services);
        if self.workloads.as_ref() == Some(&workloads) {
            return Ok(News::Nothing);
        }
        self.workloads = Some(workloads);
        Ok(News::Changed)
    }

    fn of_age(&mut self, services: Vec<Service<'_>>) -> Vec<Workload> {
        let mut workloads: BTreeMap<String, Workload> = BTreeMap::new();
        let mut present = BTreeSet::new();
        for service in services {
            let Some(mut workload) = workload(&service) else { continue };
            let reading = *self.since.entry(workload.id.clone()).or_insert(self.readings);
            workload.created = Duration::from_secs(reading);
            present.insert(workload.id.clone());
            if !self.health_filter || is_active(text(service.fields, "state")) {
                workloads.entry(workload.id.clone()).or_insert(workload);
            }
        }
        self.since.retain(|id, _| present.contains(id));
        self.readings += 1;
        workloads.into_values().collect()
    }
}

fn workload(service: &Service<'_>) -> Option<Workload> {
    let own = text(service.fields, "name");
    let stack = match service.stack {
        "" => text(service.fields, "stack_name"),
        stack => stack,
    };
    if own.is_empty() || stack.is_empty() {
        return None;
    }
    let name = format!("{stack}/{own}");
    let id = match text(service.fields, "uuid") {
        "" => name.clone(),
        uuid => uuid.to_owned(),
    };
    let instances: BTreeMap<String, Instance> =
        service.containers.iter().filter_map(|fields| instance(fields)).map(|instance| (instance.id.clone(), instance)).collect();
    Some(Workload {
        kind: Kind::RancherService,
        id,
        name,
        created: Duration::ZERO,
        labels: labels(service.fields.get("labels")),
        ports: Vec::new(),
        networks: vec![Network { id: MANAGED.to_owned(), name: MANAGED.to_owned(), shared: None, vip: None }],
        instances: instances.into_values().collect(),
        remarks: Vec::new(),
    })
}

/// A container that takes requests.
fn instance(fields: &serde_json::Map<String, Value>) -> Option<Instance> {
    let is_running = matches!(text(fields, "state"), "" | "running" | "updating-running" | "upgraded");
    let is_well = matches!(text(fields, "health_state"), "" | "healthy" | "updating-healthy");
    let ip: IpAddr = text(fields, "primary_ip").trim().parse().ok()?;
    let name = text(fields, "name").to_owned();
    let id = ["uuid", "external_id", "name"].iter().map(|key| text(fields, key)).find(|id| !id.is_empty())?.to_owned();
    (is_running && is_well && !ip.is_unspecified()).then(|| Instance {
        id,
        name,
        node: text(fields, "host_uuid").to_owned(),
        addresses: vec![(MANAGED.to_owned(), ip)],
        node_address: None,
        published: Vec::new(),
    })
}

fn is_active(state: &str) -> bool {
    matches!(state, "" | "active" | "updating-active" | "upgraded" | "upgrading")
}

fn labels(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => String::new(),
    };
    pairs.map(|(name, value)| (name.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests;
