//! Certificates for tests: one authority, and leaves by name.

use crate::dir::Dir;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority of this test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
pub struct Leaf {
    pub cert: String,
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().expect("keys can be made");
        let pem = params.self_signed(&key).expect("an authority signs itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, as a file for clients.
    pub fn file(&self, dir: &Dir) -> String {
        dir.put("ca.pem", &self.pem)
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Leaf {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("the test's names are valid");
        params.distinguished_name.push(DnType::CommonName, names[0].clone());
        let key = KeyPair::generate().expect("keys can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("the authority signs").pem();
        Leaf { cert, key: key.serialize_pem() }
    }
}

impl Leaf {
    /// Writes both as files `<name>.crt` and `<name>.key`, and gives their paths.
    pub fn files(&self, dir: &Dir, name: &str) -> (String, String) {
        (dir.put(&format!("{name}.crt"), &self.cert), dir.put(&format!("{name}.key"), &self.key))
    }
}
