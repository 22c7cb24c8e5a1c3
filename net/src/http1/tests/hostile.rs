//! The hostile input table of the security reference, rows that concern framing and syntax. Row numbers are the table's.

use super::*;

const M400: Kind = Kind::Malformed(400);

/// Whole, byte by byte, and cut in two at every place: always the same answer; and a refusal is answered and closed.
#[track_caller]
fn heard(row: u32, bytes: &[u8]) -> Vec<Heard> {
    let (whole, script) = serve([bytes.to_vec()], Limits::default());
    if let Some(Heard::Refused(Kind::Malformed(status))) = whole.last() {
        let written = text(&script.written);
        let answer = written.rsplit("HTTP/1.1 ").next().unwrap();
        assert!(answer.starts_with(&status.to_string()), "row {row}: answered {written}");
        assert!(answer.contains("Connection: close\r\n") && script.shut, "row {row}: {written}");
    }
    assert_eq!(serve(each_byte(bytes), Limits::default()).0, whole, "row {row} byte by byte");
    if bytes.len() < 2000 {
        for at in 1..bytes.len() {
            assert_eq!(serve(cut(bytes, &[at]), Limits::default()).0, whole, "row {row} cut at {at}");
        }
    }
    whole
}

/// The head is refused with this status, before anything of the request was handed on.
#[track_caller]
fn refused(row: u32, bytes: impl AsRef<[u8]>, status: u16) {
    let bytes = bytes.as_ref();
    assert_eq!(heard(row, bytes), [Heard::Refused(Kind::Malformed(status))], "row {row}: {}", text(bytes));
}

/// The head passes and the body is refused, so that the request is aborted rather than completed; and the connection is not used again.
#[track_caller]
fn body_refused(row: u32, bytes: impl AsRef<[u8]>, kind: Kind) {
    let bytes = bytes.as_ref();
    match &heard(row, bytes)[..] {
        [Heard::Request { body, .. }, Heard::End] => assert_eq!(body.failed, Some(kind), "row {row}: {}", text(bytes)),
        other => panic!("row {row}: {}: {other:?}", text(bytes)),
    }
}

/// The one request that is accepted.
#[track_caller]
fn accepted(row: u32, bytes: impl AsRef<[u8]>) -> (String, Lines, Body) {
    let mut heard = heard(row, bytes.as_ref());
    assert_eq!(heard.len(), 2, "row {row}: {heard:?}");
    match heard.swap_remove(0) {
        Heard::Request { head, fields, body } if body.failed.is_none() => (head, fields, body),
        other => panic!("row {row}: {other:?}"),
    }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn rows_1_to_7_lengths() {
    refused(1, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400);
    refused(2, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400);
    refused(3, post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400);
    refused(3, post("Content-Length: 5\r\ncontent-length: 5\r\n", "hello"), 400);
    for odd in ["+5", "-1", "5_0", "0x5", "5 5", "5,", "5, 5", "5;a", "1e1", "\"5\"", "5.0", "\u{a0}5"] {
        refused(5, post(&format!("Content-Length: {odd}\r\n"), "hello"), 400);
    }
    let (head, _, body) = accepted(5, post("Content-Length: 010\r\n", "0123456789"));
    assert!(head.contains("Length(10)"), "{head}");
    assert_eq!(body.bytes, b"0123456789");
    refused(6, post("Content-Length:\r\n", ""), 400);
    refused(6, post("Content-Length: \r\nContent-Length: 5\r\n", "hello"), 400);
    refused(6, post("Content-Length: 5\r\nContent-Length:\r\n", "hello"), 400);
    refused(7, post("Content-Length: 99999999999999999999\r\n", ""), 400);
    refused(7, post("Content-Length: 18446744073709551616\r\n", ""), 400);
}

#[test]
fn rows_9_to_17_codings() {
    for odd in [",chunked", "chunked,", ", ,chunked", ""] {
        refused(9, post(&format!("Transfer-Encoding: {odd}\r\n"), "0\r\n\r\n"), 400);
    }
    refused(10, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501);
    refused(10, post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 501);
    for odd in
        ["chunked, gzip", "identity", "xchunked", "\"chunked\"", "'chunked'", "chunked;a=b", "chunked chunked", "\u{a0}chunked"]
    {
        refused(11, post(&format!("Transfer-Encoding: {odd}\r\n"), "0\r\n\r\n"), 400);
    }
    refused(11, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400);
    refused(11, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400);
    refused(11, post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400);
    refused(13, post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400);
    refused(13, post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400);
    refused(14, "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a.example\r\n\r\n0\r\n\r\n", 400);
    refused(15, post("X: a\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400);
    refused(15, post("Transfer-Encoding:\r\n\tchunked\r\n", "0\r\n\r\n"), 400);
    refused(17, "POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    let (head, _, body) = accepted(9, post("tRANSFER-eNCODING: \t CHUNKED \t\r\n", "5\r\nhello\r\n0\r\n\r\n"));
    assert!(head.contains("Chunked"), "{head}");
    assert_eq!(body.bytes, b"hello");
}

#[test]
fn row_18_a_request_never_reaches_until_the_close() {
    refused(18, "POST / HTTP/1.0\r\nHost: a.example\r\n\r\nhello", 411);
    let (head, _, body) = accepted(18, "POST / HTTP/1.0\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello");
    assert!(head.contains("Length(5)") && head.ends_with("keep=false"), "{head}");
    assert_eq!(body.bytes, b"hello");
}

#[test]
fn rows_19_to_25_chunks() {
    for odd in ["0_2e", "+5", "-0", "0x5", " 5", "5 ", "5\t", "5these", "g", "11111111111111111", ";a"] {
        body_refused(19, chunked(&format!("{odd}\r\nhello\r\n0\r\n\r\n")), M400);
    }
    body_refused(19, chunked("ffffffffffffffff0\r\nhello\r\n0\r\n\r\n"), M400);
    body_refused(21, chunked("\r\n\r\n"), M400);
    body_refused(21, chunked("5\r\nhello\r\n\r\n\r\n"), M400);
    body_refused(22, chunked("5\nhello\r\n0\r\n\r\n"), M400);
    body_refused(22, chunked("5\r\nhello\n0\r\n\r\n"), M400);
    body_refused(22, chunked("0\r\n\n"), M400);
    body_refused(22, chunked("0\r\nX: y\n\r\n"), M400);
    for odd in ["5;a=b\rX\r\n", "2\r\r;a\r\n", "5;a\nb\r\n", "5;a\0\r\n", "5\rX"] {
        body_refused(23, chunked(&format!("{odd}hello\r\n0\r\n\r\n")), M400);
    }
    body_refused(23, chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300))), M400);
    body_refused(23, chunked(&format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(100)), M400);
    let (_, _, body) = accepted(23, chunked("5;a=b;c=\"d\"\r\nhello\r\n000;x\r\n\r\n"));
    assert_eq!(body.bytes, b"hello");
    body_refused(25, chunked("5\r\nhelloXX"), M400);
    body_refused(25, chunked("5\r\nhello\rX0\r\n\r\n"), M400);
    body_refused(25, chunked("5\r\nhello0\r\n\r\n"), M400);
}

#[test]
fn row_26_trailers() {
    let trailers =
        "Content-Length: 0\r\nHost: b\r\nTransfer-Encoding: gzip\r\nAuthorization: x\r\nX_Forwarded_For: 1\r\nX-Sum: 7\r\n";
    let (head, fields, body) = accepted(26, chunked(&format!("1\r\nx\r\n0\r\n{trailers}\r\n")));
    assert_eq!(body.trailers, [("X-Sum".to_owned(), b"7".to_vec())]);
    assert!(head.contains("authority=a.example") && fields.len() == 2, "never merged: {fields:?}");
    body_refused(26, chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(200))), Kind::Malformed(431));
    body_refused(26, chunked(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000))), Kind::Malformed(431));
    body_refused(26, chunked("0\r\nX : y\r\n\r\n"), M400);
    body_refused(26, chunked("0\r\nX: y\r\n z\r\n\r\n"), M400);
}

#[test]
fn rows_27_to_31_bodies_and_expectations() {
    body_refused(27, post("Content-Length: 10\r\n", "hello"), Kind::Closed);
    body_refused(27, chunked("a\r\nhello"), Kind::Closed);
    body_refused(27, chunked("5\r\nhello\r\n"), Kind::Closed);
    body_refused(27, chunked("5\r\nhello\r\n0\r\n"), Kind::Closed);
    let (head, _, body) = accepted(29, "GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n0123456789");
    assert!(head.contains("Length(10)"), "{head}");
    assert_eq!(body.bytes.len(), 10);
    let (head, _, _) = accepted(30, post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x"));
    assert!(head.contains("expect=true"), "{head}");
    for odd in ["100-continue x", "y 100-continue", "y", "100-continue,100-continue", "", "200-ok"] {
        refused(31, post(&format!("Expect: {odd}\r\nContent-Length: 1\r\n"), "x"), 417);
    }
    refused(31, post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "x"), 417);
}

#[test]
fn rows_37_to_43_hosts_and_targets() {
    refused(37, "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 400);
    refused(37, "GET / HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n", 400);
    refused(37, "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400);
    refused(37, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    for odd in ["a b", "a\tb", "", "a\0b", "a\x7f", "\u{e4}.example"] {
        refused(38, format!("GET / HTTP/1.1\r\nHost: {odd}\r\n\r\n"), 400);
    }
    let (head, _, _) = accepted(38, "GET / HTTP/1.0\r\n\r\n");
    assert!(head.contains("authority= Http10"), "{head}");
    let (head, fields, _) = accepted(41, "GET http://b.example:81/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(head.starts_with("GET http://b.example:81/x?y authority=b.example:81 "), "{head}");
    assert_eq!(fields, [("Host".to_owned(), b"a.example".to_vec())]);
    let (head, _, _) = accepted(41, "GET HTTP://b.example?y HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(head.contains("authority=b.example "), "{head}");
    for odd in ["http://", "http:///x", "http://u@b/", "ftp://b/", "//", "b.example:80", "x", "http:/b", "*x"] {
        let expected = odd.starts_with('/');
        let bytes = format!("GET {odd} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        if expected {
            accepted(41, bytes);
        } else {
            refused(41, bytes, 400);
        }
    }
    refused(43, "GET * HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    accepted(43, "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n");
    refused(43, "CONNECT / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    let query = r#"/q?query=up{job="x"}>`0`"#;
    let (head, _, _) = accepted(73, format!("GET {query} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    assert!(head.starts_with(&format!("GET {query} ")), "{head}");
    for odd in ["/a#b", "/a?b#c", "/a<b", "/a>b", "/a`b", "/\x01", "/\x7f", "/\u{e4}", "/a\tb", "/a\0", "/a\rb", ""] {
        refused(73, format!("GET {odd} HTTP/1.1\r\nHost: a.example\r\n\r\n"), 400);
    }
}

#[test]
fn rows_46_and_47_request_lines() {
    let (head, _, _) = accepted(46, "get / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(head.starts_with("get / "), "case matters: {head}");
    refused(46, format!("{} / HTTP/1.1\r\nHost: a.example\r\n\r\n", "M".repeat(40)), 501);
    accepted(46, format!("{} / HTTP/1.1\r\nHost: a.example\r\n\r\n", "M".repeat(32)));
    for odd in ["G\x00T", "G=\":(e)", "", " GET", "\tGET", "GET\t", "\u{e4}"] {
        refused(46, format!("{odd} / HTTP/1.1\r\nHost: a.example\r\n\r\n"), 400);
    }
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3.0"] {
        refused(47, format!("GET / {version}\r\nHost: a.example\r\n\r\n"), 505);
    }
    for odd in
        ["HTTP/1.10", "HTTP/4294967295.255", "http/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.", "HTTP/11", "HTTPS/1.1", "x", ""]
    {
        refused(47, format!("GET / {odd}\r\nHost: a.example\r\n\r\n"), 400);
    }
    refused(47, "GET /\r\nHost: a.example\r\n\r\n", 400);
    refused(47, "GET /\r\n", 400);
    refused(91, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

#[test]
fn rows_49_to_51_field_lines() {
    for odd in [
        "novalue",
        ": v",
        ":",
        "a(b: v",
        "a)b: v",
        "a,b: v",
        "a/b: v",
        "a\u{80}b: v",
        "a\x7fb: v",
        "a b: v",
        "a\0: v",
        "\"a\": v",
    ] {
        refused(49, post(&format!("{odd}\r\n"), ""), 400);
    }
    for b in (0..0x20_u8).chain([0x7f]).filter(|&b| b != b'\t' && b != b'\n') {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a.example\r\nX: a".to_vec();
        bytes.extend_from_slice(&[b, b'b', b'\r', b'\n', b'\r', b'\n']);
        refused(50, bytes, 400);
    }
    let (_, fields, _) = accepted(50, b"GET / HTTP/1.1\r\nHost: a.example\r\nX: \t\x80 \t\xff \t\r\n\r\n");
    assert_eq!(fields[1], ("X".to_owned(), b"\x80 \t\xff".to_vec()));
    refused(51, "GET / HTTP/1.1\nHost: a.example\n\n", 400);
    refused(51, "GET / HTTP/1.1\r\nHost: a.example\n\r\n", 400);
    refused(51, "GET / HTTP/1.1\r\nHost: a.example\r\n\n", 400);
    refused(51, "\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    refused(51, "\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    accepted(51, "\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

#[test]
fn rows_53_to_57_sizes_pipelines_and_noise() {
    let head = "GET / HTTP/1.1\r\nHost: a.example\r\n";
    refused(53, format!("{head}{}\r\n", "X: y\r\n".repeat(100)), 431);
    accepted(53, format!("{head}{}\r\n", "X: y\r\n".repeat(99)));
    refused(53, format!("{head}X: {}\r\n\r\n", "y".repeat(32 * 1024)), 431);
    refused(53, format!("{head}{}\r\n", format!("X: {}\r\n", "y".repeat(1000)).repeat(33)), 431);
    refused(53, format!("{head}{}", "y".repeat(40 * 1024)), 431);
    refused(53, format!("{head}{}: y\r\n\r\n", "n".repeat(1025)), 431);
    refused(54, format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(8192)), 414);
    refused(54, format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(65534)), 414);
    accepted(54, format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(8191)));
    refused(57, b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    refused(57, b"SSH-2.0-OpenSSH_9.2\r\n", 400);
    refused(57, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);

    let pipelined: String = (0..1000).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a.example\r\n\r\n")).collect();
    let (heard, script) = serve([pipelined.into_bytes()], Limits::default());
    for (i, heard) in heard[..1000].iter().enumerate() {
        assert!(matches!(heard, Heard::Request { head, .. } if head.starts_with(&format!("GET /{i} "))), "row 55: {heard:?}");
    }
    assert_eq!((heard.len(), &heard[1000]), (1001, &Heard::End));
    assert_eq!(text(&script.written).matches("HTTP/1.1 200 OK\r\n").count(), 1000);
}

#[test]
fn limits_may_be_as_large_as_they_can_be() {
    let none = Limits {
        head_bytes: usize::MAX,
        fields: usize::MAX,
        target: usize::MAX,
        chunk_line: usize::MAX,
        chunk_extensions: usize::MAX,
        trailer_bytes: usize::MAX,
        informational: usize::MAX,
        unread_bytes: usize::MAX,
    };
    let bytes = chunked("5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n").replace("POST /", &format!("POST /{}", "x".repeat(100_000)));
    let (heard, _) = serve(cut(bytes.as_bytes(), &[5, 50_000, 100_050]), none);
    assert!(matches!(&heard[0], Heard::Request { body, .. } if body.bytes == b"hello" && body.trailers.len() == 1), "{heard:?}");
}

#[test]
fn what_hides_behind_a_refused_request_is_never_served() {
    for first in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: xchunked\r\n", ""),
        chunked("5\r\nhelloXX"),
    ] {
        let bytes = format!("{first}GET /admin HTTP/1.1\r\nHost: a.example\r\n\r\n");
        for pieces in [vec![bytes.clone().into_bytes()], each_byte(bytes.as_bytes())] {
            let (heard, _) = serve(pieces, Limits::default());
            assert!(!format!("{heard:?}").contains("/admin"), "{heard:?}");
        }
    }
}

/// What a gateway makes of a server's bytes, whole and byte by byte.
#[track_caller]
fn answer(row: u32, request: &RequestHead, bytes: &[u8]) -> Answer {
    let (whole, _) = ask(request, Script::ending([bytes.to_vec()]), Limits::default());
    let (split, _) = ask(request, Script::ending(each_byte(bytes)), Limits::default());
    // Only the whole response can show surplus bytes in the same read.
    if let (Answer::Response { body: a, status: b, .. }, Answer::Response { body: c, status: d, .. }) = (&whole, &split) {
        assert_eq!((a, b), (c, d), "row {row} byte by byte");
    } else {
        assert_eq!(whole, split, "row {row} byte by byte");
    }
    whole
}

#[track_caller]
fn bad_gateway(row: u32, bytes: impl AsRef<[u8]>) {
    match answer(row, &get(), bytes.as_ref()) {
        Answer::Refused(Kind::Malformed(502)) => {}
        Answer::Response { body: Body { failed: Some(Kind::Malformed(502)), .. }, reusable: false, .. } => {}
        other => panic!("row {row}: {}: {other:?}", text(bytes.as_ref())),
    }
}

#[test]
fn row_33_a_server_that_says_too_much_is_not_asked_again() {
    for surplus in ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "x", "\r\n"] {
        for first in ["Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{first}{surplus}");
            let (answer, mut conn) = ask(&get(), Script::open([bytes.into_bytes()]), Limits::default());
            assert!(matches!(&answer, Answer::Response { reusable: false, body, .. } if body.bytes == b"ok"), "{answer:?}");
            assert!(conn.poll_idle(&mut cx()).is_ready());
            assert!(crate::http::Upstream::send_head(&mut conn, &get()).is_err());
        }
    }
}

#[test]
fn row_34_bad_framing_from_a_server() {
    let ok = "HTTP/1.1 200 OK\r\n";
    bad_gateway(34, format!("{ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    bad_gateway(34, format!("{ok}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"));
    bad_gateway(34, format!("{ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"));
    bad_gateway(34, format!("{ok}Transfer-Encoding: gzip\r\n\r\n"));
    bad_gateway(34, format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"));
    bad_gateway(34, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    for odd in ["", "+5", "-1", "5,5", "0x5", "99999999999999999999"] {
        bad_gateway(34, format!("{ok}Content-Length: {odd}\r\n\r\nhello"));
    }
    for odd in ["x", "5\nhello", "5\r\nhelloXX", "\r\n", "5;\x01\r\nhello"] {
        bad_gateway(34, format!("{ok}Transfer-Encoding: chunked\r\n\r\n{odd}"));
    }
    // A HEAD request's response has no body, but a server that confuses its framing is refused there as well.
    let head = RequestHead { method: crate::http::Method::Head, ..get() };
    let twice = format!("{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(answer(34, &head, twice.as_bytes()), Answer::Refused(Kind::Malformed(502)));
}

#[test]
fn row_35_interim_and_oversized_answers() {
    bad_gateway(35, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    bad_gateway(35, interim.repeat(1000));
    bad_gateway(35, format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", interim.repeat(9)));
    let most = format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", interim.repeat(8));
    assert!(
        matches!(answer(35, &get(), most.as_bytes()), Answer::Response { interim, reusable: true, .. } if interim == [103; 8])
    );
    bad_gateway(35, format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20)));
    bad_gateway(35, format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101)));
    for odd in [
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 X",
        "HTTP/1.1  200",
        "ICY 200 OK",
        "HTTP/1.1 200 O\x01K",
    ] {
        bad_gateway(35, format!("{odd}\r\nContent-Length: 0\r\n\r\n"));
    }
    for odd in ["X : y", " X: y", "X", "X: a\r\n b", "X: \0", "Content-Length : 5"] {
        bad_gateway(35, format!("HTTP/1.1 200 OK\r\n{odd}\r\n\r\n"));
    }
    bad_gateway(35, "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
}
