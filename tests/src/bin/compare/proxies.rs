//! The field: a backend, and each proxy in front of it with the same work to do: HTTP/1.1 upstream with kept connections,
//! round robin over two servers, `X-Forwarded-*`, no access log. Fairlead routes, counts metrics and checks fields besides.

use fairlead_tests::{
    Connection,
    certs::Authority,
    dir::Dir,
    free_port,
    process::Process,
    tools::{is_there, search_path},
    wait::{eventually, until},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use std::{path::Path, process::Command, sync::Arc};

/// A running proxy.
pub struct Proxy {
    pub name: &'static str,
    /// Ports.
    pub plain: u16,
    pub tls: u16,
    process: Process,
}

impl Proxy {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Everything that runs during the benchmark.
pub struct Field {
    pub proxies: Vec<Proxy>,
    pub load_cpu: String,
    /// For clients that trust the field's authority.
    pub tls: Arc<rustls::ClientConfig>,
    _backend: Process,
    dir: Dir,
}

/// Where proxies run.
const PROXY_CPU: &str = "0";

impl Field {
    /// Starts the backend and the proxies of these names.
    pub fn start(exe: &Path, wanted: &[String]) -> Self {
        let dir = Dir::new();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        if cpus < 2 {
            println!("one CPU only: load and proxy disturb each other, and requests a second mean little");
        }
        let load_cpu = (cpus - 1).to_string();
        let authority = Authority::new();
        authority.file(&dir);
        let leaf = authority.issue(&["localhost"]);
        leaf.files(&dir, "leaf");
        dir.put("both.pem", &format!("{}{}", leaf.cert, leaf.key));
        std::fs::create_dir(dir.path().join("www")).expect("the directory is writable");
        dir.overwrite("www/big", &"x".repeat(100 << 10));

        let backends = [free_port(), free_port()];
        let config = dir.put("backend.conf", &backend_conf(&dir, backends));
        let backend = start(&dir, "backend", &load_cpu, &["nginx", "-c", &config]);
        until("the backend listens", || backends.iter().all(|port| Connection::try_open(*port).is_ok()));
        let mut field = Self { proxies: Vec::new(), load_cpu, tls: client_config(&dir), _backend: backend, dir };
        for name in ["nginx", "haproxy", "caddy", "fairlead", "fairlead-10k"] {
            if !wanted.iter().any(|w| w == name) || name == "caddy" && !is_there("caddy") {
                continue;
            }
            let proxy = field.proxy(name, exe, backends);
            eventually(&format!("{name} answers"), || {
                match Connection::try_open(proxy.plain).and_then(|mut c| {
                    c.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    c.try_answer("GET")
                }) {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    Ok(answer) => Err(answer.text()),
                    Err(e) => Err(format!("{e}: {}", proxy.process.output())),
                }
            });
            field.proxies.push(proxy);
        }
        field
    }

    fn proxy(&self, name: &'static str, exe: &Path, backends: [u16; 2]) -> Proxy {
        let (dir, plain, tls) = (&self.dir, free_port(), free_port());
        let exe = exe.display().to_string();
        let process = match name {
            "nginx" => {
                let config = dir.put("nginx.conf", &nginx_conf(dir, backends, plain, tls));
                start(dir, name, PROXY_CPU, &["nginx", "-c", &config])
            }
            "haproxy" => {
                let config = dir.put("haproxy.cfg", &haproxy_cfg(dir, backends, plain, tls));
                start(dir, name, PROXY_CPU, &["haproxy", "-db", "-f", &config])
            }
            "caddy" => {
                let config = dir.put("Caddyfile", &caddyfile(dir, backends, plain, tls));
                start(
                    dir,
                    name,
                    PROXY_CPU,
                    &["env", "GOMAXPROCS=1", "caddy", "run", "--adapter", "caddyfile", "--config", &config],
                )
            }
            _ => {
                let routes = if name == "fairlead-10k" { 10_000 } else { 1 };
                let config = fairlead_yaml(dir, name, backends, plain, tls, routes);
                start(dir, name, PROXY_CPU, &[&exe, "run", "--configFile", &config])
            }
        };
        Proxy { name, plain, tls, process }
    }
}

fn start(dir: &Dir, name: &str, cpu: &str, words: &[&str]) -> Process {
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]).args(words).env("PATH", search_path());
    Process::start(&mut command, &dir.path().join(format!("{name}.log")))
}

fn client_config(dir: &Dir) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(dir.path().join("ca.pem")).expect("the authority was written");
    roots.add(authority).expect("the authority is one");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("they are supported");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn nginx_head(dir: &Dir, name: &str) -> String {
    let at = dir.path().display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{name}-{kind}; "))
        .concat();
    format!(
        "worker_processes 1; worker_rlimit_nofile 20000; daemon off; pid {at}/{name}.pid; error_log {at}/{name}.err;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; {temporary}
"
    )
}

fn backend_conf(dir: &Dir, [a, b]: [u16; 2]) -> String {
    let (head, at) = (nginx_head(dir, "backend"), dir.path().display());
    // Workers of a master that is root become `nobody`, who may not look into the test's directory.
    let user =
        if Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0") { "user root; " } else { "" };
    format!(
        "{user}{head} default_type text/plain; sendfile on; tcp_nopush on; open_file_cache max=10;
server {{ listen 127.0.0.1:{a} reuseport; listen 127.0.0.1:{b} reuseport; root {at}/www;
location / {{ return 200 \"hello from the backend, 0123456789 0123456789 0123456789 0123456789\\n\"; }} location /big {{ }} }} }}"
    )
}

fn nginx_conf(dir: &Dir, [a, b]: [u16; 2], plain: u16, tls: u16) -> String {
    let (head, at) = (nginx_head(dir, "nginx"), dir.path().display());
    let location = "location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }";
    format!(
        "{head} proxy_buffers 16 16k; proxy_buffer_size 16k;
upstream b {{ server 127.0.0.1:{a}; server 127.0.0.1:{b}; keepalive 256; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{plain} reuseport; {location} }}
server {{ listen 127.0.0.1:{tls} reuseport ssl http2; ssl_certificate {at}/leaf.crt; ssl_certificate_key {at}/leaf.key;
ssl_session_tickets off; ssl_session_cache off; ssl_protocols TLSv1.3; {location} }} }}"
    )
}

fn haproxy_cfg(dir: &Dir, [a, b]: [u16; 2], plain: u16, tls: u16) -> String {
    let at = dir.path().display();
    format!(
        "global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  tune.ssl.cachesize 0
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
frontend f
  option forwardfor
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {at}/both.pem alpn h2,http/1.1
  default_backend b
backend b
  http-reuse always
  balance roundrobin
  server s1 127.0.0.1:{a}
  server s2 127.0.0.1:{b}
"
    )
}

fn caddyfile(dir: &Dir, [a, b]: [u16; 2], plain: u16, tls: u16) -> String {
    let at = dir.path().display();
    let proxy = format!("reverse_proxy 127.0.0.1:{a} 127.0.0.1:{b} {{\n    lb_policy round_robin\n  }}");
    format!(
        "{{
  admin off
  auto_https off
  default_sni localhost
}}
http://127.0.0.1:{plain} {{
  {proxy}
}}
https://localhost:{tls} {{
  bind 127.0.0.1
  tls {at}/leaf.crt {at}/leaf.key
  {proxy}
}}
"
    )
}

/// The static configuration's path. The route that is used is the last of `routes`.
fn fairlead_yaml(dir: &Dir, name: &str, backends: [u16; 2], plain: u16, tls: u16, routes: usize) -> String {
    let file = |end: &str| dir.file(&format!("leaf.{end}"));
    let mut routers = serde_json::Map::new();
    for number in 1..routes {
        let rule = format!("Host(`host-{}.example`) && PathPrefix(`/path-{number}`)", number % 1000);
        routers.insert(format!("other-{number}"), json!({ "rule": rule, "service": "b", "entryPoints": ["web"] }));
    }
    routers.insert("web".into(), json!({ "rule": "PathPrefix(`/`)", "service": "b", "entryPoints": ["web"] }));
    routers.insert(
        "websecure".into(),
        json!({ "rule": "PathPrefix(`/`)", "service": "b", "entryPoints": ["websecure"], "tls": {} }),
    );
    let servers = backends.map(|port| json!({ "url": format!("http://127.0.0.1:{port}") }));
    let dynamic = json!({
        "http": { "routers": routers, "services": { "b": { "loadBalancer": { "servers": servers } } } },
        "tls": {
            "options": { "default": { "minVersion": "VersionTLS13" } },
            "stores": { "default": { "defaultCertificate": { "certFile": file("crt"), "keyFile": file("key") } } },
        },
    });
    let dynamic = dir.put(&format!("{name}-dynamic.yaml"), &dynamic.to_string());
    let admin = format!("127.0.0.1:{}", free_port());
    let config = json!({
        "entryPoints": {
            "web": { "address": format!("127.0.0.1:{plain}") },
            "websecure": { "address": format!("127.0.0.1:{tls}") },
            "traefik": { "address": admin },
        },
        "metrics": { "prometheus": {} },
        "providers": { "file": { "filename": dynamic } },
        "fairlead": { "workers": 1 },
    });
    dir.put(&format!("{name}.yaml"), &config.to_string())
}
