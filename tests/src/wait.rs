//! Waiting for something to become true, with a deadline and without a guess of how long it takes.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two polls.
const BETWEEN: Duration = Duration::from_millis(5);

/// Polls until `condition` holds.
///
/// # Panics
/// It does not within [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()).ok_or("not yet"));
}

/// Polls until `attempt` gives a value.
///
/// # Panics
/// It does not within [`PATIENCE`]; says what the last attempt said.
#[track_caller]
pub fn eventually<T, E: Debug>(what: &str, attempt: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, attempt)
}

/// [`eventually`] with a deadline of its own.
///
/// # Panics
/// There is no value in time.
#[track_caller]
pub fn within<T, E: Debug>(patience: Duration, what: &str, attempt: impl FnMut() -> Result<T, E>) -> T {
    self::attempt(patience, attempt).unwrap_or_else(|last| panic!("not within {patience:?}: {what}; last: {last:?}"))
}

/// Polls until `attempt` gives a value.
///
/// # Errors
/// There is none in time: what the last attempt said.
pub fn attempt<T, E>(patience: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Err(_) if Instant::now() <= deadline => let_pass(BETWEEN),
            outcome => return outcome,
        }
    }
}

/// Lets time pass where time is what is measured: the pace of a load, the length of a rest. Never a guess of how long something takes.
#[expect(clippy::disallowed_methods, reason = "the one place to sleep")]
pub fn let_pass(duration: Duration) {
    std::thread::sleep(duration);
}
