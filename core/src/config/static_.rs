//! The static configuration: what is read once, at the start, and needs a restart to change.
//!
//! Here are its resolved types with their defaults: Traefik v3's where it has one, the limits of a gateway that faces the internet where it has
//! none. How layers are merged is in [`super::Tree::overlaid`],
//! how they are judged in [`resolve_static`].
//!
//! Deliberately absent: reading files (paths stay paths), and anything that may be wrong.

mod defaults;
mod old;
mod parse;
mod raw;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use defaults::ADMIN_ENTRY_POINT;
pub(super) use defaults::PRIORITY_LIMIT;
pub(super) use raw::{OWN_KEYS, TOP_LEVEL};
pub use resolve::resolve_static;

use super::dynamic::{IpRange, Observability, Transport};
use crate::{discovery::Settings, rule::Syntax};
use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

/// Everything read at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticConfig {
    /// By name. Names are never qualified.
    pub entry_points: BTreeMap<String, EntryPoint>,
    /// Where a router without `entryPoints` listens, sorted.
    pub default_entry_points: Arc<[String]>,
    pub providers: Providers,
    pub api: Option<Api>,
    pub ping: Option<Ping>,
    pub log: Log,
    pub access_log: Option<AccessLog>,
    pub prometheus: Option<Prometheus>,
    pub tracing: Option<Tracing>,
    /// `default@internal`, used by services that name no transport.
    pub servers_transport: Transport,
    /// For routers that name no `ruleSyntax`.
    pub default_rule_syntax: Syntax,
    /// Data-plane threads; `None`: one per core this process may use.
    pub workers: Option<usize>,
    /// Opt-in: the field that carries an identifier of the request to the server and back.
    pub request_id: Option<RequestId>,
    /// Opt-in: the response field that names the `Reason` of an answer that Fairlead made.
    pub reason_header: Option<String>,
    pub health: HealthDefaults,
    pub limits: Limits,
}

/// An address to listen on, and what is spoken there.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPoint {
    pub name: String,
    pub address: Address,
    /// Routers without `entryPoints` use the entry points so marked, if any is.
    pub as_default: bool,
    /// Other processes may listen here too. (Fairlead's own workers always share the port.)
    pub reuse_port: bool,
    pub forwarded_headers: ForwardedHeaders,
    /// `None`: a PROXY header is not expected.
    pub proxy_protocol: Option<ProxyProtocol>,
    pub life_cycle: LifeCycle,
    pub timeouts: Timeouts,
    pub http: EntryPointHttp,
    pub http2: Http2,
    pub observability: Observability,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// `None`: every address, IPv4 and IPv6.
    pub ip: Option<IpAddr>,
    /// 0: any free port.
    pub port: u16,
    pub protocol: Protocol,
}

/// What an entry point's sockets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Whose forwarding headers are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedHeaders {
    /// Everyone's.
    pub insecure: bool,
    pub trusted: Vec<IpRange>,
    /// Fields named in `Connection` that nevertheless go to the server.
    pub connection: Vec<String>,
    pub not_append_x_forwarded_for: bool,
}

/// Who may send a PROXY header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Everyone.
    pub insecure: bool,
    pub trusted: Vec<IpRange>,
}

/// How an entry point goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeCycle {
    /// Readiness fails while connections are still accepted for this long. `transport.lifeCycle.requestAcceptGraceTimeout`.
    pub request_accept_grace: Duration,
    /// Then requests under way have this long. `transport.lifeCycle.graceTimeOut`.
    pub grace: Duration,
}

/// Limits in time. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request, body included. `transport.respondingTimeouts.readTimeout`.
    pub read: Option<Duration>,
    /// `transport.respondingTimeouts.writeTimeout`.
    pub write: Option<Duration>,
    /// A kept-alive connection without a request. `transport.respondingTimeouts.idleTimeout`.
    pub idle: Option<Duration>,
    /// Age after which a kept-alive connection is closed between requests. `transport.keepAliveMaxTime`.
    pub keep_alive_max_time: Option<Duration>,
    /// Requests after which a connection is closed. `transport.keepAliveMaxRequests`.
    pub keep_alive_max_requests: Option<u64>,
}

/// HTTP on an entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPointHttp {
    pub redirection: Option<Redirection>,
    /// Before the middlewares of every router here; qualified as written (`name@provider`).
    pub middlewares: Vec<String>,
    /// For routers that have no `tls` of their own.
    pub tls: Option<EntryPointTls>,
    /// `None`: [`EncodedCharacters::default`].
    pub encoded_characters: Option<EncodedCharacters>,
    /// Request line and fields together.
    pub max_header_bytes: usize,
    /// Dot segments and doubled slashes are taken out of the path before routing.
    pub sanitize_path: bool,
    pub underscore_headers: UnderscoreHeaders,
    /// `;` in a query is escaped instead of read as `&`.
    pub encode_query_semicolons: bool,
    /// Status of the answer to what no router takes: 404, or 503 as Interlock and Kontena's balancer answer.
    pub unmatched_status: u16,
}

/// The `tls` that an entry point gives its routers. The names are qualified by the router's provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPointTls {
    pub options: Option<String>,
    pub cert_resolver: Option<String>,
    pub domains: Vec<Vec<String>>,
}

/// Everything that comes here is sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// As written: an entry point's name or `:port`.
    pub to: String,
    /// The port in the new URL; `None` when it is the scheme's own.
    pub port: Option<u16>,
    pub scheme: String,
    pub permanent: bool,
    pub priority: i64,
}

/// Which encoded characters may stand in a path; the others are answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedCharacters {
    pub slash: bool,
    pub back_slash: bool,
    pub semicolon: bool,
    pub percent: bool,
    pub question_mark: bool,
    pub hash: bool,
}

/// What becomes of request fields whose name holds `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderscoreHeaders {
    Keep,
    Delete,
    Reject,
}

/// HTTP/2 on an entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    pub max_concurrent_streams: u32,
    /// Bytes of the table with which a client's fields are decoded.
    pub max_decoder_header_table: u32,
    /// Bytes of the table with which a response's fields are encoded.
    pub max_encoder_header_table: u32,
}

/// Where dynamic configuration comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Providers {
    pub file: Option<FileProvider>,
    pub etcd: Option<EtcdProvider>,
    pub rancher: Option<RancherProvider>,
    pub docker: Option<DockerProvider>,
    pub swarm: Option<DockerProvider>,
    pub kontena: Option<KontenaProvider>,
    /// Longest time for which a burst of changes is gathered, at most 20 ms; the first of a burst is applied at once.
    /// `None`: the longest.
    pub throttle: Option<Duration>,
}

/// Provider `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProvider {
    pub path: FilePath,
    pub watch: bool,
}

/// One file, or every file below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePath {
    File(String),
    Directory(String),
}

/// Provider `etcd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdProvider {
    /// `host:port` each, host a name or an address.
    pub endpoints: Vec<String>,
    /// Without slash at either end.
    pub root_key: String,
    pub username: String,
    pub password: Secret,
    /// `None`: in the clear.
    pub tls: Option<ClientTls>,
}

/// Provider `rancher`: the metadata service of Rancher 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RancherProvider {
    /// `http://host`, `host:port`.
    pub endpoint: String,
    /// The version of the metadata: `latest`.
    pub prefix: String,
    /// Ask for the version again and again, rather than wait for it to change.
    pub interval_poll: bool,
    /// Between two such questions; otherwise the longest that one of them waits.
    pub refresh: Duration,
    /// Otherwise it is read once.
    pub watch: bool,
    /// Services in another state than active, or being upgraded, are not served.
    pub health_filter: bool,
    /// How labels are read.
    pub settings: Settings,
}

impl Providers {
    /// How each provider that reads labels reads them.
    pub fn labelled(&mut self) -> impl Iterator<Item = &mut Settings> {
        let docker = self.docker.iter_mut().chain(&mut self.swarm).map(|docker| &mut docker.settings);
        docker.chain(self.rancher.iter_mut().map(|rancher| &mut rancher.settings))
    }
}

/// Providers `docker` and `swarm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerProvider {
    /// `unix:///path`, `tcp://host:port`, `http://…`, `https://…`; of several, the next is tried when one fails.
    pub endpoints: Vec<String>,
    /// Services of a Swarm are read, rather than the daemon's containers.
    pub swarm: bool,
    pub username: String,
    pub password: Secret,
    pub tls: Option<ClientTls>,
    /// Otherwise it is read once.
    pub watch: bool,
    /// Until an answer begins; `None`: the client's own limit.
    pub timeout: Option<Duration>,
    /// Between two looks at a Swarm that is at rest.
    pub refresh: Duration,
    /// Where secrets are mounted; without a slash at the end.
    pub secrets_directory: String,
    /// How labels are read.
    pub settings: Settings,
}

/// Provider `kontena`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KontenaProvider {
    /// `host:port` each; none: this machine's default gateway, where Kontena's etcd listens.
    pub endpoints: Vec<String>,
    /// Name of the load balancer's service.
    pub load_balancer: String,
    /// Its stack; `None`: the default one.
    pub stack: Option<String>,
    pub api: EtcdApi,
    /// Time between two looks at the whole tree.
    pub refresh: Duration,
    pub username: String,
    pub password: Secret,
    /// `None`: in the clear.
    pub tls: Option<ClientTls>,
    /// Certificates with their keys, by the name that messages use.
    pub bundles: Vec<Bundle>,
    /// An OpenSSL cipher string; empty: the default.
    pub ssl_ciphers: String,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// A path that is answered with 200 while the gateway is well.
    pub health_uri: Option<String>,
}

impl KontenaProvider {
    /// The key of everything that concerns the load balancer, without a slash at its end.
    pub fn root(&self) -> String {
        match &self.stack {
            Some(stack) => format!("/kontena/haproxy/{stack}/{}", self.load_balancer),
            None => format!("/kontena/haproxy/{}", self.load_balancer),
        }
    }
}

/// Which of etcd's interfaces is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdApi {
    /// JSON over HTTP/1.1, as Kontena's agents do.
    V2,
    /// gRPC, with the same keys.
    V3,
}

/// Certificates and keys in one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The variable or option that it was given in.
    pub name: String,
    pub text: Secret,
    /// One certificate with its chain and its key, in any order; otherwise several, each before its key.
    pub single: bool,
}

/// TLS towards a server of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Path or PEM text; `None`: the system's authorities.
    pub ca: Option<String>,
    /// Path or PEM text.
    pub cert: Option<String>,
    /// Path or PEM text.
    pub key: Option<Secret>,
    pub insecure_skip_verify: bool,
}

/// A text that no log, API or error shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one who must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "<redacted>" })
    }
}

/// The administration API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Routed on the entry point `traefik` without further ado.
    pub insecure: bool,
    pub dashboard: bool,
    pub debug: bool,
    /// Begins with `/` and does not end with one; empty for `/`.
    pub base_path: String,
}

/// `/ping` and `/ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    pub entry_point: String,
    /// The operator routes to `ping@internal` himself.
    pub manual_routing: bool,
    pub terminating_status: u16,
}

/// Fairlead's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub json: bool,
    /// `None`: standard error.
    pub file_path: Option<String>,
}

/// From which level on the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One line per request.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// `None`: standard output.
    pub file_path: Option<String>,
    pub format: AccessLogFormat,
    /// Lines that may wait to be written.
    pub buffering_size: usize,
    /// Requests whose service is `…@internal` too.
    pub add_internals: bool,
    pub filters: AccessLogFilters,
    pub fields: AccessLogFields,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Traefik's extension of the common log format.
    Common,
    Json,
    GenericClf,
}

/// What is logged: anything for which one of these holds; everything if none is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLogFilters {
    /// Inclusive.
    pub status_codes: Vec<(u16, u16)>,
    pub retry_attempts: bool,
    /// `Duration::ZERO`: not given.
    pub min_duration: Duration,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogFields {
    /// `Keep` or `Drop`.
    pub default_mode: FieldMode,
    /// By Traefik's field names, lower-case.
    pub names: BTreeMap<String, FieldMode>,
    pub headers_default: FieldMode,
    /// By lower-case header name.
    pub headers: BTreeMap<String, FieldMode>,
    /// `Drop`: paths are logged without their query.
    pub query_parameters: FieldMode,
}

/// What becomes of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldMode {
    Keep,
    Drop,
    Redact,
}

/// `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    pub entry_point: String,
    pub manual_routing: bool,
    /// Upper bounds in seconds, ascending.
    pub buckets: Vec<f64>,
    pub add_entry_points_labels: bool,
    pub add_routers_labels: bool,
    pub add_services_labels: bool,
    /// Requests whose service is `…@internal` too.
    pub add_internals: bool,
}

/// OpenTelemetry traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    pub service_name: String,
    pub resource_attributes: BTreeMap<String, String>,
    /// Share of traces begun here that are recorded, 0 to 1.
    pub sample_rate: f64,
    /// Lower-case.
    pub captured_request_headers: Vec<String>,
    /// Lower-case.
    pub captured_response_headers: Vec<String>,
    /// Query parameters whose values are recorded; the others read `REDACTED`.
    pub safe_query_params: Vec<String>,
    pub add_internals: bool,
    pub otlp: Otlp,
}

/// Where traces are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    pub protocol: OtlpProtocol,
    /// HTTP: a URL. gRPC: `host:port`.
    pub endpoint: String,
    pub headers: Vec<(String, Secret)>,
    /// `None`: by the URL's scheme with the system's authorities; for gRPC in the clear if `insecure`.
    pub tls: Option<ClientTls>,
    /// gRPC without TLS.
    pub insecure: bool,
}

/// OTLP's two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Http,
    Grpc,
}

/// `fairlead.requestId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// Lower-case field name.
    pub header: String,
    /// An identifier that a trusted peer sent is kept.
    pub trust_incoming: bool,
}

/// For health checks that do not say: `fairlead.health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthDefaults {
    /// Consecutive successes before a server returns.
    pub rise: u32,
    /// Consecutive failures before a server leaves.
    pub fall: u32,
}

/// Bounds on what peers may ask for, on every entry point: `fairlead.limits`. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines of a request's field section; more: 431.
    pub header_fields: usize,
    /// Bytes of a request target; more: 414.
    pub uri_bytes: usize,
    /// From the first byte to the end of the head; longer: 408.
    pub header_timeout: Duration,
    /// Between two pieces of a body.
    pub body_idle_timeout: Duration,
    /// Bytes a second that a body must bring on average; 0: no bound.
    pub body_min_rate: u64,
    pub tls_handshake_timeout: Duration,
    /// Open connections of one client address, per entry point.
    pub connections_per_ip: Option<usize>,
    /// Open connections of an entry point.
    pub connections: Option<usize>,
    /// HTTP/2: bytes of a decoded field section.
    pub http2_header_list_bytes: u32,
    /// HTTP/2: streams that a client may break off, beyond as many as it lets finish, before its connection is closed.
    pub http2_resets: u32,
    /// Bytes of a response head from a server; more: 502.
    pub response_header_bytes: usize,
    /// Interim responses to one request.
    pub interim_responses: usize,
}
