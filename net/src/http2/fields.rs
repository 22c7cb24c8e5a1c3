//! Field sections: from `h2`'s map to [`Fields`] and back, with the checks of RFC 9113 section 8.2 that `h2` does not make.

use crate::http::{Error, Fields, Framing, Kind, Method, RequestHead, Side, Version};
use bytes::Bytes;
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

/// Reads a request head into an empty one. `ended` says that END_STREAM came with it.
pub(super) fn request(
    parts: &http::request::Parts,
    ended: bool,
    max_fields: usize,
    head: &mut RequestHead,
) -> Result<(), Refusal> {
    use Refusal::Malformed;
    if parts.headers.len() > max_fields {
        return Err(Refusal::TooMany);
    }
    (head.version, head.keep_alive) = (Version::Http2, true);
    head.method = Method::new(parts.method.as_str());
    let host = single(&parts.headers, &header::HOST, "more than one Host field").map_err(Malformed)?;
    let authority = parts.uri.authority().map(Authority::as_str);
    let authority = match (authority, host) {
        (Some(a), Some(h)) if !a.as_bytes().eq_ignore_ascii_case(h) => {
            return Err(Malformed("Host and :authority differ"));
        }
        (Some(a), _) => a,
        (None, Some(h)) => std::str::from_utf8(h).map_err(|_| Malformed("Host is not text"))?,
        (None, None) => return Err(Malformed("neither :authority nor Host")),
    };
    if authority.is_empty() || authority.contains('@') {
        return Err(Malformed("the authority is empty or names a user"));
    }
    head.authority.push_str(authority);
    head.target.push_str(if head.method == Method::Connect { authority } else { target(&parts.uri, &head.method)? });
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
    read(&parts.headers, &mut head.fields).map_err(Malformed)
}

fn target<'a>(uri: &'a http::Uri, method: &Method) -> Result<&'a str, Refusal> {
    let path = uri.path_and_query().map(PathAndQuery::as_str).ok_or(Refusal::Malformed("no :path"))?;
    let plain = path.bytes().all(|b| (0x21..0x7f).contains(&b));
    match path.as_bytes().first() {
        Some(b'/') if plain => Ok(path),
        Some(b'*') if path.len() == 1 && *method == Method::Options => Ok(path),
        _ => Err(Refusal::Malformed("the :path is not a path")),
    }
}

/// Appends every field but `Host`, whose value is the head's authority. Cookie crumbs become one line (section 8.2.3).
pub(super) fn read(map: &HeaderMap, into: &mut Fields) -> Result<(), &'static str> {
    let mut cookie: Option<Vec<u8>> = None;
    // Lines of one name follow each other in the order in which they came.
    for (name, value) in map {
        if *name == header::HOST {
            continue;
        }
        if connection_specific(name.as_str()) {
            return Err("a connection-specific field");
        }
        let value = value.as_bytes();
        check_value(value)?;
        if *name != header::COOKIE {
            into.append(name.as_str(), value);
        } else if let Some(crumbs) = &mut cookie {
            crumbs.extend_from_slice(b"; ");
            crumbs.extend_from_slice(value);
        } else {
            cookie = Some(value.to_vec());
        }
    }
    if let Some(crumbs) = cookie {
        into.append(header::COOKIE.as_str(), &crumbs);
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
    // Every value is a part of one piece of memory.
    let mut values = Vec::with_capacity(fields.iter().map(|(_, value)| value.len()).sum());
    fields.iter().for_each(|(_, value)| values.extend_from_slice(value));
    let values = Bytes::from(values);
    into.reserve(fields.len() + 1);
    let mut end = 0;
    for (name, value) in fields.iter() {
        let at = end;
        end += value.len();
        if written_elsewhere(name) || (name.eq_ignore_ascii_case("te") && !value.eq_ignore_ascii_case(b"trailers")) {
            continue;
        }
        let unfit = || Error::new(Side::Fairlead, Kind::Malformed(500), format!("field {name:.64} cannot be written in HTTP/2"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = HeaderValue::from_maybe_shared(values.slice(at..end)).map_err(|_| unfit())?;
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
    let is = |known| name.eq_ignore_ascii_case(known);
    match name.len() {
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

fn written_elsewhere(name: &str) -> bool {
    let is = |known| name.eq_ignore_ascii_case(known);
    match name.len() {
        4 => is("host"),
        14 => is("content-length") || is("http2-settings"),
        _ => connection_specific(name),
    }
}
