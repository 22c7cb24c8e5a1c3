//! Labels of Traefik 1 that have no equivalent here: which keep a frontend from being served, and which are left out.
//!
//! What guards a server, or decides where a request goes, is never left out silently: a frontend that somebody protected is not served open.
//! The same goes for a label that nobody knows, which may be a guard misspelled.

use super::{Draft, Unit, labels::Label};
use crate::config::{Severity, remedy_for_name};

/// Read elsewhere in this language. What ends in a dot stands for everything below it.
const HANDLED: &[&str] = &[
    "frontend.rule",
    "frontend.priority",
    "frontend.passhostheader",
    "frontend.entrypoints",
    "frontend.backend",
    "frontend.auth.basic",
    "frontend.auth.basic.users",
    "frontend.auth.basic.removeheader",
    "frontend.auth.headerfield",
    "frontend.redirect.entrypoint",
    "frontend.redirect.regex",
    "frontend.redirect.replacement",
    "frontend.redirect.permanent",
    "frontend.ratelimit.extractorfunc",
    "frontend.ratelimit.rateset.",
    "frontend.whitelist.sourcerange",
    "frontend.whitelistsourcerange",
    "frontend.headers.customrequestheaders",
    "frontend.headers.customresponseheaders",
    "frontend.headers.sslredirect",
    "frontend.headers.ssltemporaryredirect",
    "frontend.headers.stsseconds",
    "frontend.headers.stsincludesubdomains",
    "frontend.headers.stspreload",
    "frontend.headers.forcestsheader",
    "frontend.headers.framedeny",
    "frontend.headers.customframeoptionsvalue",
    "frontend.headers.contenttypenosniff",
    "frontend.headers.browserxssfilter",
    "frontend.headers.custombrowserxssvalue",
    "frontend.headers.contentsecuritypolicy",
    "frontend.headers.publickey",
    "frontend.headers.referrerpolicy",
    "backend",
    "backend.id",
    "backend.loadbalancer.method",
    "backend.loadbalancer.sticky",
    "backend.loadbalancer.stickiness",
    "backend.loadbalancer.stickiness.cookiename",
    "backend.loadbalancer.stickiness.secure",
    "backend.loadbalancer.stickiness.httponly",
    "backend.loadbalancer.stickiness.samesite",
    "backend.loadbalancer.swarm",
    "backend.healthcheck.",
];

/// A label without an equivalent.
struct Missing {
    /// What ends in a dot stands for everything below it.
    property: &'static str,
    /// The frontend is not served with it.
    guards: bool,
    /// `false` as its value is as good as no label.
    switch: bool,
    what: &'static str,
    remedy: &'static str,
}

const fn guards(property: &'static str, what: &'static str, remedy: &'static str) -> Missing {
    Missing { property, guards: true, switch: false, what, remedy }
}

const fn guards_if_on(property: &'static str, what: &'static str, remedy: &'static str) -> Missing {
    Missing { property, guards: true, switch: true, what, remedy }
}

const fn shapes(property: &'static str, what: &'static str, remedy: &'static str) -> Missing {
    Missing { property, guards: false, switch: true, what, remedy }
}

const MISSING: &[Missing] = &[
    guards("frontend.auth.digest.", "digest authentication", "use traefik.frontend.auth.basic.users, over TLS"),
    guards(
        "frontend.auth.forward.",
        "asking another server whether a request may pass",
        "use traefik.frontend.auth.basic.users or traefik.frontend.whiteList.sourceRange, or let the server ask",
    ),
    guards(
        "frontend.auth.basic.usersfile",
        "a file of users",
        "list what it holds in traefik.frontend.auth.basic.users, separated by commas",
    ),
    guards_if_on(
        "frontend.whitelist.usexforwardedfor",
        "judging by X-Forwarded-For, which any client can write,",
        "remove it, and list the balancers before this one in `entryPoints.<name>.forwardedHeaders.trustedIPs`",
    ),
    guards_if_on("frontend.passtlscert", "handing the client's certificate on", "remove it, or let the server end TLS"),
    guards_if_on("frontend.passtlsclientcert.", "handing the client's certificate on", "remove it, or let the server end TLS"),
    guards(
        "frontend.headers.allowedhosts",
        "a list of hosts apart from the rule",
        "put the hosts into the rule: Host:a.example,b.example",
    ),
    guards(
        "frontend.headers.sslhost",
        "a host of its own to redirect to",
        "use traefik.frontend.redirect.regex and .replacement",
    ),
    guards_if_on(
        "frontend.headers.sslforcehost",
        "a host of its own to redirect to",
        "use traefik.frontend.redirect.regex and .replacement",
    ),
    shapes("frontend.headers.hostsproxyheaders", "a field that stands for the host", "remove it"),
    shapes(
        "frontend.headers.sslproxyheaders",
        "a field of one's own that stands for TLS",
        "let the balancer before this one send X-Forwarded-Proto, and list it in `entryPoints.<name>.forwardedHeaders.trustedIPs`",
    ),
    shapes("frontend.headers.isdevelopment", "switching these fields off", "remove it together with them"),
    shapes("frontend.errors.", "error pages", "let the server answer with the page"),
    shapes(
        "backend.circuitbreaker.",
        "a circuit breaker by expression",
        "remove it; a server that fails is left out for a while in any case",
    ),
    shapes("backend.maxconn.", "a limit on requests at once", "use traefik.frontend.rateLimit, or limit in the server"),
    shapes("backend.buffering.", "buffering", "remove it; limit sizes in the server"),
    shapes("backend.responseforwarding.", "a flush interval", "remove it; no response is ever held back"),
    shapes("portindex", "a port by its place", "name it in traefik.port"),
    shapes("portname", "a port by its name", "give its number in traefik.port"),
];

/// Goes through every label of a frontend and its backend. The first that guards keeps the frontend from being served.
pub(super) fn check(unit: &Unit<'_>, draft: &mut Draft) {
    let basic = ["frontend.auth.basic", "frontend.auth.basic.users"].iter().any(|property| unit.labels.get(property).is_some());
    for (property, label) in unit.labels.below("").into_iter().filter(|(_, label)| !label.value.trim().is_empty()) {
        let is = |known: &str| property == known || (known.ends_with('.') && property.starts_with(known));
        match MISSING.iter().find(|missing| is(missing.property)) {
            Some(missing) if missing.switch && !label.is_on() => {}
            Some(missing) if missing.guards && !(basic && is_other_authentication(property)) => {
                let message = format!("{} is not supported yet, and the frontend is not served without it", missing.what);
                unit.refuse(draft, label.name, message, missing.remedy);
            }
            Some(missing) => {
                let message = match is_other_authentication(property) {
                    true => "has no effect beside basic authentication, as in Traefik 1".to_owned(),
                    false => format!("{} is not supported, and the frontend is served without it", missing.what),
                };
                draft.reject(Severity::Warning, label.name, message, missing.remedy);
            }
            None if property.contains('.') && property != "docker.network" && !HANDLED.iter().any(|known| is(known)) => {
                unknown(unit, property, label, draft);
            }
            None => {}
        }
    }
}

/// A label that Traefik 1 has not.
pub(super) fn unknown(unit: &Unit<'_>, property: &str, label: Label<'_>, draft: &mut Draft) {
    let known = HANDLED.iter().copied().chain(MISSING.iter().map(|missing| missing.property));
    let remedy = remedy_for_name(property, known.filter(|known| !known.ends_with('.')));
    if property.starts_with("frontend.") {
        unit.refuse(draft, label.name, "is no label of Traefik 1, and may be a misspelled one that guards", remedy);
    } else {
        draft.reject(Severity::Warning, label.name, "is no label of Traefik 1", remedy);
    }
}

/// Basic authentication goes before all others.
fn is_other_authentication(property: &str) -> bool {
    property.starts_with("frontend.auth.digest.") || property.starts_with("frontend.auth.forward.")
}
