//! Bodies: of any length, both ways, with bounded memory, and what may and may not have one.

use fairlead_tests::{
    Connection, Gateway, Server,
    server::{After, Exchange, Gate},
    until,
    wait::{PATIENCE, within},
};
use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;

/// Byte `at` of a body that tells when pieces are lost, doubled or swapped.
fn pattern(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

fn piece(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(pattern).collect()
}

fn is_pattern(body: &[u8]) -> bool {
    body.iter().enumerate().all(|(at, byte)| *byte == pattern(at))
}

fn send_chunked(exchange: &mut Exchange<'_>, total: usize, end: &str) -> std::io::Result<()> {
    for from in (0..total).step_by(65_521) {
        let data = piece(from, 65_521.min(total - from));
        exchange.send(format!("{:x}\r\n", data.len()))?;
        exchange.send(&data)?;
        exchange.send("\r\n")?;
    }
    exchange.send(format!("0\r\n{end}\r\n"))
}

/// Waits until a count has stood still for a while, and gives it.
fn settled(count: &AtomicU64) -> u64 {
    let (mut last, mut since) = (count.load(Ordering::SeqCst), Instant::now());
    within(PATIENCE, "the stream stands still", || {
        let now = count.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_millis(700) { Ok(last) } else { Err(now) }
    })
}

#[test]
fn large_responses_arrive_whole() {
    let server = Server::start(|exchange| {
        match exchange.head.target() {
            "/length" => {
                exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 24 * MIB))?;
                for from in (0..24).map(|n| n * MIB) {
                    exchange.send(piece(from, MIB))?;
                }
            }
            "/chunked" => {
                exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                send_chunked(exchange, 24 * MIB, "")?;
            }
            _ => {
                exchange.send("HTTP/1.1 200 OK\r\n\r\n")?;
                exchange.send(piece(0, 3 * MIB))?;
                return Ok(After::Close);
            }
        }
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    for (path, length) in [("/length", 24 * MIB), ("/chunked", 24 * MIB), ("/until-close", 3 * MIB)] {
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.body.len()), (200, length), "{path}");
        assert!(is_pattern(&answer.body), "{path}: the bytes differ");
    }
}

#[test]
fn large_requests_arrive_whole() {
    let server = Server::start(|exchange| {
        let (body, trailers) = exchange.body()?;
        exchange.reply(200, "", &format!("{} {} {trailers:?}", body.len(), is_pattern(&body)))?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 16 * MIB));
    client.send(piece(0, 16 * MIB));
    assert_eq!(client.answer().text(), format!("{} true []", 16 * MIB));
    client.send("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    for from in (0..16 * MIB).step_by(100_003) {
        let data = piece(from, 100_003.min(16 * MIB - from));
        client.send(format!("{:X};ext=1\r\n", data.len()));
        client.send(&data);
        client.send("\r\n");
    }
    client.send("0\r\nX-Sum: 42\r\nContent-Length: 0\r\n\r\n");
    let text = client.answer().text();
    assert!(text.starts_with(&format!("{} true", 16 * MIB)), "{text}");
    assert!(text.contains("42") && !text.to_lowercase().contains("content-length"), "trailers: {text}");
}

#[test]
fn a_client_that_does_not_read_holds_the_server_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let server = Server::start(move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")?;
        let block = vec![b'x'; 64 * 1024];
        loop {
            exchange.send(&block)?;
            counter.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
    });
    let gateway = Gateway::over(&[&server]);
    let before = gateway.process.resident_kib();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client
        })
        .collect();
    until("the streams begin", || sent.load(Ordering::SeqCst) > 0);
    let stood = settled(&sent);
    let grown = gateway.process.resident_kib().saturating_sub(before);
    assert!(stood < 8 * 16 * MIB as u64, "{stood} bytes were taken for 8 clients that read nothing");
    assert!(grown < 8 * 1024, "8 clients that read nothing cost {grown} KiB");
    drop(clients);
    until("the servers are let go", || server.connections() == 0);
}

#[test]
fn a_server_that_does_not_read_holds_the_client_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |exchange| {
        held.pass();
        let (body, _) = exchange.body()?;
        exchange.reply(200, "", &format!("{} {}", body.len(), is_pattern(&body)))?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let before = gateway.process.resident_kib();
    let total = 48 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let mut client = gateway.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {total}\r\n\r\n"));
    let (mut writer, counter) = (client.stream().try_clone().expect("a socket can be copied"), sent.clone());
    let writing = std::thread::spawn(move || {
        for from in (0..total).step_by(MIB / 4) {
            let mut data = &piece(from, MIB / 4)[..];
            while !data.is_empty() {
                let n = writer.write(data)?;
                counter.fetch_add(n as u64, Ordering::SeqCst);
                data = &data[n..];
            }
        }
        std::io::Result::Ok(())
    });
    until("the stream begins", || server.in_flight() == 1);
    let stood = settled(&sent);
    assert!(stood < 24 * MIB as u64, "{stood} bytes were taken for a server that reads nothing");
    let grown = gateway.process.resident_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "an upload that stands still costs {grown} KiB");
    gate.open();
    writing.join().expect("the writer ends").expect("everything is taken");
    assert_eq!(client.answer().text(), format!("{total} true"));
}

#[test]
fn an_early_response_reaches_the_client() {
    let server = Server::start(|exchange| {
        exchange.reply(413, "Connection: close\r\n", "too much")?;
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 64 * MIB));
    client.send(vec![0; 64 * 1024]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    assert!(client.is_closed(), "the rest of the request is not waited for");
}

#[test]
fn response_trailers_pass() {
    let server = Server::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")?;
        send_chunked(exchange, 1000, "X-Sum: 42\r\n")?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let answer = gateway.connect().request("GET", "/", "localhost", "TE: trailers\r\n");
    assert!(is_pattern(&answer.body) && answer.body.len() == 1000);
    assert_eq!(answer.trailer("x-sum"), Some("42"), "{answer:?}");
}

#[test]
fn expect_continue_is_answered_when_the_server_wants_the_body() {
    let server = Server::start(|exchange| {
        if exchange.head.target() == "/refuse" {
            exchange.reply(403, "", "no")?;
            return Ok(After::Close);
        }
        if exchange.head.field("expect").is_some() {
            exchange.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (body, _) = exchange.body()?;
        exchange.reply(200, "", &format!("{}", body.len()))?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str(), answer.interim.len()), (200, "5", 0));

    let mut client = gateway.connect();
    client.send("PUT /refuse HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut answer = client.answer();
    // The gateway may invite the body before the server has refused it, but says so once only.
    answer.interim.retain(|head| head.status() != 100);
    assert_eq!((answer.status, answer.interim.len()), (403, 0));
}

#[test]
fn interim_responses_pass() {
    let server = Server::start(|exchange| {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")?;
        exchange.reply(200, "", "done")?;
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
        assert_eq!(answer.interim.len(), 1, "{answer:?}");
        assert_eq!((answer.interim[0].status(), answer.interim[0].field("link")), (103, Some("</style.css>; rel=preload")));
    }
}

#[test]
fn responses_without_a_body_leave_the_connection_usable() {
    let server = Server::start(|exchange| {
        match exchange.head.target() {
            "/204" => exchange.send("HTTP/1.1 204 No Content\r\n\r\n")?,
            "/304" => exchange.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\n")?,
            _ if exchange.head.method() == "HEAD" => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")?,
            _ => exchange.reply(200, "", "body")?,
        }
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/204").status, 204);
        let answer = client.get("/304");
        assert_eq!((answer.status, answer.field("etag")), (304, Some("\"x\"")));
        let answer = client.request("HEAD", "/", "localhost", "");
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("12345")));
        assert_eq!(client.get("/").text(), "body");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_client_that_leaves_takes_the_upstream_request_with_it() {
    let server = Server::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")?;
        // Ends when the gateway hangs up.
        exchange.reader().read_to_end(&mut Vec::new())?;
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    assert_eq!(server.connections(), 1);
    let left = Instant::now();
    client.reset();
    until("the server is let go", || server.connections() == 0);
    assert!(left.elapsed() < Duration::from_secs(2), "it took {:?}", left.elapsed());
}

#[test]
fn a_server_that_breaks_off_is_not_passed_off_as_complete() {
    let server = Server::start(|exchange| {
        match exchange.head.target() {
            "/length" => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?,
            _ => exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this")?,
        }
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    for path in ["/length", "/chunked"] {
        let mut client = Connection::open(gateway.web());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(client.try_answer("GET").is_err(), "{path}: half a response looks whole");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::whoami("a");
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    let requests: String = (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..100 {
        assert!(client.answer().text().contains(&format!("GET /{n} HTTP/1.1")), "number {n}");
    }
}
