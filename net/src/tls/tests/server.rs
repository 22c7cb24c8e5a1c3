//! Termination: which certificate, which protocol, which session, and who is turned away.

use super::*;
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn text(s: &str) -> Option<String> {
    Some(s.to_owned())
}

fn list(s: &[&str]) -> Vec<String> {
    s.iter().map(|s| (*s).to_owned()).collect()
}

/// A server for `a.test` and a client's options that trust it.
fn simple(options: &ServerOptions) -> (Arc<ServerConfig>, ClientOptions) {
    let ca = Authority::new("ca");
    let config = server_config(options, store(&[ca.certificate(&["a.test"])], None)).unwrap();
    (config, trusting(&ca))
}

#[tokio::test]
async fn the_certificate_of_the_name_is_shown_and_bytes_flow() {
    let ca = Authority::new("ca");
    let store = store(&[ca.certificate(&["a.test"]), ca.certificate(&["*.b.test"])], None);
    let config = server_config(&ServerOptions::default(), store).unwrap();
    let client = client_config(&trusting(&ca)).unwrap();
    for name in ["a.test", "A.TEST", "x.b.test"] {
        let (server, client) = handshake(config.clone(), &client, name).await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        assert_eq!(server.server_name.as_deref(), Some(name.to_ascii_lowercase().as_str()));
        assert_eq!((server.version, server.cipher.as_str()), ("1.3", "TLS_AES_256_GCM_SHA384"));
        assert!(!server.client_cert_present && !server.resumed && server.client_chain().is_empty());
        client.stream.write_all(b"ping").await.unwrap();
        client.stream.flush().await.unwrap();
        let mut got = [0; 4];
        server.stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
    }
}

#[tokio::test]
async fn a_name_without_certificate_gets_the_alert_and_no_stand_in() {
    let ca = Authority::new("ca");
    let certificate = ca.certificate(&["a.test"]);
    let client = client_config(&trusting(&ca)).unwrap();
    let strict = ServerOptions { sni_strict: true, ..ServerOptions::default() };
    let cases = [
        ("sniStrict with a default", server_config(&strict, store(&[], Some(&certificate))).unwrap()),
        ("no default", server_config(&ServerOptions::default(), store(std::slice::from_ref(&certificate), None)).unwrap()),
        ("no certificate at all", server_config(&ServerOptions::default(), store(&[], None)).unwrap()),
    ];
    for (case, config) in cases {
        let (server, client) = handshake(config, &client, "b.test").await;
        assert!(matches!(server, Err(TlsError::UnknownName(Some(name))) if name == "b.test"), "{case}");
        assert_eq!(alert(&client.err().unwrap()), Some(AlertDescription::UnrecognisedName), "{case}");
    }

    let (near, far) = tokio::io::duplex(64 * 1024);
    let (server, client) = tokio::join!(accept(far, |_| None), connect(near, &client, "a.test"));
    assert!(matches!(server, Err(TlsError::UnknownName(_))));
    assert_eq!(alert(&client.err().unwrap()), Some(AlertDescription::UnrecognisedName));

    let lenient = server_config(&ServerOptions::default(), store(&[], Some(&certificate))).unwrap();
    let any = client_config(&ClientOptions { insecure_skip_verify: true, ..ClientOptions::default() }).unwrap();
    assert!(handshake(lenient, &any, "b.test").await.0.is_ok(), "the default answers when it may");
}

#[tokio::test]
async fn the_hello_is_seen_before_the_choice() {
    let (config, client) = simple(&ServerOptions::default());
    let client = client_config(&ClientOptions { alpn: list(&["acme-tls/1", "h2"]), ..client }).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let mut seen = None;
    let select = |hello: &Hello| {
        seen = Some(hello.clone());
        Some(config)
    };
    let (server, client) = tokio::join!(accept(far, select), connect(near, &client, "a.test."));
    assert_eq!(server.unwrap().alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(client.unwrap().alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(seen, Some(Hello { server_name: text("a.test"), alpn: vec![b"acme-tls/1".to_vec(), b"h2".to_vec()] }));
}

#[tokio::test]
async fn the_servers_order_decides_the_protocol() {
    let (config, base) = simple(&ServerOptions { alpn: list(&["h2", "http/1.1"]), ..ServerOptions::default() });
    let agreed = async |alpn: &[&str]| {
        let client = client_config(&ClientOptions { alpn: list(alpn), ..base.clone() }).unwrap();
        let (server, client) = handshake(config.clone(), &client, "a.test").await;
        server.map(|s| s.alpn).map_err(|_| alert(&client.err().unwrap()))
    };
    assert_eq!(agreed(&["http/1.1", "h2"]).await, Ok(Some(b"h2".to_vec())));
    assert_eq!(agreed(&["http/1.1"]).await, Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&[]).await, Ok(None));
    assert_eq!(agreed(&["spdy/3"]).await, Err(Some(AlertDescription::NoApplicationProtocol)));
}

#[tokio::test]
async fn versions_suites_and_curves_are_limits() {
    let try_with = async |server: ServerOptions, client: ClientOptions| {
        let (config, base) = simple(&server);
        let client = client_config(&ClientOptions { root_cas: base.root_cas, ..client }).unwrap();
        let (server, _) = handshake(config, &client, "a.test").await;
        server.map(|s| (s.version, s.cipher)).ok()
    };
    let (server, client) = (ServerOptions::default, ClientOptions::default);
    let old_client = || ClientOptions { max_version: text("VersionTLS12"), ..client() };
    let at_least_13 = || ServerOptions { min_version: text("VersionTLS13"), ..server() };
    assert_eq!(try_with(at_least_13(), old_client()).await, None);
    assert_eq!(try_with(at_least_13(), client()).await.unwrap().0, "1.3");
    let at_most_12 = ServerOptions { max_version: text("VersionTLS12"), min_version: text("VersionTLS10"), ..server() };
    assert_eq!(try_with(at_most_12, client()).await.unwrap().0, "1.2");
    let one = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let named = || ServerOptions { cipher_suites: list(&[one]), ..server() };
    assert_eq!(try_with(named(), old_client()).await, Some(("1.2", one.to_owned())));
    assert_eq!(try_with(named(), client()).await.unwrap().0, "1.3", "the list is about 1.2");
    let only_13 = ServerOptions { cipher_suites: list(&["TLS_AES_128_GCM_SHA256"]), ..server() };
    assert_eq!(try_with(only_13, old_client()).await, None);
    let rsa_only = ServerOptions { cipher_suites: list(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]), ..server() };
    assert_eq!(try_with(rsa_only, old_client()).await, None, "the certificate is not RSA");
    let curve = ServerOptions { curve_preferences: list(&["CurveP384"]), ..server() };
    assert_eq!(try_with(curve, client()).await.unwrap().0, "1.3", "after a second hello");
}

/// Two connections of one client; whether the second resumed.
async fn resumes(client: &ClientConfig, first: &Arc<ServerConfig>, second: &Arc<ServerConfig>) -> bool {
    let (server, ours) = handshake(first.clone(), client, "a.test").await;
    let (mut server, mut ours) = (server.unwrap(), ours.unwrap());
    // The ticket follows the handshake; reading a byte takes it in.
    server.stream.write_all(b"x").await.unwrap();
    server.stream.flush().await.unwrap();
    ours.stream.read_u8().await.unwrap();
    handshake(second.clone(), client, "a.test").await.0.unwrap().resumed
}

#[tokio::test]
async fn sessions_resume_under_the_same_options_only() {
    for version in ["VersionTLS12", "VersionTLS13"] {
        let ca = Authority::new("ca");
        let certificates = store(&[ca.certificate(&["a.test"])], None);
        let client = || client_config(&ClientOptions { max_version: text(version), ..trusting(&ca) }).unwrap();
        let options = ServerOptions::default();
        let config = server_config(&options, certificates.clone()).unwrap();
        let twin = server_config(&options, certificates.clone()).unwrap();
        let guarded = ClientAuth { cas: vec![ca.pem.clone()], mode: ClientAuthMode::VerifyIfGiven };
        let guarded = ServerOptions { client_auth: Some(guarded), ..options.clone() };
        let guarded = server_config(&guarded, certificates.clone()).unwrap();
        let off = server_config(&ServerOptions { session_tickets: false, ..options.clone() }, certificates).unwrap();
        let renewed = with_certificates(&config, &options, store(&[ca.certificate(&["a.test"])], None));

        assert!(resumes(&client(), &config, &config).await, "{version}");
        assert!(!resumes(&client(), &config, &twin).await, "{version}: other keys");
        assert!(!resumes(&client(), &config, &guarded).await, "{version}: other options (CVE-2022-21654)");
        assert!(!resumes(&client(), &guarded, &config).await, "{version}: and back");
        assert!(!resumes(&client(), &off, &off).await, "{version}: no tickets");
        assert!(resumes(&client(), &config, &renewed).await, "{version}: a renewed certificate is no other option");
    }
}

#[tokio::test]
async fn client_certificates_are_asked_for_as_the_mode_says() {
    use ClientAuthMode::{Request, RequireAndVerify, RequireAny, VerifyIfGiven};
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let admitted = async |mode, version: &str, shown: Option<&Authority>| {
        let auth = ClientAuth { cas: vec![ca.pem.clone()], mode };
        let options = ServerOptions { client_auth: Some(auth), max_version: text(version), ..ServerOptions::default() };
        let config = server_config(&options, store(&[ca.certificate(&["a.test"])], None)).unwrap();
        let client_cert = shown.map(|authority| {
            authority.issue_with(&["client.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |p| {
                p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            })
        });
        let client = client_config(&ClientOptions { client_cert, ..trusting(&ca) }).unwrap();
        let accepted = handshake(config, &client, "a.test").await.0.ok()?;
        assert_eq!(accepted.client_chain().len(), usize::from(accepted.client_cert_present));
        Some(accepted.client_cert_present)
    };
    for version in ["VersionTLS12", "VersionTLS13"] {
        for (mode, none, known, unknown) in [
            (Request, Some(false), Some(true), Some(true)),
            (RequireAny, None, Some(true), Some(true)),
            (VerifyIfGiven, Some(false), Some(true), None),
            (RequireAndVerify, None, Some(true), None),
        ] {
            assert_eq!(admitted(mode, version, None).await, none, "{mode:?} {version}: none shown");
            assert_eq!(admitted(mode, version, Some(&ca)).await, known, "{mode:?} {version}: of the CA");
            assert_eq!(admitted(mode, version, Some(&stranger)).await, unknown, "{mode:?} {version}: of a stranger");
        }
    }
}

/// The client's first flight, as it goes on the wire.
async fn hello(client: &ClientConfig) -> Vec<u8> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let mut bytes = vec![0; 5];
    let read = async {
        far.read_exact(&mut bytes).await.unwrap();
        let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        bytes.resize(5 + length, 0);
        far.read_exact(&mut bytes[5..]).await.unwrap();
        drop(far);
    };
    let (_, ()) = tokio::join!(connect(near, client, "a.test"), read);
    bytes
}

/// Row 97.
#[tokio::test]
async fn hostile_hellos_end_in_an_error() {
    let (config, base) = simple(&ServerOptions::default());
    let client = client_config(&base).unwrap();
    let good = hello(&client).await;
    let record = |kind: u8, body: &[u8]| [&[kind, 3, 1][..], &(body.len() as u16).to_be_bytes(), body].concat();
    let name_at = good.windows(6).position(|w| w == b"a.test").unwrap();
    let renamed = |name: &[u8; 6]| {
        let mut bytes = good.clone();
        bytes[name_at..][..6].copy_from_slice(name);
        bytes
    };
    let one_byte_records: Vec<u8> = good[5..].iter().flat_map(|b| record(22, &[*b])).collect();
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("as it is", good.clone(), true),
        ("in records of one byte", one_byte_records, true),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), false),
        ("nothing", Vec::new(), false),
        ("half", good[..good.len() / 2].to_vec(), false),
        ("an empty record", record(22, b""), false),
        ("SSLv2", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10], false),
        ("a record of 65535", [&[22, 3, 1, 255, 255][..], &[0; 70_000]].concat(), false),
        ("a hello of 16 MiB announced", record(22, &[1, 255, 255, 255, 3, 3]), false),
        ("application data first", record(23, b"xxxx"), false),
        ("a NUL in the name", renamed(b"a\0test"), false),
        ("a heartbeat", record(24, &[1, 255, 255]), false),
    ];
    for (case, bytes, reaches_choice) in cases {
        let (mut near, far) = tokio::io::duplex(256 * 1024);
        near.write_all(&bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let mut chosen = false;
        let select = |_: &Hello| {
            chosen = true;
            Some(config.clone())
        };
        assert!(accept(far, select).await.is_err(), "{case}: the client never finishes");
        assert_eq!(chosen, reaches_choice, "{case}");
    }
}

#[tokio::test]
async fn bytes_that_were_sniffed_are_put_back() {
    let (config, base) = simple(&ServerOptions::default());
    let client = client_config(&base).unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let server = async {
        let mut first = vec![0; 7];
        far.read_exact(&mut first).await.unwrap();
        assert_eq!(first[0], 22);
        accept(Prefixed::new(first, far), |_| Some(config)).await
    };
    let (server, ours) = tokio::join!(server, connect(near, &client, "a.test"));
    assert!(server.is_ok() && ours.is_ok());
}
