//! Who may ask, and what every answer carries.
//!
//! The API changes nothing, so what is guarded is reading it: a page in a browser must not read it through a name that its
//! author has bound to a loopback address (DNS rebinding), nor from another origin (security case 109). A name needs a dot
//! to be bound by a stranger, so addresses, `localhost` and names of one label are let in.

use super::{
    AdminOptions, AdminRequest, Response,
    response::{error, text},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The refusal that a request is owed.
pub(super) fn check(options: &AdminOptions, request: &AdminRequest<'_>) -> Option<Response> {
    // Health checks and scrapers address this process by any name, and learn nothing that names a secret.
    let open = matches!(request.path, "/ping" | "/ready" | "/metrics");
    let host = host_of(request.authority);
    if !open && !request.host_was_matched && !is_own(host, &options.allowed_hosts) {
        return Some(error(
            403,
            "this host name is not allowed for the API; address it by IP address or localhost, or route to api@internal with a rule that demands the name with Host",
        ));
    }
    let same_origin =
        |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(request.authority));
    if request.origin.is_some_and(|origin| !same_origin(origin)) {
        return Some(error(403, "requests of other origins are not answered"));
    }
    // A link on another page may lead here; its scripts may not read.
    if request.sec_fetch_site.is_some_and(|site| site == "cross-site")
        && request.sec_fetch_mode.is_none_or(|mode| mode != "navigate")
    {
        return Some(error(403, "requests of other sites are not answered"));
    }
    if !matches!(request.method, "GET" | "HEAD") {
        let response = text(405, "text/plain; charset=utf-8", "the API is read-only: use GET or HEAD\n".to_owned());
        return Some(response.with("Allow", "GET, HEAD"));
    }
    None
}

/// Adds what keeps an answer from being framed, sniffed, kept or extended.
pub(super) fn harden(response: Response) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    response
        .with("Cache-Control", "no-store")
        .with("Content-Security-Policy", policy)
        .with("Cross-Origin-Resource-Policy", "same-origin")
        .with("Referrer-Policy", "no-referrer")
        .with("X-Content-Type-Options", "nosniff")
        .with("X-Frame-Options", "DENY")
}

/// Without port and brackets.
fn host_of(authority: &str) -> &str {
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_own(host: &str, allowed: &[String]) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let local = host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
    let label = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let address = host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok();
    local || label || address || allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}
