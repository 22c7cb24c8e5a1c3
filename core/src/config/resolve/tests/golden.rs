//! Wrong configurations, and what their rejections must hold.

use super::*;
use crate::config::dynamic::Tls;

/// A router that is right, to show that it is served whatever stands beside it.
const BESIDE: &str = "  routers:
    good: {rule: Host(`a`), service: good}
";

struct Case {
    /// Units under `http`, by kind, in flow style.
    kind: &'static str,
    unit: &'static str,
    /// Words of the one error: source with line, key, message, remedy.
    words: &'static [&'static str],
}

const fn case(kind: &'static str, unit: &'static str, words: &'static [&'static str]) -> Case {
    Case { kind, unit, words }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("routers", "{service: good}", &["http.routers.bad.rule:", "needs a rule", "Host(`example.com`)"]),
    case("routers", "{rule: 'Host(`a`', service: good}", &["http.routers.bad.rule:", "correct the rule"]),
    case("routers", "{rule: 'Host(`a`, `b`)', service: good}", &["http.routers.bad.rule:", "ruleSyntax: v2"]),
    case("routers", "{rule: Host(`a`)}", &["http.routers.bad.service:", "needs a service", "name@provider"]),
    case("routers", "{rule: Host(`a`), service: goood}", &["http.routers.bad.service:", "`goood@file`", "did you mean `good@file`?"]),
    case("routers", "{rule: Host(`a`), service: api@internal}", &["http.routers.bad.service:", "`api@internal`", "`api: {}`"]),
    case("routers", "{rule: Host(`a`), service: good, middlewares: [auth]}", &["http.routers.bad.middlewares:", "no middleware `auth@file`", "declare `auth`"]),
    case("routers", "{rule: Host(`a`), service: good, sevrice: x}", &["http.routers.bad.sevrice:", "unknown key `sevrice`", "did you mean `service`?"]),
    case("routers", "{rule: Host(`a`), service: good, priority: high}", &["http.routers.bad.priority:", "whole number", "`high`"]),
    case("routers", "{rule: Host(`a`), service: good, priority: 9223372036854775000}", &["http.routers.bad.priority:", "at most 9223372036854774807", "smaller"]),
    case("routers", "{rule: Host(`a`), service: good, ruleSyntax: v1}", &["http.routers.bad.ruleSyntax:", "v2 or v3", "write v3"]),
    case("routers", "{rule: Host(`a`), service: good, parentRefs: [x]}", &["http.routers.bad.parentRefs:", "not supported yet", "remove it"]),
    case("routers", "{rule: Host(`a`), service: good, tls: {options: mtls}}", &["http.routers.bad.tls.options:", "no TLS options `mtls@file`", "declare `mtls`"]),
    case("routers", "{rule: Host(`a`), service: good, tls: maybe}", &["http.routers.bad.tls:", "`maybe`", "write true"]),
    case("services", "{}", &["http.services.bad:", "expected loadBalancer, weighted or failover", "servers"]),
    case("services", "{loadBalancer: {servers: [{url: 10.0.0.1}]}}", &["http.services.bad.loadBalancer.servers.0.url:", "expected http://", "`10.0.0.1`", "http://10.0.0.1:8080"]),
    case("services", "{loadBalancer: {servers: [{weight: 1}]}}", &["servers.0.url:", "needs a URL", "http://10.0.0.1:8080"]),
    case("services", "{loadBalancer: {servers: [{url: 'ftp://a'}]}}", &["servers.0.url:", "http, https or h2c", "`ftp"]),
    case("services", "{loadBalancer: {strategy: p2}}", &["http.services.bad.loadBalancer.strategy:", "`p2`", "did you mean `p2c`?"]),
    case("services", "{loadBalancer: {strategy: leasttime}}", &["strategy:", "not supported yet", "leastconn"]),
    case("services", "{loadBalancer: {serversTransport: fast}}", &["serversTransport:", "no transport `fast@file`", "declare `fast`"]),
    case("services", "{loadBalancer: {healthCheck: {path: 'http://x/'}}}", &["healthCheck.path:", "without host", "/health"]),
    case("services", "{loadBalancer: {healthCheck: {interval: 1 day}}}", &["healthCheck.interval:", "duration", "`1 day`"]),
    case("services", "{loadBalancer: {sticky: {cookie: {sameSite: some}}}}", &["sameSite:", "none, lax or strict", "`some`"]),
    case("services", "{weighted: {services: [{name: missing}]}}", &["http.services.bad.weighted.services:", "no service `missing@file`", "declare `missing`"]),
    case("services", "{weighted: {services: []}}", &["weighted.services:", "at least one service", "`name` and `weight`"]),
    case("services", "{failover: {service: good}}", &["failover.fallback:", "name of a service", "name@provider"]),
    case("services", "{mirroring: {service: good}}", &["http.services.bad.mirroring:", "not supported yet", "remove it"]),
    case("services", "{loadBalancer: {}, weighted: {services: [{name: good}]}}", &["http.services.bad:", "two kinds", "two services"]),
    case("middlewares", "{}", &["http.middlewares.bad:", "one kind of middleware", "stripPrefix"]),
    case("middlewares", "{addPrefix: {prefix: /a}, stripPrefix: {prefixes: [/a]}}", &["http.middlewares.bad:", "`addPrefix` and `stripPrefix`", "list both"]),
    case("middlewares", "{addPrefix: {}}", &["addPrefix.prefix:", "expected a path", "/api"]),
    case("middlewares", "{stripPrefix: {prefix: [/a], prefixes: [/b]}}", &["stripPrefix.prefix:", "unknown key `prefix`", "did you mean `prefixes`?"]),
    case("middlewares", "{redirectScheme: {scheme: https, port: x}}", &["redirectScheme.port:", "1 to 65535", "443"]),
    case("middlewares", "{redirectRegex: {regex: 'a(?=b)', replacement: x}}", &["redirectRegex.regex:", "look-around", "Go"]),
    case("middlewares", "{headers: {customRequestHeaders: {'X Y': a}}}", &["customRequestHeaders.X Y:", "no field name", "dashes"]),
    case("middlewares", "{headers: {frameDeny: true}}", &["headers.frameDeny:", "not supported yet", "remove it"]),
    case("middlewares", "{rateLimit: {average: 1, sourceCriterion: {requestHost: true, requestHeaderName: X}}}", &["sourceCriterion:", "found several", "keep one"]),
    case("middlewares", "{rateLimit: {average: ten}}", &["rateLimit.average:", "whole number", "`ten`"]),
    case("middlewares", "{retry: {attempts: 0}}", &["retry.attempts:", "from 1 to 100", "3"]),
    case("middlewares", "{basicAuth: {users: ['joe:secret']}}", &["basicAuth.users:", "entry 1", "htpasswd -nB"]),
    case("middlewares", "{ipAllowList: {sourceRange: [10.0.0.0/33]}}", &["ipAllowList.sourceRange:", "`10.0.0.0/33`", "10.0.0.0/8"]),
    case("middlewares", "{chain: {middlewares: [none]}}", &["chain.middlewares:", "no middleware `none@file`", "declare `none`"]),
    case("middlewares", "{circuitBreaker: {expression: x}}", &["http.middlewares.bad.circuitBreaker:", "not supported yet", "remove it"]),
    case("serversTransports", "{certificates: [{certFile: a}]}", &["http.serversTransports.bad.certificates:", "go together", "keyFile"]),
    case("serversTransports", "{minVersion: TLS12}", &["minVersion:", "unknown version `TLS12`", "did you mean `VersionTLS12`?"]),
];

#[test]
fn wrong_configurations_say_where_what_and_what_to_do() {
    for Case { kind, unit, words } in CASES {
        let mut sections = BTreeMap::from([
            ("routers", BESIDE.trim_start_matches("  routers:\n").to_owned()),
            ("services", "    good: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}\n".to_owned()),
        ]);
        sections.entry(kind).or_default().push_str(&format!("    bad: {unit}\n"));
        let text = sections.iter().fold("http:\n".to_owned(), |text, (kind, units)| format!("{text}  {kind}:\n{units}"));
        let (config, rejections) = served(&text);
        assert!(config.routers.contains_key("good@file") && config.services.contains_key("good@file"), "{unit}");
        let errors: Vec<String> =
            rejections.iter().filter(|rejection| rejection.severity == Severity::Error).map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1, "{unit}: {errors:#?}");
        let line = text.lines().position(|line| line.contains("bad:")).unwrap() + 1;
        assert!(errors[0].starts_with(&format!("f.yaml:{line}: ")), "{unit}: {}", errors[0]);
        for word in *words {
            assert!(errors[0].contains(word), "{unit}: {word:?} is not in {:?}", errors[0]);
        }
        assert!(!errors[0].contains("secret"), "{}", errors[0]);
        assert!(!config.routers.keys().any(|name| name.local() == "bad"), "{unit}");
    }
}

#[test]
fn tls_units_say_where_what_and_what_to_do() {
    for (text, words) in [
        (
            "options: {bad: {minVersion: VersionTLS13, maxVersion: VersionTLS12}}",
            &["tls.options.bad.maxVersion:", "below `minVersion`", "exchange"][..],
        ),
        (
            "options: {bad: {cipherSuites: [TLS_AES_128_GCM_SHA265]}}",
            &["cipherSuites:", "unknown cipher suite", "did you mean `TLS_AES_128_GCM_SHA256`?"],
        ),
        ("options: {bad: {curvePreferences: [P-257]}}", &["curvePreferences:", "unknown curve", "X25519"]),
        (
            "options: {bad: {clientAuth: {clientAuthType: RequireAndVerifyClientCert}}}",
            &["clientAuth.caFiles:", "needs authorities", "caFiles"],
        ),
        (
            "options: {bad: {clientAuth: {clientAuthType: Requrie}}}",
            &["clientAuthType:", "unknown mode", "RequireAndVerifyClientCert"],
        ),
        ("certificates: [{certFile: a}]", &["tls.certificates[0].keyFile:", "go together", "keyFile"]),
    ] {
        let (config, rejections) = served(&format!("tls: {{{text}}}"));
        let errors: Vec<String> =
            rejections.iter().filter(|rejection| rejection.severity == Severity::Error).map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert_eq!(config.tls, Tls::default(), "{text}");
        for word in words {
            assert!(errors[0].contains(word), "{text}: {word:?} is not in {errors:?}");
        }
    }
}

#[test]
fn strangers_at_the_top_are_named() {
    for (text, words) in [
        ("htttp: {}", &["htttp:", "unknown section", "did you mean `http`?"][..]),
        ("entryPoints: {web: {address: ':80'}}", &["entryPoints:", "static configuration", "--configFile"]),
        ("http: {router: {}}", &["http.router:", "unknown key `router`", "did you mean `routers`?"]),
        ("http: {routers: [a]}", &["http.routers:", "expected names", "keys below"]),
        ("http: {routers: {'a@b': {rule: x}}}", &["`a@b` is not a name", "without `@`"]),
        ("tls: {certificate: []}", &["tls.certificate:", "unknown key", "did you mean `certificates`?"]),
    ] {
        let (_, rejections) = decode(&file::parse(text, Format::Yaml, "f.yaml", 1 << 20).unwrap());
        assert_eq!(rejections.len(), 1, "{text}: {rejections:#?}");
        for word in words {
            assert!(rejections[0].to_string().contains(word), "{text}: {word:?} is not in {}", rejections[0]);
        }
    }
}
