//! What an operator may say about how labels are read, for all workloads of one provider.

use super::{constraints::Constraints, tags::Constraint, template::Template};
use std::collections::{BTreeMap, BTreeSet};

/// A language of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// `traefik.http.routers.…`, of Traefik 2 and 3.
    Traefik,
    /// `traefik.frontend.…`, of Traefik 1.
    Traefik1,
    /// `com.docker.lb.…`, of Interlock.
    Interlock,
    /// `com.docker.ucp.mesh.http…`, of UCP's HTTP routing mesh.
    Mesh,
}

/// Options of one provider. Defaults are those of Traefik's docker and swarm providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the provider.
    pub provider: String,
    pub languages: BTreeSet<Language>,
    /// Whether workloads without `traefik.enable` are served.
    pub exposed_by_default: bool,
    /// The rule of a router that has none.
    pub default_rule: Template,
    /// Which workloads are this gateway's concern, whatever language they speak; `None`: all.
    pub constraints: Option<Constraints>,
    /// Network for workloads that name none; empty: found out.
    pub network: String,
    /// Reach instances by the port and address published on their node.
    pub use_bind_port_ip: bool,
    /// Serve workloads without instances, with 503.
    pub allow_empty_services: bool,
    /// Traefik 1: what comes after a workload's name in its default host.
    pub domain: String,
    /// Traefik 1: which workloads are this gateway's concern, by their tags; all must hold.
    pub tags: Vec<Constraint>,
    /// Traefik 1: scheme and port by name of entry point, for labels that redirect to one.
    pub entry_points: BTreeMap<String, (String, u16)>,
    pub interlock: InterlockOptions,
}

/// Options of the label language [`Language::Interlock`] and of [`Language::Mesh`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterlockOptions {
    /// Only workloads of this service cluster are served; empty: those that name none.
    pub service_cluster: String,
    /// Answers carry `x-request-id`, `x-proxy-id`, `x-server-info` and `x-upstream-addr`.
    pub info_headers: bool,
    /// Only the paths listed in `websocket_endpoints` are upgraded. Otherwise every path may be.
    pub strict_websockets: bool,
}

/// Secrets and configs that are mounted into the gateway: paths by the name that labels use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Names of the files below the directory of secrets.
    pub names: BTreeSet<String>,
    /// Where they are: `/run/secrets`.
    pub directory: String,
}

impl Mounts {
    /// Path of the file mounted for `name`, if there is one.
    pub fn path(&self, name: &str) -> Option<String> {
        self.names.contains(name).then(|| format!("{}/{name}", self.directory))
    }
}

impl Settings {
    /// Scheme and port of an entry point. Without knowledge of any, Traefik 1's two are where they always were.
    pub fn entry_point(&self, name: &str) -> Option<(&str, u16)> {
        match (self.entry_points.get(name), name) {
            (Some((scheme, port)), _) => Some((scheme, *port)),
            (None, "http") if self.entry_points.is_empty() => Some(("http", 80)),
            (None, "https") if self.entry_points.is_empty() => Some(("https", 443)),
            (None, _) => None,
        }
    }

    /// Every language, and Traefik's defaults.
    pub fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            languages: [Language::Traefik, Language::Traefik1, Language::Interlock, Language::Mesh].into(),
            exposed_by_default: true,
            default_rule: Template::default(),
            constraints: None,
            network: String::new(),
            use_bind_port_ip: false,
            allow_empty_services: false,
            domain: String::new(),
            tags: Vec::new(),
            entry_points: BTreeMap::new(),
            interlock: InterlockOptions::default(),
        }
    }
}

impl Language {
    /// As `--providers.swarm.labels` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::Traefik1 => "traefik1",
            Self::Interlock => "interlock",
            Self::Mesh => "mesh",
        }
    }

    /// The language of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Traefik, Self::Traefik1, Self::Interlock, Self::Mesh].into_iter().find(|l| l.as_str().eq_ignore_ascii_case(name))
    }
}
