//! Every label, good and bad.

use super::*;
use crate::{
    config::dynamic::{PassiveHealthCheck, Strategy},
    discovery::fixture::servers,
};

/// Labels, which of them something is said of, and a part of the remedy.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

const HOST: (&str, &str) = ("hosts", "demo.local");
const PORT: (&str, &str) = ("port", "8080");

/// Seed 002: `docker service create --label com.docker.lb.hosts=… --label com.docker.lb.port=…`.
#[test]
fn hosts_and_port_are_enough() {
    let config = clean(&[web("demo", 2, &[("hosts", "app.example.com, WWW.example.com,"), PORT])]);
    let expected =
        ["lb.app.example.com: Host(`app.example.com`) → lb.demo []", "lb.www.example.com: Host(`www.example.com`) → lb.demo []"];
    assert_eq!(routes(&config), expected);
    assert_eq!(servers(&config, "lb.demo@swarm"), ["http://10.0.1.11:8080 (demo-task-1)", "http://10.0.1.12:8080 (demo-task-2)"]);
}

#[test]
fn wildcards_come_after_every_exact_host_and_the_longer_suffix_goes_first() {
    let config = clean(&[
        web("default", 1, &[("default_backend", "true"), PORT]),
        web("wild", 1, &[("hosts", "*.example.com"), PORT, ("context_root", "/quite/a/long/root")]),
        web("shop", 1, &[("hosts", ".shop.example.com"), PORT]),
        web("exact", 1, &[("hosts", "a.example.com"), PORT]),
    ]);
    assert_eq!(
        routes(&config),
        [
            "lb.shop.example.com: Host(`shop.example.com`) → lb.shop []",
            "lb.a.example.com: Host(`a.example.com`) → lb.exact []",
            r"lb.*.shop.example.com: HostRegexp(`^.+\.shop\.example\.com$`) → lb.shop []",
            r"lb.*.example.com/quite/a/long/root: HostRegexp(`^.+\.example\.com$`) && PathPrefix(`/quite/a/long/root`) → lb.wild []",
            "lb-tls.*: PathPrefix(`/`) → lb.default [] tls",
            "lb.*: PathPrefix(`/`) → lb.default []",
        ]
    );
}

#[test]
fn clients_are_kept_by_address_or_by_the_applications_cookie() {
    let config = clean(&[
        web("demo", 5, &[HOST, PORT, ("ip_hash", "true")]),
        web("shop", 5, &[("hosts", "shop.local"), PORT, ("sticky_session_cookie", "JSESSIONID")]),
    ]);
    let (demo, shop) = (balancer(&config, "lb.demo@swarm"), balancer(&config, "lb.shop@swarm"));
    assert_eq!((demo.servers.len(), demo.strategy, demo.hash_cookie.as_deref()), (5, Strategy::Hrw, None));
    assert_eq!((shop.strategy, shop.hash_cookie.as_deref()), (Strategy::Hrw, Some("JSESSIONID")));
}

/// Seed 002: the certificate and the key are secrets.
#[test]
fn tls_ends_here_where_a_certificate_is_named() {
    let tls = [HOST, PORT, ("ssl_cert", "demo.local.cert"), ("ssl_key", "demo.local.key")];
    let config = clean(&[web("demo", 1, &tls)]);
    assert_eq!(
        routes(&config),
        ["lb-tls.demo.local: Host(`demo.local`) → lb.demo [] tls", "lb.demo.local: Host(`demo.local`) → lb.demo []",]
    );
    let [certificate] = &config.tls.certificates[..] else { panic!("{:?}", config.tls.certificates) };
    assert_eq!(
        (certificate.cert.as_str(), certificate.key.as_str()),
        ("/run/secrets/demo.local.cert", "/run/secrets/demo.local.key")
    );

    let config = clean(&[web("demo", 1, &[&tls[..], &[("ssl_only", "true")]].concat())]);
    assert_eq!(
        routes(&config),
        ["lb-tls.demo.local: Host(`demo.local`) → lb.demo [] tls", "lb.demo.local: Host(`demo.local`) → lb.demo [lb-https]",]
    );
    assert!(matches!(
        middleware(&config, "lb-https@swarm"),
        MiddlewareKind::RedirectScheme { scheme, port: None, permanent: true } if scheme == "https"
    ));

    let config = clean(&[web("demo", 1, &[HOST, PORT, ("ssl_cert", "both")])]);
    assert_eq!(config.tls.certificates[0].cert, config.tls.certificates[0].key);
}

#[test]
fn a_secret_that_is_not_mounted_is_named_with_what_to_do() {
    let labels = [HOST, PORT, ("ssl_cert", "other.cert"), ("ssl_key", "demo.local.key"), ("ssl_only", "true")];
    let (config, rejections) = serve(&[web("demo", 1, &labels)]);
    assert_eq!(
        rejections,
        [
            "Error service demo: com.docker.lb.ssl_cert: the secret `other.cert` is not mounted into this gateway, so its hosts are not \
         served over TLS (docker service update --secret-add other.cert GATEWAY, where GATEWAY is this gateway's service; for a \
         config: --config-add source=other.cert,target=/run/secrets/other.cert)"
        ]
    );
    assert_eq!(routes(&config), ["lb.demo.local: Host(`demo.local`) → lb.demo [lb-https]"], "nothing of it in the clear");
    assert_eq!(config.tls.certificates, []);
}

/// Routers of connections as texts, highest priority first.
fn passed(config: &Config) -> Vec<String> {
    let mut routers: Vec<_> = config.tcp.routers.values().collect();
    routers.sort_by_key(|router| std::cmp::Reverse(router.priority));
    let text = |router: &std::sync::Arc<crate::config::dynamic::TcpRouter>| {
        assert!(router.tls.as_ref().is_some_and(|tls| tls.passthrough), "{router:?}");
        format!("{}: {} → {}", router.name.local(), router.rule.text(), router.service.local())
    };
    routers.into_iter().map(text).collect()
}

#[test]
fn what_is_passed_through_is_routed_by_server_name_and_not_served_in_the_clear() {
    let labels = [HOST, PORT, ("ssl_passthrough", "true"), ("ip_hash", "true")];
    let mut discovery = Discovery::new(settings());
    discovery.compose(&[web("demo", 2, &[HOST, PORT])], &mounts(&[]));
    let (raw, rejections) = discovery.compose(&[web("demo", 2, &labels)], &mounts(&[]));
    let (config, rejections) = resolved(raw, rejections);
    assert_eq!(rejections, [""; 0]);
    assert_eq!(
        (routes(&config), config.services.contains_key("lb.demo@swarm")),
        (Vec::new(), false),
        "not what it was before either"
    );
    assert_eq!(passed(&config), ["lb-sni.demo.local: HostSNI(`demo.local`) → lb.demo"]);
    let router = &config.tcp.routers["lb-sni.demo.local@swarm"];
    assert_eq!(router.entry_points, gateway().default_entry_points, "where routers of this language are");
    let ServiceKind::LoadBalancer(balancer) = &config.tcp.services["lb.demo@swarm"].kind else { panic!("no load balancer") };
    let servers: Vec<_> = balancer.servers.iter().map(|s| (&*s.url.text, s.instance.as_str())).collect();
    assert_eq!(servers, [("10.0.1.11:8080", "demo-task-1"), ("10.0.1.12:8080", "demo-task-2")]);
    assert_eq!(balancer.strategy, Strategy::Hrw);
}

#[test]
fn what_is_passed_through_may_be_shared_wide_or_everything() {
    let pass = ("ssl_passthrough", "true");
    let config = clean(&[
        web("a", 1, &[HOST, PORT, pass]),
        aged(1, web("b", 2, &[HOST, PORT, pass])),
        web("wide", 1, &[("hosts", "*.example.com"), PORT, pass]),
        web("rest", 1, &[("default_backend", "true"), PORT, pass]),
    ]);
    assert_eq!(
        passed(&config),
        [
            "lb-sni.demo.local: HostSNI(`demo.local`) → lb.demo.local",
            r"lb-sni.*.example.com: HostSNIRegexp(`^.+\.example\.com$`) → lb.wide",
            "lb-sni.*: HostSNI(`*`) → lb.rest",
        ]
    );
    let ServiceKind::Weighted(shares) = &config.tcp.services["lb.demo.local@swarm"].kind else { panic!("not shared") };
    assert_eq!(
        shares.services.iter().map(|(name, weight)| (name.as_str(), *weight)).collect::<Vec<_>>(),
        [("lb.b@swarm", 2), ("lb.a@swarm", 1)]
    );
    assert_eq!(routes(&config), [""; 0]);
}

#[test]
fn what_needs_requests_has_no_effect_on_what_is_passed_through() {
    let pass = ("ssl_passthrough", "true");
    let labels = [HOST, PORT, pass, ("context_root", "/a"), ("ssl_cert", "not.mounted"), ("ssl_only", "false")];
    let (config, rejections) = serve(&[web("demo", 1, &labels)]);
    assert_eq!(passed(&config).len(), 1);
    assert_eq!(rejections.len(), 2, "{rejections:#?}");
    for (rejection, key) in rejections.iter().zip(["context_root", "ssl_cert"]) {
        assert!(rejection.starts_with(&format!("Warning service demo: com.docker.lb.{key}: has no effect")), "{rejection}");
    }
    let (_, rejections) = serve(&[web("demo", 1, &[HOST, PORT, pass]), aged(9, web("other", 1, &[HOST, PORT]))]);
    assert!(
        rejections.iter().any(|text| text.contains("com.docker.lb.ssl_passthrough: `demo.local` is asked for by service other")),
        "{rejections:#?}"
    );
    let (config, rejections) = serve(&[web("demo", 1, &[HOST, pass])]);
    assert!(rejections[0].contains("com.docker.lb.port: is missing") && passed(&config).is_empty(), "{rejections:#?}");
}

#[test]
fn servers_may_speak_tls() {
    let config = clean(&[
        web("a", 1, &[HOST, PORT, ("ssl_backend", "true"), ("ssl_backend_tls_verify", "none")]),
        web("b", 1, &[("hosts", "b.local"), PORT, ("ssl_backend", "true")]),
    ]);
    assert_eq!(servers(&config, "lb.a@swarm"), ["https://10.0.1.11:8080 (a-task-1)"]);
    let transport = &balancer(&config, "lb.a@swarm").transport;
    assert!(config.transports[transport].insecure_skip_verify);
    assert!(!config.transports[&balancer(&config, "lb.b@swarm").transport].insecure_skip_verify);
}

#[test]
fn failures_eject_a_server() {
    let passive = |labels: &[(&str, &str)]| {
        let config = clean(&[web("demo", 1, &[&[HOST, PORT], labels].concat())]);
        balancer(&config, "lb.demo@swarm").passive_health_check.clone()
    };
    let check = |max_failed_attempts, seconds| {
        Some(PassiveHealthCheck { max_failed_attempts, failure_window: Duration::from_secs(seconds) })
    };
    assert_eq!(passive(&[("max_fails", "3"), ("fail_timeout", "1m")]), check(3, 60));
    assert_eq!(passive(&[("max_fails", "3")]), check(3, 10));
    assert_eq!(passive(&[("fail_timeout", "30")]), check(1, 30));
    assert_eq!(passive(&[("max_fails", "0"), ("fail_timeout", "30s")]), None);
    assert_eq!(passive(&[]), None);
}

#[test]
fn a_virtual_address_is_one_server() {
    let labels = [HOST, PORT, ("backend_mode", "vip"), ("ip_hash", "true")];
    let (config, rejections) = serve(&[web("demo", 3, &labels)]);
    assert_eq!(servers(&config, "lb.demo@swarm"), ["http://10.0.1.2:8080 (id-demo)"]);
    assert_eq!(rejections.len(), 1);
    assert!(rejections[0].starts_with("Warning service demo: com.docker.lb.ip_hash: has no effect with backend_mode=vip"));
}

#[test]
fn a_network_is_needed_where_there_are_several() {
    let on = |names: &[&str], labels: &[(&str, &str)]| {
        let mut workload = web("demo", 1, &[&[HOST, PORT], labels].concat());
        let front = workload.networks[0].clone();
        for name in names {
            let id = format!("id-{name}");
            workload.networks.push(crate::discovery::Network { id: id.clone(), name: (*name).to_owned(), ..front.clone() });
            workload.instances[0].addresses.push((id, std::net::IpAddr::from([10, 0, 2, 1])));
        }
        serve(&[workload])
    };
    assert_eq!(on(&[], &[]).1, [""; 0]);
    let (config, rejections) = on(&["back"], &[]);
    assert_eq!(servers(&config, "lb.demo@swarm"), [""; 0], "never guessed; the host is answered with 503");
    assert!(rejections[0].starts_with("Error service demo: com.docker.lb.network: where its instances are is not known"));
    assert!(rejections[0].contains("set com.docker.lb.network to"), "{rejections:?}");
    let (config, rejections) = on(&["back"], &[("network", "back")]);
    assert_eq!((rejections.len(), servers(&config, "lb.demo@swarm")), (0, vec!["http://10.0.2.1:8080 (demo-task-1)".to_owned()]));
    let (_, rejections) = on(&[], &[("network", "nowhere")]);
    assert!(rejections[0].contains("it is not on the network `nowhere`, but on `front`"), "{rejections:?}");
}

#[test]
fn a_network_that_is_not_shared_is_said() {
    let mut workload = web("demo", 1, &[HOST, PORT]);
    workload.networks[0].shared = Some(false);
    let (config, rejections) = serve(&[workload]);
    assert!(balancer(&config, "lb.demo@swarm").servers[0].unreachable.is_some());
    assert!(rejections[0].starts_with("Warning service demo: com.docker.lb.network: none of its instances can be reached: this"));
}

#[test]
fn another_service_cluster_is_no_concern() {
    let staging = web("staging", 1, &[("hosts", "%bad"), PORT, ("service_cluster", "staging")]);
    let plain = web("plain", 1, &[("hosts", "plain.local"), PORT]);
    assert_eq!(routes(&clean(&[staging.clone(), plain.clone()])).len(), 1);
    let mut settings = settings();
    settings.interlock.service_cluster = "staging".to_owned();
    let staging = Workload { labels: web("", 1, &[HOST, PORT, ("service_cluster", "staging")]).labels, ..staging };
    let (config, _) = serve_with(settings, &mounts(&[]), &[staging, plain]);
    assert_eq!(routes(&config), ["lb.demo.local: Host(`demo.local`) → lb.staging []"]);
}

/// Each names its label and a remedy, and hurts its own service only.
#[test]
fn a_bad_value_hurts_its_own_service_only() {
    let remedies: [Case<'_>; 23] = [
        (&[("hosts", "demo.local:8080"), PORT], "hosts", "separate host names with commas"),
        (&[("hosts", "ünï.local"), PORT], "hosts", "xn--"),
        (&[("hosts", "www.example.*"), PORT], "hosts", "separate host names"),
        (&[HOST], "port", "set com.docker.lb.port=8080, or whichever"),
        (&[HOST, ("port", "http")], "port", "write the one port"),
        (&[HOST, ("port", "0")], "port", "write the one port"),
        (&[HOST, ("port", "80,81")], "port", "write the one port"),
        (&[HOST, PORT, ("backend_mode", "dnsrr")], "backend_mode", "write task"),
        (&[HOST, PORT, ("context_root", "app")], "context_root", "write for instance /app"),
        (&[HOST, PORT, ("context_root", "/a`b")], "context_root", "write for instance /app"),
        (&[HOST, PORT, ("context_root", "/a//b")], "context_root", "write for instance /app"),
        (&[HOST, PORT, ("context_root_rewrite", "yes")], "context_root_rewrite", "write true"),
        (&[HOST, PORT, ("websocket_endpoints", "total")], "websocket_endpoints", "write for instance /app"),
        (&[HOST, PORT, ("sticky_session_cookie", "a b")], "sticky_session_cookie", "the application sets"),
        (&[HOST, PORT, ("ip_hash", "on")], "ip_hash", "write true"),
        (&[HOST, PORT, ("redirects", "http://demo.local")], "redirects", "http://old.example.com,http://new.example.com"),
        (&[HOST, PORT, ("redirects", "http://demo.local,http://demo.local/x")], "redirects", "another target"),
        (&[HOST, PORT, ("redirects", "demo.local,javascript:x")], "redirects", "http://old.example.com,http://new.example.com"),
        (&[HOST, PORT, ("ssl_key", "demo.local.key")], "ssl_key", "name that in com.docker.lb.ssl_cert"),
        (&[HOST, PORT, ("ssl_backend_tls_verify", "maybe")], "ssl_backend_tls_verify", "write none"),
        (&[HOST, PORT, ("max_fails", "-1")], "max_fails", "write for instance 3"),
        (&[HOST, PORT, ("fail_timeout", "soon")], "fail_timeout", "write for instance 10s"),
        (&[HOST, PORT, ("default_backend", "si")], "default_backend", "write true"),
    ];
    for (labels, key, remedy) in remedies {
        let (config, rejections) = serve(&[web("bad", 1, labels), web("good", 1, &[("hosts", "good.local"), PORT])]);
        let said = rejections.iter().find(|said| said.starts_with(&format!("Error service bad: com.docker.lb.{key}: ")));
        assert!(said.is_some_and(|said| said.contains(remedy)), "{labels:?}: {rejections:#?}");
        assert_eq!(routes(&config), ["lb.good.local: Host(`good.local`) → lb.good []"], "{labels:?}");
    }
}

#[test]
fn what_is_odd_but_clear_is_served_with_a_warning() {
    let odd: [Case<'_>; 7] = [
        (&[HOST, PORT, ("ports", "80")], "ports", "did you mean com.docker.lb.port?"),
        (&[HOST, PORT, ("context-root", "/app")], "context-root", "did you mean com.docker.lb.context_root?"),
        (&[HOST, PORT, ("colour", "red")], "colour", "remove it; known here: hosts, port, "),
        (&[HOST, PORT, ("ip_hash", "true"), ("sticky_session_cookie", "s")], "ip_hash", "remove one of the two"),
        (&[HOST, PORT, ("redirects", "http://old.local,http://demo.local")], "redirects", "add it to com.docker.lb.hosts"),
        (&[HOST, PORT, ("ssl_only", "true")], "ssl_only", "name it in com.docker.lb.ssl_cert"),
        (&[HOST, PORT, ("ssl_backend_tls_verify", "none")], "ssl_backend_tls_verify", "set com.docker.lb.ssl_backend=true"),
    ];
    for (labels, key, remedy) in odd {
        let (config, rejections) = serve(&[web("odd", 1, labels)]);
        assert_eq!(rejections.len(), 1, "{labels:?}: {rejections:#?}");
        assert!(rejections[0].starts_with(&format!("Warning service odd: com.docker.lb.{key}: ")), "{rejections:?}");
        assert!(rejections[0].contains(remedy), "{rejections:?}");
        assert!(config.routers.values().any(|router| router.tls.is_none()), "{labels:?}");
    }
    let (config, rejections) = serve(&[web("hostless", 1, &[PORT])]);
    assert!(config.routers.is_empty() && rejections[0].contains("com.docker.lb.hosts: is missing"), "{rejections:?}");
}

#[test]
fn labels_that_cannot_be_read_leave_the_last_that_could_with_todays_servers() {
    let mut discovery = Discovery::new(settings());
    discovery.compose(&[web("demo", 1, &[HOST, PORT])], &mounts(&[]));
    for tasks in [2, 3] {
        let broken = web("demo", tasks, &[HOST, ("port", "many")]);
        let (raw, rejections) = discovery.compose(&[broken], &mounts(&[]));
        let (config, rejections) = resolved(raw, rejections);
        assert_eq!(servers(&config, "lb.demo@swarm").len(), usize::from(tasks));
        assert!(rejections[0].contains("found `many`; the last good version is still served"), "{rejections:?}");
    }
    let (raw, _) = discovery.compose(&[web("demo", 1, &[])], &mounts(&[]));
    assert!(raw.routers().all(|name| !name.starts_with("lb")), "without labels nothing is asked for");
}
