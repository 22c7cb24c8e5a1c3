//! What a gateway's API shows, held against what it serves.
//!
//! An answer must show a state that was in force at some instant between the question and the answer, whole: routers with their
//! services, services with their servers. Of servers that were up, or down, at both ends it must say so.

use super::{Oracle, Verdict, broken};
use std::collections::BTreeMap;

/// How long a state is remembered after it was replaced: longer than any answer takes.
const REMEMBERED: u64 = 20_000;

/// Routers with their services, and services with their servers, each up or down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub routers: BTreeMap<String, String>,
    pub services: BTreeMap<String, BTreeMap<String, bool>>,
}

/// The states of one gateway.
#[derive(Debug, Default)]
pub struct Admin {
    /// Each with the time since when it was in force.
    states: Vec<(u64, State)>,
}

impl State {
    /// The same routers, services and servers.
    fn matches(&self, other: &Self) -> bool {
        let names = |state: &Self| {
            state
                .services
                .iter()
                .map(|(name, servers)| (name.clone(), servers.keys().cloned().collect()))
                .collect::<Vec<(_, Vec<_>)>>()
        };
        self.routers == other.routers && names(self) == names(other)
    }
}

impl Admin {
    /// A state is in force from now on.
    pub fn in_force(&mut self, now: u64, state: State) {
        self.states.push((now, state));
        let replaced = |at: usize| self.states.get(at + 1).is_some_and(|(until, _)| until + REMEMBERED < now);
        let old = (0..self.states.len()).take_while(|at| replaced(*at)).count();
        self.states.drain(..old);
    }

    /// Another process begins, with nothing.
    pub fn restarted(&mut self) {
        self.states.clear();
    }

    /// A question of `asked_at` is answered now. `before` and `after`: what was in force at both ends.
    pub fn answered(&self, asked_at: u64, now: u64, shown: &State, before: &State, after: &State) -> Verdict {
        let until = |at: usize| self.states.get(at + 1).map_or(u64::MAX, |(since, _)| *since);
        let mut lately = self.states.iter().enumerate().filter(|(at, (since, _))| *since <= now && until(*at) >= asked_at);
        if !lately.any(|(_, (_, state))| state.matches(shown)) {
            let detail =
                format!("the API shows {shown:?}, and {:?} is in force ({} ms after the question)", after, now - asked_at);
            return broken(Oracle::Admin, detail);
        }
        for (service, servers) in &shown.services {
            for (server, up) in servers {
                let known = |state: &State| state.services.get(service).and_then(|servers| servers.get(server)).copied();
                if let (Some(first), Some(last)) = (known(before), known(after))
                    && first == last
                    && first != *up
                {
                    return broken(
                        Oracle::Admin,
                        format!("the API shows {server} of {service} as up={up}, and up={first} is in force"),
                    );
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(servers: &[(&str, bool)]) -> State {
        let servers = servers.iter().map(|(url, up)| ((*url).to_owned(), *up)).collect();
        State { routers: [("r".to_owned(), "s".to_owned())].into(), services: [("s".to_owned(), servers)].into() }
    }

    #[test]
    fn an_answer_shows_what_was_in_force_while_it_was_made() {
        let mut admin = Admin::default();
        let (old, new) = (state(&[("a", true)]), state(&[("a", true), ("b", true)]));
        admin.in_force(100, old.clone());
        admin.in_force(200, new.clone());
        admin.answered(190, 210, &old, &old, &new).unwrap();
        admin.answered(190, 210, &new, &old, &new).unwrap();
        assert_eq!(admin.answered(201, 210, &old, &new, &new).unwrap_err().oracle, Oracle::Admin);
        let half = State { routers: BTreeMap::new(), ..new.clone() };
        assert_eq!(admin.answered(190, 210, &half, &old, &new).unwrap_err().oracle, Oracle::Admin);
        admin.restarted();
        admin.in_force(300, old.clone());
        assert!(admin.answered(301, 302, &new, &old, &old).is_err());
    }

    #[test]
    fn a_server_that_is_down_all_the_time_is_shown_as_down() {
        let mut admin = Admin::default();
        let (up, down) = (state(&[("a", true)]), state(&[("a", false)]));
        admin.in_force(100, up.clone());
        assert_eq!(admin.answered(150, 160, &up, &down, &down).unwrap_err().oracle, Oracle::Admin);
        admin.answered(150, 160, &up, &down, &up).unwrap();
    }
}
