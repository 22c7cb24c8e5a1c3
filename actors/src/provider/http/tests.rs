use super::*;
use crate::provider::fake::{Fake, Reply};

fn client(fake: &Fake) -> Client {
    client_with(fake, |_| {})
}

fn client_with(fake: &Fake, adapt: impl FnOnce(&mut Options)) -> Client {
    let mut options = Options::new("--providers.test.tls");
    adapt(&mut options);
    let endpoint = Endpoint::Tcp { host: fake.address.ip().to_string(), port: fake.address.port(), secure: false };
    Client::new(endpoint, options)
}

/// Runs on both arms.
macro_rules! both {
    ($($name:ident $body:block)*) => { $(
        #[cfg_attr(madsim, madsim::test)]
        #[cfg_attr(not(madsim), tokio::test)]
        async fn $name() {
            Fake::world();
            $body
        }
    )* };
}

both! {
    one_connection_serves_all_requests_and_only_get_is_ever_said {
        let fake = Fake::start(|request| match request.path() {
            "/length" => Reply::ok("whole"),
            "/chunks" => Reply::Chunked(3, "in many chunks".into()),
            _ => Reply::status(404, r#"{"message":"no such thing"}"#),
        });
        let mut client = client(&fake);
        for _ in 0..2 {
            assert_eq!(client.get("/length").await.expect("an answer").body, "whole");
            assert_eq!(client.get("/chunks?a=b").await.expect("an answer").body, "in many chunks");
            let refused = client.get("/other").await.expect("an answer");
            assert_eq!((refused.status, &refused.body[..]), (404, &br#"{"message":"no such thing"}"#[..]));
        }
        let asked = fake.asked();
        assert_eq!(asked.len(), 6);
        assert!(asked.iter().all(|request| request.method == "GET" && request.connection == 1), "{asked:?}");
    }

    a_known_body_is_found_equal_and_any_other_is_returned_whole {
        let mut bodies = ["abc", "abc", "abd", "ab", "abc", "abcdef"].into_iter();
        let fake = Fake::start(move |_| Reply::Chunked(2, bodies.next().unwrap_or_default().into()));
        let mut client = client(&fake);
        let known = client.get("/").await.expect("an answer").body;
        for (expected, is_known) in [("abc", true), ("abd", false), ("ab", false), ("abc", true), ("abcdef", false)] {
            let response = client.get_unless("/", &known).await.expect("an answer");
            assert_eq!((&response.body[..], response.is_known), (expected.as_bytes(), is_known));
            assert_eq!(response.body.as_ptr() == known.as_ptr(), is_known || expected == "ab");
        }
    }

    a_connection_that_died_while_it_was_kept_is_replaced {
        let fake = Fake::start(|_| Reply::ok("here"));
        let mut client = client(&fake);
        client.get("/").await.expect("an answer");
        fake.cut();
        assert_eq!(client.get("/").await.expect("an answer").body, "here");
        assert_eq!(fake.asked().last().expect("a request").connection, 2);
    }

    a_body_that_is_cut_or_too_long_is_an_error_and_never_an_answer {
        let fake = Fake::start(|request| match request.path() {
            "/cut" => Reply::Cut(3, "[1,2,3]".into()),
            "/raw" => Reply::Raw("SSH-2.0-OpenSSH\r\n\r\n".into()),
            "/close" => Reply::Close,
            _ => Reply::Chunked(100, "x".repeat(1001)),
        });
        let mut client = client_with(&fake, |options| options.max_body = 1000);
        for (path, fault) in
            [("/cut", Fault::Broken), ("/raw", Fault::Broken), ("/close", Fault::Broken), ("/long", Fault::TooLarge)]
        {
            assert_eq!(client.get(path).await.expect_err(path).fault, fault, "{path}");
        }
    }

    a_server_that_falls_silent_is_given_up {
        let fake = Fake::start(|request| match request.path() {
            "/head" => Reply::Hang,
            _ => Reply::Stall(3, "[1,2,3]".into()),
        });
        let short = Duration::from_millis(50);
        let mut client = client_with(&fake, |options| (options.head, options.idle) = (short, short));
        for path in ["/head", "/body"] {
            assert_eq!(client.get(path).await.expect_err(path).fault, Fault::Late, "{path}");
        }
    }

    a_stream_gives_pieces_as_they_come_and_says_when_it_ends {
        let lines = tokio::sync::watch::Sender::new(vec!["one".to_owned()]);
        let receiver = lines.subscribe();
        let fake = Fake::start(move |_| Reply::Follow(receiver.clone()));
        let mut stream = client(&fake).stream("/events").await.expect("an answer");
        assert_eq!(stream.status, 200);
        assert_eq!(stream.next().await.expect("a piece").as_deref(), Some(&b"one\n"[..]));
        lines.send_modify(|lines| lines.push("two".into()));
        assert_eq!(stream.next().await.expect("a piece").as_deref(), Some(&b"two\n"[..]));
        fake.cut();
        assert_eq!(stream.next().await.expect_err("it was cut").fault, Fault::Broken);
    }

    credentials_are_sent_and_an_absent_server_is_named {
        let fake = Fake::start(|_| Reply::ok(""));
        let mut client = client_with(&fake, |options| {
            options.credentials = Some(("Aladdin".into(), Secret::new("open sesame".into())));
        });
        client.get("/").await.expect("an answer");
        assert_eq!(fake.asked()[0].field("Authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        let absent = Client::new(Endpoint::Unix("/nonexistent/docker.sock".into()), Options::new("--providers.test.tls"));
        let error = absent.stream("/events").await.err().expect("nobody is there");
        assert_eq!(error.fault, Fault::Unreachable);
        assert!(error.message.contains("no such socket"), "{error}");
    }
}

#[test]
fn base64_as_in_the_rfc() {
    for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
    {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
