use super::*;
use crate::{
    config::{
        Config, Rejection,
        dynamic::{LoadBalancer, Router, ServiceKind},
    },
    discovery::{
        Constraints, Template,
        fixture::{container, publish, serve, servers, service},
    },
};

fn swarm() -> Settings {
    Settings::new("swarm")
}

/// What is served of one workload, and what is refused, as texts.
fn served(workload: Workload) -> (Config, Vec<String>) {
    let (config, rejections) = serve(swarm(), &[workload]);
    (config, texts(&rejections))
}

fn texts(rejections: &[Rejection]) -> Vec<String> {
    rejections.iter().map(|rejection| format!("{:?} {rejection}", rejection.severity)).collect()
}

fn router<'c>(config: &'c Config, name: &str) -> &'c Router {
    config.routers.get(name).unwrap_or_else(|| panic!("{name} is not among {:?}", config.routers.keys().collect::<Vec<_>>()))
}

fn balancer<'c>(config: &'c Config, name: &str) -> &'c LoadBalancer {
    match &config.services[name].kind {
        ServiceKind::LoadBalancer(balancer) => balancer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_workload_without_labels_is_served_under_its_name() {
    let (config, rejections) = served(service("shop_web", 2, &[]));
    assert_eq!(rejections, [""; 0]);
    let router = router(&config, "shop-web@swarm");
    assert_eq!(router.rule.text(), "Host(`shop-web`)");
    assert_eq!(router.service.as_str(), "shop-web@swarm");
    let expected = ["http://10.0.1.11:8080 (shop_web-task-1)", "http://10.0.1.12:8080 (shop_web-task-2)"];
    assert_eq!(servers(&config, "shop-web@swarm"), expected, "the lowest of its ports");
    assert_eq!(balancer(&config, "shop-web@swarm").servers[0].node, "node-1");
}

#[test]
fn labels_are_taken_over_and_completed() {
    let (config, rejections) = served(service(
        "shop_web",
        1,
        &[
            ("traefik.enable", "true"),
            ("traefik.http.routers.shop.rule", "Host(`shop.example`) && PathPrefix(`/api`)"),
            ("traefik.http.routers.shop.entrypoints", "websecure"),
            ("traefik.http.routers.shop.tls", "true"),
            ("traefik.http.routers.shop.priority", "7"),
            ("traefik.http.routers.shop.middlewares", "strip"),
            ("traefik.http.middlewares.strip.stripprefix.prefixes", "/api"),
            ("traefik.http.services.shop.loadbalancer.server.port", "9000"),
            ("traefik.http.services.shop.loadbalancer.server.scheme", "https"),
            ("traefik.http.services.shop.loadbalancer.server.weight", "3"),
            ("traefik.http.services.shop.loadbalancer.server.preservepath", "true"),
            ("traefik.http.services.shop.loadbalancer.sticky.cookie.name", "who"),
            ("traefik.http.services.shop.loadbalancer.passhostheader", "false"),
            ("traefik.http.services.shop.loadbalancer.healthcheck.path", "/health"),
            ("com.docker.stack.namespace", "shop"),
        ],
    ));
    assert_eq!(rejections, [""; 0]);
    let router = router(&config, "shop@swarm");
    assert_eq!(router.entry_points[..], ["websecure"]);
    assert_eq!(router.priority, 7);
    assert!(router.tls.is_some());
    assert_eq!(router.middlewares[0].as_str(), "strip@swarm");
    assert_eq!(router.service.as_str(), "shop@swarm", "the only service there is");
    assert_eq!(router.source, "service shop_web: traefik.http.routers.shop.rule");
    let balancer = balancer(&config, "shop@swarm");
    assert_eq!(&*balancer.servers[0].url.text, "https://10.0.1.11:9000");
    assert_eq!(balancer.servers[0].weight, 3);
    assert!(balancer.servers[0].preserve_path);
    assert_eq!(balancer.sticky.as_ref().unwrap().name, "who");
    assert!(!balancer.pass_host_header);
    assert_eq!(balancer.health_check.as_ref().unwrap().path, "/health");
    assert_eq!(config.routers.len(), 1, "no default router beside one that is declared");
    assert_eq!(config.services.keys().filter(|name| name.provider() == "swarm").count(), 1);
}

#[test]
fn case_of_options_does_not_matter_and_the_first_spelling_of_a_name_counts() {
    let (config, rejections) = served(service(
        "web",
        1,
        &[
            ("Traefik.HTTP.Routers.Web.Rule", "Host(`a.example`)"),
            ("traefik.http.routers.web.entryPoints", "web"),
            ("traefik.http.services.Web.LoadBalancer.Server.Port", "81"),
        ],
    ));
    assert_eq!(rejections, [""; 0]);
    assert_eq!(router(&config, "Web@swarm").entry_points[..], ["web"]);
    assert_eq!(servers(&config, "Web@swarm"), ["http://10.0.1.11:81 (web-task-1)"]);
}

#[test]
fn whether_it_is_served() {
    let labelled = [("traefik.http.routers.web.rule", "Host(`a`)")];
    for (by_default, labels, expected) in [
        (true, vec![], true),
        (false, vec![], false),
        (true, labelled.to_vec(), true),
        (false, labelled.to_vec(), false),
        (false, vec![("traefik.enable", "true")], true),
        (false, vec![("traefik.enable", "1")], true),
        (true, vec![("traefik.enable", "false")], false),
        (true, vec![("traefik.enable", "F")], false),
        (true, vec![("Traefik.Enable", "false")], false),
        // Of a workload that says in another language how it is served.
        (true, vec![("traefik.frontend.rule", "Host:a")], false),
        (true, vec![("traefik.port", "80"), ("traefik.enable", "true")], false),
        (true, vec![("traefik.admin.port", "80")], false),
        (true, vec![("traefik.port", "80"), ("traefik.http.routers.web.rule", "Host(`a`)")], true),
        (true, vec![("com.docker.lb.hosts", "a")], false),
        (true, vec![("com.docker.ucp.mesh.http.1", "external_route=http://a")], false),
        (true, vec![("com.docker.lb.hosts", "a"), ("traefik.enable", "true")], true),
        (true, vec![("com.docker.lb.hosts", "a"), labelled[0]], true),
    ] {
        let settings = Settings { exposed_by_default: by_default, ..swarm() };
        let reading = read(&service("web", 1, &labels), &settings);
        assert_eq!(!reading.raw.is_empty(), expected, "{by_default} {labels:?}");
        assert_eq!(reading.rejections, [], "{labels:?}");
    }
}

#[test]
fn constraints_choose_whom_to_serve() {
    let constraints = Constraints::parse("Label(`zone`, `dmz`)").unwrap();
    let settings = Settings { constraints, ..swarm() };
    let workloads = [service("a", 1, &[("zone", "dmz")]), service("b", 1, &[("zone", "inner")]), service("c", 1, &[])];
    let (config, rejections) = serve(settings, &workloads);
    assert_eq!(config.routers.keys().map(crate::Name::as_str).collect::<Vec<_>>(), ["a@swarm"]);
    assert_eq!(rejections, []);
}

#[test]
fn the_default_rule_is_made_of_the_workload() {
    let template = "Host(`{{ trimPrefix `shop-` .Name }}.{{ index .Labels \"zone\" | default \"example.com\" }}`)";
    let settings = Settings { default_rule: Template::parse(template).unwrap(), ..swarm() };
    let labels = [("traefik.http.routers.one.entrypoints", "web"), ("traefik.http.routers.two.rule", ""), ("zone", "z.example")];
    let (config, rejections) = serve(settings.clone(), &[service("shop_web", 1, &labels)]);
    assert_eq!(rejections, []);
    for name in ["one@swarm", "two@swarm"] {
        assert_eq!(router(&config, name).rule.text(), "Host(`web.z.example`)");
    }

    let compose = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")];
    let (config, _) = serve(settings, &[container("shop-web-1", 1, &compose)]);
    assert_eq!(router(&config, "web-shop@swarm").rule.text(), "Host(`web-shop.example.com`)");

    let settings = Settings { default_rule: Template::parse("Host(`{{ .ContainerName }}`)").unwrap(), ..swarm() };
    let (config, _) = serve(settings.clone(), &[container("one", 1, &[]), service("two", 2, &[])]);
    assert_eq!(router(&config, "one@swarm").rule.text(), "Host(`one`)");
    assert_eq!(router(&config, "two@swarm").rule.text(), "Host(`two`)", "it does not depend on which task runs");
}

#[test]
fn a_default_rule_that_says_nothing_makes_no_router() {
    let settings = |text| Settings { default_rule: Template::parse(text).unwrap(), ..swarm() };
    let (config, rejections) = serve(settings(""), &[service("web", 1, &[])]);
    assert_eq!((config.routers.len(), rejections), (0, vec![]));
    let (config, rejections) = serve(settings(""), &[service("web", 1, &[("traefik.http.routers.web.tls", "true")])]);
    assert_eq!(config.routers.len(), 0);
    let text = "Error service web: traefik.http.routers.web.rule: it has no rule, and the default rule is empty for it \
                (set it, or correct providers.swarm.defaultRule)";
    assert_eq!(texts(&rejections), [text]);
    let (_, rejections) = serve(settings("{{ index (splitList `.` .Name) 3 }}"), &[service("web", 1, &[])]);
    assert!(
        texts(&rejections)[0]
            .contains("traefik.http.routers.web.rule: it has no rule, and the default rule cannot be made: `index`")
    );
}

#[test]
fn what_is_wrong_names_the_label_and_spoils_one_unit() {
    for (labels, expected) in [
        (
            vec![("traefik.http.services.web.loadbalancer.server.Port", "http")],
            "Error service web: traefik.http.services.web.loadbalancer.server.Port: expected a port from 1 to 65535, found `http`",
        ),
        (
            vec![("traefik.http.services.web.loadbalancer.server.port", "0")],
            "server.port: expected a port from 1 to 65535, found `0`",
        ),
        (
            vec![("traefik.http.services.web.loadbalancer.server.scheme", "ftp")],
            "server.scheme: expected http, https or h2c, found `ftp`",
        ),
        (vec![("traefik.http.services.web.loadbalancer.server.weight", "-1")], "server.weight: expected a whole number"),
        (vec![("traefik.http.services.web.loadbalancer.server.preservepath", "yes")], "preservepath: expected true or false"),
        (
            vec![("traefik.http.services.web.loadbalancer.server.prot", "80")],
            "server.prot: unknown key `prot` (did you mean `port`?)",
        ),
        (
            vec![("traefik.http.services.web.loadbalancer.servers[0].url", "http://a")],
            "servers[0].url: labels describe one server, which is this workload itself",
        ),
        (
            vec![("traefik.http.services.web.loadbalancer.server.url", "web:80")],
            "server.url: expected http://, https:// or h2c://",
        ),
        (vec![("traefik.http.services.web.loadbalancer.stiky", "x")], "stiky: unknown key `stiky` (did you mean `sticky`?)"),
        (
            vec![("traefik.http.services.web..sticky", "x")],
            "service web: traefik.http.services.web..sticky: a part of the name is empty",
        ),
        (vec![("traefik.swarm.lbswarm", "maybe")], "traefik.swarm.lbswarm: expected true or false, found `maybe`"),
        (vec![("traefik.enable", "yes")], "traefik.enable: expected true or false, found `yes`"),
    ] {
        let (config, rejections) = served(service("web", 1, &labels));
        assert!(rejections.iter().any(|rejection| rejection.contains(expected)), "{labels:?}: {rejections:#?}");
        assert!(!config.routers.contains_key("web@swarm"), "{labels:?}");
    }
    let (config, rejections) = served(service(
        "web",
        1,
        &[
            ("traefik.http.routers.my.app.rule", "Host(`a`)"),
            ("traefik.http.routers.bad.rule", "Host(a)"),
            ("traefik.http.routers.good.rule", "Host(`b`)"),
        ],
    ));
    assert_eq!(config.routers.len(), 1);
    assert_eq!(router(&config, "good@swarm").service.as_str(), "web@swarm");
    assert!(rejections.iter().any(|text| text.contains("traefik.http.routers.my.app: unknown key `app`")), "{rejections:#?}");
    assert!(rejections.iter().any(|text| text.contains("service web: traefik.http.routers.bad.rule:")), "{rejections:#?}");
}

#[test]
fn what_has_no_effect_is_warned_of() {
    for (label, value, expected) in [
        ("traefik.htpp.routers.web.rule", "x", "is not known, and has no effect (did you mean `http`?)"),
        ("traefik.tags", "dmz", "tags are of Traefik 1"),
        ("traefik.docker.netwrok", "front", "is not known, and has no effect (did you mean `network`?)"),
        ("traefik.udp.services.dns.loadbalancer.server.port", "53", "routers and services of udp are not served yet"),
    ] {
        let (config, rejections) =
            served(service("web", 1, &[(label, value), ("traefik.http.services.web.loadbalancer.server.port", "80")]));
        assert_eq!(rejections.len(), 1, "{label}: {rejections:#?}");
        assert!(rejections[0].starts_with(&format!("Warning service web: {label}: ")), "{rejections:#?}");
        assert!(rejections[0].contains(expected), "{rejections:#?}");
        assert!(config.routers.contains_key("web@swarm"), "{label}");
    }
}

#[test]
fn streams_are_told_once_and_get_no_http() {
    let labels = [("traefik.udp.services.dns.loadbalancer.server.port", "53"), ("traefik.udp.routers.dns.entrypoints", "dns")];
    let (config, rejections) = served(service("db", 1, &labels));
    assert_eq!(rejections.len(), 1, "{rejections:#?}");
    assert_eq!((config.routers.len(), config.services.contains_key("db@swarm")), (0, false));
}

#[test]
fn servers_are_where_the_labels_say() {
    let several = |labels: &[(&str, &str)]| {
        let mut workload = service("web", 1, labels);
        let mut back = workload.networks[0].clone();
        (back.id, back.name, back.shared) = ("n2".to_owned(), "back".to_owned(), Some(false));
        workload.networks.push(back);
        workload.instances[0].addresses.push(("n2".to_owned(), std::net::IpAddr::from([10, 0, 2, 11])));
        workload
    };
    let first = "http://10.0.1.11:8080 (web-task-1)";
    for (labels, expected) in [
        (vec![], vec![first]),
        (vec![("traefik.swarm.network", "front")], vec![first]),
        (vec![("traefik.docker.network", "front")], vec![first]),
        (vec![("traefik.swarm.network", "n2")], vec!["http://10.0.2.11:8080 (web-task-1)"]),
        (vec![("traefik.swarm.network", "front"), ("traefik.docker.network", "back")], vec![first]),
        (vec![("traefik.swarm.lbswarm", "true")], vec!["http://10.0.1.2:8080 (id-web)"]),
        (vec![("traefik.docker.lbswarm", "true")], vec!["http://10.0.1.2:8080 (id-web)"]),
        (vec![("traefik.swarm.lbswarm", "false")], vec![first]),
        (vec![("traefik.http.services.web.loadbalancer.server.url", "http://10.9.9.9:81/x")], vec!["http://10.9.9.9:81/x"]),
        // Of the only one that this gateway shares there is no doubt.
        (vec![("traefik.swarm.network", "nowhere")], vec![first]),
    ] {
        let (config, rejections) = served(several(&labels));
        assert_eq!(servers(&config, "web@swarm"), expected, "{labels:?}: {rejections:#?}");
    }
    let (config, rejections) = served(several(&[("traefik.swarm.network", "back")]));
    let why = balancer(&config, "web@swarm").servers[0].unreachable.clone().unwrap();
    assert!(why.contains("not on the network `back`"), "{why}");
    assert!(rejections[0].starts_with("Warning service web: traefik.swarm.network: this gateway is not on"), "{rejections:#?}");
}

#[test]
fn an_ambiguous_network_is_not_guessed() {
    let ambiguous = |labels: &[(&str, &str)]| {
        let mut workload = service("web", 1, labels);
        let mut back = workload.networks[0].clone();
        (back.id, back.name) = ("n2".to_owned(), "back".to_owned());
        workload.networks.push(back);
        workload
    };
    let labels = [("traefik.enable", "true")];
    let (config, rejections) = served(ambiguous(&labels));
    assert_eq!(config.routers.len(), 0);
    let text = "Error service web: traefik.swarm.network: it is on several networks, `front`, `back`, and it is not said which to use \
                (set traefik.swarm.network to the one that this gateway shares)";
    assert!(rejections.contains(&text.to_owned()), "{rejections:#?}");
    let labels = [("traefik.enable", "true"), ("traefik.swarm.network", "nowhere")];
    let (config, rejections) = served(ambiguous(&labels));
    assert_eq!(config.routers.len(), 0);
    let text = "Error service web: traefik.swarm.network: it is not on the network `nowhere`, but on `front`, `back`";
    assert!(rejections.iter().any(|rejection| rejection.starts_with(text)), "{rejections:#?}");

    let (config, rejections) = serve(Settings { network: "front".to_owned(), ..swarm() }, &[ambiguous(&[])]);
    assert_eq!((servers(&config, "web@swarm").len(), rejections.len()), (1, 0), "{rejections:#?}");
}

#[test]
fn ports_published_on_the_node_are_used_where_there_are_any() {
    let settings = Settings { use_bind_port_ip: true, ..swarm() };
    let mut workload = service("web", 2, &[]);
    publish(&mut workload, 8080, 32768);
    let (config, rejections) = serve(settings, &[workload]);
    assert_eq!(rejections, []);
    let expected = ["http://192.168.0.1:32768 (web-task-1)", "http://10.0.1.12:8080 (web-task-2)"];
    assert_eq!(servers(&config, "web@swarm"), expected);
}

#[test]
fn a_port_that_nobody_knows_is_asked_for() {
    let unknown = |labels: &[(&str, &str)]| Workload { ports: vec![], ..service("web", 1, labels) };
    let label = "traefik.http.services.web.loadbalancer.server.port";
    let text = format!("service web: {label}: it is not known on which port it listens (set it to that port)");

    let (config, rejections) = served(unknown(&[]));
    assert!(!config.services.contains_key("web@swarm"));
    assert_eq!(rejections, [format!("Warning {text}")], "nobody spoke of it");

    let (_, rejections) = served(unknown(&[("traefik.enable", "true")]));
    assert!(rejections.contains(&format!("Error {text}")), "{rejections:#?}");

    let (config, rejections) = served(unknown(&[(label, "80")]));
    assert_eq!((servers(&config, "web@swarm").len(), rejections.len()), (1, 0), "{rejections:#?}");

    let elsewhere = [("traefik.http.routers.api.rule", "Host(`a`)"), ("traefik.http.routers.api.service", "noop@internal")];
    let (config, rejections) = served(unknown(&elsewhere));
    assert_eq!(rejections, [""; 0], "it needs no port to send requests elsewhere");
    assert_eq!(router(&config, "api@swarm").service.as_str(), "noop@internal");
}

#[test]
fn of_several_services_a_router_names_its_own() {
    let two = [
        ("traefik.http.services.a.loadbalancer.server.port", "81"),
        ("traefik.http.services.b.loadbalancer.server.port", "82"),
        ("traefik.http.routers.a.rule", "Host(`a`)"),
        ("traefik.http.routers.a.service", "b"),
    ];
    let (config, rejections) = served(service("web", 1, &two));
    assert_eq!(rejections, [""; 0]);
    assert_eq!(router(&config, "a@swarm").service.as_str(), "b@swarm");

    let (config, rejections) = served(service("web", 1, &two[..3]));
    let text = "Error service web: traefik.http.routers.a.service: there are several services, `a`, `b`, and it is not said which it means \
                (set it to one of them)";
    assert_eq!((config.routers.len(), rejections), (0, vec![text.to_owned()]));

    let (config, rejections) = served(service("web", 1, &two[..2]));
    assert_eq!((config.routers.len(), rejections.len()), (0, 1));
    assert!(
        rejections[0].starts_with("Warning service web: traefik.http.routers.web.service: no router is declared"),
        "{rejections:#?}"
    );
    assert_eq!(servers(&config, "b@swarm"), ["http://10.0.1.11:82 (web-task-1)"], "others may refer to them");
}

#[test]
fn several_hosts_in_one_matcher_are_of_the_old_syntax() {
    let rule = ("traefik.http.routers.web.rule", "Host(`a.example`, `b.example`)");
    let (config, rejections) = served(service("web", 1, &[rule]));
    assert!(!config.routers.contains_key("web@swarm"));
    assert!(rejections.iter().any(|text| text.contains("service web: traefik.http.routers.web.rule: ")), "{rejections:#?}");
    let (config, rejections) = served(service("web", 1, &[rule, ("traefik.http.routers.web.rulesyntax", "v2")]));
    assert_eq!(router(&config, "web@swarm").rule.hosts(), ["a.example", "b.example"], "{rejections:#?}");
}

#[test]
fn weighted_services_get_no_servers_of_their_own() {
    let labels = [
        ("traefik.http.routers.w.rule", "Host(`a`)"),
        ("traefik.http.routers.w.service", "w"),
        ("traefik.http.services.w.weighted.services[0].name", "a"),
        ("traefik.http.services.w.weighted.services[0].weight", "9"),
        ("traefik.http.services.a.loadbalancer.server.port", "81"),
    ];
    let (config, rejections) = served(service("web", 1, &labels));
    assert_eq!(rejections, [""; 0]);
    assert!(matches!(config.services["w@swarm"].kind, ServiceKind::Weighted(_)));
}

#[test]
fn tls_is_taken_over_but_for_everybodys_options() {
    let labels =
        [("traefik.tls.options.strict.minversion", "VersionTLS13"), ("traefik.tls.options.default.minversion", "VersionTLS10")];
    let (config, rejections) = served(service("web", 1, &labels));
    assert!(config.tls.options.contains_key("strict@swarm"));
    assert!(!config.tls.options.contains_key("default"));
    assert_eq!(rejections.len(), 1, "{rejections:#?}");
    assert!(rejections[0].starts_with("Error service web: traefik.tls.options.default.minversion: "), "{rejections:#?}");
    assert!(config.routers.contains_key("web@swarm"));
}

#[test]
fn a_service_without_tasks_keeps_its_router_and_a_stopped_container_does_not() {
    let label = ("traefik.http.routers.web.rule", "Host(`a`)");
    let (config, rejections) = served(service("web", 0, &[label]));
    assert_eq!((router(&config, "web@swarm").service.as_str(), rejections.len()), ("web@swarm", 0), "{rejections:#?}");
    assert_eq!(servers(&config, "web@swarm"), [""; 0]);

    let url = ("traefik.http.services.web.loadbalancer.server.url", "http://web:80");
    let (config, _) = served(service("web", 0, &[label, url]));
    assert_eq!(balancer(&config, "web@swarm").servers[0].unreachable.as_deref(), Some("no task is running"));

    let stopped = |labels: &[(&str, &str)]| Workload { instances: vec![], ..container("web", 1, labels) };
    let (config, rejections) = served(stopped(&[label]));
    assert_eq!((config.routers.len(), rejections.len()), (0, 0));
    let (config, _) = served(stopped(&[label, ("traefik.docker.allownonrunning", "true")]));
    assert_eq!((config.routers.len(), servers(&config, "web@swarm").len()), (1, 0));
    let (config, _) = serve(Settings { allow_empty_services: true, ..swarm() }, &[stopped(&[label])]);
    assert_eq!((config.routers.len(), servers(&config, "web@swarm").len()), (1, 0));
}

#[test]
fn connections_are_routed_beside_requests_with_servers_of_their_own() {
    let labels = [
        ("traefik.tcp.routers.db.rule", "HostSNI(`db.example`)"),
        ("traefik.tcp.routers.db.tls.passthrough", "true"),
        ("traefik.tcp.services.db.loadbalancer.server.port", "5432"),
        ("traefik.tcp.services.db.loadbalancer.proxyProtocol.version", "1"),
    ];
    let (config, rejections) = served(service("db", 2, &labels));
    assert_eq!((rejections, config.routers.len()), (Vec::new(), 0), "nothing of it is HTTP");
    let router = &config.tcp.routers["db@swarm"];
    assert_eq!((router.service.as_str(), router.rule.text()), ("db@swarm", "HostSNI(`db.example`)"));
    let ServiceKind::LoadBalancer(balancer) = &config.tcp.services["db@swarm"].kind else { panic!("no load balancer") };
    let servers: Vec<_> = balancer.servers.iter().map(|s| (&*s.url.text, s.instance.as_str())).collect();
    assert_eq!(servers, [("10.0.1.11:5432", "db-task-1"), ("10.0.1.12:5432", "db-task-2")]);

    let both = [&labels[..], &[("traefik.http.routers.web.rule", "Host(`web.example`)")]].concat();
    let (config, rejections) = served(service("db", 1, &both));
    assert_eq!((rejections, config.routers.len(), config.tcp.routers.len()), (Vec::new(), 1, 1));

    let (config, rejections) = served(service("db", 1, &[("traefik.tcp.routers.db.rule", "HostSNI(`*`)")]));
    assert_eq!(rejections, [""; 0], "its own service, at the port that is known");
    assert_eq!(config.tcp.routers["db@swarm"].service.as_str(), "db@swarm");
}

#[test]
fn what_is_wrong_with_labels_of_connections_is_named() {
    for (label, value, words) in [
        ("traefik.tcp.routers.db.entrypoints", "web", "no default one for connections"),
        ("traefik.tcp.routers.db.rle", "HostSNI(`*`)", "did you mean `rule`?"),
        ("traefik.tcp.services.db.loadbalancer.server.tls", "true", "not supported yet"),
        ("traefik.tcp.services.db.loadbalancer.server.scheme", "http", "unknown key `scheme`"),
        ("traefik.tcp.services.db.loadbalancer.servers[0].address", "a:1", "labels describe one server"),
        ("traefik.tcp.middlewares.db.inflightconn.amount", "1", "not supported yet"),
    ] {
        let port = ("traefik.tcp.services.other.loadbalancer.server.port", "1");
        let (config, rejections) = served(service("db", 1, &[(label, value), port]));
        assert!(
            rejections.iter().any(|text| text.starts_with("Error service db: traefik.tcp.") && text.contains(words)),
            "{label}: {rejections:#?}"
        );
        assert!(config.tcp.services.contains_key("other@swarm"), "{label}");
    }
}
