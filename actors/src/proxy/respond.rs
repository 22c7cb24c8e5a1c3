//! Answers that Fairlead makes by itself.

use fairlead_core::response::LocalResponse;
use fairlead_net::http::{Downstream, Error, Framing, Method, ResponseHead};
use std::{future::poll_fn, task::ready};

/// Queues and sends the whole answer; `head` is scratch space.
///
/// # Errors
/// The client left before it was sent.
pub async fn send<D: Downstream>(
    down: &mut D,
    head: &mut ResponseHead,
    method: &Method,
    answer: &LocalResponse,
    reason_header: Option<&str>,
) -> Result<u64, Error> {
    head.clear();
    head.status = answer.status;
    head.keep_alive = true;
    for (name, value) in &answer.fields {
        head.fields.append(name, value);
    }
    if let (Some(name), Some(reason)) = (reason_header, answer.reason) {
        head.fields.set(name, reason.name().as_bytes());
    }
    head.framing = match answer.status {
        100..200 | 204 | 304 => Framing::None,
        _ => Framing::Length(answer.body.len() as u64),
    };
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
