//! Rules and requests as the model sees them: conditions that are evaluated one by one, and routers of which the first in order of
//! priority wins.
//!
//! Deliberately absent: an index, short cuts, and any code of core's.

use crate::chance::Chance;
use std::{fmt, net::IpAddr};

const HOSTS: [&str; 7] = ["a.x", "b.x", "c.a.x", "x", "d.y", "a.x.y", "b.c.a.x"];
const WRITTEN_HOSTS: [&str; 8] = ["a.x", "A.X", "b.x", "c.a.x", "x", "d.y", "D.y", "b.c.a.x"];
const SUFFIXES: [&str; 4] = [".x", ".a.x", ".y", ".c.a.x"];
/// As they stand in a request, and as rules see them.
const PATHS: [(&str, &str); 10] = [
    ("/", "/"),
    ("/a", "/a"),
    ("/a/", "/a/"),
    ("/a/b", "/a/b"),
    ("/ab", "/ab"),
    ("/a/b/c", "/a/b/c"),
    ("/b", "/b"),
    ("/A", "/A"),
    ("/a%20b", "/a b"),
    ("/a%2Fb", "/a%2Fb"),
];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const KEYS: [&str; 2] = ["X-Key", "x-other"];
const VALUES: [&str; 3] = ["1", "2", ""];
const CLIENTS: [[u8; 4]; 3] = [[192, 0, 2, 1], [192, 0, 2, 200], [10, 1, 2, 3]];
/// With the length of the prefix that counts.
const RANGES: [(&str, [u8; 4], u32); 4] = [
    ("192.0.2.0/24", [192, 0, 2, 0], 24),
    ("192.0.2.1", [192, 0, 2, 1], 32),
    ("10.0.0.0/8", [10, 0, 0, 0], 8),
    ("0.0.0.0/0", [0, 0, 0, 0], 0),
];

/// What a rule asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cond {
    AnyHost,
    Host(&'static str),
    /// One more label in front of this.
    Under(&'static str),
    HostEndsWith(&'static str),
    Path(&'static str),
    PathBegins(&'static str),
    /// By a pattern: the path begins so.
    PathMatches(&'static str),
    Method(&'static str),
    Header(&'static str, &'static str),
    Query(&'static str, &'static str),
    Client(usize),
    Not(Box<Cond>),
    All(Vec<Cond>),
    Some(Vec<Cond>),
}

/// A request to be routed.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub host: &'static str,
    pub path: (&'static str, &'static str),
    pub method: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub query: Vec<(&'static str, &'static str)>,
    pub client: [u8; 4],
    pub tls: bool,
}

impl Ask {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let pairs = |chance: &mut Chance| -> Vec<_> {
            (0..chance.count(0, 2)).map(|_| (chance.pick(&KEYS), chance.pick(&VALUES))).collect()
        };
        Self {
            host: chance.pick(&HOSTS),
            path: chance.pick(&PATHS),
            method: chance.pick(&METHODS),
            headers: pairs(chance),
            query: pairs(chance),
            client: chance.pick(&CLIENTS),
            tls: chance.percent(30),
        }
    }

    pub(super) fn query_text(&self) -> Option<String> {
        let pair = |(key, value): &(&str, &str)| if value.is_empty() { (*key).to_owned() } else { format!("{key}={value}") };
        (!self.query.is_empty()).then(|| self.query.iter().map(pair).collect::<Vec<_>>().join("&"))
    }

    pub(super) fn client(&self) -> IpAddr {
        self.client.into()
    }
}

impl Cond {
    pub(super) fn draw(chance: &mut Chance, depth: u32) -> Self {
        let group = |chance: &mut Chance| (0..chance.count(2, 3)).map(|_| Self::draw(chance, depth - 1)).collect();
        match chance.within(0, if depth == 0 { 14 } else { 21 }) {
            0 if chance.percent(30) => Self::AnyHost,
            0..=4 => Self::Host(chance.pick(&WRITTEN_HOSTS)),
            5 => Self::Under(chance.pick(&SUFFIXES)),
            6 => Self::HostEndsWith(chance.pick(&SUFFIXES)),
            7 => Self::Path(chance.pick(&PATHS).1),
            8 | 9 => Self::PathBegins(chance.pick(&PATHS).1),
            10 => Self::PathMatches(chance.pick(&["/a", "/b", "/"])),
            11 => Self::Method(chance.pick(&METHODS)),
            // An empty argument is refused, as by Traefik.
            12 => Self::Header(chance.pick(&KEYS), chance.pick(&VALUES[..2])),
            13 => Self::Query(chance.pick(&KEYS), chance.pick(&VALUES)),
            14 => Self::Client(chance.count(0, RANGES.len() - 1)),
            15 => Self::Not(Box::new(Self::draw(chance, depth - 1))),
            16..=19 => Self::All(group(chance)),
            _ => Self::Some(group(chance)),
        }
    }

    pub(super) fn holds(&self, ask: &Ask) -> bool {
        // In lower case: see `HOSTS`.
        let (host, path) = (ask.host, ask.path.1);
        match self {
            Self::AnyHost => true,
            Self::Host(wanted) => host.eq_ignore_ascii_case(wanted),
            Self::Under(suffix) => host.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Self::HostEndsWith(suffix) => host.ends_with(suffix),
            Self::Path(wanted) => path == *wanted,
            Self::PathBegins(prefix) | Self::PathMatches(prefix) => path.starts_with(prefix),
            Self::Method(wanted) => ask.method == *wanted,
            Self::Header(name, value) => ask.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value),
            Self::Query(key, value) => ask.query.contains(&(*key, *value)),
            Self::Client(range) => {
                let (_, network, length) = RANGES[*range];
                let bits = |address: [u8; 4]| u64::from(u32::from_be_bytes(address)) >> (32 - length);
                bits(network) == bits(ask.client)
            }
            Self::Not(cond) => !cond.holds(ask),
            Self::All(conds) => conds.iter().all(|cond| cond.holds(ask)),
            Self::Some(conds) => conds.iter().any(|cond| cond.holds(ask)),
        }
    }
}

impl fmt::Display for Cond {
    /// In Traefik's grammar, with more parentheses than need be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |f: &mut fmt::Formatter<'_>, conds: &[Cond], operator: &str| {
            let parts: Vec<_> = conds.iter().map(|cond| format!("({cond})")).collect();
            f.write_str(&parts.join(operator))
        };
        match self {
            Self::AnyHost => f.write_str("Host(`*`)"),
            Self::Host(host) => write!(f, "Host(`{host}`)"),
            Self::Under(suffix) => write!(f, "Host(`*{suffix}`)"),
            Self::HostEndsWith(suffix) => write!(f, "HostRegexp(`{}$`)", suffix.replace('.', "[.]")),
            Self::Path(path) => write!(f, "Path(`{path}`)"),
            Self::PathBegins(prefix) => write!(f, "PathPrefix(`{prefix}`)"),
            Self::PathMatches(prefix) => write!(f, "PathRegexp(`^{prefix}`)"),
            Self::Method(method) => write!(f, "Method(`{method}`)"),
            Self::Header(name, value) => write!(f, "Header(`{name}`, `{value}`)"),
            // Without a value: the key is there with an empty one.
            Self::Query(key, "") => write!(f, "Query(`{key}`)"),
            Self::Query(key, value) => write!(f, "Query(`{key}`, `{value}`)"),
            Self::Client(range) => write!(f, "ClientIP(`{}`)", RANGES[*range].0),
            Self::Not(cond) => write!(f, "!({cond})"),
            Self::All(conds) => group(f, conds, " && "),
            Self::Some(conds) => group(f, conds, " || "),
        }
    }
}

/// A router as far as the choice among routers goes.
#[derive(Clone, Debug)]
pub(super) struct Rank<'m> {
    pub priority: i64,
    /// `web@file`.
    pub name: &'m str,
    pub rule: &'m Cond,
}

/// Traefik's documented order of providers, as far as the machines know them. Others come last.
const PROVIDERS: [&str; 6] = ["internal", "swarm", "docker", "file", "etcd", "http"];

/// The one that serves: of all whose rule holds, the highest priority; then the provider that comes first; then the name.
pub(super) fn first<'m>(routers: impl Iterator<Item = Rank<'m>>, ask: &Ask) -> Option<&'m str> {
    let provider = |name: &str| {
        let provider = name.split_once('@').map_or("", |(_, provider)| provider);
        PROVIDERS.iter().position(|known| *known == provider).unwrap_or(PROVIDERS.len())
    };
    let holding = routers.filter(|router| router.rule.holds(ask));
    holding.min_by_key(|router| (-router.priority, provider(router.name), router.name)).map(|router| router.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(host: &'static str) -> Ask {
        Ask {
            host,
            path: PATHS[8],
            method: "GET",
            headers: vec![("X-Key", "1"), ("X-Key", "2")],
            query: vec![("X-Key", "")],
            client: CLIENTS[0],
            tls: false,
        }
    }

    #[test]
    fn conditions_mean_what_they_say() {
        let (a, deep) = (ask("a.x"), ask("b.c.a.x"));
        for (cond, on_a, on_deep) in [
            (Cond::Host("A.X"), true, false),
            (Cond::Under(".x"), true, false),
            (Cond::Under(".c.a.x"), false, true),
            (Cond::HostEndsWith(".x"), true, true),
            (Cond::Path("/a b"), true, true),
            (Cond::PathMatches("/b"), false, false),
            (Cond::Header("x-key", "2"), true, true),
            (Cond::Query("X-Key", ""), true, true),
            (Cond::Query("x-key", ""), false, false),
            (Cond::Client(0), true, true),
            (Cond::Client(3), true, true),
            (Cond::Client(2), false, false),
            (Cond::Not(Box::new(Cond::AnyHost)), false, false),
        ] {
            assert_eq!((cond.holds(&a), cond.holds(&deep)), (on_a, on_deep), "{cond}");
        }
    }

    #[test]
    fn the_first_is_by_priority_then_provider_then_name() {
        let any = Cond::AnyHost;
        let never = Cond::Method("PUT");
        let rank = |priority, name, rule| Rank { priority, name, rule };
        let routers = [
            rank(9, "z@file", &never),
            rank(5, "b@etcd", &any),
            rank(5, "c@file", &any),
            rank(5, "b@file", &any),
            rank(5, "a@zz", &any),
            rank(4, "a@swarm", &any),
        ];
        assert_eq!(first(routers.into_iter(), &ask("x")), Some("b@file"));
    }
}
