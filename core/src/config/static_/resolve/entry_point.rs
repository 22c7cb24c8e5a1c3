//! Entry points.

use super::Resolver;
use crate::config::static_::defaults::REDIRECTION_PRIORITY;
use crate::config::{
    Severity,
    decode::{Span, quote},
    static_::{parse, raw, *},
};

impl Resolver<'_> {
    pub(super) fn entry_point(&mut self, name: &str, raw: raw::EntryPoint) -> Option<EntryPoint> {
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
        if raw.http2.max_encoder_header_table_size.is_some() {
            let remedy = "remove it: fields are encoded with the table that the client allows, 4096 bytes at most";
            let message = "this is not supported and changes nothing".to_owned();
            fault(Severity::Warning, &["http2", "maxEncoderHeaderTableSize"], message, remedy);
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
        let unmatched_status = http.unmatched_status.unwrap_or(EntryPointHttp::default().unmatched_status);
        if !matches!(unmatched_status, 404 | 503) {
            let message = format!("expected 404 or 503, found {unmatched_status}");
            fault(error, &["http", "unmatchedStatus"], message, "remove it for the default, 404");
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
        let safe = EncodedCharacters::default();
        if http.encoded_characters.as_ref().and_then(|raw| raw.allow_encoded_null_character) == Some(true) {
            let message = "an encoded NUL is never let through".to_owned();
            fault(Severity::Warning, &["http", "encodedCharacters", "allowEncodedNullCharacter"], message, "remove it");
        }
        let encoded_characters = http.encoded_characters.map(|raw| EncodedCharacters {
            slash: raw.allow_encoded_slash.unwrap_or(safe.slash),
            back_slash: raw.allow_encoded_back_slash.unwrap_or(safe.back_slash),
            semicolon: raw.allow_encoded_semicolon.unwrap_or(safe.semicolon),
            percent: raw.allow_encoded_percent.unwrap_or(safe.percent),
            question_mark: raw.allow_encoded_question_mark.unwrap_or(safe.question_mark),
            hash: raw.allow_encoded_hash.unwrap_or(safe.hash),
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
                unmatched_status,
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
}
