//! Traefik 1's spellings: `--rancher.metadata=true`, `--web`, `--entryPoints='Name:http Address::80'`.
//!
//! What means exactly the same in another place is put there, with a warning that names the place. What does not stays where it is, and is
//! refused by name when the configuration is read. What is written in the new spelling too goes before the old.

#[cfg(test)]
mod tests;

use crate::config::{Rejection, Severity, Style, Tree, Value, decode::quote, tree::switches_on};
use indexmap::IndexMap;

/// Keys that moved as they are, with all that is below them.
const MOVED: &[(&[&str], &[&str])] = &[
    (&["rancher"], &["providers", "rancher"]),
    (&["logLevel"], &["log", "level"]),
    (&["traefikLog", "filePath"], &["log", "filePath"]),
    (&["traefikLog", "format"], &["log", "format"]),
    (&["traefikLogsFile"], &["log", "filePath"]),
    (&["accessLogsFile"], &["accessLog", "filePath"]),
    (&["insecureSkipVerify"], &["serversTransport", "insecureSkipVerify"]),
    (&["rootCAs"], &["serversTransport", "rootCAs"]),
    (&["maxIdleConnsPerHost"], &["serversTransport", "maxIdleConnsPerHost"]),
    (&["forwardingTimeouts"], &["serversTransport", "forwardingTimeouts"]),
    (&["providersThrottleDuration"], &["providers", "providersThrottleDuration"]),
    (&["checkNewVersion"], &["global", "checkNewVersion"]),
    (&["sendAnonymousUsage"], &["global", "sendAnonymousUsage"]),
];

/// Words of a one-line entry point, and where they belong. Case does not matter.
const WORDS: &[(&str, &[&str])] = &[
    ("Address", &["address"]),
    ("Redirect.EntryPoint", &["http", "redirections", "entryPoint", "to"]),
    ("Redirect.Permanent", &["http", "redirections", "entryPoint", "permanent"]),
    ("ProxyProtocol.Insecure", &["proxyProtocol", "insecure"]),
    ("ProxyProtocol.TrustedIPs", &["proxyProtocol", "trustedIPs"]),
    ("ForwardedHeaders.Insecure", &["forwardedHeaders", "insecure"]),
    ("ForwardedHeaders.TrustedIPs", &["forwardedHeaders", "trustedIPs"]),
];

/// The same configuration in today's spelling, as far as it can be said exactly.
pub(super) fn translated(tree: &Tree) -> (Tree, Vec<Rejection>) {
    let mut at = Translation { tree: tree.clone(), told: Vec::new() };
    for (old, new) in MOVED {
        if let Some(node) = take(&mut at.tree, old) {
            at.tell(&node, &new.join("."));
            put(&mut at.tree, new, node);
        }
    }
    at.debug();
    at.docker();
    at.web();
    at.entry_points();
    at.default_entry_points();
    (at.tree, at.told)
}

struct Translation {
    tree: Tree,
    told: Vec<Rejection>,
}

impl Translation {
    fn tell(&mut self, node: &Tree, place: &str) {
        let remedy = format!("write `{place}`");
        self.told.push(node.reject(Severity::Warning, "is Traefik 1's spelling, and understood", remedy));
    }

    fn error(&mut self, node: &Tree, message: String, remedy: &str) {
        self.told.push(node.reject(Severity::Error, message, remedy));
    }

    fn debug(&mut self) {
        let Some(node) = take(&mut self.tree, &["debug"]) else { return };
        self.tell(&node, "log.level");
        if node.text(&[]).is_some_and(|text| switches_on(text.trim())) {
            let level = Tree { value: Value::Text("DEBUG".to_owned()), ..node };
            put(&mut self.tree, &["log", "level"], level);
        }
    }

    /// One provider that was two.
    fn docker(&mut self) {
        let Some(mut node) = take(&mut self.tree, &["docker"]) else { return };
        let swarm = take(&mut node, &["swarmMode"]);
        let is_swarm = swarm.is_some_and(|swarm| swarm.text(&[]).is_some_and(|text| switches_on(text.trim())));
        if let Some(refresh) = take(&mut node, &["swarmModeRefreshSeconds"])
            && is_swarm
        {
            put(&mut node, &["refreshSeconds"], refresh);
        }
        if let Some(constraints) = node.child("constraints") {
            let rejection = constraints.reject(
                Severity::Error,
                "constraints by tag are given once, for all providers",
                "write --constraints=tag==…, or an expression on labels in the provider's own",
            );
            self.told.push(rejection);
            take(&mut node, &["constraints"]);
        }
        let name = if is_swarm { "swarm" } else { "docker" };
        self.tell(&node, &format!("providers.{name}"));
        put(&mut self.tree, &["providers", name], node);
    }

    /// The API, its dashboard and `/ping` on port 8080, for everyone who reaches it.
    fn web(&mut self) {
        let Some(mut node) = take(&mut self.tree, &["web"]) else { return };
        if node.text(&[]).is_some_and(|text| text.trim().eq_ignore_ascii_case("false")) {
            return;
        }
        let message = "is Traefik 1's spelling, and understood: the API, the dashboard and /ping are served to everyone who reaches the port";
        let remedy =
            "write `api.insecure`, `ping` and `entryPoints.traefik.address`, or put the API behind a router with authentication";
        self.told.push(node.reject(Severity::Warning, message, remedy));
        let text = |text: &str| Tree { value: Value::Text(text.to_owned()), ..node.clone() };
        let (on, port) = (text("true"), text(":8080"));
        put(&mut self.tree, &["api", "insecure"], on.clone());
        put(&mut self.tree, &["ping"], on);
        let address = take(&mut node, &["address"]).unwrap_or(port);
        if self.tree.child("entryPoints").is_none_or(|points| points.child("traefik").is_none()) {
            put(&mut self.tree, &["fairlead", "admin", "address"], address);
        }
        if let Some(prometheus) = take(&mut node, &["metrics", "prometheus"]) {
            put(&mut self.tree, &["metrics", "prometheus"], prometheus);
        }
        for key in ["readOnly", "statistics", "metrics"] {
            take(&mut node, &[key]);
        }
        for (name, child) in node.children() {
            let message = format!("{} of `web` has no equivalent here", quote(name));
            let remedy = "remove it; protect the API by a router to `api@internal` with middlewares";
            self.told.push(child.reject(Severity::Error, message, remedy));
        }
    }

    /// `Name:http Address::80`, once for each entry point.
    fn entry_points(&mut self) {
        let Some(node) = self.tree.child("entryPoints") else { return };
        let lines: Vec<Tree> = match &node.value {
            Value::Text(_) => vec![node.clone()],
            Value::List(items) if node.source.style == Style::Flags => items.clone(),
            Value::Map { own: Some(text), .. } => vec![Tree { value: Value::Text(text.clone()), ..node.clone() }],
            _ => return,
        };
        if !lines.iter().any(|line| line.text(&[]).is_some_and(|text| text.contains(':'))) {
            return;
        }
        let mut points = take(&mut self.tree, &["entryPoints"]).unwrap_or_else(|| Tree::empty("", Style::Flags));
        let entries = match points.value {
            Value::Map { entries, .. } => entries,
            _ => IndexMap::new(),
        };
        points.value = Value::Map { own: None, entries };
        put(&mut self.tree, &["entryPoints"], points);
        for line in lines {
            self.entry_point(&line);
        }
    }

    fn entry_point(&mut self, line: &Tree) {
        let text = line.text(&[]).unwrap_or_default();
        let words: Vec<(&str, &str)> = text.split_whitespace().map(|word| word.split_once(':').unwrap_or((word, ""))).collect();
        let Some((_, name)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case("Name")) else {
            self.error(line, format!("expected `Name:…` in {}", quote(text)), "write for instance Name:http Address::80");
            return;
        };
        self.tell(line, &format!("entryPoints.{name}.address"));
        for (word, value) in words.iter().filter(|(word, _)| !word.eq_ignore_ascii_case("Name")) {
            let node = Tree { value: Value::Text((*value).to_owned()), ..line.clone() };
            let place = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
            match place {
                Some((_, path)) => put(&mut self.tree, &[&["entryPoints", name], *path].concat(), node),
                None if word.eq_ignore_ascii_case("TLS") && value.is_empty() => {
                    let on = Tree { value: Value::Text("true".to_owned()), ..node };
                    put(&mut self.tree, &["entryPoints", name, "http", "tls"], on);
                }
                None => {
                    let message = format!("{} of an entry point has no equivalent here", quote(word));
                    let remedy = if word.to_ascii_lowercase().starts_with("tls") {
                        "write TLS alone, and list certificates under `tls.certificates` of the dynamic configuration"
                    } else {
                        "use `entryPoints.<name>.…`, or a middleware in `entryPoints.<name>.http.middlewares`"
                    };
                    self.error(line, message, remedy);
                }
            }
        }
        // Traefik 1 redirects for now, unless told otherwise.
        let redirects = words.iter().any(|(word, _)| word.eq_ignore_ascii_case("Redirect.EntryPoint"));
        if redirects && !words.iter().any(|(word, _)| word.eq_ignore_ascii_case("Redirect.Permanent")) {
            let node = Tree { value: Value::Text("false".to_owned()), ..line.clone() };
            put(&mut self.tree, &["entryPoints", name, "http", "redirections", "entryPoint", "permanent"], node);
        }
    }

    /// Where nothing is declared they count for nothing, as in Traefik 1.
    fn default_entry_points(&mut self) {
        let Some(node) = take(&mut self.tree, &["defaultEntryPoints"]) else { return };
        self.tell(&node, "entryPoints.<name>.asDefault");
        let listed: Vec<String> = match &node.value {
            Value::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            Value::List(items) => items.iter().filter_map(|item| item.text(&[])).map(|name| name.trim().to_owned()).collect(),
            _ => Vec::new(),
        };
        let declared = |tree: &Tree| tree.child("entryPoints").is_some_and(|points| !points.is_empty());
        for name in listed.iter().filter(|name| !name.is_empty() && declared(&self.tree)).collect::<Vec<_>>() {
            if self.tree.child("entryPoints").is_some_and(|points| points.child(name).is_some()) {
                let on = Tree { value: Value::Text("true".to_owned()), ..node.clone() };
                put(&mut self.tree, &["entryPoints", name, "asDefault"], on);
            } else {
                self.told.push(node.reject(
                    Severity::Error,
                    format!("there is no entry point {}", quote(name)),
                    "declare it, or remove it",
                ));
            }
        }
    }
}

/// Takes what is at `path` out of the tree, and what is empty without it.
fn take(tree: &mut Tree, path: &[&str]) -> Option<Tree> {
    let (name, below) = path.split_first()?;
    let Value::Map { entries, .. } = &mut tree.value else { return None };
    let key = entries.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()?;
    if below.is_empty() {
        return entries.shift_remove(&key).filter(|child| child.value != Value::Null);
    }
    let child = entries.get_mut(&key)?;
    let taken = take(child, below)?;
    if child.is_empty() {
        entries.shift_remove(&key);
    }
    Some(taken)
}

/// Puts `node` at `path`, below what is there already.
fn put(tree: &mut Tree, path: &[&str], node: Tree) {
    let Some((name, below)) = path.split_first() else { return };
    if !matches!(tree.value, Value::Map { .. }) {
        let own = tree.text(&[]).map(str::to_owned);
        tree.value = Value::Map { own, entries: IndexMap::new() };
    }
    let (source, key) = (node.source.clone(), tree.source.style.join(&tree.key, name));
    let Value::Map { entries, .. } = &mut tree.value else { return };
    let known = entries.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| (*name).to_owned());
    if below.is_empty() {
        match entries.get_mut(&known) {
            Some(there) => *there = node.overlaid(std::mem::replace(there, Tree::root(source, ""))),
            None => {
                entries.insert(known, node);
            }
        }
    } else {
        put(entries.entry(known).or_insert_with(|| Tree::root(source, &key)), below, node);
    }
}
