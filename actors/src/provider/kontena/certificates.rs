//! The load balancer's certificates, as `SSL_CERTS` and its neighbours give them: which can be used, and what is wrong with the others.

use fairlead_core::{
    config::{Rejection, Severity, static_::Bundle},
    discovery::kontena::{Installed, Piece, split},
};
use fairlead_net::tls::{Certificate, Pem, UnixTime};

/// What can be used of `bundles`, in order, and what is to be said of the rest. `source` names the load balancer.
pub(super) fn install(bundles: &[Bundle], source: &str, now: UnixTime) -> (Vec<Installed>, Vec<Rejection>) {
    let (mut installed, mut rejections) = (Vec::new(), Vec::new());
    for bundle in bundles {
        let pieces = match bundle.single {
            true => vec![whole(bundle.text.reveal())],
            false => split(bundle.text.reveal()),
        };
        if pieces.iter().all(|piece| *piece == Piece::default()) {
            rejections.push(rejection(bundle, source, "it holds neither a certificate nor a key in PEM form", REMEDY));
            continue;
        }
        // A key that came before its certificate: the first certificate of what follows is its own.
        let mut orphan = false;
        for (number, piece) in (1..).zip(&pieces) {
            let label = format!("certificate {number}");
            match (&piece.certificates[..], &piece.key) {
                ([], _) => {
                    orphan = true;
                    let message = format!("{label}: the private key comes before its certificate");
                    rejections.push(rejection(bundle, source, &message, REMEDY));
                }
                (_, None) if orphan => {}
                (_, None) => {
                    rejections.push(rejection(bundle, source, &format!("{label}: there is no private key after it"), REMEDY))
                }
                (chain, Some(key)) => match usable(chain, key, orphan, &bundle.name, now) {
                    Ok(cert) => {
                        orphan = false;
                        installed.push(Installed { label: bundle.name.clone(), cert, key: key.clone() });
                    }
                    Err(why) => rejections.push(rejection(bundle, source, &format!("{label}: {why}"), "the others are served")),
                },
            }
        }
    }
    (installed, rejections)
}

const REMEDY: &str = "write each certificate, its chain, and then its key; the others are served";

/// The chain that goes with the key.
fn usable(chain: &[String], key: &str, orphan: bool, origin: &str, now: UnixTime) -> Result<String, String> {
    let first = |skipped: usize| {
        let text = chain[skipped..].concat();
        Certificate::from_pem(&Pem::new(origin, text.as_str()), &Pem::new(origin, key), now).map(|_| text)
    };
    let whole = first(0);
    match whole {
        Err(_) if orphan => (1..chain.len()).find_map(|skipped| first(skipped).ok()).ok_or(()).or(whole),
        whole => whole,
    }
    .map_err(|e| e.to_string())
}

/// All of a text as one certificate.
fn whole(text: &str) -> Piece {
    let mut all = Piece::default();
    for piece in split(text) {
        all.certificates.extend(piece.certificates);
        all.key = all.key.or(piece.key);
    }
    all
}

fn rejection(bundle: &Bundle, source: &str, message: &str, remedy: &str) -> Rejection {
    Rejection {
        severity: Severity::Error,
        source: source.to_owned(),
        key: bundle.name.clone(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use fairlead_core::config::static_::Secret;
    use fairlead_net::clock;
    use std::time::Duration;

    /// A certificate and its key.
    fn leaf(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("names are valid");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn installed(text: &str, single: bool) -> (Vec<String>, Vec<String>) {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(clock::now())));
        let bundle = Bundle { name: "SSL_CERTS".to_owned(), text: Secret::new(text.to_owned()), single };
        let (installed, rejections) = install(&[bundle], "balancer", now);
        assert!(rejections.iter().all(|rejection| rejection.key == "SSL_CERTS" && !rejection.to_string().contains("BEGIN")));
        let certs = installed.into_iter().map(|installed| installed.cert).collect();
        (certs, rejections.into_iter().map(|rejection| rejection.message).collect())
    }

    #[test]
    fn a_piece_that_cannot_be_used_takes_none_with_it() {
        let [(a, ka), (b, kb), (c, kc)] = ["a.test", "b.test", "c.test"].map(leaf);
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        // Text, whether it is one certificate, what is installed, and the beginnings of what is said.
        let cases: &[(String, bool, &[&str], &[&str])] = &[
            ([&a[..], &ka, &b, &kb].concat(), false, &[&a, &b], &[]),
            ([&a[..], &ka, &kb, &b, &c, &kc].concat(), false, &[&a, &c], &["certificate 2: the private key comes before"]),
            ([&kb[..], &b].concat(), false, &[], &["certificate 1: the private key comes before"]),
            ([&kb[..], &b].concat(), true, &[&b], &[]),
            ([&a[..], &kb, &c, &kc].concat(), false, &[&c], &["certificate 1: "]),
            ([&pem("bm90IGEgY2VydA=="), &ka[..], &c, &kc].concat(), false, &[&c], &["certificate 1: "]),
            ([&a[..], &ka, &b].concat(), false, &[&a], &["certificate 2: there is no private key"]),
            ("nothing".to_owned(), false, &[], &["it holds neither"]),
            ("nothing".to_owned(), true, &[], &["it holds neither"]),
        ];
        for (index, (text, single, certs, words)) in cases.iter().enumerate() {
            let (found, said) = installed(text, *single);
            assert_eq!(found, *certs, "case {index}");
            assert!(
                said.len() == words.len() && said.iter().zip(*words).all(|(said, word)| said.starts_with(word)),
                "case {index}: {said:?}"
            );
        }
    }
}
