//! What of an ask is its workload's own: the service with its servers, how they are spoken to, certificates.

use super::{Ask, Asked, Balance, ask::Security};
use crate::{
    config::Severity,
    discovery::{Draft, Mode, Place, Reading, Settings, Wanted, Workload, placement},
};
use std::sync::Arc;

/// The one set of connections to servers whose certificates are not verified.
const UNVERIFIED: &str = "lb-unverified";

/// Finds the instances, and writes it down.
pub fn write(workload: &Workload, settings: &Settings, asks: Vec<Ask>) -> (Vec<Arc<Asked>>, Reading) {
    let mut draft = Draft::new(&workload.title());
    let mut asked = Vec::with_capacity(asks.len());
    for ask in asks {
        let places = places(workload, settings, &ask, &mut draft);
        balancer(&mut draft, &ask.service, &ask, &places);
        if let Some((cert, key)) = &ask.tls.certificate {
            let index = asked.len().to_string();
            draft.set(&["tls", "certificates", &index, "certFile"], &ask.key("ssl_cert"), cert);
            draft.set(&["tls", "certificates", &index, "keyFile"], &ask.key("ssl_key"), key);
        }
        asked.push(Arc::new(Asked { owner: workload.id.clone(), title: workload.title(), ask, places }));
    }
    (asked, draft.finish().into())
}

/// Writes the service `name` with these servers.
pub fn balancer(draft: &mut Draft, name: &str, ask: &Ask, places: &[Place]) {
    let upstream = &ask.upstream;
    let section = if ask.passthrough { "tcp" } else { "http" };
    let mut set = |below: &[&str], key: &str, value: &str| {
        let path = [&[section, "services", name, "loadBalancer"][..], below].concat();
        draft.set(&path, &ask.key(key), value);
    };
    match &upstream.balance {
        Balance::Cookie(cookie) => {
            set(&["strategy"], "sticky_session_cookie", "hrw");
            set(&["hashCookie"], "sticky_session_cookie", cookie);
        }
        Balance::Address => set(&["strategy"], "ip_hash", "hrw"),
        Balance::RoundRobin => set(&["strategy"], "port", "wrr"),
    }
    // nginx counts no failures at 0.
    if upstream.max_fails != Some(0) {
        if let Some(fails) = upstream.max_fails {
            set(&["passiveHealthCheck", "maxFailedAttempts"], "max_fails", &fails.to_string());
        }
        if let Some(within) = &upstream.fail_timeout {
            set(&["passiveHealthCheck", "failureWindow"], "fail_timeout", within);
        }
    }
    if ask.passthrough {
        return draft.addresses(name, &ask.key("port"), places);
    }
    if upstream.security == Security::Unverified {
        set(&["serversTransport"], "ssl_backend_tls_verify", UNVERIFIED);
        let path = ["http", "serversTransports", UNVERIFIED, "insecureSkipVerify"];
        draft.set(&path, &ask.key("ssl_backend_tls_verify"), "true");
    }
    let scheme = if upstream.security == Security::None { "http" } else { "https" };
    draft.servers(name, &ask.key("port"), scheme, places);
}

/// Where the instances are. What stands against it is said, and never guessed around.
fn places(workload: &Workload, settings: &Settings, ask: &Ask, draft: &mut Draft) -> Vec<Place> {
    let usual = Some(settings.network.as_str())
        .filter(|usual| workload.networks.iter().any(|network| network.name == *usual || network.id == *usual));
    let wanted = Wanted { network: ask.network.as_deref().or(usual), port: ask.port, mode: ask.mode };
    let label = ask.key(if ask.mode == Mode::Virtual { "backend_mode" } else { "network" });
    match placement::place(workload, &wanted) {
        Ok(places) => {
            if let Some(why) = places
                .iter()
                .map(|place| place.unreachable.as_ref())
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.first().copied().cloned())
            {
                draft.reject(Severity::Warning, &ask.key("network"), format!("none of its instances can be reached: {why}"), "");
            }
            places
        }
        Err(problem) => {
            let remedy = problem.remedy(&ask.key("network"));
            draft.reject(Severity::Error, &label, format!("where its instances are is not known: {problem}"), remedy);
            Vec::new()
        }
    }
}
