//! The static configuration as written. Every key of Traefik v3 is here: those that Fairlead has not, marked so.

pub(super) mod docker;
pub(super) mod rancher;

use crate::config::decode::{Ignored, Old, Span, Switch, Unsupported};
use indexmap::IndexMap;
use serde::Deserialize;

/// Options at the top, for the environment's sake.
pub(in crate::config) const TOP_LEVEL: &[&str] = &[
    "configFile",
    "entryPoints",
    "providers",
    "api",
    "ping",
    "log",
    "accessLog",
    "metrics",
    "tracing",
    "serversTransport",
    "core",
    "global",
    "fairlead",
    "certificatesResolvers",
    "tcpServersTransport",
    "hostResolver",
    "spiffe",
    "ocsp",
    "experimental",
];

/// Options below `fairlead`.
pub(in crate::config) const OWN_KEYS: &[&str] = &["workers", "requestId", "reasonHeader", "health", "limits", "admin"];

macro_rules! raw {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name {
            $($(#[$attr])* pub(super) $field: $type,)*
        }
    )*};
}

raw! {
    Static {
        config_file: Option<String>,
        entry_points: IndexMap<String, EntryPoint>,
        providers: Providers,
        api: Switch<Api>,
        ping: Switch<Ping>,
        log: Switch<Log>,
        access_log: Switch<AccessLog>,
        metrics: Metrics,
        tracing: Switch<Tracing>,
        servers_transport: ServersTransport,
        core: Core,
        global: Global,
        fairlead: Fairlead,
        certificates_resolvers: Option<Unsupported>,
        tcp_servers_transport: Option<Unsupported>,
        host_resolver: Option<Unsupported>,
        spiffe: Option<Unsupported>,
        ocsp: Option<Unsupported>,
        experimental: Option<Unsupported>,
        // Sections of the dynamic configuration, to say so when they stand here.
        http: Option<Dynamic>,
        tcp: Option<Dynamic>,
        udp: Option<Dynamic>,
        tls: Option<Dynamic>,
        /// Traefik 1's, for every provider that reads labels.
        constraints: Vec<String>,
        // Traefik 1's spellings without an equivalent; the others were translated.
        consul: Option<Old>,
        #[serde(rename = "consulCatalog")]
        consul_catalog: Option<Old>,
        etcd: Option<Old>,
        etcdv3: Option<Old>,
        zookeeper: Option<Old>,
        boltdb: Option<Old>,
        kubernetes: Option<Old>,
        marathon: Option<Old>,
        mesos: Option<Old>,
        ecs: Option<Old>,
        eureka: Option<Old>,
        dynamodb: Option<Old>,
        file: Option<Old>,
        rest: Option<Old>,
        acme: Option<Old>,
        traefik_log: Option<Old>,
        retry: Option<Old>,
        responding_timeouts: Option<Old>,
        life_cycle: Option<Old>,
        grace_time_out: Option<Old>,
        keep_trailing_slash: Option<Old>,
        allow_min_weight_zero: Option<Old>,
    }

    EntryPoint {
        address: Option<String>,
        as_default: bool,
        reuse_port: bool,
        #[serde(rename = "allowACMEByPass")]
        allow_acme_by_pass: Option<Unsupported>,
        transport: Transport,
        proxy_protocol: Switch<Trust>,
        forwarded_headers: ForwardedHeaders,
        http: Http,
        http2: Http2,
        http3: Option<Unsupported>,
        udp: Udp,
        observability: Observability,
    }

    Transport {
        life_cycle: LifeCycle,
        responding_timeouts: RespondingTimeouts,
        keep_alive_max_time: Option<Span>,
        keep_alive_max_requests: Option<u64>,
    }

    LifeCycle { request_accept_grace_timeout: Option<Span>, grace_time_out: Option<Span> }

    RespondingTimeouts { read_timeout: Option<Span>, write_timeout: Option<Span>, idle_timeout: Option<Span> }

    Trust {
        insecure: bool,
        #[serde(rename = "trustedIPs")]
        trusted_ips: Vec<String>,
    }

    ForwardedHeaders {
        insecure: bool,
        #[serde(rename = "trustedIPs")]
        trusted_ips: Vec<String>,
        connection: Vec<String>,
        not_append_x_forwarded_for: bool,
    }

    Http {
        redirections: Redirections,
        middlewares: Vec<String>,
        tls: Switch<HttpTls>,
        encoded_characters: Option<EncodedCharacters>,
        max_header_bytes: Option<u32>,
        sanitize_path: Option<bool>,
        underscore_headers_strategy: Option<String>,
        encode_query_semicolons: bool,
        /// Fairlead's own.
        unmatched_status: Option<u16>,
    }

    Redirections { entry_point: Option<Redirection> }

    Redirection { to: Option<String>, scheme: Option<String>, permanent: Option<bool>, priority: Option<i64> }

    HttpTls { options: Option<String>, cert_resolver: Option<String>, domains: Vec<Domain> }

    Domain { main: Option<String>, sans: Vec<String> }

    EncodedCharacters {
        allow_encoded_slash: Option<bool>,
        allow_encoded_back_slash: Option<bool>,
        allow_encoded_null_character: Option<bool>,
        allow_encoded_semicolon: Option<bool>,
        allow_encoded_percent: Option<bool>,
        allow_encoded_question_mark: Option<bool>,
        allow_encoded_hash: Option<bool>,
    }

    Http2 {
        max_concurrent_streams: Option<u32>,
        max_decoder_header_table_size: Option<u32>,
        max_encoder_header_table_size: Option<u32>,
    }

    Udp { timeout: Option<Span> }

    Observability {
        access_logs: Option<bool>,
        metrics: Option<bool>,
        tracing: Option<bool>,
        trace_verbosity: Option<String>,
    }

    Providers {
        providers_throttle_duration: Option<Span>,
        precedence: Option<Ignored>,
        file: Option<File>,
        etcd: Switch<Etcd>,
        docker: docker::Provider,
        swarm: docker::Provider,
        kontena: Switch<Kontena>,
        consul: Option<Unsupported>,
        consul_catalog: Option<Unsupported>,
        redis: Option<Unsupported>,
        zoo_keeper: Option<Unsupported>,
        http: Option<Unsupported>,
        rest: Option<Unsupported>,
        nomad: Option<Unsupported>,
        ecs: Option<Unsupported>,
        rancher: Switch<rancher::Rancher>,
        marathon: Option<Unsupported>,
        kubernetes_ingress: Option<Unsupported>,
        #[serde(rename = "kubernetesIngressNGINX")]
        kubernetes_ingress_nginx: Option<Unsupported>,
        #[serde(rename = "kubernetesCRD")]
        kubernetes_crd: Option<Unsupported>,
        kubernetes_gateway: Option<Unsupported>,
        knative: Option<Unsupported>,
        plugin: Option<Unsupported>,
    }

    File {
        filename: Option<String>,
        directory: Option<String>,
        watch: Option<bool>,
        debug_log_generated_template: Option<Ignored>,
    }

    Etcd {
        endpoints: Vec<String>,
        root_key: Option<String>,
        username: Option<String>,
        password: Option<String>,
        tls: Option<ClientTls>,
    }

    Kontena {
        endpoints: Vec<String>,
        load_balancer: Option<String>,
        stack: Option<String>,
        api: Option<String>,
        refresh_seconds: Option<Span>,
        username: Option<String>,
        password: Option<String>,
        tls: Option<ClientTls>,
        ssl_certs: Option<String>,
        /// One certificate each, by a name of the operator's.
        ssl_cert: IndexMap<String, String>,
        ssl_ciphers: Option<String>,
        http2: Option<bool>,
        health_uri: Option<String>,
    }

    ClientTls { ca: Option<String>, cert: Option<String>, key: Option<String>, insecure_skip_verify: bool }

    Api {
        insecure: bool,
        dashboard: Option<bool>,
        debug: bool,
        base_path: Option<String>,
        disable_dashboard_ad: Option<Ignored>,
        dashboard_name: Option<Ignored>,
    }

    Ping { entry_point: Option<String>, manual_routing: bool, terminating_status_code: Option<u16> }

    Log {
        level: Option<String>,
        format: Option<String>,
        file_path: Option<String>,
        no_color: Option<bool>,
        max_size: Option<Ignored>,
        max_age: Option<Ignored>,
        max_backups: Option<Ignored>,
        compress: Option<Ignored>,
        otlp: Option<Unsupported>,
    }

    AccessLog {
        file_path: Option<String>,
        format: Option<String>,
        buffering_size: Option<u32>,
        add_internals: bool,
        filters: Filters,
        fields: Fields,
        dual_output: Option<Unsupported>,
        otlp: Option<Unsupported>,
    }

    Filters { status_codes: Vec<String>, retry_attempts: bool, min_duration: Option<Span> }

    Fields {
        default_mode: Option<String>,
        names: IndexMap<String, String>,
        headers: HeaderFields,
        query_parameters: DefaultMode,
    }

    HeaderFields { default_mode: Option<String>, names: IndexMap<String, String> }

    DefaultMode { default_mode: Option<String> }

    Metrics {
        add_internals: bool,
        prometheus: Switch<Prometheus>,
        otlp: Option<Unsupported>,
        datadog: Option<Unsupported>,
        #[serde(rename = "statsD")]
        stats_d: Option<Unsupported>,
        #[serde(rename = "influxDB2")]
        influx_db2: Option<Unsupported>,
    }

    Prometheus {
        entry_point: Option<String>,
        buckets: Vec<f64>,
        add_entry_points_labels: Option<bool>,
        add_routers_labels: Option<bool>,
        add_services_labels: Option<bool>,
        manual_routing: bool,
        header_labels: Option<Unsupported>,
    }

    Tracing {
        service_name: Option<String>,
        resource_attributes: IndexMap<String, String>,
        global_attributes: IndexMap<String, String>,
        sample_rate: Option<f64>,
        captured_request_headers: Vec<String>,
        captured_response_headers: Vec<String>,
        safe_query_params: Vec<String>,
        add_internals: bool,
        otlp: Switch<Otlp>,
    }

    Otlp { http: Switch<OtlpHttp>, grpc: Switch<OtlpGrpc> }

    OtlpHttp { endpoint: Option<String>, headers: IndexMap<String, String>, tls: Option<ClientTls> }

    OtlpGrpc { endpoint: Option<String>, insecure: bool, headers: IndexMap<String, String>, tls: Option<ClientTls> }

    ServersTransport {
        insecure_skip_verify: bool,
        #[serde(rename = "rootCAs")]
        root_cas: Vec<String>,
        max_idle_conns_per_host: Option<i64>,
        forwarding_timeouts: ForwardingTimeouts,
        spiffe: Option<Unsupported>,
    }

    ForwardingTimeouts {
        dial_timeout: Option<Span>,
        response_header_timeout: Option<Span>,
        idle_conn_timeout: Option<Span>,
        read_idle_timeout: Option<Ignored>,
        ping_timeout: Option<Ignored>,
    }

    Core { default_rule_syntax: Option<String> }

    /// Nothing here has an effect: Fairlead asks nobody for new versions and reports to nobody.
    Global {
        check_new_version: Option<bool>,
        send_anonymous_usage: Option<bool>,
        not_append_x_forwarded_for: Option<Ignored>,
    }

    Fairlead {
        workers: Option<u32>,
        request_id: Switch<RequestId>,
        reason_header: Option<String>,
        health: Health,
        limits: Limits,
        admin: Admin,
    }

    RequestId { header: Option<String>, trust_incoming: bool }

    Health { rise: Option<u32>, fall: Option<u32> }

    Admin { address: Option<String> }

    Limits {
        header_fields: Option<u32>,
        uri_bytes: Option<u32>,
        header_timeout: Option<Span>,
        body_idle_timeout: Option<Span>,
        body_min_rate: Option<u64>,
        tls_handshake_timeout: Option<Span>,
        connections_per_ip: Option<u32>,
        connections: Option<u32>,
        http2_header_list_bytes: Option<u32>,
        http2_resets: Option<u32>,
        response_header_bytes: Option<u32>,
        interim_responses: Option<u32>,
    }
}

/// A section that belongs into the dynamic configuration.
pub(super) type Dynamic = crate::config::decode::Misplaced;
