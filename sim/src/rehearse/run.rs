//! One plan, run and judged, on a fresh thread and a fresh runtime.
//!
//! Owns what a panic and a hang come to. Nothing that a run prints depends on the process it runs in.

use super::{
    finding::{self, Judged},
    plan::Plan,
    world::{self, World},
};
use crate::trace::Keep;
use madsim::runtime::Runtime;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

/// Virtual time after which a run is hung.
const LIMIT: Duration = Duration::from_secs(4 * 3_600);
/// Bytes of a recording.
const CAPTURE: usize = 256 << 20;

/// A run and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub seed: u64,
    pub judged: Judged,
    pub virtual_ms: u64,
    /// Over every event and every packet.
    pub hash: u64,
    /// All lines, if they were asked for.
    #[serde(skip)]
    pub trace: String,
    /// Every packet, if they were asked for.
    #[serde(skip)]
    pub pcap: Vec<u8>,
}

/// Runs a plan.
///
/// # Errors
/// Its configuration is unusable.
///
/// # Panics
/// If the system has no thread to give.
pub fn run(plan: Plan, keep: Keep) -> anyhow::Result<Outcome> {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let before = panic::take_hook();
    let heard = panics.clone();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        heard.lock().push(format!("{} (at {place})", text.unwrap_or("a panic without a message")));
    }));
    let seed = plan.seed;
    let kept = plan.clone();
    let thread = move || {
        let mut runtime = Runtime::with_seed_and_config(plan.seed, madsim::Config::default());
        runtime.set_time_limit(LIMIT);
        let world: Mutex<Option<Arc<World>>> = Mutex::default();
        let played = panic::catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(world::play(plan, keep, |new| {
                if keep.packets {
                    new.capture(CAPTURE);
                }
                *world.lock() = Some(new.clone());
            }))
        }));
        let mut outcome = Outcome { seed, ..Outcome::default() };
        // The world's nodes belong to the runtime, and are let go before it.
        if let Some(world) = world.lock().take() {
            outcome.judged = finding::judge(&world.blueprint, &world.plan, &world.seen());
            outcome.virtual_ms = world.ended();
            outcome.hash = world.trace().hash();
            outcome.trace = world.trace().whole().unwrap_or_default().to_owned();
            outcome.pcap = if keep.packets { world.end_capture() } else { Vec::new() };
        }
        (played.unwrap_or(Ok(())), outcome)
    };
    let ended = std::thread::Builder::new().name("rehearsal".into()).spawn(thread).expect("a thread for the run").join();
    panic::set_hook(before);
    let (played, mut outcome) = ended.unwrap_or_else(|_| (Ok(()), Outcome { seed, ..Outcome::default() }));
    played?;
    if let Some(message) = panics.lock().first() {
        // madsim's words for a world in which nothing can happen any more.
        let hung = message.contains("all tasks will block forever") || message.contains("time limit exceeded");
        let oracle = if hung { "O7" } else { "O17" };
        outcome.judged.findings.insert(0, finding::defect(oracle, message.clone(), &kept));
    }
    Ok(outcome)
}
