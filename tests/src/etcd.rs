//! A real etcd, and `etcdctl` with its user's name and password in the environment.

use crate::{
    certs::{Authority, Leaf},
    dir::Dir,
    free_port,
    process::Process,
    wait,
};
use std::process::Command;

/// A running etcd of one member. Its data outlives a restart, not the handle.
pub struct Etcd {
    process: Option<Process>,
    dir: Dir,
    client: u16,
    peer: u16,
    password: Option<String>,
    /// Paths of the authority's certificate, the server's own, and its key.
    tls: Option<[String; 3]>,
    /// Whether it speaks the second version of its interface too.
    v2: bool,
}

impl Etcd {
    /// An empty one without users.
    pub fn start() -> Self {
        let mut etcd = Self::stopped();
        etcd.restart();
        etcd
    }

    /// The same behind TLS.
    pub fn with_tls(authority: &Authority, leaf: &Leaf) -> Self {
        let mut etcd = Self::stopped();
        let (cert, key) = leaf.files(&etcd.dir, "server");
        etcd.tls = Some([authority.file(&etcd.dir), cert, key]);
        etcd.restart();
        etcd
    }

    /// One that speaks version 2 of its interface too.
    pub fn with_v2() -> Self {
        let mut etcd = Self { v2: true, ..Self::stopped() };
        etcd.restart();
        etcd
    }

    fn stopped() -> Self {
        Self { process: None, dir: Dir::new(), client: free_port(), peer: free_port(), password: None, tls: None, v2: false }
    }

    /// Loses everything that it knows, and begins anew on the same port.
    pub fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.dir.path().join("data")).expect("it has data");
        self.restart();
    }

    /// With user `root`, as the seed document sets it up, command by command.
    pub fn with_password(password: &str) -> Self {
        let mut etcd = Self::start();
        etcd.ctl(&["user", "add", &format!("root:{password}")]);
        etcd.ctl(&["user", "grant-role", "root", "root"]);
        etcd.ctl(&["auth", "enable"]);
        etcd.password = Some(password.to_owned());
        etcd
    }

    /// `host:port` for clients.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    /// Dies at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts (again) on the same port, with the same data, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://127.0.0.1:{}", self.client), format!("http://127.0.0.1:{}", self.peer));
        let mut command = Command::new("etcd");
        if let Some([_, cert, key]) = &self.tls {
            command.args(["--cert-file", cert, "--key-file", key]);
        }
        if self.v2 {
            command.arg("--enable-v2");
        }
        command.args(["--name", "test", "--data-dir", &self.dir.file("data"), "--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("test={peer}"), "--unsafe-no-fsync"]);
        self.process = Some(Process::start(&mut command, &self.dir.path().join("log")));
        wait::eventually("etcd answers", || {
            let health = self.command(&["endpoint", "health"]).output().map_err(|e| e.to_string())?;
            if health.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&health.stderr).into_owned()) }
        });
    }

    /// Runs `etcdctl` with these arguments, which must succeed.
    ///
    /// # Panics
    /// It fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("etcdctl starts; `cargo verify` installs it");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "etcdctl {arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// `etcdctl put KEY -- VALUE`
    pub fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", key, "--", value]);
    }

    /// `etcdctl del KEY`
    pub fn delete(&self, key: &str) {
        self.ctl(&["del", key]);
    }

    /// Forgets the history up to now, so that no watch can begin before.
    pub fn compact(&self) {
        let status = self.ctl(&["endpoint", "status", "--write-out", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("etcdctl writes JSON");
        let revision = status[0]["Status"]["header"]["revision"].as_i64().expect("a status has a revision");
        self.ctl(&["compact", &revision.to_string()]);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", self.endpoint());
        if let Some([ca, ..]) = &self.tls {
            command.env("ETCDCTL_CACERT", ca).env("ETCDCTL_ENDPOINTS", format!("https://{}", self.endpoint()));
        }
        if let Some(password) = &self.password {
            command.env("ETCDCTL_USER", "root").env("ETCDCTL_PASSWORD", password);
        }
        command.args(arguments);
        command
    }
}
