//! TLS options, certificates, and the default certificate.

use super::{Built, INTERNAL, Notes, Settled, built, candidates, settle, source_of};
use crate::{
    Name,
    config::{
        Config, RawDynamic, Rejection, Severity,
        decode::{quote, remedy_for_name},
        dynamic::{Certificate, ClientAuth, Tls, TlsOptions},
        raw,
    },
};
use std::collections::BTreeMap;

/// The one name of TLS options that belongs to no provider.
pub(super) const DEFAULT: &str = "default";

const VERSIONS: [&str; 4] = ["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];

/// What is offered.
const SUITES: [&str; 9] = [
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

/// What Traefik offers and Fairlead does not, for want of forward secrecy or of authenticated encryption.
const LEGACY_SUITES: [&str; 13] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// Traefik's spellings, and whether the curve is offered.
const CURVES: [(&[&str], bool); 7] = [
    (&["X25519"], true),
    (&["CurveP256", "secp256r1"], true),
    (&["CurveP384", "secp384r1"], true),
    (&["CurveP521", "secp521r1"], false),
    (&["X25519MLKEM768"], true),
    (&["SecP256r1MLKEM768"], true),
    (&["SecP384r1MLKEM1024"], false),
];

const CLIENT_AUTH: [&str; 5] =
    ["NoClientCert", "RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"];

impl Settled for TlsOptions {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

pub(super) fn resolve(inputs: &BTreeMap<String, RawDynamic>, last: &Config, rejections: &mut Vec<Rejection>) -> Tls {
    // There are few of them.
    let memo = Built::default();
    let (mut options, _) =
        candidates(inputs, |raw| &raw.tls_options, &last.tls.options, &memo, |raw, _, _, notes| options(raw, notes));
    let default = Name::whole(DEFAULT);
    let declared: Vec<Name> = options.keys().filter(|name| name.local() == DEFAULT).cloned().collect();
    let mut declared: Vec<_> = declared.into_iter().filter_map(|name| options.remove(&name)).collect();
    if declared.len() > 1 {
        for candidate in &mut declared {
            candidate.demote_if(|_| {
                let message = "`default` is declared by more than one provider, so none of them counts";
                vec![super::Fault {
                    path: Vec::new(),
                    message: message.to_owned(),
                    remedy: "keep one, and name the others".to_owned(),
                }]
            });
        }
    }
    // `default` stands in `last` under its own name; all that declare it fall back to that.
    let kept = last.tls.options.get(&default);
    for candidate in declared {
        let candidate = candidate.with_last(kept.cloned());
        match options.get_mut(&default) {
            Some(first) => first.join(candidate),
            None => {
                options.insert(default.clone(), candidate);
            }
        }
    }
    let options = settle(options, super::MAX_EXPANSION, |_| Vec::new(), |_, _| None, rejections);
    Tls {
        certificates: certificates(inputs, last, rejections),
        options,
        default_certificate: default_certificate(inputs, last, rejections),
    }
}

fn options(raw: &raw::TlsOptions, notes: &mut Notes<'_>) -> Option<TlsOptions> {
    let (min_version, max_version) = versions(raw.min_version.as_deref(), raw.max_version.as_deref(), notes);
    let mut curve_preferences = Vec::new();
    let mut unknown = false;
    for text in &raw.curve_preferences {
        match CURVES.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(text))) {
            Some((names, true)) => curve_preferences.push(names[0].to_owned()),
            Some((_, false)) => notes.warning(&["curvePreferences"], format!("{} is not offered", quote(text)), "remove it"),
            None => {
                unknown = true;
                let remedy = remedy_for_name(text, CURVES.iter().flat_map(|(names, _)| *names).copied());
                notes.error(&["curvePreferences"], format!("unknown curve {}", quote(text)), remedy);
            }
        }
    }
    if curve_preferences.is_empty() && !raw.curve_preferences.is_empty() && !unknown {
        notes.error(&["curvePreferences"], "none of the curves is offered", "add X25519");
    }
    if raw.alpn_protocols.iter().any(|name| name.is_empty() || name.len() > 255) {
        notes.error(&["alpnProtocols"], "expected names of 1 to 255 bytes", "write for instance h2, http/1.1");
    }
    let alpn =
        if raw.alpn_protocols.is_empty() { vec!["h2".to_owned(), "http/1.1".to_owned()] } else { raw.alpn_protocols.clone() };
    Some(TlsOptions {
        min_version,
        max_version,
        cipher_suites: cipher_suites(&raw.cipher_suites, notes),
        curve_preferences,
        alpn_protocols: alpn,
        sni_strict: raw.sni_strict,
        client_auth: raw.client_auth.as_ref().and_then(|auth| client_auth(auth, notes)),
        disable_session_tickets: raw.disable_session_tickets,
    })
}

fn client_auth(raw: &raw::ClientAuth, notes: &mut Notes<'_>) -> Option<ClientAuth> {
    let given = raw.client_auth_type.as_deref().filter(|mode| !mode.is_empty());
    let mode = given.unwrap_or(if raw.ca_files.is_empty() { "NoClientCert" } else { "RequireAndVerifyClientCert" });
    let path = ["clientAuth", "clientAuthType"];
    if !CLIENT_AUTH.contains(&mode) {
        // Without a valid mode anyone might get in.
        notes.error(&path, format!("unknown mode {}", quote(mode)), remedy_for_name(mode, CLIENT_AUTH));
    } else if mode.contains("erify") && raw.ca_files.is_empty() {
        notes.error(&["clientAuth", "caFiles"], format!("{mode} needs authorities to verify with"), "name them in `caFiles`");
    }
    Some(ClientAuth { ca_files: raw.ca_files.clone(), mode: mode.to_owned() })
}

/// `minVersion` and `maxVersion`. Nothing below TLS 1.2 is spoken.
pub(super) fn versions(min: Option<&str>, max: Option<&str>, notes: &mut Notes<'_>) -> (Option<String>, Option<String>) {
    let mut index = |key: &str, text: Option<&str>| -> Option<usize> {
        let text = text.filter(|text| !text.is_empty())?;
        let index = VERSIONS.iter().position(|version| version.eq_ignore_ascii_case(text));
        if index.is_none() {
            notes.error(&[key], format!("unknown version {}", quote(text)), remedy_for_name(text, VERSIONS));
        }
        index
    };
    let (low, high) = (index("minVersion", min), index("maxVersion", max));
    if low.is_some_and(|low| low < 2) {
        notes.warning(&["minVersion"], "TLS 1.0 and 1.1 are not spoken; TLS 1.2 is the least", "write VersionTLS12");
    }
    if high.is_some_and(|high| high < 2) {
        notes.error(&["maxVersion"], "TLS 1.0 and 1.1 are not spoken", "write VersionTLS12 or VersionTLS13");
    } else if let (Some(low), Some(high)) = (low, high)
        && low > high
    {
        notes.error(&["maxVersion"], "lies below `minVersion`", "exchange the two, or remove one");
    }
    let name = |index: usize| VERSIONS[index.max(2)].to_owned();
    (low.map(name), high.map(name))
}

/// Those that are offered; of those that are not, one must know.
pub(super) fn cipher_suites(texts: &[String], notes: &mut Notes<'_>) -> Vec<String> {
    let mut suites = Vec::new();
    let mut unknown = false;
    for text in texts {
        // Go's older names of two suites lack the hash.
        let found = SUITES.iter().find(|suite| suite.eq_ignore_ascii_case(text) || suite.strip_suffix("_SHA256") == Some(text));
        if let Some(suite) = found {
            suites.push((*suite).to_owned());
        } else if LEGACY_SUITES.iter().any(|suite| suite.eq_ignore_ascii_case(text)) {
            notes.warning(&["cipherSuites"], format!("{} is not offered, for it is not safe", quote(text)), "remove it");
        } else {
            unknown = true;
            let remedy = remedy_for_name(text, SUITES.iter().copied());
            notes.error(&["cipherSuites"], format!("unknown cipher suite {}", quote(text)), remedy);
        }
    }
    if suites.is_empty() && !texts.is_empty() && !unknown {
        notes.error(
            &["cipherSuites"],
            "none of the suites is offered",
            "add TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or its neighbours",
        );
    }
    suites
}

fn pair(raw: &raw::Certificate, notes: &mut Notes<'_>, base: &[&str]) -> Option<Certificate> {
    let mut text = |value: &Option<String>, key: &str| {
        let value = value.clone().filter(|value| !value.trim().is_empty());
        if value.is_none() {
            notes.error(
                &[base, &[key]].concat(),
                "a certificate and its key go together",
                "give `certFile` and `keyFile`, paths or PEM text",
            );
        }
        value
    };
    let (cert, key) = (text(&raw.cert_file, "certFile"), text(&raw.key_file, "keyFile"));
    Some(Certificate { cert: cert?, key: key?, source: source_of(notes.tree) })
}

fn certificates(inputs: &BTreeMap<String, RawDynamic>, last: &Config, rejections: &mut Vec<Rejection>) -> Vec<Certificate> {
    let mut certificates = Vec::new();
    for (_, raw) in inputs.iter().filter(|(provider, _)| *provider != INTERNAL) {
        for unit in &raw.certificates {
            let (certificate, mut found) = built(unit, |raw, notes| {
                let other = !raw.stores.is_empty() && raw.stores.iter().all(|store| store != DEFAULT);
                if other {
                    notes.warning(&["stores"], "only the store `default` is used, so this certificate is not", "remove `stores`");
                }
                pair(raw, notes, &[]).map(|certificate| (certificate, other))
            });
            match certificate {
                Some((certificate, other)) => certificates.extend((!other).then_some(certificate)),
                None => {
                    let source = source_of(&unit.written.tree());
                    if let Some(kept) = last.tls.certificates.iter().find(|certificate| certificate.source == source) {
                        for rejection in &mut found {
                            rejection.message.push_str("; the last good version is still served");
                        }
                        certificates.push(kept.clone());
                    }
                }
            }
            rejections.append(&mut found);
        }
    }
    certificates
}

fn default_certificate(
    inputs: &BTreeMap<String, RawDynamic>,
    last: &Config,
    rejections: &mut Vec<Rejection>,
) -> Option<Certificate> {
    let mut found = Vec::new();
    let mut bad = false;
    for (provider, raw) in inputs.iter().filter(|(provider, _)| *provider != INTERNAL) {
        for (name, unit) in &raw.tls_stores {
            let (certificate, mut notes) = built(unit, |raw, notes| {
                raw.default_certificate
                    .as_ref()
                    .map(|certificate| pair(certificate, notes, &["defaultCertificate"]))
                    .unwrap_or_default()
            });
            let failed = notes.iter().any(|note| note.severity == Severity::Error);
            rejections.append(&mut notes);
            if name != DEFAULT {
                let message = "only the store `default` is used";
                rejections.push(unit.written.tree().reject(
                    Severity::Warning,
                    message,
                    "declare the certificate in `tls.stores.default`",
                ));
                continue;
            }
            bad |= failed;
            found.extend(certificate.map(|certificate| (provider, unit, certificate)));
        }
    }
    if found.len() > 1 {
        for (_, unit, _) in &found {
            let message = "the store `default` is declared by more than one provider, so none of them counts";
            rejections.push(unit.written.tree().reject(Severity::Error, message, "keep one of them"));
        }
        return last.tls.default_certificate.clone();
    }
    match found.pop() {
        Some((_, _, certificate)) => Some(certificate),
        None if bad => last.tls.default_certificate.clone(),
        None => None,
    }
}

/// The options a router names: `default` is nobody's.
pub(super) fn options_name(reference: Option<&str>, provider: &str) -> Name {
    match reference {
        None | Some("" | DEFAULT) => Name::whole(DEFAULT),
        Some(reference) => Name::qualify(reference, provider),
    }
}
