//! `com.docker.ucp.mesh.http[.N]`: UCP's HTTP routing mesh, which Interlock took the place of. Read into the same [`Ask`]s.
//!
//! A value is a list of `key=value` with commas between, or `80=http://host` as the first releases had it.

use super::{
    Language, Mode, Settings, Workload,
    interlock::{
        Ask, Balance, Heard, HostName, Notes, Redirect, Tls, Upstream, boolean, cookie_name, host_names, host_of_url, port,
        target,
    },
};
use crate::config::{nearest, quote};
use std::collections::BTreeSet;

const PREFIX: &str = "com.docker.ucp.mesh.http";

const KEYS: [&str; 5] = ["external_route", "internal_port", "sticky_sessions", "redirect", "include_forwarded_for"];

/// Reads them. The mesh had no service clusters: what it publishes belongs to the gateway without one.
pub fn read(workload: &Workload, settings: &Settings) -> Heard {
    if !settings.interlock.service_cluster.is_empty() {
        return Heard::NOTHING;
    }
    let mut notes = Notes::new(workload);
    let mut asks = Vec::new();
    let labels = workload.labels.iter().filter(|(label, _)| Language::of_label(label) == Some(Language::Mesh));
    for (label, value) in labels {
        match label.strip_prefix(PREFIX) {
            Some(which) if which.is_empty() || which.starts_with('.') => {
                let route = Route::read(label, value, &mut notes);
                asks.extend(route.and_then(|route| route.ask(workload, label, which, &mut notes)));
            }
            _ => notes.warning(label, "is not known", format!("write {PREFIX}, or {PREFIX}.1 and so on")),
        }
    }
    Heard { asks: (!notes.failed()).then_some(asks), rejections: notes.finish() }
}

/// One label's value, taken apart.
#[derive(Default)]
struct Route {
    external: String,
    port: Option<u16>,
    cookie: Option<String>,
    redirect: Option<String>,
}

impl Route {
    fn read(label: &str, value: &str, notes: &mut Notes) -> Option<Self> {
        let mut route = Self::default();
        for pair in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((key, text)) = pair.split_once('=').map(|(key, text)| (key.trim(), text.trim())) else {
                let message = format!("expected `key=value`, found {}", quote(pair));
                notes.error(label, message, "write for instance external_route=http://app.example.com,internal_port=8080");
                continue;
            };
            match key {
                "external_route" => route.external = text.to_owned(),
                "internal_port" => route.port = port(label, text, notes),
                "sticky_sessions" => route.cookie = cookie_name(label, text, notes).filter(|name| !name.is_empty()),
                "redirect" => route.redirect = Some(text.to_owned()).filter(|text| !text.is_empty()),
                // It always is.
                "include_forwarded_for" => drop(boolean(label, text, notes)),
                _ if key.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (route.port, route.external) = (port(label, key, notes), text.to_owned());
                }
                _ => {
                    let remedy = match nearest(key, KEYS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known here: {}", KEYS.join(", ")),
                    };
                    notes.error(label, format!("{} is not known", quote(key)), remedy);
                }
            }
        }
        (!notes.failed()).then_some(route)
    }

    fn ask(self, workload: &Workload, label: &str, which: &str, notes: &mut Notes) -> Option<Ask> {
        let (host, passthrough) = self.host(label, notes)?;
        let redirects: Vec<Redirect> = match passthrough {
            false => self.redirects(&host, label, notes)?,
            true => {
                if self.redirect.is_some() || self.cookie.is_some() {
                    let message = "`redirect` and `sticky_sessions` have no effect with sni://, where no request is seen here";
                    notes.warning(label, message, "remove them");
                }
                Vec::new()
            }
        };
        let known = match &workload.ports[..] {
            [only] => Some(*only),
            _ => None,
        };
        // Behind a redirection nobody is asked.
        let Some(port) = self.port.or(known).or((!redirects.is_empty()).then_some(80)) else {
            notes.error(label, "the port is missing", "add internal_port=8080, or whichever port the service listens on");
            return None;
        };
        Some(Ask {
            service: format!("mesh.{}{which}", workload.name),
            label: label.to_owned(),
            hosts: BTreeSet::from([host]),
            root: String::new(),
            rewrite: false,
            port,
            network: None,
            mode: Mode::Instances,
            websockets: if passthrough { Vec::new() } else { vec!["/".to_owned()] },
            passthrough,
            redirects,
            tls: Tls::default(),
            upstream: Upstream {
                balance: self.cookie.filter(|_| !passthrough).map_or(Balance::RoundRobin, Balance::Cookie),
                ..Upstream::default()
            },
        })
    }

    /// `http://host[:port]`, or `sni://host[:port]`, whose TLS is passed through; without a host, all of them.
    fn host(&self, label: &str, notes: &mut Notes) -> Option<(HostName, bool)> {
        let example = "write for instance external_route=http://app.example.com";
        let below = |scheme: &str| {
            let (head, rest) = self.external.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (rest, passthrough) = match (below("http://"), below("sni://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => {
                let message = format!("expected external_route=http://… or sni://…, found {}", quote(&self.external));
                notes.error(label, message, example);
                return None;
            }
        };
        let authority = rest.trim_end_matches('/');
        let name = match authority.rsplit_once(':') {
            Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => authority,
        };
        if name.is_empty() {
            return Some((HostName::Any, passthrough));
        }
        host_names(label, name, notes).into_iter().next().map(|host| (host, passthrough))
    }

    fn redirects(&self, host: &HostName, label: &str, notes: &mut Notes) -> Option<Vec<Redirect>> {
        let Some(text) = &self.redirect else { return Some(Vec::new()) };
        let text = text.strip_prefix("sni://").map_or_else(|| text.clone(), |rest| format!("https://{rest}"));
        let example = "write for instance redirect=https://app.example.com";
        let Some(to) = target(&text) else {
            notes.error(label, format!("expected a URL to redirect to, found {}", quote(&text)), example);
            return None;
        };
        let home = host_of_url(to).map(HostName::Exact).as_ref() == Some(host);
        if home && !to.to_ascii_lowercase().starts_with("https") {
            notes.error(label, format!("the redirection to {} leads back to itself", quote(&text)), example);
            return None;
        }
        Some(vec![Redirect { source: host.clone(), target: to.to_owned(), plain_only: home, permanent: true }])
    }
}
