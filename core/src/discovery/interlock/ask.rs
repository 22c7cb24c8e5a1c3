//! What a workload asks for, typed and judged.

use crate::discovery::{Language, Mode};
use std::{collections::BTreeSet, fmt};

/// What the labels of Interlock begin with.
pub const PREFIX: &str = "com.docker.lb.";

/// One set of hosts, and the service behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Name of its service.
    pub service: String,
    /// The label that says which hosts.
    pub label: String,
    pub hosts: BTreeSet<HostName>,
    /// Requests are taken whose path begins with this; empty: all.
    pub root: String,
    /// The root is taken off on the way to the server.
    pub rewrite: bool,
    pub port: u16,
    pub network: Option<String>,
    pub mode: Mode,
    /// Beginnings of the paths that are for WebSockets, sorted.
    pub websockets: Vec<String>,
    /// TLS ends at the service: connections go on by the server name of the client's hello, and nobody reads requests.
    pub passthrough: bool,
    pub redirects: Vec<Redirect>,
    pub tls: Tls,
    pub upstream: Upstream,
}

/// A host that requests are taken for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostName {
    Exact(String),
    /// `.example.com`: every host below it.
    Below(String),
    /// Whatever no other takes.
    Any,
}

/// Requests for `source` are sent elsewhere with their path and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub source: HostName,
    /// Scheme, authority and perhaps a path without slash at its end.
    pub target: String,
    /// TLS ends here, so only plain requests are sent there.
    pub plain_only: bool,
    pub permanent: bool,
}

/// TLS towards clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The hosts are served over TLS.
    pub served: bool,
    /// Paths of certificate and key.
    pub certificate: Option<(String, String)>,
    /// Plain requests are sent to `https`.
    pub only: bool,
}

/// How servers are picked and spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub security: Security,
    pub balance: Balance,
    /// Failures that eject a server, and within which time, as written.
    pub max_fails: Option<u32>,
    pub fail_timeout: Option<String>,
}

/// TLS towards servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    /// Their certificates are verified.
    Verified,
    Unverified,
}

/// Which server a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    /// By the client's address.
    Address,
    /// By the value of a cookie that the application sets.
    Cookie(String),
}

impl Ask {
    /// The language that it was said in.
    pub fn language(&self) -> Language {
        if self.label.starts_with(PREFIX) { Language::Interlock } else { Language::Mesh }
    }

    /// The label for `key`: `com.docker.lb.network`. The mesh says everything in one.
    pub fn key(&self, key: &str) -> String {
        match self.language() {
            Language::Interlock => format!("{PREFIX}{key}"),
            _ => self.label.clone(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self { security: Security::None, balance: Balance::RoundRobin, max_fails: None, fail_timeout: None }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}
