//! Traefik 1's constraints: which workloads are this gateway's concern, by their tags.
//!
//! `tag==glob` holds if some tag matches, `tag!=glob` if none does; of several all must hold. In a glob `*` is any run of characters, and
//! everything else is itself, upper and lower case apart.
//!
//! A workload's tags are its label `traefik.tags`, separated by commas and trimmed, as in Traefik 1.7; without the label it has none, so that
//! no `tag==…` holds. (1.4 took a missing label for one empty tag.)

use std::collections::BTreeMap;

/// The label that holds a workload's tags.
pub const LABEL: &str = "traefik.tags";

/// One constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// `==`; otherwise `!=`.
    wanted: bool,
    glob: String,
}

impl Constraint {
    /// `tag==glob` or `tag!=glob`.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected `tag==` or `tag!=` and a tag, in which `*` stands for anything";
        let (key, wanted, glob) = match (text.split_once("=="), text.split_once("!=")) {
            (Some((key, glob)), None) => (key, true, glob),
            (None, Some((key, glob))) => (key, false, glob),
            // Whichever comes first is the operator.
            (Some((key, glob)), Some((other, rest))) => {
                if key.len() < other.len() {
                    (key, true, glob)
                } else {
                    (other, false, rest)
                }
            }
            (None, None) => return Err(EXPECTED.to_owned()),
        };
        if key != "tag" {
            return Err(format!("{EXPECTED}; nothing but tags can be compared"));
        }
        Ok(Self { wanted, glob: glob.to_owned() })
    }

    fn holds(&self, tags: &[&str]) -> bool {
        tags.iter().any(|tag| matches(&self.glob, tag)) == self.wanted
    }
}

/// Whether a workload with these labels meets all of `constraints`.
pub fn hold(constraints: &[Constraint], labels: &BTreeMap<String, String>) -> bool {
    if constraints.is_empty() {
        return true;
    }
    let text = labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(LABEL)).map_or("", |(_, text)| text.as_str());
    let tags: Vec<&str> = text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    constraints.iter().all(|constraint| constraint.holds(&tags))
}

/// Each part between two stars is sought as early as possible, which leaves the most to those after it.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_read_or_refused() {
        let read = |text| Constraint::parse(text).map(|constraint| (constraint.wanted, constraint.glob));
        assert_eq!(read("tag==my-stack"), Ok((true, "my-stack".to_owned())));
        assert_eq!(read("tag!=eu-*"), Ok((false, "eu-*".to_owned())));
        assert_eq!(read("tag==a!=b"), Ok((true, "a!=b".to_owned())));
        assert_eq!(read("tag!=a==b"), Ok((false, "a==b".to_owned())));
        for text in ["", "tag", "tag=a", " tag==a", "tag ==a", "Tag==a", "label==a", "Label(`a`)"] {
            assert!(read(text).is_err_and(|message| message.contains("tag==")), "{text}");
        }
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        let table = [
            ("a", "a", true),
            ("a", "A", false),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "acb", false),
            ("*-eu-*", "web-eu-1", true),
            ("a?", "ab", false),
        ];
        for (glob, text, expected) in table {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
    }

    #[test]
    fn all_constraints_must_hold() {
        let labels = |text: &str| BTreeMap::from([("traefik.Tags".to_owned(), text.to_owned())]);
        let all = |constraints: &[&str]| constraints.iter().map(|text| Constraint::parse(text).unwrap()).collect::<Vec<_>>();
        assert!(hold(&[], &BTreeMap::new()));
        assert!(hold(&all(&["tag==b", "tag!=c"]), &labels("a, b")));
        assert!(!hold(&all(&["tag==b", "tag!=a"]), &labels("a, b")));
        assert!(!hold(&all(&["tag==*"]), &BTreeMap::new()), "no tags, nothing that matches");
        assert!(hold(&all(&["tag!=*"]), &BTreeMap::new()));
    }
}
