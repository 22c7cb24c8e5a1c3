//! The provider `rancher`.

use super::Resolver;
use crate::{
    config::{
        decode::{Span, Switch, quote},
        static_::{parse, raw::rancher as raw, *},
    },
    discovery::{Language, Settings},
};

const ENDPOINT: &str = "http://rancher-metadata.rancher.internal";

/// Traefik's. A change arrives by the long poll, or by the next look at the version.
const REFRESH: Duration = Duration::from_secs(15);

impl Resolver<'_> {
    pub(super) fn rancher(&mut self, raw: raw::Rancher) -> Option<RancherProvider> {
        let at = |key| ["providers", "rancher", key];
        let metadata = match raw.metadata {
            Some(Switch(None)) => {
                let message = "only the metadata service is read; Rancher's API with its keys is not";
                self.error(
                    &at("metadata"),
                    message,
                    "write true, or remove it: the gateway then needs neither keys nor a socket",
                );
                return None;
            }
            Some(Switch(Some(keys))) => keys,
            None => raw::MetadataKeys::default(),
        };
        let endpoint = raw.endpoint.filter(|text| !text.is_empty()).unwrap_or_else(|| ENDPOINT.to_owned());
        if parse::http_endpoint(&endpoint).is_none() {
            let message = format!("expected http://host or http://host:port, found {}", quote(&endpoint));
            self.error(&at("endpoint"), message, format!("remove it for the default, {ENDPOINT}"));
        }
        let prefix = raw.prefix.or(metadata.prefix).unwrap_or_default();
        let prefix = Some(prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty()).unwrap_or("latest").to_owned();
        if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            let message = format!("expected a version of the metadata, found {}", quote(&prefix));
            self.error(&at("prefix"), message, "remove it for the default, latest");
        }
        let refresh = raw.refresh_seconds.map_or(REFRESH, Span::get);
        if refresh < Duration::from_secs(1) {
            self.error(
                &at("refreshSeconds"),
                format!("expected at least 1s, found {refresh:?}"),
                "remove it for the default, 15s",
            );
        }
        let mut settings = Settings::new("rancher");
        settings.languages = [Language::Traefik1].into();
        if !raw.labels.is_empty() {
            settings.languages = raw.labels.iter().filter_map(|text| self.rancher_language(text)).collect();
        }
        settings.exposed_by_default = raw.exposed_by_default.unwrap_or(true);
        settings.domain = raw.domain.unwrap_or_default();
        settings.tags = self.tags(&raw.constraints, &at("constraints"));
        settings.default_rule = self.default_rule(raw.default_rule, &at("defaultRule"));
        Some(RancherProvider {
            endpoint,
            prefix,
            interval_poll: raw.interval_poll.or(metadata.interval_poll).unwrap_or(false),
            refresh,
            watch: raw.watch.unwrap_or(true),
            health_filter: raw.enable_service_health_filter,
            settings,
        })
    }

    fn rancher_language(&mut self, text: &str) -> Option<Language> {
        let language = Language::of_name(text.trim()).filter(|l| matches!(l, Language::Traefik | Language::Traefik1));
        if language.is_none() {
            let message = format!("expected traefik1 or traefik, found {}", quote(text));
            self.error(&["providers", "rancher", "labels"], message, "remove it for the default, traefik1");
        }
        language
    }
}
