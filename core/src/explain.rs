//! Why a request goes where it goes: the routers in order, and what decided about each.
//!
//! Owns no decision: rules are evaluated by the code that routes, one after the other instead of through the index. The answer is
//! bounded; routers for the requested host come first, and the rest is counted.

#[cfg(test)]
mod tests;
mod text;

use crate::{
    config::dynamic::{Server, ServiceKind},
    http::{Fields, Request, path},
    route::admits_host,
    rule::{Connection, ExprText, Subject},
    snapshot::{CompiledKind, CompiledRouter, EntryPointId, ServiceId, Snapshot},
};
use serde::Serialize;

/// Routers listed at most.
pub const MAX_LISTED: usize = 40;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub entry_point: String,
    pub tls: bool,
    pub method: String,
    pub host: String,
    /// As rules see it.
    pub path: String,
    /// The router of connections that takes the connection before a request is read of it: then no request is routed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Taken>,
    pub winner: Option<Winner>,
    pub considered: Vec<Considered>,
    /// Routers of the entry point that are not listed.
    pub omitted: usize,
}

/// Where the request goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Winner {
    pub router: String,
    pub priority: i64,
    /// Who declared it, and where: `service shop_web: traefik.http.routers.web.rule`.
    pub source: String,
    pub middlewares: Vec<String>,
    /// Tries, the first included.
    pub attempts: u32,
    pub service: String,
    /// The servers behind the service, through weighted and failover services; at most [`MAX_LISTED`].
    pub servers: Vec<Target>,
}

/// A router of connections, and where the connection goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    pub router: String,
    pub priority: i64,
    pub rule: String,
    pub source: String,
    /// TLS ends at the server.
    pub passes_through: bool,
    pub service: String,
    pub servers: Vec<Target>,
}

/// A server that a request could reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub service: String,
    pub url: String,
    /// Which task or container it is; empty where nobody knows, and so the node that it runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Why no request can get there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// A router and what decided about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    pub router: String,
    pub priority: i64,
    pub rule: String,
    pub source: String,
    pub outcome: Outcome,
}

/// What decided about a router.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Outcome {
    Matched,
    /// The first part of the rule that did not hold, and what it looked at.
    FirstFailed {
        matcher: String,
        saw: String,
    },
    /// The rule holds, and so does that of a router that goes first.
    Shadowed {
        by: String,
    },
    /// The rule holds, but the router serves the other of TLS and plaintext.
    OtherSide,
}

/// Explains how a request to an entry point is routed. `None` if there is no such entry point.
pub fn explain<F: Fields>(
    snapshot: &Snapshot,
    entry_point: EntryPointId,
    tls: bool,
    request: &Request<'_, F>,
) -> Option<Explanation> {
    let spec = snapshot.entry_points().get(entry_point.0 as usize)?;
    let path = path::routing_path(&request.path);
    let subject = Subject::new(request, &path);
    let routers = snapshot.in_order(spec, tls);
    let holds = |router: &CompiledRouter| router.router.rule.expr().check(&subject).is_ok();

    let winner = routers.iter().copied().find(|router| holds(router));
    let mut considered: Vec<(Relevance, Considered)> =
        routers.iter().map(|router| (relevance(router, &subject), judge(router, winner, &subject))).collect();
    for router in snapshot.in_order(spec, !tls).into_iter().filter(|router| holds(router)) {
        considered.push((Relevance::Host, describe(router, Outcome::OtherSide)));
    }
    // Stable: within one relevance, routers keep the order in which they are tried.
    considered.sort_by_key(|(relevance, _)| *relevance);
    let all = considered.len();
    let mut left = MAX_LISTED;
    considered.retain(|(_, one)| {
        let listed = left > 0 || one.outcome == Outcome::Matched;
        left = left.saturating_sub(1);
        listed
    });
    Some(Explanation {
        entry_point: spec.name.clone(),
        tls,
        method: request.method.to_owned(),
        host: request.host.to_string(),
        connection: taken(snapshot, entry_point, tls, request),
        winner: winner.map(|router| describe_winner(router, snapshot)),
        omitted: all - considered.len(),
        considered: considered.into_iter().map(|(_, one)| one).collect(),
        path: path.into_owned(),
    })
}

/// Who takes the connection of a client that speaks HTTP, and names the host in its hello.
fn taken<F>(snapshot: &Snapshot, entry_point: EntryPointId, tls: bool, request: &Request<'_, F>) -> Option<Taken> {
    let alpn = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let connection = Connection { client: request.client, server_name: request.host.as_str(), alpn: &alpn };
    let router = match tls {
        true => snapshot.tcp_tls(entry_point, &connection),
        false => snapshot.tcp_plain(entry_point, request.client),
    }?;
    Some(Taken {
        router: router.name.to_string(),
        priority: router.router.priority,
        rule: text::clip(router.router.rule.text()),
        source: router.router.source.clone(),
        passes_through: router.passes_through(),
        service: router.router.service.to_string(),
        servers: servers(router.service, snapshot),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    /// The rule demands the requested host, or holds.
    Host,
    /// The rule demands no host.
    AnyHost,
    Other,
}

fn relevance<F: Fields>(router: &CompiledRouter, subject: &Subject<'_, F>) -> Relevance {
    let expr = router.router.rule.expr();
    match admits_host(expr, subject.host) {
        _ if expr.check(subject).is_ok() => Relevance::Host,
        Some(true) => Relevance::Host,
        None => Relevance::AnyHost,
        Some(false) => Relevance::Other,
    }
}

fn judge<F: Fields>(router: &CompiledRouter, winner: Option<&CompiledRouter>, subject: &Subject<'_, F>) -> Considered {
    let rule = &router.router.rule;
    let outcome = match (rule.expr().check(subject), winner) {
        (Err(part), _) => {
            let matcher = ExprText { expr: part, syntax: rule.syntax() }.to_string();
            Outcome::FirstFailed { matcher: text::clip(&matcher), saw: text::saw(part, subject) }
        }
        (Ok(()), Some(winner)) if winner.id != router.id => Outcome::Shadowed { by: winner.name.to_string() },
        (Ok(()), _) => Outcome::Matched,
    };
    describe(router, outcome)
}

fn describe(router: &CompiledRouter, outcome: Outcome) -> Considered {
    Considered {
        router: router.name.to_string(),
        priority: router.router.priority,
        rule: text::clip(router.router.rule.text()),
        source: router.router.source.clone(),
        outcome,
    }
}

fn describe_winner(router: &CompiledRouter, snapshot: &Snapshot) -> Winner {
    Winner {
        router: router.name.to_string(),
        priority: router.router.priority,
        source: router.router.source.clone(),
        middlewares: router.stages.iter().map(|stage| stage.name.to_string()).collect(),
        attempts: router.retry.map_or(1, |retry| retry.attempts),
        service: snapshot.service(router.service).map_or_else(String::new, |service| service.name.to_string()),
        servers: servers(router.service, snapshot),
    }
}

/// The servers behind a service, in the order in which services refer to each other.
fn servers(service: ServiceId, snapshot: &Snapshot) -> Vec<Target> {
    let (mut queue, mut next) = (vec![service], 0);
    let mut found = Vec::new();
    while let Some(compiled) = queue.get(next).and_then(|id| snapshot.service(*id)) {
        next += 1;
        let children = match &compiled.kind {
            CompiledKind::Weighted { children } => children.iter().map(|(child, _)| *child).collect(),
            CompiledKind::Failover { main, fallback } => vec![*main, *fallback],
            CompiledKind::LoadBalancer | CompiledKind::Internal(_) => Vec::new(),
        };
        for child in children {
            if !queue.contains(&child) {
                queue.push(child);
            }
        }
        if let ServiceKind::LoadBalancer(balancer) = &compiled.service.kind {
            let target = |server: &Server| Target {
                service: compiled.name.to_string(),
                url: server.url.text.to_string(),
                instance: server.instance.clone(),
                node: server.node.clone(),
                unreachable: server.unreachable.clone(),
            };
            found.extend(balancer.servers.iter().take(MAX_LISTED).map(target));
        }
    }
    found.truncate(MAX_LISTED);
    found
}
