//! UpgradePaths: which paths may change to another protocol, such as WebSocket.
//!
//! Elsewhere the request goes on as plain HTTP, as nginx sends one from a location that does not speak of upgrades. It is not refused:
//! the server says what it thinks of a handshake that lacks its upgrade.

use super::{Flow, path::escape};
use crate::http::{FieldsMut, Request};

#[derive(Debug)]
pub(super) struct UpgradePaths {
    prefixes: Vec<String>,
}

impl UpgradePaths {
    pub(super) fn new(prefixes: &[String]) -> Self {
        Self { prefixes: prefixes.iter().map(|prefix| escape(prefix)).collect() }
    }

    /// Prefixes are compared by bytes, as PathPrefix does. Without `Upgrade` the caller carries no upgrade out.
    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        if self.prefixes.iter().any(|prefix| req.path.starts_with(prefix.as_str())) || !req.fields.remove("Upgrade") {
            return Flow::Continue;
        }
        // What was said to be a WebSocket is none any more.
        let plain: Option<&[u8]> = match req.fields.get("X-Forwarded-Proto") {
            Some(b"ws") => Some(b"http"),
            Some(b"wss") => Some(b"https"),
            _ => None,
        };
        if let Some(plain) = plain {
            req.fields.set("X-Forwarded-Proto", plain);
        }
        Flow::Continue
    }
}
