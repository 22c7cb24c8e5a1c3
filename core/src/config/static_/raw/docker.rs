//! The providers `docker` and `swarm` as written: Traefik's keys of versions 2 and 3, and our own.

use super::ClientTls;
use crate::config::decode::{Span, Switch};
use serde::Deserialize;

/// Both providers have the same keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::config::static_) struct Docker {
    pub(in crate::config::static_) endpoint: Option<String>,
    pub(in crate::config::static_) username: Option<String>,
    pub(in crate::config::static_) password: Option<String>,
    pub(in crate::config::static_) tls: Option<ClientTls>,
    pub(in crate::config::static_) network: Option<String>,
    pub(in crate::config::static_) exposed_by_default: Option<bool>,
    pub(in crate::config::static_) default_rule: Option<String>,
    pub(in crate::config::static_) constraints: Option<String>,
    #[serde(rename = "useBindPortIP")]
    pub(in crate::config::static_) use_bind_port_ip: bool,
    pub(in crate::config::static_) allow_empty_services: bool,
    pub(in crate::config::static_) watch: Option<bool>,
    pub(in crate::config::static_) http_client_timeout: Option<Span>,
    pub(in crate::config::static_) refresh_seconds: Option<Span>,
    // Traefik 2.
    pub(in crate::config::static_) swarm_mode: bool,
    pub(in crate::config::static_) swarm_mode_refresh_seconds: Option<Span>,
    // Our own.
    pub(in crate::config::static_) labels: Vec<String>,
    pub(in crate::config::static_) domain: Option<String>,
    pub(in crate::config::static_) secrets_directory: Option<String>,
    pub(in crate::config::static_) interlock: Interlock,
}

/// The older label languages' own options.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::config::static_) struct Interlock {
    pub(in crate::config::static_) service_cluster: Option<String>,
    pub(in crate::config::static_) info_headers: bool,
    pub(in crate::config::static_) strict_websockets: bool,
}

/// `--providers.swarm` alone is enough.
pub(in crate::config::static_) type Provider = Switch<Docker>;
