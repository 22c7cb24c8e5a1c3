//! Finding out that the peer has gone although its connection has not: PING, and a limit for the answer.

use super::error::translate;
use crate::http::{Error, Kind, Side};
use h2::{Ping, PingPong};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Sends pings on one connection. Its future is to be polled beside the connection, which does the writing.
pub struct KeepAlive {
    ping: PingPong,
    side: Side,
}

impl KeepAlive {
    pub(super) fn new(ping: PingPong, side: Side) -> Self {
        Self { ping, side }
    }

    /// Pings every `interval`, until an answer takes longer than `timeout`: the connection is then to be dropped.
    ///
    /// Time comes from the caller: `sleep` makes a future that is ready after that long.
    pub async fn run<F: Future<Output = ()>>(
        mut self,
        interval: Duration,
        timeout: Duration,
        sleep: impl Fn(Duration) -> F,
    ) -> Error {
        loop {
            sleep(interval).await;
            if let Err(e) = self.ping.send_ping(Ping::opaque()) {
                return translate(self.side, &e);
            }
            let mut deadline = pin!(sleep(timeout));
            let answer = poll_fn(|cx| match self.ping.poll_pong(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
            });
            match answer.await {
                Some(Ok(_)) => {}
                Some(Err(e)) => return translate(self.side, &e),
                None => return Error::new(self.side, Kind::TimedOut, format!("no answer to a PING within {timeout:?}")),
            }
        }
    }
}
