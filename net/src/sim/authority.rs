//! Whom the platform of the simulated world trusts, beside the authorities of the real one.
//!
//! Process-wide, like a platform's own anchors: they are read once, when the first connection asks.

use std::sync::OnceLock;

static ANCHORS: OnceLock<Vec<u8>> = OnceLock::new();

/// Trusts the certificates of this PEM text for the rest of this process. The first choice stays.
pub fn trust(pem: impl Into<Vec<u8>>) {
    ANCHORS.get_or_init(|| pem.into());
}

/// What [`trust`] was given.
pub(crate) fn trusted() -> &'static [u8] {
    ANCHORS.get().map_or(&[], Vec::as_slice)
}
