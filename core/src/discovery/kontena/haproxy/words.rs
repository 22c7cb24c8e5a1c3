//! A line of HAProxy configuration in words, and its spans of time.

use std::time::Duration;

/// The words of a line: quotes and escapes undone, the comment off. A backslash before anything that needs none stays, as regular
/// expressions want it.
///
/// # Errors
///
/// A quote is open at the end.
pub(crate) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                let text = word.get_or_insert_default();
                match chars.peek().copied() {
                    Some('r') => text.push('\r'),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ (' ' | '#' | '\\' | '"' | '\'')) => text.push(c),
                    // Not an escape: what follows is read as it stands.
                    _ => {
                        text.push('\\');
                        continue;
                    }
                }
                chars.next();
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("a quote is not closed") } else { Ok(words) }
}

/// `30s`, `500ms`, `5000`: without a unit, milliseconds.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let micros = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(micros).map(Duration::from_micros)
}

/// A span as Traefik's options are written.
pub(crate) fn written(span: Duration) -> String {
    format!("{}us", span.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_haproxy_reads_them() {
        let cases: [(&str, &[&str]); 8] = [
            ("  timeout server 30s  ", &["timeout", "server", "30s"]),
            ("# all of it", &[]),
            ("balance source # why", &["balance", "source"]),
            (r"reqadd X-A:\ b", &["reqadd", "X-A: b"]),
            (r#"set "a b" 'c "d" \n' e\#f"#, &["set", "a b", r#"c "d" \n"#, "e#f"]),
            (r"hdr_reg(host) ^www\.a\.example$", &["hdr_reg(host)", r"^www\.a\.example$"]),
            (r"httpchk GET / HTTP/1.1\r\nHost:\ a", &["httpchk", "GET", "/", "HTTP/1.1\r\nHost: a"]),
            (r#"x """#, &["x", ""]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn a_bare_number_is_milliseconds() {
        for (text, millis) in [("5000", Some(5_000)), ("30s", Some(30_000)), ("1m", Some(60_000)), ("250ms", Some(250))] {
            assert_eq!(span(text).map(|span| span.as_millis()), millis, "{text}");
        }
        for text in ["", "s", "5x", "-1", "1.5s", "99999999999999999999d"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
