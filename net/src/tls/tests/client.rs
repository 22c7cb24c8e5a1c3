//! Trust in servers.

use super::*;

/// Whether a client with these options takes a server that shows a certificate of `ca` for `names`.
async fn takes(ca: &Authority, names: &[&str], options: &ClientOptions, name: &str) -> bool {
    let certificate = ca.certificate(names);
    let config = server_config(&ServerOptions::default(), store(&[], Some(&certificate))).unwrap();
    handshake(config, &client_config(options).unwrap(), name).await.1.is_ok()
}

/// CVE-2025-66491 was the flag inverted.
#[tokio::test]
async fn verification_is_on_unless_it_is_off() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let trusting = trusting(&ca);
    let careless = ClientOptions { insecure_skip_verify: true, ..trusting.clone() };
    assert!(takes(&ca, &["a.test"], &trusting, "a.test").await);
    assert!(takes(&ca, &["10.0.0.1"], &trusting, "10.0.0.1").await);
    assert!(!takes(&ca, &["a.test"], &trusting, "b.test").await, "another name");
    assert!(!takes(&stranger, &["a.test"], &trusting, "a.test").await, "another CA");
    assert!(!takes(&ca, &["a.test"], &ClientOptions::default(), "a.test").await, "not known to the platform");
    assert!(takes(&ca, &["a.test"], &careless, "b.test").await);
    assert!(takes(&stranger, &["a.test"], &careless, "a.test").await);
}

#[tokio::test]
async fn the_name_asked_for_may_be_set() {
    let ca = Authority::new("ca");
    let options = ClientOptions { server_name: Some("a.test".to_owned()), ..trusting(&ca) };
    assert!(takes(&ca, &["a.test"], &options, "10.9.8.7").await);
    assert!(!takes(&ca, &["10.9.8.7"], &options, "10.9.8.7").await);
    let (near, _far) = tokio::io::duplex(1024);
    let error = connect(near, &client_config(&trusting(&ca)).unwrap(), "not a name").await.err().unwrap();
    assert!(matches!(error, TlsError::ServerName(_)));
    assert!(client_config(&ClientOptions { server_name: Some("not a name".to_owned()), ..trusting(&ca) }).is_err());
}

#[tokio::test]
async fn a_uri_can_be_asked_for_besides() {
    let ca = Authority::new("ca");
    let (chain, key) = ca.issue_with(&["a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |p| {
        p.subject_alt_names.push(uri("spiffe://a/web"));
    });
    let certificate = Arc::new(Certificate::from_pem(&chain, &key, now()).unwrap());
    let config = server_config(&ServerOptions::default(), store(&[certificate], None)).unwrap();
    for (asked, taken) in [("spiffe://a/web", true), ("spiffe://a/db", false)] {
        let options = ClientOptions { peer_cert_uri: Some(asked.to_owned()), ..trusting(&ca) };
        let (_, ours) = handshake(config.clone(), &client_config(&options).unwrap(), "a.test").await;
        assert_eq!(ours.is_ok(), taken, "{asked}");
    }
}

#[test]
fn material_that_cannot_be_read_is_no_reason_to_trust_more() {
    let ca = Authority::new("ca");
    let refused = |options: ClientOptions| client_config(&options).unwrap_err().to_string();
    for insecure_skip_verify in [false, true] {
        let bad =
            ClientOptions { root_cas: vec![ca.pem.clone(), Pem::new("x.pem", "?")], insecure_skip_verify, ..Default::default() };
        assert!(refused(bad).starts_with("x.pem: "));
    }
    let ((chain, _), (_, other)) = (ca.issue(&["c.test"]), ca.issue(&["c.test"]));
    let message = refused(ClientOptions { client_cert: Some((chain, other)), ..trusting(&ca) });
    assert!(message.contains("does not belong to the key"), "{message}");
}
