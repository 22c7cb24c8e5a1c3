//! One JSON object per line. Traefik's keys in the order of their bytes, with Fairlead's own among them:
//! `Attempts`, `ClientClosed`, `ConnectDuration`, `FirstByteDuration`, `Reason`, `RequestID`, `RoutingDuration`,
//! `ServiceInstance`, `ServiceNode`, `SnapshotNumber`, `TLSServerName`, `Truncated`. Durations are nanoseconds.

use super::{
    escape,
    select::{Field, HeaderMode, Selection},
    stamp,
};
use crate::telemetry::{Record, trace::Ids};
use fairlead_core::reason::Reason;
use fairlead_net::http::Fields;
use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    ops::Range,
    time::Duration,
};

/// Writes a line.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, selection: &Selection, count: u64, ids: Option<Ids>) {
    out.push(b'{');
    let mut line = Line { out, selection, first: true, started: None };
    for field in Field::ALL {
        if selection.keeps(*field) && *field < Field::entryPointName && !(record.tcp && field.is_of_requests()) {
            one(&mut line, *field, record, count, ids);
        }
    }
    line.headers("downstream_", record.response_fields);
    if selection.keeps(Field::entryPointName) {
        one(&mut line, Field::entryPointName, record, count, ids);
    }
    line.key(",\"level\":");
    line.out.extend_from_slice(b"\"info\",\"msg\":\"\"");
    line.headers("origin_", record.origin_fields);
    line.headers("request_", Some(record.request_fields));
    if selection.keeps(Field::span_id) {
        one(&mut line, Field::span_id, record, count, ids);
    }
    line.quoted(",\"time\":", |out| stamp::rfc3339_seconds(out, record.started.saturating_add(record.total)));
    if selection.keeps(Field::trace_id) {
        one(&mut line, Field::trace_id, record, count, ids);
    }
    out.extend_from_slice(b"}\n");
}

fn one(line: &mut Line<'_>, field: Field, r: &Record<'_>, count: u64, ids: Option<Ids>) {
    let key = field.key();
    let origin = r.phases.origin();
    match field {
        Field::Attempts => line.number(key, u64::from(r.attempts)),
        Field::ClientAddr => line.address(key, r.peer),
        Field::ClientClosed => line.flag(key, r.client_closed),
        Field::ClientHost => match (r.forwarded_for, r.peer) {
            (None, Some(peer)) => line.quoted(key, |out| ip(out, peer.ip())),
            (told, _) => line.text(key, told.unwrap_or_default().as_bytes()),
        },
        Field::ClientPort => {
            if let Some(peer) = r.peer {
                line.quoted(key, |out| number(out, peer.port()));
            }
        }
        Field::ClientUsername => line.text(key, r.user.unwrap_or("-").as_bytes()),
        Field::ConnectDuration => {
            line.duration(key, r.phases.connected.zip(r.phases.origin_start).map(|(c, s)| c.saturating_sub(s)))
        }
        Field::DownstreamContentSize => line.number(key, r.response_bytes),
        Field::DownstreamStatus => line.number(key, u64::from(r.status)),
        Field::Duration => line.duration(key, Some(r.total)),
        Field::FirstByteDuration => line.duration(key, r.phases.first_byte),
        Field::GzipRatio if r.response_bytes > 0 && r.origin_bytes > 0 && r.response_bytes != r.origin_bytes => {
            line.key(key);
            // Writing to memory does not fail.
            let _ = write!(line.out, "{}", r.origin_bytes as f64 / r.response_bytes as f64);
        }
        Field::GzipRatio => {}
        Field::OriginContentSize => line.number(key, r.origin_bytes),
        Field::OriginDuration => line.duration(key, Some(origin)),
        Field::OriginStatus => line.number(key, u64::from(r.origin_status.unwrap_or(0))),
        Field::Overhead => line.duration(key, Some(r.total.saturating_sub(origin))),
        Field::Reason => line.optional(key, r.reason.map(Reason::name)),
        Field::RequestAddr => line.text(key, r.authority.as_bytes()),
        Field::RequestContentSize => line.number(key, r.request_bytes),
        Field::RequestCount => line.number(key, count),
        Field::RequestHost => line.text(key, split_port(r.authority).0.as_bytes()),
        Field::RequestID => line.optional(key, r.request_id),
        Field::RequestMethod => line.text(key, r.method.as_str().as_bytes()),
        Field::RequestPath => {
            let query = r.query.filter(|_| line.selection.keeps_query());
            line.quoted(key, |out| {
                escape::json(out, r.path.as_bytes());
                if let Some(query) = query {
                    out.push(b'?');
                    escape::json(out, query.as_bytes());
                }
            });
        }
        Field::RequestPort => line.text(key, split_port(r.authority).1.unwrap_or("-").as_bytes()),
        Field::RequestProtocol => line.text(key, r.protocol_name().as_bytes()),
        Field::RequestScheme => line.text(key, r.scheme.as_str().as_bytes()),
        Field::RetryAttempts => line.number(key, u64::from(r.retries())),
        Field::RouterName => line.optional(key, r.router.map(|router| router.name())),
        Field::RoutingDuration => line.duration(key, r.phases.routed),
        Field::ServiceAddr => line.address(key, r.server_addr),
        Field::ServiceInstance => line.optional(key, r.server_instance),
        Field::ServiceNode => line.optional(key, r.server_node),
        Field::ServiceName => line.optional(key, r.service.map(|service| service.name())),
        Field::ServiceURL => line.optional(key, r.server_url),
        Field::SnapshotNumber => line.number(key, r.snapshot),
        Field::SpanId | Field::span_id => line.shown(key, ids.map(|ids| ids.span)),
        Field::StartLocal | Field::StartUTC => line.started(key, r.started),
        Field::TLSCipher => line.optional(key, r.tls.map(|tls| tls.cipher).filter(|cipher| !cipher.is_empty())),
        Field::TLSClientSubject => line.optional(key, r.tls.and_then(|tls| tls.client_subject)),
        Field::TLSServerName => line.optional(key, r.tls.and_then(|tls| tls.sni)),
        Field::TLSVersion => line.optional(key, r.tls.map(|tls| tls.version).filter(|version| !version.is_empty())),
        Field::TraceId | Field::trace_id => line.shown(key, ids.map(|ids| ids.trace)),
        Field::Truncated => line.flag(key, r.truncated),
        Field::entryPointName => line.text(key, r.entry_point.name().as_bytes()),
    }
}

/// The port behind the last colon, unless that colon is inside an IPv6 address.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && !port.is_empty() => (host, Some(port)),
        _ => (authority, None),
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    selection: &'a Selection,
    first: bool,
    /// Where the time of the start stands already.
    started: Option<Range<usize>>,
}

impl Line<'_> {
    /// `key` begins with a comma.
    fn key(&mut self, key: &str) {
        debug_assert!(key.starts_with(','), "{key}");
        let from = usize::from(std::mem::take(&mut self.first));
        self.out.extend_from_slice(&key.as_bytes()[from..]);
    }

    fn quoted(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        self.out.push(b'"');
        value(self.out);
        self.out.push(b'"');
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.quoted(key, |out| escape::json(out, value));
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value.as_bytes());
        }
    }

    /// A value of ours that prints without anything to escape.
    fn shown(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            // Writing to memory does not fail.
            self.quoted(key, |out| drop(write!(out, "{value}")));
        }
    }

    fn address(&mut self, key: &str, value: Option<SocketAddr>) {
        match value {
            Some(SocketAddr::V4(address)) => self.quoted(key, |out| {
                ip(out, IpAddr::V4(*address.ip()));
                out.push(b':');
                number(out, address.port());
            }),
            other => self.shown(key, other),
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        number(self.out, value);
    }

    fn duration(&mut self, key: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.number(key, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// The time of the start, which is the same in every zone that we know.
    fn started(&mut self, key: &str, at: Duration) {
        let known = self.started.clone();
        self.key(key);
        let from = self.out.len();
        match known {
            Some(known) => self.out.extend_from_within(known),
            None => {
                self.out.push(b'"');
                stamp::rfc3339(self.out, at);
                self.out.push(b'"');
            }
        }
        self.started = Some(from..self.out.len());
    }

    /// Only what is so stands in the line.
    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.key(key);
            self.out.extend_from_slice(b"true");
        }
    }

    fn headers(&mut self, prefix: &str, fields: Option<&Fields>) {
        let Some(fields) = fields else { return };
        let selection = self.selection;
        selection.each_header(fields, |name, mode| {
            if !std::mem::take(&mut self.first) {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.out.extend_from_slice(prefix.as_bytes());
            canonical(self.out, name);
            self.out.extend_from_slice(b"\":\"");
            if mode == HeaderMode::Redact {
                self.out.extend_from_slice(b"REDACTED");
            } else {
                for (index, value) in fields.get_all(name).enumerate() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    escape::json(self.out, value);
                }
            }
            self.out.push(b'"');
        });
    }
}

/// Digits, without the machinery of formatting.
fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            number(out, first);
            for octet in rest {
                out.push(b'.');
                number(out, octet);
            }
        }
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// A header name as Go spells it: `User-Agent`. Names are tokens, which need no escape in JSON.
fn canonical(out: &mut Vec<u8>, name: &str) {
    let mut first = true;
    for b in name.bytes() {
        out.push(if first { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() });
        first = b == b'-';
    }
}
