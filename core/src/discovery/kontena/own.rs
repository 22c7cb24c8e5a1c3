//! The load balancer's own part of the dynamic configuration: its certificates, how it speaks TLS, and the address that says it is well.

use crate::{
    config::{RawDynamic, Rejection, Severity, quote, static_::KontenaProvider},
    discovery::Draft,
};

/// A certificate that can be used, with its chain and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Installed {
    /// The variable that it was given in.
    pub label: String,
    pub cert: String,
    pub key: String,
}

impl std::fmt::Debug for Installed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installed").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Router, middleware and service names of a service never begin so.
const HEALTH: &str = ".health";

/// Before every other router of this provider.
const HEALTH_PRIORITY: &str = "1000000";

/// What `options` ask for besides services. The first certificate is for clients that name no host.
pub fn own(options: &KontenaProvider, certificates: &[Installed]) -> (RawDynamic, Vec<Rejection>) {
    let mut draft = Draft::new(&format!("kontena load balancer {}", options.load_balancer));
    for (index, certificate) in certificates.iter().enumerate() {
        let index = index.to_string();
        draft.set(&["tls", "certificates", &index, "certFile"], &certificate.label, certificate.cert.as_str());
        draft.set(&["tls", "certificates", &index, "keyFile"], &certificate.label, certificate.key.as_str());
    }
    if let Some(first) = certificates.first() {
        let path = ["tls", "stores", "default", "defaultCertificate"];
        draft.set(&[&path[..], &["certFile"]].concat(), &first.label, first.cert.as_str());
        draft.set(&[&path[..], &["keyFile"]].concat(), &first.label, first.key.as_str());
    }
    if !options.http2 {
        draft.set(&["tls", "options", "default", "alpnProtocols", "0"], "KONTENA_LB_HTTP2", "http/1.1");
    }
    ciphers(&options.ssl_ciphers, &mut draft);
    if let Some(uri) = &options.health_uri {
        const LABEL: &str = "KONTENA_LB_HEALTH_URI";
        draft.set(&["http", "routers", HEALTH, "rule"], LABEL, format!("Path(`{uri}`)"));
        draft.set(&["http", "routers", HEALTH, "priority"], LABEL, HEALTH_PRIORITY);
        draft.set(&["http", "routers", HEALTH, "service"], LABEL, "ping@internal");
        draft.set(&["http", "routers", HEALTH, "middlewares", "0"], LABEL, HEALTH);
        draft.set(&["http", "middlewares", HEALTH, "replacePath", "path"], LABEL, "/ping");
    }
    draft.finish()
}

/// OpenSSL's names of what is offered.
const SUITES: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// An OpenSSL cipher string, as far as it names suites that are offered; those of TLS 1.3 are not chosen by it there either.
fn ciphers(text: &str, draft: &mut Draft) {
    const LABEL: &str = "KONTENA_LB_SSL_CIPHERS";
    let words = || text.split([':', ',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    let removed = |name: &str| words().any(|word| word.strip_prefix(['!', '-']) == Some(name));
    let (mut offered, mut left_out) = (Vec::new(), Vec::new());
    for word in words().filter(|word| !word.starts_with(['!', '-', '@'])) {
        match SUITES.iter().find(|(name, _)| *name == word.trim_start_matches('+')) {
            Some((name, _)) if removed(name) => {}
            Some((_, suite)) => offered.push(*suite),
            None => left_out.push(word),
        }
    }
    if !left_out.is_empty() {
        let message = format!("not offered: {}", quote(&left_out.join(" ")));
        let remedy =
            "keep suites with ECDHE and GCM or ChaCha20; the others have no forward secrecy or no authenticated encryption";
        let remedy = if offered.is_empty() { "none is left, so the suites of the default are offered" } else { remedy };
        draft.reject(Severity::Warning, LABEL, message, remedy);
    }
    for (index, suite) in offered.into_iter().enumerate() {
        draft.set(&["tls", "options", "default", "cipherSuites", &index.to_string()], LABEL, suite);
    }
}
