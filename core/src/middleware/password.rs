//! Password hashes as htpasswd writes them: bcrypt, `{SHA}`, and MD5-crypt with `$apr1$` or `$1$`; and as mkpasswd does, SHA-crypt with `$5$`
//! or `$6$`.
//!
//! Deliberately absent: plain text, and crypt(3) as it was before: eight characters and two of salt keep nobody out.

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use sha_crypt::{Sha256Params, Sha512Params, sha256_crypt_b64, sha512_crypt_b64};
use sha1::Sha1;

/// Rounds of SHA-crypt where a hash does not say.
const ROUNDS: usize = 5_000;
/// What takes longer than seconds is refused: whoever guesses a user's name would keep a thread busy for it.
const MOST_ROUNDS: usize = 5_000_000;

/// Whether a hash is of a kind that can be verified.
pub(crate) fn is_hash(hash: &str) -> bool {
    (is_bcrypt(hash) && hash.len() == 60)
        || hash.strip_prefix("{SHA}").is_some_and(|digest| digest.len() == 28)
        || sha_crypt_parts(hash).is_some()
        || ["$apr1$", "$1$"].iter().any(|prefix| hash.strip_prefix(prefix).is_some_and(|rest| rest.contains('$')))
}

/// Whether `password` is the one that was hashed. A hash that is not understood matches nothing.
pub(super) fn verify(password: &[u8], hash: &str) -> bool {
    if let Some(encoded) = hash.strip_prefix("{SHA}") {
        return equal(STANDARD.encode(Sha1::digest(password)).as_bytes(), encoded.as_bytes());
    }
    if is_bcrypt(hash) {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    if let Some(parts) = sha_crypt_parts(hash) {
        return sha_crypt(password, &parts).is_some_and(|digest| equal(digest.as_bytes(), parts.digest.as_bytes()));
    }
    let Some((magic, salt)) = md5_crypt_parts(hash) else {
        return false;
    };
    equal(md5_crypt(password, magic, salt).as_bytes(), hash.as_bytes())
}

/// Orders hashes by the time that checking one takes.
pub(super) fn cost(hash: &str) -> u32 {
    if is_bcrypt(hash) {
        let exponent = hash.get(4..6).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        // Each step of the exponent doubles the time; the least takes what a hundred rounds of SHA-crypt do.
        100 << exponent.min(24)
    } else if let Some(parts) = sha_crypt_parts(hash) {
        u32::try_from(parts.rounds).unwrap_or(u32::MAX)
    } else {
        u32::from(md5_crypt_parts(hash).is_some())
    }
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

/// Takes the same time whatever the bytes; the length of a hash is no secret.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && std::hint::black_box(left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right))) == 0
}

/// `$5$[rounds=N$]<salt>$<digest>`, or `$6$`.
struct ShaCrypt<'a> {
    wide: bool,
    rounds: usize,
    salt: &'a str,
    digest: &'a str,
}

fn sha_crypt_parts(hash: &str) -> Option<ShaCrypt<'_>> {
    let (wide, rest) = match (hash.strip_prefix("$5$"), hash.strip_prefix("$6$")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return None,
    };
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => rest.split_once('$').and_then(|(rounds, rest)| Some((rounds.parse().ok()?, rest)))?,
        None => (ROUNDS, rest),
    };
    let (salt, digest) = rest.split_once('$')?;
    let whole = digest.len() == if wide { 86 } else { 43 };
    (whole && salt.len() <= 16 && (1_000..=MOST_ROUNDS).contains(&rounds)).then_some(ShaCrypt { wide, rounds, salt, digest })
}

fn sha_crypt(password: &[u8], parts: &ShaCrypt<'_>) -> Option<String> {
    let salt = parts.salt.as_bytes();
    match parts.wide {
        true => sha512_crypt_b64(password, salt, &Sha512Params::new(parts.rounds).ok()?).ok(),
        false => sha256_crypt_b64(password, salt, &Sha256Params::new(parts.rounds).ok()?).ok(),
    }
}

/// `$<magic>$<salt>$…` → (magic, salt).
fn md5_crypt_parts(hash: &str) -> Option<(&str, &str)> {
    let mut parts = hash.strip_prefix('$')?.splitn(3, '$');
    let (magic, salt, _) = (parts.next()?, parts.next()?, parts.next()?);
    Some((magic, &salt[..salt.len().min(8)])).filter(|_| salt.is_ascii())
}

/// Poul-Henning Kamp's MD5-crypt, as Apache's `apr_md5_encode` has it.
fn md5_crypt(password: &[u8], magic: &str, salt: &str) -> String {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(format!("${magic}$")).chain_update(salt);
    for start in (0..password.len()).step_by(16) {
        outer.update(&inner[..(password.len() - start).min(16)]);
    }
    let mut length = password.len();
    while length > 0 {
        // Kamp's code takes the first byte of the password, or a zero byte, per bit of its length.
        outer.update([if length & 1 == 1 { 0 } else { password[0] }]);
        length >>= 1;
    }
    let mut sum = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        if round & 1 == 1 {
            next.update(password)
        } else {
            next.update(sum)
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if round & 1 == 1 {
            next.update(sum)
        } else {
            next.update(password)
        }
        sum = next.finalize();
    }
    let mut out = format!("${magic}${salt}$");
    for [high, middle, low] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        encode(&mut out, u32::from_be_bytes([0, sum[high], sum[middle], sum[low]]), 4);
    }
    encode(&mut out, u32::from(sum[11]), 2);
    out
}

fn encode(out: &mut String, mut value: u32, digits: u32) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..digits {
        out.push(ALPHABET[(value & 0x3f) as usize] as char);
        value >>= 6;
    }
}
