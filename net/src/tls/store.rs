//! Which certificate answers to which server name. Built whole, then only read.

use super::Certificate;
use crate::clock;
use rustls::SignatureScheme;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Certificates by name: exact ones first, then a wildcard for one label, then the default.
#[derive(Debug, Default)]
pub struct CertificateStore {
    exact: BTreeMap<String, Vec<Arc<Certificate>>>,
    /// By what follows `*.`.
    wildcard: BTreeMap<String, Vec<Arc<Certificate>>>,
    default: Option<Arc<Certificate>>,
}

impl CertificateStore {
    /// Builds the index. Where several stand for a name, one that is valid at `now` goes before one that is not, an elliptic key before
    /// RSA (for clients that can use it), a later end before an earlier one, and then the order given.
    pub fn new(certificates: &[Arc<Certificate>], default: Option<Arc<Certificate>>, now: UnixTime) -> Self {
        let mut store = Self { default, ..Self::default() };
        for certificate in certificates {
            for name in certificate.names() {
                let (index, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut store.wildcard, parent),
                    None => (&mut store.exact, name.as_str()),
                };
                index.entry(key.to_owned()).or_default().push(certificate.clone());
            }
        }
        for ranked in store.exact.values_mut().chain(store.wildcard.values_mut()) {
            ranked.sort_by_key(|c| (!c.is_valid(now), c.kind(), Reverse(c.not_after())));
        }
        store
    }

    /// Whether a certificate other than the default stands for this name.
    pub fn covers(&self, name: &str) -> bool {
        self.candidates(name).next().is_some()
    }

    /// Whether there is no certificate at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.default.is_none()
    }

    /// The certificate for a name (lower case, no trailing dot) and a client that takes these signatures.
    ///
    /// One that is valid at `now` goes before one that ran out since the index was built, even if that one is the more exact. `strict`
    /// leaves out the default. A name whose certificates all have keys of the wrong kind gets the best of them, so that the handshake
    /// fails for the reason it has.
    pub fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
        strict: bool,
        now: UnixTime,
    ) -> Option<&Arc<Certificate>> {
        let (mut invalid, mut unsuited) = (None, None);
        for candidate in name.into_iter().flat_map(|n| self.candidates(n)) {
            match (candidate.suits(schemes), candidate.is_valid(now) || planted!("expired_served")) {
                (true, true) => return Some(candidate),
                (true, false) => invalid = invalid.or(Some(candidate)),
                (false, _) => unsuited = unsuited.or(Some(candidate)),
            }
        }
        invalid.or(unsuited).or(self.default.as_ref().filter(|_| !strict))
    }

    fn candidates(&self, name: &str) -> impl Iterator<Item = &Arc<Certificate>> {
        let mut exact = self.exact.get(name);
        if planted!("sni_fallback") {
            // As if a certificate for one host of a domain were one for all of them.
            exact = self.exact.iter().find(|(other, _)| parent(other) == parent(name)).map(|(_, found)| found);
        }
        let wildcard = parent(name).and_then(|parent| self.wildcard.get(parent));
        exact.into_iter().chain(wildcard).flatten()
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// A store seen through one set of options.
#[derive(Debug)]
pub(super) struct Resolver {
    pub store: Arc<CertificateStore>,
    pub strict: bool,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(super::accept::normalise);
        let chosen = self.store.choose(name.as_deref(), hello.signature_schemes(), self.strict, now());
        chosen.map(|certificate| certificate.key.clone())
    }
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(clock::now())))
}
