use super::{Syntax::*, *};
use crate::http::VecFields;
use proptest::prelude::*;

fn v3(text: &str) -> Result<Rule, RuleError> {
    parse(text, V3)
}

/// A request with a little of everything.
fn holds(text: &str, syntax: Syntax) -> bool {
    let fields = VecFields::of(&[("X-A", "1"), ("x-a", "two, three"), ("Host", "a.example")]);
    let subject = Subject {
        host: "a.example",
        path: "/api/Ünit 1",
        method: "GET",
        query: Some("k=&n=1&n=%32x&bad=%zz&e"),
        client: "::ffff:10.1.2.3".parse().unwrap(),
        fields: &fields,
    };
    let rule = parse(text, syntax).unwrap_or_else(|error| panic!("{text}: {error}"));
    rule.expr().check(&subject).is_ok()
}

#[test]
fn matchers_of_v3_hold_as_in_traefik() {
    for text in [
        "Host(`A.Example.`)",
        "Host(`*.example`)",
        "Host(`*`)",
        "HostRegexp(`^a\\.[a-z]+$`)",
        "Path(`/api/Ünit 1`)",
        "PathPrefix(`/ap`)",
        "PathRegexp(`nit \\d$`)",
        "Method(`get`)",
        "Header(`x-a`, `1`)",
        "HeaderRegexp(`X-A`, `^two`)",
        "Query(`k`)",
        "Query(`e`)",
        "Query(`n`, `2x`)",
        "QueryRegexp(`n`, `x`)",
        "QueryRegexp(`k`)",
        "ClientIP(`10.0.0.0/8`)",
        "ClientIP(`10.1.2.3`)",
        "HOST(`a.example`) && hostregexp(`a`) && Clientip(`10.1.2.3`)",
        r#"Path("/api/\u00dcnit\x201")"#,
    ] {
        assert!(holds(text, V3), "{text}");
        assert!(!holds(&format!("!{text}"), V3) || text.contains("&&"), "!{text}");
    }
    for text in [
        "Host(`example`)",
        "Host(`*.a.example`)",
        "Host(`[a.example]`)",
        "HostRegexp(`A`)",
        "Path(`/api`)",
        "PathRegexp(`^\\w+$`)",
        "Method(`POST`)",
        "Header(`x-a`, `two`)",
        "Header(`Host`, `a.example`)",
        "Query(`n`)",
        "Query(`bad`)",
        "Query(`zz`)",
        "ClientIP(`11.0.0.0/8`)",
    ] {
        assert!(!holds(text, V3), "{text}");
    }
}

#[test]
fn matchers_of_v2_hold_as_in_traefik() {
    for text in [
        "Host(`b`, `A.example.`)",
        "HostHeader(`a.example`)",
        "HostRegexp(`{sub:[a-z]+}.EXAMPLE`)",
        "HostRegexp(`{sub}.example`)",
        "Path(`/x`, `/api/{rest:.{1,9}}`)",
        "Path(`/{a}/{b}`)",
        "PathPrefix(`/{a:a(p|q)}i`)",
        "Method(`POST`, `get`)",
        "Headers(`X-A`, `1`)",
        "HeadersRegexp(`X-A`, `^two`, `x-a`, `1`)",
        "Query(`n=1`, `k=`)",
        "Query(`n={v:[0-9]}`)",
        "ClientIP(`1.1.1.1`, `10.0.0.0/8`)",
        "!Headers(`X-A`, `1`, `X-B`, `1`)",
    ] {
        assert!(holds(text, V2), "{text}");
    }
    for text in [
        "Host(`*.example`)",
        "HostRegexp(`example`)",
        "Path(`/api`)",
        "Path(`/{a}`)",
        "PathPrefix(`/{a:q}`)",
        "Headers(`X-A`, `1`, `X-B`, `1`)",
        "Query(`n=2x`)",
        "Query(`n=1`, `missing=`)",
        "!Host(`b`, `a.example`)",
    ] {
        assert!(!holds(text, V2), "{text}");
    }
}

#[test]
fn an_empty_host_matches_only_what_asks_for_none() {
    let fields = VecFields::default();
    let client = "1.1.1.1".parse().unwrap();
    let subject = Subject { host: "", path: "/", method: "GET", query: None, client, fields: &fields };
    let holds = |text| v3(text).unwrap().expr().check(&subject).is_ok();
    assert!(holds("Host(`*`)") && holds("!Host(`a`)") && holds("HostRegexp(`^$`)"));
    assert!(!holds("Host(`a`)") && !holds("Host(`*.a`)") && !holds("HostRegexp(`.`)"));
}

#[test]
fn expressions_of_go_mean_the_same() {
    let matches = |expression: &str, value: &str| Pattern::search(expression, 0).unwrap().is_match(value.as_bytes());
    for (expression, value, expected) in [
        (r"^\d$", "٣", false),
        (r"^\w$", "é", false),
        (r"^\W$", "é", true),
        (r"^[\d.]+$", "1.2", true),
        (r"^[\D]$", "1", false),
        (r"a\b", "aé", true),
        (r"^[[a]$", "[", true),
        (r"^[a&&b]+$", "a&b", true),
        (r"^[+--]+$", "+,-", true),
        (r"^[]^-]+$", "]-^", true),
        (r"^[^]]$", "a", true),
        (r"^[[:digit:]_]+$", "1_", true),
        (r"^\Qa.b*\E+$", "a.b**", true),
        (r"^\Qa.b\E$", "axb", false),
        (r"^a{,2}$", "a{,2}", true),
        (r"^a{1,2}$", "aa", true),
        (r"^{x}$", "{x}", true),
        (r"^\x41\101\x{42}$", "AAB", true),
        (r"^\pL$", "é", true),
        (r"(?i)^É$", "é", true),
        (r"^\<a\>$", "<a>", true),
        (r"a$", "a\n", false),
        (r"^.$", "\n", false),
        (r"(?s)^.$", "\n", true),
    ] {
        assert_eq!(matches(expression, value), expected, "{expression} on {value:?}");
    }
    for expression in [r"(a)\1", "(", "[a", "*", r"\", "[z-a]", r"\Z", "((a{100}){100}){100}"] {
        assert!(Pattern::search(expression, 0).is_err(), "{expression}");
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, expected) in [
        ("", "at position 0: found the end of the rule, expected a matcher such as Host(`example.com`), ! or ("),
        (
            "Hots(`a`)",
            "at position 0: found Hots, expected one of the matchers Host, HostRegexp, Path, PathPrefix, PathRegexp, Method, Header, \
             HeaderRegexp, Query, QueryRegexp, ClientIP; did you mean Host?",
        ),
        ("Host(`a`) && Path(`x`)", "at position 18: found x, expected a path that begins with /"),
        ("Host(`a`, `b`)", "at position 0: found Host with 2 arguments, expected one"),
        ("Host(``)", "at position 5: found an empty string, expected an argument of Host that is not empty"),
        ("Host('a')", "at position 5: found ', expected a string in back quotes or double quotes"),
        (
            "Host(`a`)\n&& Path(`/`)",
            "at position 10: found a line break before this, expected line breaks only after &&, ||, !, ( or a comma",
        ),
        ("Host(`a`) Path(`/`)", "at position 10: found Path, expected &&, || or the end of the rule"),
        ("Host(`a`) & Path(`/`)", "at position 10: found &, expected a matcher, &&, ||, !, ( or )"),
    ] {
        assert_eq!(v3(text).unwrap_err().to_string(), expected, "{text}");
    }
    for text in [
        "hostRegexp(`a`)",
        "Host",
        "Host()",
        "Host(`a`",
        "Host(`a)",
        "Host(\"a)",
        "Host(\"a\n\")",
        "Host(1)",
        "Host(`a`\n)",
        "Host\n(`a`)",
        "(Host(`a`)\n)",
        "Host(`é`)",
        "Host(`.`)",
        "Host(`*.`)",
        "HostRegexp(`(`)",
        "Header(`a`)",
        "Query(`a`,`b`,`c`)",
        "ClientIP(`a`)",
        "ClientIP(`10.0.0.0/33`)",
        "Host(`a`) != Host(`b`)",
        "!",
        "()",
        "Host(`a`) ||",
        "/* Host(`a`)",
        r#"Path("/\q")"#,
        r#"Path("/\xg0")"#,
        r#"Path("/\xff")"#,
        r#"Path("/\'")"#,
        r#"Path("/\ud800")"#,
        r#"Path("/\400")"#,
        r#"Path("/\"#,
        "Host(`a`).b",
        "Headers(`a`, `b`)",
    ] {
        assert!(v3(text).is_err(), "{text}");
    }
    for text in [
        "Host()",
        "Headers(`a`)",
        "Query(`a`)",
        "Path(`/{a`)",
        "Path(`/a}`)",
        "Path(`/{:a}`)",
        "Path(`/{a:)(}`)",
        "PathRegexp(`/`)",
    ] {
        assert!(parse(text, V2).is_err(), "{text}");
    }
}

#[test]
fn line_breaks_and_comments_follow_go() {
    for text in [
        "\n Host(`a`) &&\n\tPath(`/`)\n\n",
        "(\nHost(`a`,\n)) || // either\n Path(`/`)",
        "Host(`a`) /* and */ && !\nPath(`/`)",
        "Host(`a`) // the end",
    ] {
        assert!(v3(text).is_ok(), "{text}");
    }
}

#[test]
fn large_and_deep_rules_are_refused() {
    let long = format!("Host(`{}`)", "a".repeat(1 << 20));
    assert!(v3(&long).unwrap_err().to_string().contains("65536 bytes"));
    let deep = |n: usize| format!("{}Host(`a`){}", "(".repeat(n), ")".repeat(n));
    assert!(v3(&deep(MAX_DEPTH)).is_ok());
    assert!(v3(&deep(MAX_DEPTH + 1)).is_err() && v3(&deep(10_000)).is_err() && v3(&"(".repeat(60_000)).is_err());
    assert_eq!(v3(&format!("{}Host(`a`)", "!".repeat(60_001))).unwrap().to_string(), "!Host(`a`)");
    let wide = vec!["Host(`a`)"; 5_000].join(" || ");
    assert!(matches!(v3(&wide).unwrap().expr(), Expr::Or(members) if members.len() == 5_000));
}

#[test]
fn hosts_of_every_branch_are_named() {
    let rule = v3("!(Host(`A.`) && HostRegexp(`x`)) || Host(`*.b`) && (Host(`*`) || Host(`a`) || Host(`0:0::1`))").unwrap();
    assert_eq!(rule.hosts(), ["a", "*.b", "*", "::1"]);
}

/// A rule as a tree that was not brought into normal form: the reference for evaluation.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf(String),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

impl Tree {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Not(inner) => format!("!({})", inner.text()),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("{} || {}", a.text(), b.text()),
        }
    }

    pub(crate) fn holds(&self, subject: &Subject<'_, VecFields>) -> bool {
        match self {
            Self::Leaf(text) => v3(text).unwrap().expr().check(subject).is_ok(),
            Self::Not(inner) => !inner.holds(subject),
            Self::And(a, b) => a.holds(subject) && b.holds(subject),
            Self::Or(a, b) => a.holds(subject) || b.holds(subject),
        }
    }
}

/// Hosts, paths and the rest from small sets, so that rules and requests meet.
pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        3 => host().prop_map(|h| format!("Host(`{h}`)")),
        1 => Just("Host(`*.x`)".to_owned()),
        1 => Just("Host(`*`)".to_owned()),
        1 => Just("HostRegexp(`^[ab]`)".to_owned()),
        2 => path().prop_map(|p| format!("Path(`{p}`)")),
        3 => path().prop_map(|p| format!("PathPrefix(`{p}`)")),
        1 => Just("PathRegexp(`b$`)".to_owned()),
        1 => Just("Method(`POST`)".to_owned()),
        1 => Just("Header(`X-A`, `1`)".to_owned()),
    ];
    leaf.prop_map(Tree::Leaf).prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|t| Tree::Not(t.into())),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::And(a.into(), b.into())),
            2 => (inner.clone(), inner).prop_map(|(a, b)| Tree::Or(a.into(), b.into())),
        ]
    })
}

pub(crate) fn host() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("x"), Just("a.x"), Just("b.x"), Just("a.b.x"), Just("y")]
}

pub(crate) fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/"), Just("/a"), Just("/ab"), Just("/a/b"), Just("/a/"), Just("/b"), Just("/b c")]
}

/// Canonical escaped paths that give those of [`path`].
pub(crate) fn escaped(path: &str) -> String {
    path.replace(' ', "%20")
}

prop_compose! {
    fn text()(s in "[ -~äö`\"\\\\\n\t\u{85}]{1,8}") -> String { s }
}

/// A double-quoted Go literal, with whichever escapes it takes.
fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => format!("\\U{:08X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn any_matcher(syntax: Syntax) -> BoxedStrategy<String> {
    let expression = || prop_oneof![Just("^a.*$"), Just("[`\"]+"), Just("(?i)x{2}"), Just("\\d\\\\")];
    let address = (any::<std::net::IpAddr>(), 0..=32_u8).prop_map(|(a, p)| format!("{a}/{p}"));
    let (pairs, template) = match syntax {
        V3 => (["Header", "HeaderRegexp"], Just(String::new()).boxed()),
        V2 => (["Headers", "HeadersRegexp"], "/[a-z`]{0,3}\\{n(:[a-z]\\{1,2\\})?\\}".boxed()),
    };
    let common = prop_oneof![
        ("[a-zA-Z0-9.:*-]{1,8}".prop_filter("a host", |h| !h.ends_with('.'))).prop_map(|h| format!("Host({})", quoted(&h))),
        "/[ -z~]{0,6}".prop_map(|p| format!("PathPrefix({})", quoted(&p))),
        "/[ -z~]{0,6}".prop_map(|p| format!("path({})", quoted(&p))),
        "[a-zA-Z]{1,5}".prop_map(|m| format!("METHOD(`{m}`)")),
        (text(), text()).prop_map(move |(k, v)| format!("{}({}, {})", pairs[0], quoted(&k), quoted(&v))),
        (text(), expression()).prop_map(move |(k, e)| format!("{}({}, {})", pairs[1], quoted(&k), quoted(e))),
        address.prop_map(|a| format!("ClientIP(`{a}`)")),
    ];
    match syntax {
        V3 => prop_oneof![
            4 => common,
            1 => text().prop_map(|k| format!("Query({})", quoted(&k))),
            1 => (text(), text()).prop_map(|(k, v)| format!("Query({}, {})", quoted(&k), quoted(&v))),
            1 => (text(), expression()).prop_map(|(k, e)| format!("QueryRegexp({}, {})", quoted(&k), quoted(e))),
            1 => expression().prop_map(|e| format!("PathRegexp({})", quoted(e))),
            1 => expression().prop_map(|e| format!("HostRegexp({})", quoted(e))),
        ]
        .boxed(),
        V2 => prop_oneof![
            4 => common,
            1 => (template.clone(), template.clone()).prop_map(|(a, b)| format!("Path({}, {})", quoted(&a), quoted(&b))),
            1 => template.clone().prop_map(|t| format!("PathPrefix({})", quoted(&t))),
            1 => template.prop_map(|t| format!("HostRegexp(`a`, {})", quoted(&t))),
            1 => ("[a-z`]{1,3}", "[a-z\"]{0,3}").prop_map(|(k, v)| format!("Query({}, `z=`)", quoted(&format!("{k}={v}")))),
        ]
        .boxed(),
    }
}

fn any_rule(syntax: Syntax) -> impl Strategy<Value = String> {
    any_matcher(syntax).prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| format!("!({t})")),
            inner.clone().prop_map(|t| format!("( {t}\t)")),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|t| t.join(" && ")),
            proptest::collection::vec(inner, 2..4).prop_map(|t| t.join("||\n")),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_text_means_the_same(rule in any_rule(V3)) {
        round_trip(&rule, V3)?;
    }

    #[test]
    fn the_canonical_text_of_v2_means_the_same(rule in any_rule(V2)) {
        round_trip(&rule, V2)?;
    }

    #[test]
    fn normal_form_keeps_the_meaning(tree in tree(), host in host(), path in path(), post: bool, x_a: bool) {
        let fields = VecFields::of(if x_a { &[("x-a", "1")] } else { &[] });
        let method = if post { "POST" } else { "GET" };
        let subject = Subject { host, path, method, query: None, client: "1.1.1.1".parse().unwrap(), fields: &fields };
        let rule = v3(&tree.text()).unwrap();
        prop_assert_eq!(rule.expr().check(&subject).is_ok(), tree.holds(&subject), "{}", rule);
    }

    #[test]
    fn any_text_is_judged(text in ".{0,60}") {
        let _ = (parse(&text, V2).is_ok(), parse(&text, V3).is_ok());
    }

    #[test]
    fn any_tokens_are_judged(tokens in proptest::collection::vec("Host|Path|Query|`|\"|\\\\|a|/|\\(|\\)|,|!|&&|\\|\\||\n|é|\\{|\\}|:|\\[", 0..30)) {
        for syntax in [V2, V3] {
            if let Err(error) = parse(&tokens.concat(), syntax) {
                prop_assert!(error.at <= tokens.concat().len() && !error.expected.is_empty() && !error.found.is_empty());
            }
        }
    }

    #[test]
    fn any_expression_is_judged(expression in "([a-z]|\\\\|[\\[\\](){}|^$*+?.:&~-]|é|[0-9]|Q|E){0,16}") {
        let _ = Pattern::search(&expression, 0).is_ok();
        let _ = parse(&format!("Path({})", quoted(&format!("/{expression}"))), V2).is_ok();
    }
}

fn round_trip(text: &str, syntax: Syntax) -> Result<(), TestCaseError> {
    let rule = parse(text, syntax);
    prop_assert!(rule.is_ok(), "{} {:?}", text, rule);
    let rule = rule.unwrap();
    let canonical = rule.to_string();
    let again = parse(&canonical, syntax);
    prop_assert!(again.is_ok(), "{} became {}: {:?}", text, canonical, again);
    let again = again.unwrap();
    prop_assert_eq!(again.expr(), rule.expr(), "{} became {}", text, canonical);
    prop_assert_eq!(again.to_string(), canonical);
    Ok(())
}

/// Of a connection from `10.1.2.3` that names `db.example` and offers `h2` and `http/1.1`; without TLS nothing is named.
fn takes(text: &str, syntax: Syntax, tls: bool) -> bool {
    let alpn = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let (server_name, alpn) = if tls { ("db.example", &alpn[..]) } else { ("", &[][..]) };
    let rule = parse_tcp(text, syntax).unwrap_or_else(|error| panic!("{text}: {error}"));
    let canonical = rule.to_string();
    assert_eq!(parse_tcp(&canonical, syntax).map(|again| again.expr().clone()), Ok(rule.expr().clone()), "{text} is {canonical}");
    rule.expr().check(&Connection { client: "10.1.2.3".parse().unwrap(), server_name, alpn }).is_ok()
}

#[test]
fn matchers_of_connections_hold_as_in_traefik() {
    for (text, syntax, tls, plain) in [
        ("HostSNI(`*`)", V3, true, true),
        ("HostSNI(`DB.Example.`)", V3, true, false),
        ("HostSNI(`*.example`)", V3, true, false),
        ("HostSNI(`example`)", V3, false, false),
        ("HostSNIRegexp(`^db\\.`)", V3, true, false),
        ("HostSNIRegexp(`^$`)", V3, false, true),
        ("ALPN(`h2`)", V3, true, false),
        ("ALPN(`h3`)", V3, false, false),
        ("ClientIP(`10.0.0.0/8`)", V3, true, true),
        ("HostSNI(`db.example`) && !ALPN(`h2`)", V3, false, false),
        ("!(HostSNI(`a`) || ClientIP(`::1`))", V3, true, true),
        ("HostSNI(`a`, `db.example`)", V2, true, false),
        ("HostSNIRegexp(`{x:[a-z]+}.example`)", V2, true, false),
        ("ALPN(`x`, `h2`)", V2, true, false),
    ] {
        assert_eq!((takes(text, syntax, true), takes(text, syntax, false)), (tls, plain), "{text}");
    }
}

#[test]
fn wrong_rules_of_connections_are_refused() {
    for text in [
        "Host(`a`)",
        "HostSNI(`a`, `b`)",
        "HostSNI(``)",
        "HostSNI(`a b`)",
        "HostSNI(`a*`)",
        "HostSNI(`*.*.x`)",
        "HostSNIRegexp(`ä`)",
        "ALPN(`acme-tls/1`)",
        "PathPrefix(`/`)",
    ] {
        assert!(parse_tcp(text, V3).is_err(), "{text}");
    }
    assert!(parse("HostSNI(`*`)", V3).is_err(), "it is no rule for requests");
}
