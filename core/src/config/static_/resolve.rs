//! From the merged tree to the static configuration: all that is wrong with it is found in one go.

mod discovery;
mod docker;
mod entry_point;
mod kontena;
mod observe;
mod providers;
mod rancher;

use super::{defaults::ADMIN_ENTRY_POINT, *};
use super::{old, parse, raw};
use crate::config::{
    Rejection, Severity, Tree,
    decode::{self, Span, quote, remedy_for_name},
};
use std::net::Ipv4Addr;

/// The static configuration that `tree` (the layers merged) describes, with warnings; or everything that is wrong with it.
///
/// # Errors
///
/// At least one of the rejections is an error: nothing is to be served under a configuration that was not understood.
pub fn resolve_static(tree: &Tree) -> Result<(StaticConfig, Vec<Rejection>), Vec<Rejection>> {
    let (tree, mut rejections) = old::translated(tree);
    let (raw, more) = decode::read::<raw::Static>(&tree);
    rejections.extend(more);
    let mut at = Resolver { tree: &tree, rejections };
    let config = raw.map(|raw| at.config(raw));
    match config {
        Some(config) if at.rejections.iter().all(|rejection| rejection.severity == Severity::Warning) => {
            Ok((config, at.rejections))
        }
        _ => Err(at.rejections),
    }
}

/// The tree, to name places in it, and what was found so far.
struct Resolver<'a> {
    tree: &'a Tree,
    rejections: Vec<Rejection>,
}

impl Resolver<'_> {
    fn error(&mut self, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.rejections.push(self.tree.reject_at(Severity::Error, path, message, remedy));
    }

    fn warning(&mut self, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.rejections.push(self.tree.reject_at(Severity::Warning, path, message, remedy));
    }

    fn config(&mut self, raw: raw::Static) -> StaticConfig {
        let mut config = StaticConfig::default();
        for (name, point) in raw.entry_points {
            if let Some(point) = self.entry_point(&name, point) {
                config.entry_points.insert(name, point);
            }
        }
        config.providers = self.providers(raw.providers);
        config.api = raw.api.0.and_then(|api| self.api(api));
        config.ping = raw.ping.0.map(|ping| self.ping(ping));
        config.log = raw.log.0.map(|log| self.log(log)).unwrap_or_default();
        config.access_log = raw.access_log.0.map(|log| self.access_log(log));
        config.prometheus = raw.metrics.prometheus.0.map(|prometheus| self.prometheus(prometheus, raw.metrics.add_internals));
        config.tracing = raw.tracing.0.map(|tracing| self.tracing(tracing));
        config.servers_transport = servers_transport(raw.servers_transport, config.servers_transport);
        config.default_rule_syntax = match raw.core.default_rule_syntax.as_deref() {
            None | Some("" | "v3") => Syntax::V3,
            Some("v2") => Syntax::V2,
            Some(other) => {
                self.error(&["core", "defaultRuleSyntax"], format!("expected v2 or v3, found {}", quote(other)), "write v3");
                Syntax::V3
            }
        };
        let admin = raw.fairlead.admin.address.clone();
        self.own(raw.fairlead, &mut config);
        self.listen(&mut config, admin);
        self.for_labels(&raw.constraints, &mut config);
        self.redirections(&mut config);
        config
    }

    /// The entry points that nobody wrote, and those that routers use by default.
    fn listen(&mut self, config: &mut StaticConfig, admin: Option<String>) {
        if config.entry_points.keys().all(|name| name == ADMIN_ENTRY_POINT) && self.tree.child("entryPoints").is_none() {
            for (name, port) in [("http", 80), ("https", 443)] {
                let mut point = EntryPoint::new(name, Address { ip: None, port, protocol: Protocol::Tcp });
                point.http.tls = (port == 443).then(EntryPointTls::default);
                config.entry_points.insert(name.to_owned(), point);
            }
            self.warning(
                &["entryPoints"],
                "no entry point is declared, so `http` listens on :80, and `https` on :443 with TLS",
                "declare those you need, such as `entryPoints.web.address: \":80\"` and `entryPoints.websecure.address: \":443\"`",
            );
        }
        let used = |name: &str| name == ADMIN_ENTRY_POINT;
        let needed = config.api.as_ref().is_some_and(|api| api.insecure)
            || config.ping.as_ref().is_some_and(|ping| !ping.manual_routing && used(&ping.entry_point))
            || config.prometheus.as_ref().is_some_and(|metrics| !metrics.manual_routing && used(&metrics.entry_point))
            || admin.is_some();
        let own = admin.map(|text| (parse::address(&text), text));
        let own = match own {
            Some((Ok(address), _)) => Some(address),
            Some((Err(expected), text)) => {
                self.error(
                    &["fairlead", "admin", "address"],
                    format!("{expected}; found {}", quote(&text)),
                    "write for instance 127.0.0.1:8080",
                );
                None
            }
            None => None,
        };
        match (config.entry_points.get(ADMIN_ENTRY_POINT), own) {
            (Some(_), Some(_)) => self.error(
                &["fairlead", "admin", "address"],
                format!("the entry point `{ADMIN_ENTRY_POINT}` has an address already"),
                format!("remove this, or `entryPoints.{ADMIN_ENTRY_POINT}`"),
            ),
            (None, own) if needed => {
                let loopback = Address { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: 8080, protocol: Protocol::Tcp };
                let point = EntryPoint::new(ADMIN_ENTRY_POINT, own.unwrap_or(loopback));
                config.entry_points.insert(ADMIN_ENTRY_POINT.to_owned(), point);
            }
            _ => {}
        }
        let marked = config.entry_points.values().any(|point| point.as_default);
        let default = config.entry_points.values().filter(|point| point.address.protocol == Protocol::Tcp);
        let default = default.filter(|point| if marked { point.as_default } else { point.name != ADMIN_ENTRY_POINT });
        config.default_entry_points = default.map(|point| point.name.clone()).collect();
        let asked = [
            (
                config.ping.as_ref().filter(|ping| !ping.manual_routing).map(|ping| ping.entry_point.clone()),
                &["ping", "entryPoint"][..],
            ),
            (
                config.prometheus.as_ref().filter(|metrics| !metrics.manual_routing).map(|metrics| metrics.entry_point.clone()),
                &["metrics", "prometheus", "entryPoint"][..],
            ),
        ];
        for (name, path) in asked {
            if let Some(name) = name.filter(|name| !config.entry_points.contains_key(name)) {
                let remedy = remedy_for_name(&name, config.entry_points.keys().map(String::as_str));
                self.error(path, format!("there is no entry point {}", quote(&name)), remedy);
            }
        }
    }

    /// Where redirections lead, now that all entry points are known.
    fn redirections(&mut self, config: &mut StaticConfig) {
        let ports: BTreeMap<String, u16> =
            config.entry_points.values().map(|point| (point.name.clone(), point.address.port)).collect();
        for (name, point) in &mut config.entry_points {
            let Some(redirection) = &mut point.http.redirection else { continue };
            let path = ["entryPoints", name, "http", "redirections", "entryPoint", "to"];
            let port = match redirection.to.strip_prefix(':') {
                Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0),
                None => ports.get(&redirection.to).copied(),
            };
            match port {
                None => {
                    let remedy = remedy_for_name(&redirection.to, ports.keys().map(String::as_str));
                    let message = format!("expected an entry point or `:port`, found {}", quote(&redirection.to));
                    self.rejections.push(self.tree.reject_at(Severity::Error, &path, message, remedy));
                }
                Some(port) if redirection.to == *name || (port == point.address.port && redirection.scheme == "http") => {
                    let message = "leads back to itself";
                    self.rejections.push(self.tree.reject_at(Severity::Error, &path, message, "name the entry point for HTTPS"));
                }
                Some(443) if redirection.scheme == "https" => redirection.port = None,
                Some(80) if redirection.scheme == "http" => redirection.port = None,
                Some(port) => redirection.port = Some(port),
            }
        }
    }

    /// `fairlead.*`
    fn own(&mut self, raw: raw::Fairlead, config: &mut StaticConfig) {
        if raw.workers == Some(0) || raw.workers.is_some_and(|workers| workers > 1024) {
            self.error(&["fairlead", "workers"], "expected from 1 to 1024", "remove it for one per core");
        }
        config.workers = raw.workers.map(|workers| workers as usize);
        config.request_id = raw.request_id.0.map(|request_id| {
            let text = request_id.header.unwrap_or_else(|| "X-Request-Id".to_owned());
            RequestId {
                header: self.header(&text, &["fairlead", "requestId", "header"]),
                trust_incoming: request_id.trust_incoming,
            }
        });
        config.reason_header = match raw.reason_header.as_deref() {
            None | Some("" | "false") => None,
            Some("true") => Some("x-fairlead-reason".to_owned()),
            Some(text) => Some(self.header(text, &["fairlead", "reasonHeader"])),
        };
        for (value, key, place) in
            [(raw.health.rise, "rise", &mut config.health.rise), (raw.health.fall, "fall", &mut config.health.fall)]
        {
            match value {
                Some(0) => self.error(&["fairlead", "health", key], "expected at least 1", "remove it for the default, 1"),
                Some(value) => *place = value,
                None => {}
            }
        }
        let (limits, raw) = (&mut config.limits, raw.limits);
        let mut least = |key: &str, value: Option<u32>, least: u32, default: usize| -> usize {
            if value.is_some_and(|value| value < least) {
                let message = format!("expected at least {least}");
                self.error(&["fairlead", "limits", key], message, format!("remove it for the default, {default}"));
            }
            value.map_or(default, |value| value as usize)
        };
        limits.header_fields = least("headerFields", raw.header_fields, 8, limits.header_fields);
        limits.uri_bytes = least("uriBytes", raw.uri_bytes, 256, limits.uri_bytes);
        limits.response_header_bytes =
            least("responseHeaderBytes", raw.response_header_bytes, 1024, limits.response_header_bytes);
        limits.interim_responses = least("interimResponses", raw.interim_responses, 1, limits.interim_responses);
        let as_u32 = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        limits.http2_resets = as_u32(least("http2Resets", raw.http2_resets, 1, limits.http2_resets as usize));
        let list = least("http2HeaderListBytes", raw.http2_header_list_bytes, 1024, limits.http2_header_list_bytes as usize);
        limits.http2_header_list_bytes = as_u32(list);
        if let Some(rate) = raw.body_min_rate {
            limits.body_min_rate = rate;
        }
        if let Some(connections) = raw.connections_per_ip {
            limits.connections_per_ip = Some(connections as usize).filter(|connections| *connections > 0);
        }
        if let Some(connections) = raw.connections {
            limits.connections = Some(connections as usize).filter(|connections| *connections > 0);
        }
        for (span, key, place) in [
            (raw.header_timeout, "headerTimeout", &mut limits.header_timeout),
            (raw.body_idle_timeout, "bodyIdleTimeout", &mut limits.body_idle_timeout),
            (raw.tls_handshake_timeout, "tlsHandshakeTimeout", &mut limits.tls_handshake_timeout),
        ] {
            match span.map(Span::get) {
                Some(Duration::ZERO) => {
                    let remedy = format!("remove it for the default, {}s", place.as_secs());
                    self.error(&["fairlead", "limits", key], "expected more than nothing: a peer may not wait for ever", remedy);
                }
                Some(span) => *place = span,
                None => {}
            }
        }
    }

    fn header(&mut self, text: &str, path: &[&str]) -> String {
        parse::header_name(text).unwrap_or_else(|| {
            self.error(path, format!("expected a field name, found {}", quote(text)), "write for instance X-Request-Id");
            String::new()
        })
    }
}

fn servers_transport(raw: raw::ServersTransport, default: Transport) -> Transport {
    let timeouts = raw.forwarding_timeouts;
    Transport {
        insecure_skip_verify: raw.insecure_skip_verify,
        root_cas: raw.root_cas,
        max_idle_per_server: match raw.max_idle_conns_per_host {
            None | Some(0) => default.max_idle_per_server,
            Some(idle) => usize::try_from(idle).unwrap_or(0),
        },
        dial_timeout: timeouts.dial_timeout.map_or(default.dial_timeout, Span::get),
        response_header_timeout: timeouts.response_header_timeout.map_or(default.response_header_timeout, Span::get),
        idle_timeout: timeouts.idle_conn_timeout.map_or(default.idle_timeout, Span::get),
        ..default
    }
}
