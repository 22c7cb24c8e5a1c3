//! Shapes of the units, key by key as Traefik v3 names them. Every key of Traefik's is here: those that Fairlead has not, marked so.

use crate::config::decode::{Ignored, Span, Switch, Unsupported};
use indexmap::IndexMap;
use serde::Deserialize;

macro_rules! raw {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(crate) struct $name {
            $($(#[$attr])* pub(crate) $field: $type,)*
        }
    )*};
}

raw! {
    Router {
        entry_points: Vec<String>,
        rule: Option<String>,
        rule_syntax: Option<String>,
        priority: Option<i64>,
        middlewares: Vec<String>,
        service: Option<String>,
        tls: Switch<RouterTls>,
        observability: Observability,
        parent_refs: Option<Unsupported>,
    }

    RouterTls { options: Option<String>, cert_resolver: Option<String>, domains: Vec<Domain> }

    Domain { main: Option<String>, sans: Vec<String> }

    Observability {
        access_logs: Option<bool>,
        metrics: Option<bool>,
        tracing: Option<bool>,
        trace_verbosity: Option<Ignored>,
    }

    /// Exactly one kind.
    Service {
        load_balancer: Option<LoadBalancer>,
        weighted: Option<Weighted>,
        failover: Option<Failover>,
        mirroring: Option<Unsupported>,
        highest_random_weight: Option<Unsupported>,
        middlewares: Option<Unsupported>,
    }

    LoadBalancer {
        servers: Vec<Server>,
        /// The one server that labels describe.
        server: Option<Server>,
        strategy: Option<String>,
        /// Fairlead's own: name of a cookie that the application sets.
        hash_cookie: Option<String>,
        sticky: Switch<Sticky>,
        health_check: Option<HealthCheck>,
        passive_health_check: Option<PassiveHealthCheck>,
        pass_host_header: Option<bool>,
        response_forwarding: Option<ResponseForwarding>,
        servers_transport: Option<String>,
    }

    Server {
        url: Option<String>,
        weight: Option<i64>,
        preserve_path: bool,
        port: Option<String>,
        scheme: Option<String>,
        /// Fairlead's own, written by discovery: which task or container this is. Of two with one address they are two servers.
        instance: Option<String>,
        /// Fairlead's own, written by discovery: the node that it runs on.
        node: Option<String>,
        /// Fairlead's own, written by discovery: why no request can get there. Shown, and never picked.
        unreachable: Option<String>,
    }

    Sticky { cookie: Switch<Cookie> }

    Cookie {
        name: Option<String>,
        secure: bool,
        http_only: bool,
        same_site: Option<String>,
        max_age: i64,
        path: Option<String>,
        domain: Option<String>,
    }

    HealthCheck {
        mode: Option<String>,
        path: Option<String>,
        scheme: Option<String>,
        hostname: Option<String>,
        port: Option<u16>,
        method: Option<String>,
        status: Option<u16>,
        interval: Option<Span>,
        unhealthy_interval: Option<Span>,
        timeout: Option<Span>,
        follow_redirects: Option<bool>,
        headers: IndexMap<String, String>,
        /// Fairlead's own: consecutive failures before a server leaves.
        fall: Option<u32>,
        /// Fairlead's own: consecutive successes before it returns.
        rise: Option<u32>,
    }

    PassiveHealthCheck { failure_window: Option<Span>, max_failed_attempts: Option<u32> }

    /// Fairlead never holds a response back.
    ResponseForwarding { flush_interval: Option<Span> }

    Weighted { services: Vec<WeightedService>, sticky: Switch<Sticky>, health_check: Switch<Nothing> }

    WeightedService { name: Option<String>, weight: Option<i64> }

    Nothing {}

    Failover {
        service: Option<String>,
        fallback: Option<String>,
        health_check: Switch<Nothing>,
        errors: Option<Unsupported>,
    }

    /// Exactly one kind.
    Middleware {
        add_prefix: Option<AddPrefix>,
        strip_prefix: Option<StripPrefix>,
        replace_path: Option<ReplacePath>,
        redirect_scheme: Option<RedirectScheme>,
        redirect_regex: Option<RedirectRegex>,
        headers: Option<Headers>,
        rate_limit: Option<RateLimit>,
        retry: Option<Retry>,
        basic_auth: Option<BasicAuth>,
        ip_allow_list: Option<IpAllowList>,
        ip_white_list: Option<IpAllowList>,
        chain: Option<Chain>,
        /// Fairlead's own.
        info_headers: Switch<Nothing>,
        /// Fairlead's own.
        upgrade_paths: Switch<UpgradePaths>,
        buffering: Option<Unsupported>,
        circuit_breaker: Option<Unsupported>,
        compress: Option<Unsupported>,
        content_type: Option<Unsupported>,
        digest_auth: Option<Unsupported>,
        encoded_characters: Option<Unsupported>,
        errors: Option<Unsupported>,
        forward_auth: Option<Unsupported>,
        grpc_web: Option<Unsupported>,
        in_flight_req: Option<Unsupported>,
        #[serde(rename = "passTLSClientCert")]
        pass_tls_client_cert: Option<Unsupported>,
        plugin: Option<Unsupported>,
        replace_path_regex: Option<Unsupported>,
        strip_prefix_regex: Option<Unsupported>,
    }

    TcpRouter {
        entry_points: Vec<String>,
        rule: Option<String>,
        rule_syntax: Option<String>,
        priority: Option<i64>,
        middlewares: Vec<String>,
        service: Option<String>,
        tls: Switch<TcpRouterTls>,
    }

    TcpRouterTls { passthrough: bool, options: Option<String>, cert_resolver: Option<String>, domains: Vec<Domain> }

    /// Exactly one kind.
    TcpService { load_balancer: Option<TcpLoadBalancer>, weighted: Option<TcpWeighted> }

    TcpLoadBalancer {
        servers: Vec<TcpServer>,
        /// The one server that labels describe.
        server: Option<TcpServer>,
        /// Fairlead's own.
        strategy: Option<String>,
        proxy_protocol: Switch<ProxyProtocol>,
        /// Fairlead's own.
        passive_health_check: Option<PassiveHealthCheck>,
        servers_transport: Option<Unsupported>,
        /// Each direction is open until it ends by itself.
        termination_delay: Option<Ignored>,
        health_check: Option<Unsupported>,
    }

    TcpServer {
        address: Option<String>,
        port: Option<String>,
        tls: bool,
        /// Fairlead's own, written by discovery, as those of [`Server`].
        instance: Option<String>,
        node: Option<String>,
        unreachable: Option<String>,
    }

    ProxyProtocol { version: Option<i64> }

    TcpWeighted { services: Vec<WeightedService>, health_check: Switch<Nothing> }

    /// Exactly one kind.
    TcpMiddleware {
        ip_allow_list: Option<TcpIpAllowList>,
        ip_white_list: Option<TcpIpAllowList>,
        in_flight_conn: Option<Unsupported>,
    }

    TcpIpAllowList { source_range: Vec<String> }

    AddPrefix { prefix: Option<String> }

    StripPrefix { prefixes: Vec<String>, force_slash: Option<Ignored> }

    ReplacePath { path: Option<String> }

    RedirectScheme { scheme: Option<String>, port: Option<String>, permanent: bool }

    RedirectRegex { regex: Option<String>, replacement: Option<String>, permanent: bool }

    Headers {
        custom_request_headers: IndexMap<String, String>,
        custom_response_headers: IndexMap<String, String>,
        /// Fairlead's own: fields that go beside others of their name.
        append_request_headers: Vec<Field>,
        /// Fairlead's own: fields that go beside others of their name.
        append_response_headers: Vec<Field>,
        access_control_allow_credentials: Option<Unsupported>,
        access_control_allow_headers: Option<Unsupported>,
        access_control_allow_methods: Option<Unsupported>,
        access_control_allow_origin_list: Option<Unsupported>,
        access_control_allow_origin_list_regex: Option<Unsupported>,
        access_control_expose_headers: Option<Unsupported>,
        access_control_max_age: Option<Unsupported>,
        add_vary_header: Option<Unsupported>,
        allowed_hosts: Option<Unsupported>,
        hosts_proxy_headers: Option<Unsupported>,
        ssl_proxy_headers: Option<Unsupported>,
        sts_seconds: Option<Unsupported>,
        sts_include_subdomains: Option<Unsupported>,
        sts_preload: Option<Unsupported>,
        #[serde(rename = "forceSTSHeader")]
        force_sts_header: Option<Unsupported>,
        frame_deny: Option<Unsupported>,
        custom_frame_options_value: Option<Unsupported>,
        content_type_nosniff: Option<Unsupported>,
        browser_xss_filter: Option<Unsupported>,
        #[serde(rename = "customBrowserXSSValue")]
        custom_browser_xss_value: Option<Unsupported>,
        content_security_policy: Option<Unsupported>,
        content_security_policy_report_only: Option<Unsupported>,
        public_key: Option<Unsupported>,
        referrer_policy: Option<Unsupported>,
        permissions_policy: Option<Unsupported>,
        is_development: Option<Unsupported>,
        feature_policy: Option<Ignored>,
        ssl_redirect: Option<Ignored>,
        ssl_temporary_redirect: Option<Ignored>,
        ssl_host: Option<Ignored>,
        ssl_force_host: Option<Ignored>,
    }

    Field { name: Option<String>, value: Option<String> }

    RateLimit {
        average: i64,
        period: Option<Span>,
        burst: Option<i64>,
        source_criterion: Option<SourceCriterion>,
        redis: Option<Unsupported>,
    }

    SourceCriterion { ip_strategy: Option<IpStrategy>, request_header_name: Option<String>, request_host: bool }

    IpStrategy {
        depth: i64,
        #[serde(rename = "excludedIPs")]
        excluded_ips: Vec<String>,
        ipv6_subnet: Option<Unsupported>,
    }

    Retry {
        attempts: Option<i64>,
        initial_interval: Option<Span>,
        timeout: Option<Unsupported>,
        max_request_body_bytes: Option<Unsupported>,
        status: Option<Unsupported>,
        disable_retry_on_network_error: Option<Unsupported>,
        retry_non_idempotent_method: Option<Unsupported>,
    }

    BasicAuth {
        users: Vec<String>,
        users_file: Option<Unsupported>,
        realm: Option<String>,
        remove_header: bool,
        header_field: Option<String>,
    }

    IpAllowList { source_range: Vec<String>, ip_strategy: Switch<IpStrategy>, reject_status_code: Option<u16> }

    Chain { middlewares: Vec<String> }

    UpgradePaths { prefixes: Vec<String> }

    Transport {
        server_name: Option<String>,
        insecure_skip_verify: bool,
        #[serde(rename = "rootCAs")]
        root_cas: Vec<String>,
        certificates: Vec<Certificate>,
        cipher_suites: Vec<String>,
        min_version: Option<String>,
        max_version: Option<String>,
        max_idle_conns_per_host: Option<i64>,
        forwarding_timeouts: ForwardingTimeouts,
        #[serde(rename = "disableHTTP2")]
        disable_http2: bool,
        #[serde(rename = "peerCertURI")]
        peer_cert_uri: Option<Unsupported>,
        spiffe: Option<Unsupported>,
    }

    ForwardingTimeouts {
        dial_timeout: Option<Span>,
        response_header_timeout: Option<Span>,
        idle_conn_timeout: Option<Span>,
        read_idle_timeout: Option<Ignored>,
        ping_timeout: Option<Ignored>,
    }

    Certificate { cert_file: Option<String>, key_file: Option<String>, stores: Vec<String> }

    TlsOptions {
        min_version: Option<String>,
        max_version: Option<String>,
        cipher_suites: Vec<String>,
        curve_preferences: Vec<String>,
        client_auth: Option<ClientAuth>,
        sni_strict: bool,
        alpn_protocols: Vec<String>,
        disable_session_tickets: bool,
        prefer_server_cipher_suites: Option<Ignored>,
    }

    ClientAuth { ca_files: Vec<String>, client_auth_type: Option<String> }

    TlsStore { default_certificate: Option<Certificate>, default_generated_cert: Option<Unsupported> }
}
