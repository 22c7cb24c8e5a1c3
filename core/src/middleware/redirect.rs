//! RedirectScheme and RedirectRegex.
//!
//! `Location` is made from the request's own URL: the routed host, the canonical path. It never begins with two slashes,
//! which a browser would read as another host, and holds no byte that a browser would drop or turn into a slash.

use super::Flow;
use crate::{
    http::{FieldsMut, Request, Scheme},
    reason::Reason,
    response::{LocalResponse, phrase},
};
use regex::Regex;

/// Sends the client to another scheme or port. The port that it came with is dropped.
#[derive(Debug)]
pub(super) struct RedirectScheme {
    scheme: String,
    /// `None` also where the scheme's default was written.
    port: Option<u16>,
    permanent: bool,
}

impl RedirectScheme {
    pub(super) fn new(scheme: &str, port: Option<u16>, permanent: bool) -> Self {
        let scheme = scheme.to_ascii_lowercase();
        let port = port.filter(|port| Some(*port) != default_port(&scheme));
        Self { scheme, port, permanent }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        let reached = reached_scheme(req);
        let port = req.port.filter(|port| Some(*port) != default_port(reached));
        let old = url(reached, req, port);
        let new = url(&self.scheme, req, self.port);
        if old == new { Flow::Continue } else { redirect(req.method, self.permanent, &new) }
    }
}

/// Rewrites the URL by a regular expression, as Go's `ReplaceAllString` does: unanchored, every match, `$1` and `${1}`.
#[derive(Debug)]
pub(super) struct RedirectRegex {
    regex: Regex,
    replacement: String,
    permanent: bool,
}

impl RedirectRegex {
    pub(super) fn new(regex: &Regex, replacement: &str, permanent: bool) -> Self {
        Self { regex: regex.clone(), replacement: replacement.to_owned(), permanent }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        let old = url(req.scheme.as_str(), req, req.port);
        let new = self.regex.replace_all(&old, self.replacement.as_str());
        if new == old { Flow::Continue } else { redirect(req.method, self.permanent, &new) }
    }
}

/// The connection's scheme, unless a trusted proxy before this one said otherwise: the entry point has removed the field
/// where the peer is not trusted.
fn reached_scheme<F: FieldsMut>(req: &Request<'_, F>) -> &'static str {
    let said = req.fields.get("X-Forwarded-Proto").unwrap_or_default();
    if said.eq_ignore_ascii_case(b"https") || said.eq_ignore_ascii_case(b"wss") {
        Scheme::Https.as_str()
    } else if said.eq_ignore_ascii_case(b"http") || said.eq_ignore_ascii_case(b"ws") {
        Scheme::Http.as_str()
    } else {
        req.scheme.as_str()
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn url<F>(scheme: &str, req: &Request<'_, F>, port: Option<u16>) -> String {
    let host = req.host.as_str();
    let mut url = String::with_capacity(scheme.len() + host.len() + req.path.len() + 16);
    url.push_str(scheme);
    url.push_str("://");
    if host.contains(':') && !host.starts_with('[') {
        url.push('[');
        url.push_str(host);
        url.push(']');
    } else {
        url.push_str(host);
    }
    if let Some(port) = port {
        url.push(':');
        url.push_str(&port.to_string());
    }
    url.push_str(&req.path);
    if let Some(query) = &req.query {
        url.push('?');
        url.push_str(query);
    }
    url
}

fn redirect(method: &str, permanent: bool, to: &str) -> Flow {
    // Clients turn other methods into GET on 301 and 302.
    let status = match (permanent, method == "GET") {
        (false, true) => 302,
        (false, false) => 307,
        (true, true) => 301,
        (true, false) => 308,
    };
    match location(to) {
        Some(location) => Flow::Respond(LocalResponse::text(Reason::Redirect, status, phrase(status)).with("Location", location)),
        // An HTTP/1.0 request without a host has no URL to go to.
        None => Flow::Respond(LocalResponse::of(Reason::InvalidHost)),
    }
}

/// What may stand in `Location`; `None` for a URL without a host.
fn location(to: &str) -> Option<String> {
    let mut out = String::with_capacity(to.len());
    for &byte in to.as_bytes() {
        match byte {
            b'\\' => out.push_str("%5C"),
            0x21..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if out.starts_with("//") {
        return Some(format!("/{}", out.trim_start_matches('/')));
    }
    // RFC 3986 section 3.1; what does not begin with a scheme is a path, whatever colons it holds.
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = out.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map(|(_, rest)| rest);
    if authority.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ':'])) {
        return None;
    }
    Some(out)
}
