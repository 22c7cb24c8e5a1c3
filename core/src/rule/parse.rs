//! The grammar: `or := and ("||" and)*`, `and := unary ("&&" unary)*`, `unary := "!"* ("(" or ")" | Name "(" texts ")")`.
//!
//! Recursion is bounded by [`MAX_DEPTH`], work by [`MAX_LENGTH`]; negation is carried down, so De Morgan costs no second pass.

use super::{
    Expr, Family, Parsed, Rule, RuleError, Syntax, build,
    lexer::{Kind, Lexer, Token},
};
use std::sync::Arc;

/// Longest rule in bytes; room for some thousand hosts.
pub const MAX_LENGTH: usize = 64 * 1024;
/// Deepest nesting of parentheses.
pub const MAX_DEPTH: usize = 64;

/// Parses the text of a rule for requests.
pub fn parse(text: &str, syntax: Syntax) -> Result<Rule, RuleError> {
    parse_for(Family::Http, text, syntax)
}

/// Parses the text of a rule for connections: `HostSNI`, `HostSNIRegexp`, `ALPN`, `ClientIP`.
pub fn parse_tcp(text: &str, syntax: Syntax) -> Result<Rule, RuleError> {
    parse_for(Family::Tcp, text, syntax)
}

fn parse_for(family: Family, text: &str, syntax: Syntax) -> Result<Rule, RuleError> {
    if text.len() > MAX_LENGTH {
        let found = format!("a rule of {} bytes", text.len());
        return Err(RuleError::new(MAX_LENGTH, found, format!("at most {MAX_LENGTH} bytes; split it into several routers")));
    }
    let mut lexer = Lexer::new(text);
    let ahead = lexer.next()?;
    let mut parser = Parser { lexer, ahead, family, syntax };
    let expr = parser.any_of(false, 0)?;
    if parser.ahead.kind != Kind::End {
        return Err(parser.unexpected("&&, || or the end of the rule"));
    }
    Ok(Rule(Arc::new(Parsed { text: text.into(), syntax, expr })))
}

/// A literal argument and where it stands.
pub(super) struct Argument {
    pub at: usize,
    pub text: String,
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    ahead: Token<'t>,
    family: Family,
    syntax: Syntax,
}

impl<'t> Parser<'t> {
    fn any_of(&mut self, negated: bool, depth: usize) -> Result<Expr, RuleError> {
        let mut members = vec![self.all_of(negated, depth)?];
        while self.ahead.kind == Kind::Or {
            self.advance()?;
            members.push(self.all_of(negated, depth)?);
        }
        Ok(if negated { all(members) } else { any(members) })
    }

    fn all_of(&mut self, negated: bool, depth: usize) -> Result<Expr, RuleError> {
        let mut members = vec![self.unary(negated, depth)?];
        while self.ahead.kind == Kind::And {
            self.advance()?;
            members.push(self.unary(negated, depth)?);
        }
        Ok(if negated { any(members) } else { all(members) })
    }

    fn unary(&mut self, mut negated: bool, depth: usize) -> Result<Expr, RuleError> {
        while self.ahead.kind == Kind::Not {
            self.advance()?;
            negated = !negated;
        }
        match self.ahead.kind {
            Kind::Open if depth == MAX_DEPTH => Err(self.unexpected(format!("at most {MAX_DEPTH} nested parentheses"))),
            Kind::Open => {
                self.advance()?;
                let inner = self.any_of(negated, depth + 1)?;
                self.expect(&Kind::Close, "), && or ||")?;
                Ok(inner)
            }
            Kind::Name(name) => self.call(name, negated),
            _ => Err(self.unexpected(match self.family {
                Family::Http => "a matcher such as Host(`example.com`), ! or (",
                Family::Tcp => "a matcher such as HostSNI(`example.com`), ! or (",
            })),
        }
    }

    fn call(&mut self, written: &'t str, negated: bool) -> Result<Expr, RuleError> {
        let token = self.advance()?;
        let name = build::matcher_name(self.family, self.syntax, written, token.at)?;
        self.expect(&Kind::Open, "( and the arguments of this matcher")?;
        let mut arguments = Vec::new();
        while self.ahead.kind != Kind::Close {
            let token = self.advance()?;
            let Kind::Text(text) = token.kind else {
                return Err(RuleError::new(token.at, token.describe(), "a string in back quotes or double quotes"));
            };
            if text.is_empty() {
                return Err(RuleError::new(token.at, "an empty string", format!("an argument of {name} that is not empty")));
            }
            arguments.push(Argument { at: token.at, text });
            if self.ahead.kind != Kind::Comma {
                break;
            }
            self.advance()?;
        }
        self.expect(&Kind::Close, ") or a comma and a further argument")?;
        build::matcher(self.family, self.syntax, name, token.at, arguments, negated)
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

    fn unexpected(&self, expected: impl Into<String>) -> RuleError {
        RuleError::new(self.ahead.at, self.ahead.describe(), expected)
    }
}

/// All of these must hold. Groups of the same kind are dissolved.
pub(super) fn all(members: Vec<Expr>) -> Expr {
    join(members, Expr::And, |member| match member {
        Expr::And(inner) => Ok(inner),
        other => Err(other),
    })
}

/// One of these must hold. Groups of the same kind are dissolved.
pub(super) fn any(members: Vec<Expr>) -> Expr {
    join(members, Expr::Or, |member| match member {
        Expr::Or(inner) => Ok(inner),
        other => Err(other),
    })
}

fn join(mut members: Vec<Expr>, group: fn(Vec<Expr>) -> Expr, open: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Expr {
    if members.len() == 1 {
        return members.remove(0);
    }
    let mut flat = Vec::with_capacity(members.len());
    for member in members {
        match open(member) {
            Ok(inner) => flat.extend(inner),
            Err(member) => flat.push(member),
        }
    }
    group(flat)
}
