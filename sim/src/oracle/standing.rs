//! What a gateway thinks of its servers, and whether its traffic goes by that (O11): an ejected server, or one that its checks found
//! ill, gets nothing while another server of the service can be asked; and nobody is let back before the time.
//!
//! Beside the judges of what is true: this one knows what the gateway believes, as it is seen at every look. Two looks that show the
//! same ejection have nothing between them, since each ejection has an end of its own; suspicions are told apart in the same way.
//!
//! Deliberately absent: whether the belief is right. That servers which fail their checks are found out is the source's judge's.

use super::{Oracle, Verdict, broken};
use std::collections::BTreeMap;

/// The shortest ejection, in milliseconds.
const SHORTEST: u64 = 1_000;
/// Times of the gateway's and of the world's clock are each rounded down.
const ROUNDING: u64 = 1;

/// An endpoint, as a look shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Of this endpoint alone, in this process.
    pub endpoint: u64,
    /// Which service's it is.
    pub service: usize,
    pub server: usize,
    /// Nothing speaks against it.
    pub takes_new: bool,
    /// Ejected, or ill by its checks, or no longer to be asked.
    pub out: bool,
    /// When its ejection ends.
    pub ejected_until: Option<u64>,
    /// When its last suspicion ends or ended.
    pub suspected_until: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Standings {
    known: BTreeMap<u64, Known>,
    looked_at: u64,
}

#[derive(Debug)]
struct Known {
    last: Look,
    /// It has been so at every look since then.
    in_since: Option<u64>,
    out_since: Option<u64>,
    /// The last look before its ejection, if that was seen to begin.
    ejected_after: Option<u64>,
}

impl Standings {
    /// Everything is as it was.
    pub fn unchanged(&mut self, now: u64) {
        self.looked_at = now;
    }

    /// All endpoints, as they are now. How many ejections were seen to end.
    ///
    /// # Errors
    /// One ended before its time.
    pub fn looked(&mut self, now: u64, looks: impl IntoIterator<Item = Look>) -> Result<usize, super::Violation> {
        let (mut before, mut ended, mut verdict) = (std::mem::take(&mut self.known), 0, Ok(()));
        for look in looks {
            let mut known = match before.remove(&look.endpoint) {
                Some(known) => known,
                None => Known { last: look.clone(), in_since: None, out_since: None, ejected_after: None },
            };
            let same_suspicion = known.last.suspected_until == look.suspected_until;
            let same_ejection = known.last.ejected_until == look.ejected_until;
            known.in_since = known.in_since.filter(|_| same_suspicion && same_ejection).or(Some(now)).filter(|_| look.takes_new);
            known.out_since = known.out_since.filter(|_| same_ejection).or(Some(now)).filter(|_| look.out);
            if let (Some(after), false) = (known.ejected_after, same_ejection) {
                ended += 1;
                if now + ROUNDING < after + SHORTEST {
                    let detail = format!(
                        "server {} was ejected after {after} and is back, or ejected anew, {} ms later (least: {SHORTEST})",
                        look.server,
                        now - after
                    );
                    verdict = broken(Oracle::Legality, detail);
                }
            }
            // Of one that was ejected when it was first seen, it is not known since when.
            if !same_ejection {
                known.ejected_after = look.ejected_until.map(|_| self.looked_at);
            }
            known.last = look;
            self.known.insert(known.last.endpoint, known);
        }
        self.looked_at = now;
        verdict.map(|()| ended)
    }

    /// Whether a request that began then may not choose freely: a server of this one's service is out, and another is not.
    pub fn is_told(&self, began: u64, server: usize) -> bool {
        let (mut out, mut well) = (false, false);
        for known in self.of(server) {
            out |= known.is_out(began);
            well |= known.is_in(began);
        }
        out && well
    }

    /// Whether nothing has spoken against a server since then.
    pub fn is_well(&self, began: u64, server: usize) -> bool {
        self.known.values().any(|known| known.last.server == server && known.is_in(began))
    }

    /// Whether both are of one service.
    pub fn are_peers(&self, server: usize, other: usize) -> bool {
        self.of(server).any(|known| known.last.server == other)
    }

    /// A server got a request that began then and may go to any server. `could`: whether another one would surely have taken it.
    ///
    /// # Errors
    /// The server has been out since before, and another could.
    pub fn asked(&self, now: u64, began: u64, server: usize, could: impl Fn(usize) -> bool) -> Verdict {
        let Some(it) = self.of(server).find(|known| known.last.server == server && known.is_out(began)) else { return Ok(()) };
        let other = self.of(server).find(|known| known.last.server != server && known.is_in(began) && could(known.last.server));
        let Some(other) = other else { return Ok(()) };
        let since = now - it.out_since.unwrap_or(now);
        let why = if it.last.ejected_until.is_some() { "ejected" } else { "found ill" };
        broken(
            Oracle::Legality,
            format!("server {server} was {why} {since} ms ago and got a request, while server {} was well", other.last.server),
        )
    }

    /// The endpoints of this server's service.
    fn of(&self, server: usize) -> impl Iterator<Item = &Known> {
        let service = self.known.values().find(|known| known.last.server == server).map(|known| known.last.service);
        self.known.values().filter(move |known| Some(known.last.service) == service)
    }
}

impl Known {
    fn is_in(&self, then: u64) -> bool {
        self.in_since.is_some_and(|since| since < then)
    }

    fn is_out(&self, then: u64) -> bool {
        self.out_since.is_some_and(|since| since < then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(server: usize, ejected_until: Option<u64>) -> Look {
        let out = ejected_until.is_some();
        Look { endpoint: server as u64, service: 0, server, takes_new: !out, out, ejected_until, suspected_until: 0 }
    }

    fn is_legal(verdict: Result<usize, crate::oracle::Violation>) -> bool {
        verdict.is_ok()
    }

    #[test]
    fn who_is_out_gets_nothing_while_another_is_well() {
        let mut standings = Standings::default();
        assert!(is_legal(standings.looked(100, [look(0, None), look(1, Some(1_100))])));
        assert!(is_legal(standings.looked(150, [look(0, None), look(1, Some(1_100))])));
        assert!(standings.is_told(150, 0) && standings.is_well(150, 0) && !standings.is_well(150, 1));
        assert_eq!(standings.asked(160, 150, 0, |_| true), Ok(()));
        assert_eq!(standings.asked(160, 150, 1, |_| true).map_err(|violation| violation.oracle), Err(Oracle::Legality));
        assert_eq!(standings.asked(160, 150, 1, |_| false), Ok(()), "nobody else could");
        assert_eq!(standings.asked(160, 90, 1, |_| true), Ok(()), "it began before");
        // Of an ejection that followed another one it is not known what lay between.
        assert!(is_legal(standings.looked(1_120, [look(0, None), look(1, Some(3_100))])));
        assert_eq!(standings.asked(1_130, 1_110, 1, |_| true), Ok(()));
    }

    #[test]
    fn nobody_is_let_back_before_the_time() {
        for (first, back, legal) in [(None, 1_101, true), (None, 1_050, false), (Some(1_105), 1_050, true)] {
            let mut standings = Standings::default();
            assert!(is_legal(standings.looked(100, [look(0, None), look(1, first)])));
            assert!(is_legal(standings.looked(110, [look(0, None), look(1, Some(1_105))])));
            assert_eq!(is_legal(standings.looked(back, [look(0, None), look(1, None)])), legal, "back at {back}");
        }
    }

    #[test]
    fn one_that_was_suspected_in_between_was_not_well_all_the_time() {
        let mut standings = Standings::default();
        assert!(is_legal(standings.looked(100, [look(0, None), look(1, Some(5_000))])));
        assert!(is_legal(standings.looked(200, [Look { suspected_until: 1_150, ..look(0, None) }, look(1, Some(5_000))])));
        assert_eq!(standings.asked(210, 190, 1, |_| true), Ok(()));
        assert!(standings.asked(210, 205, 1, |_| true).is_err());
    }
}
