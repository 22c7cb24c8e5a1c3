//! A server's response on its way to the client: the head made the gateway's own, then both bodies at once.

use super::{Exchange, Forwarded, Tunnelled};
use crate::{
    endpoint::InFlight,
    proxy::{fields::View, upstream::Connection},
    worker::Shared,
};
use fairlead_core::{http::hop, pace::Pace, reason::Reason};
use fairlead_net::{
    http::{Downstream, Error, Framing, Kind, Progress, Side, Upstream as _, Waiting, pump},
    time::{self, Deadline, Duration},
};
use std::{
    future::poll_fn,
    task::{Context, Poll},
};

/// What ended the stream of a response.
enum Ended {
    Complete,
    Client(Error),
    ClientSlow,
    Upstream(Error),
}

impl<D: Downstream> Exchange<'_, D> {
    /// Makes the server's head the gateway's: hop-by-hop fields go, middlewares and sticky cookies come.
    pub(super) fn dress(&mut self, index: usize) {
        let mut fields = View(&mut self.response.fields);
        if let Err(reason) = hop::strip_response(&mut fields, self.response.framing == Framing::Tunnel) {
            tracing::debug!(server = &*self.backend.endpoints[index].url.text, reason = reason.name(), "odd hop-by-hop fields");
        }
        let published = &self.open.published;
        if let Some(route) = self.open.facts.router.and_then(|id| published.route_by_id(id)) {
            for slot in route.stages.iter().rev().filter(|slot| slot.stage.edits_response()) {
                slot.stage.response(&mut fields);
            }
        }
        if let Some(sticky) = &self.backend.sticky
            && !self.bound
        {
            self.response.fields.append("Set-Cookie", sticky.set_cookie(index).as_bytes());
        }
        if let Some(cookie) = self.set_child_cookie.take() {
            self.response.fields.append("Set-Cookie", cookie.as_bytes());
        }
        self.client.worker.shared.stamp(self.response, self.open.facts.request_id.as_deref());
        self.open.inform(self.client, &mut View(&mut self.response.fields));
    }

    pub(super) async fn deliver(&mut self, mut up: Connection, served: InFlight) -> Forwarded {
        if self.client.token.is_draining() {
            self.down.end_after();
        }
        self.down.send_head(self.response);
        if self.response.framing == Framing::Tunnel {
            return match poll_fn(|cx| self.down.poll_flush(cx)).await {
                Err(gone) => self.client_gone(gone),
                Ok(()) => match up.into_tunnel() {
                    Some((up, early)) => Forwarded::Tunnel(Tunnelled { up, early, served }),
                    None => Forwarded::Broken,
                },
            };
        }
        let mut download = Progress::default();
        let ended = self.stream(&mut up, &mut download).await;
        self.open.facts.response_bytes = download.bytes;
        self.open.facts.request_bytes = self.upload.bytes;
        match ended {
            Ended::Complete => {
                up.recycle(&self.client.worker, self.backend, served.endpoint(), self.open.seen());
                Forwarded::Complete
            }
            Ended::Client(gone) => {
                up.abort();
                self.down.abort();
                self.client_gone(gone)
            }
            Ended::ClientSlow => {
                up.abort();
                self.down.abort();
                self.client_gone(Error::new(Side::Client, Kind::TimedOut, "the client reads or writes too slowly"))
            }
            Ended::Upstream(e) => {
                up.abort();
                self.open.facts.truncated = true;
                self.open.facts.reason = Some(Reason::UpstreamTruncated);
                self.open.facts.detail = e.detail;
                Forwarded::Truncated
            }
        }
    }

    /// Both bodies at once, until the response is whole.
    async fn stream(&mut self, up: &mut Connection, download: &mut Progress) -> Ended {
        let Self { client, down, upload, uploaded, deadline, open, .. } = self;
        let shared = &client.worker.shared;
        let mut reads = Pace::new(client.entry.pace);
        let whole = client.entry.config.timeouts.write.map(|limit| shared.since_epoch(open.started + limit));
        let mut waited = false;
        let ended = poll_fn(|cx| {
            if !*uploaded {
                match pump(cx, &mut **down, up, upload) {
                    Poll::Ready(Ok(())) => *uploaded = true,
                    Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Ended::Client(e)),
                    // The server wants no more of the body; what it answers still counts.
                    Poll::Ready(Err(_)) => *uploaded = true,
                    Poll::Pending => {}
                }
            }
            match pump(cx, up, &mut **down, download) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ended::Complete),
                Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Ended::Client(e)),
                Poll::Ready(Err(e)) => return Poll::Ready(Ended::Upstream(e)),
                Poll::Pending => {}
            }
            if (*uploaded || upload.waiting == Waiting::Sink)
                && let Poll::Ready(gone) = down.poll_gone(cx)
            {
                return Poll::Ready(Ended::Client(gone));
            }
            // A server that answers while it still reads is in a conversation, where either side may be silent for long.
            let mut due = Due::new(shared, deadline, whole);
            due.client(&mut reads, download.waiting == Waiting::Sink, download.bytes);
            let slow = due.poll(cx).map(|()| Ended::ClientSlow);
            waited |= slow.is_pending();
            slow
        })
        .await;
        if waited {
            open.elapsed();
        }
        ended
    }
}

/// The earliest moment at which somebody is too slow, looked up only while an exchange waits.
struct Due<'a> {
    shared: &'a Shared,
    deadline: &'a mut Deadline,
    now: Option<Duration>,
    at: Option<Duration>,
}

impl<'a> Due<'a> {
    fn new(shared: &'a Shared, deadline: &'a mut Deadline, at: Option<Duration>) -> Self {
        Self { shared, deadline, now: None, at }
    }

    fn client(&mut self, pace: &mut Pace, waited_for: bool, bytes: u64) {
        if !waited_for && !pace.is_waiting() {
            return;
        }
        let now = *self.now.get_or_insert_with(|| self.shared.since_epoch(time::now()));
        if !waited_for {
            return pace.moving(now);
        }
        self.at = match (self.at, pace.waiting(now, bytes)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn poll(self, cx: &mut Context<'_>) -> Poll<()> {
        match self.at {
            None => self.deadline.clear(),
            Some(at) => self.deadline.set(self.shared.instant(at)),
        }
        self.deadline.poll_expired(cx)
    }
}
