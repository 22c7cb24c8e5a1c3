//! Under steady load: updates, scaling, failing updates cost no request; a killed task costs none that may be sent again.
//!
//! Load enters at the node's loopback, half of it over connections that are kept alive, half over one-shot connections. Every
//! failure counts, and times are counted from when a request was due. Beside it goes a little load past the gateway, straight
//! to a backend that nobody changes: what that suffers is the machine's doing, and is allowed on top.

use crate::{
    ground::{NAMED, swarm},
    ingress::{Ingress, Wanted},
};
use fairlead_tests::{
    Swarm,
    load::{Report, Steady, report::percentile, steady::Going},
    process,
    swarm::{Change, Service, Watch},
    until,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Requests a second, at each service.
const RATE: u32 = 500;
/// What a planned change may cost a request, beyond what the backend and the machine cost it.
const PLANNED: Duration = Duration::from_millis(250);
/// The same where a task is killed.
const KILLED: Duration = Duration::from_millis(300);
/// From a task being meant to stop to the last request for it.
const LEAVE: Duration = Duration::from_millis(1300);
/// From a task running to its first request.
const JOIN: Duration = Duration::from_millis(1500);
/// Past the gateway.
const CONTROL: u16 = 18_090;

/// A service under load.
struct Loaded {
    service: Service<'static>,
    going: Going,
}

fn loaded(ingress: &Ingress, name: &str, replicas: usize, options: &[&str]) -> Loaded {
    let swarm = swarm().expect("the test would not have come here");
    let (host, count) = (format!("{name}.local"), replicas.to_string());
    let (rule, port) = (
        format!("traefik.http.routers.{name}.rule=Host(`{host}`)"),
        format!("traefik.http.services.{name}.loadBalancer.server.port=8080"),
    );
    let own = ["--network", "front", "--replicas", &count, "--label", &rule, "--label", &port];
    let service = swarm.service(name, &[&NAMED[..], &own, options].concat(), &["backend:test"]);
    service.settle(replicas);
    ingress.until_served_by(&host, replicas);
    let going = Steady::new(ingress.web, &host, RATE).begin();
    until("the load has begun", || going.sent() > 200);
    Loaded { service, going }
}

/// A backend that nobody changes, published past the gateway, and a little load on it.
fn control(swarm: &'static Swarm) -> (Service<'static>, Going) {
    let publish = format!("mode=host,target=8080,published={CONTROL}");
    let service =
        swarm.service("control", &[&NAMED[..], &["--network", "front", "--publish", &publish]].concat(), &["backend:test"]);
    service.settle(1);
    until("the control listens", || fairlead_tests::Connection::try_open(CONTROL).is_ok());
    (service, Steady { connections: 8, ..Steady::new(CONTROL, "control", 50) }.begin())
}

/// How long tasks kept getting requests after they were meant to stop, and how long they waited for the first; ascending.
fn delays(changes: &BTreeMap<String, Change>, report: &Report, first: &[String]) -> (Vec<Duration>, Vec<Duration>) {
    let instances = report.instances();
    let (mut leave, mut join) = (Vec::new(), Vec::new());
    for (task, change) in changes {
        let Some(seen) = instances.get(task) else { continue };
        if let Some(leaving) = change.leaving {
            leave.push(seen.last.saturating_sub(leaving));
        }
        if let (Some(running), false) = (change.running, first.contains(task)) {
            join.push(seen.first.saturating_sub(running));
        }
    }
    leave.sort_unstable();
    join.sort_unstable();
    (leave, join)
}

/// Prints what a change came to, and judges it.
fn judge(what: &str, report: &Report, control: &Report, changes: &BTreeMap<String, Change>, first: &[String], limit: Duration) {
    let (leave, join) = delays(changes, report, first);
    let at = |times: &[Duration]| {
        let ms = |percent| percentile(times, percent).as_secs_f64() * 1e3;
        format!("{} tasks, p50 {:.0} ms, p99 {:.0} ms", times.len(), ms(50.0), ms(99.0))
    };
    println!("{what}: {report}  meant to stop → last request: {}\n  running → first request: {}", at(&leave), at(&join));
    println!("  past the gateway: {control}");
    assert_eq!(report.failed(), 0, "{what}: {report}");
    assert!(report.rate() > f64::from(RATE) * 0.95, "{what}: too little load: {report}");
    assert!(report.worst() <= limit + control.worst(), "{what}: {report}, past the gateway {control}");
    assert!(percentile(&leave, 99.0) <= LEAVE, "{what}: {leave:?}");
    assert!(percentile(&join, 99.0) <= JOIN, "{what}: {join:?}");
}

/// Two seconds of load.
fn go_on(loaded: &Loaded) {
    let sent = loaded.going.sent();
    until("the load goes on", || loaded.going.sent() > sent + u64::from(RATE) * 2);
}

fn names(service: &Service<'_>) -> Vec<String> {
    service.running().into_iter().map(|task| task.id).collect()
}

/// Options of a service whose updates take no longer than they must.
const QUICK: [&str; 4] = ["--update-delay", "0s", "--update-monitor", "1s"];

#[test]
fn ten_updates_start_first_and_ten_stop_first_cost_no_request() {
    let Some(swarm) = swarm() else { return };
    let _alone = swarm.alone();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let (_service, control) = control(swarm);
    let begin = loaded(
        ingress,
        "begin-first",
        2,
        &[&QUICK[..], &["--update-order", "start-first", "--update-parallelism", "2"]].concat(),
    );
    let stop =
        loaded(ingress, "stop-first", 3, &[&QUICK[..], &["--update-order", "stop-first", "--update-parallelism", "2"]].concat());
    let first = [names(&begin.service), names(&stop.service)].concat();
    let watch = Watch::begin();
    std::thread::scope(|scope| {
        for (loaded, replicas) in [(&begin, 2), (&stop, 3)] {
            scope.spawn(move || {
                for number in 1..=10 {
                    let ended = loaded.service.update_and_wait(&["--force"]);
                    assert_eq!(ended, "completed", "update {number} of {}", loaded.service.name);
                }
                loaded.service.settle(replicas);
            });
        }
    });
    let reports = [begin, stop].map(|loaded| (loaded.service, loaded.going.end()));
    let (changes, control) = (watch.end(), control.end());
    for (service, report) in &reports {
        judge(&service.name, report, &control, &changes, &first, PLANNED);
    }
    assert_eq!(ingress.refused(), []);
}

/// Without events, as on every node but the one where a container starts or ends: what is left is to look every second.
#[test]
fn scaling_and_a_failing_update_cost_no_request_without_events() {
    let Some(swarm) = swarm() else { return };
    let _alone = swarm.alone();
    let wanted = Wanted { name: "fairlead-silent", port: 18_130, networks: &["front"], silent: true, ..Wanted::default() };
    let ingress = &Ingress::start(swarm, wanted);
    let _telling = ingress.telling();
    let (_service, control) = control(swarm);
    let scaled = loaded(ingress, "scaled", 1, &[]);
    // Watched for longer than the new version lives, on a busy machine too.
    let back =
        ["--update-monitor", "5s", "--update-failure-action", "rollback", "--rollback-monitor", "1s", "--rollback-delay", "0s"];
    let failing = loaded(ingress, "failing", 3, &back);
    let first = [names(&scaled.service), names(&failing.service)].concat();
    let (watch, asked, begun) = (Watch::begin(), swarm.silent.asked().len(), Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for replicas in [8, 2, 5] {
                scaled.service.scale(replicas);
                // Each has its share before the next change.
                go_on(&scaled);
            }
        });
        scope.spawn(|| {
            // Ends while it is being watched, after it has taken requests.
            let ended = failing.service.update_and_wait(&["--args", "--exit-after 700"]);
            assert_eq!(ended, "rollback_completed");
            failing.service.settle(3);
        });
    });
    let reports = [scaled, failing].map(|loaded| (loaded.service, loaded.going.end()));
    let (changes, control) = (watch.end(), control.end());
    let mut calls = BTreeMap::<String, u32>::new();
    for call in &swarm.silent.asked()[asked..] {
        *calls.entry(call.path.split('?').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    println!("the engine was asked, in {:.0} s: {calls:?}", begun.elapsed().as_secs_f64());
    for (service, report) in &reports {
        judge(&service.name, report, &control, &changes, &first, PLANNED);
    }
    assert_eq!(ingress.refused(), []);
}

#[test]
fn a_killed_task_costs_no_request_that_may_be_sent_again() {
    let Some(swarm) = swarm() else { return };
    let _alone = swarm.alone();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let (_service, control) = control(swarm);
    let killed = loaded(ingress, "killed", 3, &[]);
    let first = names(&killed.service);
    let watch = Watch::begin();
    for _ in 0..3 {
        let victim = killed.service.running().remove(0);
        process::signal("KILL", victim.pid as u32);
        until("Swarm has noticed", || killed.service.running().iter().all(|task| task.id != victim.id));
        killed.service.settle(3);
        // The new task has its share before the next one dies.
        go_on(&killed);
    }
    let (service, report) = (killed.service, killed.going.end());
    judge(&service.name, &report, &control.end(), &watch.end(), &first, KILLED);
}
