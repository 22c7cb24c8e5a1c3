//! The PROXY protocol, versions 1 and 2: who the client of the load balancer in front is.
//!
//! Reads a header, bounded in size, and nothing after it; writes one for servers. Deliberately absent: deciding whose header is believed.

use bytes::{Buf, BytesMut};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::io::{AsyncRead, AsyncReadExt};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line that version 1 allows.
const V1_MAX: usize = 107;
/// Addresses and TLVs of version 2 that are read at most.
const V2_MAX: usize = 2048;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Not enough bytes to tell, or the header is not complete.
    Partial,
    /// No PROXY header.
    Absent,
    /// A header of this length; no address when the sender speaks for itself (`LOCAL`, `UNKNOWN`).
    Present(usize, Option<SocketAddr>),
    /// It begins like one and is none.
    Malformed,
}

/// Looks at the first bytes.
pub fn parse(bytes: &[u8]) -> Header {
    if bytes.starts_with(V2) {
        return version_2(bytes);
    }
    if bytes.starts_with(V1) {
        return version_1(bytes);
    }
    if V1.starts_with(bytes) || V2.starts_with(bytes) { Header::Partial } else { Header::Absent }
}

fn version_1(bytes: &[u8]) -> Header {
    let seen = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = seen.windows(2).position(|w| w == b"\r\n") else {
        return if seen.len() == V1_MAX || memchr::memchr(b'\n', seen).is_some() { Header::Malformed } else { Header::Partial };
    };
    let Ok(line) = std::str::from_utf8(&seen[V1.len()..end]) else { return Header::Malformed };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["UNKNOWN", ..] => Header::Present(end + 2, None),
        [family @ ("TCP4" | "TCP6"), source, destination, source_port, destination_port] => {
            let address = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (family == "TCP4"));
            let port = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
            match (address(source), address(destination), port(source_port), port(destination_port)) {
                (Some(ip), Some(_), Some(port), Some(_)) => Header::Present(end + 2, Some(SocketAddr::new(ip, port))),
                _ => Header::Malformed,
            }
        }
        _ => Header::Malformed,
    }
}

fn version_2(bytes: &[u8]) -> Header {
    let Some(fixed) = bytes.get(V2.len()..V2.len() + 4) else { return Header::Partial };
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if fixed[0] >> 4 != 2 || length > V2_MAX {
        return Header::Malformed;
    }
    let total = V2.len() + 4 + length;
    let Some(body) = bytes.get(V2.len() + 4..total) else { return Header::Partial };
    match (fixed[0] & 0xf, fixed[1]) {
        (0, _) => Header::Present(total, None),
        (1, 0x11) if body.len() >= 12 => {
            let ip = Ipv4Addr::new(body[0], body[1], body[2], body[3]);
            Header::Present(total, Some(SocketAddr::new(ip.into(), u16::from_be_bytes([body[8], body[9]]))))
        }
        (1, 0x21) if body.len() >= 36 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&body[..16]);
            let port = u16::from_be_bytes([body[32], body[33]]);
            Header::Present(total, Some(SocketAddr::new(Ipv6Addr::from(octets).into(), port)))
        }
        (1, 0x11 | 0x21) => Header::Malformed,
        (1, _) => Header::Present(total, None),
        _ => Header::Malformed,
    }
}

/// Reads a header if there is one; bytes that belong to what follows stay in `buffer`. The caller bounds the time.
///
/// # Errors
/// The connection failed or ended, or what began like a header was none.
pub async fn read(io: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<Option<SocketAddr>> {
    loop {
        match parse(buffer) {
            Header::Absent => return Ok(None),
            Header::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY header")),
            Header::Present(length, source) => {
                buffer.advance(length);
                return Ok(source);
            }
            Header::Partial => {
                buffer.reserve(256);
                if io.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Version 1: a line that says that a connection came from `source` to `destination`.
pub fn write_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = of_one_family(source, destination);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

/// Version 2: the same in binary.
pub fn write_v2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = of_one_family(source, destination);
    let mut header = V2.to_vec();
    let mut put = |family: u8, addresses: &[&[u8]]| {
        let length = addresses.iter().map(|octets| octets.len()).sum::<usize>() as u16 + 4;
        header.extend_from_slice(&[0x21, family]);
        header.extend_from_slice(&length.to_be_bytes());
        addresses.iter().for_each(|octets| header.extend_from_slice(octets));
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => put(0x11, &[&from.octets(), &to.octets()]),
        (from, to) => put(0x21, &[&v6(from).octets(), &v6(to).octets()]),
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    header
}

/// Both of IPv4, or both of IPv6.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let wide = |address: SocketAddr| SocketAddr::new(v6(address.ip()).into(), address.port());
    (wide(source), wide(destination))
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2.to_vec();
        header.extend_from_slice(&[0x20 | command, family]);
        header.extend_from_slice(&(body.len() as u16).to_be_bytes());
        header.extend_from_slice(body);
        header
    }

    #[test]
    fn both_versions_name_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 5000 80\r\nGET";
        assert_eq!(parse(line), Header::Present(line.len() - 3, Some("192.0.2.1:5000".parse().unwrap())));
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 80\r\n";
        assert_eq!(parse(line), Header::Present(line.len(), Some("[2001:db8::1]:5000".parse().unwrap())));
        let header = v2(1, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0x13, 0x88, 0, 80]);
        assert_eq!(parse(&header), Header::Present(header.len(), Some("192.0.2.1:5000".parse().unwrap())));
    }

    #[test]
    fn a_sender_may_speak_for_itself() {
        assert_eq!(parse(b"PROXY UNKNOWN ffff::1 whatever\r\n"), Header::Present(32, None));
        let header = v2(0, 0, &[]);
        assert_eq!(parse(&header), Header::Present(16, None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (source, destination, read) in [
            ("192.0.2.1:5000", "198.51.100.1:443", "192.0.2.1:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::2]:443", "[2001:db8::1]:5000"),
            ("[::ffff:192.0.2.1]:5000", "[::ffff:198.51.100.1]:443", "192.0.2.1:5000"),
            ("192.0.2.1:5000", "[2001:db8::2]:443", "[::ffff:192.0.2.1]:5000"),
        ] {
            for header in [write_v1(at(source), at(destination)), write_v2(at(source), at(destination))] {
                assert_eq!(parse(&header), Header::Present(header.len(), Some(at(read))), "{source} to {destination}");
            }
        }
    }

    #[test]
    fn odd_headers_are_refused() {
        for bad in [
            &b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"[..],
            b"PROXY TCP4 2001:db8::1 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 70000 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            &[b"PROXY "[..].to_vec(), vec![b'x'; 200]].concat(),
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(7, 0x11, &[0; 12]),
        ] {
            assert_eq!(parse(bad), Header::Malformed, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn no_input_panics_and_every_prefix_of_a_header_is_partial(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..40) {
            parse(&bytes);
            let whole = b"PROXY TCP4 192.0.2.1 198.51.100.1 5000 80\r\n";
            prop_assert_eq!(parse(&whole[..cut]), Header::Partial);
        }
    }
}
