//! The names of the simulated world: one set of records for all hosts, changed at will.

use super::net::Net;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// What a resolver says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Addresses(Vec<IpAddr>),
    /// There is no such name; so it is with names that were never set.
    NoSuchName,
    /// The resolver failed: nobody knows.
    Failure,
}

#[derive(Default)]
pub(super) struct Records {
    answers: BTreeMap<String, Answer>,
    delay: Duration,
}

impl Net {
    /// Sets what the name means from now on.
    pub fn dns(&self, name: &str, answer: Answer) {
        self.with(|w| w.records.answers.insert(name.to_ascii_lowercase(), answer));
    }

    /// How long each look-up takes from now on.
    pub fn dns_delay(&self, delay: Duration) {
        self.with(|w| w.records.delay = delay);
    }
}

pub(crate) async fn lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    let net = Net::current();
    crate::time::sleep(net.with(|w| w.records.delay)).await;
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match net.with(|w| w.records.answers.get(&name).cloned()) {
        Some(Answer::Addresses(ips)) => Ok(ips),
        Some(Answer::Failure) => Err(io::Error::other(format!("{host}: temporary failure in name resolution"))),
        None if name == "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        None | Some(Answer::NoSuchName) => Err(io::Error::new(ErrorKind::NotFound, format!("{host}: no such name"))),
    }
}
