use super::*;
use fairlead_core::config::Severity;
use fairlead_net::time::timeout;
use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::sync::mpsc;

/// Says what it is told to; the script is shared by all incarnations.
struct Scripted {
    steps: Arc<parking_lot::Mutex<std::collections::VecDeque<Step>>>,
}

enum Step {
    Say(EventKind),
    Fail(&'static str),
    Panic,
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn run<'a>(&'a mut self, out: &'a crate::provider::Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let step = self.steps.lock().pop_front();
                match step {
                    Some(Step::Say(kind)) => out.send(kind),
                    Some(Step::Fail(message)) => return ProviderError::new(message),
                    Some(Step::Panic) => panic!("as scripted"),
                    None => std::future::pending().await,
                }
            }
        })
    }
}

/// A configuration that differs from others by its one rejection.
fn configuration(key: &str) -> EventKind {
    let rejection = Rejection {
        severity: Severity::Warning,
        source: "test".into(),
        key: key.into(),
        message: String::new(),
        remedy: String::new(),
    };
    EventKind::Configuration { raw: RawDynamic::default(), rejections: vec![rejection], revision: key.into() }
}

struct Watched {
    events: mpsc::UnboundedReceiver<EventKind>,
    status: Arc<ProviderStatus>,
    made: Arc<AtomicU32>,
    actor: ActorRef<Msg>,
}

async fn watch(steps: Vec<Step>) -> Watched {
    let (sender, events) = mpsc::unbounded_channel();
    let status = Arc::new(ProviderStatus::new("scripted"));
    let made = Arc::new(AtomicU32::new(0));
    let steps = Arc::new(parking_lot::Mutex::new(steps.into()));
    let counted = made.clone();
    let arguments = Arguments {
        make: Box::new(move || {
            counted.fetch_add(1, Relaxed);
            Box::new(Scripted { steps: steps.clone() })
        }),
        forward: Arc::new(move |event| sender.send(event.kind).expect("the test is waiting")),
        status: status.clone(),
        gather: GATHER,
    };
    let (actor, _) = Actor::spawn(None, ConfigWatch, arguments).await.expect("pre_start does not fail");
    Watched { events, status, made, actor }
}

impl Watched {
    async fn next(&mut self) -> EventKind {
        timeout(Duration::from_secs(20), self.events.recv()).await.expect("an event").expect("the actor lives")
    }
}

#[cfg(not(madsim))]
#[tokio::test]
async fn a_panic_and_an_error_cost_nothing_but_time() {
    let mut w = watch(vec![
        Step::Fail("not yet"),
        Step::Panic,
        Step::Say(configuration("a")),
        Step::Fail("lost"),
        Step::Say(configuration("a")),
        Step::Say(configuration("b")),
    ])
    .await;
    assert!(matches!(w.next().await, EventKind::Failing { message, .. } if message == "not yet"));
    assert!(!w.status.is_synced());
    // What was said right before the error may be superseded by it, but is never lost: the state comes again.
    let mut revisions = Vec::new();
    while revisions.last().is_none_or(|r| r != "b") {
        match w.next().await {
            EventKind::Configuration { revision, .. } => revisions.push(revision),
            EventKind::Failing { message, .. } => assert_eq!(message, "lost"),
            EventKind::Healthy => {}
        }
    }
    revisions.dedup();
    assert!(revisions == ["a", "b"] || revisions == ["b"], "{revisions:?}");
    let view = w.status.view();
    assert!(view.healthy && view.synced && view.message.is_empty() && view.failing_since.is_none(), "{view:?}");
    assert_eq!((view.restarts, view.revision.as_str()), (3, "b"));
    assert_eq!(w.made.load(Relaxed), 2, "an error keeps the provider, a panic makes it anew");
    w.actor.stop(None);
}

#[cfg(not(madsim))]
#[tokio::test]
async fn equal_configurations_are_dropped_and_a_burst_ends_with_its_last() {
    let mut steps = vec![Step::Say(configuration("x")), Step::Say(configuration("x"))];
    steps.extend((0..1000).map(|n| Step::Say(configuration(&n.to_string()))));
    steps.push(Step::Say(configuration("last")));
    let mut w = watch(steps).await;
    let mut count = 0;
    loop {
        count += 1;
        if matches!(w.next().await, EventKind::Configuration { revision, .. } if revision == "last") {
            break;
        }
    }
    assert!(count <= 3, "{count} configurations passed on of a burst");
    w.status.synced().await;
    w.actor.cast(Msg::Repeat).expect("the actor lives");
    assert!(matches!(w.next().await, EventKind::Configuration { revision, .. } if revision == "last"));
    w.actor.stop(None);
}
