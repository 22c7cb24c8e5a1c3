use super::*;
use regex::Regex;

fn notes(text: &str) -> Vec<(usize, bool, String)> {
    Settings::read(text).notes.into_iter().map(|note| (note.line, note.guard, note.message)).collect()
}

#[test]
fn lines_with_an_equivalent_take_effect_and_say_nothing() {
    let text = "# comment\n\n  balance source\ncookie SRV insert indirect nocache\ntimeout server 90s\ntimeout connect 4000\n\
        timeout check 3s\ntimeout queue 1m\ntimeout tunnel 1h\noption forwardfor\noption httpchk HEAD /up HTTP/1.1\\r\\nHost:\\ a.example\n\
        http-check expect status 204\ndefault-server inter 5s fall 2 rise 4\n\
        http-request set-header X-Tier gold\nhttp-request add-header X-Also one\nhttp-request del-header X-Debug\n\
        http-response set-header Strict-Transport-Security \"max-age=1; includeSubDomains\" if { ssl_fc }\n\
        http-response del-header Server\nrspadd X-Old:\\ kept\nrspidel ^X-Powered-By:.*\n\
        reqadd X-Forwarded-Proto:\\ https if { ssl_fc }\nhttp-request set-header X-Forwarded-Port %[dst_port]\n\
        http-request set-header X-Share 100%%";
    let settings = Settings::read(text);
    assert_eq!(settings.notes, []);
    assert_eq!(settings.balance.as_deref(), Some("source"));
    assert_eq!(settings.cookie.unwrap(), ["SRV", "insert", "indirect", "nocache"]);
    assert_eq!((settings.response, settings.connect), (Some(Duration::from_secs(90)), Some(Duration::from_secs(4))));
    let check = settings.check;
    assert_eq!(
        (check.method.as_deref(), check.path.as_deref(), check.host.as_deref()),
        (Some("HEAD"), Some("/up"), Some("a.example"))
    );
    assert_eq!((check.status, check.timeout), (Some(204), Some(Duration::from_secs(3))));
    assert_eq!((check.interval, check.fall, check.rise), (Some(Duration::from_secs(5)), Some(2), Some(4)));
    let request: Vec<_> = settings.request_fields.replacing().collect();
    assert_eq!(request, [("X-Debug", ""), ("X-Share", "100%"), ("X-Tier", "gold")]);
    assert_eq!(settings.request_fields.adding().collect::<Vec<_>>(), [("X-Also", "one")]);
    let response: Vec<_> = settings.response_fields.replacing().collect();
    assert_eq!(response, [("Server", ""), ("Strict-Transport-Security", "max-age=1; includeSubDomains"), ("X-Powered-By", "")]);
    assert_eq!(settings.response_fields.adding().collect::<Vec<_>>(), [("X-Old", "kept")]);
}

#[test]
fn a_redirection_is_one_of_the_url() {
    // Line(s), URL, where it leads.
    let cases = [
        ("redirect prefix https://new.example code 301", "http://a.example:81/x?y=1", Some("https://new.example/x?y=1")),
        (
            "acl old hdr(host) -i a.example b.example\nredirect code 301 location https://new.example/$1 if old",
            "https://B.example/x",
            Some("https://new.example/$1"),
        ),
        ("acl old hdr(host) -i a.example\nredirect location https://new.example if old", "http://aXexample/", None),
        (
            "acl old hdr(host) -i a.example\nacl old hdr(host) b.example\nredirect location https://n if old",
            "http://b.example/",
            Some("https://n"),
        ),
        (
            "acl www hdr_reg(host) -i ^(www\\.)?a\\.example$\nredirect location https://n if www",
            "http://www.a.example/",
            Some("https://n"),
        ),
        ("acl www hdr_reg(host) -i ^(www\\.)?a\\.example$\nredirect location https://n if www", "http://xa.example/", None),
        (
            "acl sub hdr_end(host) -i .a.example\nredirect scheme https code 301 if sub !{ ssl_fc }",
            "http://x.y.a.example:80/p?q",
            Some("https://x.y.a.example/p?q"),
        ),
        ("acl sub hdr_end(host) -i .a.example\nredirect scheme https code 301 if sub !{ ssl_fc }", "https://x.a.example/p", None),
        ("redirect location /new/ if { path_beg /old }", "http://a/older/x?q=/", Some("/new/")),
        ("redirect location /new/ if { path_beg /old }", "http://a/x?q=/old", None),
        ("redirect scheme http if { ssl_fc }", "https://[::1]:8443/p", Some("http://[::1]/p")),
    ];
    for (text, url, expected) in cases {
        let settings = Settings::read(text);
        assert_eq!(settings.notes, [], "{text}");
        let [Redirect::Url { regex, replacement, .. }] = &settings.redirects[..] else {
            panic!("{text}: {:?}", settings.redirects)
        };
        let regex = Regex::new(regex).unwrap();
        let reached = regex.is_match(url).then(|| regex.replace_all(url, replacement).into_owned());
        assert_eq!(reached.as_deref(), expected, "{text}: {url}");
    }
}

#[test]
fn https_for_all_is_a_redirection_of_its_own() {
    for (text, permanent) in [
        ("redirect scheme https", false),
        ("redirect scheme https code 301 if !{ ssl_fc }", true),
        ("redirect scheme https code 302 unless { ssl_fc }", false),
        ("http-request redirect scheme https code 308 if ! { ssl_fc }", true),
        ("acl secure ssl_fc\nredirect scheme https if !secure", false),
    ] {
        let settings = Settings::read(text);
        assert_eq!((settings.redirects, settings.notes), (vec![Redirect::Https { permanent }], vec![]), "{text}");
    }
}

#[test]
fn who_is_let_in_is_kept_and_other_guards_are_named_as_such() {
    let allowed = |text: &str| Settings::read(text).allowed;
    let ranges = vec![vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1".parse().unwrap()]];
    assert_eq!(allowed("acl inside src 10.0.0.0/8 192.0.2.1\nhttp-request deny if !inside"), ranges);
    assert_eq!(allowed("http-request deny unless { src 10.0.0.0/8 192.0.2.1 }"), ranges);
    assert_eq!(allowed("block if !{ src 10.0.0.0/8 192.0.2.1 }"), ranges);
    for text in [
        "http-request deny",
        "http-request deny if { src 10.0.0.0/8 }",
        "http-request deny if { path_beg /admin }",
        "http-request auth realm x unless ok",
        "http-request tarpit if bad",
        "tcp-request content reject if bad",
        "reqideny ^x",
        "http-request deny if 'open",
    ] {
        let notes = notes(text);
        assert!(matches!(&notes[..], [(1, true, _)]), "{text}: {notes:?}");
    }
}

#[test]
fn lines_without_an_equivalent_are_named_by_number() {
    for text in [
        "errorfile 503 /x",
        "compression algo gzip",
        "stick-table type ip size 1m",
        "server extra 10.0.0.1:80",
        "timeout client 5s",
        "timeout server soon",
        "option httpchk GET relative",
        "http-check expect rstatus ^2",
        "default-server maxconn 10",
        "http-request set-header X-A %[src]",
        "http-request set-header X-A b if { path_beg /x }",
        "http-request set-header Content-Length 1",
        "http-request replace-header Host a b",
        "redirect location https://n drop-query",
        "redirect location https://%[hdr(host)]/",
        "redirect location https://n if unknown",
        "acl no hdr(host) a\nredirect location https://n if !no",
        "rspdel Server.*",
        "fullconn 10",
    ] {
        let (count, notes) = (text.lines().count(), notes(text));
        assert!(matches!(&notes[..], [(line, false, _)] if *line == count), "{text}: {notes:?}");
    }
    let settings = Settings::read("errorfile 503 /x\ntimeout server 5s\nfullconn 3");
    assert_eq!(settings.response, Some(Duration::from_secs(5)), "its neighbours count");
    assert_eq!(settings.notes.iter().map(|note| note.line).collect::<Vec<_>>(), [1, 3]);
}
