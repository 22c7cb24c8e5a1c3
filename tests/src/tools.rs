//! Programs of the operating system that tests and benchmark run beside the gateway, and where Debian keeps them.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A program and its Debian package.
pub type Tool = (&'static str, &'static str);

/// What the end-to-end tests run.
pub const FOR_TESTS: &[Tool] = &[
    ("curl", "curl"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("git", "git"),
    ("h2load", "nghttp2-client"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("wrk", "wrk"),
];

/// What the tests in a real Swarm run besides.
pub const FOR_SWARM: &[Tool] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// What the benchmark runs besides.
pub const FOR_COMPARISON: &[Tool] = &[
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("taskset", "util-linux"),
    ("wrk", "wrk"),
];

/// Whether a program can be run, or, for a path, a file is there.
pub fn is_there(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    // Debian keeps servers where users do not look.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&paths).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}

/// Installs what is missing through apt if this user may, and gives what is missing still.
pub fn provide(tools: &[Tool]) -> Vec<Tool> {
    let missing = || tools.iter().copied().filter(|(program, _)| !is_there(program)).collect::<Vec<_>>();
    let packages: Vec<_> = missing().iter().map(|(_, package)| *package).collect();
    if packages.is_empty() || !is_there("apt-get") || !is_root() {
        return missing();
    }
    println!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !apt(&["update"]) || !apt(&[&["install", "--no-install-recommends"], &packages[..]].concat()) {
        println!("apt-get failed");
    }
    missing()
}

/// Adds the folders of servers to the search path of everything that is started from here on.
pub fn search_path() -> std::ffi::OsString {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&paths).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    std::env::join_paths(folders).unwrap_or(paths)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
