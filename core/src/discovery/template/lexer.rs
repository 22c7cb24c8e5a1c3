//! Tokens of a template: text outside of `{{ }}`, and what stands inside.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Outside.
    Plain(String),
    Begin,
    End,
    Word(String),
    /// `.Name`; `tight`: nothing stands between it and what is before.
    Field {
        name: String,
        tight: bool,
    },
    Text(String),
    Number(i64),
    Open,
    Close,
    Pipe,
}

impl Token {
    /// As messages show it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Plain(_) | Self::Begin => "`{{`".to_owned(),
            Self::End => "`}}`".to_owned(),
            Self::Word(word) => format!("`{word}`"),
            Self::Field { name, .. } => format!("`.{name}`"),
            Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => format!("`{number}`"),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Pipe => "`|`".to_owned(),
        }
    }
}

/// All tokens of `text`. `{{-` and `-}}` take the white space beside them away, comments take themselves.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while !rest.is_empty() {
        let (plain, inside) = rest.split_once("{{").map_or((rest, None), |(plain, inside)| (plain, Some(inside)));
        let plain = if trim { plain.trim_start() } else { plain };
        let (plain, inside) = match inside.map(|inside| (inside, inside.strip_prefix('-'))) {
            Some((_, Some(after))) if after.starts_with(char::is_whitespace) => (plain.trim_end(), Some(after)),
            Some((inside, _)) => (plain, Some(inside)),
            None => (plain, None),
        };
        if !plain.is_empty() {
            tokens.push(Token::Plain(plain.to_owned()));
        }
        let Some(inside) = inside else { break };
        (rest, trim) = match inside.trim_start().strip_prefix("/*") {
            Some(comment) => end_of_comment(comment)?,
            None => action(inside, &mut tokens)?,
        };
    }
    Ok(tokens)
}

fn end_of_comment(comment: &str) -> Result<(&str, bool), String> {
    let wrong = || "expected `*/}}` at the end of the comment".to_owned();
    let (_, after) = comment.split_once("*/").ok_or_else(wrong)?;
    let after = after.trim_start();
    match after.strip_prefix("-}}") {
        Some(rest) => Ok((rest, true)),
        None => after.strip_prefix("}}").map(|rest| (rest, false)).ok_or_else(wrong),
    }
}

/// The tokens up to and with `}}`; what comes after it, and whether to trim that.
fn action<'t>(inside: &'t str, tokens: &mut Vec<Token>) -> Result<(&'t str, bool), String> {
    tokens.push(Token::Begin);
    let mut rest = inside;
    let mut tight = false;
    loop {
        let trimmed = rest.trim_start();
        tight = tight && trimmed.len() == rest.len();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some(after) = rest.strip_prefix("}}") {
            tokens.push(Token::End);
            return Ok((after, false));
        }
        if let Some(after) = rest.strip_prefix("-}}").filter(|_| spaced) {
            tokens.push(Token::End);
            return Ok((after, true));
        }
        let (token, after) = token(rest, tight)?;
        tokens.push(token);
        (rest, tight) = (after, true);
    }
}

fn token(rest: &str, tight: bool) -> Result<(Token, &str), String> {
    let end = |from: usize, part: fn(char) -> bool| rest[from..].find(|c| !part(c)).map_or(rest.len(), |end| from + end);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match rest.chars().next() {
        None => Err("expected `}}`".to_owned()),
        Some('(') => Ok((Token::Open, &rest[1..])),
        Some(')') => Ok((Token::Close, &rest[1..])),
        Some('|') => Ok((Token::Pipe, &rest[1..])),
        Some('`') => match rest[1..].split_once('`') {
            Some((text, after)) => Ok((Token::Text(text.to_owned()), after)),
            None => Err("expected a closing back quote".to_owned()),
        },
        Some('"') => quoted(&rest[1..]),
        Some('.') => {
            let (name, after) = rest[1..].split_at(end(1, word) - 1);
            Ok((Token::Field { name: name.to_owned(), tight }, after))
        }
        Some(c) if c.is_ascii_digit() || (c == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) => {
            let (digits, after) = rest.split_at(end(1, |c| c.is_ascii_digit()));
            let number = digits.parse().map_err(|_| format!("the number {digits} is too large"))?;
            Ok((Token::Number(number), after))
        }
        Some(c) if c.is_alphabetic() || c == '_' => {
            let (name, after) = rest.split_at(end(0, word));
            Ok((Token::Word(name.to_owned()), after))
        }
        Some('$') => Err("variables such as `$x` are not supported".to_owned()),
        Some(c) => Err(format!("{c:?} is not supported here")),
    }
}

fn quoted(rest: &str) -> Result<(Token, &str), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(text), &rest[at + 1..])),
            '\n' => break,
            '\\' => text.push(match chars.next() {
                Some((_, c @ ('"' | '\\'))) => c,
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                _ => return Err(r#"expected one of the escapes \" \\ \n \t"#.to_owned()),
            }),
            c => text.push(c),
        }
    }
    Err("expected a closing double quote".to_owned())
}
