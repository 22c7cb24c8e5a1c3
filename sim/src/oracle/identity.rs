//! The oracles by name: identity, invariant and class of each, and what a violation is.

use std::fmt;

/// What a run is judged by. The numbers are those of the table of faults and oracles in `docs/simulation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// O1
    Answer,
    /// O2
    CrossTalk,
    /// O3
    Drain,
    /// O4
    Removed,
    /// O5
    Atomic,
    /// O6
    Convergence,
    /// O7
    Liveness,
    /// O8
    Weights,
    /// O9
    Sticky,
    /// O10
    Baseline,
    /// O11
    Legality,
    /// O12
    Certificates,
    /// O13
    Headers,
    /// O14
    Bounded,
    /// O15
    Telemetry,
    /// O16
    Admin,
    /// O17
    Panic,
    /// O18
    Tenant,
    /// O19
    View,
    /// O20
    Planned,
    /// O21
    Static,
    /// O22
    ReadOnly,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Crash,
    Liveness,
    Safety,
}

impl Oracle {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::Answer,
        Self::CrossTalk,
        Self::Drain,
        Self::Removed,
        Self::Atomic,
        Self::Convergence,
        Self::Liveness,
        Self::Weights,
        Self::Sticky,
        Self::Baseline,
        Self::Legality,
        Self::Certificates,
        Self::Headers,
        Self::Bounded,
        Self::Telemetry,
        Self::Admin,
        Self::Panic,
        Self::Tenant,
        Self::View,
        Self::Planned,
        Self::Static,
        Self::ReadOnly,
    ];

    /// Its identity.
    pub fn id(self) -> &'static str {
        const IDS: [&str; 22] = [
            "O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10", "O11", "O12", "O13", "O14", "O15", "O16", "O17", "O18",
            "O19", "O20", "O21", "O22",
        ];
        IDS[self as usize]
    }

    /// The oracle of this identity.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|oracle| oracle.id() == id)
    }

    /// What must hold.
    pub fn invariant(self) -> &'static str {
        match self {
            Self::Answer => {
                "every request is answered exactly once, by a server while one is healthy and reachable and the request may be repeated; \
                 what must not be repeated reaches a server at most once"
            }
            Self::CrossTalk => "a response is the one that a server of the right service gave to this very request",
            Self::Drain => "a server that was withdrawn gets no new request",
            Self::Removed => {
                "a request goes to servers of the state it was admitted under, and no old state admits once a newer one is in force"
            }
            Self::Atomic => "snapshot numbers only rise, a request sees one snapshot, and no snapshot holds half a transaction",
            Self::Convergence => "while the source is readable, its last state is served within a bound",
            Self::Liveness => "every request and every phase ends within its time",
            Self::Weights => "in quiet times servers get their share, and concurrent requests are spread",
            Self::Sticky => {
                "a valid cookie leads to its server while that one is healthy and stays; a forged one counts as absent"
            }
            Self::Baseline => "afterwards connections, tasks and permits are back where they were, and the gateway drains",
            Self::Legality => "health, ejection and limits move only along their declared machines",
            Self::Certificates => {
                "the certificate of the name is served while a valid one is there, never another one, never clear text"
            }
            Self::Headers => {
                "what goes upstream is framed strictly, without hop-by-hop fields, with forwarding fields that are true"
            }
            Self::Bounded => "what one peer leaves unread is bounded, and others are served meanwhile",
            Self::Telemetry => "counters, log lines and spans say what happened, and never block traffic",
            Self::Admin => "the API shows the state in force",
            Self::Panic => "nothing panics",
            Self::Tenant => {
                "no request reaches a container of another service than its host names, from a poll after the address changed hands"
            }
            Self::View => {
                "while the managers tell the truth, tasks get requests from a poll after they run to a poll after they are to end"
            }
            Self::Planned => "no request fails for what operators planned, while some task can be asked",
            Self::Static => "whatever the managers say or do not say, no living task and no route is lost",
            Self::ReadOnly => "managers are asked nothing but GET",
        }
    }

    /// The kind of its failures.
    pub fn class(self) -> Class {
        match self {
            Self::Panic => Class::Crash,
            Self::Convergence | Self::View | Self::Liveness | Self::Baseline => Class::Liveness,
            _ => Class::Safety,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash",
            Self::Liveness => "liveness",
            Self::Safety => "safety",
        })
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub oracle: Oracle,
    pub detail: String,
}

/// The judgement of one event.
pub type Verdict = Result<(), Violation>;

/// A violation of `oracle`.
pub fn broken<T>(oracle: Oracle, detail: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { oracle, detail: detail.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_follow_the_order_and_lead_back() {
        for (index, oracle) in Oracle::ALL.into_iter().enumerate() {
            assert_eq!((oracle as usize, oracle.id()), (index, format!("O{}", index + 1).as_str()));
            assert_eq!(Oracle::named(oracle.id()), Some(oracle));
        }
    }
}
