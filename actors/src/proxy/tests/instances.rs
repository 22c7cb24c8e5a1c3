//! Servers of which discovery knows more than an address: which instance they are, and whether they can be reached at all.

use super::OK;
use crate::{
    endpoint::Endpoint,
    testing::{Peer, Server, Site, answering},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// A route to a service over these servers, each with what discovery knows of it.
fn known(servers: &[(SocketAddr, &str)]) -> String {
    let servers: String = servers.iter().map(|(at, more)| format!("          - {{url: \"http://{at}\"{more}}}\n")).collect();
    format!(
        "http:
  routers:
    all: {{rule: PathPrefix(`/`), service: s, priority: 1}}
    either: {{rule: PathPrefix(`/either`), service: either}}
  services:
    either: {{failover: {{service: s, fallback: other}}}}
    other:
      loadBalancer:
        servers:
          - url: http://{}
    s:
      loadBalancer:
        servers:
{servers}",
        answering("other")
    )
}

/// The endpoints of `s`.
fn endpoints(site: &Site) -> Vec<Arc<Endpoint>> {
    let published = site.shared.published.load();
    published.backends().find(|backend| backend.name.as_str() == "s@test").expect("the service").endpoints.clone()
}

fn ask(client: &mut Peer) {
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

fn answer(up: &mut Peer, client: &mut Peer) {
    up.head();
    up.send(OK);
    assert_eq!(client.response().body, "ok");
}

/// A request that comes over a new connection.
fn connected(server: &Server, client: &mut Peer) -> Peer {
    ask(client);
    let mut up = server.accept();
    answer(&mut up, client);
    up
}

#[test]
fn another_instance_at_the_same_address_is_another_server() {
    let server = Server::new();
    let one = known(&[(server.address, ", instance: one")]);
    let site = Site::start(&one);
    let mut client = site.connect();
    let mut to_one = connected(&server, &mut client);
    let before = endpoints(&site).remove(0);
    before.lost(Duration::from_secs(3600));
    site.configure(&known(&[(server.address, ", instance: two")]));
    let after = endpoints(&site).remove(0);
    assert!(!Arc::ptr_eq(&before, &after) && after.takes_new(), "what was known of the other one counts nothing");
    assert!(to_one.is_closed(), "a connection to the one before serves nobody");
    let mut to_two = connected(&server, &mut client);
    // The same instance again, with another one beside it at the same address: it stays what it was, connections and all.
    site.configure(&known(&[(server.address, ", instance: two"), (server.address, ", instance: three, weight: 0")]));
    let both = endpoints(&site);
    assert!(Arc::ptr_eq(&both[0], &after) && !Arc::ptr_eq(&both[1], &after));
    ask(&mut client);
    answer(&mut to_two, &mut client);
}

#[test]
fn unreachable_servers_get_no_request_and_none_left_is_told() {
    let why = "not on the network back";
    let gone = Server::new();
    let dead = format!(", unreachable: {why}");
    let site = Site::start(&known(&[(gone.address, &dead), (answering("alive"), "")]));
    let mut client = site.connect();
    for _ in 0..6 {
        client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().body, "alive");
    }
    site.configure(&known(&[(gone.address, &dead)]));
    let response = site.get("a.example", "/");
    assert_eq!((response.status, response.reason()), (503, "no_healthy_server"));
    assert_eq!(site.get("a.example", "/either").body, "other", "a failover goes by it too");
    assert!(gone.is_lonely());
    assert_eq!(endpoints(&site)[0].unreachable().as_deref(), Some(why));
    // The same server, once it can be reached.
    let alive = gone.answer("back");
    site.configure(&known(&[(alive, "")]));
    assert_eq!(site.get("a.example", "/").body, "back");
}
