//! Constraints: which workloads are this gateway's concern, by their labels.
//!
//! ```
//! use fairlead_core::discovery::constraints::Constraints;
//!
//! let constraints = Constraints::parse("Label(`zone`, `dmz`) && !LabelRegex(`stage`, `^test`)").unwrap().unwrap();
//! let labels = [("zone".to_owned(), "dmz".to_owned())].into();
//! assert!(constraints.admit(&labels));
//! ```
//!
//! Owns the grammar, `or := and ("||" and)*`, `and := unary ("&&" unary)*`, `unary := "!"* ("(" or ")" | Name "(" text "," text ")")`; texts,
//! comments and line breaks are those of rules. A label that a workload does not have is empty, as in Traefik.

use crate::rule::{
    MAX_DEPTH, MAX_LENGTH, Pattern, RuleError,
    lexer::{Kind, Lexer, Token},
};
use std::collections::BTreeMap;

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Constraints {
    text: String,
    expr: Expr,
}

#[derive(Clone, Debug)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Label { name: String, value: String },
    LabelRegex { name: String, pattern: Pattern },
}

impl Constraints {
    /// Parses `text`; nothing written is no constraint.
    ///
    /// # Errors
    ///
    /// What was found where, and what was expected.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.len() > MAX_LENGTH {
            return Err(format!("expected at most {MAX_LENGTH} bytes, found {}", text.len()));
        }
        let expr = Parser::new(text).and_then(Parser::whole).map_err(|error| error.to_string())?;
        Ok(Some(Self { text: text.to_owned(), expr }))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a workload with these labels is admitted.
    pub fn admit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.expr.admits(labels)
    }
}

impl PartialEq for Constraints {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Constraints {}

impl Expr {
    fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        let label = |name: &String| labels.get(name).map_or("", String::as_str);
        match self {
            Self::All(members) => members.iter().all(|member| member.admits(labels)),
            Self::Any(members) => members.iter().any(|member| member.admits(labels)),
            Self::Not(inner) => !inner.admits(labels),
            Self::Label { name, value } => label(name) == value,
            Self::LabelRegex { name, pattern } => pattern.is_match(label(name).as_bytes()),
        }
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    ahead: Token<'t>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, RuleError> {
        let mut lexer = Lexer::new(text);
        let ahead = lexer.next()?;
        Ok(Self { lexer, ahead })
    }

    fn whole(mut self) -> Result<Expr, RuleError> {
        let expr = self.any_of(0)?;
        if self.ahead.kind != Kind::End {
            return Err(self.unexpected("&&, || or the end"));
        }
        Ok(expr)
    }

    fn any_of(&mut self, depth: usize) -> Result<Expr, RuleError> {
        let mut members = vec![self.all_of(depth)?];
        while self.ahead.kind == Kind::Or {
            self.advance()?;
            members.push(self.all_of(depth)?);
        }
        Ok(if members.len() == 1 { members.remove(0) } else { Expr::Any(members) })
    }

    fn all_of(&mut self, depth: usize) -> Result<Expr, RuleError> {
        let mut members = vec![self.unary(depth)?];
        while self.ahead.kind == Kind::And {
            self.advance()?;
            members.push(self.unary(depth)?);
        }
        Ok(if members.len() == 1 { members.remove(0) } else { Expr::All(members) })
    }

    fn unary(&mut self, depth: usize) -> Result<Expr, RuleError> {
        let mut negated = false;
        while self.ahead.kind == Kind::Not {
            self.advance()?;
            negated = !negated;
        }
        let expr = match self.ahead.kind {
            Kind::Open if depth == MAX_DEPTH => {
                return Err(self.unexpected(&format!("at most {MAX_DEPTH} nested parentheses")));
            }
            Kind::Open => {
                self.advance()?;
                let inner = self.any_of(depth + 1)?;
                self.expect(&Kind::Close, "), && or ||")?;
                inner
            }
            Kind::Name(name) => self.call(name)?,
            _ => return Err(self.unexpected("Label(`name`, `value`), LabelRegex(`name`, `expression`), ! or (")),
        };
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn call(&mut self, function: &str) -> Result<Expr, RuleError> {
        let at = self.ahead.at;
        if !["Label", "LabelRegex"].contains(&function) {
            let expected = match function {
                "Tag" | "TagRegex" => "Label or LabelRegex: services of Docker and Swarm have labels, not tags",
                _ => "Label or LabelRegex",
            };
            return Err(self.unexpected(expected));
        }
        self.advance()?;
        self.expect(&Kind::Open, "( and a label's name")?;
        let name = self.text()?;
        self.expect(&Kind::Comma, "a comma and a second text")?;
        let value = self.text()?;
        self.expect(&Kind::Close, ")")?;
        if function == "Label" {
            return Ok(Expr::Label { name, value });
        }
        Ok(Expr::LabelRegex { name, pattern: Pattern::search(&value, at)? })
    }

    fn text(&mut self) -> Result<String, RuleError> {
        let token = self.advance()?;
        match token.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(RuleError::new(token.at, describe(&token), "a text in back quotes or double quotes")),
        }
    }

    fn expect(&mut self, kind: &Kind<'_>, expected: &str) -> Result<(), RuleError> {
        if self.ahead.kind != *kind {
            return Err(self.unexpected(expected));
        }
        self.advance().map(drop)
    }

    fn advance(&mut self) -> Result<Token<'t>, RuleError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    fn unexpected(&self, expected: &str) -> RuleError {
        RuleError::new(self.ahead.at, describe(&self.ahead), expected)
    }
}

fn describe<'a>(token: &Token<'a>) -> &'a str {
    if token.kind == Kind::End { "the end" } else { token.source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(text: &str) -> Result<bool, String> {
        let labels = [("zone", "dmz"), ("stage", "testing"), ("a.b", "1")];
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Constraints::parse(text)?.is_none_or(|constraints| constraints.admit(&labels)))
    }

    #[test]
    fn expressions_are_evaluated() {
        for (text, admitted) in [
            ("", true),
            ("  ", true),
            ("Label(`zone`, `dmz`)", true),
            ("Label(\"zone\",\"inner\")", false),
            ("!Label(`zone`,`inner`)", true),
            ("!!Label(`zone`,`inner`)", false),
            ("Label(`nowhere`, ``)", true),
            ("Label(`a.b`,`1`)", true),
            ("LabelRegex(`stage`,`^test`)", true),
            ("LabelRegex(`stage`,`est`)", true),
            ("LabelRegex(`stage`,`^est`)", false),
            ("LabelRegex(`nowhere`,`.+`)", false),
            ("Label(`zone`,`x`) || Label(`zone`,`dmz`) && Label(`stage`,`x`)", false),
            ("(Label(`zone`,`x`) || Label(`zone`,`dmz`)) && !Label(`stage`,`x`)", true),
            ("!(Label(`zone`,`dmz`) && Label(`a.b`,`1`))", false),
        ] {
            assert_eq!(admits(text), Ok(admitted), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, message) in [
            ("Lable(`a`,`b`)", "at position 0: found Lable, expected Label or LabelRegex"),
            ("label(`a`,`b`)", "expected Label or LabelRegex"),
            ("Tag(`a`)", "not tags"),
            ("Label(`a`)", "found ), expected a comma and a second text"),
            ("Label(`a`,`b`", "found the end, expected )"),
            ("Label(`a`,`b`) Label(`a`,`b`)", "expected &&, || or the end"),
            ("Label(`a`,b)", "found b, expected a text in back quotes"),
            ("LabelRegex(`a`,`(`)", "a regular expression"),
            ("tag==x", "found tag, expected Label or LabelRegex"),
            ("Label(`a`,`b`) &&", "found the end, expected Label(`name`, `value`)"),
        ] {
            let error = admits(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(admits(&"(".repeat(100_000)).is_err());
    }
}
