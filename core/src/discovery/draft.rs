//! What one workload asks for in one label language, in Traefik v3's words, while it is written.
//!
//! Every value keeps the label that it came from, so that whatever is found wrong later names that label and the workload.

use super::Place;
use crate::config::{self, RawDynamic, Rejection, Severity, Style, Tree, Value, labels, tree::Builder};
use indexmap::IndexMap;

/// See the module.
#[derive(Debug)]
pub struct Draft {
    builder: Builder,
    rejections: Vec<Rejection>,
}

impl Draft {
    /// Nothing yet, by `source`, such as `service shop_web`.
    pub fn new(source: &str) -> Self {
        Self { builder: Builder::new(source, Style::Labels, ""), rejections: Vec::new() }
    }

    /// Nothing yet, from labels below `root`: what no label says itself has a key below it too.
    pub fn below(source: &str, root: &str) -> Self {
        Self { builder: Builder::new(source, Style::Labels, root), rejections: Vec::new() }
    }

    /// Takes one label over, whose name below the root is `below`.
    pub fn label(&mut self, label: &str, below: &str, value: &str) {
        self.rejections.extend(labels::put(&mut self.builder, label, below, value));
    }

    /// Makes sure that there is something at `path`, if only with its defaults.
    pub fn declare(&mut self, path: &[&str]) {
        self.builder.insert(path, None, Value::Map { own: None, entries: IndexMap::new() });
    }

    /// What is written so far.
    pub fn written(&self) -> &Tree {
        self.builder.root()
    }

    /// Puts `value` at `path` (`http`, `routers`, `web`, `rule`), because of `label`. The first value at a place stays.
    pub fn set(&mut self, path: &[&str], label: &str, value: impl Into<String>) {
        self.builder.insert(path, Some(label), Value::Text(value.into()));
    }

    /// Says what is wrong with `label`.
    pub fn reject(&mut self, severity: Severity, label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let rejection = self.builder.root().reject(severity, message, remedy);
        self.rejections.push(Rejection { key: label.to_owned(), ..rejection });
    }

    /// Spoils the unit at `path`: it is not served, and the reason names `label`.
    pub fn spoil(&mut self, path: &[&str], label: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let (message, remedy) = (message.into(), remedy.into());
        self.builder.insert(path, Some(label), Value::Unreadable { message, remedy });
    }

    /// Gives the service `name` these servers, because of `label`.
    pub fn servers(&mut self, name: &str, label: &str, scheme: &str, places: &[Place]) {
        self.declare(&["http", "services", name, "loadBalancer", "servers"]);
        for (index, place) in places.iter().enumerate() {
            let index = index.to_string();
            let base = ["http", "services", name, "loadBalancer", "servers", &index];
            self.set(&[&base[..], &["url"]].concat(), label, format!("{scheme}://{}", place.address));
            self.place(&base, label, place);
        }
    }

    /// Gives the TCP service `name` these servers, because of `label`.
    pub fn addresses(&mut self, name: &str, label: &str, places: &[Place]) {
        self.declare(&["tcp", "services", name, "loadBalancer", "servers"]);
        for (index, place) in places.iter().enumerate() {
            let index = index.to_string();
            let base = ["tcp", "services", name, "loadBalancer", "servers", &index];
            self.set(&[&base[..], &["address"]].concat(), label, place.address.to_string());
            self.place(&base, label, place);
        }
    }

    fn place(&mut self, base: &[&str], label: &str, place: &Place) {
        let mut put = |key: &str, value: &str| self.set(&[base, &[key]].concat(), label, value);
        put("instance", &place.instance);
        if !place.node.is_empty() {
            put("node", &place.node);
        }
        if let Some(why) = &place.unreachable {
            put("unreachable", why);
        }
    }

    /// What was written, decoded. What is wrong with a unit travels with it; the rejections belong to none.
    pub fn finish(self) -> (RawDynamic, Vec<Rejection>) {
        let (raw, mut rejections) = config::decode(&self.builder.finish());
        rejections.extend(self.rejections);
        (raw, rejections)
    }
}
