//! A request's head as a server read it: framed in one way, without what belonged to the client's connection, and true about who asks.

use super::Caller;
use crate::{
    oracle::{
        Oracle, Verdict, broken,
        wire::{Framing, Head},
    },
    plan::{Ask, traffic::Act},
};

/// Fields that end at the gateway. `Connection` and `Upgrade` are the gateway's own, on an upgrade.
const HOP: [&str; 5] = ["keep-alive", "proxy-connection", "proxy-authorization", "http2-settings", "x-hop"];
/// Claims about the client, in any spelling, that an untrusted one must not get through.
const CLAIMS: [&str; 4] = ["forwarded", "x_forwarded_for", "true-client-ip", "x-original-url"];

/// Judges it.
pub(super) fn judge(id: u64, head: &Head, ask: &Ask, caller: &Caller) -> Verdict {
    wrong(id, head, ask, caller)
        .map_or(Ok(()), |what| broken(Oracle::Headers, format!("request {id} reached its server {what}: {head:?}")))
}

fn wrong(id: u64, head: &Head, ask: &Ask, caller: &Caller) -> Option<String> {
    let [method, target, version] = &head.line;
    if (method.as_str(), version.as_str()) != (if ask.post { "POST" } else { "GET" }, "HTTP/1.1")
        || *target != format!("/request/{id}")
    {
        return Some(format!("as {method} {target} {version}"));
    }
    let framing = match head.request_framing() {
        Err(fault) => return Some(format!("with {fault}")),
        Ok(framing) => framing,
    };
    let sound = match framing {
        Framing::None => ask.body == 0,
        Framing::Length(length) => length == ask.body,
        Framing::Chunked => true,
        Framing::UntilClose => false,
    };
    if !sound {
        return Some(format!("with {framing:?} for a body of {} bytes", ask.body));
    }
    if let Some((name, _)) =
        head.fields.iter().find(|(name, _)| HOP.iter().chain(&CLAIMS).any(|no| name.eq_ignore_ascii_case(no)))
    {
        return Some(format!("with {name}"));
    }
    let upgrades = matches!(ask.act, Act::WebSocket { .. });
    let connection = head.get("connection").unwrap_or_default();
    let own = match connection.to_ascii_lowercase().as_str() {
        "" => !upgrades,
        "upgrade" => upgrades,
        // The gateway's own word to the server.
        "close" => true,
        _ => false,
    };
    if !own || head.get("upgrade").is_some() != upgrades {
        return Some(format!("with Connection: {connection}"));
    }
    if head.all("te").any(|te| !te.eq_ignore_ascii_case("trailers")) {
        return Some("with a TE of the client's".into());
    }
    let host = format!("s{}.test", ask.service);
    let (scheme, port) = match (caller.secure, upgrades) {
        (false, false) => ("http", "80"),
        (false, true) => ("ws", "80"),
        (true, false) => ("https", "443"),
        (true, true) => ("wss", "443"),
    };
    let truth = [
        ("host", host.as_str()),
        ("x-forwarded-for", caller.address.as_str()),
        ("x-real-ip", caller.address.as_str()),
        ("x-forwarded-host", host.as_str()),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-port", port),
    ];
    truth.iter().find_map(|(name, value)| {
        let said: Vec<_> = head.all(name).collect();
        (said != [*value]).then(|| format!("with {name} {said:?} where {value:?} is true"))
    })
}
