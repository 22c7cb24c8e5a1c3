//! What can happen to what a gateway stands on: CPU time, the network's quality, clocks, descriptors, disks, names, its own actors;
//! and to what servers say of their health.
//!
//! Everything that lasts has a step of the same kind that ends it.

use super::Node;
use serde::{Deserialize, Serialize};

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Each poll of a task of this node comes late by up to so many microseconds. 0: that is over.
    Starve { node: Node, most: u64 },
    /// From one node to another, packets are lost (thousandths) and take up to so many milliseconds longer. Both 0: that is over.
    Packets { from: Node, to: Node, loss: u32, slower: u64 },
    /// A server's link is cut both ways, and then its process dies: nobody is told that its connections are gone. To be ended by
    /// mending the link and starting the server.
    HalfOpen(usize),
    /// A gateway's wall clock is ahead of the true time by so many milliseconds, or behind.
    Clock {
        #[serde(default)]
        gateway: usize,
        ahead: i64,
    },
    /// What a server says when it is asked whether it is well, and whether that is true.
    Health { server: usize, manner: Manner },
    /// The next so many accepts of a gateway find no descriptor. 0: that is over.
    Descriptors {
        #[serde(default)]
        gateway: usize,
        accepts: u32,
    },
    /// A gateway's files cannot be read, or can be again.
    Disk {
        #[serde(default)]
        gateway: usize,
        broken: bool,
    },
    /// Whoever reads a gateway's access log and spans stops reading, or goes on.
    Collector {
        #[serde(default)]
        gateway: usize,
        stalled: bool,
    },
    /// An actor panics or is ended.
    Crash {
        #[serde(default)]
        gateway: usize,
        actor: Actor,
    },
    /// A server goes and begins again at another address; the name service tells so after so many milliseconds.
    Move { server: usize, told: u64 },
    /// The name service fails for a server's name, or no longer.
    Name { server: usize, answer: Name },
    /// Every look-up takes so many milliseconds.
    Names { delay: u64 },
}

/// How a server answers checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// It says that it is well, and is.
    Well,
    /// It serves, and says by turns that it does and does not, changing after so many milliseconds.
    Flaps { period: u64 },
    /// It serves, and says that it does not.
    Ill,
    /// Its answer comes after so many milliseconds.
    Slow { by: u64 },
    /// It says that it is well, and closes connections on which requests come.
    Lies,
}

/// What the name service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    Right,
    NoSuchName,
    Failure,
}

/// An actor of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    Router,
    BackendPool,
    Certificates,
    ConfigWatch,
    Listener,
    /// Of this service.
    HealthCheck(usize),
}

impl Event {
    /// Whether it ends something, and breaks nothing.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Starve { most, .. } => *most == 0,
            Self::Packets { loss, slower, .. } => *loss == 0 && *slower == 0,
            Self::Clock { ahead, .. } => *ahead == 0,
            Self::Health { manner, .. } => *manner == Manner::Well,
            Self::Disk { broken, .. } => !broken,
            Self::Collector { stalled, .. } => !stalled,
            Self::Name { answer, .. } => *answer == Name::Right,
            Self::Names { delay } => *delay == 0,
            Self::Descriptors { accepts, .. } => *accepts == 0,
            Self::HalfOpen(_) | Self::Crash { .. } | Self::Move { .. } => false,
        }
    }

    /// The nodes that it names.
    pub(super) fn nodes(&self) -> Vec<Node> {
        match self {
            Self::Starve { node, .. } => vec![*node],
            Self::Packets { from, to, .. } => vec![*from, *to],
            Self::HalfOpen(server) | Self::Health { server, .. } | Self::Move { server, .. } | Self::Name { server, .. } => {
                vec![Node::Server(*server)]
            }
            Self::Clock { gateway, .. }
            | Self::Descriptors { gateway, .. }
            | Self::Disk { gateway, .. }
            | Self::Collector { gateway, .. }
            | Self::Crash { gateway, .. } => {
                vec![Node::GatewayAt(*gateway)]
            }
            Self::Names { .. } => Vec::new(),
        }
    }

    /// The service that it names.
    pub(super) fn service(&self) -> Option<usize> {
        match self {
            Self::Crash { actor: Actor::HealthCheck(service), .. } => Some(*service),
            _ => None,
        }
    }
}
