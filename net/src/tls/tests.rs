//! Handshakes over in-memory streams, with certificates made here.

mod client;
mod material;
mod server;

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, SignatureAlgorithm};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::DuplexStream;

/// Seconds since 1970: a day on which the certificates made here are valid, for what takes the time as an argument.
pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000))
}

const YEAR: u64 = 365 * 86_400;

/// An authority and what it issues.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: Pem,
}

impl Authority {
    pub fn new(origin: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, origin);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = Pem::new(origin, params.self_signed(&key).unwrap().pem());
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Chain and key for these names.
    pub fn issue(&self, names: &[&str]) -> (Pem, Pem) {
        self.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, |_| ())
    }

    pub fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> (Pem, Pem) {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.serial_number = Some(7u64.into());
        adjust(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap();
        (Pem::new(format!("{}.pem", names.join(",")), chain.pem()), Pem::new("key.pem", key.serialize_pem()))
    }

    pub fn certificate(&self, names: &[&str]) -> Arc<Certificate> {
        let (chain, key) = self.issue(names);
        Arc::new(Certificate::from_pem(&chain, &key, now()).unwrap())
    }
}

pub(super) fn date(seconds: u64) -> rcgen::CertificateParams {
    let mut params = CertificateParams::default();
    params.not_after = (UNIX_EPOCH + Duration::from_secs(seconds)).into();
    params
}

pub(super) fn store(certificates: &[Arc<Certificate>], default: Option<&Arc<Certificate>>) -> Arc<CertificateStore> {
    Arc::new(CertificateStore::new(certificates, default.cloned(), now()))
}

pub(super) type Outcome = (Result<Accepted<DuplexStream>, TlsError>, Result<Connected<DuplexStream>, TlsError>);

/// One handshake. The client's verdict counts only once it has read what follows: in TLS 1.3 it is done before the server is.
pub(super) async fn handshake(server: Arc<ServerConfig>, client: &ClientConfig, name: &str) -> Outcome {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::join!(accept(far, |_| Some(server)), connect(near, client, name))
}

/// Options of a client that trusts this authority.
pub(super) fn trusting(authority: &Authority) -> ClientOptions {
    ClientOptions { root_cas: vec![authority.pem.clone()], ..ClientOptions::default() }
}

pub(super) fn alert(error: &TlsError) -> Option<rustls::AlertDescription> {
    match error {
        TlsError::Handshake(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    }
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
