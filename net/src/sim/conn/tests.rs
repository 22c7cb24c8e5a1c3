//! Two connections and a bad wire between them, in a loop without an executor.

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// SplitMix64: the run follows from one number that proptest can shrink and repeat.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    /// Bytes each side has to say.
    lengths: [usize; 2],
    buffers: [usize; 2],
    mss: usize,
    /// Of a hundred segments.
    lost: u64,
    doubled: u64,
    /// Segments may take up to this long, and so overtake each other.
    latency: u64,
    /// After so many faults the wire is good: a run ends.
    faults: u32,
}

fn plans() -> impl Strategy<Value = Plan> {
    let sizes = (prop::array::uniform2(0usize..40_000), prop::array::uniform2(1usize..20_000), 1usize..1500);
    (any::<u64>(), sizes, 0u64..40, 0u64..40, 0u64..30, 0u32..200).prop_map(
        |(seed, (lengths, buffers, mss), lost, doubled, latency, faults)| {
            // Tiny segments make long runs, not different ones.
            let lengths = lengths.map(|n| n.min(mss * 300).min(buffers[0].min(buffers[1]) * 300));
            Plan { seed, lengths, buffers, mss, lost, doubled, latency, faults }
        },
    )
}

#[derive(Default)]
struct End {
    conn: Option<Conn>,
    connected: bool,
    says: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
    eof: bool,
}

impl End {
    /// The application reads and writes what it can, in pieces of its liking.
    fn act(&mut self, now: Instant, chance: &mut Chance, out: &mut Vec<Segment>) {
        let Some(conn) = &mut self.conn else { return };
        if !self.connected {
            match conn.poll_connected() {
                Poll::Ready(r) => r.expect("connected"),
                Poll::Pending => return,
            }
            self.connected = true;
        }
        if conn.is_orphan() {
            return;
        }
        while self.said < self.says.len() && chance.percent(80) {
            let n = 1 + chance.below(5_000) as usize;
            let piece = &self.says[self.said..min(self.said + n, self.says.len())];
            match conn.write(now, piece, out) {
                Poll::Ready(n) => self.said += n.expect("a write on an open connection"),
                Poll::Pending => break,
            }
        }
        if self.said == self.says.len() {
            conn.shutdown(now, out);
        }
        while !self.eof && chance.percent(80) {
            let mut buf = vec![0; 1 + chance.below(5_000) as usize];
            match conn.read(&mut buf, out) {
                Poll::Ready(n) => {
                    let n = n.expect("a read on an open connection");
                    self.heard.extend_from_slice(&buf[..n]);
                    self.eof = n == 0;
                }
                Poll::Pending => break,
            }
        }
        if self.eof && self.said == self.says.len() {
            conn.close(now, out);
        }
    }

    fn at_rest(&self) -> bool {
        self.conn.as_ref().is_some_and(|c| c.is_orphan() && matches!(c.state(), State::Dead | State::TimeWait))
    }
}

/// Runs a plan to its end and tells how long that took, in virtual time.
fn run(plan: &Plan) -> Duration {
    let mut chance = Chance(plan.seed);
    let addrs: [SocketAddr; 2] = [([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 80).into()];
    let cfgs = plan.buffers.map(|b| Config { mss: plan.mss, send_buffer: b, recv_buffer: b, ..Config::default() });
    let start = Instant::now();
    let mut now = start;
    let mut wire: BTreeMap<(Instant, u64), (usize, Segment)> = BTreeMap::new();
    let mut ends = [End::default(), End::default()];
    for (end, len) in ends.iter_mut().zip(plan.lengths) {
        end.says = (0..len).map(|_| chance.next() as u8).collect();
    }
    let mut out = vec![];
    ends[0].conn = Some(Conn::connect(&cfgs[0], now, addrs[0], addrs[1], 1 << 32, &mut out));
    let mut lost = BTreeMap::new();
    let (mut faults, mut sent, mut steps) = (plan.faults, 0, 0);
    while !ends.iter().all(End::at_rest) {
        steps += 1;
        assert!(steps < 500_000 && now - start < Duration::from_secs(3600), "it does not end: {:?}", names(&ends));
        for seg in out.drain(..) {
            sent += 1;
            let to = usize::from(seg.dst == addrs[1]);
            let fault = |p, faults: &mut u32, chance: &mut Chance| {
                let happens = *faults > 0 && chance.percent(p);
                *faults -= u32::from(happens);
                happens
            };
            // TCP rightly gives up on what is lost again and again; that is another test's subject.
            let losses = lost.entry((to, seg.seq)).or_insert(0);
            if *losses < 4 && fault(plan.lost, &mut faults, &mut chance) {
                *losses += 1;
                continue;
            }
            for copy in 0..=u64::from(fault(plan.doubled, &mut faults, &mut chance)) {
                let at = now + MS + Duration::from_micros(chance.below(plan.latency * 1000));
                wire.insert((at, sent * 2 + copy), (to, seg.clone()));
            }
        }
        let next_timer = ends.iter().filter_map(|e| e.conn.as_ref()?.deadline()).min();
        let application = now + Duration::from_micros(chance.below(20_000));
        let next_arrival = wire.first_key_value().map(|((at, _), _)| *at);
        now = now.max([Some(application), next_timer, next_arrival].into_iter().flatten().min().unwrap_or(now));
        while let Some(entry) = wire.first_entry().filter(|e| e.key().0 <= now) {
            let (to, seg) = entry.remove();
            match &mut ends[to].conn {
                Some(conn) => conn.on_segment(now, seg, &mut out),
                None if seg.syn => ends[to].conn = Some(Conn::accept(&cfgs[to], now, &seg, 9 << 32, &mut out)),
                None => {}
            }
        }
        for end in &mut ends {
            if let Some(conn) = end.conn.as_mut().filter(|c| c.deadline().is_some_and(|d| d <= now)) {
                conn.on_timer(now, &mut out);
            }
            if now >= application {
                end.act(now, &mut chance, &mut out);
            }
        }
        for (end, limit) in ends.iter().zip(plan.buffers) {
            let (received, unacknowledged) = end.conn.as_ref().map_or((0, 0), Conn::queues);
            assert!(received <= limit && unacknowledged <= limit, "{received} and {unacknowledged} of {limit}");
        }
    }
    let [a, b] = ends;
    assert!(a.heard == b.says && b.heard == a.says, "bytes are lost, doubled or out of order");
    now - start
}

fn names(ends: &[End; 2]) -> Vec<Option<&'static str>> {
    ends.iter().map(|e| e.conn.as_ref().map(Conn::name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_wire_loses_doubles_and_disorders_nothing(plan in plans()) {
        run(&plan);
    }
}

#[test]
fn a_good_wire_costs_round_trips_and_no_time_outs() {
    let plan = Plan {
        seed: 7,
        lengths: [30_000, 30_000],
        buffers: [64 << 10; 2],
        mss: 1460,
        lost: 0,
        doubled: 0,
        latency: 0,
        faults: 0,
    };
    let took = run(&plan);
    assert!(took < 200 * MS, "{took:?}");
}

fn pair(cfg: &Config) -> (Instant, Conn, Conn) {
    let now = Instant::now();
    let (mut out, mut back) = (vec![], vec![]);
    let mut a = Conn::connect(cfg, now, ([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 80).into(), 1 << 32, &mut out);
    let mut b = Conn::accept(cfg, now, &out.remove(0), 9 << 32, &mut back);
    a.on_segment(now, back.remove(0), &mut out);
    b.on_segment(now, out.remove(0), &mut back);
    assert_eq!((a.name(), b.name()), ("ESTABLISHED", "ESTABLISHED"));
    (now, a, b)
}

fn rst(from: &Conn, to: &Conn, seq: u64) -> Segment {
    let (src, dst) = (from.local, to.local);
    Segment { src, dst, seq, ack: None, syn: false, fin: false, rst: true, window: 0, data: Bytes::new() }
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    let (now, mut a, b) = pair(&Config::default());
    for seq in [0, b.snd_nxt - 1, b.snd_nxt + (64 << 10) + 1, u64::MAX] {
        a.on_segment(now, rst(&b, &a, seq), &mut vec![]);
        assert_eq!(a.name(), "ESTABLISHED", "{seq}");
    }
    a.on_segment(now, rst(&b, &a, b.snd_nxt), &mut vec![]);
    assert_eq!(a.name(), "CLOSED");
}

#[test]
fn bytes_beyond_the_window_are_not_kept() {
    let (now, mut a, b) = pair(&Config { recv_buffer: 1000, ..Config::default() });
    let segment =
        |seq, n| Segment { rst: false, ack: Some(a.snd_nxt), window: 1000, data: Bytes::from(vec![7; n]), ..rst(&b, &a, seq) };
    let (whole, beyond) = (segment(b.snd_nxt, 5000), segment(b.snd_nxt + 900, 200));
    a.on_segment(now, beyond, &mut vec![]);
    assert!(a.early.is_empty());
    a.on_segment(now, whole, &mut vec![]);
    assert_eq!(a.queues().0, 1000);
}

#[test]
fn an_answer_from_an_earlier_life_of_the_address_is_reset() {
    let now = Instant::now();
    let mut out = vec![];
    let mut a =
        Conn::connect(&Config::default(), now, ([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 80).into(), 1 << 32, &mut out);
    let stale = Segment { rst: false, ack: Some(77), window: 1000, ..Segment::reset_for(&out[0]) };
    out.clear();
    a.on_segment(now, stale, &mut out);
    assert!(out.len() == 1 && out[0].rst && out[0].seq == 77, "{out:?}");
    assert_eq!(a.name(), "SYN_SENT");
}
