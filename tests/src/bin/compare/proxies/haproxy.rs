//! HAProxy's configuration.

use super::Place;

/// `global` and `defaults`.
pub fn head(connections: usize) -> String {
    format!(
        "global
  nbthread 1
  maxconn {connections}
  no strict-limits
  ssl-default-bind-options ssl-min-ver TLSv1.3
  tune.ssl.cachesize 0
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
"
    )
}

/// The whole of it.
pub fn cfg(place: &Place<'_>) -> String {
    let (plan, ports, at) = (place.plan, place.ports, place.dir.path().display());
    let [a, b] = plan.backends;
    let head = head(plan.connections);
    format!(
        "{head}frontend f
  option forwardfor
  bind 127.0.0.1:{}
  bind 127.0.0.1:{} ssl crt {at}/both.pem alpn h2,http/1.1 no-tls-tickets
  bind 127.0.0.1:{} ssl crt {at}/both.pem alpn h2,http/1.1
  default_backend b
backend b
  http-reuse always
  balance roundrobin
  server s1 127.0.0.1:{a}
  server s2 127.0.0.1:{b}
",
        ports.plain, ports.tls, ports.resuming
    )
}
