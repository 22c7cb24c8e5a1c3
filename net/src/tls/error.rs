//! What can go wrong with TLS: with what the operator gave, or in a handshake.

use std::io;

/// A failure, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate, key or CA that cannot be used.
    #[error("{origin}: {problem}; {remedy}")]
    Material {
        /// The file, or what else it came from.
        origin: String,
        problem: String,
        remedy: &'static str,
    },
    /// An option with a value that means nothing here.
    #[error("{key}: {value:?} is not usable; {expected}")]
    Option {
        /// As in the configuration, e.g. `minVersion`.
        key: &'static str,
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// No certificate or options for this server name; the peer was told `unrecognized_name`.
    #[error("no certificate for server name {0:?}")]
    UnknownName(Option<String>),
    /// The peer and this side did not agree, or one did not trust the other.
    #[error("handshake failed: {0}")]
    Handshake(rustls::Error),
    /// The transport failed or ended before the handshake did.
    #[error("handshake broken off: {0}")]
    Io(io::Error),
    /// The name of the server to connect to is neither a host name nor an address.
    #[error("{0:?} is not a server name; give a host name or an IP address")]
    ServerName(String),
}

impl TlsError {
    pub(super) fn material(origin: &str, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Material { origin: origin.to_owned(), problem: problem.into(), remedy }
    }

    /// tokio-rustls wraps rustls's errors.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(tls) => Self::Handshake(tls),
            Err(io) => Self::Io(io),
        }
    }
}
