//! The same handshakes with the simulator's cryptography: ring, and Ed25519 certificates of one length.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::time::{Duration, UNIX_EPOCH};

fn self_signed() -> (Pem, Pem) {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    // Keys are not seeded: without this, about one certificate in 256 is a byte shorter than the others.
    params.serial_number = Some(7u64.into());
    params.not_before = (UNIX_EPOCH + Duration::from_secs(1)).into();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    (Pem::new("a.pem", params.self_signed(&key).unwrap().pem()), Pem::new("a.key", key.serialize_pem()))
}

#[tokio::test]
async fn a_handshake_agrees_and_resumes_inside_the_simulator() {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000));
    let (chain, key) = self_signed();
    let certificate = Arc::new(Certificate::from_pem(&chain, &key, now).unwrap());
    let store = Arc::new(CertificateStore::new(&[certificate], None, now));
    let server = server_config(&ServerOptions::default(), store).unwrap();
    let options = ClientOptions { root_cas: vec![chain], alpn: vec!["h2".to_owned()], ..ClientOptions::default() };
    let client = client_config(&options).unwrap();
    for resumed in [false, true] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (server, ours) = tokio::join!(accept(far, |_| Some(server.clone())), connect(near, &client, "a.test"));
        let (mut server, mut ours) = (server.unwrap(), ours.unwrap());
        assert_eq!((server.version, server.resumed, ours.alpn.as_deref()), ("1.3", resumed, Some(&b"h2"[..])));
        // The ticket comes with the first bytes.
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        server.stream.write_all(b"x").await.unwrap();
        server.stream.flush().await.unwrap();
        assert_eq!(ours.stream.read_u8().await.unwrap(), b'x');
    }
}
