//! Transports.

use super::Notes;
use crate::{
    Name,
    config::{decode::Span, dynamic::Transport, raw},
};

pub(super) fn build(raw: &raw::Transport, name: Name, notes: &mut Notes<'_>) -> Option<Transport> {
    let default = Transport::new(name);
    let mut certificates = Vec::new();
    for certificate in &raw.certificates {
        match (&certificate.cert_file, &certificate.key_file) {
            (Some(cert), Some(key)) if !cert.is_empty() && !key.is_empty() => certificates.push((cert.clone(), key.clone())),
            _ => notes.error(&["certificates"], "a client certificate and its key go together", "give `certFile` and `keyFile`"),
        }
    }
    let (min_version, max_version) = super::tls::versions(raw.min_version.as_deref(), raw.max_version.as_deref(), notes);
    let timeouts = &raw.forwarding_timeouts;
    Some(Transport {
        server_name: raw.server_name.clone().unwrap_or_default(),
        insecure_skip_verify: raw.insecure_skip_verify,
        root_cas: raw.root_cas.clone(),
        certificates,
        min_version,
        max_version,
        cipher_suites: super::tls::cipher_suites(&raw.cipher_suites, notes),
        disable_http2: raw.disable_http2,
        max_idle_per_server: match raw.max_idle_conns_per_host {
            None | Some(0) => default.max_idle_per_server,
            Some(idle) => usize::try_from(idle).unwrap_or(0),
        },
        dial_timeout: timeouts.dial_timeout.map_or(default.dial_timeout, Span::get),
        response_header_timeout: timeouts.response_header_timeout.map_or(default.response_header_timeout, Span::get),
        idle_timeout: timeouts.idle_conn_timeout.map_or(default.idle_timeout, Span::get),
        ..default
    })
}
