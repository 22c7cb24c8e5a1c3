//! What all providers that read labels have in common.

use super::Resolver;
use crate::{
    config::{decode::quote, static_::*},
    discovery::{Constraints, tags::Constraint, template::Template},
};

impl Resolver<'_> {
    /// The rule of a router that has none.
    pub(super) fn default_rule(&mut self, text: Option<String>, path: &[&str]) -> Template {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Template::default() };
        Template::parse(&text).unwrap_or_else(|expected| {
            let message = format!("expected a template of a rule: {expected}");
            self.error(path, message, "write for instance Host(`{{ normalize .Name }}.example.com`)");
            Template::default()
        })
    }

    /// An expression on labels.
    pub(super) fn constraints(&mut self, text: Option<String>, path: &[&str]) -> Option<Constraints> {
        Constraints::parse(&text.unwrap_or_default()).unwrap_or_else(|error| {
            self.error(path, error.to_string(), "write for instance Label(`stage`, `production`)");
            None
        })
    }

    /// Traefik 1's constraints, `tag==glob`.
    pub(super) fn tags(&mut self, texts: &[String], path: &[&str]) -> Vec<Constraint> {
        let mut tags = Vec::new();
        for text in texts {
            match Constraint::parse(text) {
                Ok(constraint) => tags.push(constraint),
                Err(expected) => {
                    self.error(path, format!("{expected}; found {}", quote(text)), "write for instance tag==my-stack");
                }
            }
        }
        tags
    }

    /// What holds for every provider that reads labels: Traefik 1's constraints, and where labels may redirect to.
    pub(super) fn for_labels(&mut self, constraints: &[String], config: &mut StaticConfig) {
        let tags = self.tags(constraints, &["constraints"]);
        let points = config.entry_points.values().filter(|point| point.address.protocol == Protocol::Tcp);
        let scheme = |point: &EntryPoint| if point.http.tls.is_some() { "https" } else { "http" };
        let points: BTreeMap<_, _> =
            points.map(|point| (point.name.clone(), (scheme(point).to_owned(), point.address.port))).collect();
        let mut concerned = 0;
        for settings in config.providers.labelled() {
            settings.tags.extend(tags.iter().cloned());
            settings.entry_points.clone_from(&points);
            concerned += 1;
        }
        let (message, remedy) = match concerned {
            0 => ("without effect: no provider reads labels", "remove it"),
            _ => (
                "is Traefik 1's spelling, and understood, for every provider that reads labels",
                "write `providers.rancher.constraints`",
            ),
        };
        if !constraints.is_empty() {
            self.warning(&["constraints"], message, remedy);
        }
    }
}
