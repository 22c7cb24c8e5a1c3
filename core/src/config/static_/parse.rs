//! Texts that only the static configuration has: addresses, status ranges, levels, modes.

use super::{Address, FieldMode, Level, Protocol};
use std::net::IpAddr;

/// `[host]:port[/tcp|/udp]`; no host, `*`, `0.0.0.0` and `[::]` are as they read. `0.0.0.0` is IPv4 only.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let (address, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((address, protocol)) if protocol.eq_ignore_ascii_case("tcp") => (address, Protocol::Tcp),
        Some((address, protocol)) if protocol.eq_ignore_ascii_case("udp") => (address, Protocol::Udp),
        Some((_, protocol)) => {
            return Err(format!("expected `tcp` or `udp` after the slash, found `{}`", protocol.escape_debug()));
        }
    };
    let Some((host, port)) = address.rsplit_once(':') else { return Err("expected `[address]:port`, such as `:80`".to_owned()) };
    let port = match port.parse::<u16>() {
        Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Err("expected a port from 0 to 65535 after the last colon".to_owned()),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or((host, false), |host| (host, true));
    let ip = match host {
        ("" | "*", false) => None,
        ("localhost", false) => Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        (host, bracketed) => match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) if !bracketed => {
                return Err(format!("expected brackets around an IPv6 address, as in `[{ip}]:{port}`"));
            }
            Ok(IpAddr::V4(_)) if bracketed => return Err("brackets are for IPv6 addresses".to_owned()),
            Ok(ip) => Some(ip),
            Err(_) => return Err("expected an address of this machine before the port, not a name".to_owned()),
        },
    };
    Ok(Address { ip, port, protocol })
}

/// `NNN` or `NNN-MMM`.
pub(super) fn status_range(text: &str) -> Option<(u16, u16)> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=999).contains(code));
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let range = (code(low.trim())?, code(high.trim())?);
    (range.0 <= range.1).then_some(range)
}

/// Traefik's levels; its two above `ERROR` are `ERROR`.
pub(super) fn level(text: &str) -> Option<Level> {
    Some(match text.to_ascii_uppercase().as_str() {
        "TRACE" => Level::Trace,
        "DEBUG" => Level::Debug,
        "INFO" => Level::Info,
        "WARN" | "WARNING" => Level::Warn,
        "ERROR" | "FATAL" | "PANIC" => Level::Error,
        _ => return None,
    })
}

/// `keep`, `drop`, `redact`.
pub(super) fn mode(text: &str) -> Option<FieldMode> {
    Some(match text.to_ascii_lowercase().as_str() {
        "keep" => FieldMode::Keep,
        "drop" => FieldMode::Drop,
        "redact" => FieldMode::Redact,
        _ => return None,
    })
}

/// A field name of HTTP, lower-case.
pub(super) fn header_name(text: &str) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!text.is_empty() && text.len() <= 256 && text.bytes().all(token)).then(|| text.to_ascii_lowercase())
}

/// What Traefik allows as the API's base path; without a slash at its end.
pub(super) fn base_path(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.:~-".contains(&byte);
    (text.starts_with('/') && text.bytes().all(allowed)).then(|| text.trim_end_matches('/').to_owned())
}

/// `host:port` of a server of ours, a scheme before it dropped.
pub(super) fn endpoint(text: &str) -> Option<String> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':')?;
    let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    (host_ok && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| bare.to_owned())
}

/// `http://host[:port]`, the scheme not needed: a server of ours that speaks in the clear.
pub(super) fn http_endpoint(text: &str) -> Option<()> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let has_port = bare.ends_with(|c: char| c.is_ascii_digit()) && bare.rsplit_once(':').is_some();
    endpoint(&if has_port { bare.to_owned() } else { format!("{bare}:80") }).filter(|_| !bare.contains("://")).map(drop)
}
