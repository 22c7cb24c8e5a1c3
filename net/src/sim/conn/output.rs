//! What a connection sends, when it repeats it, and how it ends.

use super::*;

impl Conn {
    /// Sends what the window allows, then the FIN.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if self.state != State::Open {
            return;
        }
        loop {
            let flying = (self.snd_nxt - self.snd_una) as usize;
            let unsent = self.send.len() - min(flying, self.send.len());
            let room = self.snd_wnd - min(self.snd_wnd, flying);
            let n = min(min(unsent, room), self.cfg.mss);
            let silly = flying > 0 && n < min(unsent, self.cfg.mss);
            if n > 0 && !silly {
                let data = Bytes::copy_from_slice(&self.send[flying..flying + n]);
                self.emit(self.snd_nxt, Flag::Ack, data, out);
                self.sent = now;
                self.snd_nxt += n as u64;
                self.timing.get_or_insert((self.snd_nxt, now));
            } else if self.fin == Some(self.snd_nxt) {
                self.emit(self.snd_nxt, Flag::Fin, Bytes::new(), out);
                self.snd_nxt += 1;
            } else {
                break;
            }
        }
        let waiting = self.snd_nxt > self.snd_una || !self.send.is_empty();
        if waiting && self.rexmit_at.is_none() {
            self.rexmit_at = Some(now + self.rto);
            self.stuck_since.get_or_insert(now);
        }
    }

    /// Repeats the oldest thing that was not acknowledged, or probes a closed window.
    pub(super) fn resend(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if self.retries > 0 || self.recover > 0 {
            self.timing = None; // Karn: an answer to a repeat measures nothing
        }
        let flying = (self.snd_nxt - self.snd_una) as usize;
        match self.state {
            State::SynSent | State::SynReceived => self.emit(self.snd_una, Flag::Syn, Bytes::new(), out),
            _ if flying == 0 => self.emit(self.snd_una - 1, Flag::Ack, Bytes::new(), out),
            _ if self.send.is_empty() => self.emit(self.snd_una, Flag::Fin, Bytes::new(), out),
            _ => {
                let n = min(min(flying, self.send.len()), self.cfg.mss);
                self.emit(self.snd_una, Flag::Ack, Bytes::copy_from_slice(&self.send[..n]), out);
            }
        }
        self.sent = now;
        self.rexmit_at = Some(now + self.rto);
    }

    pub(super) fn emit(&mut self, seq: u64, flag: Flag, data: Bytes, out: &mut Vec<Segment>) {
        let window = self.window();
        self.rcv_edge = self.rcv_nxt + window as u64;
        (self.unacked, self.ack_at) = (0, None);
        out.push(Segment {
            src: self.local,
            dst: self.peer,
            seq,
            ack: (self.state != State::SynSent).then_some(self.rcv_nxt),
            syn: matches!(flag, Flag::Syn),
            fin: matches!(flag, Flag::Fin),
            rst: matches!(flag, Flag::Rst),
            window,
            data,
        });
    }

    pub(super) fn ack_now(&mut self, out: &mut Vec<Segment>) {
        self.emit(self.snd_nxt, Flag::Ack, Bytes::new(), out);
    }

    /// Tells the peer of free space once it is worth a segment (Linux: twice what it knows of).
    pub(super) fn reopen_window(&mut self, out: &mut Vec<Segment>) {
        let known = (self.rcv_edge - min(self.rcv_nxt, self.rcv_edge)) as usize;
        let free = self.window();
        if self.state == State::Open
            && !self.eof
            && free >= 2 * known
            && free - known >= min(self.cfg.mss, self.cfg.recv_buffer / 2)
        {
            self.ack_now(out);
        }
    }

    pub(super) fn window(&self) -> usize {
        self.cfg.recv_buffer - min(self.recv.len(), self.cfg.recv_buffer)
    }

    pub(super) fn fin_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.snd_una > fin)
    }

    /// Moves on to the end of life once both sides are done.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.state != State::Open || !self.fin_acked() {
            return;
        }
        if self.eof && self.closed_first {
            self.state = State::TimeWait;
            (self.rexmit_at, self.expire_at) = (None, Some(now + self.cfg.time_wait));
        } else if self.eof {
            self.die(None);
        } else if self.orphan && self.expire_at.is_none() {
            self.expire_at = Some(now + self.cfg.fin_timeout);
        }
    }

    pub(super) fn die(&mut self, error: Option<ErrorKind>) {
        self.state = State::Dead;
        self.error = error;
        self.send.clear();
        self.early.clear();
        (self.ack_at, self.rexmit_at, self.expire_at, self.keep_alive) = (None, None, None, None);
    }

    pub(super) fn probe_at(&self) -> Option<Instant> {
        let (idle, interval, _) = self.keep_alive?;
        (self.state == State::Open && self.rexmit_at.is_none()).then(|| self.heard + idle + interval * self.probes)
    }

    pub(super) fn measure(&mut self, rtt: Duration) {
        self.srtt = Some(match self.srtt {
            None => (rtt, rtt / 2),
            Some((srtt, var)) => ((srtt * 7 + rtt) / 8, (var * 3 + srtt.abs_diff(rtt)) / 4),
        });
    }
}
