//! `SSL_CERTS`: several certificates with their keys in one text.
//!
//! Split where Kontena splits it: after the end of each private key. So a certificate stands before its key, and a key that comes first is cut
//! off from it. Which key fits which certificate is for whoever can read them.

/// One piece of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The certificates before the key, in the order written.
    pub certificates: Vec<String>,
    /// `None`: the text ended before a key came.
    pub key: Option<String>,
}

/// The pieces of `text`. Anything between PEM blocks is passed over.
pub fn split(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece = Piece::default();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("-----BEGIN ") {
            block = Some(String::new());
        }
        let Some(lines) = &mut block else { continue };
        lines.push_str(line);
        lines.push('\n');
        if !line.starts_with("-----END ") {
            continue;
        }
        let block = block.take().unwrap_or_default();
        if line.ends_with("PRIVATE KEY-----") {
            piece.key = Some(block);
            pieces.push(std::mem::take(&mut piece));
        } else if line.ends_with("CERTIFICATE-----") {
            piece.certificates.push(block);
        }
    }
    if piece != Piece::default() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: &str, body: &str) -> String {
        format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
    }

    #[test]
    fn a_key_ends_a_piece() {
        let cert = |body| block("CERTIFICATE", body);
        let (rsa, key) = (block("RSA PRIVATE KEY", "ra"), block("PRIVATE KEY", "kb"));
        let parameters = block("DH PARAMETERS", "x");
        let text = ["subject=a\r\n", &cert("A"), &cert("I"), &parameters, &rsa, &cert("B"), &key, &cert("C")].concat();
        let pieces = split(&text.replace('\n', "\r\n"));
        let expected = [
            Piece { certificates: vec![cert("A"), cert("I")], key: Some(rsa) },
            Piece { certificates: vec![cert("B")], key: Some(key.clone()) },
            Piece { certificates: vec![cert("C")], key: None },
        ];
        assert_eq!(pieces, expected);
        let pieces = split(&[key.clone(), cert("A")].concat());
        assert_eq!(pieces[0], Piece { certificates: vec![], key: Some(key) });
        assert_eq!(pieces[1], Piece { certificates: vec![cert("A")], key: None });
        assert_eq!(split("no PEM at all\n-----BEGIN PRIVATE KEY-----\ncut off"), []);
    }
}
