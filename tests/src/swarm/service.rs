//! A service of the Swarm, for as long as the handle lives.

use super::{Swarm, Task};
use crate::wait;
use std::time::Duration;

/// How long Swarm may take for what it was asked, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub struct Service<'a> {
    swarm: &'a Swarm,
    pub name: String,
    /// Swarm's own name of it.
    pub id: String,
}

impl<'a> Service<'a> {
    pub(super) fn create(swarm: &'a Swarm, name: &str, options: &[&str], command: &[&str]) -> Self {
        let mut arguments = vec!["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name];
        // A task that ends is followed by the next at once, and is not waited for longer than it needs.
        arguments.extend(["--restart-delay", "0s", "--stop-grace-period", "10s"]);
        arguments.extend(options);
        arguments.extend(command);
        let id = swarm.docker(&arguments).trim().to_owned();
        Self { swarm, name: name.to_owned(), id }
    }

    /// Takes over a service that something else created, such as a stack.
    pub fn adopt(swarm: &'a Swarm, name: &str) -> Self {
        let id = swarm.docker(&["service", "inspect", "--format", "{{.ID}}", name]).trim().to_owned();
        Self { swarm, name: name.to_owned(), id }
    }

    /// Changes it, without waiting for anything. `options` are as `docker service update` takes them.
    pub fn update(&self, options: &[&str]) {
        let mut arguments = vec!["service", "update", "--detach", "--quiet", "--no-resolve-image"];
        arguments.extend(options);
        arguments.push(&self.name);
        self.swarm.docker(&arguments);
    }

    /// Changes it, and waits until Swarm says how that ended: `completed`, `rollback_completed`, `paused`.
    pub fn update_and_wait(&self, options: &[&str]) -> String {
        let status = || self.swarm.api(&format!("/services/{}", self.id))["UpdateStatus"].clone();
        let before = status()["StartedAt"].clone();
        self.update(options);
        wait::within(PATIENCE * 2, "the update ends", || {
            let now = status();
            let state = now["State"].as_str().unwrap_or_default();
            let ended = now["StartedAt"] != before && (state.ends_with("completed") || state.ends_with("paused"));
            if ended { Ok(state.to_owned()) } else { Err(now) }
        })
    }

    /// Sets the number of replicas, and waits until so many run and no others.
    pub fn scale(&self, replicas: usize) {
        self.update(&["--replicas", &replicas.to_string()]);
        self.settle(replicas);
    }

    /// Waits until so many tasks run, and no others.
    pub fn settle(&self, tasks: usize) {
        wait::within(PATIENCE, &format!("{} settles at {tasks}", self.name), || {
            let all = self.tasks();
            let running = all.iter().filter(|task| task.is_running()).count();
            let leaving = all.iter().filter(|task| task.desired != "running" && task.state == "running").count();
            if (running, leaving) == (tasks, 0) {
                Ok(())
            } else {
                Err(self.swarm.docker(&["service", "ps", "--no-trunc", &self.name]))
            }
        });
    }

    /// All tasks that Swarm remembers.
    pub fn tasks(&self) -> Vec<Task> {
        let filter = format!("%7B%22service%22%3A%5B%22{}%22%5D%7D", self.id);
        let tasks = self.swarm.api(&format!("/tasks?filters={filter}"));
        tasks.as_array().expect("a list of tasks").iter().map(Task::of_json).collect()
    }

    /// Those that run and are meant to.
    pub fn running(&self) -> Vec<Task> {
        self.tasks().into_iter().filter(Task::is_running).collect()
    }

    /// What its tasks wrote.
    pub fn log(&self) -> String {
        let output = self.swarm.attempt(&["service", "logs", "--raw", "--tail", "400", &self.name]);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        self.swarm.attempt(&["service", "rm", &self.name]);
    }
}
