//! Where a collector listens.

use std::fmt;

/// A collector's address and the transport to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub grpc: bool,
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// HTTP only.
    pub path: String,
}

/// An endpoint that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an OTLP endpoint: {expected}")]
pub struct EndpointError {
    given: String,
    expected: &'static str,
}

impl Endpoint {
    /// An endpoint for HTTP with protobuf: a URL. Without a path it is `/v1/traces`.
    ///
    /// # Errors
    /// Not an http or https URL with a host.
    pub fn http(url: &str) -> Result<Self, EndpointError> {
        let expected = "write a URL such as http://collector:4318";
        let error = || EndpointError { given: url.to_owned(), expected };
        let (scheme, rest) = url.split_once("://").ok_or_else(error)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(error()),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split(authority, 4318).ok_or_else(error)?;
        let path = if matches!(path, "" | "/") { "/v1/traces" } else { path };
        if !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(error());
        }
        Ok(Self { grpc: false, tls, host, port, path: path.to_owned() })
    }

    /// An endpoint for gRPC: `host:port`, over TLS unless `insecure`. A URL is taken too; its scheme decides.
    ///
    /// # Errors
    /// Not a host with a port.
    pub fn grpc(text: &str, insecure: bool) -> Result<Self, EndpointError> {
        let error = || EndpointError { given: text.to_owned(), expected: "write host:port, such as collector:4317" };
        let (tls, rest) = match text.split_once("://") {
            None => (!insecure, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(error()),
        };
        let (host, port) = split(rest.strip_suffix('/').unwrap_or(rest), 4317).ok_or_else(error)?;
        Ok(Self { grpc: true, tls, host, port, path: String::new() })
    }

    /// As it stands in `Host` and `:authority`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn split(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let clean = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    let port = port.map_or(Some(default_port), |port| port.parse().ok().filter(|port| *port > 0))?;
    clean.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_understood() {
        let shown = |endpoint: Result<Endpoint, EndpointError>| endpoint.map_or_else(|e| e.to_string(), |e| e.to_string());
        assert_eq!(shown(Endpoint::http("https://localhost:4318")), "https://localhost:4318/v1/traces");
        assert_eq!(shown(Endpoint::http("http://c/otlp/v1/traces")), "http://c:4318/otlp/v1/traces");
        assert_eq!(shown(Endpoint::http("http://[::1]:9/")), "http://[::1]:9/v1/traces");
        assert_eq!(shown(Endpoint::grpc("localhost:4317", false)), "https://localhost:4317");
        assert_eq!(shown(Endpoint::grpc("http://c:1", false)), "http://c:1");
        assert!(!Endpoint::grpc("c:1", true).is_ok_and(|e| e.tls));
        for bad in [
            "",
            "localhost:4318",
            "ftp://a",
            "http://",
            "http://a:b",
            "http://a:0",
            "http://u@a",
            "http://a/\r\nX: y",
            "http://[a]",
        ] {
            assert!(Endpoint::http(bad).is_err(), "{bad:?}");
        }
        assert!(Endpoint::http("x").is_err_and(|e| e.to_string().contains("http://collector:4318")));
    }
}
