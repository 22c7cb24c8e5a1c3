//! `traefik.frontend.*`: a router and its middlewares.
//!
//! Middlewares run in Traefik 1.7's order: addresses, redirection, fields, authentication, path, rate.

use super::{
    Draft, Unit, guard, headers,
    rule::{self, Rule},
};
use crate::config::Severity;

/// Writes the router and its middlewares.
pub(super) fn write(unit: &Unit<'_>, draft: &mut Draft) {
    guard::check(unit, draft);
    let rule = match rule::parse(&unit.rule) {
        Ok(rule) => rule,
        Err(fault) => {
            unit.refuse(draft, &unit.rule_label, fault.message, fault.remedy);
            return;
        }
    };
    draft.set(&unit.router_path("rule"), &unit.rule_label, rule.matches.as_str());
    draft.set(&unit.router_path("ruleSyntax"), &unit.rule_label, "v2");
    draft.set(&unit.router_path("service"), &unit.rule_label, unit.service.as_str());
    priority(unit, draft);
    if let Some(label) = unit.labels.get("frontend.entrypoints") {
        draft.set(&unit.router_path("entryPoints"), label.name, label.value);
    }
    let mut names = Vec::new();
    names.extend(allow_list(unit, draft));
    names.extend(redirection(unit, draft));
    names.extend(headers::write(unit, draft));
    names.extend(authentication(unit, draft));
    names.extend(path(unit, &rule, draft));
    names.extend(rates(unit, draft));
    for (index, name) in names.into_iter().enumerate() {
        let path = ["http", "routers", &unit.router, "middlewares", &index.to_string()];
        draft.set(&path, &unit.rule_label, name);
    }
}

/// The length of the rule's text, unless a priority is given.
fn priority(unit: &Unit<'_>, draft: &mut Draft) {
    let label = unit.labels.get("frontend.priority");
    let given = label.map(|label| label.value.trim().parse::<i64>());
    if let (Some(label), Some(Err(_))) = (label, &given) {
        let message =
            format!("expected a whole number, found `{}`, so the length of the rule counts", label.value.escape_debug());
        draft.reject(Severity::Warning, label.name, message, "write for instance 10; the highest goes first");
    }
    let given = given.and_then(Result::ok).filter(|priority| *priority > 0);
    let (label, priority) = match (label, given) {
        (Some(label), Some(priority)) => (label.name, priority.to_string()),
        _ => (unit.rule_label.as_str(), unit.rule.len().to_string()),
    };
    draft.set(&unit.router_path("priority"), label, priority);
}

fn allow_list(unit: &Unit<'_>, draft: &mut Draft) -> Option<String> {
    // Given and empty is a mistake, and not a door to be left open.
    let given = unit.labels.below("frontend.whitelist");
    let (_, label) = given.iter().find(|(key, _)| matches!(*key, ".sourcerange" | "sourcerange"))?;
    let name = format!("{}-addresses", unit.middleware);
    draft.set(&["http", "middlewares", &name, "ipAllowList", "sourceRange"], label.name, label.value);
    Some(name)
}

fn redirection(unit: &Unit<'_>, draft: &mut Draft) -> Option<String> {
    let name = format!("{}-redirect", unit.middleware);
    let path = |kind, key| ["http", "middlewares", name.as_str(), kind, key];
    let permanent = unit.labels.get("frontend.redirect.permanent");
    let (regex, replacement) = (unit.labels.get("frontend.redirect.regex"), unit.labels.get("frontend.redirect.replacement"));
    let kind = if let Some(label) = unit.labels.get("frontend.redirect.entrypoint") {
        let point = label.value.trim();
        let Some((scheme, port)) = unit.settings.entry_point(point) else {
            let message = format!("there is no entry point `{}` to redirect to", point.escape_debug());
            let known: Vec<&str> = unit.settings.entry_points.keys().map(String::as_str).collect();
            unit.refuse(draft, label.name, message, format!("known are {}", known.join(", ")));
            return None;
        };
        draft.set(&path("redirectScheme", "scheme"), label.name, scheme);
        if port > 0 {
            draft.set(&path("redirectScheme", "port"), label.name, port.to_string());
        }
        "redirectScheme"
    } else if let (Some(regex), Some(replacement)) = (regex, replacement) {
        if replacement.value.contains("{{") {
            let message = "templates in a replacement are not supported yet";
            unit.refuse(draft, replacement.name, message, "take what is needed from the URL by groups: $1");
            return None;
        }
        draft.set(&path("redirectRegex", "regex"), regex.name, regex.value);
        draft.set(&path("redirectRegex", "replacement"), replacement.name, replacement.value);
        "redirectRegex"
    } else if let Some((label, permanent)) = headers::ssl_redirect(unit) {
        draft.set(&path("redirectScheme", "scheme"), label.name, "https");
        draft.set(&path("redirectScheme", "permanent"), label.name, permanent.to_string());
        return Some(name);
    } else {
        if let Some(label) = regex.or(replacement) {
            let message = "`regex` and `replacement` go together, and one is missing";
            unit.refuse(draft, label.name, message, "give both, or neither");
        }
        return None;
    };
    if let Some(label) = permanent {
        draft.set(&path(kind, "permanent"), label.name, label.value.trim());
    }
    Some(name)
}

fn authentication(unit: &Unit<'_>, draft: &mut Draft) -> Option<String> {
    let given = unit.labels.below("frontend.auth.basic");
    let users = ["", ".users"].iter().find_map(|key| given.iter().find(|(name, _)| name == key))?.1;
    let name = format!("{}-auth", unit.middleware);
    let path = |key| ["http", "middlewares", name.as_str(), "basicAuth", key];
    draft.set(&path("users"), users.name, users.value);
    for (property, key) in [("frontend.auth.basic.removeheader", "removeHeader"), ("frontend.auth.headerfield", "headerField")] {
        if let Some(label) = unit.labels.get(property) {
            draft.set(&path(key), label.name, label.value.trim());
        }
    }
    Some(name)
}

/// In Traefik 1's order, whatever the order in the rule.
fn path(unit: &Unit<'_>, rule: &Rule, draft: &mut Draft) -> Vec<String> {
    let mut names = Vec::new();
    let mut write = |suffix: &str, below: &[&str], value: &str, draft: &mut Draft| {
        let name = format!("{}-{suffix}", unit.middleware);
        draft.set(&[&["http", "middlewares", &name], below].concat(), &unit.rule_label, value);
        if names.last() != Some(&name) {
            names.push(name);
        }
    };
    for (index, prefix) in rule.path.strip.iter().enumerate() {
        write("strip", &["stripPrefix", "prefixes", &index.to_string()], prefix, draft);
    }
    if let Some(prefix) = &rule.path.add {
        write("add", &["addPrefix", "prefix"], prefix, draft);
    }
    if let Some(path) = &rule.path.replace {
        write("replace", &["replacePath", "path"], path, draft);
    }
    names
}

/// One middleware for each set: all of them must let a request pass.
fn rates(unit: &Unit<'_>, draft: &mut Draft) -> Vec<String> {
    let Some(extractor) = unit.labels.get("frontend.ratelimit.extractorfunc") else {
        if let Some((_, label)) = unit.labels.below("frontend.ratelimit.rateset.").first() {
            let remedy = format!("add {}=client.ip", unit.labels.name_of("frontend.rateLimit.extractorFunc"));
            draft.reject(Severity::Warning, label.name, "without effect: it is not said whose requests are counted", remedy);
        }
        return Vec::new();
    };
    let source = match extractor.value.trim() {
        "client.ip" => None,
        "request.host" => Some(("requestHost", "true")),
        other => match other.strip_prefix("request.header.").filter(|field| !field.is_empty()) {
            Some(field) => Some(("requestHeaderName", field)),
            None => {
                let message =
                    format!("expected client.ip, request.host or request.header.<name>, found `{}`", other.escape_debug());
                draft.reject(Severity::Warning, extractor.name, format!("{message}; nothing is limited"), "write client.ip");
                return Vec::new();
            }
        },
    };
    let mut names: Vec<String> = Vec::new();
    for (key, label) in unit.labels.below("frontend.ratelimit.rateset.") {
        let Some((set, key @ ("period" | "average" | "burst"))) = key.rsplit_once('.') else {
            guard::unknown(unit, &format!("frontend.ratelimit.rateset.{key}"), label, draft);
            continue;
        };
        let name = format!("{}-rate-{set}", unit.middleware);
        draft.set(&["http", "middlewares", &name, "rateLimit", key], label.name, label.value.trim());
        if names.last() != Some(&name) {
            if let Some((kind, value)) = source {
                draft.set(&["http", "middlewares", &name, "rateLimit", "sourceCriterion", kind], extractor.name, value);
            }
            names.push(name);
        }
    }
    names
}
