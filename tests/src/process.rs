//! Programs beside the test: started in a process group of their own, which goes down with the handle.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::OnceLock,
};

/// A running program.
pub struct Process {
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts a program, its output into a file.
    ///
    /// # Panics
    /// It cannot be started: a test without its program has failed.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::create(log).expect("the log file can be made");
        let err = out.try_clone().expect("a file handle can be copied");
        let child = command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child =
            child.unwrap_or_else(|e| panic!("{:?} does not start: {e}; `cargo verify` installs it", command.get_program()));
        Self { child, log: log.to_owned() }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`, `KILL`, `STOP`.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// Waits for its end and gives its exit code.
    ///
    /// # Panics
    /// It does not end in time, or by a signal.
    pub fn exit_code(&mut self) -> i32 {
        let status = crate::eventually("the program ends", || self.ended().ok_or("still running"));
        status.code().unwrap_or_else(|| panic!("ended by a signal: {status}\n{}", self.output()))
    }

    /// All that it has written.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("/proc says VmRSS");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("VmRSS is a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The group, not the program alone: etcd and nginx have children.
            send("KILL", &format!("-{}", self.child.id()));
            self.child.wait().ok();
        }
    }
}

/// Sends a signal to one process.
pub fn signal(name: &str, id: u32) {
    send(name, &id.to_string());
}

fn send(signal: &str, whom: &str) {
    let status = Command::new("kill").args(["-s", signal, "--", whom]).status();
    assert!(status.is_ok_and(|s| s.success()), "signal {signal} could not be sent to {whom}");
}

/// Runs a program to its end.
///
/// # Panics
/// It cannot be started.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|e| panic!("{program} does not start: {e}; `cargo verify` installs it"))
}

/// Runs a program that must succeed, and gives its standard output.
///
/// # Panics
/// It fails.
pub fn succeed(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// The gateway's binary, built from the checkout as it is now.
///
/// In the development profile: its behaviour is what is tested here, with overflow and debug assertions on, and a release
/// build takes minutes of link-time optimisation. Set `FAIRLEAD` to test another binary.
///
/// # Panics
/// It does not build.
pub fn fairlead() -> &'static Path {
    BINARY.get_or_init(|| match std::env::var_os("FAIRLEAD") {
        Some(path) => path.into(),
        None => build("dev"),
    })
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// From now on [`fairlead`] is the binary of this profile: figures are no affair of the development profile.
///
/// # Panics
/// It does not build, or another is in use already.
pub fn use_profile(profile: &str) {
    BINARY.set(build(profile)).expect("chosen before it is first used");
}

/// Seconds of CPU that a process and its children have used, children that have ended included.
pub fn cpu_seconds(id: u32) -> f64 {
    // The unit of /proc is a hundredth of a second on every Linux there is.
    tree(id).iter().map(|id| ticks(*id)).sum::<u64>() as f64 / 100.0
}

fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time, its own and that of children it has waited for: fields 14 to 17 of the line, 12 to 15 behind the name.
    after_name.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// A process and all below it.
pub fn tree(id: u32) -> Vec<u32> {
    let mut ids = vec![id];
    for task in std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        ids.extend(children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(tree));
    }
    ids
}

/// Builds the gateway's binary in a profile, and says where it is.
///
/// # Panics
/// It does not build.
pub fn build(profile: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "fairlead", "--bin", "fairlead", "--profile", profile]);
    cargo.args(["--message-format", "json-render-diagnostics"]).current_dir(root()).stderr(Stdio::inherit());
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "the gateway does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut found = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    found.next_back().expect("cargo names the executable that it built")
}

/// The workspace's top folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace")
}
