use super::*;
use fairlead_net::time::now;
use serde_json::{Value, json};
use std::net::IpAddr;

const CONFIRM: Duration = Duration::from_secs(1);

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what the Engine sends")
}

fn service(id: &str, index: u64) -> Service {
    service_with(id, index, |_| {})
}

fn service_with(id: &str, index: u64, adapt: impl FnOnce(&mut Value)) -> Service {
    let mut value = json!({
        "ID": id, "Version": {"Index": index}, "CreatedAt": "2026-11-21T06:23:47.082546055Z",
        "Spec": {
            "Name": format!("shop_{id}"), "Labels": {"a": "b"}, "Mode": {"Replicated": {"Replicas": 1}},
            "TaskTemplate": {"Networks": [{"Target": "n1"}]},
            "EndpointSpec": {"Mode": "vip", "Ports": [
                {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080, "PublishMode": "host"},
                {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"},
            ]},
        },
        "Endpoint": {"VirtualIPs": [{"NetworkID": "n0", "Addr": "10.0.0.4/24"}, {"NetworkID": "n1", "Addr": "10.0.1.5/24"}]},
    });
    adapt(&mut value);
    read(value)
}

fn task(id: &str, service: &str, index: u64) -> Task {
    task_with(id, service, index, |_| {})
}

fn task_with(id: &str, service: &str, index: u64, adapt: impl FnOnce(&mut Value)) -> Task {
    let mut value = json!({
        "ID": id, "Version": {"Index": index}, "ServiceID": service, "Slot": 1, "NodeID": "node1",
        "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c0ffee123456aaaa"}, "PortStatus": {"Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080, "PublishMode": "host"},
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080, "PublishMode": "host"},
        ]}},
        "DesiredState": "running",
        "NetworksAttachments": [
            {"Network": {"ID": "n0", "Spec": {"Name": "ingress", "Ingress": true}}, "Addresses": ["10.0.0.9/24"]},
            {"Network": {"ID": "n1", "Spec": {"Name": "front"}}, "Addresses": ["10.0.1.6/24", "fd00::6/64"]},
        ],
    });
    adapt(&mut value);
    read(value)
}

fn networks() -> Vec<Network> {
    read(json!([
        {"Id": "n0", "Name": "ingress", "Driver": "overlay", "Ingress": true},
        {"Id": "n1", "Name": "front", "Driver": "overlay", "Ingress": false},
    ]))
}

fn nodes(state: &str) -> Vec<Node> {
    read(json!([
        {"ID": "node1", "Description": {"Hostname": "alpha"}, "Status": {"State": state, "Addr": "192.168.0.1"}},
        {"ID": "node2", "Description": {"Hostname": "beta"}, "Status": {"State": "ready", "Addr": "0.0.0.0"},
         "ManagerStatus": {"Addr": "192.168.0.2:2377"}},
    ]))
}

fn seen<T>(list: Vec<T>) -> Seen<Vec<Arc<T>>> {
    Seen::New(list.into_iter().map(Arc::new).collect())
}

fn lists(services: Vec<Service>, tasks: Vec<Task>) -> Reading {
    Reading { services: seen(services), tasks: seen(tasks), ..Reading::default() }
}

fn everything(services: Vec<Service>, tasks: Vec<Task>) -> Reading {
    Reading { networks: seen(networks()), nodes: seen(nodes("ready")), ..lists(services, tasks) }
}

fn known(services: Vec<Service>, tasks: Vec<Task>) -> State {
    let mut state = State::new(None, CONFIRM);
    state.apply(everything(services, tasks), now());
    state
}

/// Instances by workload.
fn instances(state: &State) -> Vec<(String, Vec<String>)> {
    let ids = |w: &Workload| w.instances.iter().map(|instance| instance.id.clone()).collect();
    state.workloads().iter().map(|w| (w.id.clone(), ids(w))).collect()
}

fn expect(state: &State, expected: &[(&str, &[&str])]) {
    let expected: Vec<_> =
        expected.iter().map(|(id, tasks)| ((*id).to_owned(), tasks.iter().map(|t| (*t).to_owned()).collect())).collect();
    assert_eq!(instances(state), expected);
}

#[test]
fn a_service_becomes_a_workload_with_addresses_ports_and_networks() {
    let state = known(vec![service("s", 5)], vec![task("t", "s", 6)]);
    let workloads = state.workloads();
    let workload = &workloads[0];
    assert_eq!((workload.id.as_str(), workload.name.as_str(), workload.title().as_str()), ("s", "shop_s", "service shop_s"));
    assert_eq!((workload.created.as_secs(), workload.ports.as_slice()), (1_795_242_227, &[80][..]));
    let [network] = &workload.networks[..] else { panic!("{:?}", workload.networks) };
    assert_eq!((network.name.as_str(), network.shared, network.vip), ("front", None, "10.0.1.5".parse().ok()));
    let instance = &workload.instances[0];
    let front = |ip: &str| ("n1".to_owned(), ip.parse::<IpAddr>().expect("an address"));
    assert_eq!(instance.addresses, [front("10.0.1.6"), front("fd00::6")]);
    assert_eq!((instance.name.as_str(), instance.node.as_str()), ("shop_s.1", "alpha"));
    assert_eq!(instance.node_address, "192.168.0.1".parse().ok());
    assert_eq!(instance.published.len(), 1, "20.10 lists each twice");
    assert_eq!((instance.published[0].target, instance.published[0].port), (80, 18080));
}

#[test]
fn only_what_is_meant_to_run_and_runs_is_an_instance() {
    for (desired, state, counts) in [
        ("running", "running", true),
        ("running", "starting", false),
        ("running", "preparing", false),
        ("running", "hovering", false),
        ("shutdown", "running", false),
        ("remove", "running", false),
        ("running", "complete", false),
    ] {
        let task = task_with("t", "s", 6, |value| {
            value["DesiredState"] = desired.into();
            value["Status"]["State"] = state.into();
        });
        let state_of = known(vec![service("s", 5)], vec![task]);
        assert_eq!(state_of.workloads()[0].instances.len(), usize::from(counts), "{desired} {state}");
    }
}

#[test]
fn a_service_without_tasks_has_no_instances_and_tasks_without_service_wait_for_it() {
    let mut state = known(vec![service("s", 5)], vec![task("t", "other", 6)]);
    expect(&state, &[("s", &[])]);
    assert!(state.is_in_motion());
    let reading = Reading { services: seen(vec![service("s", 5), service("other", 4)]), tasks: Seen::Same, ..Reading::default() };
    assert_eq!(state.apply(reading, now()), News::Changed);
    expect(&state, &[("other", &["t"]), ("s", &[])]);
}

#[test]
fn what_was_read_alone_while_lists_came_in_is_the_later() {
    let mut state = known(vec![service("a", 5), service("b", 5)], vec![task("t", "a", 6), task("u", "b", 6)]);
    let renamed = service_with("a", 8, |value| value["Spec"]["Labels"]["a"] = "c".into());
    state.apply_one("a", Some(renamed), vec![task("v", "a", 9)]);
    state.apply_one("b", None, vec![]);
    let alone: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
    let lists = || lists(vec![service("a", 5), service("b", 5), service("c", 7)], vec![task("t", "a", 6), task("u", "b", 6)]);
    assert!(matches!(state.apply(lists(), now()), News::Doubt(_)));
    assert_eq!(state.apply_beside(&alone, lists(), now()), News::Changed);
    expect(&state, &[("a", &["v"]), ("c", &[])]);
    assert_eq!(state.workloads()[0].labels["a"], "c");
    // Unless the list knows a later one.
    let mut state = known(vec![service("a", 5)], vec![task("t", "a", 6)]);
    state.apply_one("a", Some(service("a", 7)), vec![]);
    let reading = super::tests::everything(vec![service("a", 9)], vec![task("v", "a", 10)]);
    state.apply_beside(&alone, reading, now());
    expect(&state, &[("a", &["v"])]);
}

#[test]
fn the_address_of_one_that_is_gone_belongs_to_the_next() {
    let at = |id, service: &str, ip: &str| {
        task_with(id, service, 9, |value| value["NetworksAttachments"][1]["Addresses"] = json!([format!("{ip}/24")]))
    };
    let mut state = known(vec![service("a", 1), service("b", 2)], vec![at("t1", "a", "10.0.1.6"), at("t2", "b", "10.0.1.7")]);
    state.apply(lists(vec![service("a", 1), service("b", 2)], vec![at("t3", "b", "10.0.1.6"), at("t2", "b", "10.0.1.7")]), now());
    expect(&state, &[("a", &[]), ("b", &["t2", "t3"])]);
    assert_eq!(state.workloads()[1].instances[1].addresses[0].1, "10.0.1.6".parse::<IpAddr>().expect("an address"));
}

#[test]
fn a_task_on_a_node_that_is_down_goes_once_its_slot_runs_elsewhere() {
    let elsewhere = || task_with("u", "s", 9, |value| value["NodeID"] = "node2".into());
    for (node, tasks, expected) in [
        ("unknown", vec![task("t", "s", 6), elsewhere()], &["t", "u"][..]),
        ("down", vec![task("t", "s", 6)], &["t"]),
        ("down", vec![task("t", "s", 6), elsewhere()], &["u"]),
        ("ready", vec![task("t", "s", 6), elsewhere()], &["t", "u"]),
    ] {
        let mut state = known(vec![service("s", 5)], tasks);
        state.apply(Reading { nodes: seen(nodes(node)), ..Reading::default() }, now());
        expect(&state, &[("s", expected)]);
    }
    let state = known(vec![service("s", 5)], vec![elsewhere()]);
    let address = state.workloads()[0].instances[0].node_address;
    assert_eq!(address, "192.168.0.2".parse().ok(), "as others know the manager");
}

#[test]
fn all_services_gone_at_once_is_believed_when_it_is_said_again() {
    let mut state = known(vec![service("s", 5)], vec![task("t", "s", 6)]);
    let at = now();
    let News::Doubt(message) = state.apply(lists(vec![], vec![]), at) else { panic!("it is doubted") };
    assert!(message.contains("no service") && message.contains('1'), "{message}");
    expect(&state, &[("s", &["t"])]);
    assert!(matches!(state.apply(lists(vec![], vec![]), at + STALE / 2), News::Doubt(_)));
    // What is not asked for says nothing about it.
    state.apply(Reading { nodes: Seen::Same, ..Reading::default() }, at + STALE / 2);
    assert!(state.is_doubted());
    assert_eq!(state.apply(lists(vec![], vec![]), at + STALE), News::Changed);
    expect(&state, &[]);
    assert!(!state.is_doubted());

    let mut state = known(vec![service("s", 5)], vec![task("t", "s", 6)]);
    state.apply(lists(vec![], vec![]), at);
    state.apply(Reading { services: Seen::Same, tasks: Seen::Same, ..Reading::default() }, at + STALE);
    assert!(matches!(state.apply(lists(vec![], vec![]), at + STALE * 2), News::Doubt(_)), "the doubt began anew");
}

#[test]
fn a_service_that_events_said_was_removed_is_no_reason_for_doubt() {
    let mut state = known(vec![service("s", 5)], vec![task("t", "s", 6)]);
    assert_eq!(state.apply_one("s", None, vec![]), News::Changed);
    assert_eq!(state.apply(lists(vec![], vec![]), now()), News::Nothing);
    expect(&state, &[]);
}

#[test]
fn all_tasks_of_several_services_gone_at_once_is_doubted_unless_that_was_wanted() {
    let two = || vec![service("a", 1), service("b", 2)];
    let none = || Reading { tasks: seen(vec![]), ..Reading::default() };
    let mut state = known(two(), vec![task("t", "a", 6), task("u", "b", 7)]);
    let at = now();
    assert!(matches!(state.apply(none(), at), News::Doubt(_)));
    assert_eq!(state.apply(none(), at + CONFIRM), News::Changed);
    expect(&state, &[("a", &[]), ("b", &[])]);

    let mut state = known(two(), vec![task("t", "a", 6)]);
    assert_eq!(state.apply(none(), at), News::Changed, "an update that stops first looks like that");
    let mut state = known(two(), vec![task("t", "a", 6), task("u", "b", 7)]);
    let scaled = |id, index| service_with(id, index, |value| value["Spec"]["Mode"]["Replicated"]["Replicas"] = 0.into());
    assert_eq!(state.apply(lists(vec![scaled("a", 8), scaled("b", 9)], vec![]), at), News::Changed);
}

#[test]
fn what_is_older_than_known_is_not_believed_for_a_while() {
    let mut state = known(vec![service("s", 5)], vec![task("t", "s", 6)]);
    let at = now();
    let older = || lists(vec![service("s", 4)], vec![]);
    let News::Doubt(message) = state.apply(older(), at) else { panic!("it is doubted") };
    assert!(message.contains("older"), "{message}");
    assert!(matches!(state.apply(lists(vec![service("s", 5)], vec![task("t", "s", 5)]), at), News::Doubt(_)));
    assert!(matches!(state.apply_one("s", Some(service("s", 4)), vec![]), News::Doubt(_)));
    expect(&state, &[("s", &["t"])]);
    assert_eq!(state.apply(older(), at + STALE), News::Changed, "a backup was restored");
    expect(&state, &[("s", &[])]);
}

#[test]
fn what_went_does_not_come_back_until_a_backup_is_taken_for_granted() {
    let both = || (vec![service("a", 5), service("b", 6)], vec![task("t", "a", 7), task("u", "a", 8), task("v", "b", 9)]);
    let (services, tasks) = both();
    let mut state = known(services, tasks);
    let at = now();
    assert_eq!(
        state.apply(Reading { tasks: seen(vec![task("u", "a", 8), task("v", "b", 9)]), ..Reading::default() }, at),
        News::Changed
    );
    assert_eq!(state.apply_one("b", None, vec![]), News::Changed);
    let (services, tasks) = both();
    for reading in [
        Reading { tasks: seen(tasks.clone()), ..Reading::default() },
        Reading { services: seen(services.clone()), ..Reading::default() },
        lists(services.clone(), tasks.clone()),
    ] {
        assert!(matches!(state.apply(reading, at), News::Doubt(_)));
    }
    assert!(matches!(state.apply_one("a", Some(service("a", 5)), vec![task("t", "a", 7), task("u", "a", 8)]), News::Doubt(_)));
    assert!(matches!(state.apply_one("b", Some(service("b", 6)), vec![]), News::Doubt(_)));
    expect(&state, &[("a", &["u"])]);
    assert_eq!(state.apply(lists(services.clone(), tasks.clone()), at + STALE), News::Changed);
    expect(&state, &[("a", &["t", "u"]), ("b", &["v"])]);
    assert_eq!(state.apply(lists(services, tasks), at + STALE), News::Nothing);
}

#[test]
fn one_service_is_not_believed_with_tasks_older_than_known() {
    let mut state = known(vec![service("a", 5)], vec![task("t", "a", 7)]);
    assert!(matches!(state.apply_one("a", Some(service("a", 5)), vec![task("t", "a", 6)]), News::Doubt(_)));
    expect(&state, &[("a", &["t"])]);
}

#[test]
fn another_manager_has_to_know_as_much() {
    let mut state = known(vec![service("a", 5), service("b", 8)], vec![task("t", "a", 6), task("u", "b", 9)]);
    state.switched();
    let at = now();
    let lagging = || lists(vec![service("a", 5)], vec![task("t", "a", 6)]);
    assert!(matches!(state.apply(lagging(), at), News::Doubt(_)), "b is newer than anything it knows");
    assert_eq!(state.apply(lists(vec![service("a", 10)], vec![task("t", "a", 6)]), at), News::Changed, "b was removed since");
    expect(&state, &[("a", &["t"])]);
    // Services that did not change may come with older tasks.
    let mut state = known(vec![service("a", 5)], vec![task("t", "a", 6), task("u", "a", 9)]);
    state.switched();
    let behind = Reading { services: Seen::Same, tasks: seen(vec![task("t", "a", 6)]), ..Reading::default() };
    assert!(matches!(state.apply(behind, at), News::Doubt(_)));
    // Over the same manager the newest may go.
    let mut state = known(vec![service("a", 5), service("b", 8)], vec![]);
    assert_eq!(state.apply(lists(vec![service("a", 5)], vec![]), at), News::Changed);
}

#[test]
fn the_gateway_finds_its_networks_by_its_task_or_its_container_and_keeps_them() {
    let shared = |state: &State| state.workloads()[0].networks[0].shared;
    let me = |id: &str| State::new(Some(id.to_owned()), CONFIRM);
    let read = || everything(vec![service("s", 5)], vec![task("t", "s", 6)]);
    let mut state = me("c0ffee123456");
    state.apply(read(), now());
    assert_eq!(shared(&state), Some(true));

    let mut state = me("deadbeef0000");
    state.apply(read(), now());
    assert_eq!((shared(&state), state.is_located()), (None, false));
    let inspected = |networks: Option<&[&str]>| Reading {
        inspected: Seen::New(networks.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect())),
        ..Reading::default()
    };
    assert_eq!(state.apply(inspected(Some(&["n7"])), now()), News::Changed);
    assert_eq!(shared(&state), Some(false));
    assert_eq!(state.apply(inspected(Some(&["n7", "n1"])), now()), News::Changed, "it was attached later");
    assert_eq!(shared(&state), Some(true));
    assert_eq!(state.apply(inspected(None), now()), News::Nothing, "a daemon that does not know us tells nothing");
}

#[test]
fn a_host_network_is_reached_by_the_nodes_address() {
    let task = task_with("t", "s", 6, |value| {
        value["NetworksAttachments"] =
            json!([{"Network": {"ID": "nh", "Spec": {"Name": "host"}, "DriverState": {"Name": "host"}}}]);
    });
    let plain = service_with("s", 5, |value| {
        value["Spec"]["TaskTemplate"]["Networks"] = json!([{"Target": "nh"}]);
        value["Endpoint"] = Value::Null;
    });
    let state = known(vec![plain], vec![task]);
    let workload = &state.workloads()[0];
    assert_eq!((workload.networks[0].name.as_str(), workload.networks[0].shared), ("host", None));
    assert_eq!(workload.instances[0].addresses, [("nh".to_owned(), "192.168.0.1".parse().expect("an address"))]);
}

#[test]
fn motion_is_an_update_or_tasks_other_than_wanted() {
    let updating = |state: &str| service_with("s", 5, |value| value["UpdateStatus"] = json!({"State": state, "Message": "m"}));
    let starting = || task_with("t", "s", 6, |value| value["Status"]["State"] = "starting".into());
    let global = || service_with("s", 5, |value| value["Spec"]["Mode"] = json!({"Global": {}}));
    for (service, tasks, moves) in [
        (service("s", 5), vec![task("t", "s", 6)], false),
        (service("s", 5), vec![], true),
        (service("s", 5), vec![task("t", "s", 6), task("u", "s", 7)], true),
        (service("s", 5), vec![starting()], true),
        (updating("updating"), vec![task("t", "s", 6)], true),
        (updating("rollback_started"), vec![task("t", "s", 6)], true),
        (updating("completed"), vec![task("t", "s", 6)], false),
        (updating("paused"), vec![task("t", "s", 6)], false),
        (global(), vec![task("t", "s", 6)], false),
        (global(), vec![], false),
        (global(), vec![starting()], true),
    ] {
        let state = known(vec![service.clone()], tasks);
        assert_eq!(state.is_in_motion(), moves, "{service:?}");
    }
    for (state, remark) in [("paused", Some("paused: m")), ("rollback_completed", Some("rolled back: m")), ("completed", None)] {
        let remarks = known(vec![updating(state)], vec![]).workloads()[0].remarks.clone();
        assert_eq!(
            remarks.first().is_some_and(|told| remark.is_some_and(|r| told.ends_with(r))),
            remark.is_some(),
            "{remarks:?}"
        );
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a service is read, alone or with all, what is served is what was read last.
        #[test]
        fn reading_alone_and_reading_all_come_to_the_same(steps in proptest::collection::vec((0u8..4, 0u8..3, any::<bool>()), 1..40)) {
            let mut truth: BTreeMap<String, (Service, Vec<Task>)> = BTreeMap::new();
            // An identity is given once.
            let mut lives = [0u32; 4];
            let mut state = State::new(None, Duration::ZERO);
            for (index, (which, tasks, alone)) in steps.into_iter().enumerate() {
                let (id, index) = (format!("s{which}-{}", lives[usize::from(which)]), index as u64 * 10 + 10);
                let made: Vec<Task> = (0..tasks).map(|n| task(&format!("{id}-{index}-{n}"), &id, index + u64::from(n))).collect();
                if tasks == 2 && alone {
                    truth.remove(&id);
                    lives[usize::from(which)] += 1;
                } else {
                    truth.insert(id.clone(), (service(&id, index), made));
                }
                if alone {
                    let (service, tasks) = truth.get(&id).cloned().map_or((None, vec![]), |(s, t)| (Some(s), t));
                    state.apply_one(&id, service, tasks);
                } else {
                    let services = truth.values().map(|(service, _)| service.clone()).collect();
                    let tasks = truth.values().flat_map(|(_, tasks)| tasks.clone()).collect();
                    state.apply(lists(services, tasks), now());
                }
                let mut fresh = State::new(None, Duration::ZERO);
                let services = truth.values().map(|(service, _)| service.clone()).collect();
                fresh.apply(lists(services, truth.values().flat_map(|(_, tasks)| tasks.clone()).collect()), now());
                prop_assert_eq!(state.workloads(), fresh.workloads());
            }
        }
    }
}
