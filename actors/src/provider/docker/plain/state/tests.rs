use super::*;
use fairlead_core::discovery::Published;
use fairlead_net::time::now;
use serde_json::{Value, json};

fn container(id: &str, adapt: impl FnOnce(&mut Value)) -> Arc<Container> {
    let mut value = json!({
        "Id": id, "Names": [format!("/{id}")], "Created": 1000, "State": "running", "Status": "Up 2 minutes", "Labels": {"a": "b"},
        "Ports": [{"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}], "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "nb", "IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}},
    });
    adapt(&mut value);
    Arc::new(serde_json::from_value(value).expect("what the Engine sends"))
}

fn plain(id: &str) -> Arc<Container> {
    container(id, |_| {})
}

fn compose(id: &str, created: i64, adapt: impl FnOnce(&mut Value)) -> Arc<Container> {
    container(id, |value| {
        value["Created"] = created.into();
        value["Labels"] = json!({
            "a": "b", "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
            "com.docker.compose.container-number": id, "com.docker.compose.oneoff": "False",
        });
        adapt(value);
    })
}

fn known(list: Vec<Arc<Container>>) -> State {
    let mut state = State::default();
    state.apply(list, now());
    state
}

/// Names with their instances.
fn served(state: &State) -> Vec<(String, Vec<String>)> {
    let ids = |w: &Workload| w.instances.iter().map(|instance| instance.id.clone()).collect();
    state.workloads().iter().map(|w| (w.name.clone(), ids(w))).collect()
}

fn one(name: &str, ids: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn a_container_becomes_a_workload() {
    let state = known(vec![container("c1", |value| {
        value["Names"] = json!(["/old/alias", "/web"]);
        value["Ports"] = json!([
            {"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp"},
            {"PrivatePort": 80, "PublicPort": 8081, "IP": "10.1.1.1", "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ]);
    })]);
    let workload = &state.workloads()[0];
    assert_eq!((workload.name.as_str(), workload.title().as_str()), ("web", "container web"));
    assert_eq!((workload.ports.as_slice(), workload.created), (&[80, 443][..], Duration::from_secs(1000)));
    let instance = &workload.instances[0];
    assert_eq!(instance.addresses, [("nb".to_owned(), "172.17.0.2".parse().expect("an address"))]);
    let bound = Published { target: 80, port: 8081, address: "10.1.1.1".parse().ok() };
    assert_eq!((instance.published.len(), instance.published[0]), (2, bound));
}

#[test]
fn only_the_healthy_get_requests() {
    for (state, status, ready) in [
        ("running", "Up 2 minutes", true),
        ("running", "Up 2 minutes (healthy)", true),
        ("running", "Up 2 minutes (unhealthy)", false),
        ("running", "Up 2 seconds (health: starting)", false),
    ] {
        let state = known(vec![container("c1", |value| (value["State"], value["Status"]) = (state.into(), status.into()))]);
        assert_eq!(served(&state), [one("c1", if ready { &["c1"] } else { &[] })], "{status}");
        assert_eq!(state.workloads()[0].remarks.is_empty(), ready);
    }
    let newer = container("c1", |value| value["Health"] = json!({"Status": "unhealthy"}));
    assert_eq!(served(&known(vec![newer])), [one("c1", &[])]);
    let stopped = |labels: Value| container("c1", |value| (value["State"], value["Labels"]) = ("exited".into(), labels));
    assert_eq!(served(&known(vec![stopped(json!({}))])), []);
    assert_eq!(served(&known(vec![stopped(json!({"traefik.docker.allownonrunning": "true"}))])), [one("c1", &[])]);
}

#[test]
fn containers_of_one_compose_service_are_one_workload_unless_their_labels_differ() {
    let other = |value: &mut Value| value["Labels"]["a"] = "c".into();
    let once = |value: &mut Value| value["Labels"]["com.docker.compose.oneoff"] = "True".into();
    let state =
        known(vec![compose("c2", 20, |_| {}), compose("c1", 30, |_| {}), compose("c3", 40, other), compose("c4", 50, once)]);
    assert_eq!(served(&state), [one("web_shop", &["c1", "c2"]), one("web_shop", &["c3"]), one("c4", &["c4"])]);
    assert_eq!(state.workloads()[0].created, Duration::from_secs(20), "as old as its oldest");
}

#[test]
fn tasks_of_a_swarm_are_another_providers() {
    let task = container("c1", |value| value["Labels"] = json!({"com.docker.swarm.task.id": "t"}));
    assert_eq!(served(&known(vec![task])), []);
}

#[test]
fn who_is_on_the_way_out_leaves_at_once_and_stays_out_until_told_or_forgotten() {
    let list = || vec![plain("c1"), plain("c2")];
    let mut state = known(list());
    let at = now();
    let event = |leaves| [("c1".to_owned(), leaves)].into();
    assert_eq!(state.hear(&event(true), at), News::Changed);
    assert_eq!(served(&state), [one("c1", &[]), one("c2", &["c2"])]);
    assert_eq!(state.apply(list(), at + Duration::from_secs(9)), News::Nothing, "it is listed until it is gone");
    assert_eq!(state.hear(&event(false), at), News::Changed, "it was started again");
    state.hear(&event(true), at);
    assert_eq!(state.unchanged(at + GRACE), News::Changed, "it did not go");
    assert_eq!(served(&state), [one("c1", &["c1"]), one("c2", &["c2"])]);
    assert_eq!(state.hear(&[("other".to_owned(), true)].into(), at), News::Nothing);
}

#[test]
fn all_containers_gone_at_once_is_doubted_unless_it_was_announced() {
    let mut state = known(vec![plain("c1")]);
    let at = now();
    assert!(matches!(state.apply(vec![], at), News::Doubt(_)));
    assert_eq!(served(&state), [one("c1", &["c1"])]);
    assert_eq!(state.apply(vec![], at + CONFIRM), News::Changed);
    let mut state = known(vec![plain("c1")]);
    state.hear(&[("c1".to_owned(), true)].into(), at);
    assert_eq!(state.apply(vec![], at), News::Changed);
}

#[test]
fn network_modes_are_read_as_traefik_reads_them() {
    let host = container("c1", |value| {
        value["HostConfig"]["NetworkMode"] = "host".into();
        value["NetworkSettings"]["Networks"] = json!({"host": {"NetworkID": "nh", "IPAddress": ""}});
    });
    let of = |id: &str, target: &str| {
        container(id, |value| {
            value["HostConfig"]["NetworkMode"] = format!("container:{target}").into();
            value["NetworkSettings"]["Networks"] = json!({});
        })
    };
    let mut state = known(vec![host, plain("c2"), of("c3", "c2"), of("c4", "c3"), of("c5", "c6"), of("c6", "c5")]);
    assert!(state.wants_host());
    let address = |state: &State, at: usize| state.workloads()[at].instances[0].addresses.first().map(|(_, ip)| ip.to_string());
    assert_eq!(address(&state, 0).as_deref(), Some("127.0.0.1"));
    state.reaches_host_at("172.17.0.1".parse().expect("an address"));
    assert_eq!(state.settle(), News::Changed);
    assert_eq!(address(&state, 0).as_deref(), Some("172.17.0.1"));
    assert_eq!([2, 3, 4].map(|at| address(&state, at)), [Some("172.17.0.2".into()), Some("172.17.0.2".into()), None]);
    state.is_on(Some(["other".to_owned()].into()));
    state.settle();
    assert_eq!([0, 1].map(|at| state.workloads()[at].networks[0].shared), [None, Some(false)]);
}
