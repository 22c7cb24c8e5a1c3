//! Rows 77 to 93 of the hostile input table, and what a server may do to a client.

use super::raw::*;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A raw client, and a server that reads and answers everything; counts what it accepted.
async fn target() -> (Raw, Arc<AtomicUsize>) {
    let (raw, server) = Raw::pair(&server::Settings::default(), &[]).await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    serve(server, move |_, mut stream| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            if drain(&mut stream).await.is_ok() {
                stream.send_head(&reply(200, Framing::None));
            }
        }
    });
    (raw, accepted)
}

/// Sends a request that must not get through, and then a good one that must.
async fn rejected(case: &str, lines: &[(&str, &str)]) {
    let (mut raw, accepted) = target().await;
    raw.headers(1, lines, true).await;
    let (kind, code) = raw.error().await.unwrap_or_else(|| panic!("{case}: no error was told"));
    assert_eq!(code, PROTOCOL_ERROR, "{case}");
    assert_eq!(accepted.load(Ordering::Relaxed), 0, "{case}: nothing upstream");
    if kind == RST_STREAM {
        raw.headers(3, &request("GET", "/"), true).await;
        let answer = raw.until(|f| f.kind == HEADERS).await;
        assert_eq!(answer.unwrap().stream, 3, "{case}: the connection lives");
    }
}

fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&request("GET", "/"), extra].concat()
}

fn replaced<'a>(name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let lines = request("GET", "/").into_iter();
    lines.filter_map(|(n, v)| if n == name { value.map(|value| (n, value)) } else { Some((n, v)) }).collect()
}

#[tokio::test]
async fn row_85_connection_specific_fields() {
    for line in [
        ("transfer-encoding", "chunked"),
        ("connection", "x"),
        ("upgrade", "h2c"),
        ("keep-alive", "5"),
        ("proxy-connection", "x"),
        ("te", "gzip"),
    ] {
        rejected(line.0, &with(&[line])).await;
    }
    let (mut raw, accepted) = target().await;
    raw.headers(1, &with(&[("te", "trailers")]), true).await;
    assert!(raw.until(|f| f.kind == HEADERS).await.is_some());
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn row_86_names_and_values_outside_the_grammar() {
    for name in ["Foo", "foo bar", "foo:", "", "foo\0", "fo\u{f6}", "foo\r\nx"] {
        rejected(&format!("name {name:?}"), &with(&[(name, "1")])).await;
    }
    for value in ["a\r\nX: y", "a\nb", "a\rb", "\0", " a", "a ", "\ta", "a\t"] {
        rejected(&format!("value {value:?}"), &with(&[("x", value)])).await;
    }
}

#[tokio::test]
async fn row_87_pseudo_fields_that_are_not_what_they_should_be() {
    for path in ["", "x", "/ HTTP/1.1\r\nX: y", "/a b", "*", "http://evil/", "/\u{e4}", "/a\tb", "?a"] {
        rejected(&format!(":path {path:?}"), &replaced(":path", Some(path))).await;
    }
    for method in ["GET / HTTP/1.1", "", "G T"] {
        rejected(&format!(":method {method:?}"), &replaced(":method", Some(method))).await;
    }
    for scheme in ["http://evil/", "ftp", "", "a b"] {
        rejected(&format!(":scheme {scheme:?}"), &replaced(":scheme", Some(scheme))).await;
    }
    for authority in ["", "a b", "u:p@a.test", "a.test/x", "a.test\r\nX: y"] {
        rejected(&format!(":authority {authority:?}"), &replaced(":authority", Some(authority))).await;
    }
    for missing in [":path", ":method", ":scheme", ":authority"] {
        rejected(&format!("no {missing}"), &replaced(missing, None)).await;
    }
    for twice in [":path", ":method", ":scheme", ":authority"] {
        let again = request("GET", "/").into_iter().find(|(n, _)| *n == twice).unwrap();
        rejected(&format!("{twice} twice"), &with(&[again])).await;
    }
    rejected("unknown pseudo", &with(&[(":foo", "1")])).await;
    rejected("a status", &with(&[(":status", "200")])).await;
    rejected("extended CONNECT", &with(&[(":protocol", "websocket")])).await;
    let late = [&[("x", "1")], request("GET", "/").as_slice()].concat();
    rejected("pseudo after a field", &late).await;
    rejected("another Host", &with(&[("host", "b.test")])).await;
    rejected("two Hosts", &with(&[("host", "a.test"), ("host", "a.test")])).await;
}

#[tokio::test]
async fn a_host_that_agrees_or_stands_alone_is_taken() {
    let alone = [&replaced(":authority", None)[..], &[("host", "a.test")]].concat();
    for lines in [with(&[("host", "A.test")]), alone] {
        let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
        raw.headers(1, &lines, true).await;
        let (head, _) = server.accept().await.unwrap().unwrap();
        assert_eq!(head.authority, "a.test");
        assert!(!head.fields.contains("host"));
    }
}

#[tokio::test]
async fn cookie_crumbs_are_joined() {
    let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
    raw.headers(1, &with(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("x", "2"), ("cookie", "c=3")]), true).await;
    let (head, _) = server.accept().await.unwrap().unwrap();
    assert_eq!(head.fields.get_all("cookie").collect::<Vec<_>>(), [b"a=1; b=2; c=3"]);
    assert_eq!(head.fields.get_all("x").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.framing, Framing::None);
}

#[tokio::test]
async fn row_89_content_length_that_lies() {
    for (declared, sent) in [("5", 4), ("5", 6)] {
        let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
        raw.headers(1, &with(&[("content-length", declared)]), false).await;
        let (head, mut stream) = server.accept().await.unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(5));
        serve(server, async |_: RequestHead, _: server::ServerStream| panic!("nothing more came"));
        raw.frame(DATA, END_STREAM, 1, &[0; 6][..sent]).await;
        let error = drain(&mut stream).await.unwrap_err();
        assert_eq!(error.kind, Kind::Malformed(400), "{declared} declared, {sent} sent: {error}");
        assert_eq!(raw.error().await.unwrap(), (RST_STREAM, PROTOCOL_ERROR));
    }
    rejected("length without a body", &with(&[("content-length", "5")])).await;
    for odd in ["+5", "0x5", "5,5", "", "-1", "99999999999999999999"] {
        rejected(&format!("length {odd:?}"), &with(&[("content-length", odd)])).await;
    }
    rejected("two lengths", &with(&[("content-length", "5"), ("content-length", "6")])).await;
}

#[tokio::test]
async fn trailers_are_checked_like_heads() {
    for bad in [("connection", "x"), ("x", " a"), ("Foo", "1"), (":path", "/")] {
        let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
        raw.headers(1, &request("POST", "/"), false).await;
        let (_, mut stream) = server.accept().await.unwrap().unwrap();
        serve(server, async |_: RequestHead, _: server::ServerStream| ());
        raw.headers(1, &[bad], true).await;
        match drain(&mut stream).await {
            Err(_) => {}
            // h2 drops pseudo-fields from trailers where it should refuse them: nothing of them is carried on.
            Ok((_, trailers)) => assert!(bad.0 == ":path" && trailers.unwrap().is_empty(), "{bad:?}"),
        }
    }
}

#[tokio::test]
async fn row_90_stream_numbers_and_limits() {
    let (mut raw, server) = Raw::pair(&server::Settings::default(), &[]).await;
    let (held, mut holding) = tokio::sync::mpsc::unbounded_channel();
    serve(server, move |_, stream| {
        held.send(stream).unwrap();
        async {}
    });
    for n in 0..101 {
        raw.headers(1 + 2 * n, &request("GET", "/"), true).await;
    }
    assert_eq!(raw.error().await, Some((RST_STREAM, REFUSED_STREAM)));
    for _ in 0..100 {
        holding.recv().await.unwrap();
    }
    assert!(holding.is_empty());

    for (case, stream, after) in [("an even number", 2, None), ("a number below the last", 1, Some(5))] {
        let (mut raw, _) = target().await;
        if let Some(first) = after {
            raw.headers(first, &request("GET", "/"), true).await;
        }
        raw.headers(stream, &request("GET", "/"), true).await;
        assert_eq!(raw.until(|f| f.kind == GOAWAY).await.unwrap().code(), Some(PROTOCOL_ERROR), "{case}");
    }
    let (mut raw, _) = target().await;
    raw.frame(DATA, 0, 1, b"x").await;
    assert_eq!(raw.error().await, Some((GOAWAY, PROTOCOL_ERROR)), "DATA on an idle stream");
}

/// The error that a flood ends in; what the peer sends meanwhile is read, so that nobody waits for room.
async fn flood(mut raw: Raw, pieces: usize, piece: impl Fn(u32) -> Vec<u8>) -> Option<(u8, u32)> {
    for n in 0..pieces {
        raw.bytes(&piece(n as u32)).await;
        // The server runs in this thread: let it see what came.
        if n % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop_pending_pings(&mut raw).await
}

async fn drop_pending_pings(raw: &mut Raw) -> Option<(u8, u32)> {
    raw.frame(PING, 0, 0, b"the last").await;
    let frame = raw.until(|f| f.kind == GOAWAY || (f.kind == PING && f.payload == b"the last")).await?;
    (frame.kind == GOAWAY).then(|| (GOAWAY, frame.code().unwrap()))
}

const CALM: Option<(u8, u32)> = Some((GOAWAY, ENHANCE_YOUR_CALM));

#[tokio::test]
async fn row_77_rapid_reset() {
    // All at once, and so slowly that each request is accepted before its reset.
    for pace in [1u32, 4] {
        let (raw, accepted) = target().await;
        let reset = |n: u32| {
            let stream = 1 + 2 * (n / pace);
            match n % pace {
                0 if pace == 1 => {
                    let head = frame(HEADERS, END_HEADERS, stream, &block(&request("POST", "/")));
                    [head, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
                }
                0 => frame(HEADERS, END_HEADERS, stream, &block(&request("POST", "/"))),
                3 => frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()),
                _ => Vec::new(),
            }
        };
        let mut raw = raw;
        for n in 0..2000 {
            raw.bytes(&reset(n)).await;
            if pace > 1 {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
        }
        assert_eq!(drop_pending_pings(&mut raw).await, CALM, "pace {pace}");
        assert!(accepted.load(Ordering::Relaxed) <= 130, "pace {pace}: {}", accepted.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn row_78_resets_that_we_are_made_to_send() {
    type Provoke = fn(u32) -> Vec<u8>;
    let provocations: [(&str, Provoke); 3] = [
        ("a window update of nothing", |s| frame(WINDOW_UPDATE, 0, s, &[0; 4])),
        ("a window that overflows", |s| frame(WINDOW_UPDATE, 0, s, &0x7fff_ffff_u32.to_be_bytes())),
        ("a malformed head", |_| Vec::new()),
    ];
    for (case, provoke) in provocations {
        let (raw, accepted) = target().await;
        let ended = flood(raw, 3000, |n| {
            let stream = 1 + 2 * n;
            let path = if case == "a malformed head" { "x" } else { "/" };
            let head = frame(HEADERS, END_HEADERS, stream, &block(&request("POST", path)));
            [head, provoke(stream)].concat()
        })
        .await;
        assert!(matches!(ended, Some((GOAWAY, _))), "{case}: {ended:?}");
        assert!(accepted.load(Ordering::Relaxed) <= 200, "{case}: {}", accepted.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn row_79_continuation_without_end() {
    for size in [0, 1] {
        let (raw, _) = target().await;
        let head = block(&request("GET", "/"));
        let ended = flood(raw, 10_000, |n| match n {
            0 => frame(HEADERS, END_STREAM, 1, &head),
            _ => frame(CONTINUATION, 0, 1, &[0; 1][..size]),
        })
        .await;
        assert!(matches!(ended, Some((GOAWAY, _))), "{size}: {ended:?}");
    }
}

#[tokio::test]
async fn row_81_broken_compression() {
    for (case, bytes) in [
        ("index 0", vec![0x80]),
        ("an index beyond the table", vec![0xff, 0x00]),
        ("a size above the limit", vec![0x3f, 0xff, 0xff, 0xff, 0x07]),
        ("an integer without end", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("Huffman end of string", vec![0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a']),
    ] {
        let (mut raw, accepted) = target().await;
        raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, &bytes).await;
        // RFC 9113 section 4.3 wants COMPRESSION_ERROR; h2 ends the connection with a less exact word.
        let told = raw.error().await;
        assert!(matches!(told, Some((GOAWAY, PROTOCOL_ERROR | COMPRESSION_ERROR))), "{case}: {told:?}");
        assert_eq!(accepted.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn rows_79_and_82_floods_that_cost_nothing_to_send() {
    let (raw, _) = target().await;
    let empty = flood(raw, 200_000, |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &block(&request("POST", "/"))),
        _ => frame(DATA, 0, 1, &[]),
    });
    assert_eq!(empty.await, CALM, "empty DATA");
    let (raw, _) = target().await;
    let padding = flood(raw, 20_000, |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &block(&request("POST", "/"))),
        _ => frame(DATA, PADDED, 1, &[&[255][..], &[0; 255]].concat()),
    });
    assert!(matches!(padding.await, Some((GOAWAY, _))), "DATA that is all padding");
}

/// Row 83: they are answered or passed over, and memory does not grow: the peer that does not read gets no more answers.
#[tokio::test]
async fn row_83_settings_and_pings() {
    for (case, kind, payload) in [("settings", SETTINGS, &b""[..]), ("pings", PING, b"12345678"), ("unknown", 0xee, b"?")] {
        let (raw, _) = target().await;
        let mut raw = raw;
        for _ in 0..10_000 {
            raw.frame(kind, 0, 0, payload).await;
        }
        raw.headers(1, &request("GET", "/"), true).await;
        let answer = raw.until(|f| f.kind == GOAWAY || f.kind == HEADERS).await;
        assert!(answer.is_some(), "{case}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_answered_431() {
    let many: Vec<(String, String)> = (0..300).map(|n| (format!("x{n}"), String::new())).collect();
    let large = vec![("x".to_owned(), "y".repeat(20_000))];
    for lines in [many, large] {
        let (mut raw, accepted) = target().await;
        let lines: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let bytes = block(&with(&lines));
        let (first, rest) = bytes.split_at(bytes.len().min(16_000));
        raw.frame(HEADERS, END_STREAM, 1, first).await;
        raw.frame(CONTINUATION, END_HEADERS, 1, rest).await;
        let answer = raw.until(|f| f.kind == HEADERS).await.unwrap();
        // The name by its index, and "431" in Huffman coding.
        assert_eq!(answer.payload, [0x48, 0x83, 0x69, 0x90, 0xff]);
        assert_eq!(accepted.load(Ordering::Relaxed), 0);
    }
}

/// A client against a server that speaks by hand.
async fn against(answer: impl AsyncFnOnce(&mut Raw)) -> Error {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, driver) = client::handshake(near, &client::Settings::default()).await.unwrap();
    tokio::spawn(driver);
    let mut raw = Raw::server(far).await;
    let mut stream = client.open();
    stream.send_head(&post(Framing::Chunked)).unwrap();
    raw.until(|f| f.kind == HEADERS).await.unwrap();
    answer(&mut raw).await;
    let error = match head(&mut stream).await {
        Ok(_) => drain(&mut stream).await.unwrap_err(),
        Err(e) => e,
    };
    assert_eq!(error.side, crate::http::Side::Upstream);
    error
}

#[tokio::test]
async fn what_a_server_has_not_processed_is_told_apart() {
    let refused = against(async |raw| raw.frame(RST_STREAM, 0, 1, &7u32.to_be_bytes()).await).await;
    assert_eq!(refused.kind, Kind::Refused, "{refused}");
    let passed_over = against(async |raw| raw.frame(GOAWAY, 0, 0, &[0; 8]).await).await;
    assert_eq!(passed_over.kind, Kind::Refused, "{passed_over}");
    let reset = against(async |raw| raw.frame(RST_STREAM, 0, 1, &2u32.to_be_bytes()).await).await;
    assert_eq!(reset.kind, Kind::Reset, "{reset}");
    let closed = against(async |raw| {
        raw.frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
        let (replacement, _) = tokio::io::duplex(1);
        *raw = Raw::of(replacement);
    });
    let closed = closed.await;
    assert_eq!(closed.kind, Kind::Closed, "processed, then gone: {closed}");
    let malformed = against(async |raw| raw.headers(1, &[(":status", "200"), ("connection", "x")], true).await).await;
    assert_eq!(malformed.kind, Kind::Malformed(502), "{malformed}");
    let short = against(async |raw| {
        raw.headers(1, &[(":status", "200"), ("content-length", "5")], false).await;
        raw.frame(DATA, END_STREAM, 1, b"four").await;
    });
    let short = short.await;
    assert_eq!(short.kind, Kind::Malformed(502), "{short}");
}
