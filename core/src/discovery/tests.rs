use super::{
    fixture::{container, serve, servers, service},
    *,
};
use std::time::Duration;

fn at(seconds: u64, workload: Workload) -> Workload {
    Workload { created: Duration::from_secs(seconds), ..workload }
}

fn texts(rejections: &[Rejection]) -> Vec<String> {
    rejections.iter().map(|rejection| format!("{:?} {rejection}", rejection.severity)).collect()
}

const RULE: &str = "traefik.http.routers.web.rule";
const PORT: &str = "traefik.http.services.web.loadbalancer.server.port";

#[test]
fn the_older_owner_keeps_a_name_and_both_are_told() {
    let old = at(1, service("old", 1, &[(RULE, "Host(`old`)"), (PORT, "80")]));
    let new = at(2, service("new", 1, &[(RULE, "Host(`new`)"), (PORT, "81")]));
    for workloads in [[old.clone(), new.clone()], [new.clone(), old]] {
        let (config, rejections) = serve(Settings::new("swarm"), &workloads);
        assert_eq!(config.routers["web@swarm"].rule.text(), "Host(`old`)");
        assert_eq!(servers(&config, "web@swarm"), ["http://10.0.1.11:80 (old-task-1)"]);
        let told = |key: &str| {
            [
                format!(
                    "Error service new: {key}: is declared by service old already, which is older and keeps the name (give one of the two another name)"
                ),
                format!(
                    "Warning service old: {key}: is declared by service new too, which is younger and is refused (give one of the two another name)"
                ),
            ]
        };
        let ([a, b], [c, d]) = (told("traefik.http.routers.web"), told("traefik.http.services.web"));
        assert_eq!(texts(&rejections), [a, c, b, d]);
    }
    let (config, rejections) = serve(Settings::new("swarm"), &[new]);
    assert_eq!(config.routers["web@swarm"].rule.text(), "Host(`new`)", "once the older is gone");
    assert_eq!(rejections, []);
}

#[test]
fn of_two_of_one_age_the_id_decides() {
    let (config, _) =
        serve(Settings::new("swarm"), &[service("b", 1, &[(RULE, "Host(`b`)")]), service("a", 1, &[(RULE, "Host(`a`)")])]);
    assert_eq!(config.routers["web@swarm"].rule.text(), "Host(`a`)");
}

#[test]
fn what_two_declare_alike_is_no_conflict() {
    let labels = [("traefik.http.middlewares.secure.redirectscheme.scheme", "https")];
    let (config, rejections) = serve(Settings::new("swarm"), &[service("a", 1, &labels), service("b", 1, &labels)]);
    assert_eq!(rejections, []);
    assert!(config.middlewares.contains_key("secure@swarm"));
    assert_eq!(config.routers.len(), 2);
}

#[test]
fn containers_that_declare_a_service_alike_are_one() {
    let labels = [(RULE, "Host(`web`)"), (PORT, "80")];
    let workloads =
        [at(2, container("web-2", 2, &labels)), at(1, container("web-1", 1, &labels)), at(3, container("web-3", 3, &labels))];
    let (config, rejections) = serve(Settings::new("docker"), &workloads);
    assert_eq!(rejections, []);
    let all = ["http://10.0.1.11:80 (web-1-task-1)", "http://10.0.1.12:80 (web-2-task-2)", "http://10.0.1.13:80 (web-3-task-3)"];
    assert_eq!(servers(&config, "web@docker"), all);

    let mut settings = labels.to_vec();
    settings.push(("traefik.http.services.web.loadbalancer.passhostheader", "false"));
    let other = at(4, container("web-4", 4, &settings));
    let (config, rejections) = serve(Settings::new("docker"), &[&workloads[..], &[other]].concat());
    assert_eq!(servers(&config, "web@docker"), all, "other settings are another service");
    let texts = texts(&rejections);
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[1].starts_with("Error container web-4: traefik.http.services.web: is declared by container web-1 already"));
    assert!(texts[0].starts_with("Warning container web-1: traefik.http.services.web: is declared by container web-4 too"));

    let url = [(RULE, "Host(`web`)"), ("traefik.http.services.web.loadbalancer.server.url", "http://10.9.9.9")];
    let (config, _) = serve(Settings::new("docker"), &[container("web-1", 1, &url), container("web-2", 2, &url)]);
    assert_eq!(servers(&config, "web@docker"), ["http://10.9.9.9"], "one address is one server");
}

#[test]
fn a_container_that_cannot_be_read_does_not_take_its_siblings_away() {
    let good = [(RULE, "Host(`web`)"), (PORT, "80")];
    let bad = [(RULE, "Host(`web`)"), (PORT, "eighty")];
    for (first, second) in [(good, bad), (bad, good)] {
        let (config, rejections) =
            serve(Settings::new("docker"), &[at(1, container("web-1", 1, &first)), at(2, container("web-2", 2, &second))]);
        assert_eq!(servers(&config, "web@docker").len(), 1);
        let texts = texts(&rejections);
        assert_eq!(texts.len(), 1, "{texts:#?}");
        assert!(texts[0].contains("traefik.http.services.web.loadbalancer.server.port: expected a port"), "{texts:#?}");
    }
}

#[test]
fn what_the_orchestrator_remarks_is_passed_on_of_those_that_are_served() {
    let remarks = vec!["the update was rolled back".to_owned()];
    let web = Workload { remarks: remarks.clone(), ..service("web", 1, &[]) };
    let db = Workload { remarks, ..service("db", 1, &[("traefik.enable", "false")]) };
    let (_, rejections) = serve(Settings::new("swarm"), &[web, db]);
    assert_eq!(texts(&rejections), ["Warning service web: status: the update was rolled back"]);
}

#[test]
fn a_service_that_falls_back_keeps_to_the_instances_that_there_are() {
    let mut discovery = Discovery::new(Settings::new("swarm"));
    let mut last = None;
    let mut step = |labels: &[(&str, &str)], tasks: &[u8]| {
        let mut web = service("web", 9, &[&[(RULE, "Host(`web`)"), (PORT, "80")], labels].concat());
        web.instances.retain(|instance| tasks.iter().any(|task| instance.id == format!("web-task-{task}")));
        let (raw, _) = discovery.compose(&[web], &Mounts::default());
        let (config, _) =
            crate::config::resolve(&BTreeMap::from([("swarm".to_owned(), raw)]), &fixture::gateway(), last.as_ref());
        let found = servers(&config, "web@swarm");
        last = Some(config);
        found
    };
    let task = |number: u8| format!("http://10.0.1.1{number}:80 (web-task-{number})");
    assert_eq!(step(&[], &[1, 2]), [task(1), task(2)]);
    let sticky = ("traefik.http.services.web.loadbalancer.stiky", "x");
    assert_eq!(step(&[sticky], &[2, 3]), [task(2), task(3)], "a mistake elsewhere: the servers are known");
    let unknown = ("traefik.http.services.web.loadbalancer.server.prot", "81");
    assert_eq!(step(&[unknown], &[3, 4]), [task(3), task(4)]);
    let network = ("traefik.swarm.lbswarm", "maybe");
    assert_eq!(step(&[network], &[4, 5]), [task(4)], "where is not known: of those served, those that are left");
    assert_eq!(step(&[], &[5]), [task(5)]);
}

mod properties {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select, test_runner::Config};

    /// One label of few, so that workloads meet.
    fn label() -> impl Strategy<Value = (&'static str, &'static str)> {
        select(vec![
            ("traefik.enable", "true"),
            ("traefik.enable", "false"),
            ("traefik.enable", "yes"),
            (RULE, "Host(`a`)"),
            (RULE, "Host(`b`)"),
            (RULE, "Host("),
            ("traefik.http.routers.api.rule", "Host(`c`)"),
            ("traefik.http.routers.api.service", "web"),
            ("traefik.http.routers..rule", "x"),
            (PORT, "80"),
            (PORT, "81"),
            (PORT, "none"),
            ("traefik.http.services.web.loadbalancer.passhostheader", "false"),
            ("traefik.http.services.api.loadbalancer.server.url", "http://10.0.0.1"),
            ("traefik.http.middlewares.m.addprefix.prefix", "/m"),
            ("traefik.http.middlewares.m.addprefix.prefix", "/n"),
            ("traefik.tcp.routers.t.rule", "x"),
            ("traefik.swarm.network", "back"),
            ("traefik.tls.certificates[0].certfile", "/c"),
            ("traefik.port", "80"),
            ("com.docker.lb.hosts", "a"),
        ])
    }

    fn workload() -> impl Strategy<Value = Workload> {
        (0..6_u8, any::<bool>(), 0..3_u64, 0..3_u8, vec(label(), 0..5)).prop_map(
            |(number, is_container, created, tasks, labels)| {
                let name = format!("w{number}");
                let workload = if is_container { container(&name, number, &labels) } else { service(&name, tasks, &labels) };
                at(created, workload)
            },
        )
    }

    /// No two with one id.
    fn workloads() -> impl Strategy<Value = Vec<Workload>> {
        vec(workload(), 0..6).prop_map(|workloads| {
            let by_id: BTreeMap<String, Workload> =
                workloads.into_iter().map(|workload| (workload.id.clone(), workload)).collect();
            by_id.into_values().collect()
        })
    }

    fn compose(workloads: &[Workload]) -> (RawDynamic, Vec<Rejection>) {
        Discovery::new(Settings::new("swarm")).compose(workloads, &Mounts::default())
    }

    proptest! {
        #![proptest_config(Config::with_cases(512))]

        #[test]
        fn the_order_of_workloads_does_not_matter((workloads, shuffled) in workloads().prop_flat_map(|workloads| {
            (Just(workloads.clone()), Just(workloads).prop_shuffle())
        })) {
            prop_assert_eq!(compose(&workloads), compose(&shuffled));
        }

        #[test]
        fn after_any_changes_it_is_as_from_the_beginning(steps in vec(workloads(), 1..6)) {
            let mut discovery = Discovery::new(Settings::new("swarm"));
            for workloads in &steps {
                prop_assert_eq!(discovery.compose(workloads, &Mounts::default()), compose(workloads));
            }
        }

        #[test]
        fn a_broken_newcomer_changes_nothing_for_others(workloads in workloads(), labels in vec(label(), 0..4)) {
            let mut broken = at(100, service("broken", 1, &labels));
            broken.ports.clear();
            for (label, value) in [
                (RULE, "Host("),
                (PORT, "none"),
                ("traefik.http.routers.more.rule", "Host("),
                ("traefik.http.middlewares.m.nonsense", "1"),
            ] {
                broken.labels.insert(label.to_owned(), value.to_owned());
            }
            broken.labels.remove("traefik.tls.certificates[0].certfile");
            let (before, _) = serve(Settings::new("swarm"), &workloads);
            let (after, rejections) = serve(Settings::new("swarm"), &[&workloads[..], &[broken.clone()]].concat());
            let of = |config: &crate::config::Config| {
                let routers = config.routers.values().filter(|router| !router.source.starts_with("service broken"));
                let services = config.services.values().filter(|service| !service.source.starts_with("service broken"));
                (
                    routers.map(|router| format!("{router:?}")).collect::<Vec<_>>(),
                    services.map(|service| format!("{service:?}")).collect::<Vec<_>>(),
                )
            };
            prop_assert_eq!(of(&before), of(&after));
            if broken.labels.get("traefik.enable").is_none_or(|value| value != "false") {
                prop_assert!(rejections.iter().any(|rejection| rejection.source == "service broken"));
            }
        }
    }
}

#[test]
fn a_change_of_one_decodes_no_other() {
    let workload = |number: u32, rule: &str| {
        let name = format!("traefik.http.routers.r{number}.rule");
        at(
            u64::from(number),
            service(
                &format!("stack_{number}"),
                2,
                &[(name.as_str(), rule), ("traefik.http.services.s.loadbalancer.server.port", "80")],
            ),
        )
    };
    let one = |number: u32| workload(number, &format!("Host(`{number}.example`)"));
    let mut workloads: Vec<Workload> = (0..50).map(one).collect();
    let mut discovery = Discovery::new(Settings::new("swarm"));
    let before = discovery.compose(&workloads, &Mounts::default()).0;
    workloads[7] = workload(7, "Host(`changed.example`)");
    let after = discovery.compose(&workloads, &Mounts::default()).0;
    assert_eq!(after.routers().count(), 50);
    // The router of the one that changed was written anew, and nothing else.
    assert_eq!(after.kept_from(&before), (49, 50));
    let fresh = Discovery::new(Settings::new("swarm")).compose(&workloads, &Mounts::default()).0;
    assert_eq!((fresh.kept_from(&before), fresh == after), ((0, 50), true));
}
