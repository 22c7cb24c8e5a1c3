//! A real Swarm of one node: Debian's dockerd, started by the test in namespaces of its own, and gone with it.
//!
//! The tests of one binary share it. What loads the machine takes it for itself ([`Swarm::alone`]); other tests run beside
//! each other ([`Swarm::beside`]).
//!
//! Deliberately absent: traffic through virtual addresses. That takes IPVS, which not every kernel has; addresses of tasks do
//! without.

mod engine;
mod image;
mod namespaces;
mod read_only;
mod service;
mod task;
mod watch;

pub use engine::Engine;
pub use read_only::{Asked, ReadOnly};
pub use service::Service;
pub use task::Task;
pub use watch::{Change, Watch};

use crate::{
    process::{self, Process},
    tools, wait,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Where everything of the daemon's lies; a file system of the test's own.
const HOME: &str = "/run/fairlead-test";

/// A node that is manager and worker.
pub struct Swarm {
    /// Never dropped: the daemon ends with the namespaces.
    _daemon: Process,
    /// What gateways ask the engine through.
    pub proxy: ReadOnly,
    /// The same, for gateways that get no events.
    pub silent: ReadOnly,
    load: RwLock<()>,
}

impl Swarm {
    /// The Swarm of this test binary, started when first asked for. `None` where this user may not have one: says so.
    ///
    /// # Panics
    /// This user may, and yet it does not start.
    pub fn shared() -> Option<&'static Self> {
        static SWARM: OnceLock<Option<Swarm>> = OnceLock::new();
        SWARM.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let missing = tools::provide(tools::FOR_SWARM);
        if let Err(why) = namespaces::enter() {
            println!("skipped: no namespaces for a Swarm of its own, since this user lacks privileges: {why}");
            return None;
        }
        assert!(missing.is_empty(), "missing, and not to be installed by this user: {missing:?}");
        for folder in [Self::proxy_folder(), Self::silent_folder()] {
            fs::create_dir_all(folder).expect("/run is the test's own");
        }
        let mut command = Command::new("dockerd");
        command.args(["--data-root", &format!("{HOME}/data"), "--exec-root", &format!("{HOME}/exec")]);
        command.args(["--host", &format!("unix://{HOME}/docker.sock"), "--pidfile", &format!("{HOME}/pid")]);
        // Where stack files look for it.
        command.args(["--host", "unix:///run/docker.sock"]);
        // Published ports answer on the loopback without a process that copies bytes between.
        command.args(["--bridge=none", "--userland-proxy=false"]);
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &namespaces::group()]);
        command.env("PATH", tools::search_path());
        let mut daemon = Process::start(&mut command, Path::new(&format!("{HOME}/log")));
        wait::eventually("dockerd answers", || {
            if let Some(status) = daemon.ended() {
                panic!("dockerd ended: {status}\n{}", daemon.output());
            }
            Engine::connect(&Self::socket()).and_then(|mut engine| engine.get("/info")).map(drop)
        });
        let start = |folder: String, without| {
            ReadOnly::start_without(Path::new(&format!("{folder}/docker.sock")), &Self::socket(), without)
        };
        let (proxy, silent) = (start(Self::proxy_folder(), None), start(Self::silent_folder(), Some("/events")));
        let swarm = Self { _daemon: daemon, proxy, silent, load: RwLock::new(()) };
        swarm.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        Some(swarm)
    }

    /// Whoever holds this runs beside others.
    pub fn beside(&self) -> RwLockReadGuard<'_, ()> {
        self.load.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever holds this runs while no other test does: for what is measured.
    pub fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.load.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folder of the read-only socket `docker.sock`, to be mounted into gateways.
    pub fn proxy_folder() -> String {
        format!("{HOME}/proxy")
    }

    /// The same without events.
    pub fn silent_folder() -> String {
        format!("{HOME}/silent")
    }

    /// The engine's own socket.
    pub fn socket() -> PathBuf {
        format!("{HOME}/docker.sock").into()
    }

    /// What dockerd wrote.
    pub fn log() -> String {
        fs::read(format!("{HOME}/log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Runs `docker` with these arguments, which must succeed.
    ///
    /// # Panics
    /// It fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "docker {arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// Deploys a stack of this repository's folder `deploy`, with these variables.
    ///
    /// # Panics
    /// It is refused.
    pub fn deploy(&self, stack: &str, file: &str, variables: &[(&str, &str)]) {
        let mut command = self.command();
        command.args(["stack", "deploy", "--resolve-image", "never", "--compose-file"]);
        command.arg(process::root().join("deploy").join(file)).arg(stack).envs(variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().expect("docker starts; `cargo verify` installs it");
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `docker` with these arguments.
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).stdin(Stdio::null()).output().expect("docker starts; `cargo verify` installs it")
    }

    /// A GET at the engine.
    ///
    /// # Panics
    /// It is not answered with JSON.
    pub fn api(&self, path: &str) -> Value {
        let answer = Engine::connect(&Self::socket()).and_then(|mut engine| engine.get(path));
        answer.unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// Makes an image of one program and the arguments that it has unless a service gives others.
    pub fn image(&self, tag: &str, program: &Path, arguments: &[&str]) {
        image::import(self.command(), tag, program, arguments);
    }

    /// Makes the image `fairlead:test` of the gateway's binary.
    pub fn image_of_fairlead(&self) {
        static DONE: OnceLock<()> = OnceLock::new();
        DONE.get_or_init(|| self.image("fairlead:test", process::fairlead(), &[]));
    }

    /// An overlay network, unless it is there.
    pub fn network(&self, name: &str) {
        let output = self.attempt(&["network", "create", "--driver", "overlay", "--attachable", name]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || words.contains("already exists"), "{words}");
    }

    /// A secret, unless it is there.
    pub fn secret(&self, name: &str, file: &str) {
        let output = self.attempt(&["secret", "create", name, file]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || words.contains("already exists"), "{words}");
    }

    /// Puts a label on the node.
    pub fn label_node(&self, label: &str) {
        let node = self.docker(&["info", "--format", "{{.Swarm.NodeID}}"]);
        self.docker(&["node", "update", "--label-add", label, node.trim()]);
    }

    /// Creates a service. `options` and `command` are as `docker service create` takes them.
    pub fn service(&self, name: &str, options: &[&str], command: &[&str]) -> Service<'_> {
        Service::create(self, name, options, command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", Self::socket().display())).env("DOCKER_CONFIG", HOME);
        command
    }
}
