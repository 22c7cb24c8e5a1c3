//! Answers that Fairlead makes by itself.

use crate::worker::Shared;
use fairlead_core::{
    http::{Fields, FieldsMut},
    response::LocalResponse,
};
use fairlead_net::clock;
use fairlead_net::http::{Downstream, Error, Framing, Method, ResponseHead};
use std::{borrow::Cow, future::poll_fn, task::ready};

/// What an answer carries besides its own fields.
#[derive(Clone, Copy)]
pub struct Stamps<'a> {
    shared: &'a Shared,
    request_id: Option<&'a str>,
    /// A service inside the gateway answers, as any server would: there is no reason to name.
    pub served: bool,
}

impl<'a> Stamps<'a> {
    /// For an answer to the request of this identifier.
    pub fn new(shared: &'a Shared, request_id: Option<&'a str>) -> Self {
        Self { shared, request_id, served: false }
    }
}

/// Queues and sends the whole answer; `head` is scratch space.
///
/// # Errors
/// The client left before it was sent.
pub async fn send<D: Downstream>(
    down: &mut D,
    head: &mut ResponseHead,
    method: &Method,
    answer: &LocalResponse,
    stamps: Stamps<'_>,
) -> Result<u64, Error> {
    head.clear();
    head.status = answer.status;
    head.keep_alive = true;
    for (name, value) in &answer.fields {
        head.fields.append(name, value);
    }
    if let Some(name) = &stamps.shared.reason_header
        && !stamps.served
    {
        head.fields.set(name, answer.reason.name().as_bytes());
    }
    stamps.shared.stamp(head, stamps.request_id);
    if !head.fields.contains("date") {
        head.fields.append("Date", httpdate::fmt_http_date(clock::now()).as_bytes());
    }
    head.framing = match answer.status {
        100..200 | 204 | 304 => Framing::None,
        _ => Framing::Length(answer.body.len() as u64),
    };
    down.leave_body_unread();
    down.send_head(head);
    let body: &[u8] = if *method == Method::Head || head.framing == Framing::None { &[] } else { &answer.body };
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < body.len() {
            match ready!(down.poll_send(cx, &body[sent..])) {
                Ok(n) => sent += n,
                Err(e) => return Err(e).into(),
            }
        }
        Ok(()).into()
    })
    .await?;
    down.send_end(None)?;
    poll_fn(|cx| down.poll_flush(cx)).await?;
    Ok(sent as u64)
}

/// The fields of an answer, for middlewares to edit.
pub struct Local<'a>(pub &'a mut Vec<(Cow<'static, str>, Vec<u8>)>);

impl Fields for Local<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).any(|(_, value)| test(value))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}

impl FieldsMut for Local<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned().into(), value.to_vec()));
    }

    fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.0.len() != before
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str, &[u8]) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }
}
