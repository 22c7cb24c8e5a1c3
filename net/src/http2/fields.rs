//! Field sections: from `h2`'s map to [`Fields`] and back, with the checks of RFC 9113 section 8.2 that `h2` does not make.

use crate::http::{Error, Fields, Framing, Kind, Method, RequestHead, Side, Version};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

/// Why a request head is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// RFC 9113 section 8.1.1: reset with PROTOCOL_ERROR.
    Malformed(&'static str),
    /// More fields than the settings allow: 431.
    TooMany,
}

/// Reads a request head. `ended` says that END_STREAM came with it.
pub(super) fn request(parts: http::request::Parts, ended: bool, max_fields: usize) -> Result<RequestHead, Refusal> {
    use Refusal::Malformed;
    if parts.headers.len() > max_fields {
        return Err(Refusal::TooMany);
    }
    let mut head = RequestHead { version: Version::Http2, keep_alive: true, ..RequestHead::default() };
    head.method = Method::new(parts.method.as_str());
    let host = single(&parts.headers, &header::HOST, "more than one Host field").map_err(Malformed)?;
    let authority = parts.uri.authority().map(Authority::as_str);
    head.authority = match (authority, host) {
        (Some(a), Some(h)) if !a.as_bytes().eq_ignore_ascii_case(h) => {
            return Err(Malformed("Host and :authority differ"));
        }
        (Some(a), _) => a.to_owned(),
        (None, Some(h)) => std::str::from_utf8(h).map_err(|_| Malformed("Host is not text"))?.to_owned(),
        (None, None) => return Err(Malformed("neither :authority nor Host")),
    };
    if head.authority.is_empty() || head.authority.contains('@') {
        return Err(Malformed("the authority is empty or names a user"));
    }
    head.target = if head.method == Method::Connect { head.authority.clone() } else { target(&parts.uri, &head.method)? };
    // h2 keeps the scheme only beside an authority; without one it has still checked the grammar.
    if !matches!(parts.uri.scheme_str(), None | Some("http" | "https")) {
        return Err(Malformed("a scheme other than http and https"));
    }
    let length = content_length(&parts.headers).map_err(Malformed)?;
    head.framing = match (ended, length) {
        (true, _) => Framing::None,
        (false, Some(n)) => Framing::Length(n),
        (false, None) => Framing::Chunked,
    };
    head.expect_continue = parts.headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    read(&parts.headers, &mut head.fields).map_err(Malformed)?;
    Ok(head)
}

fn target(uri: &http::Uri, method: &Method) -> Result<String, Refusal> {
    let path = uri.path_and_query().map(PathAndQuery::as_str).ok_or(Refusal::Malformed("no :path"))?;
    let plain = path.bytes().all(|b| (0x21..0x7f).contains(&b));
    match path.as_bytes().first() {
        Some(b'/') if plain => Ok(path.to_owned()),
        Some(b'*') if path.len() == 1 && *method == Method::Options => Ok(path.to_owned()),
        _ => Err(Refusal::Malformed("the :path is not a path")),
    }
}

/// Appends every field but `Host`, whose value is the head's authority. Cookie crumbs become one line (section 8.2.3).
pub(super) fn read(map: &HeaderMap, into: &mut Fields) -> Result<(), &'static str> {
    for name in map.keys() {
        if *name == header::HOST {
            continue;
        }
        if connection_specific(name.as_str()) {
            return Err("a connection-specific field");
        }
        for value in map.get_all(name) {
            check_value(value.as_bytes())?;
        }
        if *name == header::COOKIE {
            let crumbs: Vec<&[u8]> = map.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            into.append(name.as_str(), &crumbs.join(&b"; "[..]));
        } else {
            map.get_all(name).iter().for_each(|value| into.append(name.as_str(), value.as_bytes()));
        }
    }
    Ok(())
}

/// `Content-Length`, if it is one number, however often it is said.
pub(super) fn content_length(map: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut found = None;
    for value in map.get_all(header::CONTENT_LENGTH) {
        let n = decimal(value.as_bytes()).ok_or("content-length is not a number")?;
        if found.replace(n).is_some_and(|before| before != n) {
            return Err("two different content-lengths");
        }
    }
    Ok(found)
}

/// Digits and nothing else, in 64 bits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Writes fields, but none that belong to a connection of another version or to the framing: those are this side's to say.
pub(super) fn write(fields: &Fields, into: &mut HeaderMap) -> Result<(), Error> {
    for (name, value) in fields.iter() {
        if written_elsewhere(name) || (name.eq_ignore_ascii_case("te") && !value.eq_ignore_ascii_case(b"trailers")) {
            continue;
        }
        let unfit = || Error::new(Side::Fairlead, Kind::Malformed(500), format!("field {name:.64} cannot be written in HTTP/2"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = HeaderValue::from_bytes(value).map_err(|_| unfit())?;
        into.try_append(name, value).map_err(|_| unfit())?;
    }
    Ok(())
}

/// Writes a request head. `secure` chooses the scheme.
pub(super) fn write_request(head: &RequestHead, secure: bool) -> Result<http::Request<()>, Error> {
    let unfit = |what| Error::new(Side::Client, Kind::Malformed(400), format!("the {what} cannot be written in HTTP/2"));
    let mut request = http::Request::new(());
    *request.version_mut() = http::Version::HTTP_2;
    *request.method_mut() = http::Method::from_bytes(head.method.as_str().as_bytes()).map_err(|_| unfit("method"))?;
    let authority = match head.authority.as_str() {
        "" => head.fields.get_str("host").unwrap_or_default(),
        text => text,
    };
    let mut uri = Parts::default();
    uri.authority = Some(Authority::try_from(authority).map_err(|_| unfit("host"))?);
    if head.method != Method::Connect {
        uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
        let path = PathAndQuery::try_from(head.target.as_str()).map_err(|_| unfit("path"))?;
        // The parser drops a fragment silently; what is sent would not be what was decided on.
        if path.as_str() != head.target {
            return Err(unfit("path"));
        }
        uri.path_and_query = Some(path);
    }
    *request.uri_mut() = http::Uri::from_parts(uri).map_err(|_| unfit("target"))?;
    write(&head.fields, request.headers_mut())?;
    if let Framing::Length(n) = head.framing {
        request.headers_mut().insert(header::CONTENT_LENGTH, number(n));
    }
    Ok(request)
}

/// A number as a field value.
pub(super) fn number(n: u64) -> HeaderValue {
    HeaderValue::from(n)
}

fn single<'a>(map: &'a HeaderMap, name: &HeaderName, problem: &'static str) -> Result<Option<&'a [u8]>, &'static str> {
    let mut values = map.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
        _ => Err(problem),
    }
}

/// Section 8.2.1: no white space around a value. The map's type excludes the control characters.
fn check_value(value: &[u8]) -> Result<(), &'static str> {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    if blank(value.first()) || blank(value.last()) { Err("white space around a field value") } else { Ok(()) }
}

/// Section 8.2.2.
fn connection_specific(name: &str) -> bool {
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn written_elsewhere(name: &str) -> bool {
    connection_specific(name) || ["host", "content-length", "http2-settings"].iter().any(|known| name.eq_ignore_ascii_case(known))
}
