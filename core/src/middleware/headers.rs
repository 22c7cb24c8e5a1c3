//! Headers: custom request and response fields. An empty value removes.
//!
//! `Content-Length` and `Transfer-Encoding` are not touched, whatever is configured: they belong to whoever writes the
//! message, and changing them would let one message be read as two.

use super::Flow;
use crate::{
    config::dynamic::HeaderEdits,
    http::{FieldsMut, Request},
};

#[derive(Debug)]
pub(super) struct Headers {
    request: Vec<Edit>,
    response: Vec<Edit>,
    omits_forwarded_for: bool,
}

#[derive(Debug)]
struct Edit {
    name: String,
    /// `None` removes.
    value: Option<Vec<u8>>,
    /// What is there stays.
    beside: bool,
}

impl Headers {
    pub(super) fn new(edits: &HeaderEdits) -> Self {
        let omits_forwarded_for = edits.request.iter().any(|(name, value)| name == "X-Forwarded-For" && value.is_empty());
        let mut request = compile(&edits.request, &edits.append_request);
        // Every request has a host; only another one can take its place.
        request.retain(|edit| !(edit.name.eq_ignore_ascii_case("host") && edit.value.is_none()));
        Self { request, response: compile(&edits.response, &edits.append_response), omits_forwarded_for }
    }

    pub(super) fn omits_forwarded_for(&self) -> bool {
        self.omits_forwarded_for
    }

    pub(super) fn edits_response(&self) -> bool {
        !self.response.is_empty()
    }

    /// A custom `Host` becomes the field of that name, for the server to see; routing has been done by the client's.
    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        apply(&self.request, &mut req.fields);
        Flow::Continue
    }

    pub(super) fn response<F: FieldsMut>(&self, fields: &mut F) {
        apply(&self.response, fields);
    }
}

fn compile(replacing: &[(String, String)], beside: &[(String, String)]) -> Vec<Edit> {
    let edit = |(name, value): &(String, String), beside| {
        let value = (!value.is_empty()).then(|| value.clone().into_bytes());
        Edit { name: name.clone(), value, beside }
    };
    let replacing = replacing.iter().map(|field| edit(field, false));
    let beside = beside.iter().map(|field| edit(field, true)).filter(|edit| edit.value.is_some());
    replacing.chain(beside).filter(|edit| !is_framing(&edit.name)).collect()
}

fn is_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn apply<F: FieldsMut>(edits: &[Edit], fields: &mut F) {
    for edit in edits {
        match &edit.value {
            Some(value) if edit.beside => fields.append(&edit.name, value),
            Some(value) => fields.set(&edit.name, value),
            None => {
                fields.remove(&edit.name);
            }
        }
    }
}
