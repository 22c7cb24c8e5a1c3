//! `/api/fairlead/status`, endpoints and certificates: how fresh, how whole and how healthy what is served is.

use super::{AdminState, object::redact_url, query::Query};
use fairlead_core::config::{Rejection, Severity};
use serde_json::{Value, json};
use std::time::Duration;

/// A provider's health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderView {
    pub name: String,
    /// The source answers.
    pub healthy: bool,
    /// Its first configuration was applied.
    pub synced: bool,
    /// Age of its state; `None`: it never answered.
    pub staleness: Option<Duration>,
    /// The latest failure in words; empty while healthy.
    pub message: String,
    /// The state of the source that was applied last.
    pub revision: String,
    pub updates: u64,
    pub restarts: u64,
}

/// Where an endpoint is, as far as picking goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointState {
    /// Known, not yet to be given work.
    Joining,
    Active,
    /// Discovery says that no request can get there.
    Unreachable,
    /// An active check finds it down.
    Unhealthy,
    /// Requests failed at it.
    Ejected,
    /// No new work; what it has goes on.
    Draining,
}

impl EndpointState {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Unreachable => "unreachable",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

/// One server of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    pub service: String,
    /// As configured.
    pub url: String,
    /// Which task or container it is; empty where nobody knows.
    pub instance: String,
    /// Where it runs; empty where nobody knows.
    pub node: String,
    pub state: EndpointState,
    pub in_flight: u64,
    /// Why it is not active; empty otherwise.
    pub detail: String,
}

/// An installed certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateView {
    /// SHA-256 of the certificate in hexadecimal.
    pub fingerprint: String,
    pub common_name: String,
    pub sans: Vec<String>,
    pub serial: String,
    pub issuer: String,
    /// Time since 1970.
    pub not_before: Duration,
    pub not_after: Duration,
}

/// Rejections in one answer.
const MAX_REJECTIONS: usize = 1000;

pub(super) fn status(state: &AdminState<'_>) -> Value {
    let options = state.options;
    let count = |wanted: EndpointState| state.endpoints.iter().filter(|e| e.state == wanted).count();
    json!({
        "version": options.version,
        "startDate": rfc3339(options.started),
        "uptimeSeconds": state.now.saturating_sub(options.started).as_secs(),
        "ready": state.readiness.missing.is_empty() && !state.readiness.terminating,
        "missing": state.readiness.missing,
        "terminating": state.readiness.terminating,
        "snapshot": state.snapshot.number(),
        "configHash": state.config_hash,
        "providers": state.providers.iter().map(provider).collect::<Vec<_>>(),
        "endpoints": {
            "joining": count(EndpointState::Joining),
            "active": count(EndpointState::Active),
            "unreachable": count(EndpointState::Unreachable),
            "unhealthy": count(EndpointState::Unhealthy),
            "ejected": count(EndpointState::Ejected),
            "draining": count(EndpointState::Draining),
        },
        "rejectionsTotal": state.rejections.len(),
        "rejections": state.rejections.iter().take(MAX_REJECTIONS).map(rejection).collect::<Vec<_>>(),
    })
}

/// Endpoints, those of one service with `serviceName`, those in one state with `status`.
pub(super) fn endpoints(state: &AdminState<'_>, query: &Query) -> Vec<Value> {
    let (service, wanted) = (query.get("serviceName"), query.get("status"));
    let matches = |e: &&EndpointView| service.is_none_or(|s| e.service == s) && wanted.is_none_or(|w| e.state.as_str() == w);
    let object = |e: &EndpointView| {
        json!({
            "service": e.service,
            "url": redact_url(&e.url),
            "instance": e.instance,
            "node": e.node,
            "state": e.state.as_str(),
            "inFlight": e.in_flight,
            "detail": e.detail,
        })
    };
    state.endpoints.iter().filter(matches).map(object).collect()
}

pub(super) fn certificates(state: &AdminState<'_>) -> Vec<Value> {
    const SOON: Duration = Duration::from_secs(30 * 86_400);
    let object = |c: &CertificateView| {
        let status = match c.not_after.checked_sub(state.now) {
            None => "expired",
            Some(left) if left < SOON => "warning",
            Some(_) => "enabled",
        };
        json!({
            "name": c.fingerprint,
            "sans": c.sans,
            "notAfter": rfc3339(c.not_after),
            "notBefore": rfc3339(c.not_before),
            "serialNumber": c.serial,
            "commonName": c.common_name,
            "issuerCN": c.issuer,
            "certFingerprint": c.fingerprint,
            "status": status,
        })
    };
    state.certificates.iter().map(object).collect()
}

pub(super) fn rfc3339(unix: Duration) -> String {
    let mut out = Vec::with_capacity(32);
    crate::telemetry::rfc3339(&mut out, unix);
    String::from_utf8_lossy(&out).into_owned()
}

fn provider(p: &ProviderView) -> Value {
    json!({
        "name": p.name,
        "healthy": p.healthy,
        "synced": p.synced,
        "stalenessSeconds": p.staleness.map(|age| age.as_secs_f64()),
        "message": p.message,
        "revision": p.revision,
        "updates": p.updates,
        "restarts": p.restarts,
    })
}

fn rejection(r: &Rejection) -> Value {
    let severity = match r.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    json!({ "severity": severity, "source": r.source, "key": r.key, "message": r.message, "remedy": r.remedy })
}
