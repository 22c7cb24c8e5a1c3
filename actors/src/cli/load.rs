//! The configuration of this process for a command: what is written, and what providers say when they are asked once.

use super::Exit;
use fairlead_actors::{
    provider::{self, EventKind},
    written::{Unusable, Written},
};
use fairlead_core::config::{RawDynamic, Rejection, StaticConfig};
use fairlead_net::time::{self, Duration};
use std::collections::BTreeMap;

/// Reads and resolves everything; warnings come with it.
///
/// # Errors
/// Whatever is wrong, each with its source and remedy.
pub fn load(arguments: &[String]) -> Result<(StaticConfig, Vec<Rejection>), Exit> {
    Written::gather(arguments).and_then(|written| written.resolve()).map_err(|unusable| match unusable {
        Unusable::Other(line) => Exit::usage(line),
        Unusable::Rejected(rejections) => Exit::unusable(&rejections),
    })
}

/// How long a provider may take to say what there is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks each provider of these names once; all, if none is named.
///
/// # Errors
/// A provider that does not answer, with what it last said.
pub async fn ask_providers(
    config: &StaticConfig,
    only: &[String],
) -> Result<(BTreeMap<String, RawDynamic>, Vec<Rejection>), Exit> {
    let (mut raws, mut rejections) = (BTreeMap::new(), Vec::new());
    let asked = |name: &String| only.is_empty() || only.contains(name);
    for (name, make) in fairlead_actors::compose::providers(config).into_iter().filter(|(name, _)| asked(name)) {
        let mut provider = make();
        let (sender, mut heard) = provider::channel();
        let mut last = "it did not answer".to_owned();
        let listening = async {
            loop {
                let kind = tokio::select! {
                    biased;
                    kind = heard.recv() => kind,
                    ended = provider.run(&sender) => {
                        last = ended.message;
                        time::sleep(Duration::from_millis(500)).await;
                        continue;
                    }
                };
                match kind {
                    EventKind::Configuration { raw, rejections, .. } => return (raw, rejections),
                    EventKind::Failing { message, .. } => last = message,
                    EventKind::Healthy => {}
                }
            }
        };
        let answered = time::timeout(PATIENCE, listening).await;
        let (raw, refused) = answered.map_err(|_| Exit::failed(format!("provider {name}: {last}")))?;
        rejections.extend(refused);
        raws.insert(name, raw);
    }
    Ok((raws, rejections))
}
