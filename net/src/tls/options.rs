//! The names that operators use for versions, cipher suites and curves, and what stands behind them in this build.
//!
//! Names are Traefik's, which are Go's. Some are known there and not offered here because they are weak or rare: they are passed over
//! as long as something remains ([`unsupported`] tells which), so that a configuration written for Traefik still works.

use super::{TlsError, provider};
use rustls::crypto::SupportedKxGroup;
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion, version};

/// Names of versions, lowest first. The first two stand for TLS 1.2 as a lower limit: nothing older is spoken.
pub const VERSIONS: [&str; 4] = ["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];

/// Names of the cipher suites that are offered.
pub const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Names of the key exchange groups that are offered.
pub const CURVES: [&str; 5] = ["X25519", "CurveP256", "CurveP384", "X25519MLKEM768", "SecP256r1MLKEM768"];

/// Known to Traefik, and left out here.
const OTHER_SUITES: [&str; 15] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
];
const OTHER_CURVES: [&str; 4] = ["CurveP521", "secp521r1", "SecP384r1MLKEM1024", "secp384r1mlkem1024"];

/// Which of these names are understood and passed over.
pub fn unsupported<'a>(suites: &'a [String], curves: &'a [String]) -> Vec<&'a str> {
    let suites = suites.iter().map(String::as_str).filter(|s| suite(s).is_none() && other_suite(s));
    let curves = curves.iter().map(String::as_str).filter(|c| offered(group(c)).is_none() && known_curve(c));
    suites.chain(curves).collect()
}

/// The versions from `min` to `max`.
pub(super) fn versions(min: Option<&str>, max: Option<&str>) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let place = |key, name: Option<&str>, default| match name.filter(|n| !n.is_empty()) {
        None => Ok(default),
        Some(name) => VERSIONS.iter().position(|v| *v == name).ok_or_else(|| unknown(key, name, &VERSIONS)),
    };
    let (low, high) = (place("minVersion", min, 2)?.max(2), place("maxVersion", max, 3)?);
    if low > high {
        let expected =
            if high < 2 { "TLS 1.2 and 1.3 are spoken".to_owned() } else { format!("minVersion is {}", VERSIONS[low]) };
        return Err(TlsError::Option { key: "maxVersion", value: VERSIONS[high].to_owned(), expected });
    }
    Ok([&version::TLS13, &version::TLS12][3 - high..=3 - low].to_vec())
}

/// Narrows a list of suites to those named. As in Go, that concerns TLS 1.2 only: 1.3 keeps its own, all of them good.
pub(super) fn suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let all = &provider().cipher_suites;
    if names.is_empty() {
        return Ok(all.clone());
    }
    if let Some(bad) = names.iter().find(|n| suite(n).is_none() && !other_suite(n)) {
        return Err(unknown("cipherSuites", bad, &CIPHER_SUITES));
    }
    let named: Vec<CipherSuite> = names.iter().filter_map(|n| suite(n)).collect();
    if named.is_empty() {
        let expected = format!("name at least one of {}", CIPHER_SUITES.join(", "));
        return Err(TlsError::Option { key: "cipherSuites", value: names.join(", "), expected });
    }
    Ok(all.iter().filter(|s| s.tls13().is_some() || named.contains(&s.suite())).copied().collect())
}

/// The groups named, in their order; all of them for an empty list.
pub(super) fn groups(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, TlsError> {
    if names.is_empty() {
        return Ok(provider().kx_groups.clone());
    }
    if let Some(bad) = names.iter().find(|n| !known_curve(n)) {
        return Err(unknown("curvePreferences", bad, &CURVES));
    }
    let groups: Vec<_> = names.iter().filter_map(|n| offered(group(n))).collect();
    if groups.is_empty() {
        let expected = format!("name at least one of {}", CURVES.join(", "));
        return Err(TlsError::Option { key: "curvePreferences", value: names.join(", "), expected });
    }
    Ok(groups)
}

fn unknown(key: &'static str, value: &str, accepted: &[&str]) -> TlsError {
    TlsError::Option { key, value: value.to_owned(), expected: format!("accepted are {}", accepted.join(", ")) }
}

fn suite(name: &str) -> Option<CipherSuite> {
    Some(match name {
        "TLS_AES_128_GCM_SHA256" => CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_256_GCM_SHA384" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_CHACHA20_POLY1305_SHA256" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => {
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        _ => return None,
    })
}

fn other_suite(name: &str) -> bool {
    OTHER_SUITES.contains(&name)
}

fn group(name: &str) -> Option<NamedGroup> {
    Some(match name {
        "X25519" | "x25519" => NamedGroup::X25519,
        "CurveP256" | "secp256r1" => NamedGroup::secp256r1,
        "CurveP384" | "secp384r1" => NamedGroup::secp384r1,
        "X25519MLKEM768" | "x25519mlkem768" => NamedGroup::X25519MLKEM768,
        "SecP256r1MLKEM768" | "secp256r1mlkem768" => NamedGroup::secp256r1MLKEM768,
        _ => return None,
    })
}

fn known_curve(name: &str) -> bool {
    group(name).is_some() || OTHER_CURVES.contains(&name)
}

fn offered(group: Option<NamedGroup>) -> Option<&'static dyn SupportedKxGroup> {
    #[cfg(not(madsim))]
    use rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
    #[cfg(madsim)]
    use rustls::crypto::ring::ALL_KX_GROUPS;
    ALL_KX_GROUPS.iter().copied().find(|g| Some(g.name()) == group)
}
