//! Kontena's load balancer: the tree that Kontena's agents keep in etcd, and the environment that Kontena gives the container.
//!
//! ```text
//! keys below /kontena/haproxy/[<stack>/]<lb> → Tree → Settling → compose → RawDynamic
//! environment → profile → static options
//! ```
//!
//! Agents write a service key by key, and nothing says when they are done: [`Settling`] waits for that. A service is served once it has what
//! it needs; one without a container is answered with 503.
//!
//! Which service gets a request follows Kontena and not the length of rules: services with hosts and paths, then those with hosts, then those
//! with paths, and by name among each. Three priorities say the first, and routers of equal priority are tried by name anyway.
//!
//! Deliberately absent: etcd.

mod bundles;
mod haproxy;
mod keys;
mod own;
mod profile;
mod service;
mod settle;
mod tcp;
#[cfg(test)]
mod tests;
mod users;

pub use bundles::{Piece, split};
pub use keys::{Entry, Tree};
pub use own::{Installed, own};
pub use profile::profile;
pub use settle::Settling;

use crate::config::{RawDynamic, Rejection};
use std::collections::BTreeMap;

/// What messages call a service's source.
fn source(service: &str) -> String {
    format!("kontena service {service}")
}

/// What the tree asks for. `root` is where it was read, for the keys in messages; `ports` are entry points for TCP by the port that they
/// listen on.
pub fn compose(tree: &Tree, root: &str, ports: &BTreeMap<u16, String>) -> (RawDynamic, Vec<Rejection>) {
    let mut all = RawDynamic::default();
    let mut rejections = Vec::new();
    for (name, entry) in &tree.http {
        let (raw, more) = service::compose(name, entry, &format!("{root}/services/{name}"));
        rejections.extend(more);
        rejections.extend(all.merge(raw));
    }
    let (raw, more) = tcp::compose(&tree.tcp, root, ports);
    rejections.extend(more);
    rejections.extend(all.merge(raw));
    (all, rejections)
}
