use super::*;
use crate::provider::rancher::lists::List;
use serde_json::json;

/// As Rancher 1.6 answers, with what matters here and some that does not.
fn container(name: &str, ip: &str, state: Value, health: Value) -> Value {
    json!({
        "name": name, "uuid": format!("c-{name}"), "primary_ip": ip, "ips": [ip], "state": state, "health_state": health,
        "host_uuid": "h-1", "create_index": 1, "external_id": "abc", "ports": [], "labels": {}, "service_index": "1", "dns": null,
    })
}

fn well(name: &str, ip: &str) -> Value {
    container(name, ip, json!("running"), json!("healthy"))
}

fn service(stack: &str, name: &str, containers: Value) -> Value {
    json!({
        "name": name, "uuid": format!("s-{stack}-{name}"), "stack_name": stack, "state": "active", "kind": "service",
        "labels": { "traefik.port": "80", "n": 1, "b": true, "none": null }, "containers": containers, "scale": 1, "vip": null,
    })
}

fn stack(name: &str, services: Vec<Value>) -> Value {
    json!({ "name": name, "uuid": format!("st-{name}"), "system": false, "services": services })
}

fn lists(stacks: &Value) -> Lists {
    let mut lists = Lists::default();
    lists.take(List::Stacks, stacks.to_string().as_bytes()).unwrap();
    assert_eq!(lists.missing(), None, "everything is embedded");
    lists
}

fn read(state: &mut State, stacks: &Value) -> News {
    state.read(&lists(stacks)).unwrap()
}

fn names(state: &State) -> Vec<&str> {
    state.workloads().iter().map(|workload| workload.name.as_str()).collect()
}

#[test]
fn services_become_workloads_with_their_containers() {
    let mut state = State::new(false);
    assert!(!state.is_known());
    let web = service("shop", "web", json!([well("shop-web-1", "10.42.0.1"), well("shop-web-2", "10.42.0.2")]));
    assert_eq!(read(&mut state, &json!([stack("shop", vec![web])])), News::Changed);
    let [workload] = state.workloads() else { panic!("{:?}", state.workloads()) };
    assert_eq!((workload.id.as_str(), workload.title().as_str()), ("s-shop-web", "service shop/web"));
    let labels: Vec<(&str, &str)> = workload.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("b", "true"), ("n", "1"), ("none", ""), ("traefik.port", "80")]);
    let instances: Vec<_> =
        workload.instances.iter().map(|i| (i.id.as_str(), i.node.as_str(), i.addresses[0].1.to_string())).collect();
    assert_eq!(instances, [("c-shop-web-1", "h-1", "10.42.0.1".to_owned()), ("c-shop-web-2", "h-1", "10.42.0.2".to_owned())]);
}

/// Each: state, health, whether it takes requests.
#[test]
fn containers_take_requests_while_they_run_and_are_not_unhealthy() {
    let table = [
        (json!("running"), json!("healthy"), true),
        (json!("running"), Value::Null, true),
        (Value::Null, json!(""), true),
        (json!("updating-running"), json!("updating-healthy"), true),
        (json!("upgraded"), json!("healthy"), true),
        (json!("running"), json!("initializing"), false),
        (json!("running"), json!("unhealthy"), false),
        (json!("starting"), json!("healthy"), false),
        (json!("stopping"), json!("healthy"), false),
        (json!("removed"), Value::Null, false),
    ];
    for (running, health, expected) in table {
        let mut state = State::new(false);
        let one = container("a", "10.42.0.1", running.clone(), health.clone());
        read(&mut state, &json!([stack("shop", vec![service("shop", "web", json!([one]))])]));
        assert_eq!(state.workloads()[0].instances.len(), usize::from(expected), "{running} {health}");
    }
    for ip in [Value::Null, json!(""), json!("0.0.0.0"), json!("not yet"), json!(7)] {
        let mut state = State::new(false);
        let one = json!({ "name": "a", "uuid": "u", "primary_ip": ip, "state": "running" });
        read(&mut state, &json!([stack("shop", vec![service("shop", "web", json!([one]))])]));
        assert_eq!((state.workloads().len(), state.workloads()[0].instances.len()), (1, 0), "{ip}");
    }
}

#[test]
fn services_that_are_not_active_are_left_out_if_asked() {
    for (found, expected) in
        [("active", 1), ("updating-active", 1), ("upgraded", 1), ("upgrading", 1), ("", 1), ("inactive", 0), ("removing", 0)]
    {
        let mut web = service("shop", "web", json!([]));
        web["state"] = json!(found);
        let stacks = json!([stack("shop", vec![web])]);
        let (mut filtered, mut all) = (State::new(true), State::new(false));
        read(&mut filtered, &stacks);
        read(&mut all, &stacks);
        assert_eq!((filtered.workloads().len(), all.workloads().len()), (expected, 1), "{found}");
    }
}

#[test]
fn what_did_not_change_is_no_news() {
    let mut state = State::new(false);
    let one = |ip| json!([stack("shop", vec![service("shop", "web", json!([well("a", ip)]))])]);
    assert_eq!(read(&mut state, &one("10.42.0.1")), News::Changed);
    assert_eq!(read(&mut state, &one("10.42.0.1")), News::Nothing);
    assert_eq!(read(&mut state, &one("10.42.0.2")), News::Changed);
}

#[test]
fn an_environment_without_services_is_not_believed_where_there_were_some() {
    let mut state = State::new(false);
    assert_eq!(read(&mut state, &json!([])), News::Changed, "an empty beginning is one");
    assert!(state.is_known());
    let one = json!([stack("shop", vec![service("shop", "web", json!([well("a", "10.42.0.1")]))])]);
    assert_eq!(read(&mut state, &one), News::Changed);
    for empty in [json!([]), Value::Null, json!([stack("shop", vec![])]), json!([{}, null, 7])] {
        let news = read(&mut state, &empty);
        assert!(matches!(&news, News::Doubt(why) if why.contains("suddenly lists no service")), "{empty}: {news:?}");
        assert_eq!(names(&state), ["shop/web"], "what was known stays");
    }
    assert_eq!(read(&mut state, &one), News::Nothing, "the doubt is over");
    let other = json!([stack("other", vec![service("other", "x", json!([]))])]);
    assert_eq!(read(&mut state, &other), News::Changed);
    assert_eq!(names(&state), ["other/x"], "a service that goes while others stay is gone");
}

#[test]
fn who_appears_later_is_younger() {
    let mut state = State::new(false);
    let (a, b) = (service("a", "web", json!([])), service("b", "web", json!([])));
    read(&mut state, &json!([stack("b", vec![b.clone()])]));
    read(&mut state, &json!([stack("a", vec![a.clone()]), stack("b", vec![b.clone()])]));
    let ages = |state: &State| state.workloads().iter().map(|w| (w.name.clone(), w.created.as_secs())).collect::<Vec<_>>();
    assert_eq!(ages(&state), [("a/web".to_owned(), 1), ("b/web".to_owned(), 0)]);
    read(&mut state, &json!([stack("a", vec![a.clone()])]));
    read(&mut state, &json!([stack("a", vec![a]), stack("b", vec![b])]));
    assert_eq!(ages(&state), [("a/web".to_owned(), 1), ("b/web".to_owned(), 3)], "who went and came again is new");
}

#[test]
fn the_oldest_dialect_names_what_later_ones_embed() {
    let mut lists = Lists::default();
    lists.take(List::Stacks, br#"[{"name":"shop","services":["web","gone"]},{"name":"other","services":["web"]}]"#).unwrap();
    assert_eq!(lists.missing(), Some(List::Services));
    let services =
        json!([service("shop", "web", json!(["shop_web_1", "nowhere"])), service("other", "web", json!(["other_web_1"])), null,]);
    lists.take(List::Services, services.to_string().as_bytes()).unwrap();
    assert_eq!(lists.missing(), Some(List::Containers));
    let containers = json!([well("shop_web_1", "10.42.0.1"), well("other_web_1", "10.42.0.2")]);
    lists.take(List::Containers, containers.to_string().as_bytes()).unwrap();
    assert_eq!(lists.missing(), None);
    let mut state = State::new(false);
    assert_eq!(state.read(&lists).unwrap(), News::Changed);
    let found: Vec<_> = state.workloads().iter().map(|w| (w.name.as_str(), w.instances[0].addresses[0].1.to_string())).collect();
    assert_eq!(found, [("other/web", "10.42.0.2".to_owned()), ("shop/web", "10.42.0.1".to_owned())]);
}

/// As when the service loses its data between two answers.
#[test]
fn a_list_that_is_empty_although_others_name_what_it_holds_is_not_believed() {
    let reading = |services: Value, containers: Option<Value>| {
        let mut lists = Lists::default();
        lists.take(List::Stacks, br#"[{"name":"shop","services":["web"]}]"#).unwrap();
        lists.take(List::Services, services.to_string().as_bytes()).unwrap();
        containers.into_iter().for_each(|list| lists.take(List::Containers, list.to_string().as_bytes()).unwrap());
        lists
    };
    let named = json!([service("shop", "web", json!(["a"]))]);
    let whole = || reading(named.clone(), Some(json!([well("a", "10.42.0.1")])));
    for (emptied, list) in [(reading(named.clone(), Some(json!([]))), "containers"), (reading(json!([]), None), "services")] {
        let mut state = State::new(false);
        for known in [false, true] {
            let news = state.read(&emptied).unwrap();
            assert!(matches!(&news, News::Doubt(why) if why.contains(&format!("lists no {list}"))), "{news:?}");
            assert_eq!(
                state.workloads().iter().map(|w| w.instances.len()).sum::<usize>(),
                usize::from(known),
                "what was known stays"
            );
            state.read(&whole()).unwrap();
        }
    }
    let mut state = State::new(false);
    let idle = reading(json!([service("shop", "web", json!([]))]), None);
    assert_eq!(state.read(&idle).unwrap(), News::Changed, "a service without containers names none");
}

#[test]
fn what_is_no_list_is_refused() {
    for body in [&b"{\"type\":\"error\"}"[..], b"", b"[{\"name\":", b"stacks/", b"\"x\"", b"\xff"] {
        assert!(Lists::default().take(List::Stacks, body).is_err_and(|e| e.starts_with("/stacks: ")), "{body:?}");
    }
}

#[test]
fn one_odd_entry_spoils_no_other() {
    let mut state = State::new(false);
    let odd = json!([
        7, "x", null, {}, { "name": null, "services": "none" }, { "name": "a", "services": [null, 1, {}, { "name": "" }, { "labels": [] }] },
        { "name": "shop", "services": [{ "name": "web", "containers": [null, {}, 3], "labels": null }] },
    ]);
    read(&mut state, &odd);
    assert_eq!(names(&state), ["shop/web"]);
    assert_eq!(state.workloads()[0].id, "shop/web", "without an identity its name is one");
}
