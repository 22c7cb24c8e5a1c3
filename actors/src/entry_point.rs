//! One entry point as its connections see it: policies and limits, worked out once.

use crate::telemetry::EntryPointSeries;
use fairlead_core::{
    config::{
        dynamic::IpRange,
        static_::{self, Limits, UnderscoreHeaders},
    },
    http::{forwarded::ForwardedPolicy, hop::Underscores, path::PathPolicy, target::Semicolons},
    pace::PaceLimit,
    snapshot::EntryPointId,
};
use fairlead_net::time::{self, Duration, Instant};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An entry point.
pub struct EntryPoint {
    pub id: EntryPointId,
    pub name: String,
    pub config: static_::EntryPoint,
    pub forwarded: ForwardedPolicy,
    pub path_policy: PathPolicy,
    pub semicolons: Semicolons,
    pub underscores: Underscores,
    pub pace: PaceLimit,
    pub series: Arc<EntryPointSeries>,
    open: AtomicUsize,
    limits: Limits,
    by_peer: Mutex<BTreeMap<IpAddr, usize>>,
    complained: Mutex<Option<Instant>>,
}

impl EntryPoint {
    /// Works out policies from the configuration.
    pub fn new(
        id: EntryPointId,
        config: static_::EntryPoint,
        limits: Limits,
        host_name: &str,
        series: Arc<EntryPointSeries>,
    ) -> Self {
        let http = &config.http;
        let path_policy = path_policy(http);
        Self {
            id,
            name: config.name.clone(),
            forwarded: ForwardedPolicy {
                trusted: config.forwarded_headers.trusted.clone(),
                insecure: config.forwarded_headers.insecure,
                connection: config.forwarded_headers.connection.clone(),
                append: !config.forwarded_headers.not_append_x_forwarded_for,
                server: host_name.to_owned(),
            },
            path_policy,
            semicolons: semicolons(http),
            underscores: match http.underscore_headers {
                UnderscoreHeaders::Keep => Underscores::Keep,
                UnderscoreHeaders::Delete => Underscores::Delete,
                UnderscoreHeaders::Reject => Underscores::Reject,
            },
            pace: PaceLimit { idle: limits.body_idle_timeout, grace: limits.body_idle_timeout, min_rate: limits.body_min_rate },
            series,
            open: AtomicUsize::new(0),
            limits,
            by_peer: Mutex::default(),
            complained: Mutex::default(),
            config,
        }
    }

    /// A place for one more connection of this peer, or `None` when a limit is reached.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Permit> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit { entry: self.clone(), peer: None };
        if self.limits.connections.is_some_and(|most| open >= most) {
            return None;
        }
        // A front load balancer brings everyone's connections from one address.
        if let Some(most) = self.limits.connections_per_ip
            && !peer.is_loopback()
            && !self.is_front(peer)
        {
            let mut by_peer = self.by_peer.lock();
            let count = by_peer.entry(peer).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
            permit.peer = Some(peer);
        }
        Some(permit)
    }

    /// Whether this peer may speak for others, by forwarding headers or PROXY protocol.
    fn is_front(&self, peer: IpAddr) -> bool {
        self.forwarded.trusts(peer) || self.expects_proxy_header(peer)
    }

    /// Whether this peer's connections may begin with a PROXY header.
    pub fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        let trusted = |ranges: &[IpRange]| ranges.iter().any(|range| range.contains(peer));
        self.config.proxy_protocol.as_ref().is_some_and(|p| p.insecure || trusted(&p.trusted))
    }

    /// Whether a connection has served what one connection may.
    pub fn is_worn_out(&self, served: u64, opened: Instant) -> bool {
        let timeouts = &self.config.timeouts;
        timeouts.keep_alive_max_requests.is_some_and(|most| served >= most)
            || timeouts.keep_alive_max_time.is_some_and(|age| time::now().duration_since(opened) >= age)
    }

    /// Whether a complaint that could come a thousand times a second should be made now.
    pub fn may_complain(&self) -> bool {
        let mut last = self.complained.lock();
        let now = time::now();
        if last.is_some_and(|at| now.duration_since(at) < Duration::from_secs(5)) {
            return false;
        }
        *last = Some(now);
        true
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// What an entry point accepts in a path.
pub fn path_policy(http: &static_::EntryPointHttp) -> PathPolicy {
    let allowed = http.encoded_characters.unwrap_or_default();
    PathPolicy {
        sanitize: http.sanitize_path,
        allow_encoded_slash: allowed.slash,
        allow_encoded_backslash: allowed.back_slash,
        allow_encoded_semicolon: allowed.semicolon,
        allow_encoded_percent: allowed.percent,
        allow_encoded_question_mark: allowed.question_mark,
        allow_encoded_hash: allowed.hash,
    }
}

/// How an entry point reads `;` in a query.
pub fn semicolons(http: &static_::EntryPointHttp) -> Semicolons {
    if http.encode_query_semicolons { Semicolons::Encode } else { Semicolons::Separate }
}

/// One connection's place.
pub struct Permit {
    entry: Arc<EntryPoint>,
    peer: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.entry.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(peer) = self.peer {
            let mut by_peer = self.entry.by_peer.lock();
            if let Some(count) = by_peer.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    by_peer.remove(&peer);
                }
            }
        }
    }
}
