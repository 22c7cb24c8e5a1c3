//! One request, as it is told to telemetry when it has ended. Everything is borrowed: a record costs no allocation.

use super::{EntryPointSeries, RouterSeries, ServiceSeries};
use fairlead_core::{http::Scheme, reason::Reason};
use fairlead_net::http::{Fields, Method, Version};
use std::{borrow::Cow, net::SocketAddr, time::Duration};

/// Which of the three records a request belongs to: the router's `observability`, or all without a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observe {
    pub access_log: bool,
    pub metrics: bool,
    pub tracing: bool,
}

impl Observe {
    /// Everything.
    pub const ALL: Self = Self { access_log: true, metrics: true, tracing: true };
}

/// When a request reached its stages, each measured from the moment its head had been read. `None`: never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The router was found.
    pub routed: Option<Duration>,
    /// The service was entered, after the middlewares.
    pub origin_start: Option<Duration>,
    /// The last attempt had a connection, new or pooled.
    pub connected: Option<Duration>,
    /// The head of the final response had come from the server.
    pub first_byte: Option<Duration>,
    /// The service was left: the response body was complete, or given up.
    pub origin_end: Option<Duration>,
}

impl Phases {
    /// Time spent in the service; zero if none was reached.
    pub fn origin(&self) -> Duration {
        match (self.origin_start, self.origin_end) {
            (Some(start), Some(end)) => end.saturating_sub(start),
            _ => Duration::ZERO,
        }
    }
}

/// The TLS side of the client's connection.
#[derive(Clone, Copy, Debug)]
pub struct TlsInfo<'a> {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The suite's IANA name.
    pub cipher: &'a str,
    pub sni: Option<&'a str>,
    /// Subject of the client's certificate.
    pub client_subject: Option<&'a str>,
}

/// A request that has ended, or a connection of a router of connections.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// When the head had been read, as time since 1970; zero where neither an access log nor a span tells it.
    pub started: Duration,
    /// From then to the last byte of the response, or to giving up.
    pub total: Duration,
    pub phases: Phases,
    pub observe: Observe,
    /// A connection: nothing is said of a request, bytes are all that went each way, and `status` only serves filters.
    pub tcp: bool,

    pub entry_point: &'a EntryPointSeries,
    pub router: Option<&'a RouterSeries>,
    /// The service that was asked last.
    pub service: Option<&'a ServiceSeries>,
    /// As configured.
    pub server_url: Option<&'a str>,
    /// Which task or container that was, and where it runs, where discovery knows.
    pub server_instance: Option<&'a str>,
    pub server_node: Option<&'a str>,
    pub server_addr: Option<SocketAddr>,

    /// The peer of the connection, after PROXY protocol.
    pub peer: Option<SocketAddr>,
    /// The client, where a trusted peer tells who that is.
    pub forwarded_for: Option<&'a str>,
    pub method: &'a Method,
    pub scheme: Scheme,
    /// As the client named it, port included.
    pub authority: &'a str,
    /// Before middlewares changed it, without query.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    pub version: Version,
    /// As they came from the client.
    pub request_fields: &'a Fields,
    /// As they came from the server.
    pub origin_fields: Option<&'a Fields>,
    /// As they went to the client.
    pub response_fields: Option<&'a Fields>,
    /// Trailers of the response, for gRPC's status.
    pub trailers: Option<&'a Fields>,

    /// The status sent, or 499 when the client left before there was one.
    pub status: u16,
    /// The status that the server gave.
    pub origin_status: Option<u16>,
    /// Present exactly when Fairlead answered by itself or broke the response off.
    pub reason: Option<Reason>,
    /// Body bytes read from the client.
    pub request_bytes: u64,
    /// Body bytes read from the server.
    pub origin_bytes: u64,
    /// Body bytes sent to the client.
    pub response_bytes: u64,
    /// Attempts made at servers: 0 when none was asked, 1 without a retry.
    pub attempts: u32,

    pub tls: Option<TlsInfo<'a>>,
    /// The user that BasicAuth let in.
    pub user: Option<&'a str>,
    /// Number of the snapshot that decided.
    pub snapshot: u64,
    pub request_id: Option<&'a str>,
    /// The response was broken off after its head.
    pub truncated: bool,
    /// The client left before its response was complete.
    pub client_closed: bool,
}

impl<'a> Record<'a> {
    /// The client as the forwarded-headers policy found it: the peer's address unless that peer is trusted to name another.
    pub fn client_host(&self) -> Cow<'a, str> {
        match (self.forwarded_for, self.peer) {
            (Some(told), _) => Cow::Borrowed(told),
            (None, Some(peer)) => Cow::Owned(peer.ip().to_string()),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// A request of which only what every request has is known; the rest is filled in by name.
    pub fn new(
        entry_point: &'a EntryPointSeries,
        method: &'a Method,
        authority: &'a str,
        path: &'a str,
        request_fields: &'a Fields,
    ) -> Self {
        Self {
            started: Duration::ZERO,
            total: Duration::ZERO,
            phases: Phases::default(),
            observe: Observe::ALL,
            tcp: false,
            entry_point,
            router: None,
            service: None,
            server_url: None,
            server_instance: None,
            server_node: None,
            server_addr: None,
            peer: None,
            forwarded_for: None,
            method,
            scheme: Scheme::Http,
            authority,
            path,
            query: None,
            version: Version::Http11,
            request_fields,
            origin_fields: None,
            response_fields: None,
            trailers: None,
            status: 0,
            origin_status: None,
            reason: None,
            request_bytes: 0,
            origin_bytes: 0,
            response_bytes: 0,
            attempts: 0,
            tls: None,
            user: None,
            snapshot: 0,
            request_id: None,
            truncated: false,
            client_closed: false,
        }
    }

    /// The server that had it belongs to Fairlead itself: kept out of records unless asked for.
    pub(super) fn is_internal(&self) -> bool {
        self.router.is_some_and(|router| router.is_internal())
    }

    pub(super) fn retries(&self) -> u32 {
        self.attempts.saturating_sub(1)
    }

    pub(super) fn protocol_name(&self) -> &'static str {
        match self.version {
            _ if self.tcp => "TCP",
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
        }
    }
}
