//! RateLimit: a token bucket per source.
//!
//! Unlike Traefik, which holds a request for up to half the interval between two tokens, a request that finds no token is
//! refused at once with the time to wait: held requests cost memory exactly when there are too many of them. A steady
//! stream at the average rate passes either way.
//!
//! At most [`MAX_SOURCES`] buckets are kept. A full bucket is as good as none, so room is made by forgetting the fullest
//! of a few; an emptied one, which still refuses somebody, goes last.

use super::Flow;
use crate::{
    bucket::{Bucket, Limit},
    config::dynamic::{self, SourceCriterion},
    http::{FieldsMut, Request, client},
    reason::Reason,
    response::LocalResponse,
};
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use std::{
    fmt::Write,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Sources that one limiter tells apart at the same time; Traefik's number.
pub(super) const MAX_SOURCES: usize = 65_536;
const SHARDS: usize = 16;
/// How many buckets are looked at to find one to forget.
const CANDIDATES: usize = 16;
/// A longer value is kept as its digest, so that nobody fills memory with long header values.
const LONGEST_KEY: usize = 32;

type Key = SmallVec<[u8; LONGEST_KEY]>;

#[derive(Debug)]
pub(super) struct RateLimit {
    limit: Limit,
    source: SourceCriterion,
}

impl RateLimit {
    pub(super) fn new(config: &dynamic::RateLimit) -> Self {
        Self { limit: Limit::new(config.average, config.period, config.burst), source: config.source.clone() }
    }

    pub(super) fn request<F: FieldsMut>(&self, sources: &Sources, req: &mut Request<'_, F>, now: Duration) -> Flow {
        if self.limit.is_unlimited() {
            return Flow::Continue;
        }
        match sources.take(&self.key(sources, req), &self.limit, now) {
            Ok(()) => Flow::Continue,
            Err(wait) => Flow::Respond(
                LocalResponse::of(Reason::RateLimited)
                    .with("Retry-After", wait.as_nanos().div_ceil(1_000_000_000).to_string())
                    .with("X-Retry-In", go_duration(wait)),
            ),
        }
    }

    /// Requests without the address or field in question share one bucket.
    fn key<F: FieldsMut>(&self, sources: &Sources, req: &Request<'_, F>) -> Key {
        match &self.source {
            SourceCriterion::Ip(depth) => match client::find(depth, req.client, &req.fields) {
                Some(IpAddr::V4(address)) => Key::from_slice(&address.octets()),
                Some(IpAddr::V6(address)) => Key::from_slice(&address.octets()),
                None => Key::new(),
            },
            SourceCriterion::RequestHeader(name) => sources.shorten(req.fields.get(name).unwrap_or_default()),
            SourceCriterion::RequestHost => sources.shorten(req.host.as_str().as_bytes()),
        }
    }
}

/// The buckets of one limiter, in shards so that workers seldom wait for each other.
pub(super) struct Sources {
    salt: [u8; 16],
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    buckets: IndexMap<Key, Bucket>,
    /// Where the next search for room begins.
    hand: usize,
}

impl Sources {
    pub(super) fn new(salt: [u8; 16]) -> Self {
        Self { salt, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    pub(super) fn take(&self, key: &[u8], limit: &Limit, now: Duration) -> Result<(), Duration> {
        let mut shard = self.shards[self.shard(key)].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = shard.buckets.get_mut(key) {
            return bucket.take(limit, now);
        }
        if shard.buckets.len() >= MAX_SOURCES / SHARDS {
            shard.forget_one(limit, now);
        }
        let mut bucket = Bucket::full(limit, now);
        let taken = bucket.take(limit, now);
        shard.buckets.insert(Key::from_slice(key), bucket);
        taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().buckets.len()).sum()
    }

    fn shorten(&self, value: &[u8]) -> Key {
        if value.len() < LONGEST_KEY {
            return Key::from_slice(value);
        }
        Key::from_slice(&Sha256::new().chain_update(self.salt).chain_update(value).finalize())
    }

    /// FNV-1a over salt and key; a skewed choice costs room, never correctness.
    fn shard(&self, key: &[u8]) -> usize {
        let hash = self
            .salt
            .iter()
            .chain(key)
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        (hash ^ (hash >> 32)) as usize % SHARDS
    }
}

impl Shard {
    fn forget_one(&mut self, limit: &Limit, now: Duration) {
        let count = self.buckets.len();
        let fullest = (0..CANDIDATES.min(count))
            .map(|step| (self.hand + step) % count)
            .max_by_key(|index| self.buckets.get_index(*index).map(|(_, bucket)| bucket.tokens(limit, now)));
        self.hand = (self.hand + CANDIDATES) % count;
        if let Some(index) = fullest {
            self.buckets.swap_remove_index(index);
        }
    }
}

/// As Go prints a `time.Duration`: `1m30s`, `1.5s`, `100ms`.
pub(super) fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |whole: u128, unit: u128, name: &str| {
        let (integer, rest) = (whole / unit, whole % unit);
        if rest == 0 {
            return format!("{integer}{name}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        format!("{integer}.{}{name}", digits.trim_end_matches('0'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let mut text = String::new();
            // Writing to a string cannot fail.
            if minutes >= 60 {
                _ = write!(text, "{}h", minutes / 60);
            }
            if minutes > 0 {
                _ = write!(text, "{}m", minutes % 60);
            }
            text + &fraction(nanos % 60_000_000_000, 1_000_000_000, "s")
        }
    }
}
