//! Values of labels, one at a time. What cannot be read is noted, with the label and what to write.

use super::{HostName, Notes};
use crate::{config::quote, http::Host};

/// As Go reads one.
pub fn boolean(label: &str, text: &str, notes: &mut Notes) -> bool {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => true,
        "false" | "f" | "0" => false,
        _ => {
            notes.error(label, format!("expected true or false, found {}", quote(text)), "write true, or remove the label");
            false
        }
    }
}

/// A port that can be connected to.
pub fn port(label: &str, text: &str, notes: &mut Notes) -> Option<u16> {
    let port = text.parse().ok().filter(|port| *port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    if port.is_none() {
        let message = format!("expected a port from 1 to 65535, found {}", quote(text));
        notes.error(label, message, "write the one port that the service listens on inside its container");
    }
    port
}

/// `example.com`, `*.example.com` (every host below it) or `.example.com` (that one, and every host below it).
pub fn host_names(label: &str, text: &str, notes: &mut Notes) -> Vec<HostName> {
    let (suffix, itself) = match (text.strip_prefix("*."), text.strip_prefix('.')) {
        (Some(rest), _) => (Some(rest), false),
        (None, Some(rest)) => (Some(rest), true),
        (None, None) => (None, true),
    };
    let name = suffix.unwrap_or(text);
    let found = match Host::parse(name.as_bytes()) {
        Ok((_, Some(_))) => Err("a host has no port here, requests to any port are taken".to_owned()),
        Ok((host, None)) => Ok(host.as_str().to_owned()),
        Err(_) if !name.is_ascii() => Err("a host name has ASCII letters only".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match found {
        Ok(host) => {
            let below = suffix.map(|_| HostName::Below(format!(".{host}")));
            below.into_iter().chain(itself.then_some(HostName::Exact(host))).collect()
        }
        Err(why) => {
            let remedy =
                "separate host names with commas: shop.example.com, *.example.com; write international ones in their xn-- form";
            notes.error(label, format!("{} is no host name: {why}", quote(text)), remedy);
            Vec::new()
        }
    }
}

/// A path that others begin with. `/` is none: everything begins with it.
pub fn path(label: &str, text: &str, notes: &mut Notes) -> Option<String> {
    const LONGEST: usize = 200;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let why = if !text.starts_with('/') {
        "it does not begin with /"
    } else if text.len() > LONGEST {
        "it has more than 200 characters"
    } else if !text.bytes().all(plain) {
        "it holds a character that has no place in a path"
    } else if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "no path begins so once it is in normal form"
    } else {
        return Some(if text == "/" { String::new() } else { text.to_owned() });
    };
    notes.error(label, format!("expected a path, found {}: {why}", quote(text)), "write for instance /app");
    None
}

/// What a cookie may be called.
pub fn cookie_name(label: &str, text: &str, notes: &mut Notes) -> Option<String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Some(text.to_owned());
    }
    notes.error(
        label,
        format!("{} is no name of a cookie", quote(text)),
        "write the name of the cookie that the application sets",
    );
    None
}

/// The host of `http://old.example.com`, or of the bare `old.example.com`; whether more stands behind it does not matter.
pub fn host_of_url(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    Host::parse(authority.as_bytes()).ok().map(|(host, _)| host.as_str().to_owned())
}

/// Where a redirection leads: `http://` or `https://`, a host, perhaps a port and a path; a slash at its end does not count.
pub fn target(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let clean = rest.bytes().all(|byte| (0x21..0x7f).contains(&byte) && !b"?#\\@\"<>`{}".contains(&byte));
    (known && clean && host_of_url(text).is_some()).then(|| text.trim_end_matches('/'))
}
