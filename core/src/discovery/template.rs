//! The default rule's template: the part of Go's `text/template`, and of the sprig functions, that people use in one.
//!
//! ```
//! use fairlead_core::discovery::template::{Context, Template};
//!
//! let template = Template::parse("Host(`{{ trimPrefix `shop-` .Name }}.{{ index .Labels \"zone\" | default \"example.com\" }}`)").unwrap();
//! let labels = std::collections::BTreeMap::new();
//! let context = Context { name: "shop-web", container_name: "shop_web", labels: &labels };
//! assert_eq!(template.render(&context).unwrap(), "Host(`web.example.com`)");
//! ```
//!
//! Functions, fields and numbers of arguments are checked when it is parsed, once at start; what is left for rendering is what depends on a
//! workload's labels, such as the second part of a text that has one.
//!
//! Deliberately absent: variables, `range`, `with`, nested templates, and functions that do not come from their arguments alone.

mod function;
mod lexer;
mod parse;
#[cfg(test)]
mod tests;

use function::{Function, Value};
use std::collections::BTreeMap;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

/// What a template speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `.Name`: the workload's name, normalised.
    pub name: &'a str,
    /// `.ContainerName`: its name as it is.
    pub container_name: &'a str,
    /// `.Labels`: those that a workload does not have are empty.
    pub labels: &'a BTreeMap<String, String>,
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// What is wrong, where, and what is supported instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), nodes: parse::nodes(text)? })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text for one workload.
    ///
    /// # Errors
    ///
    /// A function got what it has no use for: a text that is no number as an index, an index beyond the end.
    pub fn render(&self, context: &Context<'_>) -> Result<String, String> {
        let mut out = String::new();
        write(&self.nodes, context, &mut out)?;
        Ok(out)
    }
}

impl Default for Template {
    /// Traefik's: ``Host(`{{ normalize .Name }}`)``.
    fn default() -> Self {
        let nodes = vec![
            Node::Text("Host(`".to_owned()),
            Node::Output(Expr::Call(Function::Normalize, vec![Expr::Name])),
            Node::Text("`)".to_owned()),
        ];
        Self { text: "Host(`{{ normalize .Name }}`)".to_owned(), nodes }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Output(Expr),
    If { branches: Vec<(Expr, Vec<Node>)>, otherwise: Vec<Node> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Value(Value),
    Name,
    ContainerName,
    Labels,
    /// `.key` of what is before it.
    Field(Box<Expr>, String),
    Call(Function, Vec<Expr>),
}

fn write(nodes: &[Node], context: &Context<'_>, out: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Output(expr) => out.push_str(&expr.value(context)?.into_text()?),
            Node::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, nodes) in branches {
                    if condition.value(context)?.is_true() {
                        chosen = nodes;
                        break;
                    }
                }
                write(chosen, context, out)?;
            }
        }
    }
    Ok(())
}

impl Expr {
    fn value(&self, context: &Context<'_>) -> Result<Value, String> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Name => Value::Text(context.name.to_owned()),
            Self::ContainerName => Value::Text(context.container_name.to_owned()),
            Self::Labels => Value::Map(context.labels.clone()),
            Self::Field(of, key) => of.value(context)?.field(key)?,
            // Those that need not look at all of their arguments.
            Self::Call(function @ (Function::And | Function::Or), arguments) => {
                let mut last = Value::Nothing;
                for argument in arguments {
                    last = argument.value(context)?;
                    if last.is_true() == (*function == Function::Or) {
                        break;
                    }
                }
                last
            }
            Self::Call(function, arguments) => {
                let arguments: Result<Vec<Value>, String> = arguments.iter().map(|argument| argument.value(context)).collect();
                function.call(arguments?)?
            }
        })
    }
}
