//! Caddy's configuration.

use super::Place;

/// The whole of it.
pub fn file(place: &Place<'_>) -> String {
    let (ports, at) = (place.ports, place.dir.path().display());
    let [a, b] = place.plan.backends;
    let proxy = format!("reverse_proxy 127.0.0.1:{a} 127.0.0.1:{b} {{\n    lb_policy round_robin\n  }}");
    format!(
        "{{
  admin off
  auto_https off
  default_sni localhost
}}
http://:{} {{
  bind 127.0.0.1
  {proxy}
}}
https://:{} {{
  bind 127.0.0.1
  tls {at}/leaf.crt {at}/leaf.key
  {proxy}
}}
",
        ports.plain, ports.tls
    )
}
