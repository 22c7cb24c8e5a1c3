//! One HTTP service as a router, a service and middlewares.
//!
//! What keeps requests out, and has no equivalent, spoils the router: nobody is let in by mistake. What else cannot be understood is named and
//! left out.

use super::{
    Entry,
    haproxy::{Check, Redirect, Settings, written},
    source, users,
};
use crate::{
    config::{RawDynamic, Rejection, Severity, quote},
    discovery::{Draft, Place},
};
use std::time::Duration;

/// Order among routers: those that ask for more go first.
const HOST_AND_PATH: &str = "3";
const HOST: &str = "2";
const PATH: &str = "1";

/// Kontena's limits for services that set none of their own.
const CONNECT: Duration = Duration::from_secs(5);
const RESPONSE: Duration = Duration::from_secs(60);

/// HAProxy's pace of checks.
const INTERVAL: Duration = Duration::from_secs(2);
const CHECK: Duration = Duration::from_secs(10);
const FALL: u32 = 3;
const RISE: u32 = 2;

/// The cookie where a service only says that it wants one.
const COOKIE: &str = "KONTENA_SERVERID";

/// What `entry` asks for. `base` is its own key.
pub(super) fn compose(name: &str, entry: &Entry, base: &str) -> (RawDynamic, Vec<Rejection>) {
    let mut writer = Writer { name, base, entry, draft: Draft::new(&source(name)), middlewares: Vec::new() };
    let settings = Settings::read(entry.get("custom_settings").unwrap_or_default());
    writer.notes(&settings);
    if writer.router() {
        writer.redirects(&settings);
        writer.allowed(&settings);
        writer.users();
        writer.fields(&settings);
        writer.strip();
        writer.list_middlewares();
        writer.servers();
        writer.balance(&settings);
        writer.cookie(&settings);
        writer.check(&settings.check);
        writer.transport(&settings);
    }
    writer.draft.finish()
}

struct Writer<'a> {
    name: &'a str,
    base: &'a str,
    entry: &'a Entry,
    draft: Draft,
    /// In the order in which requests meet them.
    middlewares: Vec<String>,
}

impl Writer<'_> {
    fn label(&self, setting: &str) -> String {
        format!("{}/{setting}", self.base)
    }

    fn set(&mut self, path: &[&str], setting: &str, value: impl Into<String>) {
        let label = self.label(setting);
        self.draft.set(&[&["http"], path].concat(), &label, value);
    }

    fn balancer(&mut self, path: &[&str], setting: &str, value: impl Into<String>) {
        let name = self.name;
        self.set(&[&["services", name, "loadBalancer"], path].concat(), setting, value);
    }

    fn warn(&mut self, setting: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let label = self.label(setting);
        self.draft.reject(Severity::Warning, &label, message, remedy);
    }

    /// Nobody reaches the service, unless its last good version is still there.
    fn spoil(&mut self, setting: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let label = self.label(setting);
        self.draft.spoil(&["http", "routers", self.name], &label, message, remedy);
    }

    fn notes(&mut self, settings: &Settings) {
        for note in &settings.notes {
            let message = format!("line {}, {}: {}", note.line, quote(&note.text), note.message);
            match note.guard {
                true => self.spoil("custom_settings", message, note.remedy.clone()),
                false => self.warn("custom_settings", message, note.remedy.clone()),
            }
        }
    }

    /// Whether there is anything to route by.
    fn router(&mut self) -> bool {
        let entry = self.entry;
        let (hosts, bad_hosts): (Vec<&str>, Vec<&str>) = entry.list("virtual_hosts").partition(|host| is_host(host));
        let (paths, bad_paths): (Vec<&str>, Vec<&str>) = entry.list("virtual_path").partition(|path| is_path(path));
        for (setting, bad, good, expected) in [
            ("virtual_hosts", &bad_hosts, &hosts, "a host name or `*.` and a domain"),
            ("virtual_path", &bad_paths, &paths, "a path that begins with `/`"),
        ] {
            for text in bad {
                let message = format!("expected {expected}, found {}", quote(text));
                // Without its last condition, the service would take requests that were never meant for it.
                match good.is_empty() {
                    true => self.spoil(setting, message, "correct it"),
                    false => self.warn(setting, message, "correct it; the others are served"),
                }
            }
        }
        let wants = (!hosts.is_empty() || !bad_hosts.is_empty(), !paths.is_empty() || !bad_paths.is_empty());
        let (priority, setting) = match wants {
            (true, true) => (HOST_AND_PATH, "virtual_hosts"),
            (true, false) => (HOST, "virtual_hosts"),
            (false, true) => (PATH, "virtual_path"),
            (false, false) => {
                let remedy = "set KONTENA_LB_VIRTUAL_HOSTS or KONTENA_LB_VIRTUAL_PATH, or remove the key";
                self.warn("virtual_hosts", "the service has neither hosts nor paths, and gets no request", remedy);
                return false;
            }
        };
        let any = |tests: Vec<String>| if tests.len() > 1 { format!("({})", tests.join(" || ")) } else { tests.concat() };
        let hosts = any(hosts.into_iter().map(host_rule).collect());
        let paths = any(paths.into_iter().map(|path| format!("PathPrefix(`{path}`)")).collect());
        let rule: Vec<String> = [hosts, paths].into_iter().filter(|part| !part.is_empty()).collect();
        let name = self.name;
        self.set(&["routers", name, "rule"], setting, rule.join(" && "));
        self.set(&["routers", name, "priority"], setting, priority);
        self.set(&["routers", name, "service"], setting, name);
        true
    }

    /// A middleware of this service, after those that are there.
    fn middleware(&mut self, what: &str) -> String {
        let same = self.middlewares.iter().filter(|other| other.starts_with(&format!("{}-{what}", self.name))).count();
        let name = if same == 0 { format!("{}-{what}", self.name) } else { format!("{}-{what}-{}", self.name, same + 1) };
        self.middlewares.push(name.clone());
        name
    }

    fn redirects(&mut self, settings: &Settings) {
        const SETTING: &str = "custom_settings";
        for redirect in &settings.redirects {
            let name = self.middleware("redirect");
            match redirect {
                Redirect::Https { permanent } => {
                    self.set(&["middlewares", &name, "redirectScheme", "scheme"], SETTING, "https");
                    self.set(&["middlewares", &name, "redirectScheme", "permanent"], SETTING, permanent.to_string());
                }
                Redirect::Url { regex, replacement, permanent } => {
                    let path = ["middlewares", &name, "redirectRegex"];
                    self.set(&[&path[..], &["regex"]].concat(), SETTING, regex);
                    self.set(&[&path[..], &["replacement"]].concat(), SETTING, replacement);
                    self.set(&[&path[..], &["permanent"]].concat(), SETTING, permanent.to_string());
                }
            }
        }
    }

    fn allowed(&mut self, settings: &Settings) {
        for ranges in &settings.allowed {
            let name = self.middleware("allow");
            let text: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            self.set(&["middlewares", &name, "ipAllowList", "sourceRange"], "custom_settings", text.join(","));
        }
    }

    fn users(&mut self) {
        const SETTING: &str = "basic_auth_secrets";
        let Some(text) = self.entry.get(SETTING) else { return };
        let (users, faults) = users::read(text);
        for fault in faults {
            self.warn(SETTING, fault, "that user is not let in; hash the password anew with `mkpasswd -m sha-512`");
        }
        if users.is_empty() {
            self.spoil(SETTING, "there is no user who could be let in", "write `user NAME password HASH`, or remove the secret");
            return;
        }
        let name = self.middleware("auth");
        for (index, user) in users.into_iter().enumerate() {
            self.set(&["middlewares", &name, "basicAuth", "users", &index.to_string()], SETTING, user);
        }
        let realm = self.name;
        self.set(&["middlewares", &name, "basicAuth", "realm"], SETTING, realm);
    }

    fn fields(&mut self, settings: &Settings) {
        const SETTING: &str = "custom_settings";
        let (request, response) = (&settings.request_fields, &settings.response_fields);
        if request.is_empty() && response.is_empty() {
            return;
        }
        let name = self.middleware("headers");
        for (key, edits) in [("customRequestHeaders", request), ("customResponseHeaders", response)] {
            for (field, value) in edits.replacing() {
                self.set(&["middlewares", &name, "headers", key, field], SETTING, value);
            }
        }
        for (key, edits) in [("appendRequestHeaders", request), ("appendResponseHeaders", response)] {
            for (index, (field, value)) in edits.adding().enumerate() {
                let index = index.to_string();
                self.set(&["middlewares", &name, "headers", key, &index, "name"], SETTING, field);
                self.set(&["middlewares", &name, "headers", key, &index, "value"], SETTING, value);
            }
        }
    }

    /// One after the other, as Kontena strips them: `/api` and `/v1` make `/api/v1/x` into `/x`.
    fn strip(&mut self) {
        if self.entry.get("keep_virtual_path") == Some("true") {
            return;
        }
        let entry = self.entry;
        for path in entry.list("virtual_path").filter(|path| is_path(path) && *path != "/") {
            let name = self.middleware("strip");
            self.set(&["middlewares", &name, "stripPrefix", "prefixes", "0"], "virtual_path", path);
        }
    }

    fn list_middlewares(&mut self) {
        let name = self.name;
        for (index, middleware) in std::mem::take(&mut self.middlewares).into_iter().enumerate() {
            self.set(&["routers", name, "middlewares", &index.to_string()], "custom_settings", middleware);
        }
    }

    fn servers(&mut self) {
        // With nothing but this, the service is there, and answered with 503.
        self.balancer(&["passHostHeader"], "upstreams", "true");
        let mut places = Vec::new();
        for (container, address) in &self.entry.upstreams {
            let setting = format!("upstreams/{container}");
            match address.trim().parse() {
                Ok(address) => {
                    places
                        .push((setting, Place { address, instance: container.clone(), node: String::new(), unreachable: None }));
                }
                Err(_) => {
                    let message = format!("expected address:port, found {}", quote(address));
                    self.warn(&setting, message, "write for instance 10.81.128.5:8080; the other containers are served");
                }
            }
        }
        for (index, (setting, place)) in places.into_iter().enumerate() {
            let index = index.to_string();
            self.balancer(&["servers", &index, "url"], &setting, format!("http://{}", place.address));
            self.balancer(&["servers", &index, "instance"], &setting, place.instance);
        }
    }

    fn balance(&mut self, settings: &Settings) {
        let (setting, how) = match (self.entry.get("balance"), &settings.balance) {
            (Some(how), line) => {
                if line.as_deref().is_some_and(|line| line != how) {
                    let message =
                        format!("`balance` comes again after it, from KONTENA_LB_BALANCE, and that one, {}, counts", quote(how));
                    self.warn("custom_settings", message, "set KONTENA_LB_BALANCE instead");
                }
                ("balance", how)
            }
            (None, Some(line)) => ("custom_settings", line.as_str()),
            (None, None) => return,
        };
        let strategy = match how.trim().to_ascii_lowercase().as_str() {
            "" | "roundrobin" | "static-rr" => return,
            "source" => "hrw",
            // The first is what the documents say, the second HAProxy.
            "leastcon" | "leastconn" => "leastconn",
            _ => {
                let message = format!("{} is not known here, so containers take turns", quote(how));
                self.warn(setting, message, "write roundrobin, source or leastconn");
                return;
            }
        };
        self.balancer(&["strategy"], setting, strategy);
    }

    fn cookie(&mut self, settings: &Settings) {
        let (setting, words) = match (self.entry.get("cookie"), &settings.cookie) {
            (Some(text), _) => ("cookie", super::haproxy::words(text).unwrap_or_else(|_| vec![text.to_owned()])),
            (None, Some(words)) => ("custom_settings", words.clone()),
            (None, None) => return,
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [name, options @ ..] = (match &words[..] {
            ["cookie", rest @ ..] => rest,
            rest => rest,
        }) else {
            return self.balancer(&["sticky", "cookie", "name"], setting, COOKIE);
        };
        let (mut own, mut options) = (*name, options.iter());
        while let Some(option) = options.next() {
            match *option {
                "insert" | "indirect" | "nocache" => {}
                "httponly" => self.balancer(&["sticky", "cookie", "httpOnly"], setting, "true"),
                "secure" => self.balancer(&["sticky", "cookie", "secure"], setting, "true"),
                "domain" => {
                    let domain = options.next().copied().unwrap_or_default();
                    self.balancer(&["sticky", "cookie", "domain"], setting, domain);
                }
                // The server's own cookie is not written into: a client that came with one would keep a value that no server knows.
                "prefix" | "rewrite" => {
                    let message = format!(
                        "the mode `{option}` of the cookie {} is not supported: clients keep their container by a cookie {COOKIE} of its own",
                        quote(name)
                    );
                    self.warn(setting, message, "write `cookie NAME insert indirect nocache`, with a name that no server uses");
                    own = COOKIE;
                }
                other => {
                    let message = format!("{} has no equivalent in a cookie, and is left out", quote(other));
                    self.warn(setting, message, "keep name, insert, indirect, nocache, httponly, secure and domain");
                    // What is left may be its value.
                    if matches!(other, "maxidle" | "maxlife") {
                        options.next();
                    }
                }
            }
        }
        self.balancer(&["sticky", "cookie", "name"], setting, own);
    }

    /// Kontena's own check comes after the lines of an operator, and counts.
    fn check(&mut self, line: &Check) {
        let uri = self.entry.get("health_check_uri").map(str::trim).filter(|uri| !uri.is_empty());
        let (setting, path, method) = match (uri, &line.path) {
            (Some(uri), _) => ("health_check_uri", uri.to_owned(), "GET".to_owned()),
            (None, Some(path)) => ("custom_settings", path.clone(), line.method.clone().unwrap_or_else(|| "GET".to_owned())),
            // Servers that refuse connections are found out by requests, which go to another one.
            (None, None) => return,
        };
        let mut set = |key: &str, value: String| self.balancer(&["healthCheck", key], setting, value);
        let interval = line.interval.unwrap_or(INTERVAL);
        set("path", path);
        set("method", method);
        set("interval", written(interval));
        set("unhealthyInterval", written(interval));
        set("timeout", written(line.timeout.unwrap_or(CHECK)));
        set("fall", line.fall.unwrap_or(FALL).to_string());
        set("rise", line.rise.unwrap_or(RISE).to_string());
        set("followRedirects", "false".to_owned());
        if let Some(host) = line.host.clone().filter(|_| uri.is_none()) {
            set("hostname", host);
        }
        if let Some(status) = line.status {
            set("status", status.to_string());
        }
        if let Some(port) = self.entry.get("health_check_port").map(str::trim).filter(|port| !port.is_empty()) {
            match port.parse::<u16>() {
                Ok(number) if number > 0 => self.balancer(&["healthCheck", "port"], "health_check_port", port),
                _ => {
                    let message = format!("expected a port, found {}", quote(port));
                    self.warn("health_check_port", message, "remove it to check the port that gets the requests");
                }
            }
        }
    }

    fn transport(&mut self, settings: &Settings) {
        if settings.connect.is_none() && settings.response.is_none() {
            return;
        }
        let name = self.name;
        let path = ["serversTransports", name, "forwardingTimeouts"];
        let connect = written(settings.connect.unwrap_or(CONNECT));
        let response = written(settings.response.unwrap_or(RESPONSE));
        self.set(&[&path[..], &["dialTimeout"]].concat(), "custom_settings", connect);
        self.set(&[&path[..], &["responseHeaderTimeout"]].concat(), "custom_settings", response);
        self.balancer(&["serversTransport"], "custom_settings", name);
    }
}

/// A name, or `*.` and the end of names.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    !name.is_empty() && name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'`' || byte == b'?')
}

/// Any depth below the domain, and not the domain itself.
fn host_rule(host: &str) -> String {
    match host.to_ascii_lowercase().strip_prefix("*.") {
        Some(domain) => format!("HostRegexp(`^.+\\.{}$`)", regex::escape(domain.trim_end_matches('.'))),
        None => format!("Host(`{host}`)"),
    }
}
