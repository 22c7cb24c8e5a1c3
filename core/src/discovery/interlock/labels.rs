//! `com.docker.lb.*` of one workload.

use super::{
    Ask, Balance, HostName, Notes, Redirect, Tls, Upstream,
    ask::{PREFIX, Security},
    boolean, cookie_name, host_names, host_of_url, port, target,
    value::path,
};
use crate::{
    config::{Rejection, nearest, parse_duration, quote},
    discovery::{Mode, Mounts, Settings, Workload},
};
use std::collections::BTreeSet;

/// Every label there is.
const KEYS: [&str; 20] = [
    "hosts",
    "port",
    "network",
    "backend_mode",
    "context_root",
    "context_root_rewrite",
    "websocket_endpoints",
    "sticky_session_cookie",
    "ip_hash",
    "redirects",
    "ssl_only",
    "ssl_cert",
    "ssl_key",
    "ssl_passthrough",
    "ssl_backend",
    "ssl_backend_tls_verify",
    "service_cluster",
    "default_backend",
    "max_fails",
    "fail_timeout",
];

/// Labels that are about requests.
const OF_REQUESTS: [&str; 10] = [
    "context_root",
    "context_root_rewrite",
    "websocket_endpoints",
    "sticky_session_cookie",
    "redirects",
    "ssl_only",
    "ssl_cert",
    "ssl_key",
    "ssl_backend",
    "ssl_backend_tls_verify",
];

/// What was understood.
pub struct Heard {
    /// `None`: something cannot be read, so that it is not known what is asked for.
    pub asks: Option<Vec<Ask>>,
    pub rejections: Vec<Rejection>,
}

impl Heard {
    /// Nothing is asked for.
    pub const NOTHING: Self = Self { asks: Some(Vec::new()), rejections: Vec::new() };
}

/// Reads them. Those of another service cluster are not looked at: another gateway serves them.
pub fn read(workload: &Workload, settings: &Settings, mounts: &Mounts) -> Heard {
    let mut reader = Reader { workload, notes: Notes::new(workload) };
    if reader.text("service_cluster").unwrap_or_default() != settings.interlock.service_cluster {
        return Heard::NOTHING;
    }
    reader.unknown();
    let asks = reader.ask(mounts).map(|ask| ask.into_iter().collect());
    Heard { asks: asks.filter(|_| !reader.notes.failed()), rejections: reader.notes.finish() }
}

struct Reader<'a> {
    workload: &'a Workload,
    notes: Notes,
}

fn label(key: &str) -> String {
    format!("{PREFIX}{key}")
}

impl Reader<'_> {
    /// The value for a key, unless it is empty.
    fn text(&self, key: &str) -> Option<&str> {
        self.workload.labels.get(&label(key)).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn read<T>(&mut self, key: &str, read: impl FnOnce(&str, &str, &mut Notes) -> T) -> Option<T> {
        let text = self.text(key)?.to_owned();
        Some(read(&label(key), &text, &mut self.notes))
    }

    fn flag(&mut self, key: &str) -> bool {
        self.read(key, boolean).unwrap_or(false)
    }

    fn list(&self, key: &str) -> Vec<String> {
        let pieces = self.text(key).unwrap_or_default().split(',').map(str::trim);
        pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
    }

    fn unknown(&mut self) {
        for whole in self.workload.labels.keys() {
            let Some(key) = whole.strip_prefix(PREFIX).filter(|key| !KEYS.contains(key)) else { continue };
            let near = if key == "ports" { Some("port") } else { nearest(key, KEYS) };
            match near {
                Some(near) => self.notes.warning(whole, "is not known", format!("did you mean {}?", label(near))),
                None => self.notes.warning(whole, "is not known", format!("remove it; known here: {}", KEYS.join(", "))),
            }
        }
    }

    /// `None`: something essential is missing. `Some(None)`: nothing is asked for, or nothing that can be given.
    fn ask(&mut self, mounts: &Mounts) -> Option<Option<Ask>> {
        let default_backend = self.flag("default_backend");
        let mut hosts: BTreeSet<HostName> = BTreeSet::new();
        for text in self.list("hosts") {
            hosts.extend(host_names(&label("hosts"), &text, &mut self.notes));
        }
        if hosts.is_empty() && !default_backend {
            if !self.notes.failed() && KEYS.iter().any(|key| self.text(key).is_some()) {
                let message = "is missing, so the service is not published";
                self.notes.warning(&label("hosts"), message, "name its hosts: com.docker.lb.hosts=shop.example.com");
            }
            return Some(None);
        }
        if self.flag("ssl_passthrough") {
            return Some(Some(self.passed_through(hosts, default_backend)?));
        }
        let redirects = self.redirects(&hosts);
        if default_backend {
            hosts.insert(HostName::Any);
        }
        let ask = Ask {
            service: format!("lb.{}", self.workload.name),
            label: self.publishing_label(),
            hosts,
            passthrough: false,
            root: self.read("context_root", path).flatten().unwrap_or_default(),
            rewrite: self.flag("context_root_rewrite"),
            network: self.text("network").map(str::to_owned),
            mode: self.mode(),
            websockets: self.websockets(),
            redirects,
            tls: self.tls(mounts),
            upstream: self.upstream(),
            port: self.port()?,
        };
        Some(Some(ask))
    }

    /// The label that publishes the service.
    fn publishing_label(&self) -> String {
        label(if self.text("hosts").is_some() { "hosts" } else { "default_backend" })
    }

    /// TLS goes on to the service. What needs requests to be read has no effect.
    fn passed_through(&mut self, mut hosts: BTreeSet<HostName>, default_backend: bool) -> Option<Ask> {
        for key in OF_REQUESTS {
            if self.text(key).is_none_or(|text| text.eq_ignore_ascii_case("false")) {
                continue;
            }
            let message = "has no effect with ssl_passthrough: TLS ends at the service, so that no request is seen here";
            self.notes.warning(&label(key), message, "remove it, or remove ssl_passthrough");
        }
        if default_backend {
            hosts.insert(HostName::Any);
        }
        let balance = if self.flag("ip_hash") { Balance::Address } else { Balance::RoundRobin };
        let (max_fails, fail_timeout) = (self.max_fails(), self.fail_timeout());
        Some(Ask {
            service: format!("lb.{}", self.workload.name),
            label: self.publishing_label(),
            hosts,
            passthrough: true,
            root: String::new(),
            rewrite: false,
            network: self.text("network").map(str::to_owned),
            mode: self.mode(),
            websockets: Vec::new(),
            redirects: Vec::new(),
            tls: Tls::default(),
            upstream: Upstream { security: Security::None, balance, max_fails, fail_timeout },
            port: self.port()?,
        })
    }

    fn port(&mut self) -> Option<u16> {
        match self.read("port", port) {
            Some(port) => port,
            None => {
                let remedy = match &self.workload.ports[..] {
                    [only] => format!("set {}={only}", label("port")),
                    _ => format!("set {}=8080, or whichever port the service listens on inside its container", label("port")),
                };
                self.notes.error(&label("port"), "is missing", remedy);
                None
            }
        }
    }

    fn mode(&mut self) -> Mode {
        let mode = match self.text("backend_mode").unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "task" | "default" => Mode::Instances,
            "vip" => Mode::Virtual,
            other => {
                let message = format!("expected task or vip, found {}", quote(other));
                self.notes.error(&label("backend_mode"), message, "write task, or remove the label");
                Mode::Instances
            }
        };
        for key in ["sticky_session_cookie", "ip_hash"] {
            if mode == Mode::Virtual && self.text(key).is_some() {
                let message = "has no effect with backend_mode=vip, where the virtual address spreads connections by itself";
                self.notes.warning(&label(key), message, "remove it, or set com.docker.lb.backend_mode=task");
            }
        }
        mode
    }

    fn websockets(&mut self) -> Vec<String> {
        let texts = self.list("websocket_endpoints");
        let paths = texts.iter().filter_map(|text| {
            let read = path(&label("websocket_endpoints"), text, &mut self.notes)?;
            Some(if read.is_empty() { "/".to_owned() } else { read })
        });
        paths.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// `source,target;source,target`. The source's host alone counts.
    fn redirects(&mut self, hosts: &BTreeSet<HostName>) -> Vec<Redirect> {
        let name = label("redirects");
        let text = self.text("redirects").unwrap_or_default().to_owned();
        let mut redirects: Vec<Redirect> = Vec::new();
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let both = pair.split_once(',').map(|(source, to)| (host_of_url(source.trim()), target(to.trim())));
            let Some((Some(source), Some(to))) = both else {
                let message = format!("expected `source,target`, found {}", quote(pair));
                self.notes.error(&name, message, "write for instance http://old.example.com,http://new.example.com");
                continue;
            };
            let home = host_of_url(to).as_deref() == Some(&source);
            let source = HostName::Exact(source);
            if home && !to.to_ascii_lowercase().starts_with("https") {
                self.notes.error(&name, format!("{} leads back to itself", quote(pair)), "name another target");
            } else if !hosts.contains(&source) {
                let remedy = format!("add it to {}", label("hosts"));
                self.notes.warning(&name, format!("`{source}` is none of the service's hosts, so nothing is redirected"), remedy);
            } else if redirects.iter().any(|redirect| redirect.source == source) {
                self.notes.warning(&name, format!("`{source}` is redirected twice, and the first counts"), "remove one");
            } else {
                redirects.push(Redirect { source, target: to.to_owned(), plain_only: home, permanent: false });
            }
        }
        redirects
    }

    fn tls(&mut self, mounts: &Mounts) -> Tls {
        let only = self.flag("ssl_only");
        let (cert, key) = (self.text("ssl_cert").map(str::to_owned), self.text("ssl_key").map(str::to_owned));
        let Some(cert) = cert else {
            if key.is_some() {
                self.notes.error(
                    &label("ssl_key"),
                    "a key without its certificate",
                    format!("name that in {}", label("ssl_cert")),
                );
            } else if only {
                let message =
                    "no certificate is named, so one that this gateway has for the host is used, or one of its own making";
                self.notes.warning(
                    &label("ssl_only"),
                    message,
                    format!("name it in {} and {}", label("ssl_cert"), label("ssl_key")),
                );
            }
            return Tls { served: only, certificate: None, only };
        };
        // One file may hold both.
        let cert_path = self.mounted("ssl_cert", &cert, mounts);
        let key_path = match &key {
            Some(key) => self.mounted("ssl_key", key, mounts),
            None => cert_path.clone(),
        };
        let certificate = cert_path.zip(key_path);
        Tls { served: certificate.is_some(), certificate, only }
    }

    fn mounted(&mut self, key: &str, name: &str, mounts: &Mounts) -> Option<String> {
        let path = mounts.path(name);
        if path.is_none() {
            let directory = &mounts.directory;
            let message =
                format!("the secret {} is not mounted into this gateway, so its hosts are not served over TLS", quote(name));
            let remedy = format!(
                "docker service update --secret-add {name} GATEWAY, where GATEWAY is this gateway's service; \
                 for a config: --config-add source={name},target={directory}/{name}"
            );
            self.notes.missing(&label(key), message, remedy);
        }
        path
    }

    fn upstream(&mut self) -> Upstream {
        let cookie = self.read("sticky_session_cookie", cookie_name).flatten();
        let balance = match (cookie, self.flag("ip_hash")) {
            (Some(cookie), by_address) => {
                if by_address {
                    let message = "has no effect beside sticky_session_cookie";
                    self.notes.warning(&label("ip_hash"), message, "remove one of the two");
                }
                Balance::Cookie(cookie)
            }
            (None, true) => Balance::Address,
            (None, false) => Balance::RoundRobin,
        };
        Upstream { security: self.security(), balance, max_fails: self.max_fails(), fail_timeout: self.fail_timeout() }
    }

    fn security(&mut self) -> Security {
        let encrypted = self.flag("ssl_backend");
        let verify = self.text("ssl_backend_tls_verify").unwrap_or("required").to_ascii_lowercase();
        let name = label("ssl_backend_tls_verify");
        let security = match verify.as_str() {
            "none" | "false" | "off" => Security::Unverified,
            "required" | "true" | "on" => Security::Verified,
            other => {
                let message = format!("expected none or required, found {}", quote(other));
                self.notes.error(&name, message, "write none to trust any certificate of the service's");
                Security::Verified
            }
        };
        if !encrypted && self.text("ssl_backend_tls_verify").is_some() {
            self.notes.warning(
                &name,
                "has no effect without ssl_backend",
                format!("set {}=true, or remove it", label("ssl_backend")),
            );
        }
        if encrypted { security } else { Security::None }
    }

    fn max_fails(&mut self) -> Option<u32> {
        let text = self.text("max_fails")?.to_owned();
        let read = text.parse().ok();
        if read.is_none() {
            let message = format!("expected a number of failures, found {}", quote(&text));
            self.notes.error(&label("max_fails"), message, "write for instance 3");
        }
        read
    }

    fn fail_timeout(&mut self) -> Option<String> {
        let text = self.text("fail_timeout")?.to_owned();
        if parse_duration(&text).is_none_or(|nanos| nanos <= 0) {
            let message = format!("expected a duration, found {}", quote(&text));
            self.notes.error(&label("fail_timeout"), message, "write for instance 10s; a bare number is seconds");
            return None;
        }
        Some(text)
    }
}
