//! Gateways end and begin again: in order, by force, or not at all for a while.

use super::{World, gateway, instance::Instance};
use crate::{
    oracle::{Verdict, certificates::Certificates},
    plan::gateway::Event,
    trace::{Mark, State},
};
use fairlead_core::drain::Outcome;
use fairlead_net::time::{Duration, sleep};
use madsim::runtime::Handle;
use std::sync::Arc;

/// How often it is looked whether a process has ended.
const PACE: Duration = Duration::from_millis(10);

impl World {
    /// Something happens to a gateway's process.
    pub(super) fn take_gateway_event(self: &Arc<Self>, index: usize, event: Event) {
        let instance = &self.gateways[index];
        self.note(&instance.machine.name, &format!("{event:?}"));
        match event {
            Event::Stop => self.terminate_gateway(index),
            Event::Kill => self.kill_gateway(instance, false),
            Event::PowerOff => self.kill_gateway(instance, true),
            Event::Start => {
                let world = self.clone();
                madsim::task::spawn(async move {
                    let verdict = world.start_gateway(index).await;
                    world.judged(verdict);
                });
            }
            Event::Pause => {
                if instance.is_alive() {
                    instance.life.lock().stops(self.now());
                    instance.blind(self.now(), "stopped", true);
                    self.tell_certificates(index, |judge, now| judge.stops(now, true));
                    Handle::current().pause(instance.machine.node.id());
                }
            }
            Event::Resume => {
                Handle::current().resume(instance.machine.node.id());
                instance.life.lock().goes_on(self.now());
                instance.blind(self.now(), "stopped", false);
                self.tell_certificates(index, |judge, now| judge.stops(now, false));
            }
        }
    }

    fn terminate_gateway(self: &Arc<Self>, index: usize) {
        let Some(running) = self.gateways[index].running.lock().take() else { return };
        let plan = &self.plan.gateway;
        self.mark(&self.gateways[index].machine.name, || Mark::State { state: State::Drains });
        self.gateways[index].life.lock().terminated(self.now(), plan.lame_duck, plan.grace);
        let world = self.clone();
        madsim::task::spawn(async move {
            let instance = &world.gateways[index];
            let process = instance.process();
            // None: it was killed meanwhile.
            let Some(outcome) = running.drain(&world, index).await else { return };
            if instance.process() != process {
                return;
            }
            world.note(&instance.machine.name, &format!("has ended: {outcome:?}"));
            world.look();
            let verdict = instance.life.lock().ended(world.now(), outcome == Outcome::Clean);
            world.judged(verdict);
            world.clear(instance, false);
        });
    }

    fn kill_gateway(&self, instance: &Instance, silently: bool) {
        if !instance.is_alive() {
            return;
        }
        self.look();
        instance.life.lock().dies(self.now());
        self.clear(instance, silently);
    }

    /// The process is gone, and all that its kernel held for it.
    fn clear(&self, instance: &Instance, silently: bool) {
        let now = self.now();
        self.mark(&instance.machine.name, || Mark::State { state: if silently { State::Dark } else { State::Ended } });
        instance.ends(silently);
        instance.blind(now, "stopped", false);
        instance.blind(now, "gone", true);
        if silently {
            self.net.power_off(instance.machine.host)
        } else {
            self.net.exit(instance.machine.host)
        }
        Handle::current().kill(instance.machine.node.id());
    }

    /// A process begins when the one before has ended, and its readiness is judged.
    async fn start_gateway(self: &Arc<Self>, index: usize) -> Verdict {
        let instance = &self.gateways[index];
        let stays = instance.is_alive() && !instance.life.lock().is_going();
        if stays || !instance.may_begin() {
            return Ok(());
        }
        while instance.is_alive() {
            sleep(PACE).await;
        }
        let started = self.now();
        let process = instance.begins();
        instance.life.lock().begins();
        self.net.power_on(instance.machine.host);
        Handle::current().restart(instance.machine.node.id());
        instance.restarted();
        self.tell_certificates(index, Certificates::restarted);
        instance.blind(started, "gone", false);
        let outcome = gateway::start(self, index).await;
        if instance.process() != process {
            // It was killed before it was ready.
            return Ok(());
        }
        outcome?;
        self.tell_certificates(index, Certificates::ready);
        self.look();
        instance.is_ready(self.now(), started)
    }

    /// Whether every gateway that is to be there at the end is.
    pub(super) fn gateways_are_up(&self) -> bool {
        self.core().all(|(_, instance)| instance.life.lock().is_up())
    }

    /// What takes too long on a gateway's way down.
    pub(super) fn drains_end(&self) -> Verdict {
        let now = self.now();
        for instance in &self.gateways {
            instance.life.lock().overdue(now)?;
        }
        Ok(())
    }
}
