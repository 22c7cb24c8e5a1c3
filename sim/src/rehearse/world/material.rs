//! Files of the gateway and certificates of the world: an authority, a twin for each certificate that the configuration names, and one
//! for each server that speaks TLS.
//!
//! Keys are Ed25519 and new in every run: bytes differ between runs and lengths never do, so that a run repeats itself. Real keys are
//! not used: signatures of some kinds vary in length, and no private key belongs into a plan.

use super::World;
use crate::rehearse::{blueprint::Blueprint, plan::Texts};
use fairlead_core::config::dynamic::UpstreamScheme;
use fairlead_net::{
    sim,
    tls::{self, Certificate, CertificateStore, ClientConfig, ClientOptions, Pem, ServerConfig, ServerOptions, UnixTime},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// See the head of this file.
pub(super) struct Material {
    /// What stands in the gateway's files, by path.
    files: BTreeMap<String, String>,
    /// Of servers, by `host:port`.
    servers: BTreeMap<String, Arc<ServerConfig>>,
    client: (Pem, Pem),
}

/// The authority, and the one key of all that it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
}

impl Authority {
    fn new() -> anyhow::Result<Self> {
        let mut params = params(&["rehearsal.authority".to_owned()], 1)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key), key: KeyPair::generate_for(&rcgen::PKCS_ED25519)? })
    }

    /// A certificate for these names, signed.
    fn sign(&self, names: &[String], serial: u64) -> anyhow::Result<String> {
        Ok(params(names, serial)?.signed_by(&self.key, &self.issuer)?.pem())
    }
}

/// A certificate's content. Everything in it is of one length whenever it is made.
fn params(names: &[String], serial: u64) -> anyhow::Result<CertificateParams> {
    let usable = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.*:_".contains(&b));
    let mut names: Vec<String> = names.iter().filter(usable).cloned().collect();
    if names.is_empty() {
        names.push("rehearsal.example".to_owned());
    }
    let mut params = CertificateParams::new(names)?;
    params.serial_number = Some((serial + (1 << 32)).into());
    params.not_before = (UNIX_EPOCH + Duration::from_secs(1)).into();
    params.not_after = (UNIX_EPOCH + Duration::from_secs(2_500_000_000)).into();
    Ok(params)
}

impl Material {
    pub(super) fn new(texts: &Texts, blueprint: &Blueprint) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        sim::trust(authority.pem.clone());
        let mut files = texts.dynamic.clone();
        let is_path = |text: &str| !text.contains("-----BEGIN");
        // Whoever has no certificate to be like stands for every host that is asked for over TLS.
        let hosts: BTreeSet<String> = blueprint.probes.iter().filter(|probe| probe.tls).map(|probe| probe.host.clone()).collect();
        let hosts: Vec<String> = hosts.into_iter().collect();
        let mut serial = 2;
        let tls = &blueprint.dynamic.tls;
        for wanted in tls.certificates.iter().chain(&tls.default_certificate) {
            let names = texts.certificates.get(&wanted.cert).filter(|names| !names.is_empty()).unwrap_or(&hosts);
            serial += 1;
            if is_path(&wanted.cert) {
                files.insert(wanted.cert.clone(), authority.sign(names, serial)?);
            }
            if is_path(&wanted.key) {
                files.entry(wanted.key.clone()).or_default().push_str(&authority.key.serialize_pem());
            }
        }
        let identity = authority.sign(&["gateway.rehearsal.example".to_owned()], 2)?;
        for transport in blueprint.dynamic.transports.values() {
            for path in transport.root_cas.iter().filter(|path| is_path(path)) {
                files.insert(path.clone(), authority.pem.clone());
            }
            for (cert, key) in transport.certificates.iter().filter(|(cert, key)| is_path(cert) && is_path(key)) {
                files.insert(cert.clone(), identity.clone());
                files.insert(key.clone(), authority.key.serialize_pem());
            }
        }
        for options in tls.options.values() {
            for path in options.client_auth.iter().flat_map(|auth| &auth.ca_files).filter(|path| is_path(path)) {
                files.insert(path.clone(), authority.pem.clone());
            }
        }
        let key = Pem::new("the world's key", authority.key.serialize_pem());
        let mut servers = BTreeMap::new();
        for (name, server) in blueprint.servers.iter().filter(|(_, server)| server.scheme == UpstreamScheme::Https) {
            serial += 1;
            let names: Vec<String> = server.names.iter().cloned().collect();
            let chain = Pem::new(name.clone(), authority.sign(&names, serial)?);
            let now = UnixTime::since_unix_epoch(Duration::from_secs(1_650_000_000));
            let certificate = Arc::new(Certificate::from_pem(&chain, &key, now)?);
            let store = Arc::new(CertificateStore::new(&[], Some(certificate), now));
            let options = ServerOptions { alpn: vec!["http/1.1".into()], ..ServerOptions::default() };
            servers.insert(name.clone(), tls::server_config(&options, store)?);
        }
        let client = authority.sign(&["client.rehearsal.example".to_owned()], 3)?;
        Ok(Self { files, servers, client: (Pem::new("a client", client), key) })
    }

    /// For a server that speaks TLS.
    pub(super) fn server(&self, key: &str) -> Option<Arc<ServerConfig>> {
        self.servers.get(key).cloned()
    }

    /// For a client that asks for this host. It takes any certificate, and shows one if it is asked to.
    pub(super) fn client(&self, host: &str) -> Result<Arc<ClientConfig>, tls::TlsError> {
        tls::client_config(&ClientOptions {
            server_name: Some(host.to_owned()),
            insecure_skip_verify: true,
            client_cert: Some(self.client.clone()),
            alpn: vec!["http/1.1".into()],
            ..ClientOptions::default()
        })
    }
}

impl World {
    /// Everything that the gateway reads.
    pub(super) fn write_files(&self) {
        for (path, text) in &self.material.files {
            self.net.write_file(self.gateway.host, path, text);
        }
    }
}
