//! Names to addresses.
//!
//! Real: the system's resolver, with its own time-outs, search list and `/etc/hosts`. Simulated: records of the world,
//! changed at will, with delays and failures. Deliberately absent: a cache and a time-to-live, which the system's
//! resolver does not tell; whoever resolves repeatedly decides how often.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
};

/// Every address of `host`, IPv4 first, each family sorted, without repeats: two answers with the same content are
/// equal, however the resolver rotated them. A literal address (IPv6 with or without brackets) is not looked up.
///
/// `NotFound` means that the name does not exist or has no address. Any other error means that nobody knows, and the
/// last answer should stay in force.
pub async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![ip]);
    }
    if let Some(ip) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).and_then(|h| h.parse::<Ipv6Addr>().ok()) {
        return Ok(vec![ip.into()]);
    }
    let mut answer = crate::arm::dns::lookup(host).await?;
    answer.sort_unstable();
    answer.dedup();
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    Ok(answer)
}
