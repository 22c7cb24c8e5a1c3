//! `/api/fairlead/explain?method=GET&url=https://a.example/b&entryPoint=web&header=Name: value&client=192.0.2.1`: where a request
//! would go, and why not elsewhere. It decides nothing: it asks the code that routes.
//!
//! Without `entryPoint`, every entry point is asked.

use super::{
    AdminState, Response,
    object::redact_url,
    query::Query,
    response::{error, json},
};
use fairlead_core::{
    explain::explain,
    http::{Host, Request, Scheme, VecFields, path, target},
};
use std::{borrow::Cow, net::IpAddr};

pub(super) fn respond(state: &AdminState<'_>, query: &Query, client: IpAddr) -> Response {
    match answer(state, query, client) {
        Ok(value) => json(&value),
        Err(message) => error(400, &message),
    }
}

fn answer(state: &AdminState<'_>, query: &Query, client: IpAddr) -> Result<serde_json::Value, String> {
    let url = query.get("url").ok_or("url is missing: ask with ?url=https://host/path")?;
    let method = query.get("method").unwrap_or("GET");
    let scheme = match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(format!("url must begin with http:// or https://, not {url:?}")),
    };
    let client = match query.get("client") {
        None => client,
        Some(text) => text.parse().map_err(|_| format!("client must be an IP address, not {text:?}"))?,
    };
    let target = target::split(method, url, scheme, target::Semicolons::default()).map_err(|e| format!("url: {e}"))?;
    let authority = target.authority.ok_or("url names no host")?;
    let (host, port) = Host::parse(authority.as_bytes()).map_err(|e| format!("url: {e}"))?;
    let given = if target.path.is_empty() { "/" } else { target.path };
    let canonical = path::canonicalize(given, path::PathPolicy::default()).map_err(|e| format!("url: {e}"))?;
    let fields = fields(query, authority)?;
    let asked = |name: &str| query.get("entryPoint").is_none_or(|wanted| wanted == name);
    let entry_points = state.snapshot.entry_points().iter().filter(|e| asked(&e.name));
    let explanations: Vec<_> = entry_points
        .filter_map(|entry_point| {
            let request = Request {
                method,
                scheme,
                host: &host,
                port,
                path: Cow::Borrowed(&*canonical),
                query: target.query.as_deref().map(Cow::Borrowed),
                client,
                fields: &fields,
            };
            let id = state.snapshot.entry_point(&entry_point.name)?;
            let mut explanation = explain(state.snapshot, id, scheme == Scheme::Https, &request)?;
            for server in explanation.winner.iter_mut().flat_map(|winner| &mut winner.servers) {
                server.url = redact_url(&server.url);
            }
            Some(explanation)
        })
        .collect();
    if explanations.is_empty()
        && let Some(wanted) = query.get("entryPoint")
    {
        let known: Vec<&str> = state.snapshot.entry_points().iter().map(|e| e.name.as_str()).collect();
        return Err(format!("there is no entry point {wanted:?}; there are {}", known.join(", ")));
    }
    Ok(serde_json::json!({ "snapshot": state.snapshot.number(), "explanations": explanations }))
}

fn fields(query: &Query, authority: &str) -> Result<VecFields, String> {
    let mut fields = vec![("Host".to_owned(), authority.as_bytes().to_vec())];
    for header in query.all("header") {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("header must be `Name: value`, not {header:?}"))?;
        fields.push((name.trim().to_owned(), value.trim().as_bytes().to_vec()));
    }
    Ok(VecFields(fields))
}
