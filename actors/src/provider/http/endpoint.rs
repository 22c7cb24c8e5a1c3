//! Where a server of HTTP is, as operators write it.

use std::{fmt, path::PathBuf};

/// How endpoints of one provider are written.
#[derive(Clone, Copy, Debug)]
pub struct Notation {
    /// The option that messages name: `--providers.swarm.endpoint`.
    pub option: &'static str,
    /// The port where none is written, in the clear and with TLS.
    pub ports: (u16, u16),
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
        secure: bool,
    },
}

impl Endpoint {
    /// `unix:///path`, `/path`, and `host`, `host:port`, `[v6]:port`, each with or without `tcp://`, `http://` or `https://`.
    /// Where the scheme does not say, `secure` decides on TLS.
    ///
    /// # Errors
    ///
    /// What is wrong, for the operator.
    pub fn parse(text: &str, secure: bool, notation: Notation) -> Result<Self, String> {
        let option = notation.option;
        let (secure, rest) = match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => return Ok(Self::Unix(path.into())),
            Some(("unix", _)) => {
                return Err(format!("`{text}` in {option}: write the whole path, as in unix:///var/run/docker.sock"));
            }
            None if text.starts_with('/') => return Ok(Self::Unix(text.into())),
            None => (secure, text),
            Some(("tcp", rest)) => (secure, rest),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("`{text}` in {option}: {scheme} is none of unix, tcp, http and https"));
            }
        };
        let (host, port) =
            host_port(rest).ok_or_else(|| format!("`{text}` in {option} is neither host:port nor unix:///path"))?;
        let port = port.unwrap_or(if secure { notation.ports.1 } else { notation.ports.0 });
        Ok(Self::Tcp { host, port, secure })
    }

    /// What the request's `Host` says. A daemon behind a socket file wants one, and any will do.
    pub fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

/// `host`, `host:port`, `[v6]:port`, `v6`; a name or an address, without brackets.
pub(in crate::provider) fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim_end_matches('/');
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        // Several colons without brackets: an IPv6 address without a port.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| port.parse()).transpose().ok()?;
    (!host.is_empty() && !host.contains(['/', '@', '?', ' '])).then(|| (host.to_owned(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { secure, .. } => {
                write!(f, "{}://{}", if *secure { "https" } else { "http" }, self.authority())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTATION: Notation = Notation { option: "--providers.swarm.endpoint", ports: (2375, 2376) };

    #[test]
    fn endpoints_as_operators_write_them() {
        for (text, secure, expected) in [
            ("unix:///var/run/docker.sock", false, "unix:///var/run/docker.sock"),
            ("/run/docker.sock", true, "unix:///run/docker.sock"),
            ("tcp://proxy:2375", false, "http://proxy:2375"),
            ("tcp://manager", true, "https://manager:2376"),
            ("tcp://manager", false, "http://manager:2375"),
            ("http://10.0.0.1/", true, "http://10.0.0.1:2375"),
            ("https://manager.example", false, "https://manager.example:2376"),
            ("[fe80::1]:99", false, "http://[fe80::1]:99"),
            ("::1", false, "http://[::1]:2375"),
        ] {
            let parsed = Endpoint::parse(text, secure, NOTATION).map(|endpoint| endpoint.to_string());
            assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "unix://docker.sock", "ssh://me@host", "npipe:////./pipe/docker", ":1", "h:p", "h:70000", "u@h:1", "h/v1:1"]
        {
            let refused = Endpoint::parse(text, false, NOTATION);
            assert!(refused.as_ref().is_err_and(|e| e.contains(NOTATION.option)), "{text}: {refused:?}");
        }
    }
}
