use super::*;
use crate::{
    config::{
        Config, Rejection, StaticConfig,
        dynamic::{MiddlewareKind, ServiceKind},
        resolve,
        static_::{Address, EntryPoint, Protocol},
    },
    discovery::{Discovery, Instance, Language, Network, tags::Constraint},
};
use std::{collections::BTreeMap, time::Duration};

/// Labels and their values.
type Written = &'static [(&'static str, &'static str)];

fn workload(kind: Kind, name: &str, age: u64, labels: &[(&str, &str)]) -> Workload {
    let shared = Network { id: "n".into(), name: "net".into(), shared: None, vip: None };
    let instance = |index: u8| Instance {
        id: format!("{name}-{index}"),
        name: format!("{name}.{index}"),
        node: String::new(),
        addresses: vec![("n".into(), std::net::IpAddr::from([10, 0, age as u8, index]))],
        node_address: None,
        published: Vec::new(),
    };
    Workload {
        kind,
        id: format!("id-{name}"),
        name: name.to_owned(),
        created: Duration::from_secs(age),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ports: Vec::new(),
        networks: vec![shared],
        instances: vec![instance(1), instance(2)],
        remarks: Vec::new(),
    }
}

fn rancher(name: &str, age: u64, labels: &[(&str, &str)]) -> Workload {
    workload(Kind::RancherService, name, age, labels)
}

fn settings() -> Settings {
    Settings { languages: [Language::Traefik1].into(), ..Settings::new("rancher") }
}

fn composed(settings: Settings, workloads: &[Workload]) -> (Config, Vec<Rejection>) {
    let (raw, mut rejections) = Discovery::new(settings).compose(workloads, &Mounts::default());
    let mut config = StaticConfig::default();
    for (name, port) in [("http", 80), ("https", 443)] {
        let address = Address { ip: None, port, protocol: Protocol::Tcp };
        config.entry_points.insert(name.to_owned(), EntryPoint::new(name, address));
        config.default_entry_points = config.default_entry_points.iter().cloned().chain([name.to_owned()]).collect();
    }
    let (config, more) = resolve(&BTreeMap::from([("rancher".to_owned(), raw)]), &config, None);
    rejections.extend(more);
    (config, rejections)
}

fn routers(config: &Config) -> Vec<String> {
    config.routers.values().map(|router| format!("{} {}", router.name, router.rule.text())).collect()
}

/// Each middleware of the only router, as the debugger shows its kind.
fn middlewares(config: &Config) -> Vec<String> {
    let router = config.routers.values().next().expect("there is a router");
    router.middlewares.iter().map(|name| format!("{:?}", config.middlewares[name].kind)).collect()
}

const WEB: [(&str, &str); 2] = [("traefik.frontend.rule", "PathPrefix:/"), ("traefik.port", "80")];

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    WEB.iter().chain(more).copied().collect()
}

#[test]
fn the_seeds_two_services_are_routed_by_path() {
    let labels = |rule| {
        [("traefik.frontend.rule", rule), ("traefik.enable", "true"), ("traefik.port", "80"), ("traefik.tags", "my-stack")]
    };
    let other = [
        ("traefik.frontend.rule", "PathPrefix:/x"),
        ("traefik.enable", "true"),
        ("traefik.port", "80"),
        ("traefik.tags", "other"),
    ];
    let settings = Settings { exposed_by_default: false, tags: vec![Constraint::parse("tag==my-stack").unwrap()], ..settings() };
    let workloads = [
        rancher("shop/server", 1, &labels("PathPrefix:/api")),
        rancher("shop/frontend", 2, &labels("PathPrefix:/")),
        rancher("shop/db", 3, &[]),
        rancher("other/server", 4, &other),
    ];
    let (config, rejections) = composed(settings, &workloads);
    assert_eq!(rejections, []);
    assert_eq!(
        routers(&config),
        ["frontend-PathPrefix-api@rancher PathPrefix(`/api`)", "frontend-PathPrefix@rancher PathPrefix(`/`)"]
    );
    let priorities: Vec<i64> = config.routers.values().map(|router| router.priority).collect();
    assert_eq!(priorities, [15, 12], "the length of what was written");
    let services: Vec<&str> =
        config.services.keys().map(|name| name.as_str()).filter(|name| name.ends_with("@rancher")).collect();
    assert_eq!(services, ["backend-shop.frontend@rancher", "backend-shop.server@rancher"]);
    let (_, server) = config.services.iter().find(|(name, _)| name.as_str() == "backend-shop.server@rancher").unwrap();
    let ServiceKind::LoadBalancer(server) = &server.kind else { panic!("{server:?}") };
    let urls: Vec<&str> = server.servers.iter().map(|server| &*server.url.text).collect();
    assert_eq!(urls, ["http://10.0.1.1:80", "http://10.0.1.2:80"]);
}

#[test]
fn what_is_not_exposed_is_not_served() {
    let table: [(Written, bool, usize); 7] = [
        (&[], true, 1),
        (&[], false, 0),
        (&[("traefik.enable", "true")], false, 1),
        (&[("traefik.enable", "T")], false, 1),
        (&[("traefik.enable", "false")], true, 0),
        (&[("traefik.enable", "0")], true, 0),
        (&[("Traefik.Enable", "TRUE")], false, 1),
    ];
    for (labels, exposed_by_default, routers) in table {
        let labels: Vec<_> = WEB.iter().chain(labels).copied().collect();
        let settings = Settings { exposed_by_default, ..settings() };
        let (config, rejections) = composed(settings, &[rancher("a/b", 1, &labels)]);
        assert_eq!((config.routers.len(), rejections), (routers, Vec::new()), "{labels:?}");
    }
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &with(&[("traefik.enable", "yes")]))]);
    assert_eq!((config.routers.len(), rejections.len()), (1, 1));
    assert!(rejections[0].to_string().contains("traefik.enable: expected true or false"), "{}", rejections[0]);
}

#[test]
fn a_missing_port_is_named_where_it_was_meant() {
    for labels in [&[("traefik.enable", "true")][..], &[("traefik.frontend.rule", "PathPrefix:/")], &[("traefik.tags", "x")]] {
        let (config, rejections) = composed(settings(), &[rancher("a/b", 1, labels)]);
        let texts: Vec<String> = rejections.iter().map(ToString::to_string).collect();
        assert_eq!(config.routers.len(), 0);
        assert_eq!(
            texts,
            [
                "service a/b: traefik.port: the port is missing, and it cannot be found out (add traefik.port with the port that the server listens on inside the container)"
            ],
            "{labels:?}"
        );
    }
    let (_, rejections) = composed(settings(), &[rancher("a/b", 1, &[])]);
    assert_eq!(rejections, [], "a service that says nothing was not meant");
    let swarm =
        Workload { ports: vec![8080, 9090], ..workload(Kind::SwarmService, "web", 1, &[("traefik.frontend.rule", "Host:a")]) };
    let (config, rejections) = composed(settings(), &[swarm]);
    assert_eq!((config.routers.len(), rejections), (1, Vec::new()), "an image's port is known");
}

#[test]
fn two_services_with_one_rule_are_told_and_the_older_serves() {
    let workloads = [rancher("new/web", 9, &WEB), rancher("old/web", 1, &WEB)];
    let (config, rejections) = composed(settings(), &workloads);
    let served: Vec<&str> = config.routers.values().map(|router| router.service.as_str()).collect();
    assert_eq!(served, ["backend-old.web@rancher"]);
    let told: Vec<&str> = rejections.iter().map(|rejection| rejection.source.as_str()).collect();
    assert_eq!(told, ["service new/web", "service old/web"]);
}

#[test]
fn one_backend_named_by_two_stacks_is_two() {
    let labels = |rule| [("traefik.frontend.rule", rule), ("traefik.port", "80"), ("traefik.backend", "web")];
    let workloads = [rancher("a/web", 1, &labels("Host:a.example")), rancher("b/web", 2, &labels("Host:b.example"))];
    let (config, rejections) = composed(settings(), &workloads);
    assert_eq!(rejections, []);
    let services: Vec<&str> = config.routers.values().map(|router| router.service.as_str()).collect();
    assert_eq!(services, ["backend-a.web@rancher", "backend-b.web@rancher"]);
}

#[test]
fn names_never_stand_for_two_things() {
    let name = |kind, name: &str| distinct(&workload(kind, name, 1, &[]));
    assert_eq!(name(Kind::RancherService, "shop/web"), "shop.web");
    assert_eq!(name(Kind::SwarmService, "shop_web"), "shop_web");
    assert_eq!(name(Kind::SwarmService, "my.web"), "my.web");
    let names = ["a/b", "a.b", "a/b.c", "a.b/c", "a/b/c", "a@b/c", "a:b/c"].map(|text| name(Kind::RancherService, text));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    let rules = ["Host:a.b", "Host:a-b", "PathPrefix:/a/b", "PathPrefix:/a-b", "Path:/a", "Path:/A"].map(router_name);
    assert_eq!(rules.iter().collect::<BTreeSet<_>>().len(), rules.len(), "{rules:?}");
    assert_eq!((rules[0].as_str(), rules[2].as_str()), ("frontend-Host-a-b", "frontend-PathPrefix-a-b"));
}

#[test]
fn a_service_without_a_rule_has_a_host_of_its_own() {
    let rule = |workload: &Workload, domain: &str| {
        let labels = Labels::of(workload);
        default_rule(workload, &Settings { domain: domain.to_owned(), ..settings() }, &labels.plain())
    };
    assert_eq!(rule(&rancher("Shop/Web", 1, &[]), "example.com"), "Host:web.shop.example.com");
    assert_eq!(rule(&rancher("shop/web", 1, &[]), ""), "Host:web.shop");
    assert_eq!(rule(&rancher("shop/web", 1, &[("traefik.domain", "b.example")]), "a.example"), "Host:web.shop.b.example");
    assert_eq!(rule(&workload(Kind::SwarmService, "shop_web", 1, &[]), "example.com"), "Host:shop-web.example.com");
}

/// Each: labels beside the rule and the port, and what the middlewares of the router must hold, in order.
#[test]
fn middlewares_come_in_traefik_ones_order() {
    let table: &[(Written, &[&[&str]])] = &[
        (&[("traefik.frontend.whiteList.sourceRange", "10.0.0.0/8, 192.0.2.1")], &[&["IpAllowList", "reject_status: 403"]]),
        (&[("traefik.frontend.whitelistSourceRange", "10.0.0.0/8")], &[&["IpAllowList"]]),
        (
            &[("traefik.frontend.redirect.entryPoint", "https")],
            &[&["RedirectScheme", "\"https\"", "Some(443)", "permanent: false"]],
        ),
        (
            &[
                ("traefik.frontend.redirect.regex", "^http://a/(.*)"),
                ("traefik.frontend.redirect.replacement", "http://b/$1"),
                ("traefik.frontend.redirect.permanent", "true"),
            ],
            &[&["RedirectRegex", "http://b/$1", "permanent: true"]],
        ),
        (&[("traefik.frontend.headers.SSLRedirect", "true")], &[&["RedirectScheme", "permanent: true"]]),
        (
            &[("traefik.frontend.headers.customRequestHeaders", "X-A:1||X-B:")],
            &[&["Headers", "(\"X-A\", \"1\")", "(\"X-B\", \"\")"]],
        ),
        (
            &[
                ("traefik.frontend.headers.STSSeconds", "60"),
                ("traefik.frontend.headers.STSPreload", "true"),
                ("traefik.frontend.headers.frameDeny", "true"),
                ("traefik.frontend.headers.customFrameOptionsValue", "SAMEORIGIN"),
                ("traefik.frontend.headers.contentTypeNosniff", "true"),
                ("traefik.frontend.headers.browserXSSFilter", "false"),
            ],
            &[&["max-age=60; preload", "(\"X-Frame-Options\", \"SAMEORIGIN\")", "nosniff"]],
        ),
        (
            &[
                ("traefik.frontend.auth.basic", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
                ("traefik.frontend.auth.headerField", "X-User"),
            ],
            &[&["BasicAuth"]],
        ),
        (
            &[
                ("traefik.frontend.auth.basic.users", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
                ("traefik.frontend.auth.basic.removeHeader", "true"),
            ],
            &[&["BasicAuth"]],
        ),
        (
            &[
                ("traefik.frontend.rateLimit.extractorFunc", "request.header.X-Key"),
                ("traefik.frontend.rateLimit.rateSet.a.period", "3s"),
                ("traefik.frontend.rateLimit.rateSet.a.average", "5"),
                ("traefik.frontend.rateLimit.rateSet.b.average", "7"),
                ("traefik.frontend.rateLimit.rateSet.b.burst", "9"),
            ],
            &[&["average: 5", "3s", "RequestHeader(\"X-Key\")"], &["average: 7", "burst: 9"]],
        ),
    ];
    for (labels, expected) in table {
        let labels: Vec<_> = WEB.iter().chain(*labels).copied().collect();
        let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
        assert_eq!(rejections, [], "{labels:?}");
        let found = middlewares(&config);
        assert_eq!(found.len(), expected.len(), "{labels:?}: {found:?}");
        for (found, words) in found.iter().zip(*expected) {
            for word in *words {
                assert!(found.contains(word), "{word} is not in {found}");
            }
        }
    }
    let labels = [
        ("traefik.frontend.rule", "AddPrefix:/v1;PathPrefixStrip:/api"),
        ("traefik.port", "80"),
        ("traefik.frontend.auth.basic", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        ("traefik.frontend.whiteList.sourceRange", "10.0.0.0/8"),
    ];
    let (config, _) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    let kinds: Vec<String> = middlewares(&config).iter().map(|text| text.split(['(', ' ']).next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["IpAllowList", "BasicAuth", "StripPrefix", "AddPrefix"]);
}

/// Nothing is served as if it were unguarded, and every reason names its label.
#[test]
fn what_guards_and_is_not_there_keeps_the_frontend_from_being_served() {
    let table = [
        ("traefik.frontend.auth.forward.address", "http://auth", "not supported yet"),
        ("traefik.frontend.auth.digest.users", "a:traefik:x", "not supported yet"),
        ("traefik.frontend.auth.basic.usersFile", "/users", "not supported yet"),
        ("traefik.frontend.auth.basic", "", "at least one user"),
        ("traefik.frontend.auth.basic", "a:plain", "hash"),
        ("traefik.frontend.auht.basic", "a:b", "no label of Traefik 1"),
        ("traefik.frontend.whiteList.sourceRange", "", "at least one range"),
        ("traefik.frontend.whiteList.sourceRange", "10.0.0.0/99", "range"),
        ("traefik.frontend.whiteList.useXForwardedFor", "true", "X-Forwarded-For"),
        ("traefik.frontend.passTLSClientCert.pem", "true", "certificate"),
        ("traefik.frontend.passTLSCert", "true", "certificate"),
        ("traefik.frontend.headers.allowedHosts", "a.example", "hosts"),
        ("traefik.frontend.headers.SSLHost", "a.example", "redirect"),
        ("traefik.frontend.redirect.entryPoint", "websecure", "no entry point `websecure`"),
        ("traefik.frontend.redirect.regex", "x", "go together"),
        ("traefik.frontend.entryPoints", "web", "none of the entry points exists"),
        ("traefik.protocol", "ajp", "https"),
    ];
    for (label, value, message) in table {
        let labels: Vec<_> = WEB.into_iter().chain([(label, value)]).collect();
        let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
        assert_eq!(config.routers.len(), 0, "{label}={value}");
        let texts: Vec<String> = rejections.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(label) && text.contains(message)), "{label}={value}: {texts:#?}");
    }
    let rule = [("traefik.frontend.rule", "PathPrefixStripRegex:/{id:[0-9]+}"), ("traefik.port", "80")];
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &rule)]);
    assert_eq!(config.routers.len(), 0);
    assert!(rejections[0].to_string().contains("traefik.frontend.rule: `PathPrefixStripRegex`"), "{}", rejections[0]);
}

#[test]
fn what_only_shapes_is_left_out_with_a_warning() {
    let table = [
        ("traefik.backend.circuitbreaker.expression", "NetworkErrorRatio() > 0.5"),
        ("traefik.backend.maxconn.amount", "10"),
        ("traefik.backend.buffering.retryExpression", "true"),
        ("traefik.backend.responseForwarding.flushInterval", "10ms"),
        ("traefik.backend.loadbalancer.method", "drr"),
        ("traefik.backend.loadbalancer.stickiness.cookieName", "c"),
        ("traefik.backend.healthcheck.interval", "10s"),
        ("traefik.backend.whatever", "1"),
        ("traefik.frontend.errors.a.status", "500-599"),
        ("traefik.frontend.rateLimit.rateSet.a.average", "5"),
        ("traefik.frontend.rateLimit.extractorFunc", "client.country"),
        ("traefik.frontend.headers.SSLProxyHeaders", "X-A:https"),
        ("traefik.frontend.priority", "high"),
        ("traefik.weight", "heavy"),
        ("traefik.portIndex", "1"),
    ];
    for (label, value) in table {
        let labels: Vec<_> = WEB.into_iter().chain([(label, value)]).collect();
        let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
        assert_eq!(config.routers.len(), 1, "{label}={value}: {rejections:#?}");
        assert_eq!(rejections.len(), 1, "{label}={value}: {rejections:#?}");
        assert_eq!((rejections[0].severity, rejections[0].key.as_str()), (Severity::Warning, label));
    }
    let off = [
        ("traefik.frontend.passTLSCert", "false"),
        ("traefik.frontend.whiteList.useXForwardedFor", "false"),
        ("traefik.frontend.headers.isDevelopment", "false"),
    ];
    let labels: Vec<_> = WEB.into_iter().chain(off).collect();
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    assert_eq!((config.routers.len(), rejections), (1, Vec::new()), "what is switched off is not missed");
}

#[test]
fn the_backend_is_a_service_with_its_options() {
    let labels = with(&[
        ("traefik.protocol", "https"),
        ("traefik.weight", "7"),
        ("traefik.frontend.passHostHeader", "false"),
        ("traefik.frontend.priority", "99"),
        ("traefik.frontend.entryPoints", "https"),
        ("traefik.backend.loadbalancer.method", "wrr"),
        ("traefik.backend.loadbalancer.stickiness", "true"),
        ("traefik.backend.loadbalancer.stickiness.cookieName", "c"),
        ("traefik.backend.loadbalancer.stickiness.secure", "true"),
        ("traefik.backend.healthcheck.path", "/health"),
        ("traefik.backend.healthcheck.interval", "7s"),
        ("traefik.backend.healthcheck.port", "9000"),
        ("traefik.backend.healthcheck.headers", "X-A:1"),
    ]);
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    assert_eq!(rejections, []);
    let router = config.routers.values().next().unwrap();
    assert_eq!((router.priority, &router.entry_points[..]), (99, &["https".to_owned()][..]));
    let ServiceKind::LoadBalancer(service) = &config.services[&router.service].kind else { panic!("a load balancer") };
    assert_eq!((&*service.servers[1].url.text, service.servers[1].weight), ("https://10.0.1.2:80", 7));
    assert!(!service.pass_host_header);
    let cookie = service.sticky.as_ref().unwrap();
    assert_eq!((cookie.name.as_str(), cookie.secure, cookie.http_only), ("c", true, false));
    let check = service.health_check.as_ref().unwrap();
    assert_eq!((check.path.as_str(), check.interval, check.port), ("/health", Duration::from_secs(7), Some(9000)));
    assert_eq!(check.headers, [("X-A".to_owned(), "1".to_owned())]);
}

#[test]
fn basic_authentication_keeps_its_options() {
    let labels = with(&[
        ("traefik.frontend.auth.basic.users", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        ("traefik.frontend.auth.basic.removeHeader", "true"),
        ("traefik.frontend.auth.headerField", "X-User"),
        ("traefik.frontend.auth.forward.address", "http://auth"),
    ]);
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    let router = config.routers.values().next().unwrap();
    let MiddlewareKind::BasicAuth(auth) = &config.middlewares[&router.middlewares[0]].kind else { panic!("{config:?}") };
    assert_eq!((auth.remove_header, auth.header_field.as_deref()), (true, Some("X-User")));
    assert_eq!(rejections.len(), 1, "basic goes before forward, as in Traefik 1");
    assert_eq!(rejections[0].severity, Severity::Warning);
}

#[test]
fn the_deprecated_spelling_of_stickiness_keeps_its_cookie() {
    let labels = with(&[("traefik.backend.loadbalancer.sticky", "true"), ("traefik.weight", "0")]);
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    assert_eq!(rejections, []);
    let router = config.routers.values().next().unwrap();
    let ServiceKind::LoadBalancer(service) = &config.services[&router.service].kind else { panic!("a load balancer") };
    assert_eq!(service.sticky.as_ref().unwrap().name, "_TRAEFIK_BACKEND");
    assert_eq!(service.servers[0].weight, 1, "none is one, as in Traefik 1");
}

#[test]
fn a_service_without_containers_keeps_its_route() {
    let (config, rejections) = composed(settings(), &[Workload { instances: Vec::new(), ..rancher("a/b", 1, &WEB) }]);
    assert_eq!((config.routers.len(), rejections), (1, Vec::new()));
}

#[test]
fn segments_are_frontends_of_their_own() {
    let labels = [
        ("traefik.enable", "true"),
        ("traefik.weight", "3"),
        ("traefik.admin.port", "9000"),
        ("traefik.admin.frontend.rule", "Host:admin.example"),
        ("traefik.admin.frontend.auth.basic", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        ("traefik.web.port", "80"),
        ("traefik.web.weight", "5"),
        ("traefik.web.frontend.rule", "Host:a.example"),
        ("traefik.web.frontend.entryPoints", "https"),
        ("traefik.clear.port", "80"),
        ("traefik.clear.frontend.rule", "Host:a.example"),
        ("traefik.clear.frontend.entryPoints", "http"),
        ("traefik.clear.frontend.redirect.entryPoint", "https"),
        ("traefik.docker.network", "net"),
    ];
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &labels)]);
    assert_eq!(rejections, []);
    assert_eq!(
        routers(&config),
        [
            "frontend-Host-a-example:http@rancher Host(`a.example`)",
            "frontend-Host-a-example:https@rancher Host(`a.example`)",
            "frontend-Host-admin-example@rancher Host(`admin.example`)",
        ]
    );
    let weights: Vec<u32> = config
        .services
        .values()
        .filter_map(|service| match &service.kind {
            ServiceKind::LoadBalancer(balancer) => balancer.servers.first().map(|server| server.weight),
            _ => None,
        })
        .collect();
    assert_eq!(weights, [3, 3, 5], "admin, clear, web: a segment's own goes before the plain one");

    let twins = [("traefik.x.port", "1"), ("traefik.y.port", "2"), ("traefik.frontend.rule", "Host:a")];
    let (config, rejections) = composed(settings(), &[rancher("a/b", 1, &twins)]);
    assert_eq!((config.routers.len(), rejections.len()), (1, 1));
    assert!(rejections[0].to_string().contains("another segment"), "{}", rejections[0]);
}

#[test]
fn containers_of_one_backend_and_one_rule_are_one_service() {
    let labels = [("traefik.frontend.rule", "Host:a"), ("traefik.port", "80"), ("traefik.backend", "web")];
    let single = |name, age| {
        let mut workload = workload(Kind::Container, name, age, &labels);
        workload.instances.truncate(1);
        workload
    };
    let (config, rejections) = composed(settings(), &[single("one", 1), single("two", 2)]);
    assert_eq!(rejections, []);
    let router = config.routers.values().next().unwrap();
    let ServiceKind::LoadBalancer(service) = &config.services[&router.service].kind else { panic!("a load balancer") };
    assert_eq!((config.routers.len(), service.servers.len()), (1, 2));
}

#[test]
fn newer_labels_are_not_taken_for_older_ones() {
    let labels = [
        ("traefik.http.routers.a.rule", "Host(`a`)"),
        ("traefik.http.services.a.loadbalancer.server.port", "80"),
        ("traefik.port", "80"),
    ];
    let reading = read(&workload(Kind::SwarmService, "web", 1, &labels), &settings(), &Mounts::default());
    assert_eq!(reading, Reading::default());
    let reading = read(&workload(Kind::SwarmService, "web", 1, &[("traefik.enable", "true")]), &settings(), &Mounts::default());
    assert_eq!(reading, Reading::default());
}
