//! Network, mounts and processes of the test's own, so that a Swarm in it touches nothing of the machine.
//!
//! The test binary starts itself again inside: its loopback is the Swarm's node, its `/run` is the daemon's. When it ends,
//! however it ends, the kernel takes away every process, container, mount, interface and packet filter rule that was made
//! there, and any number of them run beside each other and beside the machine's own dockerd. Empty control groups, which
//! have no namespace that takes them away, are removed by the shell that stands outside.
//!
//! Deliberately absent: the way out to other machines. What is needed from there is fetched or built before.

use crate::process;
use std::{env, fs, os::unix::process::CommandExt as _, path::Path, process::Command};

/// Says, inside, which control group containers belong to.
const GROUP: &str = "FAIRLEAD_TEST_CGROUP";

/// Waits for the test, at most as long as a busy machine may need, then removes its control groups: they may be busy for a
/// moment longer than their processes.
const OUTSIDE: &str = r#"
trap : INT TERM
timeout --foreground --verbose --signal KILL 20m unshare --net --mount --pid --fork --kill-child --mount-proc sh -c "$FAIRLEAD_TEST_INSIDE" sh "$@"
code=$?
for attempt in 1 2 3 4 5; do
    find /sys/fs/cgroup -depth -type d \( -path "*/$FAIRLEAD_TEST_CGROUP" -o -path "*/$FAIRLEAD_TEST_CGROUP/*" \) -exec rmdir {} + 2>/dev/null
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$FAIRLEAD_TEST_CGROUP")" ] && break
    sleep 0.2
done
exit $code
"#;

/// The first process inside. It must outlive the test's by an instruction, so that the test itself can be interrupted:
/// signals never end the first process.
const INSIDE: &str = r#"
ip link set lo up
mount -t tmpfs tmpfs /run
# Numbers of processes begin anew in here, and names of temporary folders are made of them.
mkdir /run/tmp
export TMPDIR=/run/tmp
"$@"
exit $?
"#;

/// Goes inside, unless this process is there already.
///
/// Other tests of this binary start anew with it. The gateway's binary is built before, as long as there is a network.
///
/// # Errors
/// This user may not: says why.
pub fn enter() -> Result<(), String> {
    if env::var_os(GROUP).is_some() {
        return Ok(());
    }
    let attempt = process::run("unshare", &["--net", "--mount", "--pid", "--fork", "--mount-proc", "true"]);
    if !attempt.status.success() {
        return Err(String::from_utf8_lossy(&attempt.stderr).trim().to_owned());
    }
    let mut command = Command::new("sh");
    command.args(["-c", OUTSIDE, "sh"]).arg(env::current_exe().expect("a process has a binary")).args(env::args_os().skip(1));
    command.env("FAIRLEAD", process::fairlead()).env("FAIRLEAD_TEST_INSIDE", INSIDE);
    command.env(GROUP, format!("fairlead-test-{}", std::process::id()));
    Err(format!("the test cannot be started again: {}", command.exec()))
}

/// The control group that containers are to be put under, with a hundred times the usual share of the processors.
///
/// All containers together would have no more than any one thread of dockerd, whose work it is to start others: the gateway
/// would be measured at what dockerd leaves over.
pub fn group() -> String {
    let group = format!("/{}", env::var(GROUP).unwrap_or_else(|_| "fairlead-test".to_owned()));
    for (root, key, share) in [("/sys/fs/cgroup/cpu", "cpu.shares", "102400"), ("/sys/fs/cgroup", "cpu.weight", "10000")] {
        // Control groups of the first version have a tree for each controller, of the second one for all.
        let tree = if key == "cpu.shares" { "cpu.shares" } else { "cgroup.controllers" };
        if Path::new(root).join(tree).exists() {
            let folder = format!("{root}{group}");
            fs::create_dir(&folder).and_then(|()| fs::write(format!("{folder}/{key}"), share)).ok();
        }
    }
    group
}
