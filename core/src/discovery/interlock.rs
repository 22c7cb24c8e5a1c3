//! Interlock's labels, `com.docker.lb.*`, and those of UCP's routing mesh before it ([`super::mesh`]): hosts and context roots that several
//! services may share.
//!
//! ```text
//! labels of one workload → Ask (read, judged) → service, transport, certificates   a reading per workload
//!                                 Asks by host → routers, middlewares, shares      claims per host and context root
//! ```
//!
//! Services that name the same host and context root share its requests by the number of their reachable instances. Names begin with `lb`
//! and `mesh`, and hold a dot, which no name of Traefik's labels does.
//!
//! What is passed through (`ssl_passthrough`, `sni://`) becomes routers and services of connections, and nothing of it is served in the clear.

mod ask;
mod host;
mod labels;
mod notes;
mod passthrough;
mod service;
#[cfg(test)]
mod tests;
mod value;

pub use ask::Ask;
pub(super) use ask::{Balance, HostName, Redirect, Tls, Upstream};
pub(super) use labels::Heard;
pub(super) use notes::Notes;
pub(super) use value::{boolean, cookie_name, host_names, host_of_url, port, target};

use super::{Claim, InterlockOptions, Language, Mounts, Place, Reading, Settings, Workload, mesh};
use std::{collections::BTreeMap, sync::Arc};

/// One [`Ask`], whose it is, and where its instances are.
#[derive(Debug)]
pub struct Asked {
    /// Id of the workload.
    owner: String,
    /// The workload, for messages.
    title: String,
    ask: Ask,
    places: Vec<Place>,
}

impl Asked {
    /// Servers that requests can get to.
    fn reachable(&self) -> usize {
        self.places.iter().filter(|place| place.unreachable.is_none()).count()
    }
}

/// What a workload asks for in the languages of this module, and a reading of what of that is its own. `last`: what it asked for before, which
/// stays in force while its labels cannot be read.
pub fn read(workload: &Workload, settings: &Settings, mounts: &Mounts, last: &[Arc<Asked>]) -> (Vec<Arc<Asked>>, Reading) {
    let (mut asks, mut rejections) = (Vec::new(), Vec::new());
    for language in [Language::Interlock, Language::Mesh] {
        if !settings.languages.contains(&language) || !workload.speaks(language) {
            continue;
        }
        let mut heard = match language {
            Language::Mesh => mesh::read(workload, settings),
            _ => labels::read(workload, settings, mounts),
        };
        match heard.asks {
            Some(heard) => asks.extend(heard),
            None => {
                let kept: Vec<Ask> =
                    last.iter().map(|asked| &asked.ask).filter(|ask| ask.language() == language).cloned().collect();
                if !kept.is_empty() {
                    notes::say_kept(&mut heard.rejections);
                }
                asks.extend(kept);
            }
        }
        rejections.append(&mut heard.rejections);
    }
    let (asked, mut reading) = service::write(workload, settings, asks);
    reading.rejections.append(&mut rejections);
    (asked, reading)
}

/// What was composed of the hosts that workloads ask for.
#[derive(Debug, Default)]
pub struct Hosts(BTreeMap<HostName, Composed>);

#[derive(Debug)]
struct Composed {
    members: Vec<Arc<Asked>>,
    claims: Vec<Claim>,
}

impl Hosts {
    /// Claims by owner, of all that is asked for, oldest first. A host whose members did not change is taken from the last call.
    pub fn claims<'a>(
        &mut self,
        asked: impl Iterator<Item = &'a Arc<Asked>>,
        options: &InterlockOptions,
    ) -> BTreeMap<String, Vec<Claim>> {
        let mut hosts: BTreeMap<&HostName, Vec<&Arc<Asked>>> = BTreeMap::new();
        for asked in asked {
            for host in &asked.ask.hosts {
                hosts.entry(host).or_default().push(asked);
            }
        }
        self.0.retain(|host, _| hosts.contains_key(host));
        let mut claims: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
        for (host, members) in hosts {
            let same = |composed: &&Composed| {
                composed.members.len() == members.len()
                    && composed.members.iter().zip(&members).all(|(last, now)| Arc::ptr_eq(last, now))
            };
            if self.0.get(host).filter(same).is_none() {
                let composed =
                    Composed { claims: host::compose(host, &members, options), members: members.into_iter().cloned().collect() };
                self.0.insert(host.clone(), composed);
            }
            for claim in self.0.get(host).into_iter().flat_map(|composed| &composed.claims) {
                claims.entry(claim.owner.clone()).or_default().push(claim.clone());
            }
        }
        claims
    }
}
