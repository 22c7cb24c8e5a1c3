//! What failures of one router under one incident say about the configuration.

use super::{Finding, Severity, evidence};
use crate::rehearse::{
    blueprint::Blueprint,
    place::{self, Place},
    plan::{Incident, Plan, What},
    probe::Probe,
    record::{Asked, Ended},
};
use fairlead_core::{
    config::{
        dynamic::{HealthCheck, MiddlewareKind, ServiceKind},
        static_::LifeCycle,
    },
    snapshot::CompiledRouter,
};
use std::collections::BTreeSet;

/// How long health checks and ejection may take to notice that a child of a service is down, in ms, before its requests must go to
/// another child.
const NOTICED: u64 = 10_000;

/// What failures are judged against.
pub(super) struct Context<'a> {
    pub blueprint: &'a Blueprint,
    pub plan: &'a Plan,
}

/// The parts of a finding that a rule decides.
struct Verdict {
    code: &'static str,
    severity: Severity,
    what: String,
    place: Place,
    remedy: String,
}

impl Context<'_> {
    /// What failed while something went wrong.
    pub(super) fn under(&self, incident: &Incident, probe: &Probe, failed: &[&Asked], of: usize) -> Option<Finding> {
        let behind: BTreeSet<&str> = probe.leaves.iter().flat_map(|leaf| self.blueprint.servers_of(leaf)).collect();
        let struck = self.struck(&incident.what);
        let is_down = |leaf: &String| self.blueprint.servers_of(leaf).iter().all(|server| struck.contains(server));
        let names_servers = !struck.is_empty();
        let all_struck = names_servers && !behind.is_empty() && behind.iter().all(|server| struck.contains(server));
        let down: Vec<&String> = probe.leaves.iter().filter(|leaf| is_down(leaf)).collect();
        let seen = evidence(failed, of);
        let verdict = if names_servers && behind.iter().all(|server| !struck.contains(server)) {
            Some(self.unexplained(probe, &seen))
        } else if all_struck {
            self.all_down(incident, probe, failed, of)
        } else if names_servers && !down.is_empty() && probe.leaves.len() > 1 {
            self.fallback(incident, probe, down[0], failed, of)
        } else {
            self.some_down(incident, probe, failed, of)
        };
        let subject = if probe.service.is_empty() { probe.entry_point.clone() } else { probe.service.clone() };
        verdict.map(|verdict| finding(verdict, subject, vec![incident.what.told()]))
    }

    /// What failed although nothing went wrong.
    pub(super) fn at_rest(&self, probe: &Probe, failed: &[&Asked]) -> Option<Finding> {
        let limited = |asked: &&&Asked| matches!(&asked.ended, Ended::Gateway { reason, .. } if reason == "rate_limited");
        let refused: Vec<&Asked> = failed.iter().filter(limited).copied().collect();
        let seen = evidence(failed, failed.len()).replacen(&format!(" of {}", failed.len()), "", 1);
        let verdict = if !refused.is_empty() && refused.len() == failed.len() {
            let limit = self.rate_limit(probe);
            Verdict {
                code: "limits-refuse",
                severity: Severity::Warning,
                what: format!(
                    "At a load of {} requests a second from 4 clients, whatever else went on: {seen}.",
                    (self.plan.rate * 10.0).round() / 10.0
                ),
                place: self.middleware(limit.as_deref().unwrap_or_default(), &["rateLimit", "average"]),
                remedy: "Raise rateLimit.average or burst above what one client legitimately asks; or tell the rehearsal the real load (--load)."
                    .into(),
            }
        } else {
            let remedy = match failed[0].ended.word().as_str() {
                "upstream_tls" => {
                    "The servers' certificates are not trusted: name their authority in serversTransport.rootCAs, and serverName if the certificate has another name than the URL."
                }
                "no_server" => "The service has no server that could be asked: give it one.",
                "connection refused" => {
                    "No TLS connection came about: is there a certificate for this host, and do the TLS options let a usual client in?"
                }
                "misdirected" => "Hosts that share connections need the same TLS options.",
                "overloaded" => "A limit of the gateway is below this load: raise fairlead.limits.",
                _ => "Nothing went wrong in the world: see what `fairlead explain` says of this request.",
            };
            Verdict {
                code: "fails-at-rest",
                severity: Severity::Error,
                what: format!("With nothing going wrong: {seen}."),
                place: self.router(probe, &[]),
                remedy: remedy.into(),
            }
        };
        let subject = if probe.service.is_empty() { probe.entry_point.clone() } else { probe.service.clone() };
        Some(finding(verdict, subject, Vec::new()))
    }

    /// Servers that an incident strikes; none for those that strike something else.
    fn struck(&self, what: &What) -> BTreeSet<&str> {
        let servers = || self.blueprint.servers.iter();
        let on_node = |name: &str| {
            let found = servers().filter(|(_, server)| self.blueprint.nodes[server.node].name == name);
            found.map(|(key, _)| key.as_str()).collect()
        };
        match what {
            What::NodeDies { node } | What::Partition { node } | What::PacketLoss { node, .. } | What::Latency { node, .. } => {
                on_node(node)
            }
            What::ServerCrashes { server }
            | What::ServerRestarts { server }
            | What::SlowServer { server, .. }
            | What::ServerErrors { server }
            | What::ServerHangs { server } => servers().filter(|(key, _)| *key == server).map(|(key, _)| key.as_str()).collect(),
            What::Deploy { service } | What::ServiceDies { service } | What::HealthFlaps { service } => {
                self.blueprint.servers_of(service).into_iter().collect()
            }
            What::DnsFails { name } | What::DnsMoves { name } => {
                servers().filter(|(_, server)| server.host == *name).map(|(key, _)| key.as_str()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// No server was left for this router.
    fn all_down(&self, incident: &Incident, probe: &Probe, failed: &[&Asked], of: usize) -> Option<Verdict> {
        let seen = &*evidence(failed, of);
        let servers: BTreeSet<&str> = probe.leaves.iter().flat_map(|leaf| self.blueprint.servers_of(leaf)).collect();
        let one = servers.len() == 1;
        let leaf = probe.leaves.iter().next()?;
        let servers_key = || self.service(leaf, &["loadBalancer", "servers"]);
        match &incident.what {
            What::NodeDies { node } | What::Partition { node } => Some(Verdict {
                code: "single-node",
                severity: Severity::Error,
                what: format!(
                    "{} of this service {} on {node}. When {node} {}, nothing is left to ask: {seen}.",
                    if one { "The only server".to_owned() } else { format!("All {} servers", servers.len()) },
                    if one { "is" } else { "are" },
                    if matches!(incident.what, What::Partition { .. }) { "cannot be reached" } else { "dies" },
                ),
                place: servers_key(),
                remedy: "Put at least one server on another machine. (Hosts that are really several machines: tell with --node HOST=NAME.)".into(),
            }),
            What::ServerRestarts { server } => Some(self.no_retry(probe, server, seen)),
            What::ServerCrashes { .. } | What::Deploy { .. } if one => Some(Verdict {
                code: "single-server",
                severity: Severity::Error,
                what: format!("This service has one server. While it {}: {seen}.", match incident.what {
                    What::Deploy { .. } => "is replaced",
                    _ => "is down",
                }),
                place: servers_key(),
                remedy: "Give the service a second server. Start-first updates help with deploys, not with crashes.".into(),
            }),
            What::Deploy { service } => Some(self.deploy(service, seen)),
            What::HealthFlaps { service } => Some(self.flap(service, seen)),
            What::ServerHangs { .. } => self.hang(probe, failed, seen),
            What::DnsFails { name } | What::DnsMoves { name } => self.names(incident, name, leaf, failed, of),
            What::PacketLoss { .. } | What::Latency { .. } => Some(self.network(leaf, seen)),
            // Its only server was slow or answered 500: there is nothing that a gateway could do.
            _ => None,
        }
    }

    /// A child of a weighted or failover service is down, and another is not.
    fn fallback(&self, incident: &Incident, probe: &Probe, leaf: &str, failed: &[&Asked], of: usize) -> Option<Verdict> {
        let late: Vec<&Asked> = failed.iter().filter(|asked| asked.at > incident.at + NOTICED).copied().collect();
        if matches!(incident.what, What::ServerHangs { .. })
            && let Some(verdict) = self.hang(probe, failed, &evidence(failed, of))
        {
            return Some(verdict);
        }
        if late.is_empty()
            || !matches!(
                incident.what,
                What::NodeDies { .. } | What::Partition { .. } | What::ServiceDies { .. } | What::ServerCrashes { .. }
            )
        {
            return None;
        }
        let kind = match self.blueprint.dynamic.services.get(probe.service.as_str()).map(|service| &service.kind) {
            Some(ServiceKind::Weighted(_)) => "weighted",
            _ => "failover",
        };
        Some(Verdict {
            code: "fallback-idle",
            severity: Severity::Error,
            what: format!(
                "{leaf} had no server left, and more than {} s later requests were still sent there instead of to the other services: {}.",
                NOTICED / 1000,
                evidence(&late, of)
            ),
            place: self.service(&probe.service, &[kind, "healthCheck"]),
            remedy: format!(
                "Give {leaf} a healthCheck, and the {kind} service `healthCheck: {{}}`, so that it is told when a child is down."
            ),
        })
    }

    /// Some of a router's servers are struck, others are not.
    fn some_down(&self, incident: &Incident, probe: &Probe, failed: &[&Asked], of: usize) -> Option<Verdict> {
        let seen = &*evidence(failed, of);
        let leaf = probe.leaves.iter().next().map_or("", String::as_str);
        match &incident.what {
            What::Deploy { service } => Some(self.deploy(service, seen)),
            What::HealthFlaps { service } => Some(self.flap(service, seen)),
            What::ServerRestarts { server } | What::ServerCrashes { server } => Some(self.no_retry(probe, server, seen)),
            // What had come to the machine before it went waits for an answer, as with a server that hangs.
            What::NodeDies { .. } | What::Partition { .. } if failed.iter().all(|asked| asked.ended == Ended::Patience) => {
                self.hang(probe, failed, seen)
            }
            What::NodeDies { node } | What::Partition { node } => Some(Verdict {
                code: "node-loss-leaks",
                severity: Severity::Warning,
                what: format!("Other servers were well while {node} was gone, and yet {seen}."),
                place: self.router(probe, &["middlewares"]),
                remedy: "Add a healthCheck to the service, and a retry middleware to the router.".into(),
            }),
            What::ServerHangs { .. } => self.hang(probe, failed, seen),
            What::ServerErrors { server } => {
                let late = failed.iter().filter(|asked| asked.at > incident.at + NOTICED).count();
                (late > 0).then(|| Verdict {
                    code: "errors-pass",
                    severity: Severity::Warning,
                    what: format!("{server} answered 500 and kept its share of the requests although others were well: {seen}."),
                    place: self.service(leaf, &["loadBalancer", "healthCheck"]),
                    remedy: match self.health_check(leaf) {
                        None => "Add a healthCheck on a path that fails when the server does, with interval × fall below 10 s.".into(),
                        Some(check) => format!(
                            "The healthCheck needs up to {:?} × {} to notice: bring that below 10 s, on a path that fails when the server does.",
                            check.interval, check.fall
                        ),
                    },
                })
            }
            // By the operator's own time-out.
            What::SlowServer { .. } => None,
            What::PacketLoss { .. } | What::Latency { .. } => Some(self.network(leaf, seen)),
            What::DnsFails { name } | What::DnsMoves { name } => self.names(incident, name, leaf, failed, of),
            What::GatewayStops => Some(self.drain(probe, failed, seen)),
            // Refusing a crowd is what a rate limit is for.
            What::ConnectionBurst { .. } if failed.iter().all(|asked| asked.ended.word() == "rate_limited") => None,
            What::ConnectionBurst { connections } => Some(Verdict {
                code: "burst-refused",
                severity: Severity::Warning,
                what: format!("When {connections} clients came at once, {seen}."),
                place: place::fixed(&self.plan.texts, &["fairlead", "limits"]),
                remedy: "Raise fairlead.limits.connections or connectionsPerIp, if such crowds are to be served.".into(),
            }),
            _ => Some(self.unexplained(probe, seen)),
        }
    }

    fn no_retry(&self, probe: &Probe, server: &str, seen: &str) -> Verdict {
        let retry = self.compiled(probe).and_then(|router| router.retry);
        let (what, remedy) = match retry {
            None => (
                format!("{server} died and was back soon, and nothing was tried again: {seen}."),
                "Add a retry middleware to the router: attempts 5, initialInterval 500ms bridges a restart of some seconds."
                    .to_owned(),
            ),
            Some(retry) => (
                format!(
                    "{server} died and was back soon; {} attempts from {:?} were not enough: {seen}.",
                    retry.attempts, retry.initial_interval
                ),
                "Raise attempts or initialInterval of the retry middleware until they last longer than a restart.".to_owned(),
            ),
        };
        Verdict { code: "no-retry", severity: Severity::Warning, what, place: self.router(probe, &["middlewares"]), remedy }
    }

    fn deploy(&self, service: &str, seen: &str) -> Verdict {
        let grace = self.plan.assumed.stop_grace / 1000;
        let check = self.health_check(service);
        let (what, remedy) = match check {
            None => (
                format!(
                    "Its servers were replaced one after the other, and new ones got requests before they were warm, because no healthCheck asks them: {seen}."
                ),
                format!(
                    "Add a healthCheck whose interval × fall is below the stop grace of {grace} s, on a path that fails from SIGTERM on and until the server is warm."
                ),
            ),
            Some(check) => (
                format!(
                    "Its servers were replaced one after the other. The healthCheck needs up to {:?} × {} to notice, the stop grace is {grace} s: {seen}.",
                    check.interval, check.fall
                ),
                format!("Bring interval × fall below the stop grace ({grace} s, or what --stop-grace says), or lengthen that."),
            ),
        };
        let path =
            if check.is_some() { &["loadBalancer", "healthCheck", "interval"][..] } else { &["loadBalancer", "healthCheck"] };
        Verdict { code: "deploy-drops", severity: Severity::Error, what, place: self.service(service, path), remedy }
    }

    fn flap(&self, service: &str, seen: &str) -> Verdict {
        let fall = self.health_check(service).map_or(1, |check| check.fall);
        Verdict {
            code: "health-takes-all",
            severity: Severity::Warning,
            what: format!(
                "Every health check failed once, as when what all servers depend on stutters, and fall is {fall}: {seen}."
            ),
            place: self.service(service, &["loadBalancer", "healthCheck", "fall"]),
            remedy: match fall {
                0 | 1 => "Set fall to 2 or 3, so that one failed probe takes nobody out.".into(),
                _ => "Raise fall, so that so few failed probes take nobody out.".into(),
            },
        }
    }

    fn hang(&self, probe: &Probe, failed: &[&Asked], seen: &str) -> Option<Verdict> {
        let waited = failed.iter().filter(|asked| asked.ended == Ended::Patience).count();
        let leaf = probe.leaves.iter().next()?;
        let transport = self.blueprint.transport(leaf)?;
        let limit = transport.response_header_timeout;
        let patience = self.plan.assumed.patience / 1000;
        (waited > 0).then(|| Verdict {
            code: "no-response-timeout",
            severity: Severity::Error,
            what: if limit.is_zero() {
                format!("A server that had taken requests never answered. Nothing bounds how long it may take, and {waited} clients had no answer after {patience} s: {seen}.")
            } else {
                format!("A server that had taken requests never answered. Its time-out is {limit:?}, and {waited} clients had no answer after {patience} s: {seen}.")
            },
            place: match transport.name.provider() {
                "internal" => place::fixed(&self.plan.texts, &["serversTransport", "forwardingTimeouts", "responseHeaderTimeout"]),
                _ => {
                    let path = ["http", "serversTransports", transport.name.local(), "forwardingTimeouts", "responseHeaderTimeout"];
                    place::dynamic(&self.plan.texts, &path)
                }
            },
            remedy: format!("Set responseHeaderTimeout to the longest time that an answer may take, below {patience} s (what clients wait, --patience)."),
        })
    }

    fn names(&self, incident: &Incident, name: &str, leaf: &str, failed: &[&Asked], of: usize) -> Option<Verdict> {
        // What was under way at the old address has nothing to do with names.
        let failed: Vec<&Asked> = failed.iter().filter(|asked| asked.at > incident.at).copied().collect();
        let seen = evidence(&failed, of);
        (!failed.is_empty()).then(|| Verdict {
            code: "dns-dependent",
            severity: Severity::Warning,
            what: format!("While {name} could not be resolved, or after it meant another address: {seen}."),
            place: self.service(leaf, &["loadBalancer", "servers"]),
            remedy: "Name servers by address, or have a provider tell their addresses, where names change or resolvers fail."
                .into(),
        })
    }

    fn network(&self, leaf: &str, seen: &str) -> Verdict {
        Verdict {
            code: "network-sensitive",
            severity: Severity::Warning,
            what: format!("A bad way to the servers was enough: {seen}."),
            place: self.service(leaf, &["loadBalancer", "serversTransport"]),
            remedy: "Raise dialTimeout and responseHeaderTimeout of the transport, and time-outs of health checks.".into(),
        }
    }

    fn drain(&self, probe: &Probe, failed: &[&Asked], seen: &str) -> Verdict {
        let grace = self.blueprint.config.entry_points.get(&probe.entry_point).map(|entry| entry.life_cycle);
        let LifeCycle { grace, request_accept_grace } = grace.unwrap_or_default();
        let longest = failed.iter().map(|asked| asked.took).max().unwrap_or_default();
        Verdict {
            code: "drain-cuts",
            severity: Severity::Error,
            what: format!(
                "The gateway got SIGTERM with requests under way, and ended before they did: {seen}. graceTimeOut is {} s after {} s of lame duck; the longest was cut after {}.{} s.",
                grace.as_secs_f64(),
                request_accept_grace.as_secs_f64(),
                longest / 1000,
                longest % 1000 / 100
            ),
            place: place::fixed(&self.plan.texts, &["entryPoints", &probe.entry_point, "transport", "lifeCycle", "graceTimeOut"]),
            remedy: "Set graceTimeOut above the longest request that time-outs allow (responseHeaderTimeout), and the orchestrator's own stop grace above that; or allow less.".into(),
        }
    }

    fn unexplained(&self, probe: &Probe, seen: &str) -> Verdict {
        Verdict {
            code: "unexplained",
            severity: Severity::Defect,
            what: format!("Nothing that this router needs was struck, and yet {seen}."),
            place: self.router(probe, &[]),
            remedy: "No weakness of the configuration explains this: please report it with the plan (add --plan).".into(),
        }
    }

    // ---- where things are written ----

    fn compiled(&self, probe: &Probe) -> Option<&CompiledRouter> {
        self.blueprint.snapshot.routers().find(|router| router.name.as_str() == probe.router)
    }

    fn health_check(&self, service: &str) -> Option<&HealthCheck> {
        self.blueprint.balancer(service).and_then(|balancer| balancer.health_check.as_deref())
    }

    fn rate_limit(&self, probe: &Probe) -> Option<String> {
        let stages = &self.compiled(probe)?.stages;
        let limit = stages.iter().find(|stage| matches!(stage.middleware.kind, MiddlewareKind::RateLimit(_)));
        limit.map(|stage| stage.name.local().to_owned())
    }

    fn router(&self, probe: &Probe, path: &[&str]) -> Place {
        let declared = self.compiled(probe).map(|router| router.router.declared.local().to_owned()).unwrap_or_default();
        place::dynamic(&self.plan.texts, &[&["http", "routers", &declared], path].concat())
    }

    fn middleware(&self, name: &str, path: &[&str]) -> Place {
        place::dynamic(&self.plan.texts, &[&["http", "middlewares", name], path].concat())
    }

    fn service(&self, name: &str, path: &[&str]) -> Place {
        let local = name.rsplit_once('@').map_or(name, |(local, _)| local);
        place::dynamic(&self.plan.texts, &[&["http", "services", local], path].concat())
    }
}

fn finding(verdict: Verdict, subject: String, faults: Vec<String>) -> Finding {
    let Verdict { code, severity, what, place, remedy } = verdict;
    Finding { code: code.into(), severity, seen: true, subject, what, faults, key: place.key, place: place.at, remedy }
}
