//! What goes back.

use serde_json::Value;
use std::borrow::Cow;

/// A whole response. The body is bounded by the configuration that it describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in the case to be sent; without framing fields.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// The first value of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

pub(super) fn text(status: u16, kind: &'static str, body: String) -> Response {
    Response { status, fields: vec![("Content-Type", kind.into())], body: body.into_bytes().into() }
}

pub(super) fn json(value: &Value) -> Response {
    text(200, "application/json", value.to_string())
}

/// Traefik's shape of an error: JSON text, called plain text.
pub(super) fn error(status: u16, message: &str) -> Response {
    let body = serde_json::json!({ "message": message });
    text(status, "text/plain; charset=utf-8", format!("{body}\n"))
}
