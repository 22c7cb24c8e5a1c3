//! The dynamic configuration as written: typed, unknown keys refused, names not yet looked up.
//!
//! Each router, service, middleware, transport, certificate and set of TLS options is a unit of its own: a mistake in one spoils that one.
//!
//! Deliberately absent: any judgement that needs a second unit or the static configuration; that is `resolve`.

mod join;
mod model;
mod shared;
#[cfg(test)]
mod tests;

pub use join::{Join, Unions};
pub(super) use model::*;
pub(crate) use shared::Shared;

use super::{
    Rejection, Severity, Style, Tree, Value,
    decode::{read, remedy_for_name},
    static_::TOP_LEVEL,
    written::Written,
};
use crate::map::Map;
use serde::Deserialize;
use std::sync::Arc;

/// One provider's dynamic configuration. Compare two to know whether a provider has anything new to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawDynamic {
    pub(super) routers: Units<Router>,
    pub(super) services: Units<Service>,
    pub(super) middlewares: Units<Middleware>,
    pub(super) transports: Units<Transport>,
    pub(super) tcp_routers: Units<TcpRouter>,
    pub(super) tcp_services: Units<TcpService>,
    pub(super) tcp_middlewares: Units<TcpMiddleware>,
    pub(super) tls_options: Units<TlsOptions>,
    pub(super) tls_stores: Units<TlsStore>,
    /// In the order written.
    pub(super) certificates: Shared<Vec<Unit<Certificate>>>,
}

/// By name as written, without provider.
pub(super) type Units<T> = Map<String, Unit<T>>;

/// One router, service, middleware, …
#[derive(Debug)]
pub(super) struct Unit<T> {
    /// What was written, to read it again and to name it in messages.
    pub(super) written: Arc<Written>,
    /// `None`: something in it cannot be read.
    pub(super) value: Option<Arc<T>>,
    pub(super) rejections: Vec<Rejection>,
    /// It was read, and will be again when it is asked for.
    forgotten: bool,
}

impl<T> Clone for Unit<T> {
    fn clone(&self) -> Self {
        let Self { written, value, rejections, forgotten } = self;
        Self { written: written.clone(), value: value.clone(), rejections: rejections.clone(), forgotten: *forgotten }
    }
}

impl<T> PartialEq for Unit<T> {
    /// The rest follows from what was written.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.written, &other.written) || self.written == other.written
    }
}

impl<T: for<'de> Deserialize<'de>> Unit<T> {
    fn read(tree: &Tree) -> Self {
        let (value, rejections) = read(tree);
        Self { written: Arc::new(Written::of(tree)), value: value.map(Arc::new), rejections, forgotten: false }
    }

    /// Without what can be read again from what was written: mostly it is asked for once.
    pub(super) fn forgetting(self) -> Self {
        let forgotten = self.value.is_some() && self.rejections.is_empty();
        Self { value: self.value.filter(|_| !forgotten), forgotten, ..self }
    }

    /// What it says, `tree` being what was written. `None`: something in it cannot be read.
    pub(super) fn said(&self, tree: &Tree) -> Option<Arc<T>> {
        if self.forgotten { read(tree).0.map(Arc::new) } else { self.value.clone() }
    }
}

impl RawDynamic {
    /// Whether it declares nothing at all.
    pub fn is_empty(&self) -> bool {
        let Self { routers, services, middlewares, transports, tls_options, tls_stores, certificates, .. } = self;
        let Self { tcp_routers, tcp_services, tcp_middlewares, .. } = self;
        let none = routers.is_empty() && services.is_empty() && middlewares.is_empty() && transports.is_empty();
        let none = none && tcp_routers.is_empty() && tcp_services.is_empty() && tcp_middlewares.is_empty();
        none && tls_options.is_empty() && tls_stores.is_empty() && certificates.is_empty()
    }

    /// Whether all but services and routers for requests is the same.
    pub(super) fn is_alike_beside_routes(&self, other: &Self) -> bool {
        let Self { routers: _, services: _, middlewares, transports, tcp_routers, tcp_services, tcp_middlewares, .. } = self;
        let Self { tls_options, tls_stores, certificates, .. } = self;
        let tcp =
            (tcp_routers, tcp_services, tcp_middlewares) == (&other.tcp_routers, &other.tcp_services, &other.tcp_middlewares);
        let tls = (tls_options, tls_stores, certificates) == (&other.tls_options, &other.tls_stores, &other.certificates);
        tcp && tls && (middlewares, transports) == (&other.middlewares, &other.transports)
    }

    /// How many of its routers are those of `other`, not decoded anew, and how many there are.
    #[cfg(test)]
    pub(crate) fn kept_from(&self, other: &Self) -> (usize, usize) {
        let same = |(name, unit): &(&String, &Unit<Router>)| {
            other.routers.get(*name).is_some_and(|known| Arc::ptr_eq(&known.written, &unit.written))
        };
        (self.routers.iter().filter(same).count(), self.routers.len())
    }

    /// Names of the routers for requests declared, as written.
    pub fn routers(&self) -> impl Iterator<Item = &str> {
        self.routers.keys().map(String::as_str)
    }

    /// Names of the services for requests declared, as written.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Adds what `other` declares: another file of the same directory, another service's labels. Of two units of one name the one that was
    /// here first stays, and the other is reported.
    pub fn merge(&mut self, other: RawDynamic) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        merge_units(&mut self.routers, other.routers, &mut rejections);
        merge_units(&mut self.services, other.services, &mut rejections);
        merge_units(&mut self.middlewares, other.middlewares, &mut rejections);
        merge_units(&mut self.transports, other.transports, &mut rejections);
        merge_units(&mut self.tcp_routers, other.tcp_routers, &mut rejections);
        merge_units(&mut self.tcp_services, other.tcp_services, &mut rejections);
        merge_units(&mut self.tcp_middlewares, other.tcp_middlewares, &mut rejections);
        merge_units(&mut self.tls_options, other.tls_options, &mut rejections);
        merge_units(&mut self.tls_stores, other.tls_stores, &mut rejections);
        self.certificates.extend(other.certificates);
        rejections
    }
}

fn merge_units<T>(into: &mut Units<T>, other: Units<T>, rejections: &mut Vec<Rejection>) {
    for (name, unit) in other {
        match into.get(&name) {
            Some(first) => {
                let message = format!("is declared in {} already, and that one counts", first.written.source.name);
                rejections.push(unit.written.tree().reject(Severity::Error, message, "give one of the two another name"));
            }
            None => {
                into.insert(name, unit);
            }
        }
    }
}

/// Reads `http`, `tcp` and `tls` of `tree`. What is wrong with one unit travels with it and comes out of [`super::resolve`]; the rejections returned
/// here belong to none.
pub fn decode(tree: &Tree) -> (RawDynamic, Vec<Rejection>) {
    let mut raw = RawDynamic::default();
    let mut rejections = Vec::new();
    let style = tree.source.style;
    if let Value::Unreadable { message, remedy } = &tree.value {
        rejections.push(tree.reject(Severity::Error, message, remedy));
    }
    for (name, section) in tree.children() {
        match name.to_ascii_lowercase().as_str() {
            "http" => http(section, &mut raw, &mut rejections),
            "tls" => tls(section, &mut raw, &mut rejections),
            "tcp" => tcp(section, &mut raw, &mut rejections),
            "udp" if section.is_empty() => {}
            "udp" => rejections.push(section.reject(
                Severity::Warning,
                format!("routers and services of `{name}` are not served yet"),
                "nothing needs to be done: the rest of the configuration is not affected",
            )),
            // Labels below the same root say other things to the provider; `x-` is where people keep what they refer to with anchors.
            _ if style == Style::Labels || (style == Style::File && name.starts_with("x-")) => {}
            _ if TOP_LEVEL.iter().any(|key| key.eq_ignore_ascii_case(name)) => rejections.push(section.reject(
                stray(style),
                "belongs to the static configuration, and this is the dynamic one",
                "put it into the file that --configFile names, or give it as a flag",
            )),
            _ => rejections.push(section.reject(
                stray(style),
                format!("unknown section {}", super::decode::quote(name)),
                remedy_for_name(name, ["http", "tls", "tcp", "udp"]),
            )),
        }
    }
    (raw, rejections)
}

/// Others may keep things of their own in a store.
fn stray(style: Style) -> Severity {
    if style == Style::Kv { Severity::Warning } else { Severity::Error }
}

fn http(section: &Tree, raw: &mut RawDynamic, rejections: &mut Vec<Rejection>) {
    for (name, kind) in section_children(section, rejections) {
        match name.to_ascii_lowercase().as_str() {
            "routers" => units(kind, &mut raw.routers, rejections),
            "services" => units(kind, &mut raw.services, rejections),
            "middlewares" => units(kind, &mut raw.middlewares, rejections),
            "serverstransports" => units(kind, &mut raw.transports, rejections),
            _ => rejections.push(kind.reject(
                Severity::Error,
                format!("unknown key {}", super::decode::quote(name)),
                remedy_for_name(name, ["routers", "services", "middlewares", "serversTransports"]),
            )),
        }
    }
}

fn tcp(section: &Tree, raw: &mut RawDynamic, rejections: &mut Vec<Rejection>) {
    for (name, kind) in section_children(section, rejections) {
        match name.to_ascii_lowercase().as_str() {
            "routers" => units(kind, &mut raw.tcp_routers, rejections),
            "services" => units(kind, &mut raw.tcp_services, rejections),
            "middlewares" => units(kind, &mut raw.tcp_middlewares, rejections),
            "serverstransports" if kind.is_empty() => {}
            "serverstransports" => rejections.push(kind.reject(
                Severity::Error,
                "known, but not supported yet",
                "remove it; `proxyProtocol` can be set beside the servers of a loadBalancer",
            )),
            _ => rejections.push(kind.reject(
                Severity::Error,
                format!("unknown key {}", super::decode::quote(name)),
                remedy_for_name(name, ["routers", "services", "middlewares"]),
            )),
        }
    }
}

fn tls(section: &Tree, raw: &mut RawDynamic, rejections: &mut Vec<Rejection>) {
    for (name, kind) in section_children(section, rejections) {
        match name.to_ascii_lowercase().as_str() {
            "options" => units(kind, &mut raw.tls_options, rejections),
            "stores" => units(kind, &mut raw.tls_stores, rejections),
            "certificates" => certificates(kind, raw, rejections),
            _ => rejections.push(kind.reject(
                Severity::Error,
                format!("unknown key {}", super::decode::quote(name)),
                remedy_for_name(name, ["certificates", "options", "stores"]),
            )),
        }
    }
}

fn certificates(section: &Tree, raw: &mut RawDynamic, rejections: &mut Vec<Rejection>) {
    match &section.value {
        Value::List(items) => raw.certificates.extend(items.iter().filter(|item| item.value != Value::Null).map(Unit::read)),
        Value::Map { entries, .. } if super::tree::is_indexed(entries) => {
            let mut items: Vec<(&String, &Tree)> = entries.iter().collect();
            items.sort_by_key(|(index, _)| super::tree::index_order(index));
            raw.certificates.extend(items.into_iter().map(|(_, item)| Unit::read(item)));
        }
        Value::Null => {}
        _ if section.is_empty() => {}
        _ => {
            let first = section.source.style.join_index(&section.key, 0);
            let remedy = format!("number the certificates from 0, as in `{first}`");
            rejections.push(section.reject(Severity::Error, "expected a list of certificates", remedy));
        }
    }
}

fn units<T: for<'de> Deserialize<'de>>(section: &Tree, into: &mut Units<T>, rejections: &mut Vec<Rejection>) {
    for (name, tree) in section_children(section, rejections) {
        if !is_name(name) {
            let message = format!("{} is not a name", super::decode::quote(name));
            rejections.push(tree.reject(
                Severity::Error,
                message,
                "choose one without `@` and control characters, of at most 512 bytes",
            ));
            continue;
        }
        into.insert(name.to_owned(), Unit::read(tree));
    }
}

/// Whether a unit may be called so.
pub(super) fn is_name(name: &str) -> bool {
    !(name.is_empty() || name.contains('@') || name.chars().any(char::is_control) || name.len() > 512)
}

/// The children of a section that holds names.
fn section_children<'a>(section: &'a Tree, rejections: &mut Vec<Rejection>) -> Vec<(&'a str, &'a Tree)> {
    match &section.value {
        Value::Map { .. } | Value::Null => {}
        Value::Unreadable { message, remedy } => rejections.push(section.reject(Severity::Error, message, remedy)),
        // `traefik/http = true`, as people write to make a directory.
        Value::Text(text) if super::tree::switches_on(text) && section.source.style == Style::Kv => {}
        Value::Text(_) | Value::List(_) => {
            rejections.push(section.reject(
                Severity::Error,
                "expected names with keys below them",
                "write `name:` and its keys below it",
            ));
        }
    }
    section.children().collect()
}
