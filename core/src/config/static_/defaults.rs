//! Defaults of the static configuration.

use super::*;
use crate::Name;

/// Named so in Traefik; Fairlead binds it to loopback unless the operator says otherwise.
pub(crate) const ADMIN_ENTRY_POINT: &str = "traefik";

/// The highest priority that an operator may give.
pub(in crate::config) const PRIORITY_LIMIT: i64 = i64::MAX - 1000;

/// Above it.
pub(super) const REDIRECTION_PRIORITY: i64 = i64::MAX - 1;

impl Default for StaticConfig {
    /// No entry point, no provider: the starting point of [`super::resolve_static`], and of tests.
    fn default() -> Self {
        Self {
            entry_points: BTreeMap::new(),
            default_entry_points: Arc::default(),
            providers: Providers::default(),
            api: None,
            ping: None,
            log: Log::default(),
            access_log: None,
            prometheus: None,
            tracing: None,
            servers_transport: default_transport(),
            default_rule_syntax: Syntax::V3,
            workers: None,
            request_id: None,
            reason_header: None,
            health: HealthDefaults::default(),
            limits: Limits::default(),
        }
    }
}

impl EntryPoint {
    /// An entry point with every default.
    pub fn new(name: &str, address: Address) -> Self {
        Self {
            name: name.to_owned(),
            address,
            as_default: false,
            reuse_port: false,
            forwarded_headers: ForwardedHeaders::default(),
            proxy_protocol: None,
            life_cycle: LifeCycle::default(),
            timeouts: Timeouts::default(),
            http: EntryPointHttp::default(),
            http2: Http2::default(),
            observability: Observability { access_log: true, metrics: true, tracing: true },
        }
    }
}

impl Default for LifeCycle {
    fn default() -> Self {
        Self { request_accept_grace: Duration::ZERO, grace: Duration::from_secs(10) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Traefik's 60 s cut off every upload that takes longer; silence and trickling are bounded by `fairlead.limits`.
            read: None,
            write: None,
            idle: Some(Duration::from_secs(180)),
            keep_alive_max_time: None,
            keep_alive_max_requests: None,
        }
    }
}

impl Default for EntryPointHttp {
    fn default() -> Self {
        Self {
            redirection: None,
            middlewares: Vec::new(),
            tls: None,
            encoded_characters: None,
            // Traefik's 1 MiB is its library's, and lets one peer hold a megabyte of memory per connection.
            max_header_bytes: 32 << 10,
            sanitize_path: true,
            underscore_headers: UnderscoreHeaders::Keep,
            encode_query_semicolons: false,
            unmatched_status: 404,
        }
    }
}

impl Default for EncodedCharacters {
    /// Unlike Traefik's, which let everything pass: what servers read in two ways must be allowed by name.
    fn default() -> Self {
        Self { slash: false, back_slash: false, semicolon: true, percent: true, question_mark: true, hash: true }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self { max_concurrent_streams: 250, max_decoder_header_table: 4096, max_encoder_header_table: 4096 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Error, json: false, file_path: None }
    }
}

impl Default for AccessLogFields {
    fn default() -> Self {
        Self {
            default_mode: FieldMode::Keep,
            names: BTreeMap::new(),
            headers_default: FieldMode::Drop,
            headers: BTreeMap::new(),
            query_parameters: FieldMode::Keep,
        }
    }
}

impl Default for HealthDefaults {
    /// Traefik's: one probe decides.
    fn default() -> Self {
        Self { rise: 1, fall: 1 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_fields: 100,
            uri_bytes: 8 << 10,
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(30),
            body_min_rate: 240,
            tls_handshake_timeout: Duration::from_secs(5),
            // Hundreds of people stand behind one address of a carrier or an office, and load generators use one.
            connections_per_ip: Some(4096),
            connections: None,
            http2_header_list_bytes: 16 << 10,
            http2_resets: 100,
            response_header_bytes: 32 << 10,
            interim_responses: 8,
        }
    }
}

/// `default@internal` with Traefik's values.
fn default_transport() -> Transport {
    Transport { max_idle_per_server: 200, ..Transport::new(Name::whole("default@internal")) }
}
