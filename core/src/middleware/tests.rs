//! The stages through [`Stage`], as the proxy uses them.

use super::*;
use crate::{
    config::dynamic::{BasicAuth, Depth, HeaderEdits, IpRange, RateLimit, SourceCriterion},
    http::{
        Fields, Host, Scheme, VecFields,
        path::{self, PathPolicy},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use std::borrow::Cow;

const SALT: [u8; 16] = [7; 16];
const SECOND: Duration = Duration::from_secs(1);

fn stage(kind: MiddlewareKind) -> Stage {
    Stage::new(&Middleware { name: Name::whole("m@test"), kind, source: String::new() })
}

/// A request, kept whole so that a test can look at what a stage made of it.
struct Exchange {
    method: &'static str,
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    path: String,
    query: Option<String>,
    client: &'static str,
    fields: VecFields,
    now: Duration,
    user: Option<String>,
}

fn get(path: &str) -> Exchange {
    Exchange {
        method: "GET",
        scheme: Scheme::Http,
        host: Host::parse(b"example.test").unwrap().0,
        port: None,
        path: path.to_owned(),
        query: None,
        client: "192.0.2.1",
        fields: VecFields::default(),
        now: Duration::ZERO,
        user: None,
    }
}

impl Exchange {
    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.append(name, value.as_bytes());
        self
    }

    fn with<T>(&mut self, run: impl FnOnce(&mut Request<'_, &mut VecFields>, &mut Ctx) -> T) -> T {
        let mut ctx = Ctx { now: self.now, user: None };
        let mut req = Request {
            method: self.method,
            scheme: self.scheme,
            host: &self.host,
            port: self.port,
            path: Cow::Owned(self.path.clone()),
            query: self.query.clone().map(Cow::Owned),
            client: self.client.parse().unwrap(),
            fields: &mut self.fields,
        };
        let result = run(&mut req, &mut ctx);
        self.path = req.path.into_owned();
        self.user = ctx.user;
        result
    }

    fn through(&mut self, stage: &Stage) -> Option<LocalResponse> {
        self.through_with(stage, &StageState::new(SALT))
    }

    /// Verifies passwords on the spot.
    fn through_with(&mut self, stage: &Stage, state: &StageState) -> Option<LocalResponse> {
        let flow = self.with(|req, ctx| match stage.request(state, req, ctx) {
            Flow::Authenticate(check) => stage.settle(state, req, check.verify()),
            flow => flow,
        });
        match flow {
            Flow::Continue => None,
            Flow::Respond(response) => Some(response),
            Flow::Authenticate(_) => panic!("settling asked again"),
        }
    }
}

fn value<'a>(response: &'a LocalResponse, name: &str) -> Option<&'a str> {
    let (_, value) = response.fields.iter().find(|(other, _)| other == name)?;
    Some(std::str::from_utf8(value).unwrap())
}

fn redirect_of(response: Option<LocalResponse>) -> Option<(u16, String)> {
    response.map(|response| (response.status, value(&response, "Location").unwrap_or("none").to_owned()))
}

fn strip(prefixes: &[&str]) -> Stage {
    stage(MiddlewareKind::StripPrefix { prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect() })
}

#[test]
fn add_prefix_goes_before_the_path() {
    for (prefix, path, want) in [("/foo", "/bar", "/foo/bar"), ("foo", "/bar", "/foo/bar"), ("/a b", "/%20", "/a%20b/%20")] {
        let mut exchange = get(path);
        assert!(exchange.through(&stage(MiddlewareKind::AddPrefix { prefix: prefix.into() })).is_none());
        assert_eq!(exchange.path, want);
    }
}

#[test]
fn strip_prefix_takes_the_first_that_matches_and_says_which() {
    for (prefixes, path, want, said) in [
        (&["/foo"][..], "/foobar", "/bar", Some("/foo")),
        (&["/foo", "/fo"], "/foo/bar", "/bar", Some("/foo")),
        (&["/fo", "/foo"], "/foo/bar", "/o/bar", Some("/fo")),
        (&["/foo"], "/foo", "/", Some("/foo")),
        (&["/foo/"], "/foo/", "/", Some("/foo/")),
        (&["/foo"], "/Foo/bar", "/Foo/bar", None),
        (&["/a b"], "/a%20b/c", "/c", Some("/a%20b")),
        (&["/a%2fb", "/x"], "/a%2Fb/c", "/c", Some("/a%2Fb")),
        (&["/%66oo"], "/foo/c", "/c", Some("/foo")),
    ] {
        let mut exchange = get(path);
        assert!(exchange.through(&strip(prefixes)).is_none(), "{path}");
        assert_eq!(
            (exchange.path.as_str(), exchange.fields.all("X-Forwarded-Prefix")),
            (want, said.map(str::to_owned).into_iter().collect())
        );
    }
}

#[test]
fn what_could_be_read_as_another_path_is_refused() {
    for path in ["/foo//x", "/foo../x", "/foo./x", "/foo..", "/foo/../x", "/foo%2e%2E/x"] {
        let mut exchange = get(path);
        let response = exchange.through(&strip(&["/foo"])).unwrap();
        assert_eq!((response.status, response.reason), (400, Reason::InvalidPath), "{path}");
    }
    assert!(get("/foo...").through(&strip(&["/foo"])).is_none());
}

#[test]
fn replace_path_tells_the_old_one_and_nobody_else_does() {
    let mut exchange = get("/old%20path").field("X-Replaced-Path", "/forged").field("X_Replaced_Path", "/forged");
    exchange.query = Some("q=1".into());
    assert!(exchange.through(&stage(MiddlewareKind::ReplacePath { path: "/new?".into() })).is_none());
    assert_eq!((exchange.path.as_str(), exchange.query.as_deref()), ("/new%3F", Some("q=1")));
    assert_eq!(exchange.fields, VecFields::of(&[("X-Replaced-Path", "/old%20path")]));
}

#[test]
fn redirect_scheme_forces_scheme_and_port() {
    let to = |scheme: &str, port, permanent| stage(MiddlewareKind::RedirectScheme { scheme: scheme.into(), port, permanent });
    let mut exchange = get("/a%20b");
    exchange.query = Some("x=//y".into());
    exchange.port = Some(8080);
    assert_eq!(redirect_of(exchange.through(&to("https", None, false))), Some((302, "https://example.test/a%20b?x=//y".into())));
    assert_eq!(
        redirect_of(exchange.through(&to("https", Some(443), true))),
        Some((301, "https://example.test/a%20b?x=//y".into()))
    );
    exchange.method = "POST";
    assert_eq!(
        redirect_of(exchange.through(&to("https", Some(8443), true))),
        Some((308, "https://example.test:8443/a%20b?x=//y".into()))
    );
    exchange.method = "HEAD";
    assert_eq!(
        redirect_of(exchange.through(&to("HTTPS", Some(80), false))),
        Some((307, "https://example.test:80/a%20b?x=//y".into()))
    );
    // A path of two slashes stays behind the host.
    assert_eq!(
        redirect_of(get("//evil.test/x").through(&to("https", None, false))),
        Some((302, "https://example.test//evil.test/x".into()))
    );
    let mut exchange = get("/");
    exchange.host = Host::parse(b"[2001:db8::1]").unwrap().0;
    assert_eq!(redirect_of(exchange.through(&to("https", None, false))), Some((302, "https://[2001:db8::1]/".into())));
}

#[test]
fn redirect_scheme_lets_pass_what_is_there_already() {
    let https = stage(MiddlewareKind::RedirectScheme { scheme: "https".into(), port: None, permanent: false });
    for proto in ["https", "wss", "HTTPS"] {
        assert!(get("/").field("X-Forwarded-Proto", proto).through(&https).is_none(), "{proto}");
    }
    for proto in ["http", "ws", "ftp"] {
        assert!(get("/").field("X-Forwarded-Proto", proto).through(&https).is_some(), "{proto}");
    }
    let mut exchange = get("/");
    exchange.scheme = Scheme::Https;
    exchange.port = Some(443);
    assert!(exchange.through(&https).is_none());
    exchange.port = Some(444);
    assert_eq!(redirect_of(exchange.through(&https)), Some((302, "https://example.test/".into())));
}

#[test]
fn a_request_without_a_host_is_not_redirected() {
    let mut exchange = get("/");
    exchange.host = Host::default();
    let https = stage(MiddlewareKind::RedirectScheme { scheme: "https".into(), port: None, permanent: false });
    assert_eq!(exchange.through(&https).unwrap().reason, Reason::InvalidHost);
}

fn regex(pattern: &str, replacement: &str) -> Stage {
    stage(MiddlewareKind::RedirectRegex {
        regex: regex::Regex::new(pattern).unwrap(),
        replacement: replacement.into(),
        permanent: false,
    })
}

#[test]
fn redirect_regex_rewrites_the_whole_url() {
    let mut exchange = get("/foo/bar");
    exchange.port = Some(8080);
    exchange.query = Some("a=b".into());
    let moved = regex("^http://([^/]+)/foo/(.*)", "https://${1}/bar/$2");
    assert_eq!(redirect_of(exchange.through(&moved)), Some((302, "https://example.test:8080/bar/bar?a=b".into())));
    assert!(exchange.through(&regex("^https://", "http://")).is_none());
    assert!(exchange.through(&regex("foo", "foo")).is_none(), "the same URL goes on");
}

#[test]
fn a_location_never_names_another_host_by_slashes() {
    let tail = regex("^http://[^/]+/r/(.*)", "/$1");
    for (path, want) in [
        ("/r/x", "/x"),
        ("/r//evil.test", "/evil.test"),
        ("/r////evil.test", "/evil.test"),
        ("/r/\\evil.test", "/%5Cevil.test"),
        ("/r/\t/evil.test", "/%09/evil.test"),
        ("/r/\r\nSet-Cookie:x", "/%0D%0ASet-Cookie:x"),
        ("/r/é", "/%C3%A9"),
        ("/r/:///x", "/:///x"),
    ] {
        assert_eq!(redirect_of(get(path).through(&tail)), Some((302, want.into())));
    }
    assert_eq!(get("/").through(&regex(".*", "https:///x")).unwrap().reason, Reason::InvalidHost);
}

#[test]
fn headers_set_and_remove_but_never_touch_framing() {
    let edits =
        |list: &[(&str, &str)]| list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    let headers = stage(MiddlewareKind::Headers(HeaderEdits {
        request: edits(&[
            ("X-Set", "1"),
            ("X-Gone", ""),
            ("Host", "other.test"),
            ("Content-Length", "0"),
            ("transfer-encoding", ""),
            ("X-Forwarded-For", ""),
        ]),
        response: edits(&[("Server", ""), ("X-Frame-Options", "DENY"), ("Content-Length", "3")]),
        append_request: edits(&[("X-Set", "2"), ("Content-Length", "0")]),
        append_response: edits(&[("Set-Cookie", "b=2"), ("Server", "")]),
    }));
    let mut exchange =
        get("/").field("X-Gone", "a").field("X-Set", "0").field("Transfer-Encoding", "chunked").field("Host", "example.test");
    assert!(exchange.through(&headers).is_none());
    assert_eq!(
        exchange.fields,
        VecFields::of(&[("X-Set", "1"), ("Transfer-Encoding", "chunked"), ("Host", "other.test"), ("X-Set", "2")])
    );
    assert!(headers.omits_forwarded_for() && headers.edits_response());
    let mut response =
        VecFields::of(&[("Server", "x"), ("X-Frame-Options", "ALLOW"), ("Content-Length", "9"), ("Set-Cookie", "a=1")]);
    headers.response(&mut response);
    let expected = [("X-Frame-Options", "DENY"), ("Content-Length", "9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")];
    assert_eq!(response, VecFields::of(&expected));
}

#[test]
fn an_empty_custom_host_leaves_the_host() {
    let headers =
        stage(MiddlewareKind::Headers(HeaderEdits { request: vec![("host".into(), String::new())], ..Default::default() }));
    let mut exchange = get("/").field("Host", "example.test");
    assert!(exchange.through(&headers).is_none());
    assert!(exchange.fields.get("host").is_some() && !headers.omits_forwarded_for() && !headers.edits_response());
}

fn limiter(average: u64, burst: u64, source: SourceCriterion) -> Stage {
    stage(MiddlewareKind::RateLimit(RateLimit { average, period: SECOND, burst, source }))
}

#[test]
fn thirty_at_once_of_ten_per_second_and_a_burst_of_twenty() {
    let (stage, state) = (limiter(10, 20, SourceCriterion::Ip(Depth::Peer)), StageState::new(SALT));
    let refusals: Vec<_> = (0..30).filter_map(|_| get("/").through_with(&stage, &state)).collect();
    assert_eq!(refusals.len(), 10);
    let refusal = &refusals[0];
    assert_eq!((refusal.status, &*refusal.body), (429, b"Too Many Requests".as_slice()));
    assert_eq!((value(refusal, "Retry-After"), value(refusal, "X-Retry-In")), (Some("1"), Some("100ms")));
    // Another source has its own, and a steady stream passes.
    let mut other = get("/");
    other.client = "192.0.2.2";
    assert!(other.through_with(&stage, &state).is_none());
    for tick in 1..100 {
        let mut exchange = get("/");
        exchange.now = Duration::from_millis(100 * tick);
        assert!(exchange.through_with(&stage, &state).is_none());
    }
}

#[test]
fn no_average_is_no_limit() {
    let (stage, state) = (limiter(0, 1, SourceCriterion::RequestHost), StageState::new(SALT));
    assert!((0..100).all(|_| get("/").through_with(&stage, &state).is_none()));
}

#[test]
fn a_limiter_keeps_its_sources_over_a_new_configuration() {
    let state = StageState::new(SALT);
    let source = || SourceCriterion::RequestHeader("X-Key".into());
    let request = || get("/").field("X-Key", &"k".repeat(9_000));
    assert!((0..5).all(|_| request().through_with(&limiter(1, 5, source()), &state).is_none()));
    assert!(request().through_with(&limiter(1, 50, source()), &state).is_some(), "the bucket is still empty");
    assert!(get("/").field("X-Key", &"k".repeat(9_001)).through_with(&limiter(1, 5, source()), &state).is_none());
    assert!(get("/").through_with(&limiter(1, 5, source()), &state).is_none(), "no key is a key of its own");
}

#[test]
fn sources_are_bounded_and_the_emptied_stay() {
    let sources = rate_limit::Sources::new(SALT);
    let limit = crate::bucket::Limit::new(1, Duration::from_secs(3600), 3);
    let now = Duration::from_secs(1);
    while sources.take(b"greedy", &limit, now).is_ok() {}
    for number in 0..200_000_u32 {
        assert!(sources.take(&number.to_be_bytes(), &limit, now).is_ok());
    }
    assert!(sources.len() <= rate_limit::MAX_SOURCES);
    assert!(sources.take(b"greedy", &limit, now).is_err(), "a flood of others does not refill a bucket");
}

#[test]
fn durations_print_as_in_go() {
    for (nanos, text) in [
        (0, "0s"),
        (999, "999ns"),
        (1_500, "1.5µs"),
        (100_000_000, "100ms"),
        (1_000_000_000, "1s"),
        (1_500_000_000, "1.5s"),
        (60_000_000_000, "1m0s"),
        (3_661_000_000_001, "1h1m1.000000001s"),
    ] {
        assert_eq!(rate_limit::go_duration(Duration::from_nanos(nanos)), text);
    }
}

/// bcrypt at its cheapest, of `secret`.
fn bcrypt_hash() -> String {
    bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap().format_for_version(bcrypt::Version::TwoY)
}

fn auth() -> BasicAuth {
    BasicAuth {
        users: [("ann".to_owned(), bcrypt_hash()), ("bob".to_owned(), "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=".to_owned())].into(),
        realm: "a \"b\"".into(),
        remove_header: false,
        header_field: Some("X-User".into()),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("bAsIc {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn a_known_user_passes_and_is_named_to_the_server() {
    let stage = stage(MiddlewareKind::BasicAuth(auth()));
    for (user, password) in [("ann", "secret"), ("bob", "secret")] {
        let mut exchange =
            get("/").field("Authorization", &basic(user, password)).field("X_User", "root").field("x-user", "root");
        assert!(exchange.through(&stage).is_none(), "{user}");
        assert_eq!(exchange.user.as_deref(), Some(user));
        assert_eq!(exchange.fields.all("X-User"), [user]);
        assert!(exchange.fields.get("X_User").is_none() && exchange.fields.get("Authorization").is_some());
    }
    let removing = super::tests::stage(MiddlewareKind::BasicAuth(BasicAuth { remove_header: true, ..auth() }));
    let mut exchange = get("/").field("Authorization", &basic("ann", "secret"));
    assert!(exchange.through(&removing).is_none() && exchange.fields.get("Authorization").is_none());
}

#[test]
fn all_others_are_challenged() {
    let stage = stage(MiddlewareKind::BasicAuth(auth()));
    let refused = |mut exchange: Exchange| {
        let response = exchange.through(&stage).expect("challenged");
        assert_eq!((response.status, &*response.body), (401, b"401 Unauthorized\n".as_slice()));
        assert_eq!(value(&response, "WWW-Authenticate"), Some("Basic realm=\"a \\\"b\\\"\""));
        assert!(exchange.fields.get("X-User").is_none());
    };
    refused(get("/"));
    for authorization in [
        basic("ann", "wrong"),
        basic("ann", ""),
        basic("eve", "secret"),
        basic("", ""),
        "Basic".into(),
        "Basic !!!".into(),
        "Bearer abcdef".into(),
        format!("Basic {}", STANDARD.encode("no colon")),
        format!("Basic {}", STANDARD.encode(b"\xff:x")),
        basic("ann", &"x".repeat(2_000)),
    ] {
        refused(get("/").field("Authorization", &authorization));
    }
    refused(get("/").field("Authorization", &basic("ann", "secret")).field("Authorization", &basic("ann", "secret")));
}

#[test]
fn a_verified_password_is_not_hashed_again_until_the_hash_changes() {
    let (known, state) = (stage(MiddlewareKind::BasicAuth(auth())), StageState::new(SALT));
    let asks = |stage: &Stage, password: &str| {
        let mut exchange = get("/").field("Authorization", &basic("ann", password));
        exchange.with(|req, ctx| matches!(stage.request(&state, req, ctx), Flow::Authenticate(_)))
    };
    assert!(asks(&known, "secret"));
    assert!(get("/").field("Authorization", &basic("ann", "secret")).through_with(&known, &state).is_none());
    assert!(!asks(&known, "secret"));
    assert!(get("/").field("Authorization", &basic("ann", "wrong")).through_with(&known, &state).is_some());
    assert!(asks(&known, "wrong"), "refusals are not remembered");
    let mut changed = auth();
    changed.users.insert("ann".into(), "{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into());
    assert!(asks(&stage(MiddlewareKind::BasicAuth(changed)), "secret"));
    let mut removed = auth();
    removed.users.remove("ann");
    assert!(
        get("/")
            .field("Authorization", &basic("ann", "secret"))
            .through_with(&stage(MiddlewareKind::BasicAuth(removed)), &state)
            .is_some()
    );
}

#[test]
fn remembered_credentials_are_bounded() {
    assert_eq!(basic_auth::Credentials::new(SALT).remember_for_test(10_000), 4_096);
}

#[test]
fn password_hashes_of_htpasswd_and_openssl() {
    for (password, hash) in [
        ("my secret", "$apr1$abcdefgh$L2iLvynlfRkIRdPk0Gqkc0"),
        ("correct horse battery staple long password", "$1$abcdefgh$uaUGg0T117GwNMFdeNwAm."),
        ("", "$apr1$xy$43..WIhbfuznGvwoCyUek/"),
        ("secret", "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"),
        ("secret", "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1"),
        // The specification's own vectors.
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "Hello world!",
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
        ("secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
        ("secret", &bcrypt_hash()),
    ] {
        assert!(password::verify(password.as_bytes(), hash), "{hash}");
        assert!(!password::verify(format!("{password}x").as_bytes(), hash), "{hash}");
    }
    for hash in
        ["", "secret", "$", "$apr1$", "$apr1$x", "$2y$", "$2y$99$abc", "{SHA}", "$apr1$é$x", "$5$salt$short", "$6$rounds=x$s$y"]
    {
        assert!(!password::verify(b"secret", hash), "{hash}");
    }
    let forever =
        "$6$rounds=999999999$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
    assert!(!password::is_hash(forever) && !password::verify(b"secret", forever), "nobody waits for it");
    assert!(password::cost("$2y$10$x") > password::cost("$2y$04$x"));
    assert!(password::cost("$2y$04$x") > password::cost("$apr1$a$b") && password::cost("$apr1$a$b") > password::cost("{SHA}x"));
}

#[test]
fn the_allow_list_judges_the_address_that_depth_finds() {
    let range = |address: &str, prefix| IpRange { address: address.parse().unwrap(), prefix };
    let list = |depth| {
        stage(MiddlewareKind::IpAllowList {
            ranges: vec![range("10.0.0.0", 8), range("2001:db8::", 32)],
            depth,
            reject_status: 404,
        })
    };
    let passes = |depth: Depth, client: &'static str, forwarded: &str| {
        let mut exchange = get("/");
        exchange.client = client;
        if !forwarded.is_empty() {
            exchange = exchange.field("X-Forwarded-For", forwarded);
        }
        match exchange.through(&list(depth)) {
            None => true,
            Some(response) => {
                assert_eq!(
                    (response.status, response.reason, &*response.body),
                    (404, Reason::Forbidden, b"Not Found".as_slice())
                );
                false
            }
        }
    };
    assert!(
        passes(Depth::Peer, "10.1.2.3", "")
            && passes(Depth::Peer, "::ffff:10.1.2.3", "")
            && passes(Depth::Peer, "2001:db8::1", "")
    );
    assert!(!passes(Depth::Peer, "11.0.0.1", "10.0.0.1"));
    assert!(
        passes(Depth::FromRight(2), "11.0.0.1", "10.0.0.1, 11.0.0.1")
            && !passes(Depth::FromRight(1), "10.0.0.1", "10.0.0.1, 11.0.0.1")
    );
    assert!(!passes(Depth::FromRight(3), "10.0.0.1", "10.0.0.1, 10.0.0.1") && !passes(Depth::FromRight(1), "10.0.0.1", ""));
    let proxies = || Depth::Excluding(vec![range("192.0.2.0", 24)]);
    assert!(
        passes(proxies(), "11.0.0.1", "11.0.0.1, 10.0.0.1, , 192.0.2.9") && !passes(proxies(), "10.0.0.1", "10.0.0.1, unknown")
    );
    assert!(!passes(proxies(), "10.0.0.1", "192.0.2.1"));
}

#[test]
fn an_unflattened_chain_lets_nothing_through() {
    assert_eq!(get("/").through(&stage(MiddlewareKind::Chain { middlewares: Vec::new() })).unwrap().status, 500);
}

#[test]
fn retry_is_read_and_does_nothing_else() {
    let retry = stage(MiddlewareKind::Retry { attempts: 3, initial_interval: SECOND });
    assert_eq!(retry.retry(), Some(&RetryPolicy::with_middleware(3, SECOND)));
    assert!(get("/").through(&retry).is_none());
}

#[test]
fn an_upgrade_is_passed_on_where_it_belongs() {
    let paths = |prefixes: &[&str]| {
        stage(MiddlewareKind::UpgradePaths { prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect() })
    };
    let upgrade = |path: &str| get(path).field("Upgrade", "websocket").field("X-Forwarded-Proto", "wss");
    for (prefixes, path, passes) in [
        (&["/total"][..], "/total", true),
        (&["/total"], "/totals/1", true),
        (&["/total", "/live"], "/live/x", true),
        (&["/total"], "/", false),
        (&["/total"], "/a/total", false),
        (&[], "/total", false),
    ] {
        let mut exchange = upgrade(path);
        assert!(exchange.through(&paths(prefixes)).is_none());
        let expected = if passes { (Some("websocket"), "wss") } else { (None, "https") };
        let found = (
            exchange.fields.all("Upgrade").first().map(String::as_str).map(str::to_owned),
            exchange.fields.all("X-Forwarded-Proto"),
        );
        assert_eq!((found.0.as_deref(), found.1[0].as_str()), expected, "{prefixes:?} {path}");
    }
    let mut plain = get("/").field("X-Forwarded-Proto", "https");
    assert!(plain.through(&paths(&[])).is_none());
    assert_eq!(plain.fields.all("X-Forwarded-Proto"), ["https"]);
}

#[test]
fn info_headers_are_read_and_do_nothing_else() {
    let info = stage(MiddlewareKind::InfoHeaders);
    assert!(info.informs() && !info.edits_response() && get("/").through(&info).is_none());
}

proptest! {
    /// Whatever is stripped from whatever path, the result can be read in one way only.
    #[test]
    fn stripped_paths_stay_canonical(prefix in "/[a-c./]{0,4}", path in "(/[a-c.]{1,4}){1,4}/?") {
        let Ok(path) = path::canonicalize(&path, PathPolicy::default()) else {
            return Ok(());
        };
        let mut exchange = get(&path);
        if exchange.through(&strip(&[&prefix])).is_none() {
            prop_assert!(exchange.path.starts_with('/') && !exchange.path.starts_with("//"));
            prop_assert!(exchange.path.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }

    /// Whatever a client sends, `Location` stays on the operator's host.
    #[test]
    fn locations_stay_at_home(path in "/r/[/\\\\a.:@\t\r\n]{0,12}") {
        let response = get(&path).through(&regex("^http://[^/]+/r/([^$]*)", "/$1"));
        if let Some((_, location)) = redirect_of(response) {
            prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{location}");
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
        }
    }

    #[test]
    fn any_credentials_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let stage = stage(MiddlewareKind::BasicAuth(BasicAuth { users: [("bob".to_owned(), "{SHA}x".to_owned())].into(), ..auth() }));
        let mut exchange = get("/");
        exchange.fields.append("Authorization", &bytes);
        prop_assert!(exchange.through(&stage).is_some());
        let mut exchange = get("/").field("Authorization", &format!("Basic {}", STANDARD.encode(&bytes)));
        prop_assert!(exchange.through(&stage).is_some());
    }
}
