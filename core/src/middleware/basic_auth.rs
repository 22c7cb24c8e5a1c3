//! BasicAuth: user names and password hashes.
//!
//! Checking a password is slow on purpose, so it does not happen here: the request comes out as an [`AuthCheck`] for
//! another thread. What was verified is remembered under a digest of user, password and hash with a salt of this process,
//! so that the next request does not pay, and a changed hash counts at once. Refusals are never remembered.

use super::{Ctx, Flow, password, set_trusted};
use crate::{
    config::dynamic,
    http::{Fields, FieldsMut, Request},
    reason::Reason,
    response::LocalResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use indexmap::IndexSet;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

/// Verified credentials that are remembered. Only users' own can be among them.
const MAX_REMEMBERED: usize = 4_096;
/// Longer passwords are refused unread: the time to hash one grows with its length.
const LONGEST_PASSWORD: usize = 1_024;

pub(super) struct BasicAuth {
    users: BTreeMap<String, String>,
    /// What an unknown user's password is checked against: the costliest hash there is.
    decoy: String,
    challenge: String,
    remove_header: bool,
    header_field: Option<String>,
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").field("users", &self.users.keys()).finish_non_exhaustive()
    }
}

impl BasicAuth {
    pub(super) fn new(config: &dynamic::BasicAuth) -> Self {
        let decoy = config.users.values().max_by_key(|hash| password::cost(hash)).cloned().unwrap_or_default();
        let realm = config.realm.replace('\\', "\\\\").replace('"', "\\\"");
        Self {
            users: config.users.clone(),
            decoy,
            challenge: format!("Basic realm=\"{realm}\""),
            remove_header: config.remove_header,
            header_field: config.header_field.clone().filter(|name| !name.is_empty()),
        }
    }

    pub(super) fn request<F: FieldsMut>(&self, known: &Credentials, req: &mut Request<'_, F>, ctx: &mut Ctx) -> Flow {
        let Some((user, password)) = credentials(&req.fields) else {
            return self.refuse();
        };
        ctx.user = Some(user.clone());
        let hash = self.users.get(&user);
        let digest = known.digest(&user, &password, hash.unwrap_or(&self.decoy));
        if hash.is_some() && known.contains(&digest) {
            self.accept(req, &user)
        } else {
            let exists = hash.is_some();
            let hash = hash.unwrap_or(&self.decoy).clone();
            Flow::Authenticate(AuthCheck { user, password, hash, exists, digest })
        }
    }

    pub(super) fn settle<F: FieldsMut>(&self, known: &Credentials, req: &mut Request<'_, F>, verdict: Verdict) -> Flow {
        if !verdict.accepted {
            return self.refuse();
        }
        known.insert(verdict.digest);
        self.accept(req, &verdict.user)
    }

    fn accept<F: FieldsMut>(&self, req: &mut Request<'_, F>, user: &str) -> Flow {
        if self.remove_header {
            req.fields.remove("Authorization");
        }
        if let Some(field) = &self.header_field {
            set_trusted(&mut req.fields, field, user.as_bytes());
        }
        Flow::Continue
    }

    fn refuse(&self) -> Flow {
        let mut response = LocalResponse::of(Reason::Unauthorized);
        response.fields.push(("WWW-Authenticate".into(), self.challenge.clone().into_bytes()));
        Flow::Respond(response)
    }
}

/// A password to be checked, away from the threads that move traffic.
pub struct AuthCheck {
    user: String,
    password: Vec<u8>,
    hash: String,
    exists: bool,
    digest: [u8; 32],
}

/// The outcome of an [`AuthCheck`], for [`super::Stage::settle`].
pub struct Verdict {
    user: String,
    accepted: bool,
    digest: [u8; 32],
}

impl AuthCheck {
    /// The user that the client claims to be.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Equal for equal credentials: checks under way at the same time may share one verdict.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Takes as long as the hash wants: up to seconds with bcrypt. An unknown user takes as long as a known one.
    pub fn verify(self) -> Verdict {
        let matches = password::verify(&self.password, &self.hash);
        Verdict { user: self.user, accepted: matches & self.exists, digest: self.digest }
    }
}

impl Verdict {
    /// Whether the password was right.
    pub fn accepted(&self) -> bool {
        self.accepted
    }

    /// The user that the client claims to be.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Debug for AuthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthCheck").field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict").field("user", &self.user).field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

/// Digests of what was verified.
pub(super) struct Credentials {
    salt: [u8; 16],
    verified: Mutex<Verified>,
}

#[derive(Default)]
struct Verified {
    digests: IndexSet<[u8; 32]>,
    /// The place that is overwritten next once all are taken.
    hand: usize,
}

impl Credentials {
    pub(super) fn new(salt: [u8; 16]) -> Self {
        Self { salt, verified: Mutex::default() }
    }

    fn digest(&self, user: &str, password: &[u8], hash: &str) -> [u8; 32] {
        // A user name holds no colon, and lengths keep the parts apart.
        Sha256::new()
            .chain_update(self.salt)
            .chain_update((user.len() as u64).to_be_bytes())
            .chain_update(user)
            .chain_update((password.len() as u64).to_be_bytes())
            .chain_update(password)
            .chain_update(hash)
            .finalize()
            .into()
    }

    fn contains(&self, digest: &[u8; 32]) -> bool {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).digests.contains(digest)
    }

    fn insert(&self, digest: [u8; 32]) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.digests.len() >= MAX_REMEMBERED && !verified.digests.contains(&digest) {
            let hand = verified.hand % verified.digests.len();
            verified.digests.swap_remove_index(hand);
            verified.hand = (hand + 1) % MAX_REMEMBERED;
        }
        verified.digests.insert(digest);
    }

    #[cfg(test)]
    pub(super) fn remember_for_test(&self, count: u32) -> usize {
        for number in 0..count {
            self.insert(self.digest("user", &number.to_be_bytes(), ""));
        }
        self.verified.lock().unwrap().digests.len()
    }
}

/// User and password of the one `Authorization` line (RFC 7617). Two lines are refused: the server might read the other.
fn credentials<F: Fields>(fields: &F) -> Option<(String, Vec<u8>)> {
    let mut lines = 0;
    fields.any("Authorization", &mut |_| {
        lines += 1;
        lines > 1
    });
    if lines != 1 {
        return None;
    }
    let value = fields.get("Authorization")?;
    let (scheme, token) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let token = token.trim_ascii();
    let decoded = STANDARD.decode(token).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    let password = &decoded[colon + 1..];
    if password.len() > LONGEST_PASSWORD {
        return None;
    }
    Some((std::str::from_utf8(&decoded[..colon]).ok()?.to_owned(), password.to_vec()))
}
