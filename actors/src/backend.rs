//! A load-balanced service as the data path sees it: servers, whose turn it is, how connections are made, what retries may cost.
//!
//! Built new when its configuration changes; the endpoints, the balancer's positions and the budget are carried over.

use crate::{
    endpoint::Endpoint,
    telemetry::{ServiceSeries, Telemetry},
};
use fairlead_core::{
    Name,
    balance::{Balancer, Key, Pick, Sticky, by_cookie},
    config::dynamic::{LoadBalancer, Transport},
    endpoint::PanicFloor,
    http::Fields,
    outlier::Outcome,
    retry::{Budget, BudgetConfig},
};
use fairlead_net::{random, tls};
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// A load-balanced service.
pub struct Backend {
    pub name: Name,
    pub config: LoadBalancer,
    /// In the order of the configuration's servers.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Counts servers as `endpoints` does, so it belongs to this backend alone: a request that keeps an older one picks by that one's.
    pub balancer: Mutex<Balancer>,
    pub sticky: Option<Sticky>,
    pub transport: Arc<Transport>,
    pub security: Security,
    pub budget: Arc<Mutex<Budget>>,
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
    pub fn empty(name: Name, telemetry: &Telemetry) -> Self {
        let config = LoadBalancer::new(Name::whole("default@internal"));
        Self {
            endpoints: Vec::new(),
            balancer: Mutex::new(Balancer::new(&config)),
            sticky: None,
            transport: Arc::new(Transport::new(config.transport.clone())),
            security: Security::Broken("no transport".into()),
            budget: Arc::new(Mutex::new(Budget::new(BudgetConfig::default(), Duration::ZERO))),
            series: telemetry.service(name.as_str()),
            name,
            config,
        }
    }

    /// What stands for the client of this request when a server is picked.
    pub fn client_key<F: Fields>(&self, fields: &F, client: IpAddr) -> Key {
        let cookie = self.config.hash_cookie.as_deref().and_then(|name| by_cookie(fields, name));
        cookie.unwrap_or_else(|| client.into())
    }

    /// The server for one attempt. Ejection is a guess from traffic: rather a suspected server than one on which this request has
    /// failed, or none.
    pub fn pick(&self, tried: &[usize], client: Key) -> Option<usize> {
        let in_flight = |i: usize| self.endpoints[i].in_flight();
        let usable = |i: usize| self.endpoints[i].takes_new();
        let suspected = |i: usize| self.endpoints[i].would_take_new();
        let random = random::u64();
        let mut balancer = self.balancer.lock();
        let mut among = |admits: &dyn Fn(usize) -> bool| {
            balancer.pick(&Pick { usable: admits, in_flight: &in_flight, tried: &[], random, key: client })
        };
        if !tried.is_empty() {
            let untried = |i: usize| !tried.contains(&i);
            let other = among(&|i| untried(i) && usable(i)).or_else(|| among(&|i| untried(i) && suspected(i)));
            if other.is_some() {
                return other;
            }
        }
        among(&usable).or_else(|| among(&suspected))
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
            tracing::warn!(service = %self.name, server = endpoint.url.text, "ejected for a while: requests to it fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint, telemetry};
    use fairlead_core::{
        config::dynamic::{Server, ServerUrl, UpstreamScheme},
        endpoint::Event,
        outlier::OutlierPolicy,
    };

    fn backend(ports: &[u16]) -> Backend {
        let telemetry = Telemetry::new(telemetry::Options { workers: 1, ..telemetry::Options::default() });
        let mut backend = Backend::empty(Name::whole("s@file"), &telemetry);
        let url = |port: u16| ServerUrl {
            scheme: UpstreamScheme::Http,
            host: "10.0.0.1".into(),
            port,
            path: String::new(),
            text: format!("http://10.0.0.1:{port}"),
        };
        backend.config.servers = ports.iter().map(|port| Server::new(url(*port), 1)).collect();
        backend.balancer = Mutex::new(Balancer::new(&backend.config));
        let policy = OutlierPolicy::of(None, false);
        let endpoint = |port: &u16| {
            let key = endpoint::Key {
                service: backend.name.clone(),
                url: url(*port).text,
                transport: backend.transport.name.clone(),
                revision: 0,
            };
            let endpoint = Arc::new(Endpoint::new(key, url(*port), 1, policy.clone()));
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
}
