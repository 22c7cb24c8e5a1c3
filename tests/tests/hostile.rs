//! Requests that are not what they seem, byte by byte: the status that is owed, a server that saw nothing, and a gateway that
//! goes on. `docs/operations.md` says it in words. Each row bears the number of its class; a class is a way in which some
//! gateway was once fooled: 1–36 framing, 37–57 syntax and limits, 58–69 fields that speak for somebody, 70–76 paths, 91 the
//! upgrade to HTTP/2, 94–102 slowness, 103–106 upgrades (in `websocket.rs`). HTTP/2's own (77–93) are in `net/src/http2/tests`.

use fairlead_tests::{Connection, Gateway, Server, Setup, gateway::routes, server::After};
use serde_json::json;

/// What is owed.
enum Owed {
    /// One of these statuses, then the end of the connection; the server sees nothing.
    Refused(&'static [u16]),
    /// This status, and the request does not reach the server; the connection may go on.
    Answered(&'static [u16]),
    /// One request reaches the server, with this line and these fields (`!name` must be absent).
    Forwarded(&'static str, &'static [&'static str]),
}

use Owed::{Answered, Forwarded, Refused};

const H: &str = "Host: a.example\r\n";

fn rows() -> Vec<(u32, Vec<u8>, Owed)> {
    let mut rows: Vec<(u32, Vec<u8>, Owed)> = Vec::new();
    let mut row = |number, bytes: String, owed| rows.push((number, bytes.into_bytes(), owed));

    // Framing.
    row(1, format!("POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Refused(&[400]));
    row(2, format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), Refused(&[400]));
    row(3, format!("POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), Refused(&[400]));
    for value in ["+5", "-1", "5_0", "0x5", "5 5", "5,", "5;a", "1e1", "5, 6", "\u{b}5"] {
        row(5, format!("POST / HTTP/1.1\r\n{H}Content-Length: {value}\r\n\r\nhello"), Refused(&[400]));
    }
    row(6, format!("POST / HTTP/1.1\r\n{H}Content-Length:\r\n\r\n"), Refused(&[400]));
    row(6, format!("POST / HTTP/1.1\r\n{H}Content-Length:\r\nContent-Length: 5\r\n\r\nhello"), Refused(&[400]));
    row(7, format!("POST / HTTP/1.1\r\n{H}Content-Length: 99999999999999999999\r\n\r\n"), Refused(&[400, 413]));
    row(10, format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), Refused(&[400, 501]));
    for value in [
        "chunked, gzip",
        "identity",
        "xchunked",
        "\"chunked\"",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked, chunked",
        "chunked;q=1",
    ] {
        row(11, format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: {value}\r\n\r\n0\r\n\r\n"), Refused(&[400, 501]));
    }
    row(
        11,
        format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Refused(&[400]),
    );
    row(13, format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), Refused(&[400]));
    row(14, format!("POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n{H}\r\n0\r\n\r\n"), Refused(&[400]));
    row(15, format!("POST / HTTP/1.1\r\n{H}X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Refused(&[400]));
    row(17, format!("POST / HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Refused(&[400]));
    row(18, format!("POST / HTTP/1.0\r\n{H}\r\nbody"), Refused(&[400, 411]));
    row(31, format!("PUT / HTTP/1.1\r\n{H}Expect: 100-continue x\r\nContent-Length: 1\r\n\r\nx"), Refused(&[400, 417]));
    row(31, format!("PUT / HTTP/1.1\r\n{H}Expect: y 100-continue\r\nContent-Length: 1\r\n\r\nx"), Refused(&[400, 417]));

    // Syntax, request line, fields.
    row(37, format!("GET / HTTP/1.1\r\n{H}{H}\r\n"), Refused(&[400]));
    row(37, format!("GET / HTTP/1.1\r\n{H}Host: b.example\r\n\r\n"), Refused(&[400]));
    row(37, "GET / HTTP/1.1\r\n\r\n".into(), Refused(&[400]));
    for host in ["a b", "a@b", "a:99999", "a:0x50", "a/..", "[::1", "", "a,b", "a\0b", "a:80:80", "a?b", "a#b", "%61.example"] {
        row(38, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Answered(&[400]));
    }
    row(38, format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(300)), Answered(&[400]));
    row(39, "GET / HTTP/1.1\r\nHost: A.EXAMPLE.\r\n\r\n".into(), Forwarded("GET / HTTP/1.1", &[]));
    row(
        41,
        "GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n".into(),
        Forwarded("GET /x HTTP/1.1", &["Host: b.example"]),
    );
    row(42, format!("GET https://a.example/ HTTP/1.1\r\n{H}\r\n"), Answered(&[400, 421]));
    row(43, format!("GET * HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(43, format!("OPTIONS * HTTP/1.1\r\n{H}\r\n"), Answered(&[200, 204]));
    row(43, format!("GET x HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(45, format!("TRACE / HTTP/1.1\r\n{H}\r\n"), Answered(&[405]));
    row(45, "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n".into(), Answered(&[400, 405, 501]));
    row(46, format!("{} / HTTP/1.1\r\n{H}\r\n", "A".repeat(40)), Refused(&[400, 501]));
    row(46, format!("G\0T / HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(46, format!("G=\":(e) / HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(46, format!("get / HTTP/1.1\r\n{H}\r\n"), Forwarded("get / HTTP/1.1", &[]));
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/1.10", "HTTP/4294967295.255", "http/1.1", "HTTP/1.1 x", "HTTP/1", "HTPP/1.1"] {
        row(47, format!("GET / {version}\r\n{H}\r\n"), Refused(&[400, 505]));
    }
    row(47, "GET /\r\n\r\n".into(), Refused(&[400]));
    row(47, format!("GET  / HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(47, format!("GET\t/ HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    for field in ["no colon", ": v", ":", "a(b: c", "a,b: c", "a/b: c", "a\u{7f}: c", "a b: c", "a\t: c"] {
        row(49, format!("GET / HTTP/1.1\r\n{H}{field}\r\n\r\n"), Refused(&[400]));
    }
    for value in ["a\0b", "a\rb", "a\u{1}", "a\u{1f}b", "a\u{7f}"] {
        row(50, format!("GET / HTTP/1.1\r\n{H}X: {value}\r\n\r\n"), Refused(&[400]));
    }
    row(51, "GET / HTTP/1.1\nHost: a.example\n\n".into(), Refused(&[400]));
    row(51, format!("GET / HTTP/1.1\r\n{H}X: a\nY: b\r\n\r\n"), Refused(&[400]));
    row(53, format!("GET / HTTP/1.1\r\n{H}{}\r\n", "X: a\r\n".repeat(101)), Refused(&[431]));
    row(53, format!("GET / HTTP/1.1\r\n{H}X: {}\r\n\r\n", "a".repeat(33 << 10)), Refused(&[431]));
    row(53, format!("GET / HTTP/1.1\r\n{H}X: {}", "a".repeat(40 << 10)), Refused(&[431]));
    row(54, format!("GET /{} HTTP/1.1\r\n{H}\r\n", "a".repeat(9000)), Refused(&[414]));
    row(54, format!("GET /{} HTTP/1.1\r\n{H}\r\n", "a".repeat(65_535)), Refused(&[414]));
    row(57, format!("\u{feff}GET / HTTP/1.1\r\n{H}\r\n"), Refused(&[400]));
    row(57, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n".into(), Refused(&[400]));

    // Paths.
    row(70, format!("GET /public/../admin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /admin HTTP/1.1", &[]));
    row(70, format!("GET /./admin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /admin HTTP/1.1", &[]));
    row(70, format!("GET //admin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /admin HTTP/1.1", &[]));
    row(70, format!("GET /public/..;/admin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /public/..;/admin HTTP/1.1", &[]));
    row(70, format!("GET /../../etc/passwd HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /public/%2e%2e/admin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /admin HTTP/1.1", &[]));
    row(71, format!("GET /public%2f..%2fadmin HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /a%5cb HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /a%00b HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /a\\b HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /a%2 HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(71, format!("GET /%252e%252e/x HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /%252e%252e/x HTTP/1.1", &[]));
    row(73, format!("GET /admin#x HTTP/1.1\r\n{H}\r\n"), Answered(&[400]));
    row(73, format!("GET /admin%23 HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /admin%23 HTTP/1.1", &[]));
    row(74, format!("GET /%41dmin HTTP/1.1\r\n{H}\r\n"), Forwarded("GET /Admin HTTP/1.1", &[]));

    // Fields that speak for somebody.
    row(
        58,
        format!("GET / HTTP/1.1\r\n{H}X-Forwarded-For: 1.2.3.4\r\n\r\n"),
        Forwarded("GET / HTTP/1.1", &["X-Forwarded-For: 127.0.0.1"]),
    );
    row(
        59,
        format!("GET / HTTP/1.1\r\n{H}Authorization: x\r\nConnection: X-Forwarded-For, X-Real-Ip, Host, Authorization\r\n\r\n"),
        Forwarded(
            "GET / HTTP/1.1",
            &["X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "Host: a.example", "Authorization: x"],
        ),
    );
    row(
        61,
        format!("GET / HTTP/1.1\r\n{H}X-Forwarded-Prefix: //evil\r\nx_forwarded_for: 6.6.6.6\r\n\r\n"),
        Forwarded("GET / HTTP/1.1", &["!X-Forwarded-Prefix", "!x_forwarded_for"]),
    );
    row(
        91,
        format!(
            "GET / HTTP/1.1\r\n{H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        ),
        Forwarded("GET / HTTP/1.1", &["!Upgrade", "!HTTP2-Settings"]),
    );
    row(91, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refused(&[400, 505]));
    row(
        63,
        format!(
            "GET / HTTP/1.1\r\n{H}Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nTE: gzip\r\n\r\n"
        ),
        Forwarded("GET / HTTP/1.1", &["!X-Hop", "!Keep-Alive", "!Proxy-Connection", "!Proxy-Authorization", "!TE"]),
    );
    rows.push((49, [format!("GET / HTTP/1.1\r\n{H}a").as_bytes(), b"\x80: b\r\n\r\n"].concat(), Refused(&[400])));
    rows.push((
        50,
        [format!("GET / HTTP/1.1\r\n{H}X: ").as_bytes(), b"caf\xe9\r\n\r\n"].concat(),
        Forwarded("GET / HTTP/1.1", &["X: caf\u{e9}"]),
    ));
    rows.push((57, (0..65_536u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(), Refused(&[400])));
    rows
}

#[test]
fn requests_are_refused_or_forwarded_as_one_thing() {
    let server = Server::whoami("a");
    let gateway = Gateway::over(&[&server]);
    let mut faults = Vec::new();
    for (number, bytes, owed) in rows() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).escape_debug().to_string();
        let before = server.requests();
        let mut client = gateway.connect();
        client.send(&bytes);
        let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
        let verdict = match (client.try_answer(method), &owed) {
            (Err(e), _) => Err(format!("no answer: {e}")),
            (Ok(answer), Refused(statuses) | Answered(statuses)) if !statuses.contains(&answer.status) => {
                Err(format!("answered {} {:?}", answer.status, answer.field("x-fairlead-reason")))
            }
            (Ok(_), Refused(_)) if !client.is_closed() => Err("the connection stays open".to_owned()),
            (Ok(_), Refused(_) | Answered(_)) if server.requests() != before => Err("the server saw it".to_owned()),
            (Ok(_), Refused(_) | Answered(_)) => Ok(()),
            (Ok(answer), Forwarded(line, fields)) => judge_forwarded(&server, before, answer.status, line, fields),
        };
        if let Err(why) = verdict {
            faults.push(format!("row {number}: {why}: {shown}"));
        }
        let next = gateway.get("/next");
        assert_eq!(next.status, 200, "the connection after row {number}");
    }
    assert!(faults.is_empty(), "{} rows:\n{}", faults.len(), faults.join("\n"));
}

fn judge_forwarded(server: &Server, before: usize, status: u16, line: &str, fields: &[&str]) -> Result<(), String> {
    let seen = server.seen().split_off(before);
    let [head] = &seen[..] else { return Err(format!("answered {status}; the server saw {} requests", seen.len())) };
    if head.line != line {
        return Err(format!("the server saw {:?}", head.line));
    }
    for field in fields {
        match (field.strip_prefix('!'), field.split_once(": ")) {
            (Some(name), _) if head.field(name).is_some() => return Err(format!("the server saw {name}")),
            (None, Some((name, value))) if head.all(name) != [value] => {
                return Err(format!("the server saw {name}: {:?} instead of {value}", head.all(name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Rows 19 to 25: faults in the coding of a body, behind a good head. The server may see the head, never a whole request.
#[test]
fn broken_chunks_end_the_request() {
    let whole = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = whole.clone();
    let server = Server::start(move |exchange| {
        if exchange.head.method() == "POST" && exchange.body().is_ok() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        exchange.reply(200, "", "ok")?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let bodies = [
        (19, "0_2e\r\n"),
        (19, "+5\r\nhello\r\n0\r\n\r\n"),
        (19, "-0\r\n\r\n"),
        (19, "0x5\r\nhello\r\n0\r\n\r\n"),
        (19, " 5\r\nhello\r\n0\r\n\r\n"),
        (19, "5these\r\nhello\r\n0\r\n\r\n"),
        (19, "fffffffffffffffff\r\n"),
        (21, "\r\n\r\n"),
        (22, "5\nhello\r\n0\r\n\r\n"),
        (23, "5;a=b\rX\r\nhello\r\n0\r\n\r\n"),
        (23, "2\r\r\nhi\r\n0\r\n\r\n"),
        (25, "5\r\nhelloXX0\r\n\r\n"),
        (25, "5\r\nhello\r0\r\n\r\n"),
        (25, "5\r\nhello\n0\r\n\r\n"),
        (26, "0\r\nbad trailer\r\n\r\n"),
    ];
    for (number, body) in bodies {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n{body}"));
        if let Ok(answer) = client.try_answer("GET") {
            assert_eq!(answer.status, 400, "row {number}: {body:?}");
        }
        assert!(client.is_closed(), "row {number}: {body:?} leaves the connection open");
        assert_eq!(gateway.get("/next").status, 200);
    }
    // 27: less than announced, then the end.
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\n{H}Content-Length: 10\r\n\r\nhello"));
    client.finish();
    client.rest();
    assert_eq!(whole.load(std::sync::atomic::Ordering::SeqCst), 0, "a broken body was passed off as whole");
}

/// Rows 33 to 35: what a server may not do.
#[test]
fn broken_responses_are_502_and_never_reach_the_next_client() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(10 << 20));
    let answers: Vec<(u32, Vec<u8>)> = vec![
        (34, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        (34, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".into()),
        (34, b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello".into()),
        (35, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".into()),
        (35, long.into_bytes()),
        (35, "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000).into_bytes()),
        (35, b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n".into()),
        (35, b"SSH-2.0-OpenSSH\r\n".into()),
        (35, b"HTTP/1.1 99 x\r\n\r\n".into()),
    ];
    for (number, answer) in answers {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        let server = Server::start(move |exchange| {
            exchange.send(&answer)?;
            Ok(After::Close)
        });
        let gateway = Gateway::over(&[&server]);
        let status = gateway.get("/").status;
        assert_eq!(status, 502, "row {number}: {shown:?}");
    }
    // 33: a second response nobody asked for.
    let server = Server::start(|exchange| {
        let text = exchange.head.target().to_owned();
        let once = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        exchange.send(format!("{once}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    for number in 0..50 {
        let path = format!("/{number}");
        assert_eq!(gateway.get(&path).text(), path, "row 33");
    }
}

/// Rows 30, 94, 99: those who take their time.
#[test]
fn slow_clients_are_cut_off() {
    let server = Server::whoami("a");
    let limits = json!({ "headerTimeout": "500ms", "bodyIdleTimeout": "500ms", "tlsHandshakeTimeout": "500ms" });
    let gateway = Setup::new()
        .section("fairlead", json!({ "limits": limits }))
        .entry_point("websecure", json!({ "http": { "tls": {} } }))
        .dynamic(routes(&[("all", "PathPrefix(`/`)", &[&server])]))
        .start();
    let mut half_a_head = gateway.connect();
    half_a_head.send("GET / HTTP/1.1\r\nHost: a.exam");
    let mut half_a_body = gateway.connect();
    half_a_body.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhello");
    let mut no_hello = Connection::open(gateway.port("websecure"));
    let answer = half_a_head.answer();
    assert_eq!(answer.status, 408);
    assert!(half_a_head.is_closed());
    let answer = half_a_body.answer();
    assert_eq!((answer.status, answer.field("x-fairlead-reason")), (408, Some("request_timeout")));
    assert!(half_a_body.is_closed());
    assert!(no_hello.is_closed());
}
