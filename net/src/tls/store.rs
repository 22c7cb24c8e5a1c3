//! Which certificate answers to which server name. Built whole, then only read.

use super::Certificate;
use rustls::SignatureScheme;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// `strict` leaves out the default. A name whose certificates all have keys of the wrong kind gets the best of them, so that the
    /// handshake fails for the reason it has.
    pub fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme], strict: bool) -> Option<&Arc<Certificate>> {
        let mut unsuited = None;
        for candidate in name.into_iter().flat_map(|n| self.candidates(n)) {
            if candidate.suits(schemes) {
                return Some(candidate);
            }
            unsuited = unsuited.or(Some(candidate));
        }
        unsuited.or(self.default.as_ref().filter(|_| !strict))
    }

    fn candidates(&self, name: &str) -> impl Iterator<Item = &Arc<Certificate>> {
        let exact = self.exact.get(name);
        let wildcard = name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        exact.into_iter().chain(wildcard).flatten()
    }
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
        let chosen = self.store.choose(name.as_deref(), hello.signature_schemes(), self.strict);
        chosen.map(|certificate| certificate.key.clone())
    }
}
