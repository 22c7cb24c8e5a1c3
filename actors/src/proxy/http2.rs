//! An HTTP/2 connection: a task for each of its streams, all of them bounded by what the connection allows.

use super::{
    connection::Client,
    exchange::{self, End, Scratch},
    stream::Down,
};
use fairlead_net::{
    http::{Downstream as _, RequestHead, ResponseHead},
    http2::server::{Connection, ServerStream, Settings},
    task,
    time::{self, Deadline, Duration},
};
use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

/// Silence after which a client is asked whether it still lives, and how long it has to answer.
const PING_AFTER: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Serves the connection to its end.
///
/// # Errors
/// The connection failed, or the client broke the protocol.
pub async fn serve(client: Client, stream: Down) -> io::Result<()> {
    let limits = &client.worker.shared.limits;
    let settings = Settings {
        max_concurrent_streams: client.entry.max_streams,
        max_header_list: limits.http2_header_list_bytes,
        ..Settings::default()
    };
    let broken = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let mut conn = time::timeout(client.entry.hello_timeout, Connection::handshake(stream, settings))
        .await
        .map_err(|e| broken(&e))?
        .map_err(|e| broken(&e))?;
    let client = Arc::new(client);
    let active = Arc::new(AtomicUsize::new(0));
    let mut deadline = Deadline::new();
    let opened = time::now();
    let (mut draining, mut served, mut pinged) = (false, 0u64, false);
    deadline.set(time::after(PING_AFTER));
    loop {
        enum Happened {
            Stream(Box<RequestHead>, Box<ServerStream>),
            Failed(fairlead_net::http::Error),
            Ended,
            Drain,
            Pong,
            Silent,
        }
        let happened = poll_fn(|cx| {
            match conn.poll_accept(cx) {
                Poll::Ready(Some(Ok((head, stream)))) => return Poll::Ready(Happened::Stream(Box::new(head), Box::new(stream))),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Happened::Failed(e)),
                Poll::Ready(None) => return Poll::Ready(Happened::Ended),
                Poll::Pending => {}
            }
            if pinged && conn.poll_pong(cx).is_ready() {
                return Poll::Ready(Happened::Pong);
            }
            if !draining && client.token.poll_drain(cx) {
                return Poll::Ready(Happened::Drain);
            }
            deadline.poll_expired(cx).map(|()| Happened::Silent)
        })
        .await;
        match happened {
            Happened::Stream(head, stream) => {
                served += 1;
                if !draining && client.entry.is_worn_out(served, opened) {
                    draining = true;
                    conn.graceful_shutdown();
                }
                active.fetch_add(1, Ordering::Relaxed);
                task::spawn(exchange(client.clone(), *head, *stream, active.clone()));
                (pinged, _) = (false, deadline.set(time::after(PING_AFTER)));
            }
            Happened::Failed(e) => return Err(broken(&e)),
            Happened::Ended => return Ok(()),
            Happened::Drain => {
                draining = true;
                conn.graceful_shutdown();
            }
            Happened::Pong => (pinged, _) = (false, deadline.set(time::after(PING_AFTER))),
            Happened::Silent if pinged => return Err(broken(&"the client does not answer a ping")),
            Happened::Silent => {
                let idle = client.entry.idle_timeout.is_some_and(|idle| time::now().duration_since(opened) > idle);
                if idle && active.load(Ordering::Relaxed) == 0 && !draining {
                    draining = true;
                    conn.graceful_shutdown();
                }
                pinged = conn.ping();
                deadline.set(time::after(PONG_WITHIN));
            }
        }
    }
}

async fn exchange(client: Arc<Client>, mut head: RequestHead, mut stream: ServerStream, active: Arc<AtomicUsize>) {
    let (mut response, mut scratch) = (ResponseHead::default(), Scratch::default());
    match exchange::run(&client, &mut head, &mut response, &mut stream, &mut scratch).await {
        End::Complete => {}
        // HTTP/2 streams are not upgraded: their heads never say so.
        End::Broken | End::Tunnel(_) => stream.abort(),
    }
    active.fetch_sub(1, Ordering::Relaxed);
}
