//! One host: its context roots, who shares each, and what happens to requests on their way.

use super::{Asked, Balance, HostName, passthrough, service};
use crate::{
    config::{Rejection, Severity},
    discovery::{Claim, Draft, InterlockOptions, Mode},
};
use std::{collections::BTreeMap, sync::Arc};

/// Redirected hosts come before all context roots of theirs: above the length of any rule.
const REDIRECT: i64 = 1 << 20;

/// Wildcards come after every exact host, whatever their roots; the catch-all after all wildcards.
const BELOW: i64 = -(1 << 20);
const ANY: i64 = -(1 << 21);

/// Room for the longest context root beside each length of a suffix.
const ROOTS: i64 = 1 << 10;

/// What `members`, oldest first, make of `host`.
pub fn compose(host: &HostName, members: &[&Arc<Asked>], options: &InterlockOptions) -> Vec<Claim> {
    let (passed, read): (Vec<&Arc<Asked>>, Vec<&Arc<Asked>>) = members.iter().partition(|member| member.ask.passthrough);
    let mut claims = requests(host, &read, options);
    claims.extend(passthrough::compose(host, &passed, &read));
    claims
}

/// What becomes of requests for `host`.
fn requests(host: &HostName, members: &[&Arc<Asked>], options: &InterlockOptions) -> Vec<Claim> {
    // What catches everything does so over TLS too, with whatever certificate there is.
    let tls = *host == HostName::Any || members.iter().any(|member| member.ask.tls.served);
    let mut roots: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for member in members {
        let group = roots.entry(&member.ask.root).or_default();
        add(group, member);
    }
    let mut claims: Vec<Claim> =
        roots.iter().map(|(root, members)| Group { host, root, members, tls, options }.compose()).collect();
    claims.extend(redirect(host, members, tls, options));
    claims
}

/// One that is asked for in both languages, as UCP left it when it brought the mesh's labels over, is asked for once.
pub(super) fn add<'a>(group: &mut Vec<&'a Asked>, member: &'a Asked) {
    if group.iter().all(|other| other.owner != member.owner) {
        group.push(member);
    }
}

/// The service of several, oldest first: that of the only one; one of all servers, called `name`, where a client is to be kept with one of them;
/// or one that shares what comes by the number of instances.
pub(super) fn shared(draft: &mut Draft, name: &str, members: &[&Asked]) -> String {
    let eldest = &members[0].ask;
    if let [_] = members {
        return eldest.service.clone();
    }
    let alike = members.iter().all(|member| member.ask.upstream == eldest.upstream);
    if alike && eldest.upstream.balance != Balance::RoundRobin {
        let places: Vec<_> = members.iter().flat_map(|member| member.places.iter().cloned()).collect();
        service::balancer(draft, name, eldest, &places);
        return name.to_owned();
    }
    let section = if eldest.passthrough { "tcp" } else { "http" };
    let base = [section, "services", name, "weighted"];
    for (index, member) in members.iter().enumerate() {
        let index = index.to_string();
        let mut set = |key: &str, value: String| {
            draft.set(&[&base[..], &["services", &index, key]].concat(), &member.ask.label, value);
        };
        set("name", member.ask.service.clone());
        set("weight", member.reachable().to_string());
    }
    draft.set(&[&base[..], &["healthCheck"]].concat(), &eldest.label, "true");
    name.to_owned()
}

/// One context root.
struct Group<'a> {
    host: &'a HostName,
    root: &'a str,
    /// Oldest first; never empty.
    members: &'a [&'a Asked],
    tls: bool,
    options: &'a InterlockOptions,
}

impl Group<'_> {
    fn eldest(&self) -> &Asked {
        self.members[0]
    }

    fn name(&self, kind: &str) -> String {
        format!("{kind}.{}{}", self.host, self.root)
    }

    fn compose(&self) -> Claim {
        let mut draft = Draft::new(&self.eldest().title);
        let service = shared(&mut draft, &self.name("lb"), self.members);
        let ask = &self.eldest().ask;
        let mut common = Vec::new();
        common.extend(info(&mut draft, &ask.label, self.options));
        common.extend(self.upgrades(&mut draft));
        let rewritten = [&common[..], &self.rewrite(&mut draft)].concat();
        let only = self.members.iter().any(|member| member.ask.tls.only);
        let plain = if only { [&common[..], &[https(&mut draft, &ask.key("ssl_only"))]].concat() } else { rewritten.clone() };
        let mut route = |kind: &str, middlewares: &[String], tls: bool| {
            let router = Router {
                name: &self.name(kind),
                label: &ask.label,
                rule: &rule(self.host, self.root),
                priority: priority(self.host, self.root) + i64::from(tls),
                service: &service,
                middlewares,
                tls,
            };
            router.write(&mut draft);
        };
        route("lb", &plain, false);
        if self.tls {
            route("lb-tls", &rewritten, true);
        }
        let mut reading: crate::discovery::Reading = draft.finish().into();
        self.disagreements(&mut reading.rejections);
        Claim { owner: self.eldest().owner.clone(), reading: Arc::new(reading) }
    }

    fn upgrades(&self, draft: &mut Draft) -> Option<String> {
        if !self.options.strict_websockets {
            return None;
        }
        let label = self.eldest().ask.key("websocket_endpoints");
        let name = self.name("lb-upgrade");
        let base = ["http", "middlewares", &name, "upgradePaths"];
        draft.set(&base, &label, "true");
        let paths: std::collections::BTreeSet<&String> = self.members.iter().flat_map(|member| &member.ask.websockets).collect();
        for (index, path) in paths.into_iter().enumerate() {
            draft.set(&[&base[..], &["prefixes", &index.to_string()]].concat(), &label, path.clone());
        }
        Some(name)
    }

    /// Takes the root off. The root itself is first sent to where it ends with a slash, so that relative links lead below it.
    fn rewrite(&self, draft: &mut Draft) -> Vec<String> {
        let ask = &self.eldest().ask;
        if !ask.rewrite || self.root.is_empty() {
            return Vec::new();
        }
        let label = ask.key("context_root_rewrite");
        let mut middlewares = Vec::new();
        if !self.root.ends_with('/') {
            let name = format!("lb-slash.{}", self.root);
            let mut set = |key, value: String| draft.set(&["http", "middlewares", &name, "redirectRegex", key], &label, value);
            set("regex", format!(r"^(https?://[^/]+{})(\?.*)?$", regex::escape(self.root)));
            set("replacement", "${1}/${2}".to_owned());
            set("permanent", "true".to_owned());
            middlewares.push(name);
        }
        let name = format!("lb-strip.{}", self.root);
        let prefix = format!("{}/", self.root.trim_end_matches('/'));
        draft.set(&["http", "middlewares", &name, "stripPrefix", "prefixes", "0"], &label, prefix);
        middlewares.push(name);
        middlewares
    }

    /// What several cannot have differently on one root.
    fn disagreements(&self, into: &mut Vec<Rejection>) {
        let at = format!("{}{}", self.host, self.root);
        let rewrite = |a: &Asked, b: &Asked| a.ask.rewrite == b.ask.rewrite;
        self.tell(into, "context_root_rewrite", rewrite, &format!("for `{at}` that of the older counts"));
        let only = |a: &Asked, b: &Asked| a.ask.tls.only == b.ask.tls.only;
        self.tell(into, "ssl_only", only, &format!("plain requests for `{at}` are all sent to https"));
        let certificate = |a: &Asked, b: &Asked| {
            let (a, b) = (&a.ask.tls.certificate, &b.ask.tls.certificate);
            a.is_none() || b.is_none() || a == b
        };
        self.tell(into, "ssl_cert", certificate, "of two certificates for one host that which is valid longer is shown");
        let hashed = |a: &Asked, b: &Asked| {
            let plain = |asked: &Asked| asked.ask.upstream.balance == Balance::RoundRobin;
            a.ask.upstream == b.ask.upstream || (plain(a) && plain(b))
        };
        let outcome = format!("requests for `{at}` are shared first, so a client is not kept with one server");
        self.tell(into, "sticky_session_cookie", hashed, &outcome);
        for member in self.members.iter().filter(|member| self.members.len() > 1 && member.ask.mode == Mode::Virtual) {
            let message =
                format!("a virtual address counts as one server, however many tasks stand behind it: `{at}` is shared so");
            let remedy = "set com.docker.lb.backend_mode=task to share by the number of tasks";
            into.push(warning(member, "backend_mode", message, remedy));
        }
    }

    /// Tells the eldest, and each that differs from it.
    fn tell(&self, into: &mut Vec<Rejection>, key: &str, same: impl Fn(&Asked, &Asked) -> bool, outcome: &str) {
        let eldest = self.eldest();
        let others: Vec<&&Asked> = self.members[1..].iter().filter(|other| !same(eldest, other)).collect();
        let remedy = "give both the same value";
        for other in &others {
            into.push(warning(other, key, format!("differs from that of {}: {outcome}", eldest.title), remedy));
        }
        if let Some(first) = others.first() {
            into.push(warning(eldest, key, format!("differs from that of {}: {outcome}", first.title), remedy));
        }
    }
}

/// The redirection of the host, by the oldest that asks for one.
fn redirect(host: &HostName, members: &[&Arc<Asked>], tls: bool, options: &InterlockOptions) -> Option<Claim> {
    let wishes = members.iter().filter_map(|member| {
        let wish = member.ask.redirects.iter().find(|redirect| redirect.source == *host)?;
        Some((member, wish))
    });
    let wishes: Vec<_> = wishes.collect();
    let (eldest, wish) = *wishes.first()?;
    let ask = &eldest.ask;
    let label = ask.key("redirects");
    let mut draft = Draft::new(&eldest.title);
    let name = format!("lb-redirect.{host}");
    let mut set = |key, value: String| draft.set(&["http", "middlewares", &name, "redirectRegex", key], &label, value);
    set("regex", r"^https?://[^/]+(.*)$".to_owned());
    set("replacement", format!("{}${{1}}", wish.target.replace('$', "$$")));
    set("permanent", wish.permanent.to_string());
    let middlewares: Vec<String> = info(&mut draft, &label, options).into_iter().chain([name]).collect();
    let rule = rule(host, "");
    let sides = [("lb-redirect", false, true), ("lb-redirect-tls", true, tls && !wish.plain_only)];
    for (kind, tls, _) in sides.into_iter().filter(|(.., wanted)| *wanted) {
        let (name, priority) = (format!("{kind}.{host}"), priority(host, "") + REDIRECT);
        let router =
            Router { name: &name, label: &label, rule: &rule, priority, service: &ask.service, middlewares: &middlewares, tls };
        router.write(&mut draft);
    }
    let mut reading: crate::discovery::Reading = draft.finish().into();
    let others: Vec<_> = wishes[1..].iter().filter(|(_, other)| *other != wish).collect();
    let remedy = "keep one of the two";
    for (other, _) in &others {
        let message = format!("`{host}` is redirected by {} already, which is older", eldest.title);
        reading.rejections.push(warning(other, "redirects", message, remedy));
    }
    if let Some((other, _)) = others.first() {
        let message = format!("`{host}` is redirected by {} too, which is younger and does not count", other.title);
        reading.rejections.push(warning(eldest, "redirects", message, remedy));
    }
    Some(Claim { owner: eldest.owner.clone(), reading: Arc::new(reading) })
}

struct Router<'a> {
    name: &'a str,
    label: &'a str,
    rule: &'a str,
    priority: i64,
    service: &'a str,
    middlewares: &'a [String],
    tls: bool,
}

impl Router<'_> {
    fn write(&self, draft: &mut Draft) {
        let mut set = |below: &[&str], value: &str| {
            draft.set(&[&["http", "routers", self.name][..], below].concat(), self.label, value);
        };
        set(&["rule"], self.rule);
        set(&["ruleSyntax"], "v3");
        set(&["priority"], &self.priority.to_string());
        set(&["service"], self.service);
        for (index, middleware) in self.middlewares.iter().enumerate() {
            set(&["middlewares", &index.to_string()], middleware);
        }
        if self.tls {
            set(&["tls"], "true");
        }
    }
}

fn rule(host: &HostName, root: &str) -> String {
    let host = match host {
        HostName::Exact(host) => Some(format!("Host(`{host}`)")),
        HostName::Below(suffix) => Some(format!("HostRegexp(`^.+{}$`)", regex::escape(suffix))),
        HostName::Any => None,
    };
    let root =
        (host.is_none() || !root.is_empty()).then(|| format!("PathPrefix(`{}`)", if root.is_empty() { "/" } else { root }));
    host.into_iter().chain(root).collect::<Vec<_>>().join(" && ")
}

/// Beside those of other languages an exact host weighs what its rule is long, as Traefik has it, so that the longer context root goes first.
pub(super) fn priority(host: &HostName, root: &str) -> i64 {
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(ROOTS);
    match host {
        HostName::Exact(_) => length(&rule(host, root)),
        HostName::Below(suffix) => BELOW + length(suffix) * ROOTS + length(root),
        HostName::Any => ANY + length(root),
    }
}

fn info(draft: &mut Draft, label: &str, options: &InterlockOptions) -> Option<String> {
    options.info_headers.then(|| {
        draft.set(&["http", "middlewares", "lb-info", "infoHeaders"], label, "true");
        "lb-info".to_owned()
    })
}

fn https(draft: &mut Draft, label: &str) -> String {
    draft.set(&["http", "middlewares", "lb-https", "redirectScheme", "scheme"], label, "https");
    draft.set(&["http", "middlewares", "lb-https", "redirectScheme", "permanent"], label, "true");
    "lb-https".to_owned()
}

pub(super) fn warning(asked: &Asked, key: &str, message: String, remedy: &str) -> Rejection {
    Rejection {
        severity: Severity::Warning,
        source: asked.title.clone(),
        key: asked.ask.key(key),
        message,
        remedy: remedy.to_owned(),
    }
}
