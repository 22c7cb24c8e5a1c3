//! What operators do to the cluster, and what the managers tell of it as it happens.
//!
//! There are events for services, nodes and networks. For tasks there are none: Swarm has none.

use super::{
    Action, Cluster, Desired,
    json::identity,
    model::{Service, Template},
    update::Update,
};
use crate::{chance::mix, plan};
use std::sync::Arc;

/// Something that a manager tells its listeners.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub at: u64,
    pub kind: &'static str,
    pub action: &'static str,
    pub id: String,
    pub name: String,
}

/// What is added to the time at which a service was made, to tell it from one that is there from the beginning.
pub(super) const CREATED: u64 = 1_000_000;
/// How long a dead node is believed to live: three heartbeats.
const HEARTBEATS: u64 = 15_000;

impl Cluster {
    /// An operator, or fate. What concerns managers alone means nothing here.
    pub fn happens(&mut self, now: u64, event: &plan::swarm::Event) {
        use plan::swarm::Event as E;
        match event {
            E::Create(app) if !self.services.contains_key(app) => {
                self.create(now, *app);
            }
            E::Remove(app) => self.remove(now, *app),
            E::Scale { app, replicas } => self.specify(now, *app, |service| service.replicas = Some(*replicas)),
            E::Relabel { app, host } => self.specify(now, *app, |service| service.host = *host),
            E::Update { app, fails } => {
                let number = self.view.index;
                self.specify(now, *app, |service| {
                    service.previous = Some(service.template);
                    service.template = Template { number, fails: *fails };
                });
                self.begin_update(now, *app);
            }
            E::KillTask { app, pick, refuses } => self.kill(*app, *pick, *refuses),
            E::Drain { node } => self.change_node(now, *node, |node| node.drained = true),
            E::Activate { node } => self.change_node(now, *node, |node| node.drained = false),
            E::NodeDies { node } => self.node_dies(now, *node),
            E::NodeReturns { node } => self.node_returns(now, *node),
            E::Attach { network, present } => {
                let attached = &mut self.view.attached;
                let _changed = if *present { attached.insert(*network) } else { attached.remove(network) };
                self.write();
                self.tell(
                    now,
                    "network",
                    if *present { "connect" } else { "disconnect" },
                    identity(1 << 40 | *network as u64),
                    format!("net{network}"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn create(&mut self, now: u64, app: usize) -> Option<()> {
        let plan = self.plan.apps[app].clone();
        let vip = self.addresses[plan.network].take(now)?;
        let (id, version) = (self.name(), self.write());
        // Those from the beginning have an age, in the order of their indices; never have two the same.
        let youngest = self.view.services.values().map(|service| service.created).max().unwrap_or(0);
        let created = if now == 0 { app as u64 } else { (CREATED + now).max(youngest + 1) };
        let service = Service {
            id: id.clone(),
            app,
            version,
            created,
            updated: now,
            host: plan.host,
            language: plan.language,
            replicas: plan.replicas,
            network: plan.network,
            vip,
            template: Template { number: 0, fails: None },
            previous: None,
            update: None,
        };
        self.view.services.insert(id.clone(), Arc::new(service));
        self.services.insert(app, id.clone());
        self.owners.insert(id.clone(), app);
        self.tell(now, "service", "create", id, format!("app{app}"));
        Some(())
    }

    fn remove(&mut self, now: u64, app: usize) {
        let Some(id) = self.services.remove(&app) else { return };
        let Some(service) = self.view.services.remove(&id) else { return };
        self.write();
        self.updates.remove(&id);
        self.addresses[service.network].release(now, service.vip);
        let tasks: Vec<_> = self.view.tasks.values().filter(|task| task.service == id).map(|task| task.id.clone()).collect();
        for task in tasks {
            self.want(now, &task, Desired::Remove);
        }
        self.tell(now, "service", "remove", id, format!("app{app}"));
    }

    fn specify(&mut self, now: u64, app: usize, change: impl FnOnce(&mut Service)) {
        let Some(id) = self.services.get(&app).cloned() else { return };
        self.change_service(now, &id, change);
    }

    pub(super) fn change_service(&mut self, now: u64, id: &str, change: impl FnOnce(&mut Service)) {
        let version = self.write();
        let Some(service) = self.view.services.get_mut(id).map(Arc::make_mut) else { return };
        change(service);
        (service.version, service.updated) = (version, now);
        let name = format!("app{}", service.app);
        self.tell(now, "service", "update", id.to_owned(), name);
    }

    fn begin_update(&mut self, now: u64, app: usize) {
        let Some(id) = self.services.get(&app).cloned() else { return };
        self.change_service(now, &id, |service| service.update = Some(("updating", "update in progress".into())));
        self.updates.insert(id, Update::new(now, false));
    }

    fn kill(&mut self, app: usize, pick: u64, refuses: bool) {
        let Some(service) = self.services.get(&app) else { return };
        let running: Vec<_> = self
            .view
            .tasks
            .values()
            .filter(|task| task.service == *service && task.is_routable())
            .map(|task| task.number)
            .collect();
        if !running.is_empty() {
            let task = running[(mix(pick) % running.len() as u64) as usize];
            self.actions.push(Action::Kill { task, refuses });
        }
    }

    fn change_node(&mut self, now: u64, node: usize, change: impl FnOnce(&mut super::model::Node)) {
        let version = self.write();
        let it = Arc::make_mut(&mut self.view.nodes[node]);
        change(it);
        it.version = version;
        self.tell(now, "node", "update", identity(1 << 41 | node as u64), format!("node{node}"));
    }

    fn node_dies(&mut self, now: u64, node: usize) {
        self.dead[node] = Some(now);
        for task in self.view.tasks.values().filter(|task| task.node == Some(node) && !task.is_over()) {
            self.actions.push(Action::Dies(task.number));
        }
    }

    /// Its tasks ended with it.
    fn node_returns(&mut self, now: u64, node: usize) {
        self.dead[node] = None;
        let lost: Vec<_> = self.view.tasks.values().filter(|task| task.node == Some(node)).map(|task| task.number).collect();
        lost.into_iter().for_each(|task| self.exited(now, task));
        self.change_node(now, node, |node| node.ready = true);
    }

    /// The managers find out about dead nodes.
    pub(super) fn look_at_nodes(&mut self, now: u64) {
        for node in 0..self.dead.len() {
            if self.view.nodes[node].ready && self.dead[node].is_some_and(|since| since + HEARTBEATS <= now) {
                self.change_node(now, node, |node| node.ready = false);
            }
        }
    }

    pub(super) fn tell(&mut self, at: u64, kind: &'static str, action: &'static str, id: String, name: String) {
        self.events.push(Event { at, kind, action, id, name });
    }
}
