//! The providers `docker` and `swarm`.

use super::Resolver;
use crate::{
    config::{
        decode::{Span, quote},
        static_::{raw, *},
    },
    discovery::{Language, Settings},
};

const ENDPOINT: &str = "unix:///var/run/docker.sock";

/// What a Swarm manager is asked at rest. Traefik's 15 s and Interlock's 3 s leave requests at tasks that are gone.
const REFRESH: Duration = Duration::from_secs(1);

/// A manager that is asked more often than this does little else.
const LEAST_REFRESH: Duration = Duration::from_millis(100);

impl Resolver<'_> {
    pub(super) fn docker(&mut self, raw: raw::docker::Docker) -> Option<DockerProvider> {
        if raw.swarm_mode {
            let message = "this is Traefik 2's spelling; what the services provide keeps its names, `…@docker`";
            self.warning(&["providers", "docker", "swarmMode"], message, "use providers.swarm, where names end in `@swarm`");
        }
        for (key, given) in [
            ("refreshSeconds", raw.refresh_seconds.is_some()),
            ("swarmModeRefreshSeconds", raw.swarm_mode_refresh_seconds.is_some()),
        ] {
            if given && !raw.swarm_mode {
                let message = "not read: a daemon that is no Swarm manager tells of changes by itself";
                self.warning(&["providers", "docker", key], message, "remove it");
            }
        }
        self.engine("docker", raw)
    }

    pub(super) fn swarm(&mut self, raw: raw::docker::Docker) -> Option<DockerProvider> {
        if raw.swarm_mode || raw.swarm_mode_refresh_seconds.is_some() {
            let key = if raw.swarm_mode { "swarmMode" } else { "swarmModeRefreshSeconds" };
            self.error(&["providers", "swarm", key], "not an option of this provider", "remove it, or write refreshSeconds");
        }
        let raw = raw::docker::Docker { swarm_mode: true, swarm_mode_refresh_seconds: None, ..raw };
        self.engine("swarm", raw)
    }

    fn engine(&mut self, name: &str, raw: raw::docker::Docker) -> Option<DockerProvider> {
        let at = |key| ["providers", name, key];
        let endpoints = self.daemons(name, raw.endpoint.as_deref().unwrap_or(ENDPOINT));
        let (username, password) = (raw.username.unwrap_or_default(), raw.password.unwrap_or_default());
        if username.is_empty() && !password.is_empty() {
            self.error(&at("username"), "a user name and a password go together", "give both, or neither");
        }
        let refresh = raw.refresh_seconds.or(raw.swarm_mode_refresh_seconds).map_or(REFRESH, Span::get);
        if refresh < LEAST_REFRESH {
            let message = format!("expected at least {LEAST_REFRESH:?}, found {refresh:?}");
            self.error(&at("refreshSeconds"), message, "write 1s, or remove it");
        }
        let tls = raw.tls.and_then(|tls| self.client_tls(tls, &at("tls")));
        let mut settings = Settings::new(name);
        if !raw.labels.is_empty() {
            settings.languages = raw.labels.iter().filter_map(|text| self.language(name, text)).collect();
        }
        settings.exposed_by_default = raw.exposed_by_default.unwrap_or(settings.exposed_by_default);
        settings.default_rule = self.default_rule(raw.default_rule, &at("defaultRule"));
        settings.constraints = self.constraints(raw.constraints, &at("constraints"));
        settings.network = raw.network.unwrap_or_default();
        settings.use_bind_port_ip = raw.use_bind_port_ip;
        settings.allow_empty_services = raw.allow_empty_services;
        settings.domain = raw.domain.unwrap_or_default();
        settings.interlock.service_cluster = raw.interlock.service_cluster.unwrap_or_default();
        settings.interlock.info_headers = raw.interlock.info_headers;
        settings.interlock.strict_websockets = raw.interlock.strict_websockets;
        let secrets = raw.secrets_directory.filter(|path| !path.is_empty()).unwrap_or_else(|| "/run/secrets".to_owned());
        Some(DockerProvider {
            endpoints,
            swarm: raw.swarm_mode,
            username,
            password: Secret::new(password),
            tls,
            watch: raw.watch.unwrap_or(true),
            timeout: raw.http_client_timeout.map(Span::get).filter(|timeout| !timeout.is_zero()),
            refresh,
            secrets_directory: secrets.trim_end_matches('/').to_owned(),
            settings,
        })
    }

    /// Several managers are separated by commas.
    fn daemons(&mut self, name: &str, text: &str) -> Vec<String> {
        let endpoints: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        let known = |one: &String| match one.split_once("://") {
            Some((scheme, rest)) => ["unix", "tcp", "http", "https"].contains(&scheme) && !rest.is_empty(),
            None => !one.is_empty(),
        };
        if let Some(wrong) = endpoints.iter().find(|one| !known(one)) {
            let message = format!("expected unix:///path, tcp://host:port or https://host:port, found {}", quote(wrong));
            self.error(&["providers", name, "endpoint"], message, format!("write for instance {ENDPOINT}"));
        }
        if endpoints.is_empty() {
            self.error(&["providers", name, "endpoint"], "expected an endpoint", "remove it for the default");
        }
        endpoints
    }

    fn language(&mut self, name: &str, text: &str) -> Option<Language> {
        let language = Language::of_name(text.trim());
        if language.is_none() {
            let message = format!("expected traefik, traefik1, interlock or mesh, found {}", quote(text));
            self.error(&["providers", name, "labels"], message, "remove it to read every language");
        }
        language
    }
}
