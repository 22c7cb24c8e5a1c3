//! An HTTP/1 connection: one exchange after another, until either side has had enough.

use super::{
    connection::Client,
    exchange::{self, End},
    pipe, respond,
    stream::Down,
    work::{Lent, Work},
};
use bytes::BytesMut;
use fairlead_core::{reason::Reason, response::LocalResponse};
use fairlead_net::{
    http::{Error, Kind, Method, RequestHead, ResponseHead, Sink as _},
    http1::{Limits, ServerConn},
    random,
    time::{self, Deadline, Duration, Instant},
    tunnel::Tunnel,
};
use std::{
    future::{Future, poll_fn},
    io,
    task::Poll,
};

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(2);

/// What the wait for a request ended with.
enum Next {
    Request(Lent),
    Closed,
    /// With what could be read of it.
    Refused(Error, Lent),
    /// A head was begun and not finished in time.
    Slow,
}

/// Serves the connection to its end.
///
/// # Errors
/// Never for what a client does: that is answered or ends the connection.
pub fn serve(client: Box<Client>, stream: Down, first: BytesMut) -> impl Future<Output = io::Result<()>> + Send {
    let limits = Limits {
        head_bytes: client.entry.config.http.max_header_bytes,
        fields: client.worker.shared.limits.header_fields,
        target: client.worker.shared.limits.uri_bytes,
        ..Limits::default()
    };
    let unread = limits.unread_bytes;
    let mut conn = ServerConn::new(stream, limits, first);
    // What a block captures lies in it once; what an asynchronous function is given lies in it twice.
    async move {
        let mut deadline = Deadline::new();
        let opened = time::now();
        let (mut served, mut ended) = (0u64, opened);
        loop {
            let mut work = match next(&client, &mut conn, &mut deadline, served == 0, ended).await {
                Next::Request(work) => work,
                Next::Closed if client.tls.is_none() => return Ok(()),
                // The end is said in TLS too.
                Next::Closed => break,
                Next::Slow => {
                    Box::pin(refuse(&client, &mut conn, Lent::take(), Reason::RequestTimeout, "the head came too slowly")).await;
                    break;
                }
                Next::Refused(e, work) => {
                    let Kind::Malformed(status) = e.kind else { return Ok(()) };
                    Box::pin(refuse(&client, &mut conn, work, Reason::of_status(status), &e.detail)).await;
                    break;
                }
            };
            served += 1;
            let ending = &client.worker.shared.ending;
            let ends = || ending.ends_connection(|| client.worker.shared.since_epoch(time::now()), random::u64);
            if client.token.is_draining() || ends() || client.entry.is_worn_out(served, opened) {
                conn.close_after();
            }
            let Work { head, response, scratch } = &mut *work;
            // In a box of its own, which an idle connection does not have.
            let (end, at) = Box::pin(exchange::run(&client, head, response, &mut conn, scratch)).await;
            ended = at;
            match end {
                End::Complete => {}
                End::Broken => {
                    abort(conn);
                    return Ok(());
                }
                End::Truncated => {
                    Box::pin(truncate(conn)).await;
                    return Ok(());
                }
                End::Tunnel(upgraded) => {
                    Box::pin(tunnel(&client, conn, head, response, *upgraded)).await;
                    return Ok(());
                }
            }
            drop(work);
            if !conn.request_body_done()
                && !Box::pin(time::timeout(CLOSE, poll_fn(|cx| conn.poll_drain(cx, unread)))).await.unwrap_or(false)
            {
                break;
            }
            if !conn.is_reusable() {
                break;
            }
        }
        // Where nothing more is to come from the client, and nothing is to be said in TLS, dropping the stream says it all.
        let is_quiet = client.tls.is_none() && conn.is_quiet();
        // Whoever does not take its last response in this time does without.
        let _ = Box::pin(time::timeout(
            CLOSE,
            poll_fn(|cx| if is_quiet { conn.poll_flush(cx).map(drop) } else { conn.poll_close(cx) }),
        ))
        .await;
        Ok(())
    }
}

/// The next request of a connection that has waited since `since`.
async fn next(client: &Client, conn: &mut ServerConn<Down>, deadline: &mut Deadline, first: bool, since: Instant) -> Next {
    let limits = &client.worker.shared.limits;
    let mut slow_from = first.then_some(since);
    match (slow_from, client.entry.config.timeouts.idle) {
        (Some(from), _) => deadline.set(from + limits.header_timeout),
        (None, Some(idle)) => deadline.set(since.checked_add(idle).unwrap_or_else(|| time::after(idle))),
        (None, None) => deadline.clear(),
    }
    poll_fn(|cx| {
        // Given back while this waits: nothing is written into it before a head is complete.
        let mut work = Lent::take();
        match conn.poll_request(cx, &mut work.head) {
            Poll::Ready(Ok(true)) => return Poll::Ready(Next::Request(work)),
            Poll::Ready(Ok(false)) => return Poll::Ready(Next::Closed),
            Poll::Ready(Err(e)) => return Poll::Ready(Next::Refused(e, work)),
            Poll::Pending => {}
        }
        if slow_from.is_none() {
            if conn.head_started() {
                let now = time::now();
                slow_from = Some(now);
                deadline.set(now + limits.header_timeout);
            } else if client.token.poll_drain(cx) {
                return Poll::Ready(Next::Closed);
            }
        }
        deadline.poll_expired(cx).map(|()| if conn.head_started() { Next::Slow } else { Next::Closed })
    })
    .await
}

/// Answers what was no request, and writes it down.
async fn refuse(client: &Client, conn: &mut ServerConn<Down>, mut work: Lent, reason: Reason, detail: &str) {
    let Work { head, response, .. } = &mut *work;
    conn.close_after();
    let answer = LocalResponse::of(reason);
    let stamps = respond::Stamps::new(&client.worker.shared, None);
    let sent = time::timeout(CLOSE, respond::send(conn, response, &Method::Get, &answer, stamps)).await;
    exchange::record_refused(client, head, response, &answer, detail, matches!(sent, Ok(Ok(_))));
}

/// Ends the connection behind a response that its server broke off. A client that saw a reset instead of the beginning could take its
/// connection for one that died of age, and send the same request again.
async fn truncate(mut conn: ServerConn<Down>) {
    if conn.is_delimited() {
        // The framing tells that something is missing.
        let _ = time::timeout(CLOSE, poll_fn(|cx| conn.poll_close(cx))).await;
    } else {
        let _ = time::timeout(CLOSE, poll_fn(|cx| conn.poll_flush(cx))).await;
        abort(conn);
    }
}

/// A client must not take a cut response for a whole one: where only the end of the connection tells, it is reset.
fn abort(mut conn: ServerConn<Down>) {
    let stream = match conn.get_mut() {
        Down::Plain(stream) => stream,
        Down::Tls(stream) => stream.get_ref().0.get_ref(),
    };
    if let Err(e) = stream.set_linger_zero() {
        tracing::debug!(error = %e, "a broken-off connection is closed in order, since it cannot be reset");
    }
}

async fn tunnel(
    client: &Client,
    conn: ServerConn<Down>,
    head: &RequestHead,
    response: &ResponseHead,
    upgraded: exchange::Tunnel,
) {
    let exchange::Tunnel { tunnelled, mut open } = upgraded;
    let (down, from_client) = conn.into_parts();
    let mut pipe = Tunnel::new(down, tunnelled.up, from_client, tunnelled.early);
    let report = pipe::run(client, &mut pipe, |_| {}).await;
    let (up, down) = pipe.moved();
    (open.facts.request_bytes, open.facts.response_bytes) = (up, down);
    if report.is_none() {
        open.facts.detail = "the tunnel was idle for too long".into();
    }
    drop(tunnelled.served);
    open.elapsed();
    exchange::record(client, head, response, open);
}
