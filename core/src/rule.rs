//! Rules: what a router matches.

use std::fmt;

/// Which grammar a rule is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    V2,
    V3,
}

/// A parsed rule.
#[derive(Clone, Debug)]
pub struct Rule {}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Stand-in: a name, an opening bracket and a closing one.
pub fn parse(text: &str, _syntax: Syntax) -> Result<Rule, RuleError> {
    if text.is_empty() || text.matches('(').count() != text.matches(')').count() || !text.contains('(') {
        return Err(RuleError(format!("`{text}` is not a rule")));
    }
    Ok(Rule {})
}
