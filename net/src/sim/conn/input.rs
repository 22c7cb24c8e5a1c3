//! What the network does to a connection: segments that arrive, timers that run out, errors that routers report.

use super::*;

impl Conn {
    pub fn on_segment(&mut self, now: Instant, seg: Segment, out: &mut Vec<Segment>) {
        self.heard = now;
        self.probes = 0;
        self.soft_error = None;
        if seg.rst {
            return self.on_reset(&seg);
        }
        match self.state {
            State::Dead => return,
            State::SynSent if seg.syn && seg.ack == Some(self.snd_nxt) => {
                self.rcv_nxt = seg.seq + 1;
                self.state = State::Open;
                self.on_ack(now, &seg, out);
                return self.ack_now(out);
            }
            State::SynSent => {
                if seg.ack.is_some() {
                    out.push(Segment::reset_for(&seg)); // an answer to an earlier life of this address
                }
                return;
            }
            State::SynReceived if seg.syn => return self.resend(now, out),
            State::SynReceived if seg.ack == Some(self.snd_nxt) => self.state = State::Open,
            State::SynReceived => return,
            State::Open | State::TimeWait => {}
        }
        self.on_ack(now, &seg, out);
        self.on_data(now, seg, out);
        self.settle(now);
        self.pump(now, out);
    }

    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<Segment>) {
        let due = |t: Option<Instant>| t.is_some_and(|t| t <= now);
        if due(self.expire_at) {
            return self.die(None);
        }
        if due(self.ack_at) {
            self.ack_now(out);
        }
        if due(self.rexmit_at) {
            let limit = match self.state {
                State::SynSent => self.cfg.syn_retries,
                State::SynReceived => self.cfg.synack_retries,
                _ if self.orphan => min(8, self.cfg.retries),
                _ => self.cfg.retries,
            };
            let stuck = *self.stuck_since.get_or_insert(now);
            if self.retries >= limit || self.user_timeout.is_some_and(|limit| now - stuck >= limit) {
                return self.die(Some(self.soft_error.unwrap_or(ErrorKind::TimedOut)));
            }
            self.retries += 1;
            self.rto = min(self.rto * 2, self.cfg.rto_max);
            self.recover = self.snd_nxt;
            self.resend(now, out);
            // As Linux does since 4.19: patience ends when it is over, and not at the next repetition.
            if let (Some(limit), Some(next)) = (self.user_timeout, self.rexmit_at) {
                self.rexmit_at = Some(min(next, stuck + limit));
            }
        }
        if due(self.probe_at()) {
            if self.probes >= self.keep_alive.map_or(0, |k| k.2) {
                return self.die(Some(ErrorKind::TimedOut));
            }
            self.probes += 1;
            self.emit(self.snd_una - 1, Flag::Ack, Bytes::new(), out);
        }
    }

    /// A router, or the neighbour look-up, says that the peer's host cannot be reached. That ends the opening of a
    /// connection; an open one goes on trying (RFC 1122, 4.2.3.9).
    pub fn on_unreachable(&mut self) {
        match self.state {
            State::SynSent => self.die(Some(ErrorKind::HostUnreachable)),
            _ => self.soft_error = Some(ErrorKind::HostUnreachable),
        }
    }

    fn on_reset(&mut self, seg: &Segment) {
        let ours = match self.state {
            State::SynSent => seg.ack == Some(self.snd_nxt),
            _ => (self.rcv_nxt..=self.rcv_nxt + self.window().max(1) as u64).contains(&seg.seq),
        };
        if ours {
            self.die(Some(match self.state {
                State::SynSent => ErrorKind::ConnectionRefused,
                _ if self.eof => ErrorKind::BrokenPipe,
                _ => ErrorKind::ConnectionReset,
            }));
        }
    }

    fn on_ack(&mut self, now: Instant, seg: &Segment, out: &mut Vec<Segment>) {
        let Some(ack) = seg.ack.filter(|ack| (self.snd_una..=self.snd_nxt).contains(ack)) else {
            return;
        };
        let news = ack > self.snd_una;
        if news {
            self.send.advance(min((ack - self.snd_una) as usize, self.send.len()));
            self.snd_una = ack;
            if let Some((end, sent)) = self.timing.filter(|(end, _)| ack >= *end) {
                debug_assert!(end <= ack);
                self.measure(now - sent);
                self.timing = None;
            }
            (self.retries, self.dup_acks) = (0, 0);
            self.stuck_since = (self.snd_nxt > self.snd_una).then_some(now);
            self.rto =
                self.srtt.map_or(self.cfg.rto_initial, |(srtt, var)| (srtt + 4 * var).clamp(self.cfg.rto_min, self.cfg.rto_max));
            self.rexmit_at = (self.snd_nxt > self.snd_una).then(|| now + self.rto);
        } else if seg.data.is_empty() && !seg.fin && seg.window == self.snd_wnd && self.snd_nxt > self.snd_una {
            self.dup_acks += 1;
        }
        if self.snd_wnd == 0 && self.snd_nxt == self.snd_una {
            self.retries = 0; // a window probe was answered: the peer lives
            if seg.window > 0 {
                self.rexmit_at = None;
            }
        }
        self.snd_wnd = seg.window;
        if news && self.snd_una < self.recover && self.snd_nxt > self.snd_una {
            self.resend(now, out); // the next hole (NewReno)
        } else if self.dup_acks == 3 && self.snd_una >= self.recover {
            self.recover = self.snd_nxt;
            self.resend(now, out);
        }
    }

    fn on_data(&mut self, now: Instant, seg: Segment, out: &mut Vec<Segment>) {
        let len = seg.data.len();
        let end = seg.seq + len as u64;
        if len == 0 && !seg.fin {
            if seg.seq < self.rcv_nxt || seg.syn {
                self.ack_now(out); // a probe, or a repeated handshake
            }
            return;
        }
        if self.orphan && end > self.rcv_nxt && len > 0 {
            return self.reset(out); // nobody will ever read it
        }
        if seg.fin {
            self.peer_fin = Some(end);
        }
        if seg.seq > self.rcv_nxt {
            if end <= self.rcv_edge {
                self.early.insert(seg.seq, seg.data);
            }
            return self.ack_now(out);
        }
        let had_holes = !self.early.is_empty();
        let before = self.rcv_nxt;
        self.take_in(seg.seq, seg.data);
        while let Some((&seq, _)) = self.early.first_key_value().filter(|(seq, _)| **seq <= self.rcv_nxt) {
            let data = self.early.remove(&seq).unwrap_or_default();
            self.take_in(seq, data);
        }
        let fin = !self.eof && self.peer_fin == Some(self.rcv_nxt);
        if fin {
            self.eof = true;
            self.rcv_nxt += 1;
        }
        self.unacked += (self.rcv_nxt - before) as usize;
        if fin || had_holes || self.rcv_nxt == before || self.unacked >= 2 * self.cfg.mss {
            self.ack_now(out);
        } else if self.ack_at.is_none() {
            self.ack_at = Some(now + self.cfg.delayed_ack);
        }
    }

    fn take_in(&mut self, seq: u64, data: Bytes) {
        let skip = if cfg!(planted = "net_bytes_twice") { 0 } else { (self.rcv_nxt - seq) as usize };
        if skip < data.len() {
            let n = min(data.len() - skip, self.window());
            self.recv.extend_from_slice(&data[skip..skip + n]);
            self.rcv_nxt += n as u64;
        }
    }
}
