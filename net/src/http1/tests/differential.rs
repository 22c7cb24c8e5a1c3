//! The same bytes through hyper's HTTP/1: what we accept hyper accepts with the same meaning, and valid messages pass both.

use super::*;
use ::http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;

/// A message as both understand it: start line, fields by lower-cased name, body.
type Meaning = (String, Vec<(String, Vec<u8>)>, Vec<u8>);

fn sorted(mut lines: Lines) -> Lines {
    lines.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    // The order among lines of one name has meaning; the order of names has none.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}

fn of_hyper(headers: &::http::HeaderMap) -> Lines {
    sorted(headers.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn our_request(bytes: &[u8]) -> Option<Meaning> {
    let mut conn = ServerConn::new(Script::ending([bytes.to_vec()]), Limits::default(), BytesMut::new());
    let mut head = RequestHead::default();
    if !ready(conn.poll_request(&mut cx(), &mut head)).ok()? {
        return None;
    }
    let body = read_body(&mut conn, usize::MAX);
    let start = format!("{} {} {:?}", head.method.as_str(), head.target, head.version);
    body.failed.is_none().then(|| (start, sorted(lines(&head.fields)), body.bytes))
}

fn hyper_request(bytes: &[u8]) -> Option<Meaning> {
    run(async {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        peer.write_all(bytes).await.unwrap();
        peer.shutdown().await.unwrap();
        let heard = Arc::new(Mutex::new(None));
        let first = Arc::clone(&heard);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let first = Arc::clone(&first);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await;
                let version = if head.version == ::http::Version::HTTP_10 { "Http10" } else { "Http11" };
                let start = format!("{} {} {version}", head.method, head.uri);
                let meaning = body.ok().map(|body| (start, of_hyper(&head.headers), body.to_bytes().to_vec()));
                first.lock().unwrap().get_or_insert(meaning);
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        // Its verdict on the connection also concerns what follows the first request, which is not compared.
        let _verdict =
            hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(io), service).await;
        heard.lock().unwrap().take().flatten()
    })
}

fn our_response(bytes: &[u8]) -> Option<Meaning> {
    match ask(&get(), Script::ending([bytes.to_vec()]), Limits::default()).0 {
        Answer::Response { status, fields, body, .. } if body.failed.is_none() => {
            Some((status.to_string(), sorted(fields), body.bytes))
        }
        _ => None,
    }
}

fn hyper_response(bytes: &[u8]) -> Option<Meaning> {
    run(async {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let (mut sender, conn) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
        let request = Request::get("/").header("host", "a.example").body(Full::<Bytes>::default()).unwrap();
        let asked = async {
            let response = sender.send_request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some((head.status.as_str().to_owned(), of_hyper(&head.headers), body.to_vec()))
        };
        let answered = async {
            // hyper takes bytes that come before it asked for a protocol error.
            let mut asked = [0; 1024];
            let _n = tokio::io::AsyncReadExt::read(&mut peer, &mut asked).await.unwrap();
            let _may_have_hung_up = peer.write_all(bytes).await;
            let _may_have_hung_up = peer.shutdown().await;
        };
        let (answer, _verdict, ()) = tokio::join!(asked, conn, answered);
        answer
    })
}

fn value() -> impl Strategy<Value = String> {
    "[!-~]([ -~\t\u{e4}]{0,10}[!-~])?"
}

fn field_lines() -> impl Strategy<Value = String> {
    prop::collection::vec(("X[A-Za-z0-9_-]{0,8}", value()).prop_map(|(n, v)| format!("{n}: {v}\r\n")), 0..5)
        .prop_map(|lines| lines.concat())
}

/// A body with the field that frames it.
fn framed() -> impl Strategy<Value = (String, String)> {
    let chunk = "[ -~]{1,20}".prop_map(|data| format!("{:x}\r\n{data}\r\n", data.len()));
    prop_oneof![
        Just((String::new(), String::new())),
        "[ -~]{0,30}".prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body)),
        prop::collection::vec(chunk, 0..4)
            .prop_map(|chunks| ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{}0\r\n\r\n", chunks.concat()))),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"]);
    let target = "/[a-z0-9/.%~_-]{0,12}(\\?[a-z0-9=&{|}]{0,8})?";
    (method, target, field_lines(), framed()).prop_map(|(method, target, fields, (framing, body))| {
        format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{fields}{framing}\r\n{body}").into_bytes()
    })
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let status = prop::sample::select(vec!["200 OK", "404 Not Found", "500 x y", "204 No Content", "304 ", "299 \u{e4}"]);
    (status, field_lines(), framed()).prop_filter_map("a body where none may be", |(status, fields, (framing, body))| {
        let empty = matches!(&status[..3], "204" | "304");
        (!empty || body.is_empty()).then(|| format!("HTTP/1.1 {status}\r\n{fields}{framing}\r\n{body}").into_bytes())
    })
}

/// Small damage, mostly of the kind that smuggling is made of.
fn damage() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    let insert = prop_oneof![
        3 => prop::sample::select(vec![
            "\r", "\n", "\r\n", " ", "\t", "\0", ":", ",", ";", "0", "5", "f", "+", "-", "_", "#", "\u{b}", "\u{a0}", "\"", "\\", "/", "x", "A", "HTTP/1.0",
            "Content-Length: 3\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n", "Host: b\r\n", "Expect: 100-continue\r\n",
            "Connection: close\r\n", "0\r\n\r\n",
        ]).prop_map(|s: &str| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec((any::<usize>(), 0..3_usize, insert), 1..4)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
    for (at, removed, inserted) in damage {
        let at = at % (bytes.len() + 1);
        let to = (at + removed).min(bytes.len());
        bytes.splice(at..to, inserted.iter().copied());
    }
    bytes
}

/// Whether the target is one of which both must think alike. Not: a target in absolute or other special form, which hyper writes in its
/// own way and whose authority is judged later here; and quotes or angle brackets in a query, which hyper refuses and we let pass.
fn comparable(meaning: &Meaning) -> bool {
    let target = meaning.0.split(' ').nth(1).unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    target.starts_with('/') && !query.contains(['"', '<', '>', '`'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn valid_requests_mean_the_same(bytes in request()) {
        let ours = our_request(&bytes);
        prop_assert!(ours.is_some(), "{}", text(&bytes));
        prop_assert_eq!(hyper_request(&bytes), ours);
    }

    #[test]
    fn damaged_requests_that_pass_mean_the_same(bytes in request(), damage in damage()) {
        let bytes = damaged(bytes, &damage);
        if let Some(ours) = our_request(&bytes).filter(comparable) {
            prop_assert_eq!(hyper_request(&bytes), Some(ours), "{}", text(&bytes));
        }
    }

    #[test]
    fn valid_responses_mean_the_same(bytes in response()) {
        let ours = our_response(&bytes);
        prop_assert!(ours.is_some(), "{}", text(&bytes));
        prop_assert_eq!(hyper_response(&bytes), ours);
    }

    #[test]
    fn damaged_responses_that_pass_mean_the_same(bytes in response(), damage in damage()) {
        let bytes = damaged(bytes, &damage);
        if let Some(ours) = our_response(&bytes) {
            prop_assert_eq!(hyper_response(&bytes), Some(ours), "{}", text(&bytes));
        }
    }
}
