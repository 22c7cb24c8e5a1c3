//! What Kontena gives a load balancer's container, as static options: nothing has to be written anew, only the image changes.
//!
//! The environment counts where the provider `kontena` is on. It is on where the operator says so, and also where nothing else is: a
//! container with `KONTENA_SERVICE_NAME` and without any provider is a Kontena load balancer that changed its image. Whatever the operator
//! does write goes before all of this.

use super::haproxy::{span, words, written};
use crate::config::{Rejection, Severity, Style, Tree, Value, quote, static_::ADMIN_ENTRY_POINT, tree::Builder};
use std::{collections::BTreeMap, time::Duration};

const NAME: &str = "KONTENA_SERVICE_NAME";

/// Options that Kontena's environment, `vars`, comes to beside those that are `given`; `None` where it does not count.
pub fn profile<'a>(vars: impl Iterator<Item = (&'a str, &'a str)>, given: &Tree) -> Option<(Tree, Vec<Rejection>)> {
    let vars: BTreeMap<&str, &str> = vars.filter(|(_, value)| !value.trim().is_empty()).collect();
    if !is_on(&vars, given) {
        return None;
    }
    let builder = Builder::new("environment", Style::Env, "");
    let mut profile = Profile { builder, rejections: Vec::new(), points: Vec::new(), vars };
    profile.source();
    profile.entry_points(given);
    profile.limits();
    if kontena(given).is_none() {
        profile.defaults();
    }
    profile.tls();
    profile.settings("KONTENA_LB_GLOBAL_SETTINGS");
    profile.settings("KONTENA_LB_CUSTOM_SETTINGS");
    profile.unused();
    Some((profile.builder.finish(), profile.rejections))
}

fn kontena(given: &Tree) -> Option<&Tree> {
    given.child("providers")?.child("kontena")
}

fn is_on(vars: &BTreeMap<&str, &str>, given: &Tree) -> bool {
    let providers = given.child("providers");
    match kontena(given) {
        Some(kontena) => !kontena.text(&[]).is_some_and(|text| text.trim().eq_ignore_ascii_case("false")),
        None => {
            let other = |name: &str| !name.eq_ignore_ascii_case("providersThrottleDuration");
            vars.contains_key(NAME) && !providers.is_some_and(|providers| providers.children().any(|(name, _)| other(name)))
        }
    }
}

struct Profile<'a> {
    builder: Builder,
    rejections: Vec<Rejection>,
    vars: BTreeMap<&'a str, &'a str>,
    /// Names of the entry points for requests.
    points: Vec<String>,
}

impl<'a> Profile<'a> {
    fn set(&mut self, path: &[&str], variable: &str, value: impl Into<String>) {
        self.builder.insert(path, Some(variable), Value::Text(value.into()));
    }

    fn warn(&mut self, variable: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let rejection = self.builder.root().reject(Severity::Warning, message, remedy);
        self.rejections.push(Rejection { key: variable.to_owned(), ..rejection });
    }

    fn var(&self, name: &str) -> Option<&'a str> {
        self.vars.get(name).map(|value| value.trim())
    }

    /// Where the tree is.
    fn source(&mut self) {
        if let Some(name) = self.var(NAME) {
            self.set(&["providers", "kontena", "loadBalancer"], NAME, name);
        }
        // What Kontena writes for the default stack.
        if let Some(stack) = self.var("KONTENA_STACK_NAME").filter(|stack| *stack != "null") {
            self.set(&["providers", "kontena", "stack"], "KONTENA_STACK_NAME", stack);
        }
        if let Some(node) = self.var("ETCD_NODE") {
            let bare = node.split_once("://").map_or(node, |(_, rest)| rest).trim_end_matches('/');
            let endpoint = match bare.matches(':').count() {
                0 => format!("{node}:2379"),
                1 => node.to_owned(),
                _ if bare.starts_with('[') => node.to_owned(),
                _ => format!("[{node}]:2379"),
            };
            self.set(&["providers", "kontena", "endpoints"], "ETCD_NODE", endpoint);
        }
    }

    /// 80, and 443 where there are certificates, unless the operator declared entry points.
    fn entry_points(&mut self, given: &Tree) {
        let declared = given.child("entryPoints").into_iter().flat_map(Tree::children);
        self.points = declared.map(|(name, _)| name.to_owned()).filter(|name| name != ADMIN_ENTRY_POINT).collect();
        if self.points.is_empty() {
            self.points.push("http".to_owned());
            self.set(&["entryPoints", "http", "address"], NAME, ":80");
            let first = self.bundles().next();
            if let Some((variable, _)) = first {
                self.points.push("https".to_owned());
                self.set(&["entryPoints", "https", "address"], variable, ":443");
                self.set(&["entryPoints", "https", "http", "tls"], variable, "true");
            }
        }
        if self.var("KONTENA_LB_ACCEPT_PROXY").is_some() {
            for point in self.points.clone() {
                self.set(&["entryPoints", &point, "proxyProtocol", "insecure"], "KONTENA_LB_ACCEPT_PROXY", "true");
            }
        }
        if let Some(uri) = self.var("KONTENA_LB_HEALTH_URI") {
            self.set(&["providers", "kontena", "healthUri"], "KONTENA_LB_HEALTH_URI", uri);
            if given.child("ping").is_none() {
                self.set(&["ping", "manualRouting"], "KONTENA_LB_HEALTH_URI", "true");
            }
        }
    }

    /// Limits in the lines of an operator.
    fn limits(&mut self) {
        for variable in ["KONTENA_LB_CUSTOM_SETTINGS", "KONTENA_LB_GLOBAL_SETTINGS"] {
            let lines = self.lines(variable);
            // Of two lines the last counts.
            for (_, words) in lines.iter().rev() {
                self.limit(words, variable);
            }
        }
    }

    /// Kontena's own limits and answers. The first value at a place stays, so they come after those of an operator.
    fn defaults(&mut self) {
        self.set(&["log", "level"], NAME, "INFO");
        for point in self.points.clone() {
            self.set(&["entryPoints", &point, "http", "unmatchedStatus"], NAME, "503");
        }
        for (what, span) in
            [("connect", "5s"), ("server", "1m"), ("http-request", "5s"), ("client", "1m"), ("http-keep-alive", "10s")]
        {
            self.limit(&["timeout".to_owned(), what.to_owned(), span.to_owned()], NAME);
        }
    }

    /// Whether the line is one that sets a limit.
    fn limit(&mut self, words: &[String], variable: &str) -> bool {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (what, value) = match words[..] {
            ["timeout", what, value] => (what, value),
            ["maxconn", value] => {
                let number = value.parse::<u32>().is_ok_and(|number| number > 0);
                if number {
                    self.set(&["fairlead", "limits", "connections"], variable, value);
                }
                return number;
            }
            _ => return false,
        };
        let Some(value) = span(value).filter(|span| *span > Duration::ZERO).map(written) else { return false };
        match what {
            "connect" => self.set(&["serversTransport", "forwardingTimeouts", "dialTimeout"], variable, value),
            "server" => self.set(&["serversTransport", "forwardingTimeouts", "responseHeaderTimeout"], variable, value),
            "http-request" => self.set(&["fairlead", "limits", "headerTimeout"], variable, value),
            "client" => self.set(&["fairlead", "limits", "bodyIdleTimeout"], variable, value),
            "http-keep-alive" => {
                for point in self.points.clone() {
                    let path = ["entryPoints", &point, "transport", "respondingTimeouts", "idleTimeout"];
                    self.set(&path, variable, value.as_str());
                }
            }
            // Nothing waits in a queue, and connections that were upgraded may rest for an hour.
            "queue" | "tunnel" => {}
            _ => return false,
        }
        true
    }

    fn tls(&mut self) {
        let bundles: Vec<(&str, &str)> = self.bundles().collect();
        for (name, text) in bundles {
            match name {
                "SSL_CERTS" => self.set(&["providers", "kontena", "sslCerts"], name, text),
                _ => self.set(&["providers", "kontena", "sslCert", name], name, text),
            }
        }
        if let Some(ciphers) = self.var("KONTENA_LB_SSL_CIPHERS") {
            self.set(&["providers", "kontena", "sslCiphers"], "KONTENA_LB_SSL_CIPHERS", ciphers);
        }
        if self.var("KONTENA_LB_HTTP2") == Some("false") {
            self.set(&["providers", "kontena", "http2"], "KONTENA_LB_HTTP2", "false");
        }
    }

    /// `SSL_CERTS`, and then one certificate in each `SSL_CERT_…`.
    fn bundles(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'_, 'a> {
        let one = self.vars.get_key_value("SSL_CERTS");
        // Libraries are told by two variables of such names where the system's authorities are.
        let own = |name: &str, text: &str| !matches!(name, "SSL_CERT_FILE" | "SSL_CERT_DIR") || text.contains("-----BEGIN");
        let more = self.vars.iter().filter(move |(name, text)| name.starts_with("SSL_CERT_") && own(name, text));
        one.into_iter().chain(more).map(|(name, value)| (*name, *value))
    }

    /// Names the lines of HAProxy's that set no limit.
    fn settings(&mut self, variable: &'static str) {
        const SILENT: &[&[&str]] = &[
            &["option", "forwardfor"],
            &["option", "http-keep-alive"],
            &["option", "http-server-close"],
            &["option", "redispatch"],
            &["option", "splice-auto"],
            &["option", "httplog"],
            &["option", "dontlognull"],
            &["retries"],
        ];
        for (number, words) in self.lines(variable) {
            let silent =
                |line: &&[&str]| words.len() >= line.len() && words.iter().zip(line.iter()).all(|(word, other)| word == other);
            // Values were set before, so this only asks.
            if words.is_empty() || SILENT.iter().any(silent) || self.limit(&words, variable) {
                continue;
            }
            let message = format!("line {number}, {}: it has no equivalent here, and is left out", quote(&words.join(" ")));
            self.warn(
                variable,
                message,
                "of these settings, `timeout …` and `maxconn N` are read; see docs/migrate-from-kontena.md",
            );
        }
    }

    fn lines(&self, variable: &str) -> Vec<(usize, Vec<String>)> {
        let text = self.var(variable).unwrap_or_default();
        let read = |line: &str| words(line).unwrap_or_else(|_| vec![line.to_owned()]);
        (1..).zip(text.lines()).map(|(number, line)| (number, read(line))).collect()
    }

    /// Variables that had a meaning and have none here.
    fn unused(&mut self) {
        let names: Vec<&str> = self.vars.keys().copied().collect();
        for name in names {
            let (message, remedy) = match name {
                "STATS_PASSWORD" => {
                    ("there is no statistics page on port 1000", "switch on `api` and `metrics.prometheus` instead")
                }
                "SYSLOG_TARGET" => {
                    ("nothing is sent to syslog", "the log goes to standard error, requests to standard output with `accessLog`")
                }
                name if name.starts_with("ACME_CHALLENGE_") => (
                    "challenges of certificate authorities are not answered",
                    "give the certificate itself in SSL_CERTS, or by a file",
                ),
                _ => continue,
            };
            self.warn(name, message, remedy);
        }
    }
}
