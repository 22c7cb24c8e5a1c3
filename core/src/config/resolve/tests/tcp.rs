//! Routers of connections and what they refer to.

use super::*;
use crate::config::dynamic::{LoadBalancer, ProxyVersion};

const DATABASE: &str = "tcp:
  routers:
    db: {rule: HostSNI(`db.example`), service: db, entryPoints: [websecure], tls: {passthrough: true}, middlewares: [office]}
    any: {rule: HostSNI(`*`), service: shared, priority: 0}
    own: {rule: HostSNI(`own.example`) && ALPN(`h2`), service: db, tls: {}}
  services:
    db: {loadBalancer: {servers: [{address: '10.0.0.1:5432'}, {address: '[2001:db8::1]:5432'}], proxyProtocol: {version: 1}}}
    shared: {weighted: {services: [{name: db, weight: 3}, {name: spare}]}}
    spare: {loadBalancer: {servers: [{address: 'spare.internal:1'}], proxyProtocol: {}, strategy: leastconn}}
  middlewares:
    office: {ipAllowList: {sourceRange: [10.0.0.0/8]}}
";

fn balancer<'a>(config: &'a Config, name: &str) -> &'a LoadBalancer {
    match &config.tcp.services[name].kind {
        ServiceKind::LoadBalancer(balancer) => balancer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn routers_of_connections_are_served_beside_those_of_requests() {
    let config = clean(served(DATABASE));
    assert_eq!(names(&config.tcp.routers), ["any@file", "db@file", "own@file"]);
    assert_eq!(names(&config.routers), [""; 0]);
    let db = &config.tcp.routers["db@file"];
    assert_eq!((db.priority, db.service.as_str(), &db.entry_points[..]), (21, "db@file", &["websecure".to_owned()][..]));
    assert!(db.tls.as_ref().is_some_and(|tls| tls.passthrough));
    assert_eq!(config.tcp.routers["any@file"].priority, -1, "after everything that says more");
    assert!(config.tcp.routers["own@file"].tls.as_ref().is_some_and(|tls| !tls.passthrough && tls.options.as_str() == "default"));
    let db = balancer(&config, "db@file");
    let addresses: Vec<_> = db.servers.iter().map(|s| (s.url.scheme, &*s.url.host, s.url.port)).collect();
    assert_eq!(addresses, [(UpstreamScheme::Tcp, "10.0.0.1", 5432), (UpstreamScheme::Tcp, "2001:db8::1", 5432)]);
    assert_eq!(db.proxy_protocol, Some(ProxyVersion::V1));
    assert_eq!(balancer(&config, "spare@file").proxy_protocol, Some(ProxyVersion::V2));
}

#[test]
fn a_store_says_the_same() {
    let config = clean(resolve(
        &inputs([(
            "etcd",
            of_kv(&[
                ("traefik/tcp/routers/db/rule", "HostSNI(`db.example`)"),
                ("traefik/tcp/routers/db/service", "db"),
                ("traefik/tcp/routers/db/tls/passthrough", "true"),
                ("traefik/tcp/services/db/loadbalancer/servers/0/address", "10.0.0.1:5432"),
                ("traefik/tcp/services/db/loadbalancer/proxyProtocol/version", "2"),
            ]),
        )]),
        &web(),
        None,
    ));
    assert!(config.tcp.routers["db@etcd"].tls.as_ref().is_some_and(|tls| tls.passthrough));
    assert_eq!(&*balancer(&config, "db@etcd").servers[0].url.text, "10.0.0.1:5432");
}

#[test]
fn what_is_wrong_is_named_with_what_to_do_and_spoils_one_unit() {
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 20] = [
        ("routers", "{service: good}", &["tcp.routers.bad.rule:", "needs a rule", "HostSNI(`*`)"]),
        ("routers", "{rule: Host(`a`), service: good}", &["tcp.routers.bad.rule:", "did you mean HostSNI?"]),
        ("routers", "{rule: HostSNI(`a`), service: good}", &["tcp.routers.bad.rule:", "has no `tls`", "passthrough: true"]),
        ("routers", "{rule: 'HostSNI(`*`)'}", &["tcp.routers.bad.service:", "needs a service"]),
        ("routers", "{rule: 'HostSNI(`*`)', service: goood}", &["tcp.routers.bad.service:", "no TCP service `goood@file`", "did you mean `good@file`?"]),
        ("routers", "{rule: 'HostSNI(`*`)', service: good, middlewares: [x]}", &["tcp.routers.bad.middlewares:", "no TCP middleware `x@file`"]),
        ("routers", "{rule: 'HostSNI(`a`)', service: good, tls: {options: mtls}}", &["tcp.routers.bad.tls.options:", "no TLS options `mtls@file`"]),
        ("routers", "{rule: 'HostSNI(`*`)', service: good, observability: {}}", &["unknown key `observability`"]),
        ("services", "{}", &["tcp.services.bad:", "loadBalancer or weighted"]),
        ("services", "{loadBalancer: {servers: [{url: 'http://a'}]}}", &["servers[0].url:", "unknown key `url`"]),
        ("services", "{loadBalancer: {servers: [{address: 10.0.0.1}]}}", &["servers.0.address:", "a port behind the host", "10.0.0.1:5432"]),
        ("services", "{loadBalancer: {servers: [{address: 'http://a:1'}]}}", &["servers.0.address:", "a host and a port only"]),
        ("services", "{loadBalancer: {servers: [{address: 'a:1', tls: true}]}}", &["servers.0.tls:", "not supported yet"]),
        ("services", "{loadBalancer: {proxyProtocol: {version: 3}}}", &["proxyProtocol.version:", "1 or 2, found 3"]),
        ("services", "{loadBalancer: {serversTransport: x}}", &["loadBalancer.serversTransport:", "not supported yet"]),
        ("services", "{loadBalancer: {healthCheck: {}}}", &["loadBalancer.healthCheck:", "not supported yet"]),
        ("services", "{weighted: {services: [{name: x}]}}", &["weighted.services:", "no TCP service `x@file`"]),
        ("middlewares", "{inFlightConn: {amount: 1}}", &["tcp.middlewares.bad.inFlightConn:", "not supported yet"]),
        ("middlewares", "{ipAllowList: {}}", &["ipAllowList.sourceRange:", "at least one range"]),
        ("middlewares", "{stripPrefix: {}}", &["tcp.middlewares.bad.stripPrefix:", "unknown key"]),
    ];
    for (kind, unit, words) in cases {
        let beside = "    good: {rule: 'HostSNI(`*`)', service: good}";
        let (routers, services, middlewares) = match kind {
            "routers" => (format!("    bad: {unit}\n"), String::new(), String::new()),
            "services" => (String::new(), format!("    bad: {unit}\n"), String::new()),
            _ => (String::new(), String::new(), format!("  middlewares:\n    bad: {unit}\n")),
        };
        let text = format!(
            "tcp:\n  routers:\n{beside}\n{routers}  services:\n    good: {{loadBalancer: {{servers: [{{address: 'a:1'}}]}}}}\n{services}{middlewares}"
        );
        let (config, rejections) = served(&text);
        assert!(config.tcp.routers.contains_key("good@file"), "{unit}");
        let errors: Vec<_> = rejections.iter().filter(|r| r.severity == Severity::Error).map(ToString::to_string).collect();
        assert!(!errors.is_empty(), "{unit}");
        assert!(words.iter().all(|word| errors[0].contains(word)), "{unit}: {errors:?}, expected {words:?}");
        assert!(!config.tcp.routers.contains_key("bad@file") && !config.tcp.services.contains_key("bad@file"), "{unit}");
    }
}

#[test]
fn a_bad_router_keeps_its_last_good_version() {
    let before = clean(served(DATABASE));
    let broken = DATABASE.replace("HostSNI(`db.example`)", "HostSNI(`db.example`");
    let (after, rejections) = resolve(&inputs([("file", yaml(&broken))]), &web(), Some(&before));
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert!(Arc::ptr_eq(&after.tcp.routers["db@file"], &before.tcp.routers["db@file"]));
    let gone = DATABASE.replace("    any: {rule: HostSNI(`*`), service: shared, priority: 0}\n", "");
    let after = clean(resolve(&inputs([("file", yaml(&gone))]), &web(), Some(&before)));
    assert_eq!(names(&after.tcp.routers), ["db@file", "own@file"]);
    assert!(Arc::ptr_eq(&after.tcp.services["db@file"], &before.tcp.services["db@file"]), "what did not change is not made anew");
}
