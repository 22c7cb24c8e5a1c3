//! The judge of telemetry (O15): counters and lines say what happened to requests. Pure.
//!
//! A request that its client saw answered is counted once, under its status and, if the gateway made the answer, under its reason; and
//! has one line, which was either read or counted as dropped. Leniency: how the gateway saw the end of a request whose client left, or
//! whose answer was cut off, is not known, nor whether it ever saw its beginning; there may be one record of each such request, under
//! any status.

use super::{Oracle, Verdict, broken};
use std::collections::BTreeMap;

/// How often, by status, or by reason.
pub type By<K> = BTreeMap<K, u64>;

/// What clients saw of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub statuses: By<u16>,
    pub reasons: By<String>,
    /// Requests whose end only the gateway knows.
    pub unsure: u64,
}

/// What that gateway says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub statuses: By<u16>,
    pub reasons: By<String>,
    /// Requests that never were to be answered by a server: clear text where TLS is spoken, on an entry point of its own.
    pub elsewhere: u64,
    /// Lines of the entry point that clients ask, by status, and of others.
    pub lines: By<u16>,
    pub lines_elsewhere: u64,
    pub dropped_lines: u64,
    pub spans: u64,
    pub dropped_spans: u64,
}

impl Seen {
    /// A client got an answer.
    pub fn answered(&mut self, status: u16, reason: Option<&str>) {
        *self.statuses.entry(status).or_default() += 1;
        if let Some(reason) = reason {
            *self.reasons.entry(reason.to_owned()).or_default() += 1;
        }
    }

    /// Whether what the gateway says can be true.
    ///
    /// # Errors
    /// It cannot.
    pub fn judge(&self, said: &Said) -> Verdict {
        compare("requests with status", &self.statuses, &said.statuses, self.unsure)?;
        compare("responses with reason", &self.reasons, &said.reasons, self.unsure)?;
        let (counted, lines): (u64, u64) = (said.statuses.values().sum(), said.lines.values().sum());
        let (all, read) = (counted + said.elsewhere, lines + said.lines_elsewhere);
        if read + said.dropped_lines != all {
            let detail = format!("{all} requests were counted, {read} lines read and {} dropped", said.dropped_lines);
            return broken(Oracle::Telemetry, detail);
        }
        for (status, lines) in &said.lines {
            let counted = said.statuses.get(status).copied().unwrap_or(0);
            if *lines > counted {
                return broken(Oracle::Telemetry, format!("{lines} lines speak of status {status}, and {counted} were counted"));
            }
        }
        if said.spans + said.dropped_spans < counted {
            let detail = format!("{counted} requests, and {} spans read and {} dropped", said.spans, said.dropped_spans);
            return broken(Oracle::Telemetry, detail);
        }
        Ok(())
    }
}

fn compare<K: Ord + std::fmt::Display>(what: &str, seen: &By<K>, said: &By<K>, unsure: u64) -> Verdict {
    let mut more = 0;
    for (key, counted) in said {
        let wanted = seen.get(key).copied().unwrap_or(0);
        more += counted.saturating_sub(wanted);
    }
    let missing = seen.iter().find(|(key, wanted)| said.get(key).copied().unwrap_or(0) < **wanted);
    if let Some((key, wanted)) = missing {
        let counted = said.get(key).copied().unwrap_or(0);
        return broken(Oracle::Telemetry, format!("{wanted} {what} {key} were seen by clients, and {counted} are counted"));
    }
    if more > unsure {
        return broken(
            Oracle::Telemetry,
            format!("{more} more {what} anything are counted than clients saw, and {unsure} may be"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let mut seen = Seen { unsure: 1, ..Seen::default() };
        seen.answered(200, None);
        seen.answered(200, None);
        seen.answered(503, Some("no_server"));
        seen
    }

    fn said() -> Said {
        let statuses = By::from([(200, 2), (503, 1)]);
        let reasons = By::from([("no_server".to_owned(), 1)]);
        Said { lines: statuses.clone(), statuses, reasons, spans: 3, ..Said::default() }
    }

    #[test]
    fn what_clients_saw_is_counted_once() {
        assert!(seen().judge(&said()).is_ok());
        let one_unsure = Said { statuses: By::from([(200, 2), (499, 1), (503, 1)]), dropped_lines: 1, spans: 4, ..said() };
        assert!(seen().judge(&one_unsure).is_ok());
        let twice = Said { statuses: By::from([(200, 4), (503, 1)]), dropped_lines: 2, spans: 5, ..said() };
        assert!(seen().judge(&twice).is_err());
        let missed = Said { statuses: By::from([(200, 1), (503, 1)]), lines: By::from([(200, 1), (503, 1)]), ..said() };
        assert!(seen().judge(&missed).is_err());
        assert!(seen().judge(&Said { reasons: By::new(), ..said() }).is_err());
    }

    #[test]
    fn every_request_has_one_line_or_is_counted_as_dropped() {
        assert!(seen().judge(&Said { lines: By::from([(200, 2)]), ..said() }).is_err());
        assert!(seen().judge(&Said { lines: By::from([(200, 2)]), dropped_lines: 1, ..said() }).is_ok());
        assert!(seen().judge(&Said { lines: By::from([(200, 3)]), ..said() }).is_err(), "of another status");
        assert!(seen().judge(&Said { elsewhere: 2, lines_elsewhere: 1, dropped_lines: 1, ..said() }).is_ok());
        assert!(seen().judge(&Said { elsewhere: 2, lines_elsewhere: 1, ..said() }).is_err());
        assert!(seen().judge(&Said { spans: 2, ..said() }).is_err());
        assert!(seen().judge(&Said { spans: 1, dropped_spans: 2, ..said() }).is_ok());
    }
}
