//! The provider `rancher` as written: Traefik's keys of versions 1 and 2.

use crate::config::decode::{Ignored, Span, Switch, Unsupported};
use serde::Deserialize;

/// The metadata service of Rancher 1.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::config::static_) struct Rancher {
    pub(in crate::config::static_) endpoint: Option<String>,
    pub(in crate::config::static_) prefix: Option<String>,
    pub(in crate::config::static_) interval_poll: Option<bool>,
    pub(in crate::config::static_) refresh_seconds: Option<Span>,
    pub(in crate::config::static_) watch: Option<bool>,
    pub(in crate::config::static_) exposed_by_default: Option<bool>,
    pub(in crate::config::static_) enable_service_health_filter: bool,
    pub(in crate::config::static_) domain: Option<String>,
    pub(in crate::config::static_) constraints: Vec<String>,
    pub(in crate::config::static_) default_rule: Option<String>,
    pub(in crate::config::static_) labels: Vec<String>,
    /// `false` would be Rancher's API, which is another one.
    pub(in crate::config::static_) metadata: Metadata,
    pub(in crate::config::static_) api: Option<Unsupported>,
    pub(in crate::config::static_) access_key: Option<Unsupported>,
    pub(in crate::config::static_) secret_key: Option<Unsupported>,
    pub(in crate::config::static_) debug_log_generated_template: Option<Ignored>,
}

/// Traefik 1's: a switch with keys below it. Absent, and off, are told apart.
pub(in crate::config::static_) type Metadata = Option<Switch<MetadataKeys>>;

/// Where Traefik 1 has what Traefik 2 has above.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::config::static_) struct MetadataKeys {
    pub(in crate::config::static_) prefix: Option<String>,
    pub(in crate::config::static_) interval_poll: Option<bool>,
}
