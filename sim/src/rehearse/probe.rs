//! Requests made up from rules: for each router one that its rule matches and that reaches it, as the product itself routes.
//!
//! Owns what a client of each router asks, and what the configuration says it must be answered. A rule is taken apart into its
//! alternatives; each gives a request, which is then tried with other methods and longer paths where another router goes first.

use super::{
    blueprint::{Blueprint, GATEWAY},
    input::PASSWORD,
    sample,
};
use fairlead_actors::entry_point;
use fairlead_core::{
    config::{
        dynamic::{Depth, Internal, IpRange, MiddlewareKind, ServiceKind},
        static_::{EntryPoint, Protocol},
    },
    explain::{Outcome, explain},
    http::{Host, Request, Scheme, VecFields, path, target},
    rule::{Expr, Matcher, Test},
    snapshot::CompiledRouter,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// A request that clients send over and over.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The router that it reaches; empty for none.
    pub router: String,
    pub service: String,
    /// Load balancers that may answer.
    pub leaves: BTreeSet<String>,
    pub expects: Expect,
    pub entry_point: String,
    pub port: u16,
    pub tls: bool,
    /// What the rule admits.
    pub methods: Vec<String>,
    pub host: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub client: Client,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Any of the crowd.
    Crowd,
    /// Somebody at this address.
    At(IpAddr),
}

/// What the configuration says of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// That of a server behind one of the leaves.
    Server,
    /// A redirect by a middleware.
    Redirect,
    /// A redirect or a server's, which depends on an expression.
    Either,
    /// The gateway's own, with this status.
    Status(u16),
    /// A built-in service's.
    Internal,
}

/// Members of the crowd.
pub const CROWD: u8 = 4;

/// Requests for every router that can be reached; the others with the reason why not.
pub fn all(blueprint: &Blueprint) -> (Vec<Probe>, Vec<(String, String)>) {
    let (mut probes, mut unexercised) = (Vec::new(), Vec::new());
    for router in blueprint.snapshot.routers() {
        // Redirections of entry points, and the gateway's own services, stand for themselves.
        if router.name.provider() == "internal" {
            continue;
        }
        match of_router(blueprint, router) {
            Ok(found) => probes.extend(found),
            Err(why) => unexercised.push((router.name.to_string(), why)),
        }
    }
    let connections = blueprint.snapshot.tcp_routers();
    unexercised
        .extend(connections.map(|r| (format!("{} (tcp)", r.name), "connections without HTTP are not rehearsed".to_owned())));
    probes.extend(blueprint.config.entry_points.values().filter_map(|entry| unmatched(blueprint, entry)));
    (probes, unexercised)
}

/// What the rule demands, as a request in the making.
#[derive(Clone, Default)]
struct Draft {
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    query: Vec<(String, String)>,
    fields: Vec<(String, String)>,
    client: Option<IpAddr>,
}

fn of_router(blueprint: &Blueprint, router: &CompiledRouter) -> Result<Vec<Probe>, String> {
    let mut why = "no request that its rule matches could be made up".to_owned();
    for name in router.router.entry_points.iter() {
        let Some(entry) = blueprint.config.entry_points.get(name).filter(|entry| entry.address.protocol == Protocol::Tcp) else {
            continue;
        };
        for draft in drafts(router.router.rule.expr()) {
            for (method, suffix) in ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
                .iter()
                .flat_map(|method| ["", "/", "x", "/x", "/rehearsal/deep"].iter().map(move |suffix| (*method, *suffix)))
            {
                let mut probe = probe(router, entry, &draft, suffix);
                match reaches(blueprint, &probe, draft.method.as_deref().unwrap_or(method), router) {
                    Ok(()) => {
                        let methods = ["GET", "POST"].iter().chain(std::iter::once(&method)).map(|m| (*m).to_owned());
                        let methods: BTreeSet<String> = draft.method.iter().cloned().chain(methods).collect();
                        probe.methods = methods.into_iter().filter(|m| reaches(blueprint, &probe, m, router).is_ok()).collect();
                        return finish(blueprint, router, probe);
                    }
                    Err(Some(reason)) => why = reason,
                    Err(None) => {}
                }
            }
        }
    }
    Err(why)
}

fn probe(router: &CompiledRouter, entry: &EntryPoint, draft: &Draft, suffix: &str) -> Probe {
    let path = draft.path.clone().unwrap_or_else(|| "/".to_owned());
    let path = match (draft.path.is_some(), suffix) {
        (_, "") => path,
        (_, suffix) if suffix.starts_with('/') => path.trim_end_matches('/').to_owned() + suffix,
        _ => path + suffix,
    };
    let query: Vec<_> = draft.query.iter().map(|(k, v)| format!("{}={}", escape(k, false), escape(v, false))).collect();
    let mut target = escape(&path, true);
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    Probe {
        router: router.name.to_string(),
        service: router.router.service.to_string(),
        leaves: BTreeSet::new(),
        expects: Expect::Server,
        entry_point: entry.name.clone(),
        port: entry.address.port,
        tls: router.router.tls.is_some(),
        methods: Vec::new(),
        host: draft.host.clone().unwrap_or_else(|| "rehearsal.example".to_owned()),
        target,
        fields: draft.fields.clone(),
        client: draft.client.map_or(Client::Crowd, Client::At),
    }
}

/// Middlewares decide what comes back, and what a client must bring.
fn finish(blueprint: &Blueprint, router: &CompiledRouter, mut probe: Probe) -> Result<Vec<Probe>, String> {
    let mut refused = Vec::new();
    let mut answered = None;
    for stage in &router.stages {
        match &stage.middleware.kind {
            MiddlewareKind::BasicAuth(auth) => {
                let Some(user) = auth.users.keys().next() else { continue };
                refused.push(Probe { expects: Expect::Status(401), ..probe.clone() });
                let credentials = base64(format!("{user}:{PASSWORD}").as_bytes());
                probe.fields.push(("Authorization".into(), format!("Basic {credentials}")));
            }
            MiddlewareKind::IpAllowList { ranges, depth: Depth::Peer, reject_status } => {
                let stranger = Ipv4Addr::new(192, 0, 2, 77);
                let inside = |ip: IpAddr| ranges.iter().any(|range| range.contains(ip));
                if probe.client == Client::Crowd && !inside(stranger.into()) {
                    let client = Client::At(stranger.into());
                    refused.push(Probe { expects: Expect::Status(*reject_status), client, ..probe.clone() });
                }
                match probe.client {
                    Client::Crowd => {
                        let ip = ranges.iter().find_map(member).ok_or("its ipAllowList admits nobody who could ask here")?;
                        probe.client = Client::At(ip);
                    }
                    Client::At(ip) if !inside(ip) => return Err("its rule and its ipAllowList admit nobody in common".into()),
                    Client::At(_) => {}
                }
            }
            MiddlewareKind::RedirectScheme { scheme, .. } if scheme != if probe.tls { "https" } else { "http" } => {
                answered.get_or_insert(Expect::Redirect);
            }
            MiddlewareKind::RedirectRegex { .. } => {
                answered.get_or_insert(Expect::Either);
            }
            _ => {}
        }
    }
    let internal = match blueprint.dynamic.services.get(&router.router.service).map(|service| &service.kind) {
        Some(ServiceKind::Internal(Internal::Noop)) => Some(Expect::Status(418)),
        Some(ServiceKind::Internal(_)) => Some(Expect::Internal),
        _ => None,
    };
    probe.expects = answered.or(internal).unwrap_or(Expect::Server);
    probe.leaves = blueprint.leaves(&probe.service);
    refused.truncate(2);
    // The others are asked for by clients that are turned away, so what is behind them does not matter.
    Ok(std::iter::once(probe).chain(refused).collect())
}

/// What no router takes.
fn unmatched(blueprint: &Blueprint, entry: &EntryPoint) -> Option<Probe> {
    if entry.address.protocol != Protocol::Tcp || entry.name == "traefik" {
        return None;
    }
    // A router of connections may take everything that comes here, or wait for what no HTTP client says.
    if blueprint.snapshot.entry_point(&entry.name).is_none_or(|id| blueprint.snapshot.has_tcp(id)) {
        return None;
    }
    let tls = entry.http.tls.is_some();
    let probe = Probe {
        router: String::new(),
        service: String::new(),
        leaves: BTreeSet::new(),
        expects: Expect::Status(entry.http.unmatched_status),
        entry_point: entry.name.clone(),
        port: entry.address.port,
        tls: false,
        methods: vec!["GET".into()],
        host: "nobody-is-here.invalid".into(),
        target: "/nothing/here".into(),
        fields: Vec::new(),
        client: Client::Crowd,
    };
    // Without a certificate for the name a handshake may rightly fail, so only plaintext is asked.
    (!tls && routed(blueprint, &probe, "GET")?.is_none()).then_some(probe)
}

/// The router that a request comes to; the outer `None` if it is no request at all.
fn routed<'a>(blueprint: &'a Blueprint, probe: &Probe, method: &str) -> Option<Option<&'a CompiledRouter>> {
    with_request(blueprint, probe, method, |id, request| blueprint.snapshot.route(id, probe.tls, request))
}

fn reaches(blueprint: &Blueprint, probe: &Probe, method: &str, router: &CompiledRouter) -> Result<(), Option<String>> {
    match routed(blueprint, probe, method) {
        Some(Some(winner)) if winner.id == router.id => Ok(()),
        Some(Some(_)) => {
            // Why not: only a router that takes what this one's own rule matches is worth a word.
            let outcome = with_request(blueprint, probe, method, |id, request| {
                let explanation = explain(&blueprint.snapshot, id, probe.tls, request)?;
                explanation.considered.into_iter().find(|one| one.router == router.name.as_str()).map(|one| one.outcome)
            });
            match outcome.flatten() {
                Some(Outcome::Shadowed { by }) => Err(Some(format!("whatever its rule matches, router {by} takes first"))),
                _ => Err(None),
            }
        }
        _ => Err(None),
    }
}

fn with_request<R>(
    blueprint: &Blueprint,
    probe: &Probe,
    method: &str,
    with: impl FnOnce(fairlead_core::snapshot::EntryPointId, &Request<'_, VecFields>) -> R,
) -> Option<R> {
    let entry = blueprint.config.entry_points.get(&probe.entry_point)?;
    let scheme = if probe.tls { Scheme::Https } else { Scheme::Http };
    let split = target::split(method, &probe.target, scheme, entry_point::semicolons(&entry.http)).ok()?;
    let path = path::canonicalize(split.path, entry_point::path_policy(&entry.http)).ok()?;
    let (host, port) = Host::parse(probe.host.as_bytes()).ok()?;
    let client = match probe.client {
        Client::Crowd => crowd(0),
        Client::At(ip) => ip,
    };
    let fields = VecFields(probe.fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect());
    let request = Request { method, scheme, host: &host, port, path, query: split.query, client, fields };
    Some(with(blueprint.snapshot.entry_point(&probe.entry_point)?, &request))
}

/// The address of a member of the crowd.
pub fn crowd(member: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10 + member))
}

/// Alternatives of a rule, at most 64.
fn drafts(expr: &Expr) -> Vec<Draft> {
    let mut all = vec![Draft::default()];
    add(expr, &mut all);
    all
}

fn add(expr: &Expr, to: &mut Vec<Draft>) {
    match expr {
        Expr::And(members) => members.iter().for_each(|member| add(member, to)),
        Expr::Or(members) => {
            let before = std::mem::take(to);
            for member in members {
                let mut branch = before.clone();
                add(member, &mut branch);
                to.extend(branch);
                to.truncate(64);
            }
        }
        Expr::Matcher(matcher) => to.retain_mut(|draft| demand(matcher, draft).is_some()),
    }
}

/// Adds what a matcher demands. `None`: nothing is known that would do. What is negated demands nothing, and is checked later.
fn demand(matcher: &Matcher, draft: &mut Draft) -> Option<()> {
    if matcher.negated {
        return Some(());
    }
    match &matcher.test {
        Test::AnyHost => {}
        Test::Host(host) => draft.host = Some(host.to_string()),
        Test::HostWildcard(suffix) => draft.host = Some(format!("rehearsal{suffix}")),
        Test::HostRegexp(pattern) => draft.host = Some(sample::of_expression(pattern.as_str())?.to_ascii_lowercase()),
        Test::HostTemplate(pattern) => draft.host = Some(sample::of_template(pattern.as_str())?.to_ascii_lowercase()),
        Test::Path(path) => draft.path = Some(path.to_string()),
        Test::PathPrefix(prefix) => {
            if !draft.path.as_deref().is_some_and(|path| path.starts_with(&**prefix)) {
                draft.path = Some(prefix.to_string());
            }
        }
        Test::PathRegexp(pattern) => {
            let sample = sample::of_expression(pattern.as_str())?;
            draft.path = Some(if sample.starts_with('/') { sample } else { format!("/{sample}") });
        }
        Test::PathTemplate(pattern) | Test::PathPrefixTemplate(pattern) => {
            draft.path = Some(sample::of_template(pattern.as_str())?);
        }
        Test::Method(method) => draft.method = Some(method.to_string()),
        Test::Header { name, value } => draft.fields.push((name.to_string(), value.to_string())),
        Test::HeaderRegexp { name, pattern } => {
            draft.fields.push((name.to_string(), sample::of_expression(pattern.as_str())?));
        }
        Test::Query { key, value } => draft.query.push((key.to_string(), value.to_string())),
        Test::QueryRegexp { key, pattern } => draft.query.push((key.to_string(), sample::of_expression(pattern.as_str())?)),
        Test::QueryTemplate { key, pattern } => {
            let value = pattern.as_ref().map_or(Some("x".to_owned()), |pattern| sample::of_template(pattern.as_str()))?;
            draft.query.push((key.to_string(), value));
        }
        Test::ClientIp(range) => draft.client = Some(member(range)?),
        // Of connections, which no request is.
        _ => return None,
    }
    Some(())
}

/// An address in a range at which a simulated client may be.
fn member(range: &IpRange) -> Option<IpAddr> {
    let bits = if range.address.is_ipv4() { 32 } else { 128 };
    let ip = match (range.address, range.prefix == bits) {
        (ip, true) => ip,
        // Far enough in not to be a router's or a server's.
        (IpAddr::V4(ip), false) => {
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() | (199 & ((1u32 << (32 - range.prefix.min(31))) - 1)).max(1)))
        }
        (IpAddr::V6(ip), false) => IpAddr::V6((ip.to_bits() | 1).into()),
    };
    (!ip.is_loopback() && !ip.is_unspecified() && ip != IpAddr::V4(GATEWAY) && range.contains(ip)).then_some(ip)
}

fn escape(text: &str, is_path: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' | b':' | b'@' | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b',' if is_path => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_core::rule::{Syntax, parse};

    #[test]
    fn every_alternative_of_a_rule_gives_a_draft() {
        let rule = parse("(Host(`a.test`) || Host(`b.test`)) && PathPrefix(`/x`) && Method(`POST`)", Syntax::V3).unwrap();
        let found: Vec<_> =
            drafts(rule.expr()).into_iter().map(|d| (d.host.unwrap(), d.path.unwrap(), d.method.unwrap())).collect();
        let draft = |host: &str| (host.to_owned(), "/x".to_owned(), "POST".to_owned());
        assert_eq!(found, [draft("a.test"), draft("b.test")]);
    }

    #[test]
    fn credentials_are_written_as_browsers_write_them() {
        assert_eq!(base64(b"admin:rehearsal"), "YWRtaW46cmVoZWFyc2Fs");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"a"), "YQ==");
    }
}
