//! What all scenarios share: the directory, the backend, certificates, and the field of proxies, which is started when the first
//! scenario asks for it.
//!
//! Everything but the proxies has the last CPU, this program included: its own clients and servers run in it.

use crate::{
    options::Options,
    proxies::{self, MANY_ROUTES, Plan, Proxy},
};
use fairlead_tests::{
    Connection,
    certs::Authority,
    dir::Dir,
    free_port,
    process::{self, Process, tree},
    tools::{is_there, search_path},
    wait::until,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{cell::OnceCell, process::Command, sync::Arc};

/// Where proxies run.
const PROXY_CPU: &str = "0";

/// The backend's body of `/big`, in bytes.
const BIG: usize = 100 << 10;

/// Everything that lives as long as the benchmark.
pub struct Bench {
    /// Ports of the backend. `/` is a small body, `/big` one of 100 KiB, `/port` says which port was asked, `/upload` answers
    /// when it has read what is sent.
    pub backends: [u16; 2],
    /// Names of the proxies that take part, in the order of their turns.
    names: Vec<String>,
    field: OnceCell<Vec<Proxy>>,
    backend: Process,
    /// Goes last: the others write into it.
    pub dir: Dir,
}

/// Processes that go before all others of their CPU; with their turns again once this is dropped.
pub struct First(Vec<u32>);

impl First {
    fn schedule(&self, policy: &str, priority: &str) -> bool {
        let ids = self.0.iter().map(ToString::to_string);
        ids.map(|id| process::run("chrt", &["--all-tasks", policy, "--pid", priority, &id])).all(|told| told.status.success())
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.schedule("--other", "0");
    }
}

impl Bench {
    /// Starts the backend.
    pub fn start(options: &Options) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        if cpus < 2 {
            println!("one CPU only: load and proxy disturb each other, and requests a second mean little");
        }
        process::succeed("taskset", &["-a", "-c", "-p", &(cpus - 1).to_string(), &std::process::id().to_string()]);
        let dir = Dir::new();
        let authority = Authority::new();
        authority.file(&dir);
        let leaf = authority.issue(&["localhost"]);
        leaf.files(&dir, "leaf");
        dir.put("both.pem", &format!("{}{}", leaf.cert, leaf.key));
        std::fs::create_dir(dir.path().join("www")).expect("the directory is writable");
        dir.overwrite("www/big", &"x".repeat(BIG));

        let backends = [free_port(), free_port()];
        let config = dir.put("backend.conf", &backend_conf(&dir, backends));
        let mut command = Command::new("nginx");
        command.args(["-c", &config]).env("PATH", search_path());
        let backend = Process::start(&mut command, &dir.path().join("backend.log"));
        until("the backend listens", || backends.iter().all(|port| Connection::try_open(*port).is_ok()));
        let known = ["nginx", "haproxy", "caddy", "fairlead", MANY_ROUTES].into_iter();
        let names = known.filter(|name| options.proxies.iter().any(|w| w == name)).filter(|n| *n != "caddy" || is_there("caddy"));
        Self { backends, dir, names: names.map(str::to_owned).collect(), field: OnceCell::new(), backend }
    }

    /// Has the backend go before the load, which shares its CPU, whenever it has something to do (`SCHED_FIFO`), until the guard is
    /// dropped: or the time that it waits for its turn would be charged to the proxy. `None`: the system does not allow it.
    pub fn backend_first(&self) -> Option<First> {
        let first = First(tree(self.backend.id()));
        first.schedule("--fifo", "1").then_some(first)
    }

    /// Keeps the proxies' CPU from falling asleep, by a process that any other goes before (`SCHED_IDLE`): a virtual machine's wakes up when
    /// the host has time. It ends by itself where nobody ends it.
    pub fn awake(&self) -> Process {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0", "taskset", "-c", PROXY_CPU, "sh", "-c", "ulimit -t 900; while :; do :; done"]);
        Process::start(&mut command, &self.dir.path().join("awake.log"))
    }

    /// The proxies with the same work to do, by name; the one with many routes only where it is asked for.
    pub fn takers(&self, many_routes: bool) -> Vec<(String, &Proxy)> {
        let launch = || self.names.iter().map(|name| self.launch(&Plan::named(name, self.backends))).collect();
        let field = self.field.get_or_init(launch).iter();
        let taking = field.filter(|proxy| many_routes || proxy.name != MANY_ROUTES);
        taking.map(|proxy| (proxy.name.clone(), proxy)).collect()
    }

    /// Names of the proxies, each once.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| *name != MANY_ROUTES)
    }

    /// Whether Fairlead takes part.
    pub fn has_fairlead(&self) -> bool {
        self.names.iter().any(|name| name == "fairlead")
    }

    /// Starts a proxy on its own CPU, and waits until it answers.
    pub fn launch(&self, plan: &Plan) -> Proxy {
        Proxy::start(plan, &self.dir, PROXY_CPU)
    }

    /// Starts a proxy by its command line on the proxies' CPU, and waits until it answers for a host.
    pub fn launch_words(&self, tag: &str, words: &[String], port: u16, host: &str) -> Process {
        proxies::pinned(&self.dir, tag, PROXY_CPU, words, (port, host, "/"))
    }

    /// A client that trusts the benchmark's authority, and does not resume sessions.
    pub fn tls_client(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.dir.path().join("ca.pem")).expect("the authority was written");
        roots.add(authority).expect("the authority is one");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("they are supported");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config
    }
}

fn backend_conf(dir: &Dir, [a, b]: [u16; 2]) -> String {
    let (head, at) = (proxies::nginx::head(dir, "backend", 8192), dir.path().display());
    // Workers of a master that is root become `nobody`, who may not look into the test's directory.
    let user =
        if Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0") { "user root; " } else { "" };
    // nginx reads a body before it passes the request on, which `return` alone does not wait for.
    let upload = "location /upload { client_max_body_size 0; client_body_buffer_size 2m; proxy_method GET; \
                  proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_set_header Connection \"\"; \
                  proxy_http_version 1.1; proxy_pass http://sink/; }";
    format!(
        "{user}{head} default_type text/plain; sendfile on; tcp_nopush on; open_file_cache max=10;
upstream sink {{ server 127.0.0.1:{b}; keepalive 64; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{a} reuseport; listen 127.0.0.1:{b} reuseport; root {at}/www;
location / {{ return 200 \"hello from the backend, 0123456789 0123456789 0123456789 0123456789\\n\"; }}
location /big {{ }} location = /port {{ return 200 \"$server_port\"; }} {upload} }} }}"
    )
}
