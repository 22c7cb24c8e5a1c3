//! What is wrong with a rule, for the person who wrote it.

use std::fmt;

/// A rule that was refused. The position is a byte offset into its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub at: usize,
    pub found: String,
    pub expected: String,
    /// The known matcher whose name is nearest to what was found.
    pub nearest: Option<&'static str>,
}

impl RuleError {
    pub(crate) fn new(at: usize, found: impl AsRef<str>, expected: impl Into<String>) -> Self {
        Self { at, found: excerpt(found.as_ref()), expected: expected.into(), nearest: None }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at position {}: found {}, expected {}", self.at, self.found, self.expected)?;
        match self.nearest {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RuleError {}

/// At most 60 characters: rules may be long, messages must not be.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
