//! One certificate with its key: read from PEM, checked once, never changed.

use super::{TlsError, provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureAlgorithm, SignatureScheme};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Bytes of one PEM file at most. A chain has a few thousand.
pub const MAX_PEM: usize = 1024 * 1024;

/// PEM text and where it came from, for messages. Its contents are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    pub origin: String,
    pub bytes: Vec<u8>,
}

impl Pem {
    /// Text of this origin.
    pub fn new(origin: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { origin: origin.into(), bytes: bytes.into() }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({}, {} bytes)", self.origin, self.bytes.len())
    }
}

/// The family of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA or Ed25519: small and fast.
    Elliptic,
    Rsa,
}

/// A chain that belongs to a key, and for how long and for which names it stands.
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    origin: String,
    names: Vec<String>,
    not_before: u64,
    not_after: u64,
    kind: KeyKind,
    serial: String,
}

impl Certificate {
    /// Reads a chain (leaf first) and its key; both may stand in the same file.
    ///
    /// # Errors
    /// Anything that would make it useless: not PEM, too large, no certificate or key, an encrypted key, a key of another certificate,
    /// no name, or expired at `now`.
    pub fn from_pem(chain: &Pem, key: &Pem, now: UnixTime) -> Result<Self, TlsError> {
        let origin = &chain.origin;
        let chain = read_certificates(chain)?;
        let signer = read_key(key)?;
        let facts = Facts::read(&chain[0], origin)?;
        if facts.not_after < now.as_secs() {
            let ago = (now.as_secs() - facts.not_after) / 86_400;
            return Err(TlsError::material(origin, format!("the certificate expired {ago} days ago"), "renew it"));
        }
        if facts.names.is_empty() {
            let problem = "the certificate has no subject alternative name, and no common name either";
            return Err(TlsError::material(origin, problem, "have it issued with its DNS names"));
        }
        let kind = match signer.algorithm() {
            SignatureAlgorithm::RSA => KeyKind::Rsa,
            _ => KeyKind::Elliptic,
        };
        let pair = CertifiedKey::new(chain, signer);
        if pair.keys_match().is_err() {
            let problem = format!("the first certificate does not belong to the key in {}", key.origin);
            return Err(TlsError::material(origin, problem, "put the server's own certificate first, and name its key"));
        }
        let Facts { names, not_before, not_after, serial } = facts;
        Ok(Self { key: Arc::new(pair), origin: origin.clone(), names, not_before, not_after, kind, serial })
    }

    /// Where it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// DNS names (lower case, perhaps with `*.` in front) and addresses.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Seconds since 1970 from which it is valid.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Seconds since 1970 until which it is valid.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Whether `now` lies in its time.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&now.as_secs())
    }

    /// The family of its key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The serial number in hexadecimal.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether a client that takes these signatures can use it.
    pub(super) fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("origin", &self.origin).field("names", &self.names).finish_non_exhaustive()
    }
}

struct Facts {
    names: Vec<String>,
    not_before: u64,
    not_after: u64,
    serial: String,
}

impl Facts {
    fn read(der: &CertificateDer<'_>, origin: &str) -> Result<Self, TlsError> {
        let malformed = || TlsError::material(origin, "the certificate cannot be read", "give an X.509 certificate in PEM form");
        let (_, cert) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        let mut names = Vec::new();
        if let Some(alternatives) = cert.subject_alternative_name().map_err(|_| malformed())? {
            names.extend(alternatives.value.general_names.iter().filter_map(name));
        } else {
            // As `openssl req -x509 -subj` makes them. Clients that verify refuse it; who does not gets the one meant for the name.
            let common = cert.subject().iter_common_name().filter_map(|name| name.as_str().ok());
            names.extend(common.map(str::trim).filter(|name| !name.is_empty()).map(str::to_ascii_lowercase));
        }
        let seconds = |t: i64| u64::try_from(t).unwrap_or(0);
        Ok(Self {
            names,
            not_before: seconds(cert.validity().not_before.timestamp()),
            not_after: seconds(cert.validity().not_after.timestamp()),
            serial: cert.raw_serial_as_string().replace(':', ""),
        })
    }
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a certificate carries this URI among its alternative names.
pub(super) fn has_uri(der: &CertificateDer<'_>, uri: &str) -> bool {
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(alternatives)) = cert.subject_alternative_name() else { return false };
    alternatives.value.general_names.iter().any(|n| matches!(n, GeneralName::URI(u) if *u == uri))
}

/// Every certificate of a PEM text; at least one.
pub(super) fn read_certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    check_size(pem)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem.bytes).collect();
    let remedy = "give a PEM file with -----BEGIN CERTIFICATE-----";
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(TlsError::material(&pem.origin, "there is no certificate in it", remedy)),
        Err(e) => Err(TlsError::material(&pem.origin, format!("it is not well-formed PEM: {e}"), remedy)),
    }
}

/// The certificates of several texts as trust anchors.
pub(super) fn read_roots(cas: &[Pem]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        for certificate in read_certificates(ca)? {
            roots.add(certificate).map_err(|e| {
                TlsError::material(
                    &ca.origin,
                    format!("a certificate in it cannot be a trust anchor: {e}"),
                    "give the CA's certificate",
                )
            })?;
        }
    }
    Ok(roots)
}

/// The first key of a PEM text, ready to sign.
pub(super) fn read_key(pem: &Pem) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
    check_size(pem)?;
    if holds(&pem.bytes, b"BEGIN ENCRYPTED PRIVATE KEY") || holds(&pem.bytes, b"Proc-Type: 4,ENCRYPTED") {
        let remedy = "decrypt it (openssl pkey -in KEY -out PLAIN) and protect the file by its permissions";
        return Err(TlsError::material(&pem.origin, "the private key is encrypted", remedy));
    }
    let remedy = "give an unencrypted PKCS#8, PKCS#1 or SEC1 key in PEM form";
    let der = match PrivateKeyDer::from_pem_slice(&pem.bytes) {
        Ok(der) => der,
        Err(pem::Error::NoItemsFound) => return Err(TlsError::material(&pem.origin, "there is no private key in it", remedy)),
        Err(e) => return Err(TlsError::material(&pem.origin, format!("it is not well-formed PEM: {e}"), remedy)),
    };
    let unusable = |e: rustls::Error| TlsError::material(&pem.origin, format!("the private key cannot be used: {e}"), remedy);
    provider().key_provider.load_private_key(der).map_err(unusable)
}

fn check_size(pem: &Pem) -> Result<(), TlsError> {
    match pem.bytes.len() {
        0 => Err(TlsError::material(&pem.origin, "it is empty", "give a PEM file")),
        n if n > MAX_PEM => {
            let problem = format!("it has {n} bytes, more than {MAX_PEM}");
            Err(TlsError::material(&pem.origin, problem, "give a file with one chain or bundle"))
        }
        _ => Ok(()),
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
