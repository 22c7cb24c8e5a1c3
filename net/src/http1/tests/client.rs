//! The server's side: requests as written, reuse, idle checks, interim responses.

use super::*;
use crate::http::{Method, Side, Sink, Upstream};

fn request(method: Method, framing: Framing, fields: &[(&str, &str)]) -> RequestHead {
    let fields = fields.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    RequestHead { method, framing, fields, ..get() }
}

fn written(head: &RequestHead) -> String {
    let mut conn = ClientConn::new(Script::open([]), Limits::default());
    conn.send_head(head).unwrap();
    ready(conn.poll_flush(&mut cx())).unwrap();
    text(&conn.get_ref().written)
}

#[test]
fn requests_are_written_anew() {
    let fields = [
        ("host", "other"),
        ("X-One", "1"),
        ("Content-Length", "99"),
        ("transfer-encoding", "gzip"),
        ("Connection", "close, X-One"),
        ("Keep-Alive", "5"),
        ("Proxy-Connection", "x"),
        ("Upgrade", "websocket"),
        ("HTTP2-Settings", "x"),
        ("x-LAST", "a\nb"),
    ];
    let kept = "X-One: 1\r\nx-LAST: a b\r\n";
    for (method, framing, length) in [
        (Method::Get, Framing::None, ""),
        (Method::Post, Framing::None, "Content-Length: 0\r\n"),
        (Method::Get, Framing::Length(10), "Content-Length: 10\r\n"),
        (Method::Put, Framing::Chunked, "Transfer-Encoding: chunked\r\n"),
    ] {
        let line = format!("{} / HTTP/1.1\r\nHost: a.example\r\n", method.as_str());
        assert_eq!(written(&request(method, framing, &fields)), format!("{line}{kept}{length}\r\n"));
    }
    let upgrade = RequestHead { upgrade: true, ..request(Method::Get, Framing::None, &fields) };
    let expected =
        "GET / HTTP/1.1\r\nHost: a.example\r\nX-One: 1\r\nUpgrade: websocket\r\nx-LAST: a b\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(written(&upgrade), expected);
    let nameless = RequestHead { authority: String::new(), ..request(Method::Get, Framing::None, &[]) };
    assert_eq!(written(&nameless), "GET / HTTP/1.1\r\nHost: \r\n\r\n");
}

#[test]
fn what_cannot_be_written_is_not_sent_in_part() {
    for (target, authority) in [("/a b", "a"), ("/a\r\nX: y", "a"), ("", "a"), ("/", "a b"), ("/", "a\r\n"), ("/\u{e4}", "a")] {
        let mut conn = ClientConn::new(Script::open([]), Limits::default());
        let head = RequestHead { target: target.into(), authority: authority.into(), ..RequestHead::default() };
        let error = conn.send_head(&head).unwrap_err();
        assert_eq!((error.side, error.kind), (Side::Fairlead, Kind::Malformed(400)));
        ready(conn.poll_flush(&mut cx())).unwrap();
        assert!(conn.get_ref().written.is_empty() && conn.is_reusable(), "{target:?}");
    }
}

#[test]
fn reuse_needs_a_complete_exchange_that_both_sides_agree_on() {
    let head = request(Method::Head, Framing::None, &[]);
    for (request, answer, body, reusable) in [
        (get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", true),
        (get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "ok", false),
        (get(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", true),
        (get(), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false),
        (get(), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok", "ok", true),
        (get(), "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", true),
        (get(), "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", true),
        (get(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true),
        (head.clone(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", true),
        (head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", true),
    ] {
        let (heard, mut conn) = ask(&request, Script::open([answer.as_bytes().to_vec()]), Limits::default());
        match heard {
            Answer::Response { body: read, reusable: again, .. } => {
                assert_eq!((text(&read.bytes).as_str(), again), (body, reusable), "{answer:?}");
            }
            other => panic!("{answer:?}: {other:?}"),
        }
        assert_eq!(conn.poll_idle(&mut cx()).is_pending(), reusable);
        assert_eq!(conn.buffered_capacity(), 0);
        if reusable {
            conn.send_head(&get()).unwrap();
            assert!(!conn.is_reusable() && !conn.response_started());
        }
    }
    let until_close = "HTTP/1.1 200 OK\r\n\r\nok";
    let (heard, _) = ask(&get(), Script::ending([until_close.into()]), Limits::default());
    assert!(
        matches!(&heard, Answer::Response { framing: Framing::UntilClose, body, reusable: false, .. } if body.bytes == b"ok"),
        "{heard:?}"
    );
}

#[test]
fn an_answer_before_the_request_was_sent_ends_the_connection() {
    let post = request(Method::Post, Framing::Length(5), &[]);
    let script = Script::open([b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n".to_vec()]);
    let (heard, mut conn) = ask(&post, script, Limits::default());
    assert!(matches!(heard, Answer::Response { status: 413, reusable: false, .. }));
    assert!(conn.send_end(None).is_err() && !conn.is_reusable(), "the body was cut short");
    // The same where the server no longer reads.
    let mut script = Script::open([b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n".to_vec()]);
    script.deaf = true;
    assert!(matches!(ask(&post, script, Limits::default()).0, Answer::Response { status: 413, reusable: false, .. }));
}

#[test]
fn a_kept_connection_tells_when_it_died() {
    let ok = || vec![b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()];
    let (_, mut conn) = ask(&get(), Script::open(ok()), Limits::default());
    assert!(conn.poll_idle(&mut cx()).is_pending() && conn.is_reusable());
    conn.get_mut().push(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert!(conn.poll_idle(&mut cx()).is_ready() && !conn.is_reusable(), "nobody asked for that");
    assert!(conn.send_head(&get()).is_err());

    let (_, mut conn) = ask(&get(), Script::open(ok()), Limits::default());
    conn.get_mut().open = false;
    assert!(conn.poll_idle(&mut cx()).is_ready() && !conn.is_reusable());
}

#[test]
fn silence_before_the_first_byte_is_told_from_a_broken_answer() {
    for (answer, started) in [("", false), ("HTTP/1.1 200 OK\r\nX: ", true)] {
        let (heard, conn) = ask(&get(), Script::ending([answer.into()]), Limits::default());
        assert_eq!(heard, Answer::Refused(Kind::Closed));
        assert_eq!(conn.response_started(), started);
        assert!(!conn.is_reusable());
    }
}

#[test]
fn interim_heads_come_one_by_one_and_keep_their_fields() {
    let answer =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut conn = ClientConn::new(Script::open([answer.into()]), Limits::default());
    conn.send_head(&get()).unwrap();
    conn.send_end(None).unwrap();
    let mut head = ResponseHead::default();
    for (status, fields) in [(100, 0), (103, 1), (200, 1)] {
        ready(conn.poll_head(&mut cx(), &mut head)).unwrap();
        assert_eq!((head.status, head.fields.len()), (status, fields));
    }
    assert!(conn.is_reusable());
    assert_eq!(conn.get_ref().writes.len(), 1, "waiting for the head flushes the request");
}

#[test]
fn row_105_after_a_101_the_stream_is_handed_over() {
    let upgrade = RequestHead { upgrade: true, ..request(Method::Get, Framing::None, &[("Upgrade", "websocket")]) };
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x01garbage\r\n";
    let (heard, conn) = ask(&upgrade, Script::open([answer.into()]), Limits::default());
    assert!(matches!(heard, Answer::Response { status: 101, framing: Framing::Tunnel, reusable: false, .. }));
    assert_eq!(conn.into_parts().1, "\x01garbage\r\n");
}

#[test]
fn a_kept_connection_is_small() {
    assert!(size_of::<ClientConn<()>>() <= 448, "{}", size_of::<ClientConn<()>>());
}
