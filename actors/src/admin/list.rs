//! Lists and single objects of `/api/http/…` and `/api/entrypoints`, and what those of `/api/tcp/…` have in common with them: filtered and sorted by key, and built for one page only.

use super::{
    AdminState, EndpointView, EntryPointView, Response, object,
    query::Query,
    response::{error, json},
    verdict::{Kind, Standing, Verdicts},
};
use fairlead_core::{
    Name,
    config::dynamic::{Middleware, Router, Service, ServiceKind, TcpRouter},
};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// What lists are filtered and sorted by, and where the object comes from.
pub(super) struct Row<'a, T> {
    /// Qualified; the local name only for an object that is not served.
    pub(super) name: &'a str,
    standing: Standing,
    /// `None`: refused, and not in the configuration.
    pub(super) object: Option<&'a T>,
}

impl<T> Row<'_, T> {
    fn provider(&self) -> &str {
        self.name.rsplit_once('@').map_or("", |(_, provider)| provider)
    }
}

pub(super) fn routers(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let rows = rows(Kind::Router, &state.config.routers, verdicts, query, |row: &Row<'_, Router>| {
        let wants = |name, has: &dyn Fn(&Router, &str) -> bool| {
            query.get(name).is_none_or(|wanted| row.object.is_some_and(|router| has(router, wanted)))
        };
        wants("serviceName", &|router, wanted| router.service.as_str() == wanted)
            && wants("middlewareName", &|router, wanted| router.middlewares.iter().any(|name| name.as_str() == wanted))
    });
    let compare = |by: &str, a: &Router, b: &Router| match by {
        "priority" => a.priority.cmp(&b.priority),
        "rule" => a.rule.text().cmp(b.rule.text()),
        "service" => a.service.cmp(&b.service),
        "entryPoints" => a.entry_points.cmp(&b.entry_points),
        _ => Ordering::Equal,
    };
    respond(query, rows, compare, |row| one_router(verdicts, row))
}

pub(super) fn services(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let rows = rows(Kind::Service, &state.config.services, verdicts, query, |_: &Row<'_, Service>| true);
    let servers = |service: &Service| match &service.kind {
        ServiceKind::LoadBalancer(balancer) => balancer.servers.len(),
        _ => 0,
    };
    let compare = |by: &str, a: &Service, b: &Service| match by {
        "type" => object::service_type(a).cmp(object::service_type(b)),
        "servers" => servers(a).cmp(&servers(b)),
        _ => Ordering::Equal,
    };
    respond(query, rows, compare, |row| one_service(state, verdicts, row))
}

pub(super) fn middlewares(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let rows = rows(Kind::Middleware, &state.config.middlewares, verdicts, query, |_: &Row<'_, Middleware>| true);
    let compare = |by: &str, a: &Middleware, b: &Middleware| match by {
        "type" => object::middleware_type(a).cmp(&object::middleware_type(b)),
        _ => Ordering::Equal,
    };
    respond(query, rows, compare, |row| one_middleware(verdicts, row))
}

pub(super) fn router(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    single(Kind::Router, &state.config.routers, verdicts, name, |row| one_router(verdicts, row))
}

pub(super) fn service(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    single(Kind::Service, &state.config.services, verdicts, name, |row| one_service(state, verdicts, row))
}

pub(super) fn middleware(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    single(Kind::Middleware, &state.config.middlewares, verdicts, name, |row| one_middleware(verdicts, row))
}

pub(super) fn entry_points(state: &AdminState<'_>, query: &Query) -> Response {
    let search = query.get("search").map(str::to_lowercase);
    let wanted = |e: &&EntryPointView| search.as_ref().is_none_or(|s| e.name.to_lowercase().contains(s));
    let mut found: Vec<&EntryPointView> = state.options.entry_points.iter().filter(wanted).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    page(query, found.into_iter().map(one_entry_point).collect())
}

pub(super) fn entry_point(state: &AdminState<'_>, name: &str) -> Response {
    match state.options.entry_points.iter().find(|e| e.name == name) {
        Some(found) => json(&one_entry_point(found)),
        None => error(404, &format!("entry point not found: {name}")),
    }
}

/// One page of elements that are there already.
pub(super) fn page(query: &Query, elements: Vec<Value>) -> Response {
    match query.page(elements.len()) {
        Ok((range, next)) => json(&Value::from(elements[range].to_vec())).with("X-Next-Page", next.to_string()),
        Err(message) => error(400, &message),
    }
}

/// The endpoints of one service.
pub(super) fn endpoints_of<'a>(state: &AdminState<'a>, service: &str) -> &'a [EndpointView] {
    let start = state.endpoints.partition_point(|e| e.service.as_str() < service);
    let len = state.endpoints[start..].partition_point(|e| e.service == service);
    &state.endpoints[start..start + len]
}

type Named<T> = fairlead_core::map::Map<Name, std::sync::Arc<T>>;

pub(super) fn rows<'a, T>(
    kind: Kind,
    objects: &'a Named<T>,
    verdicts: &'a Verdicts<'_>,
    query: &Query,
    wanted: impl Fn(&Row<'_, T>) -> bool,
) -> Vec<Row<'a, T>>
where
    T: Searched,
{
    let search = query.get("search").map(str::to_lowercase);
    let status = query.get("status").map(str::to_lowercase);
    let served = objects.iter().map(|(name, object)| Row {
        name: name.as_str(),
        standing: verdicts.standing(kind, name),
        object: Some(&**object),
    });
    let refused = verdicts.disabled(kind).map(|name| Row { name, standing: Standing::Disabled, object: None });
    let matches = |row: &Row<'_, T>| {
        let text = |s: &String| {
            row.name.to_lowercase().contains(s) || row.object.is_some_and(|object| object.text().to_lowercase().contains(s))
        };
        search.as_ref().is_none_or(text) && status.as_ref().is_none_or(|s| s == row.standing.as_str()) && wanted(row)
    };
    served.chain(refused).filter(matches).collect()
}

/// What `search` looks at besides the name.
pub(super) trait Searched {
    fn text(&self) -> &str {
        ""
    }
}

impl Searched for Router {
    fn text(&self) -> &str {
        self.rule.text()
    }
}
impl Searched for TcpRouter {
    fn text(&self) -> &str {
        self.rule.text()
    }
}
impl Searched for Service {}
impl Searched for Middleware {}

pub(super) fn respond<T>(
    query: &Query,
    mut rows: Vec<Row<'_, T>>,
    compare: impl Fn(&str, &T, &T) -> Ordering,
    build: impl Fn(&Row<'_, T>) -> Value,
) -> Response {
    let by = query.get("sortBy").unwrap_or("name");
    rows.sort_by(|a, b| {
        let first = match by {
            "name" => Ordering::Equal,
            "provider" => a.provider().cmp(b.provider()),
            "status" => a.standing.as_str().cmp(b.standing.as_str()),
            _ => match (a.object, b.object) {
                (Some(a), Some(b)) => compare(by, a, b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            },
        };
        first.then_with(|| a.name.cmp(b.name))
    });
    if query.get("direction").is_some_and(|direction| direction != "asc") {
        rows.reverse();
    }
    match query.page(rows.len()) {
        Ok((range, next)) => {
            let built: Vec<Value> = rows[range].iter().map(build).collect();
            json(&built.into()).with("X-Next-Page", next.to_string())
        }
        Err(message) => error(400, &message),
    }
}

/// One object by its name.
pub(super) fn single<'a, T>(
    kind: Kind,
    objects: &'a Named<T>,
    verdicts: &'a Verdicts<'_>,
    name: &str,
    build: impl FnOnce(&Row<'a, T>) -> Value,
) -> Response {
    match find(kind, objects, verdicts, name) {
        Some(row) => json(&build(&row)),
        None => error(404, &format!("{} not found: {name}", kind.as_str())),
    }
}

fn find<'a, T>(kind: Kind, objects: &'a Named<T>, verdicts: &'a Verdicts<'_>, name: &str) -> Option<Row<'a, T>> {
    if let Some((name, object)) = objects.get_key_value(name) {
        return Some(Row { name: name.as_str(), standing: verdicts.standing(kind, name), object: Some(object) });
    }
    let name = verdicts.disabled(kind).find(|disabled| *disabled == name)?;
    Some(Row { name, standing: Standing::Disabled, object: None })
}

fn one_router(verdicts: &Verdicts<'_>, row: &Row<'_, Router>) -> Value {
    let Some(router) = row.object else { return named(object::disabled(verdicts, Kind::Router, row.name), row, None).into() };
    let mut out = named(object::router(router, verdicts), row, None);
    out.insert("priorityStr".into(), router.priority.to_string().into());
    out.into()
}

fn one_service(state: &AdminState<'_>, verdicts: &Verdicts<'_>, row: &Row<'_, Service>) -> Value {
    let Some(service) = row.object else { return named(object::disabled(verdicts, Kind::Service, row.name), row, None).into() };
    let built = object::service(service, verdicts, endpoints_of(state, row.name));
    named(built, row, Some(object::service_type(service))).into()
}

fn one_middleware(verdicts: &Verdicts<'_>, row: &Row<'_, Middleware>) -> Value {
    let Some(middleware) = row.object else {
        return named(object::disabled(verdicts, Kind::Middleware, row.name), row, None).into();
    };
    named(object::middleware(middleware, verdicts), row, Some(&object::middleware_type(middleware))).into()
}

fn one_entry_point(view: &EntryPointView) -> Value {
    let mut out = Map::new();
    out.insert("address".into(), view.address.as_str().into());
    out.extend(view.settings.clone());
    out.insert("name".into(), view.name.as_str().into());
    out.into()
}

/// With what identifies it.
pub(super) fn named<T>(mut object: Map<String, Value>, row: &Row<'_, T>, kind: Option<&str>) -> Map<String, Value> {
    object.insert("name".into(), row.name.into());
    object.insert("provider".into(), row.provider().into());
    if let Some(kind) = kind {
        object.insert("type".into(), json!(kind));
    }
    object
}
