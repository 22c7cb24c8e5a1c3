//! A certificate for when the operator gave none, so that a first look with a browser works. Nobody should trust it.
//!
//! Its key is not seeded in the simulator either; there it is of a kind whose certificates all have one length.

use super::{Certificate, Pem, TlsError};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::UnixTime;
use std::time::Duration;

/// Makes a certificate that signs itself, valid for a year from `now`. A new one at every call.
///
/// # Errors
/// The system has no randomness.
pub fn self_signed_default(now: UnixTime) -> Result<Certificate, TlsError> {
    let origin = "the generated default certificate";
    let failed = |e: rcgen::Error| TlsError::material(origin, e.to_string(), "configure a default certificate");
    let mut params = CertificateParams::new(vec!["fairlead.default".to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "FAIRLEAD DEFAULT CERT");
    let start = std::time::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    params.not_before = (start - Duration::from_secs(3600)).into();
    params.not_after = (start + Duration::from_secs(365 * 86_400)).into();
    let kind = if cfg!(madsim) { &rcgen::PKCS_ED25519 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
    if cfg!(madsim) {
        params.serial_number = Some(7u64.into());
    }
    let key = KeyPair::generate_for(kind).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Certificate::from_pem(&Pem::new(origin, certificate.pem()), &Pem::new(origin, key.serialize_pem()), now)
}
