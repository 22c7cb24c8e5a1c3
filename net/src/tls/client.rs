//! TLS towards servers.

use super::accept::version_name;
use super::certificate::{Pem, has_uri, read_certificates, read_key, read_roots};
use super::{TlsError, options, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// A stream to a server.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// How a server is reached and trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// The name to ask for and to find in the certificate, instead of the one connected to.
    pub server_name: Option<String>,
    /// Takes any certificate. The connection is then private from nobody who can stand between.
    pub insecure_skip_verify: bool,
    /// Trust anchors; those of the platform when empty.
    pub root_cas: Vec<Pem>,
    /// A URI that the server's certificate must carry as well.
    pub peer_cert_uri: Option<String>,
    /// Certificate and key to show.
    pub client_cert: Option<(Pem, Pem)>,
    /// Protocols in order of preference.
    pub alpn: Vec<String>,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
    /// For TLS 1.2; all that are offered when empty.
    pub cipher_suites: Vec<String>,
}

/// Options that were understood.
#[derive(Debug)]
pub struct ClientConfig {
    tls: Arc<rustls::ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// A finished handshake.
pub struct Connected<S> {
    pub stream: ClientStream<S>,
    /// The protocol both agreed on.
    pub alpn: Option<Vec<u8>>,
    /// As in access logs: `1.2` or `1.3`.
    pub version: &'static str,
}

/// Builds a configuration.
///
/// # Errors
/// A name that is not known; a CA, certificate or key that cannot be read. There is no falling back to weaker trust.
pub fn client_config(options: &ClientOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let cipher_suites = options::suites(&options.cipher_suites)?;
    let versions = options::versions(options.min_version.as_deref(), options.max_version.as_deref())?;
    let crypto = Arc::new(CryptoProvider { cipher_suites, ..CryptoProvider::clone(provider()) });
    let builder = rustls::ClientConfig::builder_with_provider(crypto).with_protocol_versions(&versions).map_err(|e| {
        let expected = format!("name one for the versions allowed ({e})");
        TlsError::Option { key: "cipherSuites", value: options.cipher_suites.join(", "), expected }
    })?;
    let verifier = Verifier { chain: chain_verifier(options)?, uri: options.peer_cert_uri.clone() };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut tls = match &options.client_cert {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let pair = CertifiedKey::new(read_certificates(chain)?, read_key(key)?);
            if pair.keys_match().is_err() {
                let problem = format!("the first certificate does not belong to the key in {}", key.origin);
                return Err(TlsError::material(
                    &chain.origin,
                    problem,
                    "put the client's own certificate first, and name its key",
                ));
            }
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
    };
    tls.alpn_protocols = options.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    let server_name = options.server_name.as_deref().filter(|n| !n.is_empty()).map(parse_name).transpose()?;
    Ok(Arc::new(ClientConfig { tls: Arc::new(tls), server_name }))
}

/// Performs a handshake with the server of this name or address. The caller bounds the time.
///
/// # Errors
/// The name is none, the server is not trusted, the peers did not agree, or the transport failed.
pub async fn connect<S>(io: S, config: &ClientConfig, name: &str) -> Result<Connected<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = match &config.server_name {
        Some(name) => name.clone(),
        None => parse_name(name)?,
    };
    let stream = TlsConnector::from(config.tls.clone()).connect(name, io).await.map_err(TlsError::from_io)?;
    let session = stream.get_ref().1;
    let (alpn, version) = (session.alpn_protocol().map(<[u8]>::to_vec), version_name(session.protocol_version()));
    Ok(Connected { stream, alpn, version })
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

/// `None`: the chain is not verified, because the operator said so.
fn chain_verifier(options: &ClientOptions) -> Result<Option<Arc<WebPkiServerVerifier>>, TlsError> {
    // Read even where it is not used: a CA that cannot be read is a mistake either way.
    let own = read_roots(&options.root_cas)?;
    if options.insecure_skip_verify {
        return Ok(None);
    }
    let roots = if options.root_cas.is_empty() { platform_roots().clone() } else { Arc::new(own) };
    let origin = || options.root_cas.iter().map(|ca| ca.origin.as_str()).collect::<Vec<_>>().join(", ");
    WebPkiServerVerifier::builder_with_provider(roots, provider().clone())
        .build()
        .map(Some)
        .map_err(|e| TlsError::material(&origin(), e.to_string(), "give the CA's certificate"))
}

/// The platform's trust anchors, or Mozilla's where the platform has none. Read once.
fn platform_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        #[cfg(not(madsim))]
        {
            let native = rustls_native_certs::load_native_certs();
            for error in &native.errors {
                tracing::warn!(%error, "a trust anchor of this system cannot be read");
            }
            roots.add_parsable_certificates(native.certs);
        }
        #[cfg(madsim)]
        {
            use rustls::pki_types::pem::PemObject as _;
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(crate::sim::trusted()).filter_map(Result::ok));
        }
        if roots.is_empty() || cfg!(madsim) {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    })
}

/// Verifies the chain, unless told not to, and the URI, if one is asked for. Signatures are verified always.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    uri: Option<String>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        }
        match &self.uri {
            Some(uri) if !has_uri(end_entity, uri) => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
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
