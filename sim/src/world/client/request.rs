//! A request as bytes, honest or not.

use crate::{
    oracle::exchange::Caller,
    plan::{Ask, traffic::Act},
    world::{client_ip, wire::upload_of},
};

/// Ready to be sent.
pub(super) struct Request {
    pub id: u64,
    pub bytes: Vec<u8>,
    /// Bytes up to its body.
    pub head: usize,
}

/// Fields of an honest client's own hop, and of one that claims to be somebody else.
pub(super) const CLAIMS: [(&str, &str); 9] = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X_Forwarded_For", "6.6.6.7"),
    ("X-Real-Ip", "6.6.6.8"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "666"),
    ("Forwarded", "for=6.6.6.9"),
    ("True-Client-Ip", "6.6.6.10"),
    ("X-Original-Url", "/admin"),
];

/// Who a client is, to the judge.
pub(super) fn caller(index: usize, secure: bool, alone: bool, cookie: Option<String>) -> Caller {
    Caller { address: client_ip(index), tells: true, secure, alone, cookie }
}

/// Writes it.
pub(super) fn write(id: u64, ask: &Ask, cookie: Option<&str>) -> Request {
    let method = if ask.post { "POST" } else { "GET" };
    let mut lines =
        vec![format!("{method} /request/{id} HTTP/1.1"), format!("Host: s{}.test", ask.service), format!("X-Request: {id}")];
    if let Some(value) = cookie {
        lines.push(format!("Cookie: other=1; {}={value}", super::COOKIE));
    }
    if ask.claims {
        lines.extend(CLAIMS.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(["Keep-Alive: timeout=9", "Proxy-Connection: keep-alive", "TE: gzip", "X-Hop: mine"].map(str::to_owned));
    }
    match ask.act {
        Act::WebSocket { .. } if ask.claims => {
            lines.extend(["Connection: Upgrade, X-Hop", "Upgrade: websocket"].map(str::to_owned))
        }
        Act::WebSocket { .. } => lines.extend(["Connection: Upgrade", "Upgrade: websocket"].map(str::to_owned)),
        _ if ask.claims => lines.push("Connection: keep-alive, X-Hop, X-Forwarded-For".to_owned()),
        _ => {}
    }
    if ask.act == Act::Expect {
        lines.push("Expect: 100-continue".to_owned());
    }
    let mut body = upload_of(id, ask.body);
    match ask.act {
        Act::Smuggle(way) => {
            let (more, hidden) = smuggled(way, id, ask.service);
            lines.extend(more);
            body = hidden;
        }
        _ if ask.body > 0 && id.is_multiple_of(3) => {
            lines.push("Transfer-Encoding: chunked".to_owned());
            body = chunks(&body);
        }
        _ if ask.body > 0 => lines.push(format!("Content-Length: {}", ask.body)),
        _ => {}
    }
    let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
    let head = bytes.len();
    bytes.extend(body);
    Request { id, bytes, head }
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(1 + body.len() / 3) {
        bytes.extend(format!("{:X}\r\n", piece.len()).into_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Fields that two readers understand differently, and a body in which the one finds a request of its own.
fn smuggled(way: u32, id: u64, service: usize) -> (Vec<String>, Vec<u8>) {
    // No client ever sends a request with this identifier.
    let hidden = format!("GET /request/9{id} HTTP/1.1\r\nHost: s{service}.test\r\nX-Request: 9{id}\r\n\r\n");
    let length = |n: usize| format!("Content-Length: {n}");
    let chunked = || "Transfer-Encoding: chunked".to_owned();
    let cloaked = format!("0\r\n\r\n{hidden}");
    match way % 7 {
        0 => (vec![length(cloaked.len()), chunked()], cloaked.into()),
        1 => (vec![length(0), length(hidden.len())], hidden.into()),
        2 => (vec!["Transfer-Encoding: xchunked".into(), length(cloaked.len())], cloaked.into()),
        3 => (vec!["Transfer-Encoding : chunked".into(), length(cloaked.len())], cloaked.into()),
        4 => (vec![format!("Content-Length: +{}", hidden.len())], hidden.into()),
        5 => (vec![length(4), "X: a\n Transfer-Encoding: chunked".into()], cloaked.into()),
        _ => (vec![chunked()], format!("5;\nXXXX\r\n0\r\n\r\n{hidden}").into()),
    }
}
