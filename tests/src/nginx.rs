//! nginx as a server behind the gateway, for the protocols that are not spoken by hand here: HTTP/2 without TLS, and TLS.

use crate::{
    certs::{Authority, Leaf},
    dir::Dir,
    free_port,
    http::Connection,
    process::Process,
    wait,
};
use std::process::Command;

/// A running nginx with one `server` block, which answers every path with the protocol and the host that it saw.
pub struct Nginx {
    _process: Process,
    _dir: Dir,
    port: u16,
}

impl Nginx {
    /// HTTP/2 with prior knowledge.
    pub fn h2c() -> Self {
        Self::start(|_| ("http2".into(), String::new()))
    }

    /// TLS, with HTTP/2 if it is negotiated.
    pub fn tls(leaf: &Leaf) -> Self {
        Self::start(|dir| {
            let (cert, key) = leaf.files(dir, "server");
            ("ssl http2".into(), format!("ssl_certificate {cert}; ssl_certificate_key {key};"))
        })
    }

    /// TLS before another server on `port`: only for clients with a certificate of `authority`, and only for GET.
    pub fn guarding(leaf: &Leaf, authority: &Authority, port: u16) -> Self {
        Self::start_with(
            |dir| {
                let (cert, key) = leaf.files(dir, "server");
                let clients = authority.file(dir);
                let tls = format!("ssl_certificate {cert}; ssl_certificate_key {key};");
                ("ssl".into(), format!("{tls} ssl_client_certificate {clients}; ssl_verify_client on;"))
            },
            // Events come as they happen, over a connection that stays open.
            &format!(
                "limit_except GET {{ deny all; }} proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_buffering off;"
            ),
        )
    }

    fn start(configure: impl FnOnce(&Dir) -> (String, String)) -> Self {
        Self::start_with(
            configure,
            r#"return 200 "Hostname: nginx\nprotocol: $server_protocol\nhost: $host\nsni: $ssl_server_name\nproto: $http_x_forwarded_proto\n";"#,
        )
    }

    fn start_with(configure: impl FnOnce(&Dir) -> (String, String), answer: &str) -> Self {
        let (dir, port) = (Dir::new(), free_port());
        let (listen, more) = configure(&dir);
        let at = dir.path().display();
        // `user root` only where the master runs as root; elsewhere nginx would warn and go on.
        let config = dir.put(
            "nginx.conf",
            &format!(
                "daemon off; pid {at}/pid; error_log {at}/errors; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fcgi;
  uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
  server {{
    listen 127.0.0.1:{port} {listen}; {more}
    default_type text/plain;
    location / {{ {answer} }}
  }}
}}"
            ),
        );
        let process = Process::start(Command::new("nginx").args(["-c", &config]), &dir.path().join("log"));
        wait::until("nginx listens", || Connection::try_open(port).is_ok());
        Self { _process: process, _dir: dir, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}
