//! What shows Fairlead at work: API, ping, logs, metrics, traces.

use super::Resolver;
use crate::config::{
    decode::quote,
    static_::{parse, raw, *},
};
use indexmap::IndexMap;

impl Resolver<'_> {
    pub(super) fn api(&mut self, raw: raw::Api) -> Option<Api> {
        let text = raw.base_path.unwrap_or_else(|| "/".to_owned());
        let Some(base_path) = parse::base_path(&text) else {
            let message = format!("expected a path of letters, digits and /_.:~-, found {}", quote(&text));
            self.error(&["api", "basePath"], message, "write for instance /admin");
            return None;
        };
        Some(Api { insecure: raw.insecure, dashboard: raw.dashboard.unwrap_or(true), debug: raw.debug, base_path })
    }

    pub(super) fn ping(&mut self, raw: raw::Ping) -> Ping {
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

    pub(super) fn log(&mut self, raw: raw::Log) -> Log {
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

    pub(super) fn access_log(&mut self, raw: raw::AccessLog) -> AccessLog {
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

    pub(super) fn mode(&mut self, text: &str, redact: bool, path: &[&str]) -> FieldMode {
        match parse::mode(text) {
            Some(mode) if redact || mode != FieldMode::Redact => mode,
            _ => {
                let expected = if redact { "keep, drop or redact" } else { "keep or drop" };
                self.error(path, format!("expected {expected}, found {}", quote(text)), format!("write {expected}"));
                FieldMode::Drop
            }
        }
    }

    pub(super) fn prometheus(&mut self, raw: raw::Prometheus, add_internals: bool) -> Prometheus {
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

    pub(super) fn tracing(&mut self, raw: raw::Tracing) -> Tracing {
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
}
