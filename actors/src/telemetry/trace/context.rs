//! W3C Trace Context, level 1: what `traceparent` and `tracestate` say.

use fairlead_net::http::Fields;
use std::fmt;

/// A trace's id; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// A span's id; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

impl TraceId {
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    pub(super) fn new(random: u64) -> Self {
        Self(random.max(1))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a log line says of a trace.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Ids {
    pub(in crate::telemetry) trace: TraceId,
    pub(in crate::telemetry) span: SpanId,
}

/// One span's place in its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) parent: Option<SpanId>,
    sampled: bool,
    /// The `tracestate` that came belongs to this trace and is within bounds.
    keeps_state: bool,
}

/// Longest `tracestate` that is carried on; the specification asks for at least 512.
const MAX_STATE: usize = 1024;
const MAX_STATE_MEMBERS: usize = 32;
const LENGTH: usize = 55;

/// SplitMix64's increment, and its mixing function.
pub(super) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Context {
    pub(super) fn root(trace: u128, span: SpanId, sampled: bool) -> Self {
        Self { trace: TraceId(trace.max(1)), span, parent: None, sampled, keeps_state: false }
    }

    /// The context that the fields name, continued by `span`.
    pub(super) fn extract(fields: &Fields, span: SpanId) -> Option<Self> {
        let mut lines = fields.get_all("traceparent");
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let (trace, parent, sampled) = parse(line)?;
        let (mut bytes, mut members) = (0, 0);
        for line in fields.get_all("tracestate") {
            bytes += line.len() + 1;
            members += 1 + line.iter().filter(|b| **b == b',').count();
        }
        let keeps_state = members > 0 && bytes <= MAX_STATE && members <= MAX_STATE_MEMBERS;
        Some(Self { trace, span, parent: Some(parent), sampled, keeps_state })
    }

    pub(super) fn sampled(&self) -> bool {
        self.sampled
    }

    pub(super) fn ids(&self) -> Ids {
        Ids { trace: self.trace, span: self.span }
    }

    /// The n-th child. Its id follows from the parent's.
    pub(super) fn child(&self, n: u64) -> Self {
        let span = SpanId::new(mix(self.span.0.wrapping_add(n.wrapping_mul(GAMMA))));
        Self { span, parent: Some(self.span), ..*self }
    }

    /// The `tracestate` that is carried on, as one line.
    pub(super) fn state(&self, fields: &Fields) -> String {
        if !self.keeps_state {
            return String::new();
        }
        let lines: Vec<_> = fields.get_all("tracestate").map(String::from_utf8_lossy).collect();
        lines.join(",")
    }

    /// Replaces what the fields say by this context.
    pub(super) fn inject(&self, fields: &mut Fields) {
        let mut line = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&mut line[3..35], &self.trace.to_bytes());
        hex(&mut line[36..52], &self.span.to_bytes());
        line[54] = b'0' + u8::from(self.sampled);
        fields.set("traceparent", &line);
        if !self.keeps_state {
            fields.remove("tracestate");
        }
    }
}

/// `version-trace-parent-flags` in lower-case hexadecimal. A later version may carry more behind the flags.
fn parse(line: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (head, more) = line.split_at_checked(LENGTH)?;
    let version = unhex(&head[..2])?;
    let shaped = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let whole = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.len() <= 256 && more.first().is_none_or(|b| *b == b'-'),
    };
    let (trace, parent, flags) = (unhex(&head[3..35])?, unhex(&head[36..52])?, unhex(&head[53..])?);
    (shaped && whole && trace != 0 && parent != 0).then_some((TraceId(trace), SpanId(parent as u64), flags & 1 == 1))
}

fn unhex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |n, b| {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        Some(n << 4 | u128::from(digit))
    })
}

fn hex(out: &mut [u8], bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}
