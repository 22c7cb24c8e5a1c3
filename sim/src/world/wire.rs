//! Bodies over the network layer's sources and sinks, and what a server says to a request.

use crate::chance::mix;
use bytes::BytesMut;
use fairlead_net::http::{Error, Frame, Sink, Source};
use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

/// The body that a server gives to a request: length and content follow from both.
pub(crate) fn body_of(server: usize, id: u64, most: u64) -> Vec<u8> {
    let key = mix(id ^ mix(server as u64 + 1));
    let length = key % (most + 1);
    (0..length).map(|i| (key >> (8 * (i % 8))) as u8 ^ (i >> 3) as u8).collect()
}

/// The body that a client sends with a request.
pub(super) fn upload_of(id: u64, length: u64) -> Vec<u8> {
    let key = mix(id ^ 0x0b0d);
    (0..length).map(|i| upload_byte(key, i)).collect()
}

/// Whether this is part of that body, from `offset` on.
pub(super) fn is_upload(id: u64, offset: u64, data: &[u8]) -> bool {
    let key = mix(id ^ 0x0b0d);
    (offset..).zip(data).all(|(i, byte)| *byte == upload_byte(key, i))
}

fn upload_byte(key: u64, i: u64) -> u8 {
    (key >> (8 * (i % 8))) as u8 ^ (i >> 3) as u8
}

/// What a server says first and last in an upgraded connection.
pub(super) fn greeting(id: u64) -> Vec<u8> {
    format!("hello {id}\n").into_bytes()
}

/// A body on its way out.
pub(crate) struct Sending {
    data: Vec<u8>,
    sent: usize,
    ended: bool,
}

impl Sending {
    pub(crate) fn new(data: Vec<u8>) -> Self {
        Self { data, sent: 0, ended: false }
    }

    /// Sends what can be sent; ready when all of it is flushed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, to: &mut impl Sink) -> Poll<Result<(), Error>> {
        while self.sent < self.data.len() {
            self.sent += ready!(to.poll_send(cx, &self.data[self.sent..]))?;
        }
        if !self.ended {
            to.send_end(None)?;
            self.ended = true;
        }
        to.poll_flush(cx)
    }
}

/// Sends a whole body.
pub(crate) async fn send(to: &mut impl Sink, data: Vec<u8>) -> Result<(), Error> {
    let mut sending = Sending::new(data);
    poll_fn(|cx| sending.poll(cx, to)).await
}

/// Reads a whole body.
pub(crate) async fn receive(from: &mut impl Source) -> Result<BytesMut, Error> {
    let mut body = BytesMut::new();
    poll_fn(|cx| {
        loop {
            let n = match ready!(from.poll_frame(cx))? {
                Frame::End(_) => return Poll::Ready(Ok(())),
                Frame::Data(data) => {
                    body.extend_from_slice(data);
                    data.len()
                }
            };
            from.consume(n);
        }
    })
    .await?;
    Ok(body)
}
