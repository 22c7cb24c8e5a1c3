//! Access lists and the conditions at the end of lines, as far as a regular expression on the URL, or a list of ranges, says the same.

use crate::config::dynamic::IpRange;
use std::collections::BTreeMap;

/// What an access list tests.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// The connection is encrypted.
    Ssl,
    /// Expressions, of which the host meets one.
    Host(Vec<String>),
    /// Expressions, of which the path meets one.
    Path(Vec<String>),
    /// Ranges, of which one holds the client's address.
    Source(Vec<IpRange>),
    /// Something that has no equivalent.
    Other,
}

/// Access lists by name.
#[derive(Debug, Default)]
pub(super) struct Lists(BTreeMap<String, Test>);

/// All of what is given must hold.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) ssl: Option<bool>,
    pub(super) host: Option<Vec<String>>,
    pub(super) path: Option<Vec<String>>,
    /// Whether the client is in these ranges, or in none of them.
    pub(super) source: Option<(bool, Vec<IpRange>)>,
}

impl Condition {
    /// Whether nothing but encryption is asked about.
    pub(super) fn is_about_ssl_only(&self) -> bool {
        self.host.is_none() && self.path.is_none() && self.source.is_none()
    }
}

impl Lists {
    /// `acl NAME criterion…`. Of several of one name, any may hold.
    pub(super) fn declare(&mut self, words: &[String]) {
        let [name, test @ ..] = words else { return };
        let test = read(test);
        match self.0.get_mut(name) {
            None => drop(self.0.insert(name.clone(), test)),
            Some(known) => match (known, test) {
                (Test::Host(known), Test::Host(more)) | (Test::Path(known), Test::Path(more)) => known.extend(more),
                (Test::Source(known), Test::Source(more)) => known.extend(more),
                (known, _) => *known = Test::Other,
            },
        }
    }

    /// What stands at the end of a line: nothing, `if …` or `unless …`.
    ///
    /// # Errors
    ///
    /// It has no equivalent, for this reason.
    pub(super) fn condition(&self, words: &[String]) -> Result<Condition, String> {
        let (terms, unless) = match words {
            [] => return Ok(Condition::default()),
            [word, terms @ ..] if word == "if" => (terms, false),
            [word, terms @ ..] if word == "unless" => (terms, true),
            [word, ..] => return Err(format!("`{}` is not understood here", word.escape_debug())),
        };
        let terms = self.terms(terms)?;
        if terms.is_empty() || (unless && terms.len() > 1) {
            return Err("the condition has no equivalent".to_owned());
        }
        let mut condition = Condition::default();
        for (negated, test) in terms {
            let holds = negated == unless;
            let taken = match test {
                Test::Ssl => condition.ssl.replace(holds).is_some(),
                Test::Host(hosts) if holds => condition.host.replace(hosts).is_some(),
                Test::Path(paths) if holds => condition.path.replace(paths).is_some(),
                Test::Source(ranges) => condition.source.replace((holds, ranges)).is_some(),
                Test::Host(_) | Test::Path(_) | Test::Other => true,
            };
            if taken {
                return Err("the condition has no equivalent".to_owned());
            }
        }
        Ok(condition)
    }

    /// Names, `!names`, and tests in braces.
    fn terms(&self, words: &[String]) -> Result<Vec<(bool, Test)>, String> {
        let mut terms = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (mut negated, mut name) = (false, word.as_str());
            while let Some(rest) = name.strip_prefix('!') {
                (negated, name) = (!negated, rest);
                if name.is_empty() {
                    name = words.next().map_or("", String::as_str);
                }
            }
            let test = if name == "{" {
                let inner: Vec<String> = words.by_ref().take_while(|word| *word != "}").cloned().collect();
                read(&inner)
            } else {
                match self.0.get(name) {
                    Some(test) => test.clone(),
                    None if matches!(name, "or" | "||" | "OR") => return Err("alternatives have no equivalent".to_owned()),
                    None => return Err(format!("there is no access list `{}`", name.escape_debug())),
                }
            };
            terms.push((negated, test));
        }
        Ok(terms)
    }
}

fn read(words: &[String]) -> Test {
    let [criterion, values @ ..] = words else { return Test::Other };
    let values: Vec<&String> = values.iter().skip_while(|value| *value == "-i").collect();
    if values.iter().any(|value| value.starts_with('-')) {
        return Test::Other;
    }
    let each = |make: &dyn Fn(&str) -> Option<String>| -> Option<Vec<String>> {
        let made: Option<Vec<String>> = values.iter().map(|value| make(value)).collect();
        made.filter(|made| !made.is_empty())
    };
    let plain = |text: &str| regex::escape(text);
    let host = |made: Option<Vec<String>>| made.map_or(Test::Other, Test::Host);
    let path = |made: Option<Vec<String>>| made.map_or(Test::Other, Test::Path);
    match criterion.to_ascii_lowercase().as_str() {
        "ssl_fc" if values.is_empty() => Test::Ssl,
        "hdr(host)" | "req.hdr(host)" => host(each(&|text| Some(plain(text)))),
        "hdr_beg(host)" => host(each(&|text| Some(format!("{}[^/]*", plain(text))))),
        "hdr_end(host)" => host(each(&|text| Some(format!("[^/]*{}", plain(text))))),
        "hdr_reg(host)" => host(each(&anchored)),
        "path" => path(each(&|text| Some(plain(text)))),
        "path_beg" => path(each(&|text| Some(format!("{}[^?]*", plain(text))))),
        "src" => {
            let ranges: Option<Vec<IpRange>> = values.iter().map(|value| value.parse().ok()).collect();
            ranges.filter(|ranges| !ranges.is_empty()).map_or(Test::Other, Test::Source)
        }
        _ => Test::Other,
    }
}

/// An expression that is searched for in the host, as a part of one that the whole host meets.
fn anchored(text: &str) -> Option<String> {
    let (begin, rest) = text.strip_prefix('^').map_or(("[^/]*", text), |rest| ("", rest));
    let (end, inner) = match rest.strip_suffix('$') {
        Some(inner) if !inner.ends_with('\\') => ("", inner),
        _ => ("[^/]*", rest),
    };
    // Anchors further in belong to alternatives that cannot be told apart here.
    if inner.contains(['^', '$']) || regex::Regex::new(inner).is_err() {
        return None;
    }
    Some(format!("{begin}(?:{inner}){end}"))
}
