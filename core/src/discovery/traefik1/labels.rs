//! Which labels are Traefik 1's, sorted into the plain ones and those of each segment.
//!
//! Names are compared without regard to case. Values are read as Go reads them.

use crate::discovery::{Language, Workload};
use std::collections::BTreeMap;

/// One label as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

/// By property in lower case: `frontend.rule`.
type Properties<'a> = BTreeMap<String, Label<'a>>;

/// All labels of a workload that Traefik 1 reads.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    plain: Properties<'a>,
    segments: BTreeMap<&'a str, Properties<'a>>,
    /// Labels of Traefik 2 or 3 are there too.
    newer: bool,
    /// Any label below `traefik.` is there.
    any: bool,
}

/// The labels of one frontend and its backend: those of a segment, and behind them the plain ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) segment: Option<&'a str>,
    own: Option<&'a Properties<'a>>,
    plain: &'a Properties<'a>,
}

impl<'a> Labels<'a> {
    pub(super) fn of(workload: &'a Workload) -> Self {
        let mut labels = Self::default();
        for (name, value) in &workload.labels {
            if let Some((root, property)) = name.split_once('.')
                && root.eq_ignore_ascii_case("traefik")
            {
                labels.any = true;
                labels.put(property, Label { name, value });
            }
        }
        labels
    }

    fn put(&mut self, property: &'a str, label: Label<'a>) {
        let lower = property.to_ascii_lowercase();
        if is_plain(&lower) {
            self.plain.entry(lower).or_insert(label);
            return;
        }
        match Language::of_label(label.name) {
            Some(Language::Traefik) => self.newer = true,
            Some(Language::Traefik1) => {
                if let Some((segment, below)) = property.split_once('.').filter(|(segment, _)| !segment.is_empty()) {
                    self.segments.entry(segment).or_default().entry(below.to_ascii_lowercase()).or_insert(label);
                }
            }
            _ => {}
        }
    }

    /// Whether the workload is meant for Traefik 1's language at all.
    ///
    /// A port, protocol, weight or domain alone says so only where nothing is said in the newer one: people leave them when they move on.
    pub(super) fn speak(&self) -> bool {
        let plain = |prefix: &str| self.plain.keys().any(|name| name.starts_with(prefix));
        let alone = || ["port", "protocol", "weight", "domain"].iter().any(|name| self.plain.contains_key(*name));
        !self.segments.is_empty() || plain("frontend.") || plain("backend") || (!self.newer && alone())
    }

    /// Whether anything is said below `traefik.`
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// One view for each frontend: as soon as there is a segment, the plain labels are but its defaults.
    pub(super) fn views(&self) -> Vec<View<'_>> {
        if self.segments.is_empty() {
            return vec![self.plain()];
        }
        let views = self.segments.iter();
        views.map(|(segment, own)| View { segment: Some(*segment), own: Some(own), plain: &self.plain }).collect()
    }

    /// What is said of the workload as a whole.
    pub(super) fn plain(&self) -> View<'_> {
        View { segment: None, own: None, plain: &self.plain }
    }
}

impl<'a> View<'a> {
    /// The label of `property`, given in lower case, if it says anything.
    pub(super) fn get(&self, property: &str) -> Option<Label<'a>> {
        let own = self.own.and_then(|own| own.get(property));
        own.or_else(|| self.plain.get(property)).copied().filter(|label| !label.value.trim().is_empty())
    }

    /// Labels whose property begins with `prefix`, with the rest of it, by property. An empty value is a value here.
    pub(super) fn below(&self, prefix: &str) -> Vec<(&'a str, Label<'a>)> {
        let mut found: BTreeMap<&str, Label<'_>> = BTreeMap::new();
        for properties in [Some(self.plain), self.own].into_iter().flatten() {
            let below = properties.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
            found.extend(below.map(|(name, label)| (&name[prefix.len()..], *label)));
        }
        found.into_iter().collect()
    }

    /// What a label of `property` is called here, for one that is missing.
    pub(super) fn name_of(&self, property: &str) -> String {
        match self.segment {
            Some(segment) => format!("traefik.{segment}.{property}"),
            None => format!("traefik.{property}"),
        }
    }
}

impl Label<'_> {
    /// As Go's `ParseBool`.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.value.trim() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        }
    }

    /// Whether anything but a plain no is said.
    pub(super) fn is_on(&self) -> bool {
        self.truth() != Some(false)
    }

    /// Separated by commas.
    pub(super) fn list(&self) -> Vec<&str> {
        self.value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// `Key:Value||Key2:Value2`; what has no colon comes alone.
    pub(super) fn map(&self) -> Vec<Result<(&str, &str), &str>> {
        let pairs = self.value.split("||").map(str::trim).filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once(':').map(|(key, value)| (key.trim(), value.trim())).ok_or(pair)).collect()
    }
}

fn is_plain(property: &str) -> bool {
    const WHOLE: [&str; 10] =
        ["port", "portindex", "portname", "weight", "protocol", "domain", "tags", "enable", "backend", "docker.network"];
    WHOLE.contains(&property) || property.starts_with("frontend.") || property.starts_with("backend.")
}
