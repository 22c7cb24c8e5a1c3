//! Routers: rules, what they refer to, and the defaults of the entry points they listen on.

use super::{
    Built, Fault, Hints, INTERNAL, Notes, Settled, built, internal,
    settle::{Candidate, Candidates, settle},
    source_of, tls,
};
use crate::{
    Name,
    config::{
        Config, RawDynamic, Rejection, StaticConfig,
        decode::{quote, remedy_for_name},
        dynamic::{Middleware, Observability, Router, RouterTls, Service, Tls},
        raw,
        static_::{EntryPoint, PRIORITY_LIMIT, Protocol},
    },
    map::Map,
    rule::{self, Rule, Syntax},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What routers may refer to.
pub(super) struct Known<'a> {
    pub(super) services: &'a Map<Name, Arc<Service>>,
    pub(super) middlewares: &'a Map<Name, Arc<Middleware>>,
    pub(super) tls: &'a Tls,
    /// Declared, served or not.
    pub(super) service_names: &'a [Name],
    /// Declared, served or not.
    pub(super) middleware_names: &'a [Name],
}

/// A router as declared, before entry points add their defaults.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) declared: Name,
    pub(super) entry_points: Arc<[String]>,
    pub(super) rule: Rule,
    pub(super) priority: i64,
    pub(super) middlewares: Vec<Name>,
    pub(super) service: Name,
    pub(super) tls: Option<RouterTls>,
    pub(super) access_log: Option<bool>,
    pub(super) metrics: Option<bool>,
    pub(super) tracing: Option<bool>,
    pub(super) source: String,
}

/// What one declared router becomes: mostly one router, and more where entry points differ in their defaults.
#[derive(Debug)]
pub(super) struct Copies(pub(super) Box<[Arc<Router>]>);

impl Settled for Copies {
    fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Routers as they are served, by the name under which each was declared.
pub(super) type Served = Map<Name, Arc<Copies>>;

/// Whether nothing changed.
fn same(a: &Router, b: &Router) -> bool {
    (&a.name, &a.declared, &a.entry_points, &a.rule, a.priority) == (&b.name, &b.declared, &b.entry_points, &b.rule, b.priority)
        && (&a.middlewares, &a.service, &a.tls, a.observability, &a.source)
            == (&b.middlewares, &b.service, &b.tls, b.observability, &b.source)
}

pub(super) fn resolve(
    inputs: &BTreeMap<String, RawDynamic>,
    config: &StaticConfig,
    last: &Config,
    memo: &Built<Copies>,
    known: &Known<'_>,
    hints: &Hints,
    rejections: &mut Vec<Rejection>,
) -> (Map<Name, Arc<Router>>, Built<Copies>, Served) {
    let before = served(last);
    let mut candidates = Vec::new();
    let mut all_built = Vec::new();
    for (provider, raw) in inputs.iter().filter(|(provider, _)| *provider != INTERNAL) {
        for (local, unit) in &raw.routers {
            if let Some(entry) = memo.find(&unit.written, local, provider) {
                let last = before.get(&entry.name).cloned();
                candidates.push((entry.name.clone(), Candidate::again(entry, last)));
                all_built.push(entry.clone());
                continue;
            }
            let name = Name::qualify(local, provider);
            let last = before.get(&name).cloned();
            let shared_with = last.as_ref().map_or(&[][..], |copies| &copies.0);
            let (new, found) = build(unit, &name, provider, config, shared_with, known.services);
            let candidate = Candidate::new(Some(unit.written.clone()), new, last, found);
            all_built.extend(candidate.built(&unit.written, &name));
            candidates.push((name, candidate));
        }
    }
    for (draft, defaults) in internal::routers(config, rejections) {
        let name = draft.declared.clone();
        let known = before.get(&name).map_or(&[][..], |copies| &copies.0);
        let new = shared(copies(&draft, config, defaults), known);
        candidates.push((name, Candidate::new(None, Some(new), None, Vec::new())));
    }
    let mut candidates: Candidates<Copies> = candidates.into_iter().collect();

    let default_broken = is_default_broken(inputs, known.tls);
    let options = options_names(known.tls);
    for candidate in candidates.values_mut() {
        candidate.demote_if(|copies| {
            copies.0.iter().flat_map(|router| missing(router, known, default_broken, &options, hints)).collect()
        });
    }
    without_clashes(&mut candidates);

    let settled = settle(candidates, usize::MAX, |_| Vec::new(), |_, _| None, rejections);
    let routers =
        settled.values().flat_map(|copies| copies.0.iter()).map(|router| (router.name.clone(), router.clone())).collect();
    (routers, Built::of(all_built), settled)
}

/// What one declared router comes to; what is as it was, shared with `known`.
pub(super) fn build(
    unit: &raw::Unit<raw::Router>,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    known: &[Arc<Router>],
    services: &Map<Name, Arc<Service>>,
) -> (Option<Copies>, Vec<Rejection>) {
    let (draft, found) = built(unit, |raw, notes| draft(raw, name, provider, config, known, notes));
    let copies = |mut draft: Draft| {
        // The service's own copy of its name: ten thousand of them are worth it.
        if let Some((name, _)) = services.get_key_value(&draft.service) {
            draft.service = name.clone();
        }
        shared(copies(&draft, config, true), known)
    };
    (draft.map(copies), found)
}

/// Whether all that it refers to is there.
pub(super) fn is_whole(copies: &Copies, inputs: &BTreeMap<String, RawDynamic>, known: &Known<'_>, hints: &Hints) -> bool {
    let (default_broken, options) = (is_default_broken(inputs, known.tls), options_names(known.tls));
    copies.0.iter().all(|router| missing(router, known, default_broken, &options, hints).is_empty())
}

/// Whether default TLS options were written that cannot be served.
pub(super) fn is_default_broken(inputs: &BTreeMap<String, RawDynamic>, tls: &Tls) -> bool {
    !tls.options.contains_key(&Name::whole(tls::DEFAULT)) && inputs.values().any(|raw| raw.tls_options.contains_key(tls::DEFAULT))
}

/// TLS options that a router can name.
pub(super) fn options_names(tls: &Tls) -> Vec<Name> {
    tls.options.keys().cloned().chain([Name::whole(tls::DEFAULT)]).collect()
}

/// What is served of each declared router.
fn served(last: &Config) -> Cow<'_, Served> {
    if last.memo.static_.is_some() || last.routers.is_empty() {
        return Cow::Borrowed(&last.memo.served);
    }
    let mut served: BTreeMap<&Name, Vec<Arc<Router>>> = BTreeMap::new();
    for router in last.routers.values() {
        served.entry(&router.declared).or_default().push(router.clone());
    }
    Cow::Owned(served.into_iter().map(|(name, routers)| (name.clone(), Arc::new(Copies(routers.into())))).collect())
}

fn missing(router: &Router, known: &Known<'_>, default_broken: bool, options: &[Name], hints: &Hints) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !known.services.contains_key(&router.service) {
        let remedy = internal::hint(&router.service).unwrap_or_else(|| hints.for_name(&router.service, known.service_names));
        faults.push(Fault { path: vec!["service"], message: format!("there is no service `{}`", router.service), remedy });
    }
    for name in router.middlewares.iter().filter(|name| !known.middlewares.contains_key(*name)).collect::<BTreeSet<_>>() {
        let remedy = hints.for_name(name, known.middleware_names);
        faults.push(Fault { path: vec!["middlewares"], message: format!("there is no middleware `{name}`"), remedy });
    }
    if let Some(tls) = &router.tls {
        faults.extend(options_fault(&tls.options, known.tls, default_broken, options, hints));
    }
    faults
}

/// What is wrong with the TLS options that a router names.
pub(super) fn options_fault(name: &Name, tls: &Tls, default_broken: bool, names: &[Name], hints: &Hints) -> Option<Fault> {
    let path = vec!["tls", "options"];
    let is_default = name.as_str() == tls::DEFAULT;
    if is_default && default_broken {
        let remedy = "correct them: without them, weaker ones would be used".to_owned();
        return Some(Fault { path, message: "the TLS options `default` are broken".to_owned(), remedy });
    }
    let missing = !is_default && !tls.options.contains_key(name);
    missing.then(|| Fault { path, message: format!("there are no TLS options `{name}`"), remedy: hints.for_name(name, names) })
}

/// Gives up those whose copies would take another router's name: a name that was declared goes before one that was made.
fn without_clashes(candidates: &mut Candidates<Copies>) {
    // Names that were declared are distinct.
    let was_made = |(declared, candidate): (&Name, &Candidate<Copies>)| {
        candidate.current().is_some_and(|copies| copies.0.iter().any(|router| router.name != *declared))
    };
    if !candidates.iter().any(was_made) {
        return;
    }
    let mut owners: BTreeMap<Name, (bool, Name)> = BTreeMap::new();
    for (declared, candidate) in candidates.iter() {
        for name in candidate.current().into_iter().flat_map(|copies| copies.0.iter()).map(|router| &router.name) {
            let claim = (name != declared, declared.clone());
            match owners.get_mut(name) {
                Some(owner) => *owner = claim.min(owner.clone()),
                None => {
                    owners.insert(name.clone(), claim);
                }
            }
        }
    }
    for (declared, candidate) in candidates.iter_mut() {
        candidate.demote_if(|copies| {
            let clash = copies.0.iter().find(|router| owners.get(&router.name).is_some_and(|(_, owner)| owner != declared));
            let fault = clash.map(|router| Fault {
                path: vec!["entryPoints"],
                message: format!("its copy for an entry point would be named `{}`, and so is another router", router.name),
                remedy: "give one of the two another name".to_owned(),
            });
            fault.into_iter().collect()
        });
    }
}

fn shared(routers: Vec<Router>, last: &[Arc<Router>]) -> Copies {
    let share = |router: Router| match last.iter().find(|last| same(last, &router)) {
        Some(last) => last.clone(),
        None => Arc::new(router),
    };
    Copies(routers.into_iter().map(share).collect())
}

fn draft(
    raw: &raw::Router,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    last: &[Arc<Router>],
    notes: &mut Notes<'_>,
) -> Option<Draft> {
    let rule_syntax = syntax_of(raw.rule_syntax.as_deref(), config, notes)?;
    let known = last.iter().map(|last| &last.rule).find(|rule| Some(rule.text()) == raw.rule.as_deref());
    let rule = rule_of(raw.rule.as_deref(), rule_syntax, known, &LANGUAGE, notes);
    let service = raw.service.as_deref().filter(|text| !text.is_empty());
    if service.is_none() {
        notes.error(&["service"], "a router needs a service", "name one of the same provider, or `name@provider`");
    }
    let priority = raw.priority.unwrap_or(0);
    if priority > PRIORITY_LIMIT {
        notes.error(
            &["priority"],
            format!("expected at most {PRIORITY_LIMIT}: what lies above is Fairlead's own"),
            "write a smaller one",
        );
    }
    let entry_points = entry_points(&raw.entry_points, config, notes);
    let tls = raw.tls.0.as_ref().map(|tls| {
        warn_of_resolver(tls.cert_resolver.as_ref(), notes);
        RouterTls {
            options: tls::options_name(tls.options.as_deref(), provider),
            cert_resolver: tls.cert_resolver.clone().filter(|text| !text.is_empty()),
            domains: tls.domains.iter().map(|domain| domain.main.iter().chain(&domain.sans).cloned().collect()).collect(),
        }
    });
    let (rule, service) = (rule?, service?);
    Some(Draft {
        declared: name.clone(),
        entry_points: entry_points?,
        priority: if priority == 0 { i64::try_from(rule.text().len()).unwrap_or(PRIORITY_LIMIT) } else { priority },
        rule,
        middlewares: raw.middlewares.iter().map(|text| Name::qualify(text, provider)).collect(),
        service: Name::qualify(service, provider),
        tls,
        access_log: raw.observability.access_logs,
        metrics: raw.observability.metrics,
        tracing: raw.observability.tracing,
        source: source_of(notes.tree),
    })
}

/// What rules are about, and what to say to who writes none, or a wrong one.
pub(super) struct RuleLanguage {
    pub(super) parse: fn(&str, Syntax) -> Result<Rule, rule::RuleError>,
    pub(super) missing: &'static str,
    pub(super) example: &'static str,
}

const LANGUAGE: RuleLanguage = RuleLanguage {
    parse: rule::parse,
    missing: "write for instance Host(`example.com`)",
    example: "correct the rule, for instance Host(`example.com`) && PathPrefix(`/api`)",
};

pub(super) fn syntax_of(text: Option<&str>, config: &StaticConfig, notes: &mut Notes<'_>) -> Option<Syntax> {
    match text {
        None | Some("") => Some(config.default_rule_syntax),
        Some("v2") => Some(Syntax::V2),
        Some("v3") => Some(Syntax::V3),
        Some(other) => {
            notes.error(&["ruleSyntax"], format!("expected v2 or v3, found {}", quote(other)), "write v3");
            None
        }
    }
}

pub(super) fn warn_of_resolver(resolver: Option<&String>, notes: &mut Notes<'_>) {
    if let Some(resolver) = resolver.filter(|text| !text.is_empty()) {
        notes.warning(
            &["tls", "certResolver"],
            format!("certificate resolvers are not supported yet, so {} issues nothing", quote(resolver)),
            "list certificates under `tls.certificates`; the router is served with what matches",
        );
    }
}

pub(super) fn rule_of(
    text: Option<&str>,
    syntax: Syntax,
    last: Option<&Rule>,
    language: &RuleLanguage,
    notes: &mut Notes<'_>,
) -> Option<Rule> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        notes.error(&["rule"], "a router needs a rule", language.missing);
        return None;
    };
    // Compiling patterns is dear, and most rules did not change.
    if let Some(last) = last.filter(|last| last.text() == text && last.syntax() == syntax) {
        return Some(last.clone());
    }
    match (language.parse)(text, syntax) {
        Ok(rule) => Some(rule),
        Err(error) => {
            let other = if syntax == Syntax::V3 { Syntax::V2 } else { Syntax::V3 };
            let remedy = match (language.parse)(text, other) {
                Ok(_) if other == Syntax::V2 => "it is a rule of Traefik 2: write `ruleSyntax: v2` beside it, or rewrite it",
                Ok(_) => "it is a rule of Traefik 3: remove `ruleSyntax`",
                Err(_) => language.example,
            };
            notes.error(&["rule"], error.to_string(), remedy);
            None
        }
    }
}

pub(super) fn entry_points(listed: &[String], config: &StaticConfig, notes: &mut Notes<'_>) -> Option<Arc<[String]>> {
    if listed.is_empty() {
        if config.default_entry_points.is_empty() {
            notes.error(
                &["entryPoints"],
                "no entry point is there by default",
                "name one that is declared in the static configuration",
            );
            return None;
        }
        return Some(config.default_entry_points.clone());
    }
    let mut found = BTreeSet::new();
    for name in listed {
        match config.entry_points.get(name) {
            Some(point) if point.address.protocol == Protocol::Tcp => {
                found.insert(name.clone());
            }
            Some(_) => notes.warning(&["entryPoints"], format!("{} is for UDP", quote(name)), "name one for TCP"),
            None => {
                let remedy = remedy_for_name(name, config.entry_points.keys().map(String::as_str));
                notes.warning(&["entryPoints"], format!("there is no entry point {}", quote(name)), remedy);
            }
        }
    }
    if found.is_empty() {
        notes.error(&["entryPoints"], "none of the entry points exists", "name one that is declared in the static configuration");
        return None;
    }
    Some(found.into_iter().collect())
}

/// A router for each entry point that has defaults of its own, and one for the others.
fn copies(draft: &Draft, config: &StaticConfig, defaults: bool) -> Vec<Router> {
    let modelled = |name: &String| config.entry_points.get(name).filter(|point| defaults && has_defaults(point));
    let alone = draft.entry_points.len() == 1;
    let mut routers = Vec::new();
    for point in draft.entry_points.iter().filter_map(modelled) {
        let name = match alone {
            true => draft.declared.clone(),
            false => Name::whole(&format!("{}-{}", point.name, draft.declared)),
        };
        routers.push(copy(draft, name, Arc::new([point.name.clone()]), Some(point)));
    }
    if routers.is_empty() {
        return vec![copy(draft, draft.declared.clone(), draft.entry_points.clone(), None)];
    }
    let others: Arc<[String]> = draft.entry_points.iter().filter(|name| modelled(name).is_none()).cloned().collect();
    if !others.is_empty() {
        routers.push(copy(draft, draft.declared.clone(), others, None));
    }
    routers
}

fn has_defaults(point: &EntryPoint) -> bool {
    let Observability { access_log, metrics, tracing } = point.observability;
    let seen = access_log && metrics && tracing;
    !point.http.middlewares.is_empty() || point.http.tls.is_some() || point.http.encoded_characters.is_some() || !seen
}

fn copy(draft: &Draft, name: Name, entry_points: Arc<[String]>, point: Option<&EntryPoint>) -> Router {
    let provider = draft.declared.provider();
    let before = point.iter().flat_map(|point| &point.http.middlewares).map(|text| Name::qualify(text, provider));
    let tls = draft.tls.clone().or_else(|| {
        point.and_then(|point| point.http.tls.as_ref()).map(|tls| RouterTls {
            options: tls::options_name(tls.options.as_deref(), provider),
            cert_resolver: tls.cert_resolver.clone(),
            domains: tls.domains.clone(),
        })
    });
    let seen = point.map_or(Observability { access_log: true, metrics: true, tracing: true }, |point| point.observability);
    Router {
        name,
        declared: draft.declared.clone(),
        entry_points,
        rule: draft.rule.clone(),
        priority: draft.priority,
        middlewares: before.chain(draft.middlewares.iter().cloned()).collect(),
        service: draft.service.clone(),
        tls: tls.map(Box::new),
        observability: Observability {
            access_log: draft.access_log.unwrap_or(seen.access_log),
            metrics: draft.metrics.unwrap_or(seen.metrics),
            tracing: draft.tracing.unwrap_or(seen.tracing),
        },
        source: draft.source.clone(),
    }
}
