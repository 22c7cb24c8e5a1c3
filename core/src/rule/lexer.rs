//! Tokens of a rule: the part of Go's lexical grammar that rules use.
//!
//! Owns string literals with Go's escapes, comments, and the rule of line breaks: Go ends a statement at a line break after a name, a
//! literal or `)`, so a break is allowed only after an operator, `(` or `,`.

use super::RuleError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'t> {
    Name(&'t str),
    Text(String),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token<'t> {
    pub at: usize,
    pub kind: Kind<'t>,
    /// As it is written.
    pub source: &'t str,
}

impl Token<'_> {
    pub fn describe(&self) -> &str {
        if self.kind == Kind::End { "the end of the rule" } else { self.source }
    }
}

pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// The last token ends a statement if a line break follows.
    ends: bool,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, ends: false }
    }

    pub fn next(&mut self) -> Result<Token<'t>, RuleError> {
        let line_break = self.skip_space()?;
        let at = self.at;
        let rest = &self.text[at..];
        let (kind, len) = match rest.as_bytes() {
            [] => (Kind::End, 0),
            [b'&', b'&', ..] => (Kind::And, 2),
            [b'|', b'|', ..] => (Kind::Or, 2),
            [b'!', b'=', ..] => {
                return Err(RuleError::new(at, "!=", "no comparison: a rule consists of matchers, &&, ||, ! and ()"));
            }
            [b'!', ..] => (Kind::Not, 1),
            [b'(', ..] => (Kind::Open, 1),
            [b')', ..] => (Kind::Close, 1),
            [b',', ..] => (Kind::Comma, 1),
            [b'`', ..] => self.raw_literal(rest)?,
            [b'"', ..] => self.quoted_literal(rest)?,
            [b'\'', ..] => return Err(RuleError::new(at, "'", "a string in back quotes or double quotes")),
            [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
                let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                (Kind::Name(&rest[..len]), len)
            }
            _ => {
                let len = rest.chars().next().map_or(0, char::len_utf8);
                return Err(RuleError::new(at, &rest[..len], "a matcher, &&, ||, !, ( or )"));
            }
        };
        if line_break && self.ends && kind != Kind::End {
            return Err(RuleError::new(at, "a line break before this", "line breaks only after &&, ||, !, ( or a comma"));
        }
        self.ends = matches!(kind, Kind::Name(_) | Kind::Text(_) | Kind::Close);
        self.at += len;
        Ok(Token { at, kind, source: &rest[..len] })
    }

    /// Skips white space and comments and tells whether a line ended.
    fn skip_space(&mut self) -> Result<bool, RuleError> {
        let mut line_break = false;
        loop {
            let rest = &self.text[self.at..];
            let skipped = match rest.as_bytes() {
                [b'\n', ..] => {
                    line_break = true;
                    1
                }
                [b' ' | b'\t' | b'\r', ..] => 1,
                [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
                [b'/', b'*', ..] => {
                    let Some(end) = rest.find("*/") else {
                        return Err(RuleError::new(self.at, "/*", "the end of this comment, */"));
                    };
                    line_break |= rest[..end].contains('\n');
                    end + 2
                }
                _ => return Ok(line_break),
            };
            self.at += skipped;
        }
    }

    /// Go drops carriage returns from raw literals.
    fn raw_literal(&self, rest: &str) -> Result<(Kind<'t>, usize), RuleError> {
        match rest[1..].find('`') {
            Some(end) => Ok((Kind::Text(rest[1..=end].replace('\r', "")), end + 2)),
            None => Err(RuleError::new(self.at, rest, "the closing back quote of this string")),
        }
    }

    fn quoted_literal(&self, rest: &str) -> Result<(Kind<'t>, usize), RuleError> {
        let bytes = rest.as_bytes();
        let mut value = Vec::new();
        let mut i = 1;
        loop {
            match bytes.get(i) {
                None | Some(b'\n') => return Err(RuleError::new(self.at, rest, "the closing double quote of this string")),
                Some(b'"') => break,
                Some(b'\\') => i += self.escape(&rest[i..], self.at + i, &mut value)?,
                Some(byte) => {
                    value.push(*byte);
                    i += 1;
                }
            }
        }
        match String::from_utf8(value) {
            Ok(text) => Ok((Kind::Text(text), i + 1)),
            Err(_) => Err(RuleError::new(self.at, &rest[..=i], "a string that is valid UTF-8 once its escapes are resolved")),
        }
    }

    /// Resolves the escape at the start of `rest` and returns its length.
    fn escape(&self, rest: &str, at: usize, value: &mut Vec<u8>) -> Result<usize, RuleError> {
        let shown = || rest.chars().take(2).collect::<String>();
        let wrong = |expected: &str| RuleError::new(at, shown(), expected);
        let number = |from: usize, digits: usize, radix: u32| {
            let text = rest.get(from..from + digits).filter(|t| t.bytes().all(|b| char::from(b).is_digit(radix)));
            text.and_then(|t| u32::from_str_radix(t, radix).ok())
        };
        let bytes = rest.as_bytes();
        let simple = match bytes.get(1) {
            Some(b'a') => 0x07,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0b,
            Some(b'\\') => b'\\',
            Some(b'"') => b'"',
            Some(b'x') => {
                let byte = number(2, 2, 16).ok_or_else(|| wrong("two hexadecimal digits after \\x"))?;
                value.push(byte as u8);
                return Ok(4);
            }
            Some(b'0'..=b'7') => {
                let byte = number(1, 3, 8).and_then(|n| u8::try_from(n).ok());
                value.push(byte.ok_or_else(|| wrong("three octal digits up to \\377"))?);
                return Ok(4);
            }
            Some(b'u' | b'U') => {
                let digits = if bytes[1] == b'u' { 4 } else { 8 };
                let scalar = number(2, digits, 16).and_then(char::from_u32);
                let scalar = scalar.ok_or_else(|| wrong("\\u with four or \\U with eight digits of a Unicode scalar value"))?;
                value.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(2 + digits);
            }
            _ => return Err(wrong(r#"one of the escapes \a \b \f \n \r \t \v \\ \" \xNN \NNN \uNNNN \UNNNNNNNN"#)),
        };
        value.push(simple);
        Ok(2)
    }
}
