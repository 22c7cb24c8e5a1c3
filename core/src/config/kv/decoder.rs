//! The keys of a store, decoded again and again: a unit of which no key changed is not read anew, and stays the same `Arc`.
//!
//! What is decoded is what [`super::tree`] and [`decode`] make of all keys at once. Where a key may reach beyond its unit (another spelling of a
//! section, a value that is no one's), all keys are read at once; units that come out alike are still kept.

use super::{MAX_KEY, MAX_VALUE, is_dots, is_lock, tree_of};
use crate::{
    config::{
        RawDynamic, Rejection, Source, Style,
        raw::{Unit, Units, decode, is_name},
    },
    planted::planted,
};
use serde::Deserialize;
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

/// The sections that hold units, as they are usually spelled.
const SECTIONS: [&str; 8] = [
    "http/routers",
    "http/services",
    "http/middlewares",
    "http/serversTransports",
    "http/serverstransports",
    "tcp/routers",
    "tcp/services",
    "tcp/middlewares",
];

/// Two spellings of one.
const TRANSPORTS: [usize; 2] = [3, 4];

/// See the module.
#[derive(Debug)]
pub struct Decoder {
    root: String,
    source: Arc<Source>,
    raw: RawDynamic,
    rejections: Vec<Rejection>,
    /// Every key concerns one unit alone, or none.
    regular: bool,
    /// Names of units that are not lower-case, by what they are when folded.
    cased: BTreeMap<(usize, String), String>,
}

/// What a key belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Place<'k> {
    Nothing,
    /// A section and a name.
    Unit(usize, &'k str),
    /// What has no units, or few.
    Rest,
    /// It may reach beyond one unit.
    Irregular,
}

type Touched = BTreeSet<(usize, String)>;

impl Decoder {
    /// Nothing read yet below `root`. `name` is the store in messages.
    pub fn new(root: &str, name: &str) -> Self {
        Self {
            root: root.trim_matches('/').to_owned(),
            source: Arc::new(Source { name: name.to_owned(), style: Style::Kv }),
            raw: RawDynamic::default(),
            rejections: Vec::new(),
            regular: false,
            cased: BTreeMap::new(),
        }
    }

    /// What was decoded last.
    pub fn decoded(&self) -> (RawDynamic, Vec<Rejection>) {
        (self.raw.clone(), self.rejections.clone())
    }

    /// Reads all pairs.
    pub fn read<K: Ord + Borrow<[u8]>, V: AsRef<[u8]>>(&mut self, pairs: &BTreeMap<K, V>) {
        self.cased.clear();
        let last = std::mem::take(&mut self.raw);
        self.regular = match self.touched(pairs.iter().map(|(key, value)| (key.borrow(), Some(value.as_ref())))) {
            Some((units, _)) => {
                self.read_rest(pairs);
                units.iter().all(|(section, name)| self.read_unit(*section, name, pairs))
            }
            None => false,
        };
        if !self.regular {
            let (tree, rejections) =
                tree_of(pairs.iter().map(|(key, value)| (key.borrow(), value.as_ref())), &self.root, self.source.clone());
            (self.raw, self.rejections) = decode(&tree);
            self.rejections.splice(0..0, rejections);
        }
        self.raw.keep(&last);
    }

    /// Reads what `changed` belongs to, of all pairs. False: they must all be read.
    #[must_use]
    pub fn update<'k, K, V>(&mut self, pairs: &BTreeMap<K, V>, changed: impl Iterator<Item = &'k [u8]>) -> bool
    where
        K: Ord + Borrow<[u8]>,
        V: AsRef<[u8]>,
    {
        let changed = changed.map(|key| (key, pairs.get(key).map(AsRef::as_ref)));
        let Some((units, rest)) = self.regular.then(|| self.touched(changed)).flatten() else { return false };
        if rest {
            self.read_rest(pairs);
        }
        self.regular = units.iter().all(|(section, name)| self.read_unit(*section, name, pairs));
        self.regular
    }

    /// The units that keys belong to, and whether others do not belong to any. `None`: some reach beyond.
    fn touched<'k>(&mut self, keys: impl Iterator<Item = (&'k [u8], Option<&'k [u8]>)>) -> Option<(Touched, bool)> {
        let (mut units, mut rest) = (Touched::new(), false);
        let mut transports = TRANSPORTS.map(|_| false);
        transports[0] = self.raw.transports.values().any(|unit| unit.written.key().contains(SECTIONS[TRANSPORTS[0]]));
        transports[1] = self.raw.transports.values().any(|unit| unit.written.key().contains(SECTIONS[TRANSPORTS[1]]));
        for (key, value) in keys {
            match self.place(key, value) {
                Place::Nothing => {}
                Place::Rest => rest = true,
                Place::Irregular => return None,
                Place::Unit(section, name) => {
                    if units.last().is_some_and(|(s, n)| *s == section && n == name) {
                        continue;
                    }
                    if let Some(at) = TRANSPORTS.iter().position(|s| *s == section) {
                        transports[at] = true;
                    }
                    if transports == [true; 2] || !self.is_spelled(section, name, &units) {
                        return None;
                    }
                    units.insert((section, name.to_owned()));
                }
            }
        }
        Some((units, rest))
    }

    /// Whether no unit has the same name in other letters.
    fn is_spelled(&mut self, section: usize, name: &str, units: &Touched) -> bool {
        let folded = name.to_ascii_lowercase();
        if let Some(known) = self.cased.get(&(section, folded.clone())) {
            return known == name;
        }
        if folded == name {
            return true;
        }
        let lower = (section, folded);
        if units.contains(&lower) || self.raw.has_unit(lower.0, &lower.1) {
            return false;
        }
        self.cased.insert(lower, name.to_owned());
        true
    }

    fn place<'k>(&self, key: &'k [u8], value: Option<&[u8]>) -> Place<'k> {
        if key.first() == Some(&b'/') || self.root.is_empty() {
            return Place::Irregular;
        }
        let below = key.strip_prefix(self.root.as_bytes()).and_then(|below| below.strip_prefix(b"/"));
        let Some(below) = below else { return Place::Nothing };
        if is_lock(key) {
            return Place::Nothing;
        }
        let Ok(below) = std::str::from_utf8(below) else { return Place::Irregular };
        if key.len() > MAX_KEY {
            return Place::Irregular;
        }
        let mut segments = below.split('/');
        let first = segments.next().unwrap_or_default();
        if first.is_empty() {
            return if below.bytes().all(|byte| byte == b'/') { Place::Nothing } else { Place::Irregular };
        }
        if !["http", "tcp"].iter().any(|section| section.eq_ignore_ascii_case(first)) {
            return Place::Rest;
        }
        let (Some(kind), Some(name)) = (segments.next(), segments.next()) else { return Place::Irregular };
        let length = first.len() + 1 + kind.len();
        let Some(section) = SECTIONS.iter().position(|section| *section == &below[..length]) else { return Place::Irregular };
        if name.is_empty() || is_dots(name) || !is_name(name) {
            return Place::Irregular;
        }
        // A value of the unit itself, which is not read as a part of it.
        let own = segments.all(str::is_empty);
        let readable = |value: &[u8]| value.len() <= MAX_VALUE && std::str::from_utf8(value).is_ok();
        if own && !value.is_none_or(readable) { Place::Irregular } else { Place::Unit(section, name) }
    }

    /// Reads one unit. False: it does not stand for itself.
    fn read_unit<K: Ord + Borrow<[u8]>, V: AsRef<[u8]>>(&mut self, section: usize, name: &str, pairs: &BTreeMap<K, V>) -> bool {
        let place = format!("{}/{}/{name}", self.root, SECTIONS[section]);
        let own = pairs.get_key_value(place.as_bytes()).into_iter();
        let (from, to) = (format!("{place}/"), format!("{place}0"));
        let below = between(pairs, Bound::Included(from.as_bytes()), Bound::Excluded(to.as_bytes()));
        let its = own.chain(below).map(|(key, value)| (key.borrow(), value.as_ref()));
        let (tree, rejections) = tree_of(its, &self.root, self.source.clone());
        let (unit, more) = decode(&tree);
        let gone = self.raw.put_unit(section, name, unit);
        if gone {
            self.cased.remove(&(section, name.to_ascii_lowercase()));
        }
        rejections.is_empty() && more.is_empty()
    }

    /// Reads all that lies outside of the sections.
    fn read_rest<K: Ord + Borrow<[u8]>, V: AsRef<[u8]>>(&mut self, pairs: &BTreeMap<K, V>) {
        let root = &self.root;
        let ends = ["/", "/http/", "/http0", "/tcp/", "/tcp0", "0"].map(|end| format!("{root}{end}"));
        let rest = ends
            .chunks_exact(2)
            .flat_map(|ends| between(pairs, Bound::Included(ends[0].as_bytes()), Bound::Excluded(ends[1].as_bytes())));
        let (tree, mut rejections) = tree_of(rest.map(|(key, value)| (key.borrow(), value.as_ref())), root, self.source.clone());
        let (raw, more) = decode(&tree);
        rejections.extend(more);
        self.rejections = rejections;
        let RawDynamic { tls_options, tls_stores, certificates, .. } = raw;
        let last =
            (std::mem::replace(&mut self.raw.tls_options, tls_options), std::mem::replace(&mut self.raw.tls_stores, tls_stores));
        keep(&mut self.raw.tls_options, &last.0);
        keep(&mut self.raw.tls_stores, &last.1);
        self.raw.certificates = certificates.unless_same(&self.raw.certificates);
    }
}

fn between<'p, K: Ord + Borrow<[u8]>, V>(
    pairs: &'p BTreeMap<K, V>,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> impl Iterator<Item = (&'p K, &'p V)> {
    pairs.range::<[u8], _>((from, to))
}

impl RawDynamic {
    fn has_unit(&self, section: usize, name: &str) -> bool {
        match section {
            0 => self.routers.contains_key(name),
            1 => self.services.contains_key(name),
            2 => self.middlewares.contains_key(name),
            3 | 4 => self.transports.contains_key(name),
            5 => self.tcp_routers.contains_key(name),
            6 => self.tcp_services.contains_key(name),
            _ => self.tcp_middlewares.contains_key(name),
        }
    }

    /// Takes the only unit of `from`, or none; tells whether it is gone.
    fn put_unit(&mut self, section: usize, name: &str, from: RawDynamic) -> bool {
        match section {
            0 => put(&mut self.routers, name, from.routers),
            1 => put(&mut self.services, name, from.services),
            2 => put(&mut self.middlewares, name, from.middlewares),
            3 | 4 => put(&mut self.transports, name, from.transports),
            5 => put(&mut self.tcp_routers, name, from.tcp_routers),
            6 => put(&mut self.tcp_services, name, from.tcp_services),
            _ => put(&mut self.tcp_middlewares, name, from.tcp_middlewares),
        }
    }

    /// Takes over from `last` the units that are the same, and whole collections where all are.
    fn keep(&mut self, last: &Self) {
        keep(&mut self.routers, &last.routers);
        keep(&mut self.services, &last.services);
        keep(&mut self.middlewares, &last.middlewares);
        keep(&mut self.transports, &last.transports);
        keep(&mut self.tcp_routers, &last.tcp_routers);
        keep(&mut self.tcp_services, &last.tcp_services);
        keep(&mut self.tcp_middlewares, &last.tcp_middlewares);
        keep(&mut self.tls_options, &last.tls_options);
        keep(&mut self.tls_stores, &last.tls_stores);
    }
}

fn put<T: for<'de> Deserialize<'de>>(into: &mut Units<T>, name: &str, from: Units<T>) -> bool {
    match from.into_iter().next() {
        Some((_, unit)) if into.get(name).is_none_or(|known| *known != unit) => {
            into.insert(name.to_owned(), unit.forgetting());
            false
        }
        Some(_) => false,
        None => {
            if into.contains_key(name) && !planted!("removal_undecoded") {
                into.remove(name);
            }
            true
        }
    }
}

fn keep<T>(units: &mut Units<T>, last: &Units<T>) {
    if units == last {
        *units = last.clone();
        return;
    }
    let known = |name: &String, unit: &Unit<T>| last.get(name).filter(|known| *known == unit).cloned();
    *units = std::mem::take(units)
        .into_iter()
        .map(|(name, unit)| {
            let unit = known(&name, &unit).unwrap_or(unit);
            (name, unit)
        })
        .collect();
}
