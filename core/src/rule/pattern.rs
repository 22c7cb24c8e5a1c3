//! Regular expressions in Go's syntax, run in linear time and bounded in size, and the templates of the v2 syntax.
//!
//! Go's dialect is translated rather than assumed: `\d \s \w \b` are ASCII, `\Q…\E` quotes, `[` inside a class is a literal and class
//! operators (`&&`, `--`, `~~`) are not known, `{` that starts no repetition is a literal. Left as differences from Go: a byte that is
//! not UTF-8 is matched by nothing (Go sees U+FFFD), and some expressions that Go refuses (`a**`) are accepted.

use super::RuleError;
use regex::bytes::{Regex, RegexBuilder};

/// Compiled size of one expression, and of the cache of its lazy automaton.
const SIZE_LIMIT: usize = 1 << 20;

/// A compiled expression with the text it was written as, by which it compares.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// An expression that is searched for, unanchored.
    pub(crate) fn search(text: &str, at: usize) -> Result<Self, RuleError> {
        Self::compile(text, &translate(text, at)?, at)
    }

    pub(super) fn host_template(text: &str, at: usize) -> Result<Self, RuleError> {
        Self::compile(text, &format!("(?i)^{}$", template(text, "[^.]+", at)?), at)
    }

    pub(super) fn path_template(text: &str, at: usize, whole: bool) -> Result<Self, RuleError> {
        let end = if whole { "$" } else { "" };
        Self::compile(text, &format!("^{}{end}", template(text, "[^/]+", at)?), at)
    }

    pub(super) fn query_template(text: &str, at: usize) -> Result<Self, RuleError> {
        Self::compile(text, &format!("^{}$", template(text, ".*", at)?), at)
    }

    fn compile(text: &str, expression: &str, at: usize) -> Result<Self, RuleError> {
        let built = builder(expression).build();
        let regex = built.map_err(|error| {
            // The last line of the library's report is the cause; the lines above draw the expression.
            let report = error.to_string();
            let cause = report.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            RuleError::new(at, text, format!("a regular expression ({cause})"))
        })?;
        Ok(Self { text: text.into(), regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

fn builder(expression: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(expression);
    builder.size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).nest_limit(100).octal(true);
    builder
}

/// A template: literal text and `{name:expression}` or `{name}`.
fn template(text: &str, default: &str, at: usize) -> Result<String, RuleError> {
    let unbalanced = || RuleError::new(at, text, "balanced braces: literal text, {name} or {name:expression}");
    let mut expression = String::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        if rest.as_bytes()[open] == b'}' {
            return Err(unbalanced());
        }
        expression.push_str(&regex::escape(&rest[..open]));
        let mut depth = 0_usize;
        let close = rest[open..].char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let close = open + close.ok_or_else(unbalanced)?.0;
        let (name, inner) = match rest[open + 1..close].split_once(':') {
            Some((name, inner)) => (name, translate(inner, at)?),
            None => (&rest[open + 1..close], default.to_owned()),
        };
        if name.is_empty() || inner.is_empty() {
            return Err(RuleError::new(at, &rest[open..=close], "{name} or {name:expression}"));
        }
        // By itself first: an expression such as `a)(b` must not close the group around it.
        Pattern::compile(&rest[open..=close], &inner, at)?;
        expression.push_str(&format!("(?:{inner})"));
        rest = &rest[close + 1..];
    }
    expression.push_str(&regex::escape(rest));
    Ok(expression)
}

/// From Go's dialect to that of the `regex` library.
fn translate(text: &str, at: usize) -> Result<String, RuleError> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '\\' => escape(rest, false, &mut out).map_err(|expected| RuleError::new(at, rest, expected))?,
            '[' => class(rest, &mut out).map_err(|expected| RuleError::new(at, rest, expected))?,
            '{' if !is_repetition(rest) => {
                out.push_str("\\{");
                1
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[used..];
    }
    Ok(out)
}

/// Whether `{n}`, `{n,}` or `{n,m}` stands here.
fn is_repetition(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else { return false };
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    !low.is_empty() && low.bytes().all(|b| b.is_ascii_digit()) && high.bytes().all(|b| b.is_ascii_digit())
}

/// Translates the escape at the start of `rest` and returns its length.
fn escape(rest: &str, in_class: bool, out: &mut String) -> Result<usize, &'static str> {
    let Some(next) = rest[1..].chars().next() else { return Err("a character after the backslash") };
    let ascii = match (next, in_class) {
        ('d', _) => "[0-9]",
        ('D', _) => "[^0-9]",
        ('s', _) => r"[\t\n\f\r ]",
        ('S', _) => r"[^\t\n\f\r ]",
        ('w', _) => "[0-9A-Za-z_]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('b', false) => r"(?-u:\b)",
        ('B', false) => r"(?-u:\B)",
        ('<', _) => "<",
        ('>', _) => ">",
        ('Q', false) => {
            let end = rest.find(r"\E").unwrap_or(rest.len());
            out.push_str(&regex::escape(&rest[2..end]));
            return Ok((end + 2).min(rest.len()));
        }
        ('1'..='9', _) if !rest[2..].starts_with(|c: char| c.is_digit(8)) => {
            return Err("no back reference: they have no linear-time match");
        }
        ('p' | 'P' | 'x', _) => {
            let braced = rest[2..].starts_with('{').then(|| rest.find('}')).flatten();
            let used = braced.map_or(2, |end| end + 1);
            out.push_str(&rest[..used]);
            return Ok(used);
        }
        _ => {
            out.push('\\');
            out.push(next);
            return Ok(1 + next.len_utf8());
        }
    };
    out.push_str(ascii);
    Ok(2)
}

/// Translates the class at the start of `rest` and returns its length.
fn class(rest: &str, out: &mut String) -> Result<usize, &'static str> {
    const UNCLOSED: &str = "the ] of this class";
    let mut i = 1;
    out.push('[');
    if rest[i..].starts_with('^') {
        out.push('^');
        i += 1;
    }
    let start = i;
    loop {
        let here = &rest[i..];
        let Some(first) = here.chars().next() else { return Err(UNCLOSED) };
        i += match first {
            ']' if i > start => {
                out.push(']');
                return Ok(i + 1);
            }
            '[' if here.starts_with("[:") && here.contains(":]") => {
                let end = here.find(":]").unwrap_or_default() + 2;
                out.push_str(&here[..end]);
                end
            }
            '\\' => escape(here, true, out)?,
            // A dash between two members makes a range; anywhere else it stands for itself.
            '-' if i > start && !here[1..].starts_with(']') => {
                out.push('-');
                let Some(high) = here[1..].chars().next() else { return Err(UNCLOSED) };
                if high == '\\' { 1 + escape(&here[1..], true, out)? } else { 1 + literal(high, out) }
            }
            other => literal(other, out),
        };
    }
}

fn literal(c: char, out: &mut String) -> usize {
    if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
        out.push('\\');
    }
    out.push(c);
    c.len_utf8()
}
