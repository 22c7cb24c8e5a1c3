//! Both ends against each other, against hyper, and against frames written by hand.

mod exchange;
mod flow;
mod hostile;
#[cfg(not(madsim))]
mod interop;
mod raw;

use super::{client, server};
use crate::http::{Downstream, Error, Fields, Frame, Framing, Kind, Method, RequestHead, ResponseHead, Sink, Source, Upstream};
use std::future::poll_fn;
use tokio::io::DuplexStream;

/// Two ends of a connection; the client's driver runs beside.
pub(super) async fn pair(settings: &server::Settings) -> (server::Connection<DuplexStream>, client::Client) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let client_settings = client::Settings::default();
    let (server, client) = tokio::join!(server::Connection::handshake(far, settings), client::handshake(near, &client_settings));
    let (client, driver) = client.unwrap();
    tokio::spawn(driver);
    (server.unwrap(), client)
}

/// Answers every request by `handler`, each in its own task, until the connection ends.
pub(super) fn serve<H, F>(mut connection: server::Connection<DuplexStream>, handler: H) -> tokio::task::JoinHandle<()>
where
    H: Fn(RequestHead, server::ServerStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(Ok((head, stream))) = connection.accept().await {
            tokio::spawn(handler(head, stream));
        }
    })
}

pub(super) fn get(target: &str) -> RequestHead {
    RequestHead { target: target.to_owned(), authority: "a.test".to_owned(), ..RequestHead::default() }
}

pub(super) fn post(framing: Framing) -> RequestHead {
    RequestHead { method: Method::Post, framing, ..get("/") }
}

pub(super) fn reply(status: u16, framing: Framing) -> ResponseHead {
    ResponseHead { status, framing, ..ResponseHead::default() }
}

pub(super) fn fields(lines: &[(&str, &str)]) -> Fields {
    lines.iter().map(|(n, v)| (*n, v.as_bytes())).collect()
}

/// Sends all of it, and waits until it is written.
pub(super) async fn send(sink: &mut impl Sink, mut data: &[u8]) -> Result<(), Error> {
    while !data.is_empty() {
        let n = poll_fn(|cx| sink.poll_send(cx, data)).await?;
        data = &data[n..];
    }
    Ok(())
}

pub(super) async fn flush(sink: &mut impl Sink) -> Result<(), Error> {
    poll_fn(|cx| sink.poll_flush(cx)).await
}

/// The whole body and its trailers.
pub(super) async fn drain(source: &mut impl Source) -> Result<(Vec<u8>, Option<Fields>), Error> {
    let mut body = Vec::new();
    loop {
        let before = body.len();
        let trailers = poll_fn(|cx| {
            source.poll_frame(cx).map_ok(|frame| match frame {
                Frame::Data(data) => {
                    body.extend_from_slice(data);
                    None
                }
                Frame::End(trailers) => Some(trailers.cloned()),
            })
        })
        .await?;
        match trailers {
            Some(trailers) => return Ok((body, trailers)),
            None => source.consume(body.len() - before),
        }
    }
}

pub(super) async fn head(stream: &mut client::ClientStream) -> Result<ResponseHead, Error> {
    let mut head = ResponseHead::default();
    poll_fn(|cx| stream.poll_head(cx, &mut head)).await?;
    Ok(head)
}

/// The data plane moves these between threads; that they can is part of the interface.
#[test]
fn what_the_data_plane_holds_is_send() {
    fn send<T: Send>(_: Option<T>) {}
    send(None::<server::Connection<DuplexStream>>);
    send(None::<Box<dyn Downstream>>);
    send(None::<Box<dyn Upstream>>);
    send(None::<(client::Client, client::Driver<DuplexStream>, super::KeepAlive)>);
    fn streams<A: Downstream, B: Upstream>() {}
    streams::<server::ServerStream, client::ClientStream>();
}
