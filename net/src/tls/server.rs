//! A server's options as a rustls configuration.

use super::certificate::{Pem, read_roots};
use super::store::Resolver;
use super::{CertificateStore, TlsError, options, provider};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// How connections of one kind are terminated. Names are Traefik's; see [`VERSIONS`](super::VERSIONS),
/// [`CIPHER_SUITES`](super::CIPHER_SUITES) and [`CURVES`](super::CURVES).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The lowest version; TLS 1.2 when absent.
    pub min_version: Option<String>,
    /// The highest version; TLS 1.3 when absent.
    pub max_version: Option<String>,
    /// For TLS 1.2; all that are offered when empty.
    pub cipher_suites: Vec<String>,
    /// In order of preference; all that are offered when empty.
    pub curve_preferences: Vec<String>,
    /// Protocols in order of preference; a client that offers none of them is refused, unless it offers none at all.
    pub alpn: Vec<String>,
    /// No default certificate: a name without one of its own is refused.
    pub sni_strict: bool,
    /// Whether clients show certificates.
    pub client_auth: Option<ClientAuth>,
    /// Whether sessions can be resumed.
    pub session_tickets: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            min_version: None,
            max_version: None,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            sni_strict: false,
            client_auth: None,
            session_tickets: true,
        }
    }
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Trust anchors. Needed by the modes that verify.
    pub cas: Vec<Pem>,
    pub mode: ClientAuthMode,
}

/// What is asked of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// May show a certificate; any will do.
    Request,
    /// Must show a certificate; any will do.
    RequireAny,
    /// May show a certificate, which must then come from one of the CAs.
    VerifyIfGiven,
    /// Must show a certificate from one of the CAs.
    RequireAndVerify,
}

/// Builds a configuration.
///
/// Tickets are encrypted with keys of this configuration alone: a session begun under other options (another client CA, say) cannot be
/// resumed under these (CVE-2022-21654). The keys change every six hours.
///
/// # Errors
/// A name that is not known, naming those that are; a client CA that cannot be read.
pub fn server_config(options: &ServerOptions, store: Arc<CertificateStore>) -> Result<Arc<ServerConfig>, TlsError> {
    let cipher_suites = options::suites(&options.cipher_suites)?;
    let kx_groups = options::groups(&options.curve_preferences)?;
    let mut versions = options::versions(options.min_version.as_deref(), options.max_version.as_deref())?;
    // Only suites of TLS 1.3 were named: nothing is left for 1.2.
    versions.retain(|v| cipher_suites.iter().any(|s| s.version() == *v));
    let crypto = Arc::new(CryptoProvider { cipher_suites, kx_groups, ..CryptoProvider::clone(provider()) });
    let builder =
        ServerConfig::builder_with_provider(crypto).with_protocol_versions(&versions).map_err(|e| TlsError::Option {
            key: "cipherSuites",
            value: options.cipher_suites.join(", "),
            expected: format!("name one for the versions allowed ({e})"),
        })?;
    let builder = match &options.client_auth {
        None => builder.with_no_client_auth(),
        Some(auth) => builder.with_client_cert_verifier(verifier(auth)?),
    };
    let resolver = Resolver { store, strict: options.sni_strict };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = options.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    // Sessions live in tickets or not at all: nothing is kept here per client.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(options.session_tickets);
    if options.session_tickets {
        config.ticketer = ticketer()?;
    }
    Ok(Arc::new(config))
}

/// The same configuration over other certificates: sessions go on. For a change of certificates alone; `options` are those that the
/// configuration was built from.
pub fn with_certificates(config: &ServerConfig, options: &ServerOptions, store: Arc<CertificateStore>) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(Resolver { store, strict: options.sni_strict });
    Arc::new(config)
}

fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>, TlsError> {
    #[cfg(not(madsim))]
    use rustls::crypto::aws_lc_rs::Ticketer;
    #[cfg(madsim)]
    use rustls::crypto::ring::Ticketer;
    Ticketer::new().map_err(TlsError::Handshake)
}

fn verifier(auth: &ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mandatory = matches!(auth.mode, ClientAuthMode::RequireAny | ClientAuthMode::RequireAndVerify);
    if matches!(auth.mode, ClientAuthMode::Request | ClientAuthMode::RequireAny) {
        return Ok(Arc::new(AnyCertificate { mandatory }));
    }
    if auth.cas.is_empty() {
        let expected = "name the CA's certificate, or choose a mode that does not verify".to_owned();
        return Err(TlsError::Option { key: "clientAuth.caFiles", value: String::new(), expected });
    }
    let roots = read_roots(&auth.cas)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider().clone());
    if !mandatory {
        builder = builder.allow_unauthenticated();
    }
    let origin = || auth.cas.iter().map(|ca| ca.origin.as_str()).collect::<Vec<_>>().join(", ");
    builder.build().map_err(|e| TlsError::material(&origin(), e.to_string(), "give the CA's certificate"))
}

/// Takes any certificate whose key the client has. Who the client is remains for others to say.
#[derive(Debug)]
struct AnyCertificate {
    mandatory: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
