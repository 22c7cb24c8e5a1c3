//! The same tree in an etcd of version 3: the session is the provider `etcd`'s, and only what the keys mean differs.

use super::{KontenaProvider, Never};
use crate::provider::{EventKind, Provider as _, Sender, channel, etcd::EtcdProvider};
use bytes::Bytes;
use fairlead_core::{config::static_::EtcdProvider as Options, discovery::kontena::Tree};
use fairlead_net::time::sleep_until;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// All keys with their values, and the revision that they are of.
type Read = (Vec<(Bytes, Bytes)>, String);

/// The latest keys that were not looked at yet.
#[derive(Default)]
struct Slot {
    keys: Mutex<Option<Read>>,
    filled: Notify,
}

/// Follows the store until that fails.
pub(super) async fn follow(provider: &mut KontenaProvider, endpoints: Vec<String>, out: &Sender) -> Result<Never, String> {
    let root = provider.options.root();
    let options = Options {
        endpoints,
        root_key: root.clone(),
        username: provider.options.username.clone(),
        password: provider.options.password.clone(),
        tls: provider.options.tls.clone(),
    };
    let slot = Arc::new(Slot::default());
    let filling = slot.clone();
    let mut etcd = EtcdProvider::reading(
        &options,
        Box::new(move |keys, revision| {
            *filling.keys.lock() = Some((keys, revision));
            filling.filled.notify_one();
        }),
    );
    let (words, mut heard) = channel();
    let mut running = etcd.run(&words);
    loop {
        let due = provider.state.due().map(|due| provider.started + due);
        let settled = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let tell = tokio::select! {
            biased;
            () = slot.filled.notified() => match slot.keys.lock().take() {
                Some((keys, revision)) => provider.state.read_at(provider.elapsed(), &revision, tree(&keys, &root)),
                None => false,
            },
            kind = heard.recv() => {
                out.send(named(kind));
                false
            }
            () = settled => provider.state.pass(provider.elapsed()),
            ended = &mut running => return Err(renamed(&ended.message)),
        };
        if tell {
            provider.tell(out).await;
        }
    }
}

fn tree(keys: &[(Bytes, Bytes)], root: &str) -> Tree {
    Tree::read(keys.iter().filter_map(|(key, value)| {
        let below = std::str::from_utf8(key).ok()?.strip_prefix(root)?;
        Some((below, std::str::from_utf8(value).ok()?))
    }))
}

fn named(kind: EventKind) -> EventKind {
    match kind {
        EventKind::Failing { message, since } => EventKind::Failing { message: renamed(&message), since },
        other => other,
    }
}

/// Remedies name this provider's options.
fn renamed(message: &str) -> String {
    message.replace("providers.etcd.", "providers.kontena.")
}
