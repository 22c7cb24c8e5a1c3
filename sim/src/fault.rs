//! The kinds of faults, by the numbers of the table of faults and oracles in `docs/simulation.md`.
//!
//! Owns which step of a plan is which kind. Deliberately absent: how a fault is done to the world (`world`), and what it may excuse
//! (`oracle`).

use crate::plan::{Manner, What, environment, gateway, metadata, swarm};

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// F1
    Starvation,
    /// F2
    Events,
    /// F3
    Overlay,
    /// F4
    Kill,
    /// F5
    Link,
    /// F6
    Packets,
    /// F7
    HalfOpen,
    /// F8
    Backend,
    /// F9
    Writers,
    /// F10
    Store,
    /// F11
    Clock,
    /// F12
    Authority,
    /// F13
    Flap,
    /// F14
    Deploy,
    /// F15
    Client,
    /// F16
    Restart,
    /// F17
    Collector,
    /// F18
    Exhaustion,
    /// F19
    Actor,
    /// F20
    Names,
}

impl Fault {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Starvation,
        Self::Events,
        Self::Overlay,
        Self::Kill,
        Self::Link,
        Self::Packets,
        Self::HalfOpen,
        Self::Backend,
        Self::Writers,
        Self::Store,
        Self::Clock,
        Self::Authority,
        Self::Flap,
        Self::Deploy,
        Self::Client,
        Self::Restart,
        Self::Collector,
        Self::Exhaustion,
        Self::Actor,
        Self::Names,
    ];

    /// Its identity.
    pub fn id(self) -> &'static str {
        const IDS: [&str; 20] = [
            "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15", "F16", "F17", "F18",
            "F19", "F20",
        ];
        IDS[self as usize]
    }

    /// The kind of this identity.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.id() == id)
    }

    /// In a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Starvation => "tasks are polled late",
            Self::Events => "a source's events are lost, repeated, reordered or late",
            Self::Overlay => "an overlay network attaches late, or an address changes hands",
            Self::Kill => "a machine or process is killed, paused or started again",
            Self::Link => "a link is cut, both ways or one",
            Self::Packets => "packets are lost, repeated or slow",
            Self::HalfOpen => "a peer is gone and its end of a connection was never told",
            Self::Backend => "a server misbehaves",
            Self::Writers => "writers race, or write by halves, or write nonsense",
            Self::Store => "a store compacts, loses its leader, stalls or cuts",
            Self::Clock => "a clock jumps, or a certificate runs out",
            Self::Authority => "a certificate authority fails",
            Self::Flap => "a server's health changes as often as it is looked at",
            Self::Deploy => "a service is deployed",
            Self::Client => "a client leaves, trickles or floods",
            Self::Restart => "a gateway is reloaded or started again under load",
            Self::Collector => "the collector of telemetry is gone, slow or full",
            Self::Exhaustion => "descriptors, ports or disk run out",
            Self::Actor => "an actor panics",
            Self::Names => "answers of the name service change, fail or are slow",
        }
    }

    /// The kind that a step of a plan is, if it is one.
    pub fn of(what: &What) -> Option<(Self, Phase)> {
        Some(match what {
            What::Start(_) | What::Terminate { .. } => (Self::Deploy, Phase::Once),
            What::Kill(_) | What::PowerOff(_) => (Self::Kill, Phase::Once),
            What::Cut { .. } => (Self::Link, Phase::Begins),
            What::Mend { .. } => (Self::Link, Phase::Ends),
            What::Write(write) if write.manner != Manner::Whole => (Self::Writers, Phase::Once),
            What::Write(_) => return None,
            What::Leader(present) => (Self::Store, Phase::lasting(!present)),
            What::Compact | What::Disconnect(_) => (Self::Store, Phase::Once),
            What::Member { stall, withhold, hang, .. } => (Self::Store, Phase::lasting(*stall || *withhold || *hang)),
            What::CrashRouter => (Self::Actor, Phase::Once),
            What::Swarm(event) => return Some(Self::of_event(event)),
            What::Metadata(fault) => return Some(Self::of_metadata(*fault)),
            What::Environment(event) => return Some(Self::of_environment(event)),
            What::Gateway { event, .. } => Self::of_gateway(*event),
        })
    }

    fn of_metadata(fault: metadata::Fault) -> (Self, Phase) {
        use metadata::Fault;
        // The end of whichever it was is the end of both.
        match fault {
            Fault::Stale => (Self::Events, Phase::Begins),
            Fault::None => (Self::Store, Phase::Ends),
            _ => (Self::Store, Phase::Begins),
        }
    }

    fn of_environment(event: &environment::Event) -> (Self, Phase) {
        use environment::Event;
        let fault = match event {
            Event::Starve { .. } => Self::Starvation,
            Event::Packets { .. } => Self::Packets,
            Event::HalfOpen(_) => Self::HalfOpen,
            Event::Clock { .. } => Self::Clock,
            Event::Health { .. } => Self::Flap,
            Event::Descriptors { .. } | Event::Disk { .. } => Self::Exhaustion,
            Event::Collector { .. } => Self::Collector,
            Event::Crash { .. } => Self::Actor,
            Event::Move { .. } | Event::Name { .. } | Event::Names { .. } => Self::Names,
        };
        match event {
            Event::HalfOpen(_) | Event::Crash { .. } | Event::Move { .. } => (fault, Phase::Once),
            _ => (fault, Phase::lasting(!event.is_over())),
        }
    }

    fn of_gateway(event: gateway::Event) -> (Self, Phase) {
        match event {
            gateway::Event::Stop | gateway::Event::Start => (Self::Restart, Phase::Once),
            gateway::Event::Kill | gateway::Event::PowerOff => (Self::Kill, Phase::Once),
            gateway::Event::Pause => (Self::Kill, Phase::Begins),
            gateway::Event::Resume => (Self::Kill, Phase::Ends),
        }
    }

    fn of_event(event: &swarm::Event) -> (Self, Phase) {
        use swarm::Event;
        match event {
            Event::Create(_) | Event::Remove(_) | Event::Scale { .. } | Event::Update { .. } | Event::Relabel { .. } => {
                (Self::Deploy, Phase::Once)
            }
            Event::Drain { .. } | Event::Activate { .. } => (Self::Deploy, Phase::Once),
            Event::KillTask { .. } => (Self::Kill, Phase::Once),
            Event::NodeDies { .. } => (Self::Kill, Phase::Begins),
            Event::NodeReturns { .. } => (Self::Kill, Phase::Ends),
            Event::Attach { present, .. } => (Self::Overlay, Phase::lasting(!present)),
            Event::Manager { fault, .. } => (Self::Events, Phase::lasting(*fault != swarm::Fault::None)),
            Event::Leader(present) => (Self::Events, Phase::lasting(!present)),
            Event::CutEvents(_) => (Self::Events, Phase::Once),
            Event::DropEvents { drop, .. } => (Self::Events, Phase::lasting(*drop)),
        }
    }
}

/// Whether a fault is over as soon as it has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Once,
    /// It lasts until its end is told, or to the end of the run.
    Begins,
    Ends,
}

impl Phase {
    fn lasting(begins: bool) -> Self {
        if begins { Self::Begins } else { Self::Ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_follow_the_order_and_lead_back() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!((fault as usize, fault.id()), (index, format!("F{}", index + 1).as_str()));
            assert_eq!(Fault::named(fault.id()), Some(fault));
        }
    }
}
