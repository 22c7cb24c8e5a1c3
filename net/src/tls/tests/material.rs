//! Certificates, keys and names that an operator may give.

use super::*;
use proptest::prelude::*;
use rustls::SignatureScheme;

const ELLIPTIC: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
const RSA_ONLY: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256];

fn refused(chain: &Pem, key: &Pem) -> String {
    Certificate::from_pem(chain, key, now()).unwrap_err().to_string()
}

/// Row 117: each is refused with its file and a remedy.
#[test]
fn material_that_cannot_serve_is_refused_by_name() {
    let ca = Authority::new("ca");
    let (chain, key) = ca.issue(&["a.test"]);
    let (_, other) = ca.issue(&["a.test"]);

    let message = refused(&chain, &other);
    assert!(message.starts_with("a.test.pem: ") && message.contains("key.pem") && message.contains("server's own"), "{message}");

    let (old, old_key) = ca.issue_with(&["a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |p| {
        p.not_after = date(now().as_secs() - 3 * 86_400).not_after;
    });
    let message = refused(&old, &old_key);
    assert!(message.contains("expired 3 days ago") && message.contains("renew"), "{message}");

    let (nameless, nameless_key) = ca.issue_with(&[], &rcgen::PKCS_ECDSA_P256_SHA256, |p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
    });
    assert!(refused(&nameless, &nameless_key).contains("no subject alternative name"));
    // What `openssl req -x509 -subj /CN=a.test` makes.
    let (common, common_key) = ca.issue_with(&[], &rcgen::PKCS_ECDSA_P256_SHA256, |p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(rcgen::DnType::CommonName, "A.test");
    });
    assert_eq!(Certificate::from_pem(&common, &common_key, now()).unwrap().names(), ["a.test"]);

    let sealed = Pem::new("sealed.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let message = refused(&chain, &sealed);
    assert!(message.starts_with("sealed.pem: ") && message.contains("encrypted") && message.contains("openssl"), "{message}");

    let empty = Pem::new("empty.pem", "");
    assert!(refused(&empty, &key).starts_with("empty.pem: it is empty"));
    assert!(refused(&chain, &empty).starts_with("empty.pem: it is empty"));
    let huge = Pem::new("huge.pem", vec![b'x'; MAX_PEM + 1]);
    assert!(refused(&huge, &key).starts_with("huge.pem: it has 1048577 bytes"));
    assert!(refused(&key, &key).contains("no certificate in it"));
    assert!(refused(&chain, &chain).contains("no private key in it"));
    let cut = Pem::new("cut.pem", chain.bytes[..chain.bytes.len() / 2].to_vec());
    assert!(refused(&cut, &key).starts_with("cut.pem: "));
    let lie = Pem::new("lie.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(refused(&lie, &key).contains("cannot be read"));

    assert!(Certificate::from_pem(&chain, &key, now()).is_ok());
    assert!(!format!("{key:?}").contains("PRIVATE"), "a key is never printed");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(chain in any::<Vec<u8>>(), body in "[A-Za-z0-9+/=\n]{0,200}") {
        let key = Pem::new("k", "");
        let _ = Certificate::from_pem(&Pem::new("c", chain), &key, now());
        let wrapped = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        prop_assert!(Certificate::from_pem(&Pem::new("c", wrapped), &key, now()).is_err());
    }
}

#[test]
fn names_go_before_wildcards_and_wildcards_before_the_default() {
    let ca = Authority::new("ca");
    let exact = ca.certificate(&["www.a.test", "10.0.0.1"]);
    let wild = ca.certificate(&["*.a.test", "A.test."]);
    let default = ca.certificate(&["default.test"]);
    let store = store(&[wild, exact], Some(&default));
    let chosen = |name| store.choose(name, ELLIPTIC, false, now()).unwrap().names()[0].clone();
    assert_eq!(chosen(Some("www.a.test")), "www.a.test");
    assert_eq!(chosen(Some("10.0.0.1")), "www.a.test");
    assert_eq!(chosen(Some("api.a.test")), "*.a.test");
    assert_eq!(chosen(Some("a.test")), "*.a.test", "its other name, in lower case and without the dot");
    for other in [Some("x.api.a.test"), Some("test"), Some("b.test"), Some(".a.test."), Some(""), None] {
        assert_eq!(chosen(other), "default.test", "{other:?}");
        assert!(store.choose(other, ELLIPTIC, true, now()).is_none(), "{other:?} under sniStrict");
    }
    assert!(store.covers("x.a.test") && !store.covers("default.test"));
}

#[test]
fn the_best_certificate_for_the_client_is_chosen() {
    let ca = Authority::new("ca");
    let rsa = ca.issue_with(&["a.test"], &rcgen::PKCS_RSA_SHA256, |_| ());
    let rsa = Arc::new(Certificate::from_pem(&rsa.0, &rsa.1, now()).unwrap());
    let elliptic = ca.certificate(&["a.test"]);
    // Accepted while it was valid, kept since.
    let (old, old_key) = ca.issue_with(&["a.test"], &rcgen::PKCS_ED25519, |p| p.not_after = date(now().as_secs() - 10).not_after);
    let earlier = UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs() - YEAR));
    let expired = Arc::new(Certificate::from_pem(&old, &old_key, earlier).unwrap());
    assert_eq!((rsa.kind(), elliptic.kind(), expired.kind()), (KeyKind::Rsa, KeyKind::Elliptic, KeyKind::Elliptic));

    let all = store(&[expired.clone(), rsa.clone(), elliptic.clone()], None);
    let all_schemes: Vec<_> = [ELLIPTIC, &[SignatureScheme::ED25519]].concat();
    assert!(Arc::ptr_eq(all.choose(Some("a.test"), &all_schemes, false, now()).unwrap(), &elliptic));
    assert!(Arc::ptr_eq(all.choose(Some("a.test"), RSA_ONLY, false, now()).unwrap(), &rsa));
    let kept = store(std::slice::from_ref(&expired), None);
    assert!(Arc::ptr_eq(kept.choose(Some("a.test"), &all_schemes, false, now()).unwrap(), &expired), "better than none");
}

#[test]
fn one_that_has_run_out_gives_way_to_one_that_is_valid() {
    let ca = Authority::new("ca");
    let until = |names: &[&str], from: u64, until: u64| {
        let (chain, key) = ca.issue_with(names, &rcgen::PKCS_ED25519, |p| {
            (p.not_before, p.not_after) = (date(from).not_after, date(until).not_after);
        });
        Arc::new(Certificate::from_pem(&chain, &key, now()).unwrap())
    };
    let at = |later: u64| UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs() + later));
    let start = now().as_secs();
    let first = until(&["a.test"], start - YEAR, start + 100);
    let next = until(&["a.test"], start + 90, start + 300);
    let wildcard = until(&["*.test"], start - YEAR, start + 400);
    let all = store(&[first.clone(), next.clone(), wildcard.clone()], None);
    let chosen = |later| all.choose(Some("a.test"), &[SignatureScheme::ED25519], false, at(later)).unwrap();
    for (later, wanted) in [(0, &first), (100, &first), (101, &next), (300, &next), (301, &wildcard), (400, &wildcard)] {
        assert!(Arc::ptr_eq(chosen(later), wanted), "{later} s later");
    }
    assert!(Arc::ptr_eq(chosen(401), &first), "all have run out: its own is better than none");
}

#[test]
fn unknown_names_are_refused_with_those_that_are_known() {
    let build = |options: ServerOptions| server_config(&options, store(&[], None)).map(drop).map_err(|e| e.to_string());
    let base = ServerOptions::default;
    let text = |s: &str| Some(s.to_owned());
    let list = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();

    let message = build(ServerOptions { min_version: text("TLS13"), ..base() }).unwrap_err();
    assert_eq!(
        message,
        r#"minVersion: "TLS13" is not usable; accepted are VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13"#
    );
    let message = build(ServerOptions { cipher_suites: list(&["TLS_FOO"]), ..base() }).unwrap_err();
    assert!(message.contains("TLS_FOO") && message.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{message}");
    let message = build(ServerOptions { curve_preferences: list(&["X25519", "P256"]), ..base() }).unwrap_err();
    assert!(message.contains("\"P256\"") && message.contains("CurveP256"), "{message}");
    let inverted = ServerOptions { min_version: text("VersionTLS13"), max_version: text("VersionTLS12"), ..base() };
    assert!(build(inverted).unwrap_err().contains("minVersion is VersionTLS13"));
    assert!(build(ServerOptions { max_version: text("VersionTLS11"), ..base() }).is_err());
    assert!(
        build(ServerOptions { cipher_suites: list(&["TLS_RSA_WITH_RC4_128_SHA"]), ..base() }).is_err(),
        "nothing would remain"
    );
    let none_left =
        ServerOptions { cipher_suites: list(&["TLS_AES_128_GCM_SHA256"]), max_version: text("VersionTLS12"), ..base() };
    assert!(build(none_left).is_err());

    for (name, _) in CIPHER_SUITES.iter().zip(0..) {
        assert_eq!(build(ServerOptions { cipher_suites: list(&[name]), ..base() }), Ok(()), "{name}");
    }
    for name in CURVES {
        assert_eq!(build(ServerOptions { curve_preferences: list(&[name]), ..base() }), Ok(()), "{name}");
    }
    let (suites, curves) = (list(&["TLS_RSA_WITH_AES_128_CBC_SHA", CIPHER_SUITES[3]]), list(&["CurveP521", "CurveP256"]));
    assert_eq!(unsupported(&suites, &curves), ["TLS_RSA_WITH_AES_128_CBC_SHA", "CurveP521"]);
    assert_eq!(build(ServerOptions { cipher_suites: suites, curve_preferences: curves, ..base() }), Ok(()));
}

/// Row 69: a client CA that is missing or cannot be read fails closed.
#[test]
fn a_client_ca_that_cannot_be_read_is_an_error() {
    let build = |cas: Vec<Pem>, mode| {
        let options = ServerOptions { client_auth: Some(ClientAuth { cas, mode }), ..ServerOptions::default() };
        server_config(&options, store(&[], None)).map(drop).map_err(|e| e.to_string())
    };
    for mode in [ClientAuthMode::RequireAndVerify, ClientAuthMode::VerifyIfGiven] {
        assert!(build(vec![], mode).unwrap_err().contains("clientAuth.caFiles"));
        assert!(build(vec![Pem::new("ca.pem", "")], mode).unwrap_err().starts_with("ca.pem: "));
        assert!(build(vec![Pem::new("ca.pem", "no")], mode).unwrap_err().starts_with("ca.pem: "));
        let good_and_bad = vec![Authority::new("ca").pem, Pem::new("bad.pem", "no")];
        assert!(build(good_and_bad, mode).unwrap_err().starts_with("bad.pem: "));
        assert_eq!(build(vec![Authority::new("ca").pem], mode), Ok(()));
    }
}

#[test]
fn the_generated_default_can_be_served() {
    let certificate = self_signed_default(now()).unwrap();
    assert!(certificate.is_valid(now()));
    assert_eq!(certificate.names(), ["fairlead.default"]);
    assert_ne!(certificate.serial(), self_signed_default(now()).unwrap().serial());
}
