//! Keys and values as services. Unknown keys are passed over, as Kontena's reader does: later versions of the agent may write more.

use std::collections::BTreeMap;

/// Services by name, as the store has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Below `services/`.
    pub http: BTreeMap<String, Entry>,
    /// Below `tcp-services/`.
    pub tcp: BTreeMap<String, Entry>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Values by key: `balance`, `virtual_hosts`, …
    pub settings: BTreeMap<String, String>,
    /// `ip:port` by the container's name.
    pub upstreams: BTreeMap<String, String>,
}

/// Names of settings, all others being passed over.
const SETTINGS: &[&str] = &[
    "balance",
    "basic_auth_secrets",
    "cookie",
    "custom_settings",
    "external_port",
    "health_check_port",
    "health_check_uri",
    "keep_virtual_path",
    "virtual_hosts",
    "virtual_path",
];

impl Tree {
    /// From keys below the load balancer's own, such as `services/web/balance`, and their values.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (key, value) in pairs {
            let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
            let (kind, service, rest) = match parts[..] {
                ["services", service, ref rest @ ..] => (&mut tree.http, service, rest),
                ["tcp-services", service, ref rest @ ..] => (&mut tree.tcp, service, rest),
                _ => continue,
            };
            match rest {
                ["upstreams", container] => {
                    let entry = kind.entry(service.to_owned()).or_default();
                    entry.upstreams.insert((*container).to_owned(), value.to_owned());
                }
                [setting] if SETTINGS.contains(setting) => {
                    let entry = kind.entry(service.to_owned()).or_default();
                    entry.settings.insert((*setting).to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        tree
    }

    /// Whether there is no service.
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.tcp.is_empty()
    }

    /// Number of services.
    pub fn len(&self) -> usize {
        self.http.len() + self.tcp.len()
    }
}

impl Entry {
    /// The setting's text, if it is set; it may be empty.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    /// The parts of a comma list.
    pub(super) fn list(&self, setting: &str) -> impl Iterator<Item = &str> {
        let text = self.get(setting).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }
}
