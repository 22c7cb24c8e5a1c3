//! nginx's configuration.

use super::Place;
use fairlead_tests::dir::Dir;

/// The beginning of every configuration of nginx here, up to the inside of `http`.
pub fn head(dir: &Dir, tag: &str, connections: usize) -> String {
    let at = dir.path().display();
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {at}/{tag}-{kind}; ")).concat();
    format!(
        "worker_processes 1; worker_rlimit_nofile 20000; daemon off; pid {at}/{tag}.pid; error_log {at}/{tag}.err;
events {{ worker_connections {connections}; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; {temporary}
"
    )
}

/// What is sent to a server.
pub const FORWARD: &str = "proxy_http_version 1.1; proxy_set_header Host $host; \
                           proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;";

/// The whole of it.
pub fn conf(place: &Place<'_>) -> String {
    let (plan, ports, at) = (place.plan, place.ports, place.dir.path().display());
    let [a, b] = plan.backends;
    let head = head(place.dir, place.tag, plan.connections.max(8192));
    let connection = match plan.upgrades {
        false => "proxy_set_header Connection \"\";",
        true => "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;",
    };
    let location = format!("location / {{ proxy_pass http://b; {FORWARD} {connection} }}");
    let tls = format!("ssl_certificate {at}/leaf.crt; ssl_certificate_key {at}/leaf.key; ssl_protocols TLSv1.3;");
    format!(
        "{head} proxy_buffers 16 16k; proxy_buffer_size 16k; client_max_body_size 0; proxy_request_buffering off;
upstream b {{ server 127.0.0.1:{a}; server 127.0.0.1:{b}; keepalive 256; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{} reuseport; {location} }}
server {{ listen 127.0.0.1:{} reuseport ssl http2; {tls} ssl_session_tickets off; ssl_session_cache off; {location} }}
server {{ listen 127.0.0.1:{} reuseport ssl http2; {tls} ssl_session_tickets on; {location} }} }}",
        ports.plain, ports.tls, ports.resuming
    )
}
