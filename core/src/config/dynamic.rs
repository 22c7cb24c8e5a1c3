//! The resolved dynamic configuration: every name is found, every rule parsed, every number within its bounds.
//!
//! Deliberately absent: raw text that may be wrong (that is `raw`), and anything compiled for speed (that is the snapshot).

use super::resolve::Memo;
use crate::{Name, map::Map, rule::Rule};
use regex::Regex;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

/// All that is served. Each unit is shared with the previous configuration when it did not change.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub routers: Map<Name, Arc<Router>>,
    pub services: Map<Name, Arc<Service>>,
    pub middlewares: Map<Name, Arc<Middleware>>,
    pub transports: Map<Name, Arc<Transport>>,
    pub tcp: Tcp,
    pub tls: Tls,
    /// What it was made from, so that the next is made of what changed.
    pub(in crate::config) memo: Arc<Memo>,
}

/// What is served of connections as such. Names are apart from those of requests.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    pub routers: Map<Name, Arc<TcpRouter>>,
    pub services: Map<Name, Arc<Service>>,
    /// IPAllowList alone.
    pub middlewares: Map<Name, Arc<Middleware>>,
}

/// Sends the connections that match a rule to a service.
#[derive(Clone, Debug)]
pub struct TcpRouter {
    pub name: Name,
    /// Names of entry points, sorted; never empty.
    pub entry_points: Arc<[String]>,
    pub rule: Rule,
    /// Higher first. The byte length of the rule's text unless given; -1 for ``HostSNI(`*`)``.
    pub priority: i64,
    pub middlewares: Vec<Name>,
    pub service: Name,
    /// Present: the router serves TLS connections only. Absent: plain ones only.
    pub tls: Option<TcpTls>,
    /// Where it was written, for `explain` and the API.
    pub source: String,
}

/// The TLS side of a router of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpTls {
    /// TLS ends at the server: its bytes go on as they come.
    pub passthrough: bool,
    /// Name of TLS options; `default` unless given.
    pub options: Name,
    pub cert_resolver: Option<String>,
    pub domains: Vec<Vec<String>>,
}

/// Sends the requests that match a rule through middlewares to a service.
#[derive(Clone, Debug)]
pub struct Router {
    pub name: Name,
    /// The name under which the operator declared it. Differs from `name` where an entry point's defaults made a copy, `<entry point>-<name>`.
    pub declared: Name,
    /// Names of entry points, sorted; never empty.
    pub entry_points: Arc<[String]>,
    pub rule: Rule,
    /// Higher first. The byte length of the rule's text unless given.
    pub priority: i64,
    /// Outermost first, entry-point middlewares included; chains are still names here.
    pub middlewares: Vec<Name>,
    pub service: Name,
    /// Present: the router serves TLS connections only. Absent: plaintext only.
    pub tls: Option<Box<RouterTls>>,
    pub observability: Observability,
    /// Where it was written, for `explain` and the API.
    pub source: String,
}

/// The TLS side of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterTls {
    /// Name of TLS options; `default` unless given.
    pub options: Name,
    pub cert_resolver: Option<String>,
    pub domains: Vec<Vec<String>>,
}

/// What is recorded of a router's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observability {
    pub access_log: bool,
    pub metrics: bool,
    pub tracing: bool,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: Name,
    pub kind: ServiceKind,
    pub source: String,
}

/// Exactly one kind each.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceKind {
    LoadBalancer(Arc<LoadBalancer>),
    Weighted(Box<Weighted>),
    Failover(Box<Failover>),
    /// Answered by Fairlead itself.
    Internal(Internal),
}

/// Services inside the gateway, named `…@internal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// `api@internal`, and `dashboard@internal`.
    Api,
    /// `ping@internal`: `/ping` and `/ready`.
    Ping,
    /// `prometheus@internal`.
    Metrics,
    /// `noop@internal`: 418 under redirections.
    Noop,
    /// The built-in backends of `fairlead demo`.
    Whoami,
}

/// A set of servers.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancer {
    pub servers: Vec<Server>,
    pub strategy: Strategy,
    /// With [`Strategy::Hrw`]: the cookie, set by the application, whose value takes the place of the client's address.
    pub hash_cookie: Option<String>,
    pub sticky: Option<Box<StickyCookie>>,
    pub health_check: Option<Box<HealthCheck>>,
    pub passive_health_check: Option<PassiveHealthCheck>,
    /// False: the server sees its own host and port in `Host`.
    pub pass_host_header: bool,
    pub transport: Name,
    /// Of TCP services: servers are told in the first bytes who the client is.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

/// One server of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub url: ServerUrl,
    /// 0: never picked.
    pub weight: u32,
    /// The URL's path goes before the request's.
    pub preserve_path: bool,
    /// Which task or container this is; empty where nobody knows. Another one at the same address is another server.
    pub instance: String,
    /// Name of the node that it runs on; empty where nobody knows.
    pub node: String,
    /// Why no request can get there: it is shown, and never picked.
    pub unreachable: Option<String>,
}

/// A server's URL in parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl {
    pub scheme: UpstreamScheme,
    /// A host name or an address, without brackets, lower-case.
    pub host: Arc<str>,
    pub port: u16,
    /// Empty or beginning with `/`.
    pub path: String,
    /// As the operator wrote it: the identity in sticky cookies, the API, metrics and logs.
    pub text: Arc<str>,
}

/// How Fairlead speaks to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamScheme {
    Http,
    Https,
    /// HTTP/2 with prior knowledge.
    H2c,
    /// Bytes as they come.
    Tcp,
}

/// How a server is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Weighted, earliest deadline first.
    Wrr,
    /// The less busy of two drawn at random.
    P2c,
    /// Fewest requests in flight relative to weight.
    LeastConn,
    /// Highest random weight of the client's address, or of a cookie's value.
    Hrw,
}

impl UpstreamScheme {
    /// As it stands in a server's URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
            Self::Tcp => "tcp",
        }
    }
}

impl Server {
    /// With nothing but an address and a weight.
    pub fn new(url: ServerUrl, weight: u32) -> Self {
        Self { url, weight, preserve_path: false, instance: String::new(), node: String::new(), unreachable: None }
    }
}

impl LoadBalancer {
    /// Without servers, and with Traefik's defaults for the rest.
    pub fn new(transport: Name) -> Self {
        Self {
            servers: Vec::new(),
            strategy: Strategy::Wrr,
            hash_cookie: None,
            sticky: None,
            health_check: None,
            passive_health_check: None,
            pass_host_header: true,
            transport,
            proxy_protocol: None,
        }
    }
}

/// A cookie that keeps a client with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    pub name: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: Option<SameSite>,
    /// Seconds; 0: a session cookie; negative: `Max-Age=0`.
    pub max_age: i64,
    pub path: String,
    pub domain: String,
}

/// The `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    None,
    Lax,
    Strict,
}

/// Active probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path with query.
    pub path: String,
    pub scheme: Option<UpstreamScheme>,
    pub hostname: String,
    pub port: Option<u16>,
    pub method: String,
    /// `None`: any 2xx or 3xx.
    pub status: Option<u16>,
    pub interval: Duration,
    pub unhealthy_interval: Duration,
    pub timeout: Duration,
    pub follow_redirects: bool,
    pub headers: Vec<(String, String)>,
    /// Consecutive failures before a server leaves. Traefik's 1 unless given.
    pub fall: u32,
    /// Consecutive successes before it returns.
    pub rise: u32,
}

/// Ejection by what requests met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveHealthCheck {
    pub failure_window: Duration,
    pub max_failed_attempts: u32,
}

/// Services by weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    pub services: Vec<(Name, u32)>,
    pub sticky: Option<StickyCookie>,
    /// Children without a usable server are skipped.
    pub health_check: bool,
}

/// One service, and another for when it has no usable server.
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    pub service: Name,
    pub fallback: Name,
}

/// How connections to servers are made and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    pub name: Name,
    pub server_name: String,
    pub insecure_skip_verify: bool,
    /// Paths or PEM text.
    pub root_cas: Vec<String>,
    /// Client certificate and key, paths or PEM text.
    pub certificates: Vec<(String, String)>,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
    pub cipher_suites: Vec<String>,
    pub disable_http2: bool,
    /// Idle connections kept per server and worker; 0: none.
    pub max_idle_per_server: usize,
    /// `Duration::ZERO`: none.
    pub dial_timeout: Duration,
    /// Time to the response head; `Duration::ZERO`: none.
    pub response_header_timeout: Duration,
    /// `Duration::ZERO`: none.
    pub idle_timeout: Duration,
}

impl Transport {
    /// With the defaults of Traefik, and idle connections as its default transport keeps them.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            server_name: String::new(),
            insecure_skip_verify: false,
            root_cas: Vec::new(),
            certificates: Vec::new(),
            min_version: None,
            max_version: None,
            cipher_suites: Vec::new(),
            disable_http2: false,
            max_idle_per_server: 200,
            dial_timeout: Duration::from_secs(30),
            response_header_timeout: Duration::ZERO,
            idle_timeout: Duration::from_secs(90),
        }
    }
}

/// One transformation or guard.
#[derive(Clone, Debug)]
pub struct Middleware {
    pub name: Name,
    pub kind: MiddlewareKind,
    pub source: String,
}

/// Exactly one kind each; fields as Traefik v3 names them.
#[derive(Clone, Debug)]
pub enum MiddlewareKind {
    AddPrefix {
        prefix: String,
    },
    /// Prefixes in the order written; the first that matches is removed.
    StripPrefix {
        prefixes: Vec<String>,
    },
    ReplacePath {
        path: String,
    },
    RedirectScheme {
        scheme: String,
        port: Option<u16>,
        permanent: bool,
    },
    RedirectRegex {
        regex: Regex,
        replacement: String,
        permanent: bool,
    },
    Headers(HeaderEdits),
    RateLimit(RateLimit),
    Retry {
        attempts: u32,
        initial_interval: Duration,
    },
    BasicAuth(BasicAuth),
    IpAllowList {
        ranges: Vec<IpRange>,
        depth: Depth,
        reject_status: u16,
    },
    Chain {
        middlewares: Vec<Name>,
    },
    /// Fairlead's own: responses tell who answered, for which request, and from where.
    InfoHeaders,
    /// Fairlead's own: a request may change to another protocol only where its path begins with one of these.
    UpgradePaths {
        prefixes: Vec<String>,
    },
}

/// Custom header edits. An empty value removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    pub request: Vec<(String, String)>,
    pub response: Vec<(String, String)>,
    /// Beside what is there, after the edits above.
    pub append_request: Vec<(String, String)>,
    /// Beside what is there, after the edits above.
    pub append_response: Vec<(String, String)>,
}

/// A token bucket per source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per `period`; 0: unlimited.
    pub average: u64,
    pub period: Duration,
    /// Bucket size; at least 1.
    pub burst: u64,
    pub source: SourceCriterion,
}

/// What tells one source from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceCriterion {
    /// The client's address as `Depth` finds it.
    Ip(Depth),
    RequestHeader(String),
    RequestHost,
}

/// Where in `X-Forwarded-For` the client's address is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Depth {
    /// The connection's peer.
    #[default]
    Peer,
    /// The n-th from the right, 1 being the last.
    FromRight(usize),
    /// The first from the right that lies in none of these ranges.
    Excluding(Vec<IpRange>),
}

/// User names and password hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// User to hash (bcrypt, SHA-crypt, apr1, SHA-1), in htpasswd's spelling.
    pub users: BTreeMap<String, String>,
    pub realm: String,
    /// The `Authorization` field does not reach the server.
    pub remove_header: bool,
    /// Field that carries the user's name to the server.
    pub header_field: Option<String>,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").field("users", &self.users.keys()).field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// An address range in CIDR notation; a single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpRange {
    pub address: IpAddr,
    pub prefix: u8,
}

/// Certificates, options and the default certificate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
    pub options: Map<Name, Arc<TlsOptions>>,
    pub default_certificate: Option<Certificate>,
}

/// A certificate chain and its key: paths or PEM text.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub cert: String,
    pub key: String,
    pub source: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("source", &self.source).finish_non_exhaustive()
    }
}

/// How TLS is spoken for the hosts of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub min_version: Option<String>,
    pub max_version: Option<String>,
    pub cipher_suites: Vec<String>,
    pub curve_preferences: Vec<String>,
    pub alpn_protocols: Vec<String>,
    pub sni_strict: bool,
    pub client_auth: Option<ClientAuth>,
    pub disable_session_tickets: bool,
}

/// Client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Paths or PEM text.
    pub ca_files: Vec<String>,
    /// As Traefik names them: `RequireAndVerifyClientCert`, …
    pub mode: String,
}
