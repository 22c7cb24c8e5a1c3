//! A load-balanced service as the data path sees it: servers, whose turn it is, how connections are made, what retries may cost.
//!
//! Built new when its configuration changes; the endpoints, the balancer's positions and the budget are carried over.

use crate::{
    endpoint::Endpoint,
    telemetry::{ServiceSeries, Telemetry},
};
use fairlead_core::{
    Name,
    balance::{self, Balancer, Pick, Sticky, by_cookie},
    config::dynamic::{LoadBalancer, Service, Transport},
    endpoint::PanicFloor,
    http::Fields,
    outlier::Outcome,
    race::ConnectTimes,
    retry::{Budget, BudgetConfig},
    snapshot::Layer,
};
use fairlead_net::{random, tls};
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What makes two services the same one.
pub type Key = (Layer, Name);

/// A load-balanced service.
pub struct Backend {
    pub layer: Layer,
    pub name: Name,
    pub config: Arc<LoadBalancer>,
    /// What it was built from; `None`: nothing.
    pub made_from: Option<Arc<Service>>,
    /// In the order of the configuration's servers.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Counts servers as `endpoints` does, so it belongs to this backend alone: a request that keeps an older one picks by that one's.
    pub balancer: Mutex<Balancer>,
    pub sticky: Option<Box<Sticky>>,
    pub transport: Arc<Transport>,
    pub security: Security,
    pub budget: Arc<Mutex<Budget>>,
    pub connect_times: Arc<Mutex<ConnectTimes>>,
    pub series: Arc<ServiceSeries>,
}

/// How `https` servers are spoken to.
#[derive(Clone)]
pub enum Security {
    Tls(Arc<tls::ClientConfig>),
    /// The transport's certificates could not be loaded. Fails closed: requests get 502, and the log says why.
    Broken(String),
}

impl Security {
    /// Whether `https` servers get no requests.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

impl Backend {
    /// A service without servers.
    pub fn empty(layer: Layer, name: Name, telemetry: &Telemetry) -> Self {
        let config = Arc::new(LoadBalancer::new(Name::whole("default@internal")));
        Self {
            endpoints: Vec::new(),
            balancer: Mutex::new(Balancer::new(&config)),
            sticky: None,
            transport: Arc::new(Transport::new(config.transport.clone())),
            security: Security::Broken("no transport".into()),
            budget: Arc::new(Mutex::new(Budget::new(BudgetConfig::default(), Duration::ZERO))),
            connect_times: Arc::default(),
            series: telemetry.service(&name),
            layer,
            name,
            config,
            made_from: None,
        }
    }

    /// What stands for the client of this request when a server is picked.
    pub fn client_key<F: Fields>(&self, fields: &F, client: IpAddr) -> balance::Key {
        let cookie = self.config.hash_cookie.as_deref().and_then(|name| by_cookie(fields, name));
        cookie.unwrap_or_else(|| client.into())
    }

    /// The server for one attempt. Ejection and suspicion are guesses from traffic: rather such a server than one on which this request
    /// has failed, or none.
    pub fn pick(&self, tried: &[usize], client: balance::Key) -> Option<usize> {
        let asked = |i: usize| self.endpoints[i].is_ejected() && planted!("ejected_asked");
        let usable = |i: usize| self.endpoints[i].takes_new() || asked(i);
        let suspected = |i: usize| self.endpoints[i].would_take_new();
        let random = random::u64();
        let among = |admits: &dyn Fn(usize) -> bool| self.turn(random, client, admits);
        if !tried.is_empty() {
            let untried = |i: usize| !tried.contains(&i);
            let other = among(&|i| untried(i) && usable(i)).or_else(|| among(&|i| untried(i) && suspected(i)));
            if other.is_some() {
                return other;
            }
        }
        let picked = among(&usable).or_else(|| among(&suspected));
        if planted!("nobody_panics") { picked.or(Some(self.endpoints.len())) } else { picked }
    }

    /// A server to ask beside those that are slow to answer: one that nothing speaks against, at another address.
    pub fn pick_beside(&self, tried: &[usize], client: balance::Key) -> Option<usize> {
        let place = |i: usize| (&self.endpoints[i].url.host, self.endpoints[i].url.port);
        let elsewhere = |i: usize| !tried.iter().any(|t| *t == i || place(*t) == place(i));
        self.turn(random::u64(), client, &|i| self.endpoints[i].takes_new() && elsewhere(i))
    }

    fn turn(&self, random: u64, client: balance::Key, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
        let in_flight = |i: usize| self.endpoints[i].in_flight();
        #[cfg(planted = "rotation_restarted")]
        if fairlead_net::sim::is_planted("rotation_restarted") {
            *self.balancer.lock() = Balancer::new(&self.config);
        }
        self.balancer.lock().pick(&Pick { usable: admits, in_flight: &in_flight, tried: &[], random, key: client })
    }

    /// What it is known by.
    pub fn key(&self) -> Key {
        (self.layer, self.name.clone())
    }

    /// Why no server can be given a request, where discovery says so of all of them.
    pub fn unreachable(&self) -> Option<String> {
        let all = self.endpoints.iter().map(|endpoint| endpoint.unreachable()).collect::<Option<Vec<_>>>()?;
        let first = all.first()?;
        Some(if all.len() == 1 { first.clone() } else { format!("none of {} servers can be reached: {first}", all.len()) })
    }

    /// Whether a server remains that was not tried.
    pub fn has_other(&self, tried: &[usize]) -> bool {
        let servers = self.config.servers.iter().zip(&self.endpoints).enumerate();
        servers.into_iter().any(|(i, (server, endpoint))| server.weight > 0 && !tried.contains(&i) && endpoint.would_take_new())
    }

    /// Whether any server can be given a request now.
    pub fn is_usable(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.would_take_new())
    }

    /// Tells the outlier detection of one server what a request met.
    pub fn observe(&self, endpoint: &Endpoint, now: Duration, outcome: Outcome) {
        if endpoint.is_unmoved_by(now, outcome) {
            return;
        }
        let candidates = self.endpoints.iter().filter(|e| e.would_take_new()).count();
        let ejected = self.endpoints.iter().filter(|e| e.would_take_new() && e.is_ejected()).count();
        let may_eject = PanicFloor::default().allows_ejection(candidates, ejected);
        if endpoint.observe(now, outcome, may_eject) {
            self.series.ejections.inc();
            tracing::warn!(service = %self.name, server = &*endpoint.url.text, "ejected for a while: requests to it fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint, telemetry};
    use fairlead_core::{
        config::dynamic::{PassiveHealthCheck, Server, ServerUrl, UpstreamScheme},
        endpoint::Event,
        outlier::OutlierPolicy,
    };

    fn backend(ports: &[u16]) -> Backend {
        let telemetry = Telemetry::new(telemetry::Options { workers: 1, ..telemetry::Options::default() });
        let mut backend = Backend::empty(Layer::Http, Name::whole("s@file"), &telemetry);
        let url = |port: u16| ServerUrl {
            scheme: UpstreamScheme::Http,
            host: "10.0.0.1".into(),
            port,
            path: String::new(),
            text: format!("http://10.0.0.1:{port}").into(),
        };
        let servers = ports.iter().map(|port| Server::new(url(*port), 1)).collect();
        backend.config = Arc::new(LoadBalancer { servers, ..LoadBalancer::clone(&backend.config) });
        backend.balancer = Mutex::new(Balancer::new(&backend.config));
        let policy = Arc::new(OutlierPolicy::of(None, false));
        let endpoint = |port: &u16| {
            let key = endpoint::Key {
                service: backend.name.clone(),
                url: url(*port).text,
                instance: String::new(),
                transport: backend.transport.name.clone(),
                revision: 0,
            };
            let endpoint = Arc::new(Endpoint::new(Arc::new(key), &Server::new(url(*port), 1), 1, policy.clone()));
            endpoint.handle(Duration::ZERO, Event::Ready);
            endpoint
        };
        backend.endpoints = ports.iter().map(endpoint).collect();
        backend
    }

    #[test]
    fn a_suspected_server_comes_before_one_that_has_just_failed() {
        let backend = backend(&[1, 2]);
        let mut now = Duration::from_secs(1);
        while !backend.endpoints[0].is_ejected() {
            backend.observe(&backend.endpoints[0], now, Outcome::Failure);
            now += Duration::from_millis(10);
            assert!(now < Duration::from_secs(60), "failures in a row eject a server");
        }
        let client = "10.9.9.9".parse::<IpAddr>().expect("an address").into();
        assert_eq!([backend.pick(&[], client), backend.pick(&[], client)], [Some(1); 2], "an ejected server is passed over");
        assert_eq!(backend.pick(&[1], client), Some(0));
        assert!(backend.pick(&[0, 1], client).is_some(), "where all have failed, any is better than none");
    }

    #[test]
    fn a_suspected_server_is_passed_over_until_it_answers_or_its_time_is_over() {
        let backend = backend(&[1, 2]);
        let client = "10.9.9.9".parse::<IpAddr>().expect("an address").into();
        let [one, two] = [&backend.endpoints[0], &backend.endpoints[1]];
        one.suspect(Duration::from_secs(5));
        assert_eq!([backend.pick(&[], client), backend.pick(&[], client)], [Some(1); 2]);
        assert_eq!(backend.pick_beside(&[1], client), None, "nobody is raced against a suspect");
        assert!(backend.has_other(&[1]) && backend.is_usable());
        two.suspect(Duration::from_secs(5));
        assert!(backend.pick(&[], client).is_some(), "a suspect is better than none");
        two.answered();
        one.tick(Duration::from_millis(5_999));
        assert!(one.is_suspected());
        one.tick(Duration::from_secs(6));
        assert!(!one.is_suspected() && !two.is_suspected());
        assert_eq!(backend.pick_beside(&[1], client), Some(0));
    }

    #[test]
    fn a_changed_rule_brings_back_whom_the_old_one_ejected() {
        let backend = backend(&[1, 2]);
        let endpoint = &backend.endpoints[0];
        (0..5).for_each(|_| backend.observe(endpoint, Duration::from_secs(1), Outcome::Failure));
        assert!(endpoint.is_ejected());
        endpoint.judge_by(OutlierPolicy::of(None, false).into());
        assert!(endpoint.is_ejected(), "it is the same rule");
        let check = PassiveHealthCheck { failure_window: Duration::from_secs(10), max_failed_attempts: 3 };
        endpoint.judge_by(OutlierPolicy::of(Some(&check), false).into());
        assert!(endpoint.takes_new());
    }

    #[test]
    fn a_late_success_ends_probation() {
        let backend = backend(&[1, 2]);
        let endpoint = &backend.endpoints[0];
        let mut now = Duration::from_secs(1);
        (0..5).for_each(|_| backend.observe(endpoint, now, Outcome::Failure));
        now += Duration::from_secs(1);
        endpoint.tick(now);
        assert!(endpoint.takes_new());
        now += Duration::from_secs(3_600);
        backend.observe(endpoint, now, Outcome::Success);
        backend.observe(endpoint, now, Outcome::Failure);
        assert!(endpoint.takes_new(), "one failure ejects on probation only");
    }

    #[test]
    fn two_instances_at_one_address_are_not_raced_against_each_other() {
        let backend = backend(&[1, 1, 2]);
        let client = "10.9.9.9".parse::<IpAddr>().expect("an address").into();
        assert_eq!([backend.pick_beside(&[0], client), backend.pick_beside(&[1, 2], client)], [Some(2), None]);
    }

    #[test]
    fn an_unreachable_server_is_never_picked_and_says_why() {
        let backend = backend(&[1, 2]);
        let client = "10.9.9.9".parse::<IpAddr>().expect("an address").into();
        backend.endpoints[0].set_unreachable(Some("no shared network"));
        assert_eq!([backend.pick(&[], client), backend.pick(&[], client), backend.pick(&[1], client)], [Some(1); 3]);
        assert!(!backend.endpoints[0].serves_sessions() && !backend.has_other(&[1]) && backend.is_usable());
        assert_eq!(backend.unreachable(), None);
        backend.endpoints[1].set_unreachable(Some("no shared network"));
        assert!(!backend.is_usable() && backend.pick(&[], client).is_none());
        assert_eq!(backend.unreachable().as_deref(), Some("none of 2 servers can be reached: no shared network"));
        backend.endpoints[0].set_unreachable(None);
        assert_eq!(backend.pick(&[], client), Some(0));
    }
}
