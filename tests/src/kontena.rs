//! Kontena's agent, as far as a load balancer sees it: it writes services and containers into etcd, key by key, over version 2 of its
//! interface.

use crate::{Connection, etcd::Etcd};

/// Writes the services that are linked to one load balancer.
pub struct Agent {
    port: u16,
    /// `/v2/keys/kontena/haproxy/<lb>`
    root: String,
}

/// The keys of a service in the order in which they are written, and what is written where a service does not say.
const KEYS: [(&str, Option<&str>); 9] = [
    ("balance", Some("roundrobin")),
    ("custom_settings", None),
    ("health_check_uri", None),
    ("health_check_port", None),
    ("virtual_hosts", None),
    ("virtual_path", None),
    ("keep_virtual_path", None),
    ("cookie", None),
    ("basic_auth_secrets", None),
];

impl Agent {
    /// One that writes for the load balancer `lb`, which may begin with a stack and a slash.
    pub fn of(etcd: &Etcd, lb: &str) -> Self {
        let port = etcd.endpoint().rsplit(':').next().and_then(|port| port.parse().ok()).expect("an endpoint has a port");
        Self { port, root: format!("/v2/keys/kontena/haproxy/{lb}") }
    }

    /// Writes an HTTP service's settings: what is given, the defaults, and the removal of what is not set.
    pub fn service(&self, name: &str, settings: &[(&str, &str)]) {
        for (key, default) in KEYS {
            let given = settings.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
            let paths = settings.iter().any(|(key, _)| matches!(*key, "virtual_hosts" | "virtual_path"));
            let default = if key == "virtual_path" && !paths { Some("/") } else { default };
            match given.or(default) {
                Some(value) => self.put(&format!("services/{name}/{key}"), value),
                None => drop(self.delete(&format!("services/{name}/{key}"))),
            }
        }
    }

    /// A container has started.
    pub fn register(&self, service: &str, container: &str, port: u16) {
        self.put(&format!("services/{service}/upstreams/{container}"), &format!("127.0.0.1:{port}"));
    }

    /// A container has died: its key goes, if it is still its own.
    pub fn unregister(&self, service: &str, container: &str, port: u16) {
        let status = self.delete(&format!("services/{service}/upstreams/{container}?prevValue=127.0.0.1:{port}"));
        assert_eq!(status, 200, "the key was there");
    }

    /// A service is gone.
    pub fn remove(&self, service: &str) {
        assert_eq!(self.delete(&format!("services/{service}?recursive=true")), 200, "the service was there");
    }

    /// Writes one key.
    pub fn put(&self, key: &str, value: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        let body: String = "value=".chars().map(String::from).chain(value.bytes().map(escape)).collect();
        let status = self.say("PUT", key, &body);
        assert!(matches!(status, 200 | 201), "etcd answers {status} to PUT {key}");
    }

    fn delete(&self, key: &str) -> u16 {
        self.say("DELETE", key, "")
    }

    fn say(&self, method: &str, key: &str, body: &str) -> u16 {
        let mut connection = Connection::open(self.port);
        connection.send(format!(
            "{method} {}/{key} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.root,
            body.len()
        ));
        connection.answer().status
    }
}
