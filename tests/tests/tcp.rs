//! TCP routers: TLS that goes on to real servers by name, seen by curl and openssl, and clients that mean no good.

use fairlead_tests::{
    Connection, Gateway, Server, Setup,
    certs::Authority,
    gateway::routes,
    nginx::Nginx,
    process::{fairlead, run, succeed},
    until,
};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// A gateway with a certificate of its own for `c.example`, which passes `a.example` and `b.example` through to an nginx each.
struct Passing {
    gateway: Gateway,
    ca: String,
    _servers: [Nginx; 2],
    _web: Server,
}

fn passing(adjust: impl FnOnce(&mut Value)) -> Passing {
    let authority = Authority::new();
    let servers = ["a.example", "b.example"].map(|name| Nginx::tls(&authority.issue(&[name])));
    let web = Server::whoami("web");
    let setup = Setup::new().entry_point("websecure", json!({}));
    let ca = authority.file(setup.dir());
    let (cert, key) = authority.issue(&["c.example"]).files(setup.dir(), "own");
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[&web])]);
    dynamic["http"]["routers"]["secure"] =
        json!({ "rule": "Host(`c.example`)", "service": "all", "entryPoints": ["websecure"], "tls": {} });
    dynamic["tls"] = json!({ "certificates": [{ "certFile": cert, "keyFile": key }] });
    dynamic["tcp"] = json!({ "routers": {}, "services": {} });
    for (name, nginx) in ["a", "b"].iter().zip(&servers) {
        dynamic["tcp"]["routers"][name] = json!({
            "rule": format!("HostSNI(`{name}.example`)"), "service": name, "entryPoints": ["websecure"], "tls": { "passthrough": true },
        });
        let address = format!("127.0.0.1:{}", nginx.port());
        dynamic["tcp"]["services"][name] = json!({ "loadBalancer": { "servers": [{ "address": address }] } });
    }
    adjust(&mut dynamic);
    let log = setup.dir().file("access.log");
    let access_log = json!({ "filePath": log, "format": "json" });
    let gateway = setup.section("accessLog", access_log).section("metrics", json!({ "prometheus": {} })).dynamic(dynamic).start();
    Passing { gateway, ca, _servers: servers, _web: web }
}

impl Passing {
    fn port(&self) -> u16 {
        self.gateway.port("websecure")
    }

    /// What curl makes of `https://<host>/`, trusting the test's authority alone.
    fn curl(&self, host: &str, more: &[&str]) -> Result<String, String> {
        let (url, to) = (format!("https://{host}:{}/", self.port()), format!("{host}:{}:127.0.0.1", self.port()));
        let usual = ["-sS", "--max-time", "10", "--cacert", &self.ca, "--resolve", &to];
        let output = run("curl", &[&usual[..], more, &[&url]].concat());
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn subject(&self, name: &str) -> String {
        let to = format!("127.0.0.1:{}", self.port());
        let command =
            format!("openssl s_client -connect {to} -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -subject");
        succeed("sh", &["-c", &command]).trim().to_owned()
    }
}

#[test]
fn servers_show_their_own_certificates_and_requests_are_theirs() {
    let passing = passing(|_| {});
    for (host, protocol, more) in
        [("a.example", "HTTP/2.0", &[][..]), ("b.example", "HTTP/1.1", &["--http1.1"]), ("A.Example", "HTTP/2.0", &[])]
    {
        let answer = passing.curl(host, more).unwrap_or_else(|e| panic!("{host}: {e}"));
        assert!(answer.contains("Hostname: nginx\n") && answer.contains(&format!("protocol: {protocol}\n")), "{answer}");
        assert!(answer.to_lowercase().contains(&format!("sni: {}\n", host.to_lowercase())), "{answer}");
        assert!(answer.contains("proto: \n"), "nobody read the request on its way: {answer}");
    }
    assert!(passing.curl("c.example", &[]).is_ok_and(|answer| answer.contains("Hostname: web")), "what is not named is HTTP");
    let subject = |name: &str| passing.subject(name).replace(' ', "");
    assert_eq!([subject("a.example"), subject("b.example")], ["subject=CN=a.example", "subject=CN=b.example"]);
    assert!(!subject("elsewhere.example").contains("CN=a.example") && !subject("elsewhere.example").contains("CN=b.example"));
    let plain = fairlead_tests::http::get_host(passing.gateway.web(), "a.example", "/");
    assert_eq!(plain.server(), "web", "on the plain entry point the host is like any other");
}

#[test]
fn connections_are_logged_counted_shown_and_explained() {
    let passing = passing(|dynamic| dynamic["tcp"]["routers"]["bad"] = json!({ "rule": "HostSNI(`x`)", "service": "a" }));
    passing.curl("a.example", &[]).expect("it is served");
    let line = || {
        let log = passing.gateway.dir.read("access.log");
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["RouterName"] == "a@file")
    };
    until("the connection is logged", || line().is_some());
    let line = line().expect("it was there");
    assert_eq!((&line["ServiceName"], &line["TLSServerName"]), (&json!("a@file"), &json!("a.example")));
    assert_eq!((&line["RequestProtocol"], &line["entryPointName"]), (&json!("TCP"), &json!("websecure")));
    for bytes in ["RequestContentSize", "DownstreamContentSize"] {
        assert!(line[bytes].as_u64().is_some_and(|n| n > 500), "{line}");
    }
    assert!(line["Duration"].is_u64() && line["ConnectDuration"].is_u64(), "{line}");
    assert!(
        line.get("RequestMethod").is_none() && line.get("DownstreamStatus").is_none() && line.get("Reason").is_none(),
        "{line}"
    );

    let gateway = &passing.gateway;
    assert_eq!(gateway.metric("fairlead_service_tcp_connections_total", &["a@file"]), 1.0);
    assert!(gateway.metric("fairlead_service_tcp_bytes_total", &["a@file", "to_client"]) > 500.0);

    let router = gateway.api("/api/tcp/routers/a@file");
    assert_eq!((&router["rule"], &router["status"]), (&json!("HostSNI(`a.example`)"), &json!("enabled")));
    assert_eq!(router["tls"], json!({ "passthrough": true, "options": "default" }));
    let service = gateway.api("/api/tcp/services/a@file");
    assert_eq!(service["usedBy"], json!(["a@file"]));
    let address = service["loadBalancer"]["servers"][0]["address"].as_str().expect("an address").to_owned();
    assert_eq!(service["serverStatus"][&address], "UP");
    let bad = gateway.api("/api/tcp/routers/bad");
    assert_eq!(bad["status"], "disabled");
    assert!(bad["error"][0].as_str().is_some_and(|words| words.contains("no `tls`")), "{bad}");
    assert_eq!(gateway.api("/api/overview")["tcp"]["routers"], json!({ "total": 3, "warnings": 0, "errors": 1 }));
    assert!(gateway.api("/api/rawdata")["tcpRouters"]["b@file"].is_object());
    let explained = gateway.api("/api/fairlead/explain?url=https://a.example/&entryPoint=websecure");
    assert_eq!(explained["explanations"][0]["connection"]["router"], "a@file");

    let config = gateway.dir.file("fairlead.yaml");
    let ask = |arguments: &[&str]| {
        let output = run(&fairlead().display().to_string(), &[arguments, &["--configFile", &config]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, words) = ask(&["explain", "--entryPoint", "websecure", "GET", "https://a.example/"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("tcp router  a@file (priority 20): passes TLS through") && words.contains(&address), "{words}");
    let (code, words) = ask(&["check", "--once"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("tcp.routers.bad.rule") && words.contains("websecure (TCP, TLS passed through)"), "{words}");
}

#[test]
fn clients_that_mean_no_good_are_sent_away_and_the_others_are_served() {
    let passing = passing(|_| {});
    let open = || {
        let stream = TcpStream::connect(("127.0.0.1", passing.port())).expect("it accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream
    };
    // Nothing but an alert comes back, and the connection ends.
    let ends = |mut stream: TcpStream, what: &str| {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let in_time = !ended.is_err_and(|e| matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        assert!(in_time && (rest.is_empty() || rest[0] == 21), "{what}: {rest:?}");
    };
    let mut garbage = open();
    garbage.write_all(b"\x16\x03\x01\x00\x20not a hello of anybody's at all!").expect("sent");
    ends(garbage, "garbage");
    let mut huge = open();
    huge.write_all(&[&b"\x16\x03\x01\x40\x00\x01\x00\x7f\xff"[..], &[7; 20_000]].concat()).ok();
    ends(huge, "a huge hello");
    let slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = open();
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").expect("sent");
            stream
        })
        .collect();
    assert!(passing.curl("a.example", &[]).is_ok(), "others are served meanwhile");
    slow.into_iter().for_each(|stream| ends(stream, "a slow hello"));
    let gateway = &passing.gateway;
    until("they are counted", || gateway.metric("fairlead_responses_total", &["request_timeout", "websecure"]) == 20.0);
    assert!(passing.curl("b.example", &[]).is_ok());
}

#[test]
fn plain_connections_go_to_a_server_that_speaks_first() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.write_all(b"220 ready\r\n").ok();
            let mut word = [0; 6];
            if stream.read_exact(&mut word).is_ok() {
                stream.write_all(&[b"you said ", &word[..]].concat()).ok();
            }
        }
    });
    let setup = Setup::new().entry_point("mail", json!({}));
    let dynamic = json!({ "tcp": {
        "routers": { "mail": { "rule": "HostSNI(`*`)", "service": "mail", "entryPoints": ["mail"] } },
        "services": { "mail": { "loadBalancer": { "servers": [{ "address": address }] } } },
    } });
    let mut gateway = setup.dynamic(dynamic).start();
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port("mail"))).expect("it accepts");
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).expect("a greeting");
    assert_eq!(&greeting, b"220 ready\r\n");
    client.write_all(b"hello!").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "you said hello!");
    drop(client);
    assert_eq!(gateway.get("/").status, 404, "other entry points are HTTP's");
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), 0);
    assert!(Connection::try_open(gateway.port("mail")).is_err());
}
