//! Streams joined in memory: both directions, ends passed on one by one, back-pressure, failures.

use super::*;
use std::collections::VecDeque;
use std::task::Waker;

/// One end of a joined stream: what the peer says, and what it got.
#[derive(Default)]
struct Peer {
    says: VecDeque<Vec<u8>>,
    ended: bool,
    reset: bool,
    heard: Vec<u8>,
    /// The most it takes until raised.
    takes: usize,
    told_end: bool,
    flushes: usize,
}

impl Peer {
    fn new() -> Self {
        Self { takes: usize::MAX, ..Self::default() }
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.says.pop_front() {
            let n = piece.len().min(into.remaining());
            into.put_slice(&piece[..n]);
            if n < piece.len() {
                self.says.push_front(piece.split_off(n));
            }
            return Poll::Ready(Ok(()));
        }
        match (self.reset, self.ended) {
            (true, _) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            (false, true) => Poll::Ready(Ok(())),
            (false, false) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!self.told_end, "nothing is written behind the end");
        let n = data.len().min(self.takes - self.heard.len());
        if n == 0 {
            return Poll::Pending;
        }
        self.heard.extend_from_slice(&data[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.told_end = true;
        Poll::Ready(Ok(()))
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn joined(from_a: &str, from_b: &str) -> Tunnel<Peer, Peer> {
    Tunnel::new(Peer::new(), Peer::new(), BytesMut::from(from_a), BytesMut::from(from_b))
}

#[test]
fn what_was_read_before_goes_first() {
    let mut tunnel = joined("a1", "b1");
    tunnel.a.says.push_back(b"a2".to_vec());
    tunnel.b.says.push_back(b"b2".to_vec());
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    assert_eq!((&tunnel.b.heard[..], &tunnel.a.heard[..]), (&b"a1a2"[..], &b"b1b2"[..]));
    assert_eq!(tunnel.moved(), (4, 4));
    assert!(tunnel.a.flushes > 0 && tunnel.b.flushes > 0, "what was written does not wait in the transport");
    assert_eq!(tunnel.a_to_b.kept.capacity() + tunnel.b_to_a.kept.capacity(), 0, "nothing is held while nothing moves");
}

#[test]
fn row_105_each_direction_ends_by_itself() {
    let mut tunnel = joined("", "");
    tunnel.a.says.push_back(b"last words".to_vec());
    tunnel.a.ended = true;
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    assert!(tunnel.b.told_end && !tunnel.a.told_end, "the other direction goes on");
    let before = tunnel.activity();
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    assert_eq!(tunnel.activity(), before, "nothing happened");
    tunnel.b.says.push_back(b"answer".to_vec());
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    assert!(tunnel.activity() > before);
    assert_eq!(tunnel.a.heard, b"answer");
    tunnel.b.ended = true;
    let Poll::Ready(report) = tunnel.poll_tunnel(&mut cx()) else { panic!("both directions have ended") };
    assert_eq!((report.a_to_b, report.b_to_a, report.first), (10, 6, End::A));
    assert!(report.error.is_none() && tunnel.a.told_end);
}

#[test]
fn a_peer_that_does_not_read_stops_the_other() {
    let mut tunnel = joined("", "");
    tunnel.b.takes = 1000;
    tunnel.a.says.extend(std::iter::repeat_n(vec![7; 10_000], 100));
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    let unread: usize = tunnel.a.says.iter().map(Vec::len).sum();
    assert!(unread > 900_000, "bounded: {unread}");
    assert_eq!(tunnel.moved().0, 1000);
    tunnel.b.takes = usize::MAX;
    for _ in 0..10 {
        assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    }
    assert_eq!(tunnel.b.heard.len(), 1_000_000);
}

#[test]
fn a_failure_names_its_side() {
    let mut tunnel = joined("", "");
    tunnel.b.reset = true;
    let Poll::Ready(report) = tunnel.poll_tunnel(&mut cx()) else { panic!("a reset ends the tunnel") };
    assert_eq!(report.first, End::B);
    assert!(matches!(report.error, Some((End::B, e)) if e.kind() == io::ErrorKind::ConnectionReset));
}

#[test]
fn a_busy_direction_lets_others_have_their_turn() {
    let mut tunnel = joined("", "");
    tunnel.a.says.extend(std::iter::repeat_n(vec![7; 100_000], 50));
    tunnel.b.says.push_back(b"small".to_vec());
    assert!(tunnel.poll_tunnel(&mut cx()).is_pending());
    assert!(tunnel.moved().0 < 2 * TURN as u64);
    assert_eq!(tunnel.a.heard, b"small");
}
