//! Bytes in both directions until both have ended, or nothing has moved for too long.

use super::connection::Client;
use fairlead_net::{
    time::{self, Deadline, Duration},
    tunnel::{Report, Tunnel},
};
use std::{future::poll_fn, task::Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a tunnel may be silent: what runs in it has its own idea of keeping alive, and Traefik sets no limit at all.
const IDLE: Duration = Duration::from_secs(3600);

/// Carries a tunnel through, and tells `moved` now and then how many bytes went each way. `None`: it was silent for too long.
pub async fn run<A, B>(client: &Client, pipe: &mut Tunnel<A, B>, mut moved: impl FnMut((u64, u64))) -> Option<Report>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let limited = client.entry.config.timeouts.idle.is_some();
    let mut deadline = Deadline::new();
    let mut seen = u64::MAX;
    poll_fn(|cx| {
        let polled = pipe.poll_tunnel(cx);
        moved(pipe.moved());
        if let Poll::Ready(report) = polled {
            return Poll::Ready(Some(report));
        }
        if limited && pipe.activity() != seen {
            seen = pipe.activity();
            deadline.set(time::after(IDLE));
        }
        deadline.poll_expired(cx).map(|()| None)
    })
    .await
}
