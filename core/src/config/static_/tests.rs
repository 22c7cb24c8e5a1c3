use super::*;
use crate::config::{
    Rejection, Severity, Tree, env,
    file::{Format, parse},
    flags,
};

fn file(text: &str) -> Tree {
    parse(text, Format::Yaml, "fairlead.yaml", 1 << 20).unwrap()
}

fn flags(text: &str) -> Tree {
    flags::tree(&text.split(' ').filter(|arg| !arg.is_empty()).map(str::to_owned).collect::<Vec<_>>()).unwrap()
}

fn resolved(tree: &Tree) -> StaticConfig {
    match resolve_static(tree) {
        Ok((config, _)) => config,
        Err(rejections) => panic!("{rejections:#?}"),
    }
}

fn refused(tree: &Tree) -> Vec<Rejection> {
    resolve_static(tree).unwrap_err()
}

fn loopback(port: u16) -> Address {
    Address { ip: Some("127.0.0.1".parse().unwrap()), port, protocol: Protocol::Tcp }
}

#[test]
fn nothing_at_all_listens_on_80_and_443_and_says_so() {
    let (config, rejections) = resolve_static(&flags("")).unwrap();
    assert_eq!(config.entry_points.keys().collect::<Vec<_>>(), ["http", "https"]);
    assert_eq!(config.entry_points["http"].address, Address { ip: None, port: 80, protocol: Protocol::Tcp });
    assert_eq!(config.entry_points["https"].address, Address { ip: None, port: 443, protocol: Protocol::Tcp });
    assert!(config.entry_points["http"].http.tls.is_none() && config.entry_points["https"].http.tls.is_some());
    assert_eq!(config.default_entry_points[..], ["http", "https"]);
    assert_eq!(rejections.len(), 1);
    assert!(rejections[0].severity == Severity::Warning && rejections[0].to_string().contains(":80"), "{}", rejections[0]);
}

#[test]
fn addresses_are_read() {
    let tcp = |ip: Option<&str>, port| Ok(Address { ip: ip.map(|ip| ip.parse().unwrap()), port, protocol: Protocol::Tcp });
    assert_eq!(parse::address(":80"), tcp(None, 80));
    assert_eq!(parse::address("*:80"), tcp(None, 80));
    assert_eq!(parse::address("[::]:80"), tcp(Some("::"), 80));
    assert_eq!(parse::address("0.0.0.0:443/TCP"), tcp(Some("0.0.0.0"), 443));
    assert_eq!(parse::address("localhost:0"), tcp(Some("127.0.0.1"), 0));
    assert_eq!(parse::address(":53/udp"), Ok(Address { ip: None, port: 53, protocol: Protocol::Udp }));
    for text in ["80", "", ":", ":+80", ":65536", "::1:80", "[1.2.3.4]:80", "example.com:80", ":80/sctp", "[::1:80"] {
        assert!(parse::address(text).is_err(), "{text}");
    }
}

#[test]
fn defaults_are_traefiks_and_limits_are_ours() {
    let config = resolved(&flags("--entryPoints.web.address=:80"));
    let web = &config.entry_points["web"];
    assert_eq!(web.timeouts.read, None, "a whole upload may take as long as it likes, if it keeps moving");
    assert_eq!(web.timeouts.idle, Some(Duration::from_secs(180)));
    assert_eq!((web.timeouts.write, web.life_cycle.grace), (None, Duration::from_secs(10)));
    assert_eq!(web.http2.max_concurrent_streams, 250);
    assert_eq!(web.http.max_header_bytes, 32 << 10);
    assert!(web.http.sanitize_path && web.http.encoded_characters.is_none());
    assert_eq!((config.limits.header_fields, config.limits.uri_bytes), (100, 8192));
    assert_eq!(config.servers_transport.max_idle_per_server, 200);
    assert_eq!((config.api, config.ping, config.prometheus, config.access_log), (None, None, None, None));
}

#[test]
fn the_administration_listens_on_loopback_unless_told_otherwise() {
    for args in ["--api.insecure", "--api --api.insecure=true", "--ping", "--ping=true", "--metrics.prometheus"] {
        let config = resolved(&flags(&format!("--entryPoints.web.address=:80 {args}")));
        assert_eq!(config.entry_points["traefik"].address, loopback(8080), "{args}");
        assert_eq!(config.default_entry_points[..], ["web"], "{args}");
    }
    let config = resolved(&flags("--entryPoints.web.address=:80 --api"));
    assert!(!config.entry_points.contains_key("traefik"), "the API alone is routed by the operator");
    let config = resolved(&flags("--ping --entryPoints.web.address=:80 --ping.entryPoint=web"));
    assert!(!config.entry_points.contains_key("traefik"));
    let config = resolved(&flags("--ping --entryPoints.traefik.address=:9000"));
    assert_eq!(config.entry_points["traefik"].address.port, 9000);
    let config = resolved(&flags("--ping --fairlead.admin.address=127.0.0.1:9001"));
    assert_eq!(config.entry_points["traefik"].address, loopback(9001));
}

#[test]
fn an_entry_point_answers_what_nobody_takes_with_404_or_503() {
    let status =
        |more: &str| resolved(&flags(&format!("--entryPoints.web.address=:80 {more}"))).entry_points["web"].http.unmatched_status;
    assert_eq!((status(""), status("--entryPoints.web.http.unmatchedStatus=503")), (404, 503));
    let refused = refused(&flags("--entryPoints.web.address=:80 --entryPoints.web.http.unmatchedStatus=200"));
    assert!(refused[0].key.ends_with("unmatchedStatus") && refused[0].message.contains("expected 404 or 503"), "{refused:?}");
}

#[test]
fn default_entry_points_are_the_marked_ones_or_all_but_the_administration() {
    let base = "--entryPoints.a.address=:1 --entryPoints.b.address=:2 --entryPoints.u.address=:3/udp --ping";
    assert_eq!(resolved(&flags(base)).default_entry_points[..], ["a", "b"]);
    assert_eq!(resolved(&flags(&format!("{base} --entryPoints.b.asDefault"))).default_entry_points[..], ["b"]);
}

#[test]
fn flags_go_over_environment_over_file() {
    let file = file(
        "entryPoints:\n  Web:\n    address: ':1'\n    transport: {respondingTimeouts: {readTimeout: 1s, idleTimeout: 2s}}\napi: {dashboard: false}\nlog: {level: INFO}\n",
    );
    let vars = [("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":2"), ("FAIRLEAD_LOG_LEVEL", "warn")];
    let (env, rejections) = env::tree(vars.into_iter());
    assert_eq!(rejections, []);
    let flags = flags("--entrypoints.web.transport.respondingtimeouts.readtimeout=3 --api --log.level=DEBUG");
    let config = resolved(&file.overlaid(env).overlaid(flags));
    let web = &config.entry_points["Web"];
    assert_eq!(web.address.port, 2);
    assert_eq!((web.timeouts.read, web.timeouts.idle), (Some(Duration::from_secs(3)), Some(Duration::from_secs(2))));
    assert!(!config.api.unwrap().dashboard, "a bare flag keeps what the file says below it");
    assert_eq!(config.log.level, Level::Debug);
}

#[test]
fn a_mistake_is_named_in_the_source_that_made_it() {
    let tree = file("entryPoints: {web: {address: ':80'}}\nlog:\n  levle: INFO\n")
        .overlaid(flags("--pign --entryPoints.web.adress=:81"));
    let rejections = refused(&tree);
    let found: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    assert!(
        found.iter().any(|text| text == "fairlead.yaml:3: log.levle: unknown key `levle` (did you mean `level`?)"),
        "{found:?}"
    );
    assert!(found.iter().any(|text| text == "flag: --pign: unknown key `pign` (did you mean `ping`?)"), "{found:?}");
    assert!(
        found.iter().any(|text| text == "flag: --entryPoints.web.adress: unknown key `adress` (did you mean `address`?)"),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn a_whole_file_is_read() {
    let config = resolved(&file(
        r#"
entryPoints:
  web:
    address: ":80"
    forwardedHeaders: {trustedIPs: [10.0.0.0/8, "2001:db8::1"]}
    proxyProtocol: {trustedIPs: 192.0.2.1}
    http:
      redirections: {entryPoint: {to: websecure}}
  websecure:
    address: ":8443"
    asDefault: true
    http:
      tls: {}
      middlewares: [secure@file]
      encodedCharacters: {allowEncodedSlash: false}
      underscoreHeadersStrategy: delete
    http2: {maxConcurrentStreams: 100}
    observability: {accessLogs: false}
providers:
  file: {directory: /etc/dynamic, watch: false}
  etcd: {endpoints: ["http://etcd:2379", "10.0.0.2:2379"], username: root, password: hush, tls: {ca: /ca.pem}}
  providersThrottleDuration: 100ms
api: {insecure: true, basePath: /admin/}
ping: {terminatingStatusCode: 204}
accessLog:
  format: json
  filters: {statusCodes: ["404", "500-599"], minDuration: 10ms}
  fields: {defaultMode: drop, names: {ClientHost: keep}, headers: {names: {User-Agent: redact}}}
metrics: {prometheus: {buckets: [0.1, 1], addRoutersLabels: true}}
tracing: {serviceName: edge, sampleRate: 0.25, otlp: {http: {endpoint: "http://collector:4318/v1/traces", headers: {Authorization: secret}}}}
serversTransport: {maxIdleConnsPerHost: 7, forwardingTimeouts: {dialTimeout: 2s}}
core: {defaultRuleSyntax: v2}
global: {checkNewVersion: false, sendAnonymousUsage: false}
fairlead:
  workers: 2
  requestId: {header: X-Req, trustIncoming: true}
  reasonHeader: true
  health: {rise: 2, fall: 3}
  limits: {connectionsPerIp: 0, headerTimeout: 3}
"#,
    ));
    let (web, secure) = (&config.entry_points["web"], &config.entry_points["websecure"]);
    assert_eq!(web.forwarded_headers.trusted.len(), 2);
    assert_eq!(web.proxy_protocol.as_ref().unwrap().trusted[0].prefix, 32);
    let redirection = web.http.redirection.as_ref().unwrap();
    assert_eq!((redirection.to.as_str(), redirection.port, redirection.scheme.as_str()), ("websecure", Some(8443), "https"));
    assert!(redirection.permanent && redirection.priority == i64::MAX - 1);
    assert_eq!(secure.http.tls, Some(EntryPointTls::default()));
    assert_eq!(secure.http.middlewares, ["secure@file"]);
    assert!(!secure.http.encoded_characters.unwrap().slash && secure.http.encoded_characters.unwrap().hash);
    assert_eq!(secure.http.underscore_headers, UnderscoreHeaders::Delete);
    assert!(!secure.observability.access_log && secure.observability.metrics);
    assert_eq!(config.default_entry_points[..], ["websecure"]);
    assert_eq!(config.providers.file, Some(FileProvider { path: FilePath::Directory("/etc/dynamic".to_owned()), watch: false }));
    let etcd = config.providers.etcd.as_ref().unwrap();
    assert_eq!(etcd.endpoints, ["etcd:2379", "10.0.0.2:2379"]);
    assert_eq!((etcd.root_key.as_str(), etcd.password.reveal()), ("traefik", "hush"));
    assert!(!format!("{config:?}").contains("hush") && !format!("{config:?}").contains("secret"));
    assert_eq!(config.providers.throttle, Some(Duration::from_millis(100)));
    assert_eq!(config.api.as_ref().unwrap().base_path, "/admin");
    let log = config.access_log.as_ref().unwrap();
    assert_eq!(log.filters.status_codes, [(404, 404), (500, 599)]);
    assert_eq!((log.fields.names["clienthost"], log.fields.headers["user-agent"]), (FieldMode::Keep, FieldMode::Redact));
    assert_eq!(config.tracing.as_ref().unwrap().otlp.protocol, OtlpProtocol::Http);
    assert_eq!(
        (config.servers_transport.max_idle_per_server, config.servers_transport.dial_timeout),
        (7, Duration::from_secs(2))
    );
    assert_eq!(config.default_rule_syntax, Syntax::V2);
    assert_eq!(config.request_id, Some(RequestId { header: "x-req".to_owned(), trust_incoming: true }));
    assert_eq!(config.reason_header.as_deref(), Some("x-fairlead-reason"));
    assert_eq!((config.health.rise, config.health.fall, config.workers), (2, 3, Some(2)));
    assert_eq!((config.limits.connections_per_ip, config.limits.header_timeout), (None, Duration::from_secs(3)));
    assert_eq!(config.ping.unwrap().terminating_status, 204);
}

/// Each: what was written, and words that its one rejection must hold: source, key, remedy.
#[test]
fn wrong_static_configurations_say_where_what_and_what_to_do() {
    let table: &[(&str, &[&str])] = &[
        ("--entryPoints.web.address=80", &["flag: --entryPoints.web.address:", "expected `[address]:port`", ":80"]),
        ("--entryPoints.web.asDefault", &["--entryPoints.web.address:", "needs an address", ":80"]),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.http3",
            &["--entryPoints.web.http3:", "not supported yet", "remove it"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.transport.lifeCycle.graceTimeOut=1d",
            &["graceTimeOut:", "duration", "1m30s"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.proxyProtocol",
            &["--entryPoints.web.proxyProtocol:", "nobody", "trustedIPs"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.forwardedHeaders.trustedIPs=10.0.0.0/33",
            &["trustedIPs:", "`10.0.0.0/33`", "10.0.0.0/8"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.http.redirections.entryPoint.to=websecur --entryPoints.websecure.address=:443",
            &["entryPoint.to:", "`websecur`", "did you mean `websecure`?"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.http.redirections.entryPoint.to=web",
            &["entryPoint.to:", "back to itself", "HTTPS"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.http.tls.certResolver=le",
            &["certResolver:", "not supported yet", "tls.certificates"],
        ),
        (
            "--entryPoints.web.address=:80 --entryPoints.web.http.underscoreHeadersStrategy=drop",
            &["underscoreHeadersStrategy:", "`drop`", "keep, delete or reject"],
        ),
        ("--certificatesResolvers.le.acme.email=a@b", &["flag: --certificatesResolvers:", "not supported yet", "remove it"]),
        ("--providers.consul", &["--providers.consul:", "not supported yet", "remove it"]),
        (
            "--providers.swarm.endpoint=ssh://me@host",
            &["--providers.swarm.endpoint:", "`ssh://me@host`", "unix:///var/run/docker.sock"],
        ),
        ("--providers.swarm.labels=traefik,nomad", &["--providers.swarm.labels:", "`nomad`", "every language"]),
        ("--providers.swarm.swarmMode", &["--providers.swarm.swarmMode:", "not an option", "refreshSeconds"]),
        ("--providers.swarm.refreshSeconds=1ms", &["refreshSeconds:", "100ms", "write 1s"]),
        ("--providers.dokcer", &["--providers.dokcer:", "unknown key `dokcer`", "did you mean `docker`?"]),
        ("--providers.file.filname=x", &["--providers.file.filname:", "unknown key", "did you mean `filename`?"]),
        ("--providers.file.watch", &["--providers.file:", "expected `filename` or `directory`", "name the file"]),
        ("--providers.etcd.endpoints=etcd", &["--providers.etcd.endpoints:", "host:port", "etcd.internal:2379"]),
        ("--providers.etcd.username=root", &["--providers.etcd.password:", "go together", "both"]),
        ("--api.basePath=admin", &["--api.basePath:", "expected a path", "/admin"]),
        (
            "--ping.entryPoint=wbe --entryPoints.web.address=:80",
            &["--ping.entryPoint:", "no entry point `wbe`", "did you mean `web`?"],
        ),
        ("--log.level=LOUD", &["--log.level:", "`LOUD`", "INFO"]),
        ("--accessLog.format=xml", &["--accessLog.format:", "`xml`", "common, genericCLF or json"]),
        ("--accessLog.filters.statusCodes=abc", &["statusCodes:", "`abc`", "500-599"]),
        ("--metrics.prometheus.buckets=3,1", &["buckets:", "rising", "0.1,0.3"]),
        ("--metrics.datadog", &["--metrics.datadog:", "not supported yet", "remove it"]),
        ("--tracing.sampleRate=7", &["--tracing.sampleRate:", "from 0 to 1", "0.1"]),
        ("--tracing.otlp.http.endpoint=collector", &["endpoint:", "expected a URL", "http://"]),
        ("--core.defaultRuleSyntax=v4", &["defaultRuleSyntax:", "v2 or v3", "write v3"]),
        ("--fairlead.workers=many", &["--fairlead.workers:", "`many`", "whole number"]),
        ("--fairlead.limits.headerTimeout=0", &["headerTimeout:", "more than nothing", "10s"]),
        ("--fairlead.admin.address=localhost", &["--fairlead.admin.address:", "expected", "127.0.0.1:8080"]),
        ("--http.routers.web.rule=x", &["flag: --http:", "dynamic configuration", "providers.file.filename"]),
        ("--providers.rancher.metadata=false", &["--providers.rancher.metadata:", "API", "write true"]),
        ("--providers.rancher.accessKey=x", &["--providers.rancher.accessKey:", "not supported yet", "remove it"]),
        (
            "--providers.rancher.endpoint=ftp://x",
            &["--providers.rancher.endpoint:", "`ftp://x`", "rancher-metadata.rancher.internal"],
        ),
        ("--providers.rancher.prefix=a/b", &["--providers.rancher.prefix:", "`a/b`", "latest"]),
        ("--providers.rancher.refreshSeconds=10ms", &["--providers.rancher.refreshSeconds:", "at least 1s", "15s"]),
        ("--providers.rancher.labels=interlock", &["--providers.rancher.labels:", "`interlock`", "traefik1"]),
        (
            "--providers.rancher.constraints=Label(`a`)",
            &["--providers.rancher.constraints:", "expected `tag==`", "tag==my-stack"],
        ),
        // What Traefik 1 had and has no equivalent.
        ("--rancher --constraints=name==x", &["flag: --constraints:", "expected `tag==`", "`name==x`"]),
        ("--rancher.metadata=false", &["flag: --rancher.metadata:", "API", "write true"]),
        ("--rancher.api.endpoint=http://x", &["flag: --rancher.api:", "not supported yet"]),
        ("--etcd.endpoint=x:2379", &["flag: --etcd:", "Traefik 1's spelling", "providers.etcd.endpoints"]),
        ("--file", &["flag: --file:", "Traefik 1's spelling", "providers.file.filename"]),
        ("--acme.email=a@b", &["flag: --acme:", "Traefik 1's spelling", "tls.certificates"]),
        ("--web.auth.basic.users=a:b", &["flag: --web.auth:", "no equivalent", "middlewares"]),
        ("--traefikLog.maxSize=1", &["flag: --traefikLog:", "Traefik 1's spelling", "log.filePath"]),
        ("--entryPoints=Address::80", &["flag: --entryPoints:", "expected `Name:", "Name:http Address::80"]),
        (
            "--defaultEntryPoints=web --entryPoints.http.address=:80",
            &["--defaultEntryPoints:", "no entry point `web`", "declare it"],
        ),
    ];
    for (args, words) in table {
        let tree = flags(args);
        let errors: Vec<Rejection> =
            refused(&tree).into_iter().filter(|rejection| rejection.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{args}: {errors:#?}");
        let text = errors[0].to_string();
        for word in *words {
            assert!(text.contains(word), "{args}: {word:?} is not in {text:?}");
        }
    }
}

#[test]
fn docker_and_swarm_have_traefiks_options_and_defaults() {
    let (config, _) = resolve_static(&flags("--providers.swarm --providers.docker.endpoint=tcp://proxy:2375")).unwrap();
    let (swarm, docker) = (config.providers.swarm.unwrap(), config.providers.docker.unwrap());
    assert_eq!(swarm.endpoints, ["unix:///var/run/docker.sock"]);
    assert_eq!((swarm.swarm, swarm.refresh, swarm.watch), (true, Duration::from_secs(1), true));
    assert_eq!((docker.swarm, docker.settings.provider.as_str()), (false, "docker"));
    assert!(swarm.settings.exposed_by_default && swarm.settings.languages.len() == 4);

    let (config, rejections) = resolve_static(&flags(
        "--providers.swarm.endpoint=https://a:2376,tcp://b:2375 --providers.swarm.tls.insecureSkipVerify --providers.swarm.refreshSeconds=3 \
         --providers.swarm.network=front --providers.swarm.exposedByDefault=false --providers.swarm.useBindPortIP \
         --providers.swarm.labels=interlock,mesh --providers.swarm.interlock.serviceCluster=eu --providers.swarm.httpClientTimeout=300"
    )).unwrap();
    assert!(!rejections.iter().any(|rejection| rejection.key.contains("providers")), "{rejections:?}");
    let swarm = config.providers.swarm.unwrap();
    assert_eq!(swarm.endpoints, ["https://a:2376", "tcp://b:2375"]);
    assert_eq!((swarm.refresh, swarm.timeout), (Duration::from_secs(3), Some(Duration::from_secs(300))));
    assert!(swarm.tls.unwrap().insecure_skip_verify && swarm.settings.use_bind_port_ip && !swarm.settings.exposed_by_default);
    assert_eq!((swarm.settings.network.as_str(), swarm.settings.interlock.service_cluster.as_str()), ("front", "eu"));
    assert_eq!(swarm.settings.languages.len(), 2);
}

#[test]
fn the_swarm_mode_of_traefik_2_is_understood_with_a_warning() {
    let (config, rejections) =
        resolve_static(&flags("--providers.docker.swarmMode --providers.docker.swarmModeRefreshSeconds=15")).unwrap();
    let docker = config.providers.docker.unwrap();
    assert_eq!((docker.swarm, docker.refresh, docker.settings.provider.as_str()), (true, Duration::from_secs(15), "docker"));
    let told = rejections.iter().find(|rejection| rejection.key.ends_with("swarmMode")).unwrap();
    assert!(told.remedy.contains("providers.swarm"), "{told}");
}
