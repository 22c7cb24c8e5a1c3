//! nginx with a `server` and an `upstream` for each service, and SIGHUP.

use super::{
    host,
    reloaded::{Manner, Reloaded},
};
use crate::{
    bench::Bench,
    proxies::{nginx, words},
};
use fairlead_tests::free_port;
use std::fmt::Write as _;

/// Starts it.
pub fn start(bench: &Bench, services: usize) -> Reloaded {
    let (port, tag) = (free_port(), format!("nginx-{services}"));
    let head = nginx::head(&bench.dir, &tag, 8192) + " server_names_hash_max_size 131072; server_names_hash_bucket_size 128;\n";
    let manner = Manner {
        tag,
        text: Box::new(move |servers| conf(&head, port, servers)),
        words: |file| words(&["nginx", "-c", file]),
        signal: "HUP",
    };
    Reloaded::start(bench, services, port, manner)
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
