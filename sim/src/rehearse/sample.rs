//! A text that a pattern of a rule matches: requests are made up from rules, and rules hold regular expressions.
//!
//! The simplest text, not a random one. Whoever uses it checks it against the rule itself: what comes out of an expression with
//! boundaries or with Go's peculiarities may miss.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A text in which the expression is found.
pub fn of_expression(expression: &str) -> Option<String> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(expression).ok()?;
    let mut text = Vec::new();
    write(&hir, &mut text)?;
    String::from_utf8(text).ok()
}

/// A text that a template of the v2 syntax matches: `{name}` and `{name:expression}` between literal text.
pub fn of_template(template: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let mut depth = 0_usize;
        let close = rest[open..].find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let inner = &rest[open + 1..open + close];
        match inner.split_once(':') {
            Some((_, expression)) => text.push_str(&of_expression(expression)?),
            None => text.push('x'),
        }
        rest = &rest[open + close + 1..];
    }
    Some(text + rest)
}

fn write(hir: &Hir, out: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            Some(())
        }
        HirKind::Class(class) => {
            let mut buffer = [0; 4];
            out.extend_from_slice(member(class)?.encode_utf8(&mut buffer).as_bytes());
            Some(())
        }
        HirKind::Repetition(repetition) => {
            // One is a better sample of `.*` than none.
            let times = repetition.min.max(u32::from(repetition.max.is_none()));
            (0..times).try_for_each(|_| write(&repetition.sub, out))
        }
        HirKind::Capture(capture) => write(&capture.sub, out),
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, out)),
        HirKind::Alternation(parts) => write(parts.first()?, out),
    }
}

/// A member of a class that stands in a host or a path as itself, if there is one.
fn member(class: &Class) -> Option<char> {
    let preferred = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain("-_.~/".chars()).chain(' '..='~');
    let holds = |c: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&(c as u8))),
    };
    preferred.into_iter().find(|c| holds(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_and_templates_have_samples() {
        assert_eq!(of_expression(r"^/api/v[0-9]+/(users|groups)$").as_deref(), Some("/api/v0/users"));
        assert_eq!(of_expression(r"^.+\.example\.com$").as_deref(), Some("a.example.com"));
        assert_eq!(of_template("/shop/{id:[0-9]{3}}/{rest}").as_deref(), Some("/shop/000/x"));
        assert_eq!(of_expression("("), None);
    }
}
