//! Which of the bugs that this build may hold is the one to be met.
//!
//! A planted bug stands in product code behind a cfg of its own and asks here whether it was chosen, so that one build serves all
//! of them. Process-wide: a process has one bug at most.

use std::sync::OnceLock;

static CHOSEN: OnceLock<String> = OnceLock::new();

/// Chooses a bug for the rest of this process. The first choice stays.
pub fn plant(name: &str) {
    CHOSEN.get_or_init(|| name.to_owned());
}

/// Whether this bug was chosen.
pub fn is_planted(name: &str) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen == name)
}
