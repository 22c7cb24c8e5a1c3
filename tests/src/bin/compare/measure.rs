//! CPU time and memory of a process and its children, from `/proc`.

use crate::proxies::{Field, Proxy};
use fairlead_tests::{Connection, process::tree};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

/// The middle value; NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Proportional share of memory in bytes.
fn memory_of(id: u32) -> f64 {
    let share = |id: &u32| {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:").map(str::to_owned)).unwrap_or_default();
        line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() * 1024.0
    };
    tree(id).iter().map(share).sum()
}

/// Descriptors that this process may have open.
fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(1024)
}

/// Memory at rest, and per idle connection that was used once, plain and TLS.
pub fn memory(field: &Field) -> Value {
    let count = (descriptors() / 4).saturating_sub(100).clamp(100, 2000);
    println!("{:12} {:>14} {:>20} {:>18}", "proxy", "at rest, MiB", "KiB per idle plain", "KiB per idle TLS");
    let mut all = serde_json::Map::new();
    for proxy in &field.proxies {
        let rest = memory_of(proxy.id());
        let plain = || {
            let mut connection = Connection::open(proxy.plain);
            assert_eq!(connection.get("/").status, 200, "{} answers", proxy.name);
            connection
        };
        // The plain ones stay while the others are opened, which would have their memory otherwise.
        let (plain, held) = per_connection(proxy, count, plain);
        let (tls, _) = per_connection(proxy, count, || tls_connection(proxy.tls, &field.tls));
        drop(held);
        println!("{:12} {:>14.1} {plain:>20.2} {tls:>18.2}", proxy.name, rest / 1_048_576.0);
        all.insert(
            proxy.name.to_owned(),
            json!({ "restBytes": rest, "idlePlainKiB": plain, "idleTlsKiB": tls, "connections": count }),
        );
    }
    all.into()
}

/// KiB that each of so many connections adds, and the connections.
fn per_connection<T>(proxy: &Proxy, count: usize, open: impl Fn() -> T) -> (f64, Vec<T>) {
    // The first ones make what is made once: pools, slabs.
    let mut held: Vec<T> = (0..count / 4).map(|_| open()).collect();
    let before = memory_of(proxy.id());
    held.extend((0..count).map(|_| open()));
    ((memory_of(proxy.id()) - before) / count as f64 / 1024.0, held)
}

fn tls_connection(port: u16, config: &Arc<rustls::ClientConfig>) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let client = rustls::ClientConnection::new(config.clone(), name).expect("the configuration is whole");
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the proxy listens");
    let mut stream = rustls::StreamOwned::new(client, stream);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the handshake succeeds");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).expect("the proxy answers");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    stream
}
