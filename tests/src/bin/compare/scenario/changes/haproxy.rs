//! HAProxy with a `backend` for each service, found by a map, in master-worker mode, and SIGUSR2.
//!
//! Its runtime interface could move a server without a reload; a new router takes one, and that is what is compared.

use super::{
    host,
    reloaded::{Manner, Reloaded},
};
use crate::{
    bench::Bench,
    proxies::{haproxy, words},
};
use fairlead_tests::free_port;
use std::fmt::Write as _;

/// Starts it.
pub fn start(bench: &Bench, services: usize) -> Reloaded {
    let (port, tag) = (free_port(), format!("haproxy-{services}"));
    let map: String = (0..services).map(|service| format!("{} s{service}\n", host(service))).collect();
    let map = bench.dir.put(&format!("{tag}.map"), &map);
    let head = haproxy::head(8000);
    let head = format!(
        "{head}frontend f\n  option forwardfor\n  bind 127.0.0.1:{port}\n  use_backend %[req.hdr(host),field(1,:),lower,map_str({map})]\n"
    );
    let manner = Manner {
        tag,
        text: Box::new(move |servers| cfg(&head, servers)),
        words: |file| words(&["haproxy", "-W", "-db", "-f", file]),
        signal: "USR2",
    };
    Reloaded::start(bench, services, port, manner)
}

fn cfg(head: &str, servers: &[u16]) -> String {
    let mut cfg = head.to_owned();
    for (service, server) in servers.iter().enumerate() {
        writeln!(cfg, "backend s{service}\n  http-reuse always\n  server a 127.0.0.1:{server}").expect("text takes text");
    }
    cfg
}
