//! From the merged tree to the static configuration: all that is wrong with it is found in one go.

use super::{
    defaults::{ADMIN_ENTRY_POINT, REDIRECTION_PRIORITY},
    *,
};
use super::{parse, raw};
use crate::config::{
    Rejection, Severity, Tree,
    decode::{self, Span, quote, remedy_for_name},
};
use indexmap::IndexMap;
use std::net::Ipv4Addr;

/// The static configuration that `tree` (the layers merged) describes, with warnings; or everything that is wrong with it.
///
/// # Errors
///
/// At least one of the rejections is an error: nothing is to be served under a configuration that was not understood.
pub fn resolve_static(tree: &Tree) -> Result<(StaticConfig, Vec<Rejection>), Vec<Rejection>> {
    let (raw, rejections) = decode::read::<raw::Static>(tree);
    let mut at = Resolver { tree, rejections };
    let config = raw.map(|raw| at.config(raw));
    match config {
        Some(config) if at.rejections.iter().all(|rejection| rejection.severity == Severity::Warning) => {
            Ok((config, at.rejections))
        }
        _ => Err(at.rejections),
    }
}

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
        self.redirections(&mut config);
        config
    }

    /// The entry points that nobody wrote, and those that routers use by default.
    fn listen(&mut self, config: &mut StaticConfig, admin: Option<String>) {
        if config.entry_points.keys().all(|name| name == ADMIN_ENTRY_POINT) && self.tree.child("entryPoints").is_none() {
            let address = Address { ip: None, port: 80, protocol: Protocol::Tcp };
            config.entry_points.insert("http".to_owned(), EntryPoint::new("http", address));
            self.warning(
                &["entryPoints"],
                "no entry point is declared, so `http` listens on :80 as in Traefik",
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

    fn entry_point(&mut self, name: &str, raw: raw::EntryPoint) -> Option<EntryPoint> {
        let path = |below: &[&'static str]| -> Vec<String> {
            ["entryPoints", name].iter().chain(below).map(|part| (*part).to_owned()).collect()
        };
        let mut fault = |severity, below: &[&'static str], message: String, remedy: &str| {
            let path = path(below);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.rejections.push(self.tree.reject_at(severity, &path, message, remedy));
        };
        let error = Severity::Error;
        let address = match raw.address.as_deref() {
            None | Some("") => {
                fault(error, &["address"], "an entry point needs an address".to_owned(), "write for instance `address: \":80\"`");
                None
            }
            Some(text) => match parse::address(text) {
                Ok(address) => Some(address),
                Err(expected) => {
                    fault(
                        error,
                        &["address"],
                        format!("{expected}; found {}", quote(text)),
                        "write for instance :80 or 127.0.0.1:8080",
                    );
                    None
                }
            },
        };
        if address.is_some_and(|address| address.protocol == Protocol::Udp) {
            let remedy = "remove it, or leave it until UDP is supported";
            fault(
                Severity::Warning,
                &["address"],
                "UDP entry points are not supported yet, and nothing listens here".to_owned(),
                remedy,
            );
        }
        if raw.udp.timeout.is_some_and(|timeout| timeout.get().is_zero()) {
            fault(error, &["udp", "timeout"], "expected more than nothing".to_owned(), "write for instance 3s");
        }
        let mut ranges = |below: &[&'static str], texts: &[String]| -> Vec<IpRange> {
            let mut ranges = Vec::new();
            for text in texts {
                match IpRange::parse(text.trim()) {
                    Ok(range) => ranges.push(range),
                    Err(_) => {
                        let message = format!("expected an address or a range, found {}", quote(text));
                        fault(error, below, message, "write for instance 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32");
                    }
                }
            }
            ranges
        };
        let forwarded_headers = ForwardedHeaders {
            insecure: raw.forwarded_headers.insecure,
            trusted: ranges(&["forwardedHeaders", "trustedIPs"], &raw.forwarded_headers.trusted_ips),
            connection: raw.forwarded_headers.connection,
            not_append_x_forwarded_for: raw.forwarded_headers.not_append_x_forwarded_for,
        };
        let proxy_protocol = raw.proxy_protocol.0.map(|trust| ProxyProtocol {
            insecure: trust.insecure,
            trusted: ranges(&["proxyProtocol", "trustedIPs"], &trust.trusted_ips),
        });
        if proxy_protocol.as_ref().is_some_and(|proxy| !proxy.insecure && proxy.trusted.is_empty()) {
            let remedy = "list the balancers before this one in `trustedIPs`, or set `insecure: true`";
            fault(error, &["proxyProtocol"], "nobody may send the PROXY header".to_owned(), remedy);
        }
        let transport = raw.transport;
        let default = Timeouts::default();
        let limit = |span: Option<Span>, default: Option<Duration>| {
            span.map_or(default, |span| Some(span.get()).filter(|span| !span.is_zero()))
        };
        let timeouts = Timeouts {
            read: limit(transport.responding_timeouts.read_timeout, default.read),
            write: limit(transport.responding_timeouts.write_timeout, default.write),
            idle: limit(transport.responding_timeouts.idle_timeout, default.idle),
            keep_alive_max_time: limit(transport.keep_alive_max_time, None),
            keep_alive_max_requests: transport.keep_alive_max_requests.filter(|max| *max > 0),
        };
        let life_cycle = LifeCycle {
            request_accept_grace: transport.life_cycle.request_accept_grace_timeout.unwrap_or_default().get(),
            grace: transport.life_cycle.grace_time_out.map_or(LifeCycle::default().grace, Span::get),
        };
        let streams = raw.http2.max_concurrent_streams;
        if streams == Some(0) {
            fault(error, &["http2", "maxConcurrentStreams"], "expected at least 1".to_owned(), "remove it for the default, 250");
        }
        let default = Http2::default();
        let http2 = Http2 {
            max_concurrent_streams: streams.unwrap_or(default.max_concurrent_streams),
            max_decoder_header_table: raw.http2.max_decoder_header_table_size.unwrap_or(default.max_decoder_header_table),
            max_encoder_header_table: raw.http2.max_encoder_header_table_size.unwrap_or(default.max_encoder_header_table),
        };
        let http = raw.http;
        let underscore_headers = match http.underscore_headers_strategy.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "keep") => UnderscoreHeaders::Keep,
            Some("delete") => UnderscoreHeaders::Delete,
            Some("reject") => UnderscoreHeaders::Reject,
            Some(other) => {
                let message = format!("expected keep, delete or reject, found {}", quote(other));
                fault(error, &["http", "underscoreHeadersStrategy"], message, "write keep, delete or reject");
                UnderscoreHeaders::Keep
            }
        };
        let max_header_bytes = http.max_header_bytes.map(|bytes| bytes as usize);
        if max_header_bytes.is_some_and(|bytes| !(1024..=16 << 20).contains(&bytes)) {
            fault(
                error,
                &["http", "maxHeaderBytes"],
                "expected from 1024 to 16777216".to_owned(),
                "remove it for the default, 32768",
            );
        }
        let redirection = http.redirections.entry_point.and_then(|redirection| {
            let below = |key| ["http", "redirections", "entryPoint", key];
            let scheme = redirection
                .scheme
                .filter(|scheme| !scheme.is_empty())
                .map_or_else(|| "https".to_owned(), |text| text.to_lowercase());
            if !matches!(scheme.as_str(), "http" | "https") {
                fault(error, &below("scheme"), format!("expected http or https, found {}", quote(&scheme)), "write https");
            }
            let Some(to) = redirection.to.filter(|to| !to.is_empty()) else {
                fault(error, &below("to"), "a redirection needs a target".to_owned(), "name an entry point, or write `:443`");
                return None;
            };
            Some(Redirection {
                to,
                port: None,
                scheme,
                permanent: redirection.permanent.unwrap_or(true),
                priority: redirection.priority.filter(|priority| *priority != 0).unwrap_or(REDIRECTION_PRIORITY),
            })
        });
        let tls = http.tls.0.map(|tls| {
            if tls.cert_resolver.is_some() {
                let message = "certificate resolvers are not supported yet".to_owned();
                fault(
                    error,
                    &["http", "tls", "certResolver"],
                    message,
                    "list certificates under `tls.certificates` of the dynamic configuration",
                );
            }
            EntryPointTls {
                options: tls.options.filter(|options| !options.is_empty()),
                cert_resolver: None,
                domains: tls.domains.into_iter().map(|domain| domain.main.into_iter().chain(domain.sans).collect()).collect(),
            }
        });
        let encoded_characters = http.encoded_characters.map(|raw| EncodedCharacters {
            slash: raw.allow_encoded_slash.unwrap_or(true),
            back_slash: raw.allow_encoded_back_slash.unwrap_or(true),
            null: raw.allow_encoded_null_character.unwrap_or(true),
            semicolon: raw.allow_encoded_semicolon.unwrap_or(true),
            percent: raw.allow_encoded_percent.unwrap_or(true),
            question_mark: raw.allow_encoded_question_mark.unwrap_or(true),
            hash: raw.allow_encoded_hash.unwrap_or(true),
        });
        if !raw.observability.trace_verbosity.as_deref().is_none_or(|text| matches!(text, "" | "minimal")) {
            let message = "only `minimal` is supported yet".to_owned();
            fault(Severity::Warning, &["observability", "traceVerbosity"], message, "remove it");
        }
        Some(EntryPoint {
            as_default: raw.as_default,
            reuse_port: raw.reuse_port,
            forwarded_headers,
            proxy_protocol,
            life_cycle,
            timeouts,
            http: EntryPointHttp {
                redirection,
                middlewares: http.middlewares,
                tls,
                encoded_characters,
                max_header_bytes: max_header_bytes.unwrap_or(EntryPointHttp::default().max_header_bytes),
                sanitize_path: http.sanitize_path.unwrap_or(true),
                underscore_headers,
                encode_query_semicolons: http.encode_query_semicolons,
            },
            http2,
            observability: Observability {
                access_log: raw.observability.access_logs.unwrap_or(true),
                metrics: raw.observability.metrics.unwrap_or(true),
                tracing: raw.observability.tracing.unwrap_or(true),
            },
            ..EntryPoint::new(name, address?)
        })
    }

    fn providers(&mut self, raw: raw::Providers) -> Providers {
        let mut providers = Providers::default();
        if let Some(throttle) = raw.providers_throttle_duration {
            providers.throttle = throttle.get();
        }
        if let Some(file) = raw.file {
            let named = |text: Option<String>| text.filter(|text| !text.is_empty());
            let (filename, directory) = (named(file.filename), named(file.directory));
            if filename.is_some() && directory.is_some() {
                self.warning(&["providers", "file", "filename"], "not read, because `directory` is given", "keep one of the two");
            }
            match directory.map(FilePath::Directory).or(filename.map(FilePath::File)) {
                Some(path) => providers.file = Some(FileProvider { path, watch: file.watch.unwrap_or(true) }),
                None => self.error(
                    &["providers", "file"],
                    "expected `filename` or `directory`",
                    "name the file with your routers and services",
                ),
            }
        }
        if let Some(etcd) = raw.etcd.0 {
            let mut endpoints = Vec::new();
            let given = if etcd.endpoints.is_empty() { vec!["127.0.0.1:2379".to_owned()] } else { etcd.endpoints };
            for text in given {
                match parse::endpoint(&text) {
                    Some(endpoint) => endpoints.push(endpoint),
                    None => {
                        let message = format!("expected host:port, found {}", quote(&text));
                        self.error(&["providers", "etcd", "endpoints"], message, "write for instance etcd.internal:2379");
                    }
                }
            }
            let root_key = etcd.root_key.unwrap_or_else(|| "traefik".to_owned());
            let root_key = root_key.trim_matches('/').to_owned();
            if root_key.is_empty() {
                self.error(&["providers", "etcd", "rootKey"], "expected a name", "remove it for the default, traefik");
            }
            let (username, password) = (etcd.username.unwrap_or_default(), etcd.password.unwrap_or_default());
            if username.is_empty() != password.is_empty() {
                let missing = if username.is_empty() { "username" } else { "password" };
                self.error(&["providers", "etcd", missing], "a user name and a password go together", "give both, or neither");
            }
            let tls = etcd.tls.and_then(|tls| self.client_tls(tls, &["providers", "etcd", "tls"]));
            providers.etcd = Some(EtcdProvider { endpoints, root_key, username, password: Secret::new(password), tls });
        }
        providers
    }

    fn client_tls(&mut self, raw: raw::ClientTls, path: &[&str]) -> Option<ClientTls> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (cert, key) = (given(raw.cert), given(raw.key).map(Secret::new));
        if cert.is_some() != key.is_some() {
            let missing = if cert.is_some() { "key" } else { "cert" };
            let path: Vec<&str> = path.iter().copied().chain([missing]).collect();
            self.error(&path, "a client certificate and its key go together", "give both, or neither");
        }
        Some(ClientTls { ca: given(raw.ca), cert, key, insecure_skip_verify: raw.insecure_skip_verify })
    }

    fn api(&mut self, raw: raw::Api) -> Option<Api> {
        let text = raw.base_path.unwrap_or_else(|| "/".to_owned());
        let Some(base_path) = parse::base_path(&text) else {
            let message = format!("expected a path of letters, digits and /_.:~-, found {}", quote(&text));
            self.error(&["api", "basePath"], message, "write for instance /admin");
            return None;
        };
        Some(Api { insecure: raw.insecure, dashboard: raw.dashboard.unwrap_or(true), debug: raw.debug, base_path })
    }

    fn ping(&mut self, raw: raw::Ping) -> Ping {
        let status = raw.terminating_status_code.unwrap_or(503);
        if !(200..=599).contains(&status) {
            self.error(
                &["ping", "terminatingStatusCode"],
                format!("expected a status from 200 to 599, found {status}"),
                "write 503",
            );
        }
        Ping {
            entry_point: raw.entry_point.unwrap_or_else(|| ADMIN_ENTRY_POINT.to_owned()),
            manual_routing: raw.manual_routing,
            terminating_status: status,
        }
    }

    fn log(&mut self, raw: raw::Log) -> Log {
        let level = raw.level.as_deref().filter(|text| !text.is_empty()).map(|text| {
            parse::level(text).unwrap_or_else(|| {
                let message = format!("expected TRACE, DEBUG, INFO, WARN or ERROR, found {}", quote(text));
                self.error(&["log", "level"], message, "write for instance INFO");
                Level::Error
            })
        });
        let json = match raw.format.as_deref() {
            None | Some("" | "common") => false,
            Some("json") => true,
            Some(other) => {
                self.error(
                    &["log", "format"],
                    format!("expected common or json, found {}", quote(other)),
                    "write common or json",
                );
                false
            }
        };
        Log { level: level.unwrap_or(Level::Error), json, file_path: raw.file_path.filter(|path| !path.is_empty()) }
    }

    fn access_log(&mut self, raw: raw::AccessLog) -> AccessLog {
        let format = match raw.format.as_deref() {
            None | Some("" | "common") => AccessLogFormat::Common,
            Some("json") => AccessLogFormat::Json,
            Some(text) if text.eq_ignore_ascii_case("genericCLF") => AccessLogFormat::GenericClf,
            Some(other) => {
                let message = format!("expected common, genericCLF or json, found {}", quote(other));
                self.error(&["accessLog", "format"], message, "write common, genericCLF or json");
                AccessLogFormat::Common
            }
        };
        let mut status_codes = Vec::new();
        for text in &raw.filters.status_codes {
            match parse::status_range(text) {
                Some(range) => status_codes.push(range),
                None => {
                    let message = format!("expected a status or a range, found {}", quote(text));
                    self.error(&["accessLog", "filters", "statusCodes"], message, "write for instance 404 or 500-599");
                }
            }
        }
        let mut fields = AccessLogFields::default();
        let base = ["accessLog", "fields"];
        if let Some(text) = &raw.fields.default_mode {
            fields.default_mode = self.mode(text, false, &[&base[..], &["defaultMode"]].concat());
        }
        if let Some(text) = &raw.fields.query_parameters.default_mode {
            fields.query_parameters = self.mode(text, false, &[&base[..], &["queryParameters", "defaultMode"]].concat());
        }
        for (name, text) in &raw.fields.names {
            let mode = self.mode(text, false, &[&base[..], &["names", name]].concat());
            fields.names.insert(name.to_ascii_lowercase(), mode);
        }
        if let Some(text) = &raw.fields.headers.default_mode {
            fields.headers_default = self.mode(text, true, &[&base[..], &["headers", "defaultMode"]].concat());
        }
        for (name, text) in &raw.fields.headers.names {
            let mode = self.mode(text, true, &[&base[..], &["headers", "names", name]].concat());
            fields.headers.insert(name.to_ascii_lowercase(), mode);
        }
        AccessLog {
            file_path: raw.file_path.filter(|path| !path.is_empty()),
            format,
            buffering_size: raw.buffering_size.unwrap_or(0) as usize,
            add_internals: raw.add_internals,
            filters: AccessLogFilters {
                status_codes,
                retry_attempts: raw.filters.retry_attempts,
                min_duration: raw.filters.min_duration.unwrap_or_default().get(),
            },
            fields,
        }
    }

    fn mode(&mut self, text: &str, redact: bool, path: &[&str]) -> FieldMode {
        match parse::mode(text) {
            Some(mode) if redact || mode != FieldMode::Redact => mode,
            _ => {
                let expected = if redact { "keep, drop or redact" } else { "keep or drop" };
                self.error(path, format!("expected {expected}, found {}", quote(text)), format!("write {expected}"));
                FieldMode::Drop
            }
        }
    }

    fn prometheus(&mut self, raw: raw::Prometheus, add_internals: bool) -> Prometheus {
        let path = ["metrics", "prometheus", "buckets"];
        let buckets = if raw.buckets.is_empty() { vec![0.1, 0.3, 1.2, 5.0] } else { raw.buckets };
        if !buckets.is_sorted_by(|a, b| a < b) || buckets.first().is_some_and(|first| *first <= 0.0) {
            self.error(&path, "expected rising numbers of seconds above 0", "write for instance 0.1,0.3,1.2,5");
        } else if buckets.len() > 100 {
            self.error(&path, "expected at most 100", "write fewer: each is a series per code, method and service");
        }
        Prometheus {
            entry_point: raw.entry_point.unwrap_or_else(|| ADMIN_ENTRY_POINT.to_owned()),
            manual_routing: raw.manual_routing,
            buckets,
            add_entry_points_labels: raw.add_entry_points_labels.unwrap_or(true),
            add_routers_labels: raw.add_routers_labels.unwrap_or(false),
            add_services_labels: raw.add_services_labels.unwrap_or(true),
            add_internals,
        }
    }

    fn tracing(&mut self, raw: raw::Tracing) -> Tracing {
        let sample_rate = raw.sample_rate.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample_rate) {
            self.error(
                &["tracing", "sampleRate"],
                format!("expected a share from 0 to 1, found {sample_rate}"),
                "write for instance 0.1",
            );
        }
        let otlp = raw.otlp.0.unwrap_or_default();
        let secret =
            |headers: IndexMap<String, String>| headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let otlp = match (otlp.grpc.0, otlp.http.0) {
            (Some(grpc), http) => {
                let path = ["tracing", "otlp", "grpc"];
                if http.is_some() {
                    self.warning(&["tracing", "otlp", "http"], "not used, because `grpc` is given", "keep one of the two");
                }
                if grpc.insecure && grpc.tls.is_some() {
                    self.error(&[&path[..], &["insecure"]].concat(), "excludes `tls`", "keep one of the two");
                }
                let text = grpc.endpoint.unwrap_or_else(|| "localhost:4317".to_owned());
                let endpoint = parse::endpoint(&text).unwrap_or_else(|| {
                    let message = format!("expected host:port, found {}", quote(&text));
                    self.error(&[&path[..], &["endpoint"]].concat(), message, "write for instance localhost:4317");
                    String::new()
                });
                let tls = grpc.tls.and_then(|tls| self.client_tls(tls, &[&path[..], &["tls"]].concat()));
                Otlp { protocol: OtlpProtocol::Grpc, endpoint, headers: secret(grpc.headers), tls, insecure: grpc.insecure }
            }
            (None, http) => {
                let http = http.unwrap_or_default();
                let path = ["tracing", "otlp", "http"];
                let endpoint = http.endpoint.unwrap_or_else(|| "https://localhost:4318".to_owned());
                if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                    let message = format!("expected a URL, found {}", quote(&endpoint));
                    self.error(
                        &[&path[..], &["endpoint"]].concat(),
                        message,
                        "write for instance http://localhost:4318/v1/traces",
                    );
                }
                let tls = http.tls.and_then(|tls| self.client_tls(tls, &[&path[..], &["tls"]].concat()));
                Otlp { protocol: OtlpProtocol::Http, endpoint, headers: secret(http.headers), tls, insecure: false }
            }
        };
        let lower = |names: Vec<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Tracing {
            service_name: raw.service_name.filter(|name| !name.is_empty()).unwrap_or_else(|| "traefik".to_owned()),
            resource_attributes: raw.global_attributes.into_iter().chain(raw.resource_attributes).collect(),
            sample_rate,
            captured_request_headers: lower(raw.captured_request_headers),
            captured_response_headers: lower(raw.captured_response_headers),
            safe_query_params: raw.safe_query_params,
            add_internals: raw.add_internals,
            otlp,
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
