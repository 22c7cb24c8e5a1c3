//! Provider `kontena`.

use super::Resolver;
use crate::config::{
    decode::{Span, quote},
    static_::{parse, raw, *},
};

/// Kontena's own pace.
const REFRESH: Duration = Duration::from_secs(1);

impl Resolver<'_> {
    pub(super) fn kontena(&mut self, raw: raw::Kontena) -> Option<KontenaProvider> {
        let path = |key: &'static str| ["providers", "kontena", key];
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut endpoints = Vec::new();
        for text in &raw.endpoints {
            match parse::endpoint(text) {
                // A scheme says whether TLS is spoken.
                Some(_) => endpoints.push(text.clone()),
                None => {
                    let message = format!("expected host:port, found {}", quote(text));
                    self.error(
                        &path("endpoints"),
                        message,
                        "write for instance 10.81.0.1:2379, or nothing for the default gateway",
                    );
                }
            }
        }
        let mut segment = |key: &'static str, text: Option<String>| {
            if text.as_deref().is_some_and(|text| text.contains('/') || text.chars().any(char::is_control)) {
                self.error(&path(key), "expected a name without slashes", "write the name alone");
            }
            text
        };
        let stack = segment("stack", given(raw.stack));
        let Some(load_balancer) = segment("loadBalancer", given(raw.load_balancer)) else {
            let message = "it is not said which load balancer this is";
            self.error(
                &path("loadBalancer"),
                message,
                "name the service that others link to; Kontena gives it as KONTENA_SERVICE_NAME",
            );
            return None;
        };
        let api = match raw.api.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "v2") => EtcdApi::V2,
            Some("v3") => EtcdApi::V3,
            Some(other) => {
                self.error(
                    &path("api"),
                    format!("expected v2 or v3, found {}", quote(other)),
                    "write v2, which Kontena's agents speak",
                );
                EtcdApi::V2
            }
        };
        let refresh = raw.refresh_seconds.map(Span::get).filter(|span| !span.is_zero()).unwrap_or(REFRESH);
        let (username, password) = (raw.username.unwrap_or_default(), raw.password.unwrap_or_default());
        if username.is_empty() != password.is_empty() {
            let missing = if username.is_empty() { "username" } else { "password" };
            self.error(&path(missing), "a user name and a password go together", "give both, or neither");
        }
        let tls = raw.tls.and_then(|tls| self.client_tls(tls, &path("tls")));
        let health_uri = given(raw.health_uri);
        if health_uri.as_deref().is_some_and(|uri| !uri.starts_with('/') || uri.contains(['`', ' ', '?'])) {
            self.error(&path("healthUri"), "expected a path that begins with `/`", "write for instance /health");
        }
        let bundle = |(name, text, single): (&str, String, bool)| {
            (!text.trim().is_empty()).then(|| Bundle { name: name.to_owned(), text: Secret::new(text), single })
        };
        let several = raw.ssl_certs.map(|text| ("SSL_CERTS", text, false));
        let mut bundles: Vec<Bundle> = several.and_then(bundle).into_iter().collect();
        bundles.extend(raw.ssl_cert.iter().filter_map(|(name, text)| bundle((name, text.clone(), true))));
        Some(KontenaProvider {
            endpoints,
            load_balancer,
            stack,
            api,
            refresh,
            username,
            password: Secret::new(password),
            tls,
            bundles,
            ssl_ciphers: raw.ssl_ciphers.unwrap_or_default(),
            http2: raw.http2.unwrap_or(true),
            health_uri,
        })
    }
}
