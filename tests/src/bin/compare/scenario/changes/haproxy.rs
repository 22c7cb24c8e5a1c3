//! HAProxy with a `backend` for each service, found by a map, in master-worker mode, and SIGUSR2.
//!
//! Its runtime interface could move a server without a reload; a new router takes one, and that is what is compared.

use super::{System, host};
use crate::{
    bench::Bench,
    proxies::{haproxy, words},
};
use fairlead_tests::{free_port, process::Process};
use std::{fmt::Write as _, path::PathBuf, time::Duration};

/// Running, with the ports of the services' servers.
pub struct Reloaded {
    port: u16,
    servers: Vec<u16>,
    /// Up to the services.
    head: String,
    file: PathBuf,
    process: Process,
}

impl Reloaded {
    /// Starts it.
    pub fn start(bench: &Bench, services: usize) -> Self {
        let (port, tag) = (free_port(), format!("haproxy-{services}"));
        let map: String = (0..services).map(|service| format!("{} s{service}\n", host(service))).collect();
        let map = bench.dir.put(&format!("{tag}.map"), &map);
        let head = haproxy::head(8000);
        let head = format!(
            "{head}frontend f\n  option forwardfor\n  bind 127.0.0.1:{port}\n  use_backend %[req.hdr(host),field(1,:),lower,map_str({map})]\n"
        );
        let servers = vec![bench.backends[0]; services];
        let file = bench.dir.put(&format!("{tag}.cfg"), &cfg(&head, &servers));
        let process = bench.launch_words(&tag, &words(&["haproxy", "-W", "-db", "-f", &file]), port, &host(services - 1));
        Self { port, servers, head, file: file.into(), process }
    }
}

impl System for Reloaded {
    fn id(&self) -> u32 {
        self.process.id()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn changes(&self) -> usize {
        10
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn change(&mut self, service: usize, port: u16) {
        self.servers[service] = port;
        std::fs::write(&self.file, cfg(&self.head, &self.servers)).expect("the directory is writable");
        self.process.signal("USR2");
    }
}

fn cfg(head: &str, servers: &[u16]) -> String {
    let mut cfg = head.to_owned();
    for (service, server) in servers.iter().enumerate() {
        writeln!(cfg, "backend s{service}\n  http-reuse always\n  server a 127.0.0.1:{server}").expect("text takes text");
    }
    cfg
}
