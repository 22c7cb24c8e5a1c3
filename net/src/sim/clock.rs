//! The wall clock of the current host: madsim's, with the host's skew.

use super::net::Net;
use std::time::{Duration, SystemTime};

pub(crate) fn now() -> SystemTime {
    let skew = Net::try_current().map_or(0, |net| net.with(|w| w.caller().map_or(0, |host| w.host(host).skew_millis)));
    let (now, by) = (SystemTime::now(), Duration::from_millis(skew.unsigned_abs()));
    if skew < 0 { now - by } else { now + by }
}
