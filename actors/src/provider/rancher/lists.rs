//! The metadata service's JSON, read leniently: every field may be missing, null, or of another kind than in the last version of Rancher.
//!
//! In the oldest dialect (2015-07-25) stacks list the names of their services, and services the names of their containers; later ones
//! hold the objects themselves. Which further lists are needed is found out from the first.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What was answered so far. One that is not needed stays empty.
#[derive(Debug, Default)]
pub struct Lists {
    stacks: Vec<Value>,
    services: Option<Vec<Value>>,
    containers: Option<Vec<Value>>,
}

/// One list of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Stacks,
    Services,
    Containers,
}

/// A service with its stack and containers.
#[derive(Debug)]
pub(super) struct Service<'a> {
    pub(super) stack: &'a str,
    pub(super) fields: &'a Map<String, Value>,
    pub(super) containers: Vec<&'a Map<String, Value>>,
}

impl List {
    /// Its path below the version.
    pub fn path(self) -> &'static str {
        match self {
            Self::Stacks => "stacks",
            Self::Services => "services",
            Self::Containers => "containers",
        }
    }
}

impl Lists {
    /// Takes the answer to a question for `list`.
    ///
    /// # Errors
    ///
    /// It is no list.
    pub fn take(&mut self, list: List, body: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(body).map_err(|e| format!("/{}: the answer is no JSON: {e}", list.path()))?;
        let items = match value {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            _ => return Err(format!("/{}: expected a list in JSON", list.path())),
        };
        match list {
            List::Stacks => self.stacks = items,
            List::Services => self.services = Some(items),
            List::Containers => self.containers = Some(items),
        }
        Ok(())
    }

    /// The list to be asked for next; `None` when everything is there.
    pub fn missing(&self) -> Option<List> {
        let named = |items: &[Value], key: &str| items.iter().flat_map(|item| below(item, key)).any(Value::is_string);
        if self.services.is_none() && named(&self.stacks, "services") {
            return Some(List::Services);
        }
        let embedded = self.stacks.iter().flat_map(|stack| below(stack, "services"));
        let in_services = self.services.as_deref().is_some_and(|services| named(services, "containers"));
        let in_stacks = embedded.flat_map(|service| below(service, "containers")).any(Value::is_string);
        (self.containers.is_none() && (in_services || in_stacks)).then_some(List::Containers)
    }

    /// A list that is empty although others name what it should hold: the service lost its data between two answers.
    pub fn emptied(&self) -> Option<List> {
        let is_empty = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(Vec::is_empty);
        // Each is asked for only where something in it is named.
        if is_empty(&self.services) {
            return Some(List::Services);
        }
        is_empty(&self.containers).then_some(List::Containers)
    }

    /// Everything, in the order of the answer.
    pub(super) fn services(&self) -> Vec<Service<'_>> {
        let services = by_name(self.services.as_deref(), |fields| (text(fields, "stack_name"), text(fields, "name")));
        let containers = by_name(self.containers.as_deref(), |fields| text(fields, "name"));
        let mut found = Vec::new();
        for stack in self.stacks.iter().filter_map(Value::as_object) {
            let name = text(stack, "name");
            for item in stack.get("services").and_then(Value::as_array).into_iter().flatten() {
                let fields = match item {
                    Value::Object(fields) => Some(fields),
                    Value::String(service) => services.get(&(name, service.as_str())).copied(),
                    _ => None,
                };
                let Some(fields) = fields else { continue };
                let items = fields.get("containers").and_then(Value::as_array).into_iter().flatten();
                let containers = items.filter_map(|item| match item {
                    Value::Object(fields) => Some(fields),
                    Value::String(container) => containers.get(container.as_str()).copied(),
                    _ => None,
                });
                found.push(Service { stack: name, fields, containers: containers.collect() });
            }
        }
        found
    }
}

/// A text; empty where there is none.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn below<'a>(item: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    item.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Of two of one name, the first.
fn by_name<'a, K: Ord>(
    items: Option<&'a [Value]>,
    name: impl Fn(&'a Map<String, Value>) -> K,
) -> BTreeMap<K, &'a Map<String, Value>> {
    let objects = items.unwrap_or_default().iter().rev().filter_map(Value::as_object);
    objects.map(|fields| (name(fields), fields)).collect()
}
