//! A workload's labels, sorted: units are taken over into the draft; what describes servers is kept aside, since one label stands for as many
//! servers as there are instances; what belongs to other languages is left alone.

use super::options::Options;
use crate::{
    config::{self, Severity},
    discovery::{Draft, Language, Workload},
    snapshot::Layer,
};
use std::collections::BTreeMap;

/// What was kept aside.
#[derive(Debug, Default)]
pub(super) struct Written<'a> {
    /// By the service's name, its case folded.
    pub(super) servers: BTreeMap<(Layer, String), ServerLabels<'a>>,
    /// The first label of udp.
    pub(super) stream: Option<&'a str>,
}

/// `….loadbalancer.server.…` of one service: labels and their values.
#[derive(Debug, Default)]
pub(super) struct ServerLabels<'a> {
    pub(super) port: Option<(&'a str, &'a str)>,
    pub(super) scheme: Option<(&'a str, &'a str)>,
    pub(super) url: Option<(&'a str, &'a str)>,
    pub(super) weight: Option<(&'a str, &'a str)>,
    pub(super) preserve_path: Option<(&'a str, &'a str)>,
    /// The first that says nothing known, with what is wrong and what to do.
    pub(super) wrong: Option<(&'a str, String, String)>,
}

const HEADS: [&str; 7] = ["enable", "http", "tcp", "udp", "tls", "docker", "swarm"];

impl<'a> Written<'a> {
    /// Sorts all labels below `traefik`.
    pub(super) fn take(workload: &'a Workload, draft: &mut Draft) -> Self {
        let mut written = Self::default();
        for (label, value) in &workload.labels {
            let Some((root, below)) = label.split_once('.') else { continue };
            if !root.eq_ignore_ascii_case("traefik") || Language::of_label(label) == Some(Language::Traefik1) {
                continue;
            }
            let (head, rest) = below.split_once('.').map_or((below, None), |(head, rest)| (head, Some(rest)));
            match (head.to_ascii_lowercase().as_str(), rest) {
                ("http" | "tcp" | "tls", _) => written.unit(label, below, value, draft),
                ("udp", _) => written.stream = written.stream.or(Some(label)),
                ("enable", None) => {}
                ("docker" | "swarm", Some(key)) => {
                    let known = Options::known(head);
                    if !known.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                        let remedy = config::remedy_for_name(key, known.iter().copied());
                        draft.reject(Severity::Warning, label, "is not known, and has no effect", remedy);
                    }
                }
                ("tags", None) if workload.speaks(Language::Traefik1) => {}
                ("tags", None) => {
                    let remedy = "let `constraints` ask for labels, as in Label(`zone`, `dmz`)";
                    draft.reject(Severity::Warning, label, "tags are of Traefik 1, and have no effect here", remedy);
                }
                _ if head.is_empty() => draft.label(label, below, value),
                _ => {
                    let remedy = config::remedy_for_name(head, HEADS);
                    draft.reject(Severity::Warning, label, "is not known, and has no effect", remedy);
                }
            }
        }
        written
    }

    /// One label below `traefik.http`, `traefik.tcp` or `traefik.tls`.
    fn unit(&mut self, label: &'a str, below: &'a str, value: &'a str, draft: &mut Draft) {
        let path = match config::labels::segments(below) {
            Ok(path) => path,
            Err(message) => return self.unreadable(label, below, value, message, draft),
        };
        let is = |at: usize, name: &str| path.get(at).is_some_and(|part| part.eq_ignore_ascii_case(name));
        let layer = path.first().and_then(|section| layer(section));
        if let Some(layer) = layer
            && is(1, "services")
            && is(3, "loadbalancer")
            && (is(4, "server") || is(4, "servers"))
        {
            draft.declare(&path[..4]);
            let servers = self.servers.entry((layer, path[2].to_ascii_lowercase())).or_default();
            servers.note(layer, if is(4, "server") { &path[5..] } else { &path[4..] }, label, value);
        } else if layer.is_some()
            && is(1, "routers")
            && path.len() == 4
            && value.trim().is_empty()
            && (is(3, "rule") || is(3, "service"))
        {
            // Nothing is said: it is made of the workload like one that is not there.
            draft.declare(&path[..3]);
        } else if is(0, "tls") && is(1, "options") && is(2, "default") {
            let message = "the default TLS options concern every service, and are not for one to set";
            draft.reject(Severity::Error, label, message, "give them a name of their own, or set them in a file");
        } else {
            draft.label(label, below, value);
        }
    }
}

impl<'a> Written<'a> {
    /// A label whose name cannot be read spoils the unit that it belongs to; a service's servers are found all the same.
    fn unreadable(&mut self, label: &'a str, below: &'a str, value: &'a str, message: String, draft: &mut Draft) {
        let parts: Vec<&str> = below.splitn(4, '.').collect();
        match (parts.first().and_then(|section| layer(section)), &parts[..]) {
            (Some(layer), [section, services, name, _])
                if services.eq_ignore_ascii_case("services") && !name.is_empty() && !name.contains('[') =>
            {
                draft.declare(&[section, services, name, "loadBalancer"]);
                let servers = self.servers.entry((layer, name.to_ascii_lowercase())).or_default();
                servers.wrong.get_or_insert((label, message, "write names separated by single dots".to_owned()));
            }
            _ => draft.label(label, below, value),
        }
    }
}

impl<'a> ServerLabels<'a> {
    /// Of two spellings, the first in byte order counts.
    fn note(&mut self, layer: Layer, path: &[&str], label: &'a str, value: &'a str) {
        let key = path.join(".");
        let place = match (layer, key.to_ascii_lowercase().as_str()) {
            (_, "port") => &mut self.port,
            (Layer::Http, "scheme") => &mut self.scheme,
            (Layer::Http, "url") => &mut self.url,
            (Layer::Http, "weight") => &mut self.weight,
            (Layer::Http, "preservepath") => &mut self.preserve_path,
            (Layer::Tcp, "tls") if value.trim().eq_ignore_ascii_case("false") => return,
            (Layer::Tcp, "tls") => {
                let message = "TLS to servers of TCP services is known, but not supported yet".to_owned();
                let remedy = "remove it: a router with `tls.passthrough` brings the client's own TLS to the server".to_owned();
                self.wrong.get_or_insert((label, message, remedy));
                return;
            }
            _ => {
                let (message, remedy) = unknown(layer, &key, label);
                self.wrong.get_or_insert((label, message, remedy));
                return;
            }
        };
        place.get_or_insert((label, value));
    }
}

/// The layer whose units stand below this section.
fn layer(section: &str) -> Option<Layer> {
    [Layer::Http, Layer::Tcp].into_iter().find(|layer| super::section(*layer).eq_ignore_ascii_case(section))
}

fn unknown(layer: Layer, key: &str, label: &str) -> (String, String) {
    if key.starts_with("servers") {
        let (section, service) = (super::section(layer), label.split('.').nth(3).unwrap_or_default());
        let remedy = format!("write for instance `traefik.{section}.services.{service}.loadbalancer.server.port`");
        return ("labels describe one server, which is this workload itself".to_owned(), remedy);
    }
    let known: &[&str] = match layer {
        Layer::Http => &["port", "scheme", "url", "weight", "preservePath"],
        Layer::Tcp => &["port"],
    };
    (format!("unknown key {}", config::quote(key)), config::remedy_for_name(key, known.iter().copied()))
}
