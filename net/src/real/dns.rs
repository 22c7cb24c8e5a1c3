//! The system's resolver (`getaddrinfo`), on tokio's threads for blocking work.

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
};

pub(crate) async fn lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(addrs) => Ok(addrs.map(|a| a.ip().to_canonical()).collect()),
        Err(e) => Err(io::Error::new(kind(&e), format!("{host}: {e}"))),
    }
}

/// `getaddrinfo`'s codes do not survive the standard library, only their texts (glibc's and musl's) do. A text that is
/// not known here counts as "nobody knows", the side on which the last answer stays in force.
fn kind(e: &io::Error) -> ErrorKind {
    const NO_SUCH_NAME: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let text = e.to_string();
    match NO_SUCH_NAME.iter().any(|t| text.contains(t)) {
        true => ErrorKind::NotFound,
        false => e.kind(),
    }
}
