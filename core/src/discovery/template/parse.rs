//! The grammar: `pipeline := command ("|" command)*`, `command := function operand* | operand`, and `if`, `else if`, `else`, `end` around them.

use super::{
    Expr, Node,
    function::{Function, Value},
    lexer::{Token, tokens},
};

/// Deepest nesting of parentheses and conditions, and longest chain of `|` or `.`.
const MAX_DEPTH: usize = 64;

pub(super) fn nodes(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let nodes = parser.nodes(0)?;
    match parser.peek_word() {
        None => Ok(nodes),
        Some(word) => Err(format!("`{word}` has no `if` before it")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    /// Up to the end, or to an `else` or `end`, which is left where it is.
    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            match self.tokens.get(self.at) {
                None => return Ok(nodes),
                Some(Token::Plain(text)) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                }
                Some(_) => match self.peek_word() {
                    Some("else" | "end") => return Ok(nodes),
                    Some("if") => {
                        self.at += 2;
                        nodes.push(self.condition(depth)?);
                    }
                    Some(word @ ("range" | "with" | "define" | "template" | "block" | "break" | "continue")) => {
                        return Err(format!("`{word}` is not supported; of the keywords there are if, else and end"));
                    }
                    _ => {
                        self.at += 1;
                        nodes.push(Node::Output(self.action(depth)?));
                    }
                },
            }
        }
    }

    /// What follows `{{if`.
    fn condition(&mut self, depth: usize) -> Result<Node, String> {
        if depth == MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} nested conditions"));
        }
        let mut branches = vec![(self.action(depth)?, self.nodes(depth + 1)?)];
        let mut otherwise = Vec::new();
        loop {
            match self.peek_word() {
                Some("else") => {
                    self.at += 2;
                    if self.tokens.get(self.at) == Some(&Token::Word("if".to_owned())) {
                        self.at += 1;
                        branches.push((self.action(depth)?, self.nodes(depth + 1)?));
                    } else {
                        self.expect_end()?;
                        otherwise = self.nodes(depth + 1)?;
                        if self.peek_word() != Some("end") {
                            return Err("expected `{{end}}` after `{{else}}`".to_owned());
                        }
                    }
                }
                Some(_) => {
                    self.at += 2;
                    self.expect_end()?;
                    return Ok(Node::If { branches, otherwise });
                }
                None => return Err("expected `{{end}}` for `{{if}}`".to_owned()),
            }
        }
    }

    /// A pipeline and the `}}` after it.
    fn action(&mut self, depth: usize) -> Result<Expr, String> {
        let expr = self.pipeline(depth)?;
        self.expect_end()?;
        Ok(expr)
    }

    fn pipeline(&mut self, depth: usize) -> Result<Expr, String> {
        let mut expr = self.command(None, depth)?;
        let mut length = 1;
        while self.tokens.get(self.at) == Some(&Token::Pipe) {
            self.at += 1;
            expr = self.command(Some(expr), depth)?;
            length = chained(length)?;
        }
        Ok(expr)
    }

    /// `piped` becomes the last argument.
    fn command(&mut self, piped: Option<Expr>, depth: usize) -> Result<Expr, String> {
        if let Some(Token::Word(word)) = self.tokens.get(self.at).filter(|token| constant(token).is_none()) {
            let function = Function::of_name(word)?;
            self.at += 1;
            let mut arguments = Vec::new();
            while let Some(operand) = self.operand(depth)? {
                arguments.push(operand);
            }
            arguments.extend(piped);
            function.check(arguments.len())?;
            return Ok(Expr::Call(function, arguments));
        }
        if piped.is_some() {
            return Err(format!("expected a function after `|`, found {}", self.describe()));
        }
        let operand = self.operand(depth)?.ok_or_else(|| format!("expected a value, found {}", self.describe()))?;
        match self.operand(depth)? {
            None => Ok(operand),
            Some(_) => Err("expected one value, or a function in front of several".to_owned()),
        }
    }

    /// A literal, a field, or a pipeline in parentheses, with the fields that follow it.
    fn operand(&mut self, depth: usize) -> Result<Option<Expr>, String> {
        let mut expr = match self.tokens.get(self.at) {
            Some(Token::Text(text)) => Expr::Value(Value::Text(text.clone())),
            Some(Token::Number(number)) => Expr::Value(Value::Number(*number)),
            Some(Token::Field { name, .. }) => match name.as_str() {
                "Name" => Expr::Name,
                "ContainerName" => Expr::ContainerName,
                "Labels" => Expr::Labels,
                _ => return Err(format!("there is no `.{name}`; there are .Name, .ContainerName and .Labels")),
            },
            Some(Token::Open) if depth == MAX_DEPTH => return Err(format!("expected at most {MAX_DEPTH} nested parentheses")),
            Some(Token::Open) => {
                self.at += 1;
                let inner = self.pipeline(depth + 1)?;
                if self.tokens.get(self.at) != Some(&Token::Close) {
                    return Err(format!("expected `)`, found {}", self.describe()));
                }
                inner
            }
            Some(token @ Token::Word(word)) => match constant(token) {
                Some(value) => Expr::Value(value),
                // A function without arguments would be an argument here; all need some.
                None => {
                    Function::of_name(word)?;
                    return Err(format!("expected `{word}` and its arguments in parentheses"));
                }
            },
            _ => return Ok(None),
        };
        self.at += 1;
        let mut length = 1;
        while let Some(Token::Field { name, tight: true }) = self.tokens.get(self.at) {
            expr = Expr::Field(Box::new(expr), name.clone());
            self.at += 1;
            length = chained(length)?;
        }
        Ok(Some(expr))
    }

    /// The word after `{{`, if that is what comes.
    fn peek_word(&self) -> Option<&str> {
        match (self.tokens.get(self.at), self.tokens.get(self.at + 1)) {
            (Some(Token::Begin), Some(Token::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn expect_end(&mut self) -> Result<(), String> {
        if self.tokens.get(self.at) != Some(&Token::End) {
            return Err(format!("expected `}}}}`, found {}", self.describe()));
        }
        self.at += 1;
        Ok(())
    }

    fn describe(&self) -> String {
        self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), Token::describe)
    }
}

/// A chain, longer by one.
fn chained(length: usize) -> Result<usize, String> {
    if length == MAX_DEPTH { Err(format!("expected at most {MAX_DEPTH} in a chain of `|` or `.`")) } else { Ok(length + 1) }
}

fn constant(token: &Token) -> Option<Value> {
    match token {
        Token::Word(word) => match word.as_str() {
            "true" => Some(Value::Truth(true)),
            "false" => Some(Value::Truth(false)),
            "nil" => Some(Value::Nothing),
            _ => None,
        },
        _ => None,
    }
}
