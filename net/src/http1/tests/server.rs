//! The client's side: keep-alive, framing of responses, interim responses, hand-over, memory.

use super::*;
use crate::http::{Downstream, Sink};

fn conn(bytes: &str) -> ServerConn<Script> {
    ServerConn::new(Script::open([bytes.as_bytes().to_vec()]), Limits::default(), BytesMut::new())
}

fn begun(bytes: &str) -> (ServerConn<Script>, RequestHead) {
    let mut conn = conn(bytes);
    let mut head = RequestHead::default();
    assert!(ready(conn.poll_request(&mut cx(), &mut head)).unwrap());
    (conn, head)
}

fn response(status: u16, framing: Framing, fields: &[(&str, &str)]) -> ResponseHead {
    let fields = fields.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    ResponseHead { status, framing, fields, ..ResponseHead::default() }
}

fn send(conn: &mut ServerConn<Script>, data: &[u8]) {
    let mut at = 0;
    while at < data.len() {
        at += ready(conn.poll_send(&mut cx(), &data[at..])).unwrap();
    }
}

/// Answers and gives what was written for it.
fn answered(conn: &mut ServerConn<Script>, head: &ResponseHead, body: &str) -> String {
    conn.get_mut().written.clear();
    conn.send_head(head);
    send(conn, body.as_bytes());
    conn.send_end(None).unwrap();
    ready(conn.poll_flush(&mut cx())).unwrap();
    text(&conn.get_ref().written)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn connection_fields_and_reuse_follow_the_versions() {
    for (request, framing, said, reusable) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(2), None, true),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Chunked, None, true),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::UntilClose, None, true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", Framing::Length(2), Some("close"), false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", Framing::Length(2), Some("close"), false),
        ("GET / HTTP/1.0\r\n\r\n", Framing::Length(2), Some("close"), false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Framing::Length(2), Some("keep-alive"), true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", Framing::Length(2), Some("close"), false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Framing::Chunked, Some("close"), false),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", Framing::Length(2), None, false),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
            Framing::Length(2),
            Some("close"),
            false,
        ),
    ] {
        let (mut conn, _) = begun(request);
        let written = answered(&mut conn, &response(200, framing, &[]), "ok");
        let line = written.lines().find_map(|l| l.strip_prefix("Connection: "));
        assert_eq!((line, conn.is_reusable()), (said, reusable), "{request:?} {framing:?}");
        let coded = written.contains("Transfer-Encoding: chunked\r\n");
        assert_eq!(coded, !request.contains("1.0") && !matches!(framing, Framing::Length(_)), "{written}");
        assert!(written.ends_with(if coded { "\r\n\r\n2\r\nok\r\n0\r\n\r\n" } else { "\r\n\r\nok" }), "{written}");
    }
    let (mut conn, _) = begun(GET);
    conn.close_after();
    assert!(answered(&mut conn, &response(200, Framing::None, &[]), "").contains("Connection: close\r\n"));
    assert!(!conn.is_reusable());
    assert!(!ready(conn.poll_request(&mut cx(), &mut RequestHead::default())).unwrap(), "no further request is read");
}

#[test]
fn responses_without_a_body_keep_what_measures_it() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, status, framing, came, length) in [
        (head, 200, Framing::None, Some("5"), Some("5")),
        (head, 200, Framing::Length(7), Some("5"), Some("7")),
        (head, 200, Framing::None, None, None),
        (head, 200, Framing::Chunked, None, None),
        (GET, 304, Framing::None, Some("5"), Some("5")),
        (GET, 304, Framing::None, Some("nonsense"), None),
        (GET, 204, Framing::None, Some("5"), None),
        (GET, 200, Framing::None, Some("5"), Some("0")),
    ] {
        let (mut conn, _) = begun(request);
        let fields: Vec<_> = came.map(|n| ("Content-Length", n)).into_iter().collect();
        let written = answered(&mut conn, &response(status, framing, &fields), "");
        let lengths: Vec<_> = written.lines().filter_map(|l| l.strip_prefix("Content-Length: ")).collect();
        assert_eq!(lengths, length.into_iter().collect::<Vec<_>>(), "{request:?} {status} {framing:?}");
        assert!(!written.contains("Transfer-Encoding") && written.ends_with("\r\n\r\n") && conn.is_reusable());
    }
    // A body given for such a response is not sent.
    let (mut conn, _) = begun(head);
    assert!(answered(&mut conn, &response(404, Framing::Length(9), &[]), "not found").ends_with("Content-Length: 9\r\n\r\n"));
    assert!(conn.is_reusable());
}

#[test]
fn only_the_writer_says_how_a_message_is_framed() {
    let (mut conn, _) = begun(GET);
    let fields = [
        ("X-One", "1"),
        ("content-length", "99"),
        ("Transfer-Encoding", "gzip"),
        ("connection", "X-One"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "close"),
        ("Upgrade", "h2c"),
        ("x-LAST", "a\r\nInjected: 1\0"),
        ("bad name", "v"),
    ];
    let written = answered(&mut conn, &response(200, Framing::Length(2), &fields), "ok");
    assert_eq!(written, "HTTP/1.1 200 OK\r\nX-One: 1\r\nx-LAST: a  Injected: 1 \r\nContent-Length: 2\r\n\r\nok");
    let mut odd = response(299, Framing::None, &[]);
    odd.reason = "Fi\r\nne: x".into();
    let (mut conn, _) = begun(GET);
    assert_eq!(answered(&mut conn, &odd, ""), "HTTP/1.1 299 Fi  ne: x\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn trailers_go_out_with_the_chunked_coding_only() {
    let trailers: Fields =
        [("X-Sum", &b"7"[..]), ("Content-Length", b"1"), ("X-Forwarded-For", b"1.2.3.4")].into_iter().collect();
    for (request, ending) in [(GET, "1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n"), ("GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\nx")]
    {
        let (mut conn, _) = begun(request);
        conn.send_head(&response(200, Framing::Chunked, &[]));
        send(&mut conn, b"x");
        conn.send_end(Some(&trailers)).unwrap();
        ready(conn.poll_flush(&mut cx())).unwrap();
        assert!(text(&conn.get_ref().written).ends_with(ending), "{}", text(&conn.get_ref().written));
    }
}

#[test]
fn row_30_expectations_and_interim_responses() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let (mut conn, head) = begun(request);
    assert!(head.expect_continue && conn.poll_frame(&mut cx()).is_pending());
    assert!(!ready(conn.poll_drain(&mut cx(), 100)), "a withheld body is not waited for");
    conn.send_informational(&response(103, Framing::None, &[("Link", "</x>")]));
    conn.send_informational(&response(100, Framing::None, &[("Content-Length", "3")]));
    conn.send_informational(&response(101, Framing::None, &[]));
    ready(conn.poll_flush(&mut cx())).unwrap();
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(text(&conn.get_ref().written), interim);
    conn.get_mut().push(b"ok");
    assert_eq!(read_body(&mut conn, 1).bytes, b"ok");
    assert_eq!(answered(&mut conn, &response(200, Framing::None, &[]), ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(conn.is_reusable());

    let (mut conn, head) = begun("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    conn.send_informational(&response(100, Framing::None, &[]));
    ready(conn.poll_flush(&mut cx())).unwrap();
    assert!(!head.expect_continue && conn.get_ref().written.is_empty(), "HTTP/1.0 knows no interim responses");
}

#[test]
fn an_idle_connection_is_told_from_a_slow_one_and_holds_no_memory() {
    assert!(size_of::<ServerConn<()>>() <= 512, "{}", size_of::<ServerConn<()>>());
    let mut conn = conn("");
    let mut head = RequestHead::default();
    for _ in 0..3 {
        assert!(conn.poll_request(&mut cx(), &mut head).is_pending());
        assert!(!conn.head_started());
        assert_eq!(conn.buffered_capacity(), 0);
        conn.get_mut().push(b"GET / HT");
        assert!(conn.poll_request(&mut cx(), &mut head).is_pending());
        assert!(conn.head_started());
        conn.get_mut().push(b"TP/1.1\r\nHost: a\r\n\r\n");
        assert!(ready(conn.poll_request(&mut cx(), &mut head)).unwrap());
        answered(&mut conn, &response(200, Framing::Length(5), &[]), "hello");
    }
}

#[test]
fn a_slow_head_can_be_answered() {
    let mut conn = conn("GET / HT");
    assert!(conn.poll_request(&mut cx(), &mut RequestHead::default()).is_pending());
    let written = answered(&mut conn, &response(408, Framing::None, &[]), "");
    assert_eq!(written, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(!conn.is_reusable());
}

#[test]
fn a_client_that_goes_is_noticed_and_what_it_sent_ahead_is_kept() {
    let (mut conn, _) = begun(&format!("{GET}{GET}"));
    assert!(conn.poll_gone(&mut cx()).is_pending());
    conn.get_mut().push(b"GET /third HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(conn.poll_gone(&mut cx()).is_pending());
    conn.get_mut().push(&[b'x'; 100_000]);
    assert!(conn.poll_gone(&mut cx()).is_pending());
    assert!(conn.get_ref().pieces.iter().map(Vec::len).sum::<usize>() > 60_000, "reads ahead no more than the head limit");
    assert!(conn.buffered_capacity() <= 128 * 1024);
    let mut head = RequestHead::default();
    for target in ["/", "/third"] {
        answered(&mut conn, &response(200, Framing::None, &[]), "");
        assert!(ready(conn.poll_request(&mut cx(), &mut head)).unwrap());
        assert_eq!(head.target, target);
    }

    let (mut conn, _) = begun(GET);
    conn.get_mut().open = false;
    assert_eq!(ready(conn.poll_gone(&mut cx())).kind, Kind::Closed);
}

#[test]
fn a_short_unread_body_is_drained_and_a_long_one_is_not() {
    for (most, drained) in [(100, true), (3, false)] {
        let (mut conn, _) = begun("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
        answered(&mut conn, &response(200, Framing::None, &[]), "");
        assert!(!conn.is_reusable() && !conn.request_body_done());
        assert!(conn.poll_drain(&mut cx(), most).is_pending());
        conn.get_mut().push(b"llo");
        assert_eq!(ready(conn.poll_drain(&mut cx(), most)), drained);
        assert_eq!(conn.is_reusable(), conn.request_body_done());
        assert!(conn.is_reusable() || !drained);
    }
}

#[test]
fn an_answer_before_a_long_body_says_that_the_connection_ends() {
    for (length, ends) in [(5_000_000, true), (65_536, false)] {
        let (mut conn, _) = begun(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        conn.leave_body_unread();
        let text = answered(&mut conn, &response(404, Framing::None, &[]), "");
        assert_eq!(text.contains("Connection: close"), ends, "{text}");
    }
}

#[test]
fn closing_reads_on_for_a_while_so_that_the_answer_arrives() {
    let (mut conn, _) = begun("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
    answered(&mut conn, &response(413, Framing::None, &[]), "");
    assert!(conn.poll_close(&mut cx()).is_pending());
    assert!(conn.get_ref().shut);
    conn.get_mut().push(&[0; 100_000]);
    assert!(conn.poll_close(&mut cx()).is_pending(), "the client may still be sending");
    conn.get_mut().push(&[0; 1_000_000]);
    ready(conn.poll_close(&mut cx()));
    let left: usize = conn.get_ref().pieces.iter().map(Vec::len).sum();
    assert!(left > 600_000, "bounded: {left}");

    let (mut conn, _) = begun(GET);
    answered(&mut conn, &response(200, Framing::None, &[]), "");
    ready(conn.poll_close(&mut cx()));
    assert!(conn.get_ref().shut, "nothing is outstanding, nothing is waited for");
}

#[test]
fn an_aborted_exchange_never_looks_complete() {
    let (mut conn, _) = begun(GET);
    conn.send_head(&response(200, Framing::Chunked, &[]));
    send(&mut conn, b"part");
    ready(conn.poll_flush(&mut cx())).unwrap();
    send(&mut conn, b"more");
    conn.abort();
    assert!(ready(conn.poll_send(&mut cx(), b"late")).is_err());
    conn.send_end(None).unwrap();
    ready(conn.poll_flush(&mut cx())).unwrap();
    ready(conn.poll_close(&mut cx()));
    assert!(text(&conn.get_ref().written).ends_with("4\r\npart\r\n"));
    assert!(conn.is_aborted() && !conn.is_reusable() && !conn.get_ref().shut);
}

#[test]
fn a_body_must_fit_its_declared_length() {
    let (mut conn, _) = begun(GET);
    conn.send_head(&response(200, Framing::Length(3), &[]));
    assert_eq!(ready(conn.poll_send(&mut cx(), b"four")).unwrap_err().side, crate::http::Side::Fairlead);
    send(&mut conn, b"tw");
    assert!(conn.send_end(None).is_err() && !conn.is_reusable());
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn row_103_bytes_before_a_101_belong_to_nobody_yet() {
    let ahead = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for split in [false, true] {
        for status in [101, 403] {
            let (mut conn, head) = if split {
                let (mut conn, head) = begun(UPGRADE);
                conn.get_mut().push(ahead.as_bytes());
                (conn, head)
            } else {
                begun(&format!("{UPGRADE}{ahead}"))
            };
            assert!(head.upgrade && head.framing == Framing::None);
            assert!(matches!(ready(conn.poll_frame(&mut cx())), Ok(Frame::End(None))), "they are no request body");
            assert!(conn.poll_gone(&mut cx()).is_pending());
            let fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "x")];
            let framing = if status == 101 { Framing::Tunnel } else { Framing::None };
            let written = answered(&mut conn, &response(status, framing, &fields), "");
            if status == 101 {
                let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n\r\n";
                assert_eq!(written, head);
                assert!(!conn.is_reusable());
                assert!(!ready(conn.poll_request(&mut cx(), &mut RequestHead::default())).unwrap(), "never parsed");
                assert_eq!(conn.into_parts().1, ahead);
            } else {
                assert!(!written.contains("Upgrade"), "{written}");
                let mut head = RequestHead::default();
                assert!(ready(conn.poll_request(&mut cx(), &mut head)).unwrap());
                assert_eq!(head.target, "/admin");
            }
        }
    }
}

#[test]
fn row_91_only_real_upgrades_count() {
    for (version, fields, upgrade) in [
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", true),
        ("1.1", "Upgrade: websocket\r\n", false),
        ("1.1", "Connection: upgrade\r\n", false),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", false),
        ("1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", false),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n", false),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", false),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", true),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", false),
    ] {
        let (_, head) = begun(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(head.upgrade, upgrade, "{fields}");
    }
}

#[test]
fn connect_hands_the_stream_over() {
    let (mut conn, head) = begun("CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\nhello");
    assert_eq!(head.authority, "b.example:443");
    assert_eq!(answered(&mut conn, &response(200, Framing::Tunnel, &[("Content-Length", "3")]), ""), "HTTP/1.1 200 OK\r\n\r\n");
    assert!(!conn.is_reusable());
    assert_eq!(conn.into_parts().1, "hello");
}

#[test]
fn small_answers_are_one_write_and_large_ones_are_not_copied() {
    for vectored in [true, false] {
        let (mut conn, _) = begun(GET);
        conn.get_mut().vectored = vectored;
        answered(&mut conn, &response(200, Framing::Chunked, &[]), "hello");
        assert_eq!(conn.get_ref().writes.len(), 1);
        assert_eq!(conn.buffered_capacity(), 0, "nothing is held once all is written");

        let (mut conn, _) = begun(GET);
        conn.get_mut().vectored = vectored;
        let data = vec![b'x'; 60_000];
        conn.send_head(&response(200, Framing::Length(120_000), &[]));
        send(&mut conn, &data);
        send(&mut conn, &data);
        conn.send_end(None).unwrap();
        ready(conn.poll_flush(&mut cx())).unwrap();
        let io = conn.get_ref();
        assert!(io.writes.len() == 2 && io.writes[1] == 60_000 && io.written.len() > 120_000, "{:?}", io.writes);
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_sender() {
    for (framing, vectored, piece) in [
        (Framing::Chunked, true, 100),
        (Framing::Chunked, true, 50_000),
        (Framing::Chunked, false, 50_000),
        (Framing::Length(1 << 30), true, 100),
        (Framing::Length(1 << 30), true, 50_000),
        (Framing::Length(1 << 30), false, 50_000),
    ] {
        let (mut conn, _) = begun(GET);
        (conn.get_mut().vectored, conn.get_mut().write_until) = (vectored, 1000);
        conn.send_head(&response(200, framing, &[]));
        let data = vec![b'x'; piece];
        let mut taken = 0;
        while let Poll::Ready(n) = conn.poll_send(&mut cx(), &data) {
            taken += n.unwrap();
            assert!(taken <= 140_000, "bounded");
        }
        assert!(conn.buffered_capacity() <= 128 * 1024 + 8 * 1024, "{}", conn.buffered_capacity());
        let xs = |conn: &ServerConn<Script>| conn.get_ref().written.iter().filter(|&&b| b == b'x').count();
        assert_eq!(conn.poll_flush(&mut cx()).is_pending(), xs(&conn) < taken);
        conn.get_mut().write_until = 0;
        ready(conn.poll_flush(&mut cx())).unwrap();
        assert_eq!(xs(&conn), taken, "what was taken is what was written");
        assert_eq!(conn.buffered_capacity(), 0);
    }
}
