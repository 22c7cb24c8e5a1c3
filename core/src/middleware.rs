//! What happens to a request between its router and its service.
//!
//! ```text
//! Middleware (configuration) → Stage (compiled, in the snapshot) ─ request() → Flow
//!                                  StageState (kept across snapshots, by router and middleware)
//! ```
//!
//! Stages act on the canonical escaped path, so that what is forwarded is what was decided on. Chains are flattened and
//! Retry and InfoHeaders are read by the caller ([`Stage::retry`], [`Stage::informs`]) before any stage runs.
//!
//! Deliberately absent: waiting. A rate limit refuses at once, and a password is checked by whoever called.

mod allow_list;
mod basic_auth;
mod headers;
mod password;
mod path;
mod rate_limit;
mod redirect;
#[cfg(test)]
mod tests;
mod upgrade_paths;

pub use basic_auth::{AuthCheck, Verdict};
pub(crate) use password::is_hash as is_password_hash;

use crate::{
    Name,
    config::dynamic::{Middleware, MiddlewareKind},
    http::{FieldsMut, Request},
    reason::Reason,
    response::LocalResponse,
    retry::RetryPolicy,
};
use std::{sync::OnceLock, time::Duration};

/// A middleware ready to run.
#[derive(Debug)]
pub struct Stage {
    name: Name,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    AddPrefix(path::AddPrefix),
    StripPrefix(path::StripPrefix),
    ReplacePath(path::ReplacePath),
    RedirectScheme(redirect::RedirectScheme),
    RedirectRegex(redirect::RedirectRegex),
    Headers(headers::Headers),
    RateLimit(rate_limit::RateLimit),
    BasicAuth(basic_auth::BasicAuth),
    AllowList(allow_list::AllowList),
    Retry(RetryPolicy),
    InfoHeaders,
    UpgradePaths(upgrade_paths::UpgradePaths),
    Unflattened,
}

/// What a stage keeps between requests, and from one snapshot to the next: keep it by (router, middleware).
///
/// It fits any stage, so a middleware that changes its kind under the same name needs no new one.
pub struct StageState {
    salt: [u8; 16],
    sources: OnceLock<rate_limit::Sources>,
    credentials: OnceLock<basic_auth::Credentials>,
}

/// What the caller tells a stage, and what it is told.
#[derive(Clone, Debug, Default)]
pub struct Ctx {
    /// Since any fixed moment; never backwards, or it counts as standing still.
    pub now: Duration,
    /// The user that BasicAuth read, verified or not: for the access log.
    pub user: Option<String>,
}

/// Where the request goes next.
#[derive(Debug)]
pub enum Flow {
    /// To the next stage, or the service.
    Continue,
    /// Back, without a server.
    Respond(LocalResponse),
    /// Nowhere before [`AuthCheck::verify`] has run, off the worker's thread, and [`Stage::settle`] after it.
    Authenticate(AuthCheck),
}

impl Stage {
    /// Compiles a middleware.
    pub fn new(middleware: &Middleware) -> Self {
        let kind = match &middleware.kind {
            MiddlewareKind::AddPrefix { prefix } => Kind::AddPrefix(path::AddPrefix::new(prefix)),
            MiddlewareKind::StripPrefix { prefixes } => Kind::StripPrefix(path::StripPrefix::new(prefixes)),
            MiddlewareKind::ReplacePath { path } => Kind::ReplacePath(path::ReplacePath::new(path)),
            MiddlewareKind::RedirectScheme { scheme, port, permanent } => {
                Kind::RedirectScheme(redirect::RedirectScheme::new(scheme, *port, *permanent))
            }
            MiddlewareKind::RedirectRegex { regex, replacement, permanent } => {
                Kind::RedirectRegex(redirect::RedirectRegex::new(regex, replacement, *permanent))
            }
            MiddlewareKind::Headers(edits) => Kind::Headers(headers::Headers::new(edits)),
            MiddlewareKind::RateLimit(limit) => Kind::RateLimit(rate_limit::RateLimit::new(limit)),
            MiddlewareKind::BasicAuth(auth) => Kind::BasicAuth(basic_auth::BasicAuth::new(auth)),
            MiddlewareKind::IpAllowList { ranges, depth, reject_status } => {
                Kind::AllowList(allow_list::AllowList::new(ranges, depth, *reject_status))
            }
            MiddlewareKind::Retry { attempts, initial_interval } => {
                Kind::Retry(RetryPolicy::with_middleware(*attempts, *initial_interval))
            }
            MiddlewareKind::InfoHeaders => Kind::InfoHeaders,
            MiddlewareKind::UpgradePaths { prefixes } => Kind::UpgradePaths(upgrade_paths::UpgradePaths::new(prefixes)),
            MiddlewareKind::Chain { .. } => Kind::Unflattened,
        };
        Self { name: middleware.name.clone(), kind }
    }

    /// The middleware's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The policy, if this is Retry; it does nothing else.
    pub fn retry(&self) -> Option<&RetryPolicy> {
        match &self.kind {
            Kind::Retry(policy) => Some(policy),
            _ => None,
        }
    }

    /// Whether the operator asks that no `X-Forwarded-For` be added on the way to the server: Headers with an empty
    /// custom request header of exactly that name.
    pub fn omits_forwarded_for(&self) -> bool {
        matches!(&self.kind, Kind::Headers(headers) if headers.omits_forwarded_for())
    }

    /// Whether this is InfoHeaders: the caller knows what they say.
    pub fn informs(&self) -> bool {
        matches!(self.kind, Kind::InfoHeaders)
    }

    /// Whether [`Stage::response`] does anything.
    pub fn edits_response(&self) -> bool {
        matches!(&self.kind, Kind::Headers(headers) if headers.edits_response())
    }

    /// Acts on a request.
    pub fn request<F: FieldsMut>(&self, state: &StageState, req: &mut Request<'_, F>, ctx: &mut Ctx) -> Flow {
        match &self.kind {
            Kind::AddPrefix(stage) => stage.request(req),
            Kind::StripPrefix(stage) => stage.request(req),
            Kind::ReplacePath(stage) => stage.request(req),
            Kind::RedirectScheme(stage) => stage.request(req),
            Kind::RedirectRegex(stage) => stage.request(req),
            Kind::Headers(stage) => stage.request(req),
            Kind::RateLimit(stage) => stage.request(state.sources(), req, ctx.now),
            Kind::BasicAuth(stage) => stage.request(state.credentials(), req, ctx),
            Kind::AllowList(stage) => stage.request(req),
            Kind::UpgradePaths(stage) => stage.request(req),
            Kind::Retry(_) | Kind::InfoHeaders => Flow::Continue,
            // The snapshot flattens chains. Should one come here, what it guards must not go unguarded.
            Kind::Unflattened => Flow::Respond(LocalResponse::of(Reason::Internal)),
        }
    }

    /// Goes on after a password was checked.
    pub fn settle<F: FieldsMut>(&self, state: &StageState, req: &mut Request<'_, F>, verdict: Verdict) -> Flow {
        match &self.kind {
            Kind::BasicAuth(stage) => stage.settle(state.credentials(), req, verdict),
            _ => Flow::Respond(LocalResponse::of(Reason::Internal)),
        }
    }

    /// Acts on a response, a server's or Fairlead's own. Stages run in the reverse of their order.
    pub fn response<F: FieldsMut>(&self, fields: &mut F) {
        if let Kind::Headers(headers) = &self.kind {
            headers.response(fields);
        }
    }
}

impl StageState {
    /// Nothing remembered. The salt is one random value of the process: it keys the digests of credentials and sources.
    pub fn new(salt: [u8; 16]) -> Self {
        Self { salt, sources: OnceLock::new(), credentials: OnceLock::new() }
    }

    fn sources(&self) -> &rate_limit::Sources {
        self.sources.get_or_init(|| rate_limit::Sources::new(self.salt))
    }

    fn credentials(&self) -> &basic_auth::Credentials {
        self.credentials.get_or_init(|| basic_auth::Credentials::new(self.salt))
    }
}

impl std::fmt::Debug for StageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageState").finish_non_exhaustive()
    }
}

/// A field name with case and `_`/`-` folded: what applications behind CGI-like gateways cannot tell apart.
fn same_alias(left: &str, right: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.bytes().map(fold).eq(right.bytes().map(fold))
}

/// Sets a field that a server trusts, and removes every client-sent alias of its name.
fn set_trusted<F: FieldsMut>(fields: &mut F, name: &str, value: &[u8]) {
    fields.retain(&mut |other, _| !same_alias(name, other));
    fields.set(name, value);
}
