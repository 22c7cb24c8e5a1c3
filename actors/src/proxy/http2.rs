//! An HTTP/2 connection: a task for each of its streams, all of them bounded by what the connection allows.

use super::{
    connection::Client,
    exchange::{self, End},
    stream::Down,
    work::{Lent, Work},
};
use fairlead_net::{
    http::{Downstream as _, Error},
    http2::server::{Connection, ServerStream, Settings},
    random, task,
    time::{self, Deadline, Duration},
};
use std::{
    future::{Future as _, pending, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
};

/// Silence after which a client is asked whether it still lives, and how long it has to answer.
const PING_AFTER: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Serves the connection to its end.
///
/// # Errors
/// The connection failed, or the client broke the protocol.
pub async fn serve(client: Box<Client>, stream: Down) -> io::Result<()> {
    let limits = &client.worker.shared.limits;
    let settings = Settings {
        max_concurrent_streams: client.entry.config.http2.max_concurrent_streams,
        max_header_list: limits.http2_header_list_bytes,
        header_table: client.entry.config.http2.max_decoder_header_table,
        max_broken_off: limits.http2_resets,
        ..Settings::default()
    };
    let broken = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let mut conn = time::timeout(limits.header_timeout, Connection::handshake(stream, &settings))
        .await
        .map_err(|e| broken(&e))?
        .map_err(|e| broken(&e))?;
    let conn_keep_alive = conn.keep_alive();
    let mut keep_alive = pin!(async {
        match conn_keep_alive {
            Some(pings) => pings.run(PING_AFTER, PONG_WITHIN, time::sleep).await,
            None => pending().await,
        }
    });
    let client: Arc<Client> = client.into();
    let opened = time::now();
    let mut deadline = Deadline::new();
    let (mut draining, mut served) = (false, 0u64);
    loop {
        let idle = client.entry.config.timeouts.idle.filter(|_| !draining && !conn.has_streams());
        match idle {
            Some(idle) => deadline.set(time::after(idle)),
            None => deadline.clear(),
        }
        let happened = poll_fn(|cx| {
            // Given back while this waits.
            let mut work = Lent::take();
            match conn.poll_accept(cx, &mut work.head) {
                Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Happened::Stream(work, Box::new(stream))),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Happened::Failed(e)),
                Poll::Ready(None) => return Poll::Ready(Happened::Ended),
                Poll::Pending => {}
            }
            if let Poll::Ready(gone) = keep_alive.as_mut().poll(cx) {
                return Poll::Ready(Happened::Failed(gone));
            }
            if !draining && (client.token.poll_drain(cx) || deadline.poll_expired(cx).is_ready()) {
                return Poll::Ready(Happened::Drain);
            }
            // The last stream may have ended just now, and then idleness begins.
            if idle.is_none() && !draining && !conn.has_streams() {
                return Poll::Ready(Happened::Idle);
            }
            Poll::Pending
        })
        .await;
        match happened {
            Happened::Stream(work, stream) => {
                served += 1;
                let ending = &client.worker.shared.ending;
                let ends = || ending.ends_connection(|| client.worker.shared.since_epoch(time::now()), random::u64);
                if !draining && (client.entry.is_worn_out(served, opened) || ends()) {
                    draining = true;
                    conn.graceful_shutdown();
                }
                // In a box, because a task moves what it holds, and this is large.
                task::spawn(Box::pin(exchange(client.clone(), work, stream)));
            }
            Happened::Failed(e) => return Err(broken(&e)),
            Happened::Ended => return Ok(()),
            Happened::Drain => {
                draining = true;
                conn.graceful_shutdown();
            }
            Happened::Idle => {}
        }
    }
}

/// What the wait for the next stream ended with.
enum Happened {
    Stream(Lent, Box<ServerStream>),
    Failed(Error),
    Ended,
    Drain,
    Idle,
}

async fn exchange(client: Arc<Client>, mut work: Lent, mut stream: Box<ServerStream>) {
    let Work { head, response, scratch } = &mut *work;
    match exchange::run(&client, head, response, &mut *stream, scratch).await.0 {
        End::Complete => {}
        // HTTP/2 streams are not upgraded: their heads never say so.
        End::Broken | End::Truncated | End::Tunnel(_) => stream.abort(),
    }
}
