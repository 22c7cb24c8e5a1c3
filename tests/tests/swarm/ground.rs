//! What the other tests stand on holds: the Swarm runs tasks, the backend leaves well, and the watch and the load see it.

use fairlead_tests::{
    Connection, Swarm,
    http::get,
    load::Steady,
    swarm::{Engine, Watch},
    until,
};

/// Path of the backend's binary.
pub const BACKEND: &str = env!("CARGO_BIN_EXE_backend");

/// The Swarm, with the backend's image in it.
pub fn swarm() -> Option<&'static Swarm> {
    static IMAGE: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    let swarm = Swarm::shared()?;
    IMAGE.get_or_init(|| swarm.image("backend:test", BACKEND.as_ref(), &[]));
    Some(swarm)
}

/// Options that tell a backend which task it is.
pub const NAMED: [&str; 4] = ["--env", "INSTANCE={{.Task.ID}}", "--env", "SLOT={{.Task.Slot}}"];

#[test]
fn a_published_backend_is_reached_and_leaves_without_breaking_a_request() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    swarm.network("front");
    let service = swarm.service(
        "ground",
        &[&NAMED[..], &["--network", "front", "--publish", "mode=host,target=8080,published=18000"]].concat(),
        &["backend:test"],
    );
    service.settle(1);
    let task = service.running().remove(0);
    // A task runs from when its process was started, which listens a moment later.
    until("it listens", || Connection::try_open(18_000).is_ok());
    assert_eq!(get(18_000, "/x").server(), task.id);
    let watch = Watch::begin();
    let load = Steady::new(18_000, "a", 200).begin();
    until("the load has begun", || load.sent() > 100);
    service.update(&["--replicas", "0"]);
    until("the task is gone", || service.running().is_empty() && Connection::try_open(18_000).is_err());
    let report = load.end();
    let changes = watch.end();
    let change = &changes[&task.id];
    let seen = report.instances()[&task.id];
    assert!(change.leaving.expect("it was seen leaving") > change.running.expect("it ran"), "{change:?}");
    assert!(seen.answers > 100 && seen.last > seen.first, "{seen:?}");
    println!("{report}{change:?} {seen:?}");
}

#[test]
fn the_socket_proxy_lets_nothing_but_get_through() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let socket = format!("{}/docker.sock", Swarm::proxy_folder());
    let mut engine = Engine::connect(socket.as_ref()).expect("it listens");
    assert_eq!(engine.get("/v1.41/info").expect("GET passes")["Swarm"]["LocalNodeState"], "active");
}
