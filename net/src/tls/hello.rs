//! A client's hello, read without answering it: which server it wants, and which protocols it offers.
//!
//! For connections whose TLS ends elsewhere, or of which it is not decided yet where it ends. Strict, so that what is decided on is what
//! every server reads: lengths have to fit, and what counts is said once. Bounded in size, and each byte is looked at once, however they
//! arrive. Deliberately absent: time, which is the caller's, and everything of a hello that decides nothing here.

use super::{Hello, accept::normalise};

/// Bytes of a hello, records included, that are read at most. Usual ones have 300 to 2,000.
pub const MAX_HELLO: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
/// Of the plaintext of one record (RFC 8446 section 5.1).
const MAX_RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// So far they are the beginning of a hello.
    Partial,
    Hello(Hello),
    /// No hello, or none that everybody reads alike.
    Malformed(&'static str),
}

/// Reads one hello as its bytes come in.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of the connection that were looked at.
    at: usize,
    /// Bytes of the present record's fragment that are still to come.
    left: usize,
    /// The handshake message, out of its records.
    message: Vec<u8>,
}

impl Reader {
    /// `bytes`: all that came so far, each time from the first.
    pub fn read(&mut self, bytes: &[u8]) -> Peeked {
        match self.advance(bytes) {
            Ok(None) if bytes.len() >= MAX_HELLO => Peeked::Malformed("the hello is too large"),
            Ok(None) => Peeked::Partial,
            Ok(Some(_)) if self.at > MAX_HELLO => Peeked::Malformed("the hello is too large"),
            Ok(Some(hello)) => Peeked::Hello(hello),
            Err(what) => Peeked::Malformed(what),
        }
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Hello>, &'static str> {
        loop {
            if self.left == 0 {
                let seen = bytes.get(self.at..).unwrap_or_default();
                let Some(&[kind, major, _, high, low]) = seen.first_chunk::<RECORD_HEADER>() else {
                    return judge_start(seen).map(|()| None);
                };
                judge_start(&[kind, major])?;
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length == 0 || length > MAX_RECORD {
                    return Err("a record of no possible length");
                }
                (self.at, self.left) = (self.at + RECORD_HEADER, length);
            }
            let fragment = bytes.get(self.at..).unwrap_or_default();
            if fragment.is_empty() {
                return Ok(None);
            }
            let fragment = &fragment[..fragment.len().min(self.left)];
            self.message.extend_from_slice(fragment);
            (self.at, self.left) = (self.at + fragment.len(), self.left - fragment.len());
            if let Some(hello) = message(&self.message)? {
                // Said of a record that ends elsewhere, whether or not the rest of it has come.
                return if self.left == 0 { Ok(Some(hello)) } else { Err("more than a hello") };
            }
        }
    }
}

/// A record of the handshake, of any version of TLS.
fn judge_start(seen: &[u8]) -> Result<(), &'static str> {
    match seen {
        [] | [HANDSHAKE] | [HANDSHAKE, 3, ..] => Ok(()),
        _ => Err("no record of a handshake"),
    }
}

/// The hello, once its message is whole. A client says nothing more before it is answered.
fn message(bytes: &[u8]) -> Result<Option<Hello>, &'static str> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    if kind != CLIENT_HELLO {
        return Err("another message than a client's hello");
    }
    let Some((&[high, middle, low], body)) = rest.split_first_chunk::<3>() else { return Ok(None) };
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    if length > MAX_HELLO {
        return Err("the hello is too large");
    }
    match body.len() {
        seen if seen < length => Ok(None),
        seen if seen == length => client_hello(body).unwrap_or(Err("lengths in the hello do not fit")).map(Some),
        _ => Err("more than a hello"),
    }
}

/// `None`: lengths do not fit.
fn client_hello(body: &[u8]) -> Option<Result<Hello, &'static str>> {
    let mut body = Bytes(body);
    let _version_and_random = body.take(2 + 32)?;
    let session = body.of_u8()?;
    let suites = body.of_u16()?;
    let compressions = body.of_u8()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    let mut hello = Hello { server_name: None, alpn: Vec::new() };
    // TLS 1.2 and before know hellos without extensions.
    if body.0.is_empty() {
        return Some(Ok(hello));
    }
    let mut extensions = Bytes(body.of_u16()?);
    if !body.0.is_empty() {
        return None;
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let extension = extensions.of_u16()?;
        match kind {
            SERVER_NAME if std::mem::replace(&mut named, true) => return Some(Err("two server names")),
            SERVER_NAME => match server_name(extension)? {
                Ok(name) => hello.server_name = name,
                Err(what) => return Some(Err(what)),
            },
            ALPN if std::mem::replace(&mut offered, true) => return Some(Err("two lists of protocols")),
            ALPN => hello.alpn = protocols(extension)?,
            _ => {}
        }
    }
    Some(Ok(hello))
}

/// RFC 6066 section 3: one name, of a host.
fn server_name(extension: &[u8]) -> Option<Result<Option<String>, &'static str>> {
    let mut extension = Bytes(extension);
    let mut list = Bytes(extension.of_u16()?);
    let kind = list.u8()?;
    let name = list.of_u16()?;
    if !extension.0.is_empty() {
        return None;
    }
    if !list.0.is_empty() {
        return Some(Err("two server names"));
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte);
    if kind != 0 || name.is_empty() || name.len() > 255 || !name.iter().all(plain) {
        return Some(Err("a server name that is none"));
    }
    let name = normalise(&String::from_utf8_lossy(name));
    // An address is no name (RFC 6066): many clients that should send none send it, and it is as good as none.
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    Some(Ok((!is_address && !name.is_empty()).then_some(name)))
}

/// RFC 7301 section 3.1.
fn protocols(extension: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut extension = Bytes(extension);
    let mut list = Bytes(extension.of_u16()?);
    if list.0.is_empty() || !extension.0.is_empty() {
        return None;
    }
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.of_u8()?;
        if protocol.is_empty() {
            return None;
        }
        protocols.push(protocol.to_vec());
    }
    Some(protocols)
}

/// What is left of a structure.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with its length, of one byte, in front.
    fn of_u8(&mut self) -> Option<&'b [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector with its length, of two bytes, in front.
    fn of_u16(&mut self) -> Option<&'b [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As rustls writes it.
    fn of_rustls(name: &str, alpn: &[&str]) -> Vec<u8> {
        let mut config = rustls::ClientConfig::builder_with_provider(super::super::provider().clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        hello
    }

    fn vector(length: usize, bytes: &[u8]) -> Vec<u8> {
        let all = bytes.len().to_be_bytes();
        [&all[all.len() - length..], bytes].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector(2, body)].concat()
    }

    fn name(text: &str) -> Vec<u8> {
        extension(SERVER_NAME, &vector(2, &[&[0][..], &vector(2, text.as_bytes())].concat()))
    }

    fn message_of(extensions: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(vector(1, &[]));
        body.extend(vector(2, &[0x0a, 0x0a, 0x13, 1]));
        body.extend(vector(1, &[0]));
        body.extend(vector(2, &extensions.concat()));
        [&[CLIENT_HELLO][..], &vector(3, &body)].concat()
    }

    /// In records of this many bytes.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[HANDSHAKE, 3, 1][..], &vector(2, part)].concat()).collect()
    }

    fn peek(bytes: &[u8]) -> Peeked {
        Reader::default().read(bytes)
    }

    fn hello(server_name: &str, alpn: &[&str]) -> Peeked {
        let server_name = (!server_name.is_empty()).then(|| server_name.to_owned());
        Peeked::Hello(Hello { server_name, alpn: alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect() })
    }

    #[test]
    fn names_and_protocols_are_read_as_clients_write_them() {
        assert_eq!(peek(&of_rustls("db.example", &["h2", "http/1.1"])), hello("db.example", &["h2", "http/1.1"]));
        assert_eq!(peek(&of_rustls("192.0.2.1", &[])), hello("", &[]), "an address is no name");
        // Values that nobody knows (GREASE) are passed over.
        let odd = [extension(0x0a0a, &[]), name("DB.Example."), extension(0xfafa, &[0])];
        assert_eq!(peek(&records(&message_of(&odd), 9000)), hello("db.example", &[]));
        assert_eq!(peek(&records(&message_of(&[name("192.0.2.1")]), 9000)), hello("", &[]));
    }

    #[test]
    fn the_message_may_come_in_many_records() {
        let message = message_of(&[name("db.example")]);
        for size in [1, 2, 3, 7, 50, message.len()] {
            assert_eq!(peek(&records(&message, size)), hello("db.example", &[]), "records of {size}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let two = extension(SERVER_NAME, &vector(2, &[&[0][..], &vector(2, b"a"), &[0], &vector(2, b"b")].concat()));
        for (bad, what) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), "plain"),
            (vec![0x80, 0x2e, 1, 3, 1], "SSL 2"),
            (vec![HANDSHAKE, 2, 0, 0, 1], "no version"),
            (vec![HANDSHAKE, 3, 1, 0, 0], "an empty record"),
            (vec![HANDSHAKE, 3, 1, 0x40, 1], "a record that is too long"),
            (vec![HANDSHAKE, 3, 1, 0, 1, 2], "a server's hello"),
            (vec![HANDSHAKE, 3, 1, 0, 4, 1, 0xff, 0, 0], "a hello that is too large"),
            (records(&[message_of(&[name("a.example")]), vec![0]].concat(), 9000), "something behind it"),
            (records(&message_of(&[name("a.example"), name("a.example")]), 9000), "a name twice"),
            (records(&message_of(&[two]), 9000), "two names"),
            (records(&message_of(&[name("a\0b")]), 9000), "a name that is none"),
            (records(&message_of(&[name("")]), 9000), "an empty name"),
            (records(&message_of(&[extension(SERVER_NAME, &[])]), 9000), "a name without its length"),
            (records(&message_of(&[extension(ALPN, &vector(2, &[0]))]), 9000), "an empty protocol"),
            (records(&message_of(&[extension(ALPN, &vector(2, &[]))]), 9000), "no protocol"),
            (records(&message_of(&[vec![0, 0, 0, 9, 1]]), 9000), "an extension that is cut"),
        ] {
            let read = peek(&bad);
            assert!(matches!(read, Peeked::Malformed(_)), "{what}: {read:?}");
        }
        let behind = records(&[message_of(&[name("a.example")]), vec![0]].concat(), 9000);
        assert!(matches!(peek(&behind[..behind.len() - 1]), Peeked::Malformed(_)), "also before the rest has come");
        let alert_between = [records(&message_of(&[name("a.example")])[..9], 9000), vec![21, 3, 3, 0, 2, 2, 0]].concat();
        assert!(matches!(peek(&alert_between), Peeked::Malformed(_)));
    }

    #[test]
    fn a_hello_has_its_bound() {
        let padded = |bytes: usize| records(&message_of(&[name("a.example"), extension(21, &vec![0; bytes])]), 16_000);
        assert_eq!(peek(&padded(15_000)), hello("a.example", &[]));
        assert!(matches!(peek(&padded(17_000)), Peeked::Malformed(_)));
        let mut slow = Reader::default();
        let endless = records(&padded(15_000)[5..], 1);
        assert!(matches!(slow.read(&endless[..MAX_HELLO]), Peeked::Malformed("the hello is too large")));
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0_usize..300, value in any::<u8>()) {
            peek(&bytes);
            peek(&[&[HANDSHAKE, 3, 1][..], &bytes].concat());
            let mut hello = records(&message_of(&[name("a.example"), extension(ALPN, &vector(2, &vector(1, b"h2")))]), 64);
            let at = at % hello.len();
            hello[at] = value;
            peek(&hello);
        }

        /// Cut anywhere it is a beginning, and however it comes it is the same.
        #[test]
        fn how_the_bytes_come_does_not_matter(size in 1_usize..400, cuts in prop::collection::vec(1_usize..90, 1..40)) {
            let whole = records(&message_of(&[name("a.example"), extension(ALPN, &vector(2, &vector(1, b"h2")))]), size);
            for end in 0..whole.len() {
                prop_assert_eq!(peek(&whole[..end]), Peeked::Partial, "{} of {}", end, whole.len());
            }
            let (mut reader, mut end) = (Reader::default(), 0);
            for cut in cuts.iter().cycle() {
                end = whole.len().min(end + cut);
                let read = reader.read(&whole[..end]);
                if end == whole.len() {
                    prop_assert_eq!(read, hello("a.example", &["h2"]));
                    break;
                }
                prop_assert_eq!(read, Peeked::Partial);
            }
        }
    }
}
