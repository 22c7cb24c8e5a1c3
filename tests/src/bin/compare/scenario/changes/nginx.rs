//! nginx with a `server` and an `upstream` for each service, and SIGHUP.

use super::{System, host};
use crate::{
    bench::Bench,
    proxies::{nginx, words},
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
        let (port, tag) = (free_port(), format!("nginx-{services}"));
        let head =
            nginx::head(&bench.dir, &tag, 8192) + " server_names_hash_max_size 131072; server_names_hash_bucket_size 128;\n";
        let servers = vec![bench.backends[0]; services];
        let file = bench.dir.put(&format!("{tag}.conf"), &conf(&head, port, &servers));
        let process = bench.launch_words(&tag, &words(&["nginx", "-c", &file]), port, &host(services - 1));
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
        std::fs::write(&self.file, conf(&self.head, self.port, &self.servers)).expect("the directory is writable");
        self.process.signal("HUP");
    }
}

fn conf(head: &str, port: u16, servers: &[u16]) -> String {
    let mut conf = head.to_owned();
    for (service, server) in servers.iter().enumerate() {
        writeln!(
            conf,
            "upstream s{service} {{ server 127.0.0.1:{server}; keepalive 4; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{port}; server_name {}; location / {{ proxy_pass http://s{service}; {} proxy_set_header Connection \"\"; }} }}",
            host(service),
            nginx::FORWARD
        )
        .expect("text takes text");
    }
    conf + "}"
}
