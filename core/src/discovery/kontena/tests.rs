use super::*;
use crate::{
    Name,
    config::{
        Config, Severity, StaticConfig, Style, Tree as Options,
        dynamic::{LoadBalancer, MiddlewareKind, ServiceKind, Strategy},
        env, flags, resolve, resolve_static,
        static_::{Address, EntryPoint, EtcdApi, KontenaProvider, Protocol},
    },
    http::VecFields,
    snapshot::{
        Snapshot,
        tests::{WEB, host, request, snapshot},
    },
};
use std::{sync::Arc, time::Duration};

const ROOT: &str = "/kontena/haproxy/lb";

fn resolved(pairs: &[(&str, &str)], last: Option<&Config>) -> (Config, Vec<Rejection>) {
    let mut options = StaticConfig::default();
    let address = Address { ip: None, port: 80, protocol: Protocol::Tcp };
    options.entry_points.insert("web".into(), EntryPoint::new("web", address));
    let address = Address { ip: None, port: 3306, protocol: Protocol::Tcp };
    options.entry_points.insert("mysql".into(), EntryPoint::new("mysql", address));
    options.default_entry_points = ["web".into()].into();
    let ports = [(80, "web".to_owned()), (3306, "mysql".to_owned())].into();
    let (raw, mut rejections) = compose(&Tree::read(pairs.iter().copied()), ROOT, &ports);
    let (config, more) = resolve(&[("kontena".to_owned(), raw)].into(), &options, last);
    rejections.extend(more);
    (config, rejections)
}

fn clean(pairs: &[(&str, &str)]) -> Config {
    let (config, rejections) = resolved(pairs, None);
    assert_eq!(rejections, []);
    config
}

fn balancer(config: &Config, name: &str) -> LoadBalancer {
    match &config.services[&Name::qualify(name, "kontena")].kind {
        ServiceKind::LoadBalancer(balancer) => LoadBalancer::clone(balancer),
        other => panic!("{other:?}"),
    }
}

/// Kinds of the middlewares before a service, in order.
fn kinds(config: &Config, router: &str) -> Vec<MiddlewareKind> {
    let router = &config.routers[&Name::qualify(router, "kontena")];
    router.middlewares.iter().map(|name| config.middlewares[name].kind.clone()).collect()
}

fn routed(snapshot: &Snapshot, host_name: &str, path: &str) -> Option<String> {
    let (host, fields) = (host(host_name), VecFields::default());
    snapshot.route(WEB, false, &request(&host, path, "GET", &fields)).map(|router| router.name.local().to_owned())
}

#[test]
fn the_documents_own_example_is_served() {
    let config = clean(&[
        ("services/web/balance", "roundrobin"),
        ("services/web/virtual_hosts", "www.kontena.io,kontena.io"),
        ("services/web/upstreams/web-1", "10.81.128.5:80"),
        ("services/web/upstreams/web-2", "10.81.128.6:80"),
        ("services/api/balance", "roundrobin"),
        ("services/api/virtual_path", "/api"),
        ("services/api/unheard_of", "x"),
        ("services/api/upstreams/api-1", "10.81.128.7:8080"),
        ("certs/bundle", "true"),
    ]);
    let table = snapshot(&config);
    for (host, path, expected) in [
        ("www.kontena.io", "/", Some("web")),
        ("KONTENA.io", "/api/x", Some("web")),
        ("other.io", "/api/x", Some("api")),
        ("other.io", "/apix", Some("api")),
        ("other.io", "/", None),
    ] {
        assert_eq!(routed(&table, host, path).as_deref(), expected, "{host}{path}");
    }
    let web = balancer(&config, "web");
    let servers: Vec<_> = web.servers.iter().map(|server| (&*server.url.text, server.instance.as_str())).collect();
    assert_eq!(servers, [("http://10.81.128.5:80", "web-1"), ("http://10.81.128.6:80", "web-2")]);
    assert_eq!((web.strategy, web.sticky, web.health_check), (Strategy::Wrr, None, None));
    assert_eq!(
        config.services[&Name::whole("web@kontena")].source,
        "kontena service web: /kontena/haproxy/lb/services/web/upstreams"
    );
    assert!(matches!(&kinds(&config, "api")[..], [MiddlewareKind::StripPrefix { prefixes }] if *prefixes == ["/api"]));
    assert!(kinds(&config, "web").is_empty());
}

#[test]
fn routes_are_tried_in_kontenas_order() {
    let config = clean(&[
        ("services/a-path/virtual_path", "/"),
        ("services/b-path/virtual_path", "/api"),
        ("services/c-host/virtual_hosts", "a.example"),
        ("services/d-host/virtual_hosts", "*.example,a.example"),
        ("services/y-both/virtual_hosts", "a.example"),
        ("services/y-both/virtual_path", "/api"),
        ("services/z-both/virtual_hosts", "a.example"),
        ("services/z-both/virtual_path", "/api/longer,/other"),
    ]);
    let table = snapshot(&config);
    for (host, path, expected) in [
        ("a.example", "/api/longer", "y-both"),
        ("a.example", "/other", "z-both"),
        ("a.example", "/", "c-host"),
        ("x.y.example", "/api", "d-host"),
        ("example", "/api", "a-path"),
        ("b.test", "/api", "a-path"),
    ] {
        assert_eq!(routed(&table, host, path).as_deref(), Some(expected), "{host}{path}");
    }
}

#[test]
fn prefixes_are_stripped_one_after_the_other_unless_kept() {
    let paths = ("services/web/virtual_path", "/api, /v1,/");
    let strips = |config: &Config| {
        let prefix = |kind: &MiddlewareKind| match kind {
            MiddlewareKind::StripPrefix { prefixes } => prefixes.concat(),
            other => panic!("{other:?}"),
        };
        kinds(config, "web").iter().map(prefix).collect::<Vec<_>>()
    };
    assert_eq!(strips(&clean(&[paths])), ["/api", "/v1"]);
    assert_eq!(strips(&clean(&[paths, ("services/web/keep_virtual_path", "yes")])), ["/api", "/v1"]);
    assert!(strips(&clean(&[paths, ("services/web/keep_virtual_path", "true")])).is_empty());
}

#[test]
fn balance_cookie_and_checks() {
    let host = ("services/web/virtual_hosts", "a.example");
    for (balance, strategy) in [("source", Strategy::Hrw), ("leastcon", Strategy::LeastConn), ("leastconn", Strategy::LeastConn)]
    {
        let config = clean(&[host, ("services/web/balance", balance)]);
        assert_eq!(balancer(&config, "web").strategy, strategy, "{balance}");
    }
    for (cookie, name, secure) in [
        ("", "KONTENA_SERVERID", false),
        ("cookie LB insert indirect nocache", "LB", false),
        ("cookie LB insert secure httponly", "LB", true),
    ] {
        let sticky = balancer(&clean(&[host, ("services/web/cookie", cookie)]), "web").sticky.expect("it is asked for");
        assert_eq!((sticky.name.as_str(), sticky.secure, sticky.http_only), (name, secure, secure), "{cookie}");
        assert_eq!((sticky.path.as_str(), sticky.max_age), ("/", 0));
    }
    let config = clean(&[
        host,
        ("services/web/health_check_uri", "/up?x"),
        ("services/web/health_check_port", "8081"),
        ("services/web/custom_settings", "option httpchk GET /other\ntimeout check 4s"),
    ]);
    let check = balancer(&config, "web").health_check.expect("it is asked for");
    assert_eq!((check.path.as_str(), check.port, check.method.as_str()), ("/up?x", Some(8081), "GET"));
    assert_eq!((check.interval, check.timeout), (Duration::from_secs(2), Duration::from_secs(4)));
    assert_eq!((check.fall, check.rise, check.status, check.follow_redirects), (3, 2, None, false));
}

#[test]
fn users_are_asked_for_their_passwords() {
    let hash = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
    let users = format!("user ann password {hash}\nuser old password rqXexS6ZhobKA\nuser bob insecure-password p,w");
    let (config, rejections) =
        resolved(&[("services/web/virtual_hosts", "a.example"), ("services/web/basic_auth_secrets", &users)], None);
    let [MiddlewareKind::BasicAuth(auth)] = &kinds(&config, "web")[..] else { panic!("{config:?}") };
    assert_eq!((auth.realm.as_str(), auth.users.len(), auth.users["ann"].as_str()), ("web", 2, hash));
    let [rejection] = &rejections[..] else { panic!("{rejections:?}") };
    assert_eq!(rejection.severity, Severity::Warning);
    assert_eq!(rejection.key, format!("{ROOT}/services/web/basic_auth_secrets"));
    assert!(rejection.message.starts_with("line 2"));
}

#[test]
fn settings_take_effect_and_one_without_an_equivalent_is_named() {
    let lines = "redirect scheme https code 301 if !{ ssl_fc }\nerrorfile 503 /x\nhttp-response add-header Set-Cookie a=1\ntimeout server 90s\n\
                 http-request deny unless { src 10.0.0.0/8 }";
    let (config, rejections) = resolved(
        &[
            ("services/web/virtual_hosts", "a.example"),
            ("services/web/custom_settings", lines),
            ("services/other/virtual_hosts", "b.example"),
        ],
        None,
    );
    let kinds = kinds(&config, "web");
    let [
        MiddlewareKind::RedirectScheme { permanent: true, .. },
        MiddlewareKind::IpAllowList { ranges, .. },
        MiddlewareKind::Headers(edits),
    ] = &kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((ranges.len(), &edits.append_response[..]), (1, &[("Set-Cookie".to_owned(), "a=1".to_owned())][..]));
    let transport = &config.transports[&Name::whole("web@kontena")];
    assert_eq!((transport.dial_timeout, transport.response_header_timeout), (Duration::from_secs(5), Duration::from_secs(90)));
    let [rejection] = &rejections[..] else { panic!("{rejections:?}") };
    assert_eq!((rejection.severity, rejection.source.as_str()), (Severity::Warning, "kontena service web"));
    assert!(rejection.message.contains("line 2, `errorfile 503 /x`") && !rejection.remedy.is_empty(), "{rejection}");
    assert!(config.routers.contains_key(&Name::whole("other@kontena")));
}

#[test]
fn what_would_open_a_door_keeps_the_last_good_version_or_nothing() {
    let host = ("services/web/virtual_hosts", "a.example");
    let before = clean(&[host]);
    let wrong = [
        ("services/web/custom_settings", "http-request auth realm x unless { src 1.2.3.4 }"),
        ("services/web/basic_auth_secrets", "user ann password rqXexS6ZhobKA"),
        ("services/web/virtual_path", "relative"),
    ];
    for pair in wrong {
        let name = Name::whole("web@kontena");
        let (config, rejections) = resolved(&[host, pair], None);
        assert!(!config.routers.contains_key(&name), "{pair:?}");
        let errors: Vec<_> = rejections.iter().filter(|rejection| rejection.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{rejections:?}");
        assert_eq!((errors[0].source.as_str(), errors[0].key.as_str()), ("kontena service web", &*format!("{ROOT}/{}", pair.0)));
        let (config, _) = resolved(&[host, pair], Some(&before));
        assert!(Arc::ptr_eq(&config.routers[&name], &before.routers[&name]), "{pair:?}");
    }
}

#[test]
fn mistakes_of_one_service_are_its_own() {
    let (config, rejections) = resolved(
        &[
            ("services/a/virtual_hosts", "ok.example,not`ok"),
            ("services/a/upstreams/one", "nowhere"),
            ("services/a/upstreams/two", "10.0.0.2:80"),
            ("services/a/balance", "uri"),
            ("services/b/upstreams/one", "10.0.0.3:80"),
            ("services/c/virtual_hosts", "c.example"),
            ("services/c/cookie", "cookie JSESSIONID prefix nocache"),
            ("tcp-services/galera/external_port", "3307"),
            ("tcp-services/galera/upstreams/galera-1", "10.0.0.4:3306"),
        ],
        None,
    );
    assert!(rejections.iter().all(|rejection| rejection.severity == Severity::Warning), "{rejections:?}");
    let keys: Vec<_> = rejections.iter().map(|rejection| rejection.key.strip_prefix(ROOT).unwrap_or_default()).collect();
    let expected = [
        "/services/a/virtual_hosts",
        "/services/a/upstreams/one",
        "/services/a/balance",
        "/services/b/virtual_hosts",
        "/services/c/cookie",
        "/tcp-services/galera/external_port",
    ];
    assert_eq!(keys, expected);
    assert!(rejections[5].message.contains("no entry point listens on 3307"));
    assert_eq!(balancer(&config, "a").servers.len(), 1);
    assert_eq!(balancer(&config, "c").sticky.unwrap().name, "KONTENA_SERVERID");
    assert!(balancer(&config, "c").servers.is_empty());
    assert!(!config.routers.contains_key(&Name::whole("b@kontena")));
}

#[test]
fn tcp_services_are_served_where_an_entry_point_listens_on_their_port() {
    let service = [
        ("tcp-services/galera/external_port", "3306"),
        ("tcp-services/galera/balance", "leastcon"),
        ("tcp-services/galera/upstreams/galera-1", "10.0.0.4:3306"),
        ("tcp-services/galera/upstreams/galera-2", "10.0.0.5:3306"),
    ];
    let config = clean(&service);
    let router = &config.tcp.routers["galera@kontena"];
    assert_eq!((router.rule.text(), &router.entry_points[..]), ("HostSNI(`*`)", &["mysql".to_owned()][..]));
    let ServiceKind::LoadBalancer(balancer) = &config.tcp.services["galera@kontena"].kind else { panic!("no load balancer") };
    let servers: Vec<_> = balancer.servers.iter().map(|s| (&*s.url.text, s.instance.as_str())).collect();
    assert_eq!(servers, [("10.0.0.4:3306", "galera-1"), ("10.0.0.5:3306", "galera-2")]);
    assert_eq!(balancer.strategy, Strategy::LeastConn);

    for (pair, words, served) in [
        (("tcp-services/galera/custom_settings", "timeout client 1h"), "has no effect", true),
        (("tcp-services/galera/custom_settings", "tcp-request connection reject if bad"), "may keep somebody out", false),
        (("tcp-services/galera/balance", "uri"), "take turns", true),
        (("tcp-services/galera/upstreams/galera-3", "nowhere"), "expected address:port", true),
        (("tcp-services/other/external_port", "3306"), "is the TCP service galera's already", true),
        (("tcp-services/galera/external_port", "many"), "expected a port", false),
    ] {
        let (config, rejections) = resolved(&[&service[..], &[pair]].concat(), None);
        assert!(rejections.len() == 1 && rejections[0].message.contains(words), "{pair:?}: {rejections:?}");
        assert_eq!(config.tcp.routers.contains_key("galera@kontena"), served, "{pair:?}");
    }
}

fn options(arguments: &[&str], vars: &[(&str, &str)]) -> (Option<StaticConfig>, Vec<Rejection>) {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let (environment, _) = env::tree(vars.iter().copied());
    let given = Options::empty("none", Style::File).overlaid(environment).overlaid(flags::tree(&arguments).unwrap());
    let Some((profile, mut rejections)) = profile(vars.iter().copied(), &given) else { return (None, Vec::new()) };
    let (config, more) = resolve_static(&profile.overlaid(given)).unwrap();
    rejections.extend(more);
    (Some(config), rejections)
}

#[test]
fn an_environment_of_kontenas_is_all_that_is_needed() {
    let (config, rejections) = options(
        &[],
        &[
            ("KONTENA_SERVICE_NAME", "internet_lb"),
            ("KONTENA_STACK_NAME", "null"),
            ("SSL_CERTS", "PEM, with a comma"),
            ("SSL_CERT_B", "B"),
            ("SSL_CERT_A", "A"),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
            ("KONTENA_LB_ACCEPT_PROXY", "1"),
            ("KONTENA_LB_HEALTH_URI", "/__health"),
            ("KONTENA_LB_HTTP2", "false"),
            ("KONTENA_LB_CUSTOM_SETTINGS", "timeout server 2m\noption dontlognull\ntimeout server 90s\nerrorfile 503 /x"),
            ("KONTENA_LB_GLOBAL_SETTINGS", "maxconn 5000\ntune.ssl.default-dh-param 4096"),
            ("STATS_PASSWORD", "secret"),
            ("SYSLOG_TARGET", "10.0.0.1 local0"),
            ("ACME_CHALLENGE_abc", "abc.def"),
            ("ETCD_NODE", "10.81.0.1"),
        ],
    );
    let config = config.expect("it is on");
    let kontena = config.providers.kontena.expect("it is on");
    assert_eq!(
        (kontena.root().as_str(), &kontena.endpoints[..]),
        ("/kontena/haproxy/internet_lb", &["10.81.0.1:2379".to_owned()][..])
    );
    assert_eq!((kontena.api, kontena.refresh, kontena.http2), (EtcdApi::V2, Duration::from_secs(1), false));
    assert_eq!(kontena.health_uri.as_deref(), Some("/__health"));
    let bundles: Vec<_> =
        kontena.bundles.iter().map(|bundle| (bundle.name.as_str(), bundle.text.reveal(), bundle.single)).collect();
    assert_eq!(bundles, [("SSL_CERTS", "PEM, with a comma", false), ("SSL_CERT_A", "A", true), ("SSL_CERT_B", "B", true)]);
    let points: Vec<_> = config.entry_points.values().map(|point| (point.name.as_str(), point.address.port)).collect();
    assert_eq!(points, [("http", 80), ("https", 443)]);
    for point in config.entry_points.values() {
        assert!(point.proxy_protocol.as_ref().is_some_and(|proxy| proxy.insecure), "{}", point.name);
        assert_eq!((point.http.tls.is_some(), point.timeouts.idle), (point.name == "https", Some(Duration::from_secs(10))));
        assert_eq!(point.http.unmatched_status, 503, "{}", point.name);
    }
    let transport = &config.servers_transport;
    assert_eq!((transport.dial_timeout, transport.response_header_timeout), (Duration::from_secs(5), Duration::from_secs(90)));
    assert_eq!((config.limits.connections, config.limits.header_timeout), (Some(5000), Duration::from_secs(5)));
    let named: Vec<_> = rejections.iter().map(|rejection| rejection.key.as_str()).collect();
    let expected =
        ["KONTENA_LB_GLOBAL_SETTINGS", "KONTENA_LB_CUSTOM_SETTINGS", "ACME_CHALLENGE_abc", "STATS_PASSWORD", "SYSLOG_TARGET"];
    assert_eq!(named, expected);
    assert!(rejections[1].message.contains("line 4"), "{}", rejections[1]);
}

#[test]
fn the_environment_counts_only_where_the_provider_is_on() {
    let name = ("KONTENA_SERVICE_NAME", "lb");
    assert!(options(&[], &[("SSL_CERTS", "x")]).0.is_none(), "not Kontena");
    assert!(options(&["--providers.file.filename=x"], &[name]).0.is_none(), "another provider");
    assert!(options(&["--providers.kontena=false"], &[name]).0.is_none(), "switched off");
    let (config, _) =
        options(&["--providers.kontena", "--providers.file.filename=x", "--entryPoints.web.address=:8080"], &[name]);
    let config = config.expect("it is on");
    assert_eq!(config.entry_points.keys().collect::<Vec<_>>(), ["web"], "what is declared goes before");
    assert_eq!(
        config.limits,
        StaticConfig::default().limits,
        "and Kontena's own limits are for a container that only changed its image"
    );
    let (config, _) = options(
        &["--providers.kontena.loadBalancer=other"],
        &[name, ("KONTENA_STACK_NAME", "shop"), ("ETCD_NODE", "fd00::1"), ("KONTENA_LB_HTTP2", "true")],
    );
    let kontena = config.and_then(|config| config.providers.kontena).expect("it is on");
    assert_eq!((kontena.root().as_str(), kontena.http2), ("/kontena/haproxy/shop/other", true));
    assert_eq!(kontena.endpoints, ["[fd00::1]:2379"]);
}

fn own_config(provider: &KontenaProvider, certificates: &[Installed]) -> (Config, Vec<Rejection>) {
    let (raw, mut rejections) = own(provider, certificates);
    let (config, more) = options(&[], &[("KONTENA_SERVICE_NAME", "lb"), ("KONTENA_LB_HEALTH_URI", "/up")]);
    rejections.extend(more);
    let (config, more) = resolve(&[("kontena".to_owned(), raw)].into(), &config.unwrap(), None);
    rejections.extend(more);
    (config, rejections)
}

#[test]
fn the_load_balancers_own_settings_are_served() {
    let (config, _) = options(
        &[],
        &[
            ("KONTENA_SERVICE_NAME", "lb"),
            ("KONTENA_LB_HEALTH_URI", "/up"),
            ("KONTENA_LB_HTTP2", "false"),
            (
                "KONTENA_LB_SSL_CIPHERS",
                "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA:!aNULL:-ECDHE-RSA-AES256-GCM-SHA384",
            ),
        ],
    );
    let provider = config.unwrap().providers.kontena.unwrap();
    let pem = |name: &str| format!("-----BEGIN {name}-----\n-----END {name}-----\n");
    let installed = |label: &str| Installed { label: label.to_owned(), cert: pem(label), key: pem("KEY") };
    let (config, rejections) = own_config(&provider, &[installed("A"), installed("B")]);
    assert_eq!(config.tls.certificates.len(), 2);
    assert_eq!(config.tls.default_certificate.as_ref().map(|certificate| certificate.cert.clone()), Some(pem("A")));
    let options = &config.tls.options[&Name::whole("default")];
    assert_eq!(options.alpn_protocols, ["http/1.1"]);
    assert_eq!(options.cipher_suites, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    let [rejection] = &rejections[..] else { panic!("{rejections:?}") };
    assert!(rejection.key == "KONTENA_LB_SSL_CIPHERS" && rejection.message.contains("AES128-SHA"), "{rejection}");
    let health = &config.routers[&Name::whole(".health@kontena")];
    assert_eq!((health.service.as_str(), health.rule.text()), ("ping@internal", "Path(`/up`)"));
    assert!(!format!("{:?}", installed("A")).contains("KEY"));
}
