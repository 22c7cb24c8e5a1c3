//! The script: each step of the plan at its time.

use super::{World, instance::Model};
use crate::{
    fault::Fault,
    oracle::Direction,
    plan::{Manner, Node, What, swarm::Event},
    store::Faults,
    trace::Mark,
    words,
};
use fairlead_actors::router;
use fairlead_net::time::sleep_until;
use std::sync::Arc;

impl World {
    /// Takes all steps in the order of their times. Torn writes go on beside later steps.
    pub(super) async fn take_steps(self: &Arc<Self>) {
        let mut steps: Vec<_> = self.plan.steps.iter().collect();
        steps.sort_by_key(|step| step.at);
        let mut writers = Vec::new();
        for step in steps {
            sleep_until(self.at(step.at)).await;
            match Fault::of(&step.what) {
                Some((fault, phase)) => self.strikes_as(fault, phase, || (words::told(&step.what), self.struck(&step.what))),
                None => self.mark("world", || Mark::Happens { what: words::told(&step.what) }),
            }
            match &step.what {
                What::Write(write) if write.manner != Manner::Whole => {
                    let (world, write) = (self.clone(), write.clone());
                    writers.push(madsim::task::spawn(async move { world.write(&write).await }));
                }
                What::Write(write) => self.write(write).await,
                other => self.take(other),
            }
        }
        sleep_until(self.at(self.plan.quiet_at)).await;
        for writer in writers {
            // Writers live on the main node, which is never killed.
            let _ended = writer.await;
        }
        self.heal();
    }

    fn take(self: &Arc<Self>, what: &What) {
        match what {
            What::Start(server) => self.start_server(*server, 1),
            What::Terminate { server, within } => self.terminate_server(*server, *within),
            What::Kill(server) => self.kill_server(*server, false),
            What::PowerOff(server) => self.kill_server(*server, true),
            What::Cut { from, to } => self.link(*from, *to, true),
            What::Mend { from, to } => self.link(*from, *to, false),
            What::Leader(present) => {
                self.note("store", if *present { "has a leader" } else { "has no leader" });
                self.each_source(|judge| judge.source(self.now(), "leader", !present));
                self.store.set_leader(*present);
            }
            What::Compact => {
                self.note("store", "compacts");
                self.store.compact(self.store.revision());
            }
            What::Disconnect(member) => {
                self.note(&self.members[*member].0.name, "cuts its connections");
                // Over as soon as it has begun; what follows is the time to come back.
                self.each_source(|judge| judge.source(self.now(), "disconnect", true));
                self.each_source(|judge| judge.source(self.now(), "disconnect", false));
                self.members[*member].1.disconnect();
            }
            What::Member { member, stall, withhold, hang } => {
                self.note(&self.members[*member].0.name, &format!("stall={stall} withhold={withhold} hang={hang}"));
                let (name, broken) = (format!("member {member}"), *stall || *withhold || *hang);
                self.each_source(|judge| judge.source(self.now(), &name, broken));
                let faults = Faults { stall_watches: *stall, withhold_events: *withhold, hang: *hang };
                self.members[*member].1.set_faults(faults);
            }
            What::CrashRouter => {
                self.note("gateway", "Router crashes");
                let directory = self.gateways[0].directory();
                if let Some(router) = directory.and_then(|directory| directory.router()) {
                    // An actor that cannot be told is down already.
                    let _told = router.cast(router::Msg::Crash);
                }
            }
            What::Swarm(event) => self.take_event(event),
            What::Metadata(fault) => self.break_metadata(*fault),
            What::Environment(event) => self.take_environment(event),
            What::Gateway { gateway, event } => self.take_gateway_event(*gateway, *event),
            What::Write(_) => {}
        }
    }

    /// The names of the nodes that a step strikes in particular.
    fn struck(&self, what: &What) -> Vec<String> {
        let name = |node: &Node| match *node {
            Node::Gateway => self.gateways[0].machine.name.clone(),
            Node::GatewayAt(index) => self.gateways[index].machine.name.clone(),
            Node::Server(index) => self.servers[index].name.clone(),
            Node::Member(index) => self.members[index].0.name.clone(),
            Node::Client(index) => self.clients[index].name.clone(),
        };
        let manager = |index: &usize| format!("manager-{}", index + 1);
        match what {
            What::Start(index) | What::Kill(index) | What::PowerOff(index) | What::Terminate { server: index, .. } => {
                vec![name(&Node::Server(*index))]
            }
            What::Cut { from, to } | What::Mend { from, to } => vec![name(from), name(to)],
            What::Disconnect(member) | What::Member { member, .. } => vec![name(&Node::Member(*member))],
            What::CrashRouter => vec![name(&Node::Gateway)],
            What::Gateway { gateway, .. } => vec![name(&Node::GatewayAt(*gateway))],
            What::Swarm(
                Event::Manager { manager: index, .. } | Event::CutEvents(index) | Event::DropEvents { manager: index, .. },
            ) => {
                vec![manager(index)]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn link(&self, from: Node, to: Node, cut: bool) {
        self.note("network", &format!("{} {from:?} to {to:?}", if cut { "cuts" } else { "mends" }));
        self.net.link(self.host(from), self.host(to), |link| link.blocked = cut);
        let now = self.now();
        // The judge of the gateway at the one end hears of it, and what is at the other.
        let (gateway, other, direction) = match (from.gateway(), to.gateway()) {
            (Some(gateway), None) => (gateway, to, Direction::Out),
            (None, Some(gateway)) => (gateway, from, Direction::In),
            _ => return,
        };
        if let Node::Server(server) = other {
            self.exchange.lock().cut_link(server);
        }
        let Model::Source(judge) = &self.gateways[gateway].model else { return };
        match other {
            Node::Server(server) => judge.lock().link(now, server, direction, cut),
            Node::Member(member) => judge.lock().source(now, &format!("{direction:?} to member {member}"), cut),
            _ => {}
        }
    }
}
