//! Providers, and TLS towards servers of ours.

use super::Resolver;
use crate::config::{
    decode::quote,
    static_::{parse, raw, *},
};

impl Resolver<'_> {
    pub(super) fn providers(&mut self, raw: raw::Providers) -> Providers {
        let mut providers = Providers::default();
        if let Some(throttle) = raw.providers_throttle_duration {
            providers.throttle = Some(throttle.get());
        }
        if let Some(file) = raw.file {
            let named = |text: Option<String>| text.filter(|text| !text.is_empty());
            let (filename, directory) = (named(file.filename), named(file.directory));
            if filename.is_some() && directory.is_some() {
                self.warning(&["providers", "file", "filename"], "not read, because `directory` is given", "keep one of the two");
            }
            match directory.map(FilePath::Directory).or(filename.map(FilePath::File)) {
                Some(path) => providers.file = Some(FileProvider { path, watch: file.watch.unwrap_or(true) }),
                None => self.error(
                    &["providers", "file"],
                    "expected `filename` or `directory`",
                    "name the file with your routers and services",
                ),
            }
        }
        if let Some(etcd) = raw.etcd.0 {
            let mut endpoints = Vec::new();
            let given = if etcd.endpoints.is_empty() { vec!["127.0.0.1:2379".to_owned()] } else { etcd.endpoints };
            for text in given {
                match parse::endpoint(&text) {
                    Some(endpoint) => endpoints.push(endpoint),
                    None => {
                        let message = format!("expected host:port, found {}", quote(&text));
                        self.error(&["providers", "etcd", "endpoints"], message, "write for instance etcd.internal:2379");
                    }
                }
            }
            let root_key = etcd.root_key.unwrap_or_else(|| "traefik".to_owned());
            let root_key = root_key.trim_matches('/').to_owned();
            if root_key.is_empty() {
                self.error(&["providers", "etcd", "rootKey"], "expected a name", "remove it for the default, traefik");
            }
            let (username, password) = (etcd.username.unwrap_or_default(), etcd.password.unwrap_or_default());
            if username.is_empty() != password.is_empty() {
                let missing = if username.is_empty() { "username" } else { "password" };
                self.error(&["providers", "etcd", missing], "a user name and a password go together", "give both, or neither");
            }
            let tls = etcd.tls.and_then(|tls| self.client_tls(tls, &["providers", "etcd", "tls"]));
            providers.etcd = Some(EtcdProvider { endpoints, root_key, username, password: Secret::new(password), tls });
        }
        providers.rancher = raw.rancher.0.and_then(|rancher| self.rancher(rancher));
        providers.docker = raw.docker.0.and_then(|docker| self.docker(docker));
        providers.swarm = raw.swarm.0.and_then(|swarm| self.swarm(swarm));
        providers.kontena = raw.kontena.0.and_then(|kontena| self.kontena(kontena));
        providers
    }

    pub(super) fn client_tls(&mut self, raw: raw::ClientTls, path: &[&str]) -> Option<ClientTls> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (cert, key) = (given(raw.cert), given(raw.key).map(Secret::new));
        if cert.is_some() != key.is_some() {
            let missing = if cert.is_some() { "key" } else { "cert" };
            let path: Vec<&str> = path.iter().copied().chain([missing]).collect();
            self.error(&path, "a client certificate and its key go together", "give both, or neither");
        }
        Some(ClientTls { ca: given(raw.ca), cert, key, insecure_skip_verify: raw.insecure_skip_verify })
    }
}
