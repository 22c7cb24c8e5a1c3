//! What a response tells of how it came about, where a router has the middleware InfoHeaders: the fields with which Interlock answers.
//!
//! Deliberately absent: the identifier of the request, which is the exchange's.

use crate::endpoint::Endpoint;
use fairlead_core::http::FieldsMut;
use fairlead_net::time::Duration;
use smallvec::SmallVec;
use std::{fmt::Write as _, sync::Arc};

/// The servers that were asked, in order.
#[derive(Default)]
pub struct Info {
    attempts: SmallVec<[Attempt; 1]>,
}

struct Attempt {
    endpoint: Arc<Endpoint>,
    /// Since the request began.
    begun: Duration,
    took: Option<Duration>,
}

impl Info {
    /// Of request and response.
    pub const REQUEST_ID: &str = "x-request-id";

    /// A server is asked; times are since the request began.
    pub fn attempt(&mut self, endpoint: &Arc<Endpoint>, begun: Duration) {
        self.attempts.push(Attempt { endpoint: endpoint.clone(), begun, took: None });
    }

    /// That one has failed.
    pub fn attempt_over(&mut self, endpoint: &Arc<Endpoint>, now: Duration) {
        if let Some(attempt) = self.attempts.iter_mut().rev().find(|attempt| Arc::ptr_eq(&attempt.endpoint, endpoint)) {
            attempt.took.get_or_insert(now.saturating_sub(attempt.begun));
        }
    }

    /// Of several that were asked at once, this one came first: it stands last, as the one that answers.
    pub fn settled(&mut self, endpoint: &Arc<Endpoint>) {
        let at = self.attempts.iter().rposition(|attempt| Arc::ptr_eq(&attempt.endpoint, endpoint));
        if let Some(at) = at {
            let attempt = self.attempts.remove(at);
            self.attempts.push(attempt);
        }
    }

    /// Writes the fields. Those of a server that bear the same names give way.
    pub fn write<F: FieldsMut>(&self, fields: &mut F, request_id: &str, gateway: &str, now: Duration) {
        fields.set(Self::REQUEST_ID, request_id.as_bytes());
        fields.set("x-proxy-id", gateway.as_bytes());
        fields.set("x-server-info", concat!("fairlead/", env!("CARGO_PKG_VERSION")).as_bytes());
        if self.attempts.is_empty() {
            fields.remove("x-upstream-addr");
            fields.remove("x-upstream-response-time");
            return;
        }
        let (mut addresses, mut times) = (String::new(), String::new());
        for (at, attempt) in self.attempts.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let url = &attempt.endpoint.url;
            let took = attempt.took.unwrap_or_else(|| now.saturating_sub(attempt.begun));
            // Writing to a string cannot fail.
            let _ = match url.host.contains(':') {
                true => write!(addresses, "{comma}[{}]:{}", url.host, url.port),
                false => write!(addresses, "{comma}{}:{}", url.host, url.port),
            };
            let _ = write!(times, "{comma}{:.3}", took.as_secs_f64());
        }
        fields.set("x-upstream-addr", addresses.as_bytes());
        fields.set("x-upstream-response-time", times.as_bytes());
    }
}
