//! Several services on one host.

use super::*;
use crate::{config::dynamic::Strategy, discovery::fixture::servers};
use proptest::prelude::*;

const PORT: (&str, &str) = ("port", "8080");
const SHOP: (&str, &str) = ("hosts", "shop.local");

#[test]
fn a_canary_gets_its_share_by_the_number_of_tasks() {
    let config = clean(&[aged(1, web("v1", 4, &[SHOP, PORT])), aged(2, web("v2", 1, &[SHOP, PORT]))]);
    assert_eq!(routes(&config), ["lb.shop.local: Host(`shop.local`) → lb.shop.local []"]);
    assert_eq!(shares(&config, "lb.shop.local@swarm"), [("lb.v1@swarm".to_owned(), 4), ("lb.v2@swarm".to_owned(), 1)]);
}

#[test]
fn what_cannot_be_reached_has_no_share() {
    let mut lost = aged(2, web("v2", 3, &[SHOP, PORT]));
    lost.networks[0].shared = Some(false);
    let (config, _) = serve(&[aged(1, web("v1", 1, &[SHOP, PORT])), lost]);
    assert_eq!(shares(&config, "lb.shop.local@swarm"), [("lb.v1@swarm".to_owned(), 1), ("lb.v2@swarm".to_owned(), 0)]);
}

#[test]
fn a_canary_of_virtual_addresses_is_shared_by_service_and_said_so() {
    let vip = [SHOP, PORT, ("backend_mode", "vip")];
    let (config, rejections) = serve(&[aged(1, web("v1", 4, &vip)), aged(2, web("v2", 1, &vip))]);
    assert_eq!(shares(&config, "lb.shop.local@swarm"), [("lb.v1@swarm".to_owned(), 1), ("lb.v2@swarm".to_owned(), 1)]);
    assert_eq!(rejections.len(), 2);
    for (name, said) in ["v1", "v2"].iter().zip(&rejections) {
        assert!(
            said.starts_with(&format!("Warning service {name}: com.docker.lb.backend_mode: a virtual address counts as one"))
        );
    }
}

/// Were the services shared first, a client would change between them with every request.
#[test]
fn a_client_is_kept_across_the_services_of_a_canary() {
    let labels = [SHOP, PORT, ("sticky_session_cookie", "session")];
    let config = clean(&[aged(1, web("v1", 2, &labels)), aged(2, web("v2", 1, &labels))]);
    let all = balancer(&config, "lb.shop.local@swarm");
    assert_eq!((all.servers.len(), all.strategy, all.hash_cookie.as_deref()), (3, Strategy::Hrw, Some("session")));

    let (config, rejections) = serve(&[aged(1, web("v1", 2, &labels)), aged(2, web("v2", 1, &[SHOP, PORT]))]);
    assert_eq!(shares(&config, "lb.shop.local@swarm").len(), 2);
    let said = "com.docker.lb.sticky_session_cookie: differs from that of service";
    assert_eq!(rejections.iter().filter(|text| text.contains(said)).count(), 2, "{rejections:#?}");
}

#[test]
fn context_roots_of_one_host_are_services_of_their_own() {
    let config = clean(&[
        web("front", 1, &[SHOP, PORT]),
        web("app", 1, &[SHOP, PORT, ("context_root", "/app"), ("context_root_rewrite", "true")]),
        web("admin", 1, &[SHOP, PORT, ("context_root", "/app/admin")]),
        web("shouted", 1, &[SHOP, PORT, ("context_root", "/App")]),
    ]);
    assert_eq!(
        routes(&config),
        [
            "lb.shop.local/app/admin: Host(`shop.local`) && PathPrefix(`/app/admin`) → lb.admin []",
            "lb.shop.local/App: Host(`shop.local`) && PathPrefix(`/App`) → lb.shouted []",
            "lb.shop.local/app: Host(`shop.local`) && PathPrefix(`/app`) → lb.app [lb-slash./app lb-strip./app]",
            "lb.shop.local: Host(`shop.local`) → lb.front []",
        ]
    );
    assert!(matches!(
        middleware(&config, "lb-strip./app@swarm"),
        MiddlewareKind::StripPrefix { prefixes } if *prefixes == ["/app/"]
    ));
    let MiddlewareKind::RedirectRegex { regex, replacement, permanent: true } = middleware(&config, "lb-slash./app@swarm") else {
        panic!("no permanent redirection")
    };
    for (url, to) in [
        ("http://shop.local/app", "http://shop.local/app/"),
        ("https://shop.local:8443/app?a=/app", "https://shop.local:8443/app/?a=/app"),
        ("http://shop.local/app/x", "http://shop.local/app/x"),
        ("http://shop.local/application", "http://shop.local/application"),
    ] {
        assert_eq!(regex.replace_all(url, replacement.as_str()), to, "{url}");
    }
}

#[test]
fn tls_of_a_host_is_for_all_its_roots() {
    let config = clean(&[
        web("front", 1, &[SHOP, PORT, ("ssl_cert", "demo.local.cert"), ("ssl_key", "demo.local.key"), ("ssl_only", "true")]),
        web("api", 1, &[SHOP, PORT, ("context_root", "/api")]),
    ]);
    assert_eq!(
        routes(&config),
        [
            "lb-tls.shop.local/api: Host(`shop.local`) && PathPrefix(`/api`) → lb.api [] tls",
            "lb.shop.local/api: Host(`shop.local`) && PathPrefix(`/api`) → lb.api []",
            "lb-tls.shop.local: Host(`shop.local`) → lb.front [] tls",
            "lb.shop.local: Host(`shop.local`) → lb.front [lb-https]",
        ]
    );
}

#[test]
fn a_redirected_host_keeps_path_and_query() {
    let hosts = ("hosts", "old.local,new.local");
    let config = clean(&[web("shop", 1, &[hosts, PORT, ("redirects", "http://old.local,https://new.local:8443/$1/;")])]);
    assert_eq!(routes(&config)[0], "lb-redirect.old.local: Host(`old.local`) → lb.shop [lb-redirect.old.local]");
    let MiddlewareKind::RedirectRegex { regex, replacement, permanent: false } =
        middleware(&config, "lb-redirect.old.local@swarm")
    else {
        panic!("no redirection for the time being")
    };
    let to = regex.replace_all("http://old.local/a/b?c=http://old.local/", replacement.as_str());
    assert_eq!(to, "https://new.local:8443/$1/a/b?c=http://old.local/");

    // Over TLS too where TLS ends here, unless it is to TLS that it leads.
    let tls = [hosts, PORT, ("ssl_cert", "both")];
    for (redirects, sides) in [("old.local,http://new.local", 2), ("old.local,https://old.local", 1)] {
        let config = clean(&[web("shop", 1, &[&tls[..], &[("redirects", redirects)]].concat())]);
        let found = routes(&config).iter().filter(|route| route.starts_with("lb-redirect")).count();
        assert_eq!(found, sides, "{redirects}");
    }
}

#[test]
fn of_two_redirections_of_one_host_the_older_counts() {
    let to = |target: &'static str| [("hosts", "old.local"), PORT, ("redirects", target)];
    let young = aged(2, web("young", 1, &to("http://old.local,http://young.local")));
    let (config, rejections) = serve(&[young, aged(1, web("elder", 1, &to("http://old.local,http://elder.local")))]);
    assert!(matches!(
        middleware(&config, "lb-redirect.old.local@swarm"),
        MiddlewareKind::RedirectRegex { replacement, .. } if replacement == "http://elder.local${1}"
    ));
    assert_eq!(rejections.len(), 2);
    assert!(
        rejections[0]
            .starts_with("Warning service elder: com.docker.lb.redirects: `old.local` is redirected by service young too")
    );
    assert!(
        rejections[1].starts_with("Warning service young: com.docker.lb.redirects: `old.local` is redirected by service elder")
    );
}

#[test]
fn what_differs_on_one_root_is_said_to_both() {
    let root = [SHOP, PORT, ("context_root", "/app")];
    let (config, rejections) = serve(&[
        aged(1, web("old", 1, &root)),
        aged(2, web("new", 1, &[&root[..], &[("context_root_rewrite", "true")]].concat())),
    ]);
    assert_eq!(routes(&config), ["lb.shop.local/app: Host(`shop.local`) && PathPrefix(`/app`) → lb.shop.local/app []"]);
    let said =
        |other: &str| format!("com.docker.lb.context_root_rewrite: differs from that of service {other}: for `shop.local/app`");
    assert_eq!(rejections.len(), 2, "{rejections:#?}");
    assert!(rejections[0].contains(&said("old")) && rejections[1].contains(&said("new")), "{rejections:#?}");
}

#[test]
fn options_add_info_headers_and_keep_websockets_to_their_paths() {
    let mut settings = settings();
    (settings.interlock.info_headers, settings.interlock.strict_websockets) = (true, true);
    let (config, rejections) = serve_with(
        settings,
        &mounts(&[]),
        &[
            web("web", 2, &[SHOP, PORT, ("websocket_endpoints", "/total, /live,/total")]),
            web("plain", 2, &[("hosts", "plain.local"), PORT]),
        ],
    );
    assert_eq!(rejections, [""; 0]);
    assert_eq!(
        routes(&config),
        [
            "lb.plain.local: Host(`plain.local`) → lb.plain [lb-info lb-upgrade.plain.local]",
            "lb.shop.local: Host(`shop.local`) → lb.web [lb-info lb-upgrade.shop.local]",
        ]
    );
    let prefixes = |name: &str| match middleware(&config, name) {
        MiddlewareKind::UpgradePaths { prefixes } => prefixes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(prefixes("lb-upgrade.shop.local@swarm"), ["/live", "/total"]);
    assert_eq!(prefixes("lb-upgrade.plain.local@swarm"), [""; 0]);
    // Seed 002: otherwise the label needs nothing.
    let config = clean(&[web("web", 2, &[SHOP, PORT, ("websocket_endpoints", "/total")])]);
    assert_eq!(routes(&config), ["lb.shop.local: Host(`shop.local`) → lb.web []"]);
}

/// Seed 002: what virtual addresses are for.
#[test]
fn behind_a_virtual_address_tasks_come_and_go_without_a_change() {
    let vip = [SHOP, PORT, ("backend_mode", "vip"), ("context_root", "/app"), ("context_root_rewrite", "true")];
    let before = web("shop", 2, &vip);
    let mut after = web("shop", 3, &vip);
    for instance in &mut after.instances {
        instance.id.push_str("-new");
        instance.addresses[0].1 = std::net::IpAddr::from([10, 0, 1, 99]);
    }
    let mut discovery = Discovery::new(settings());
    let first = discovery.compose(std::slice::from_ref(&before), &mounts(&[]));
    assert_eq!(discovery.compose(std::slice::from_ref(&after), &mounts(&[])), first);
    let tasks = |workload: &Workload| {
        let mut workload = workload.clone();
        workload.labels.insert("com.docker.lb.backend_mode".to_owned(), "task".to_owned());
        Discovery::new(settings()).compose(&[workload], &mounts(&[]))
    };
    assert_ne!(tasks(&before), tasks(&after), "unlike behind addresses of tasks");
}

#[test]
fn languages_live_side_by_side() {
    let mut both = web("both", 1, &[SHOP, PORT]);
    both.labels.insert("traefik.http.routers.both.rule".to_owned(), "Host(`traefik.local`)".to_owned());
    let config = clean(&[both]);
    assert_eq!(routes(&config), ["both: Host(`traefik.local`) → both []", "lb.shop.local: Host(`shop.local`) → lb.both []",]);
    assert_eq!(servers(&config, "lb.both@swarm").len(), 1);
}

/// Name, age, hosts, context root, which of the optional labels, tasks.
type Plan = (u8, u64, Vec<&'static str>, &'static str, Vec<bool>, u8);

fn anyone() -> impl proptest::strategy::Strategy<Value = Plan> {
    let hosts = prop::sample::subsequence(vec!["a.local", "b.local", "*.local"], 0..=3);
    let root = prop::sample::select(vec!["", "/app", "/app/x"]);
    let flags = prop::collection::vec(any::<bool>(), 5);
    (0_u8..6, 1_u64..4, hosts, root, flags, 0_u8..4)
}

fn made((name, age, hosts, root, flags, tasks): Plan) -> Workload {
    let hosts = hosts.join(",");
    let mut labels = vec![PORT, ("hosts", hosts.as_str()), ("context_root", root)];
    let optional = [
        ("context_root_rewrite", "true"),
        ("ssl_only", "true"),
        ("ip_hash", "true"),
        ("default_backend", "true"),
        ("redirects", "a.local,http://c.local"),
    ];
    labels.extend(optional.iter().zip(flags).filter_map(|(label, on)| on.then_some(*label)));
    aged(age, web(&format!("s{name}"), tasks, &labels))
}

proptest! {
    /// Neither the order of services nor what was composed before counts, and whatever is composed is served.
    #[test]
    fn only_what_there_is_counts(first in prop::collection::vec(anyone(), 0..5), then in prop::collection::vec(anyone(), 0..6)) {
        let unique = |list: Vec<_>| {
            let by_id: BTreeMap<String, Workload> = list.into_iter().map(made).map(|made| (made.id.clone(), made)).collect();
            by_id.into_values().collect::<Vec<_>>()
        };
        let (first, mut then) = (unique(first), unique(then));
        let mut discovery = Discovery::new(settings());
        discovery.compose(&first, &mounts(&[]));
        let found = discovery.compose(&then, &mounts(&[]));
        then.reverse();
        prop_assert_eq!(&found, &Discovery::new(settings()).compose(&then, &mounts(&[])));
        let (config, said) = resolved(found.0, found.1);
        prop_assert!(said.iter().all(|said| !said.starts_with("Error")), "{:?}", said);
        for workload in &then {
            let hosts = workload.labels["com.docker.lb.hosts"].split(',').filter(|host| !host.is_empty());
            for host in hosts {
                let name = format!("lb.{host}{}@swarm", workload.labels["com.docker.lb.context_root"]);
                prop_assert!(config.routers.contains_key(name.as_str()), "{}", name);
            }
        }
    }
}

#[test]
fn a_change_of_one_composes_its_host_only() {
    let made = |number: u32| {
        // Of ten services, two share a host.
        let host = format!("{}.example", if number % 10 == 1 { number - 1 } else { number });
        aged(u64::from(number), web(&format!("stack_{number}"), 2, &[("hosts", host.as_str()), PORT]))
    };
    let mut workloads: Vec<Workload> = (0..50).map(made).collect();
    let mut discovery = Discovery::new(settings());
    let before = discovery.compose(&workloads, &mounts(&[])).0;
    assert_eq!(before.routers().count(), 45);
    workloads[20].labels.insert("com.docker.lb.context_root".to_owned(), "/new".to_owned());
    let (after, rejections) = discovery.compose(&workloads, &mounts(&[]));
    assert_eq!((after.routers().count(), rejections.len()), (46, 0));
    // The host of 20 and 21 was composed anew, and no other.
    assert_eq!(after.kept_from(&before), (44, 46));
}
