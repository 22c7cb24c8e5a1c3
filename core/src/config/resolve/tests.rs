mod golden;
mod patched;
mod properties;
mod tcp;

use super::*;
use crate::config::{
    Severity, decode,
    dynamic::{Depth, RateLimit, Router, SourceCriterion, UpstreamScheme},
    file::{self, Format},
    flags, kv, resolve_static,
};
use std::time::Duration;

/// A static configuration from flags.
fn entry(args: &str) -> StaticConfig {
    let args: Vec<String> = args.split(' ').filter(|arg| !arg.is_empty()).map(str::to_owned).collect();
    resolve_static(&flags::tree(&args).unwrap()).unwrap_or_else(|rejections| panic!("{rejections:#?}")).0
}

fn web() -> StaticConfig {
    entry("--entryPoints.web.address=:80 --entryPoints.websecure.address=:443")
}

fn yaml(text: &str) -> RawDynamic {
    let (raw, rejections) = decode(&file::parse(text, Format::Yaml, "f.yaml", 1 << 20).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(rejections, []);
    raw
}

fn of_kv(pairs: &[(&str, &str)]) -> RawDynamic {
    let (tree, rejections) = kv::tree(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())), "traefik", "etcd");
    assert_eq!(rejections, []);
    let (raw, rejections) = decode(&tree);
    assert_eq!(rejections, []);
    raw
}

fn inputs<const N: usize>(inputs: [(&str, RawDynamic); N]) -> BTreeMap<String, RawDynamic> {
    inputs.into_iter().map(|(provider, raw)| (provider.to_owned(), raw)).collect()
}

fn served(text: &str) -> (Config, Vec<Rejection>) {
    resolve(&inputs([("file", yaml(text))]), &web(), None)
}

fn clean((config, rejections): (Config, Vec<Rejection>)) -> Config {
    assert_eq!(rejections, []);
    config
}

fn names<T>(units: &crate::map::Map<Name, T>) -> Vec<&str> {
    units.keys().map(Name::as_str).filter(|name| !name.ends_with("@internal")).collect()
}

fn router<'a>(config: &'a Config, name: &str) -> &'a Router {
    &config.routers[name]
}

const SEED_004: &[(&str, &str)] = &[
    ("traefik", "true"),
    ("traefik/http/services/whoami/loadbalancer/servers/0/url", "http://api-0.stack.edgeengine.internal"),
    ("traefik/http/services/whoami/loadbalancer/servers/1/url", "http://api-1.stack.edgeengine.internal"),
    ("traefik/http/routers/whoami/rule", "Path(`/whoami`)"),
    ("traefik/http/routers/whoami/service", "whoami"),
    ("traefik/http/services/foo/loadbalancer/servers/0/url", "http://api-0.stack.edgeengine.internal"),
    ("traefik/http/services/bar/loadbalancer/servers/0/url", "http://api-1.stack.edgeengine.internal"),
    ("traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/0", "/foo"),
    ("traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/1", "/bar"),
    ("traefik/http/routers/foo/service", "foo"),
    ("traefik/http/routers/foo/middlewares/0", "strip-foobar"),
    ("traefik/http/routers/foo/rule", "Path(`/foo`)"),
    ("traefik/http/routers/bar/service", "bar"),
    ("traefik/http/routers/bar/middlewares/0", "strip-foobar"),
    ("traefik/http/routers/bar/rule", "Path(`/bar`)"),
    ("traefik/http/middlewares/ratelimit-foobar/rateLimit/average", "10"),
    ("traefik/http/middlewares/ratelimit-foobar/rateLimit/burst", "20"),
    ("traefik/http/middlewares/ratelimit-foobar/rateLimit/period", "1"),
    ("traefik/http/routers/foo/middlewares/1", "ratelimit-foobar"),
    ("traefik/http/routers/bar/middlewares/1", "ratelimit-foobar"),
];

#[test]
fn the_keys_of_seed_004_are_served_as_it_says() {
    let config = clean(resolve(&inputs([("etcd", of_kv(SEED_004))]), &web(), None));
    assert_eq!(names(&config.routers), ["bar@etcd", "foo@etcd", "whoami@etcd"]);
    assert_eq!(names(&config.services), ["bar@etcd", "foo@etcd", "whoami@etcd"]);
    let foo = router(&config, "foo@etcd");
    assert_eq!((foo.rule.text(), foo.priority, foo.tls.is_none()), ("Path(`/foo`)", 12, true));
    assert_eq!(foo.middlewares.iter().map(Name::as_str).collect::<Vec<_>>(), ["strip-foobar@etcd", "ratelimit-foobar@etcd"]);
    assert_eq!((foo.service.as_str(), &foo.entry_points[..]), ("foo@etcd", &["web".to_owned(), "websecure".to_owned()][..]));
    assert_eq!(foo.source, "etcd: traefik/http/routers/foo");
    let ServiceKind::LoadBalancer(balancer) = &config.services["whoami@etcd"].kind else { panic!() };
    let urls: Vec<_> =
        balancer.servers.iter().map(|server| (&*server.url.host, server.url.port, server.url.scheme, server.weight)).collect();
    let expected = |host| (host, 80, UpstreamScheme::Http, 1);
    assert_eq!(urls, [expected("api-0.stack.edgeengine.internal"), expected("api-1.stack.edgeengine.internal")]);
    assert!(balancer.pass_host_header && balancer.transport.as_str() == "default@internal");
    let MiddlewareKind::StripPrefix { prefixes } = &config.middlewares["strip-foobar@etcd"].kind else { panic!() };
    assert_eq!(prefixes, &["/foo", "/bar"]);
    let MiddlewareKind::RateLimit(limit) = &config.middlewares["ratelimit-foobar@etcd"].kind else { panic!() };
    let expected = RateLimit { average: 10, period: Duration::from_secs(1), burst: 20, source: SourceCriterion::Ip(Depth::Peer) };
    assert_eq!(*limit, expected);
}

#[test]
fn seed_004_key_by_key_never_disturbs_what_is_whole() {
    let mut last: Option<Config> = None;
    for count in 1..=SEED_004.len() {
        let (config, rejections) = resolve(&inputs([("etcd", of_kv(&SEED_004[..count]))]), &web(), last.as_ref());
        if count >= 5 {
            assert!(config.routers.contains_key("whoami@etcd"), "after {count} keys");
            assert!(rejections.iter().all(|rejection| !rejection.key.contains("whoami")), "{rejections:?}");
        }
        if let (6.., Some(last)) = (count, &last) {
            assert!(Arc::ptr_eq(&config.routers["whoami@etcd"], &last.routers["whoami@etcd"]));
            assert!(Arc::ptr_eq(&config.services["whoami@etcd"], &last.services["whoami@etcd"]));
        }
        last = Some(config);
    }
    assert_eq!(names(&last.unwrap().routers).len(), 3);
}

#[test]
fn a_half_written_router_is_reported_and_never_served() {
    for pairs in [
        &[("traefik/http/routers/x/rule", "Path(`/x`)")][..],
        &[("traefik/http/routers/x/service", "s")],
        &[("traefik/http/routers/x", "")],
        &[("traefik/http/routers/x/middlewares/0", "auth")],
    ] {
        let (config, rejections) = resolve(&inputs([("etcd", of_kv(pairs))]), &web(), None);
        assert_eq!(names(&config.routers), [""; 0]);
        assert!(!rejections.is_empty() && rejections.iter().all(|rejection| rejection.severity == Severity::Error), "{pairs:?}");
    }
}

const GOOD: &str = "http:
  routers:
    web: {rule: Host(`a`), service: s, middlewares: [strip]}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}
  middlewares:
    strip: {stripPrefix: {prefixes: [/x]}}
";

#[test]
fn what_goes_bad_keeps_its_last_good_version_and_says_so() {
    let good = clean(served(GOOD));
    for (from, to, key) in [
        ("rule: Host(`a`)", "rule: Host(`a`", "http.routers.web.rule"),
        ("service: s,", "service: t,", "http.routers.web.service"),
        ("middlewares: [strip]}", "middlewares: [stirp]}", "http.routers.web.middlewares"),
        ("http://10.0.0.1", "10.0.0.1", "http.services.s.loadBalancer.servers.0.url"),
        ("prefixes: [/x]", "prefixes: []", "http.middlewares.strip.stripPrefix.prefixes"),
        ("stripPrefix: {", "striPrefix: {", "http.middlewares.strip.striPrefix"),
    ] {
        let (config, rejections) = resolve(&inputs([("file", yaml(&GOOD.replace(from, to)))]), &web(), Some(&good));
        assert!(Arc::ptr_eq(&config.routers["web@file"], &good.routers["web@file"]), "{to}");
        assert!(Arc::ptr_eq(&config.services["s@file"], &good.services["s@file"]), "{to}");
        assert!(Arc::ptr_eq(&config.middlewares["strip@file"], &good.middlewares["strip@file"]), "{to}");
        assert_eq!(rejections.len(), 1, "{to}: {rejections:#?}");
        assert_eq!(rejections[0].key, key);
        assert!(rejections[0].message.ends_with("the last good version is still served"), "{}", rejections[0]);
    }
}

#[test]
fn what_is_no_longer_declared_is_gone_with_what_needs_it() {
    let good = clean(served(GOOD));
    let (config, rejections) = resolve(&inputs([("file", yaml(&GOOD.replace("strip: {", "other: {")))]), &web(), Some(&good));
    assert_eq!(names(&config.routers), [""; 0], "it may not be served without its middleware");
    assert_eq!(names(&config.middlewares), ["other@file"]);
    assert!(
        rejections[0].message.contains("no middleware `strip@file`") && !rejections[0].message.contains("last good"),
        "{}",
        rejections[0]
    );
    let (config, _) = resolve(&inputs([]), &web(), Some(&good));
    assert_eq!((names(&config.routers).len(), names(&config.services).len()), (0, 0));
}

#[test]
fn entry_points_give_their_routers_defaults() {
    let config = entry(
        "--entryPoints.web.address=:80 --entryPoints.websecure.address=:443 --entryPoints.websecure.http.tls.options=strict \
         --entryPoints.websecure.http.middlewares=first,second@other --entryPoints.websecure.observability.accessLogs=false",
    );
    let text = "http:
  routers:
    both: {rule: Path(`/`), service: s, middlewares: [own]}
    one: {rule: Path(`/`), service: s, entryPoints: websecure, tls: {}, observability: {accessLogs: true}}
  services: {s: {loadBalancer: {}}}
  middlewares: {own: {addPrefix: {prefix: /o}}, first: {addPrefix: {prefix: /f}}}
tls: {options: {strict: {minVersion: VersionTLS13}}}
";
    let other = yaml("http: {middlewares: {second: {addPrefix: {prefix: /s}}}}");
    let config = clean(resolve(&inputs([("file", yaml(text)), ("other", other)]), &config, None));
    assert_eq!(names(&config.routers), ["both@file", "one@file", "websecure-both@file"]);
    let (plain, copy, one) = (router(&config, "both@file"), router(&config, "websecure-both@file"), router(&config, "one@file"));
    assert_eq!((&plain.entry_points[..], plain.tls.is_some(), plain.middlewares.len()), (&["web".to_owned()][..], false, 1));
    assert_eq!(copy.middlewares.iter().map(Name::as_str).collect::<Vec<_>>(), ["first@file", "second@other", "own@file"]);
    assert_eq!(copy.tls.as_ref().unwrap().options.as_str(), "strict@file");
    assert_eq!((copy.declared.as_str(), copy.observability.access_log), ("both@file", false));
    assert_eq!((one.tls.as_ref().unwrap().options.as_str(), one.observability.access_log), ("default", true));
}

#[test]
fn a_copy_never_takes_the_name_of_a_declared_router() {
    let config =
        entry("--entryPoints.web.address=:80 --entryPoints.api.address=:81 --entryPoints.web.observability.metrics=false");
    let text = "http:
  routers:
    x: {rule: Path(`/x`), service: s}
    web-x: {rule: Path(`/y`), service: s, entryPoints: web}
  services: {s: {loadBalancer: {}}}
";
    let (config, rejections) = resolve(&inputs([("file", yaml(text))]), &config, None);
    assert_eq!(names(&config.routers), ["web-x@file"]);
    assert_eq!(router(&config, "web-x@file").rule.text(), "Path(`/y`)");
    assert_eq!(rejections.len(), 1);
    assert!(rejections[0].message.contains("would be named `web-x@file`"), "{}", rejections[0]);
}

#[test]
fn fairleads_own_routers_are_there_when_asked_for() {
    let config = entry(
        "--entryPoints.web.address=:80 --entryPoints.websecure.address=:443 --entryPoints.web.http.redirections.entryPoint.to=websecure \
         --api.insecure --ping --metrics.prometheus --metrics.prometheus.entryPoint=web",
    );
    let config = clean(resolve(&inputs([]), &config, None));
    let routers: Vec<(&str, &str, &str)> = config
        .routers
        .values()
        .map(|router| (router.name.as_str(), router.rule.text(), router.entry_points[0].as_str()))
        .collect();
    assert_eq!(
        routers,
        [
            ("api@internal", "PathPrefix(`/api`)", "traefik"),
            ("dashboard@internal", "PathPrefix(`/`)", "traefik"),
            ("ping@internal", "PathPrefix(`/ping`) || Path(`/ready`)", "traefik"),
            ("prometheus@internal", "PathPrefix(`/metrics`)", "web"),
            ("web-to-websecure@internal", "HostRegexp(`^.+$`)", "web"),
        ]
    );
    let redirect = router(&config, "web-to-websecure@internal");
    assert_eq!((redirect.service.as_str(), redirect.priority), ("noop@internal", i64::MAX - 1));
    let MiddlewareKind::RedirectScheme { scheme, port, permanent } = &config.middlewares[&redirect.middlewares[0]].kind else {
        panic!()
    };
    assert_eq!((scheme.as_str(), *port, *permanent), ("https", None, true));
    let nothing = clean(resolve(&inputs([]), &web(), None));
    assert_eq!(nothing.routers.len(), 0);
    assert_eq!(nothing.services.keys().map(Name::as_str).collect::<Vec<_>>(), ["noop@internal", "whoami@internal"]);
}

#[test]
fn a_provider_cannot_speak_for_fairlead() {
    let forged = yaml("http: {services: {api: {loadBalancer: {}}}, routers: {ping: {rule: Path(`/`), service: api}}}");
    let config = clean(resolve(&inputs([("internal", forged)]), &web(), None));
    assert_eq!((config.routers.len(), config.services.len()), (0, 2));
}

#[test]
fn default_tls_options_of_two_providers_count_for_neither() {
    let of = |version: &str| yaml(&format!("tls: {{options: {{default: {{minVersion: {version}}}}}}}"));
    let mut one = yaml("http: {routers: {x: {rule: Path(`/`), service: s, tls: {}}}, services: {s: {loadBalancer: {}}}}");
    assert_eq!(one.merge(of("VersionTLS13")), []);
    let good = clean(resolve(&inputs([("a", one.clone())]), &web(), None));
    assert_eq!(good.tls.options["default"].min_version.as_deref(), Some("VersionTLS13"));
    let both = inputs([("a", one), ("b", of("VersionTLS12"))]);
    let (config, rejections) = resolve(&both, &web(), None);
    assert!(!config.tls.options.contains_key("default") && !config.routers.contains_key("x@a"));
    assert_eq!(
        rejections.iter().filter(|rejection| rejection.message.contains("more than one provider")).count(),
        2,
        "{rejections:#?}"
    );
    let (config, rejections) = resolve(&both, &web(), Some(&good));
    assert!(Arc::ptr_eq(&config.tls.options["default"], &good.tls.options["default"]), "the last good version stays");
    assert!(config.routers.contains_key("x@a"));
    assert_eq!(rejections.len(), 2);
}

#[test]
fn certificates_are_gathered_and_a_bad_one_keeps_its_last() {
    let text = "tls: {certificates: [{certFile: a.pem, keyFile: a.key}, {certFile: b.pem, keyFile: b.key}], stores: {default: {defaultCertificate: {certFile: d.pem, keyFile: d.key}}}}";
    let good = clean(served(text));
    assert_eq!(good.tls.certificates.iter().map(|pair| pair.cert.as_str()).collect::<Vec<_>>(), ["a.pem", "b.pem"]);
    assert_eq!(good.tls.default_certificate.as_ref().unwrap().cert, "d.pem");
    let bad = text.replace(", keyFile: b.key", "").replace(", keyFile: d.key", "");
    let (config, rejections) = resolve(&inputs([("file", yaml(&bad))]), &web(), Some(&good));
    assert_eq!(config.tls, good.tls);
    assert_eq!(rejections.len(), 2, "{rejections:#?}");
    let (config, _) = resolve(&inputs([("file", yaml(&bad))]), &web(), None);
    assert_eq!((config.tls.certificates.len(), config.tls.default_certificate), (1, None));
}

#[test]
fn circles_are_refused_whole_and_their_users_with_them() {
    let text = "http:
  routers:
    x: {rule: Path(`/`), service: user}
    y: {rule: Path(`/`), service: leaf, middlewares: [m]}
    z: {rule: Path(`/`), service: leaf}
  services:
    a: {weighted: {services: [{name: b}]}}
    b: {failover: {service: a, fallback: leaf}}
    user: {weighted: {services: [{name: a}, {name: leaf}]}}
    leaf: {loadBalancer: {}}
  middlewares:
    m: {chain: {middlewares: [m]}}
";
    let (config, rejections) = served(text);
    assert_eq!((names(&config.routers), names(&config.services)), (vec!["z@file"], vec!["leaf@file"]));
    let texts: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    assert!(texts.iter().any(|text| text.contains("a@file → b@file → a@file")), "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("m@file → m@file")), "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("services.user") && text.contains("declared, but not served")), "{texts:#?}");
}

#[test]
fn whoever_leads_from_one_circle_into_another_contains_itself_no_more_than_anybody() {
    let with = |ends: &str| {
        format!(
            "http:\n  middlewares:\n    m: {{chain: {{middlewares: [m, between]}}}}\n    between: {{chain: {{middlewares: [n]}}}}\n    n: {ends}\n"
        )
    };
    let (good, _) = served(&with("{addPrefix: {prefix: /x}}"));
    let (config, rejections) = resolve(&inputs([("file", yaml(&with("{chain: {middlewares: [n]}}")))]), &web(), Some(&good));
    assert_eq!(
        names(&config.middlewares),
        ["between@file", "n@file"],
        "n keeps its version, so nothing is wrong with what leads to it"
    );
    assert!(!rejections.iter().any(|rejection| rejection.key.contains("between")), "{rejections:#?}");
    let (alone, rejections) = served(&with("{chain: {middlewares: [n]}}"));
    assert_eq!(names(&alone.middlewares), [""; 0]);
    let between: Vec<_> = rejections.iter().filter(|rejection| rejection.key.contains("between")).collect();
    assert!(matches!(between[..], [one] if one.message.contains("no middleware `n@file`")), "{rejections:#?}");
}

#[test]
fn a_circle_by_way_of_an_old_version_costs_nobody_else_a_new_one() {
    let with =
        |a: &str, b: &str, c: &str| inputs([("file", yaml(&format!("http: {{middlewares: {{a: {a}, b: {b}, c: {c}}}}}")))]);
    let chain = |of: &str| format!("{{chain: {{middlewares: [{of}]}}}}");
    let prefix = "{addPrefix: {prefix: /x}}";
    let (good, rejections) = resolve(&with(&chain("b"), prefix, prefix), &web(), None);
    assert_eq!((names(&good.middlewares), rejections.len()), (vec!["a@file", "b@file", "c@file"], 0));
    // The new `a` leads nowhere, and the old one closes the circle a → b → c → a.
    let tangled = with(&chain("missing"), &chain("c"), &chain("a"));
    let (config, _) = resolve(&tangled, &web(), Some(&good));
    // And said again.
    let (again, _) = resolve(&tangled, &web(), Some(&config));
    for served in [&config, &again] {
        assert_eq!(names(&served.middlewares), ["b@file", "c@file"]);
        let is_chain = |name: &str| matches!(served.middlewares[name].kind, MiddlewareKind::Chain { .. });
        assert!(is_chain("b@file"), "what is written of b is well once a is gone");
        assert!(!is_chain("c@file"), "c keeps its version");
    }
}

#[test]
fn what_is_said_of_a_fall_is_said_again() {
    let with = |text: &str| inputs([("file", yaml(&format!("http: {{services: {{{text}}}}}")))]);
    let (good, _) = resolve(&with("b: {weighted: {services: [{name: gone}]}}, gone: {loadBalancer: {}}"), &web(), None);
    // What is written of `b` is bad, and its last version leads nowhere, so `c` is without both.
    let fallen = with("b: {loadBalancer: {sticky: 7}}, c: {failover: {service: b, fallback: gone}}");
    let (config, said) = resolve(&fallen, &web(), Some(&good));
    assert_eq!(names(&config.services), [""; 0]);
    let of_c: Vec<_> = said.iter().filter(|rejection| rejection.key.contains("failover")).map(|said| &said.message).collect();
    assert_eq!(of_c, ["there is no service `gone@file`", "there is no service `b@file`"]);
    // Read anew, so that nothing is known of it.
    let fallen = with("b: {loadBalancer: {sticky: 7}}, c: {failover: {service: b, fallback: gone}}");
    assert_eq!(resolve(&fallen, &web(), Some(&config)).1, said);
}

#[test]
fn what_was_given_up_late_is_as_if_it_had_never_been() {
    let with = |text: &str| inputs([("file", yaml(&format!("http: {{middlewares: {{{text}}}}}")))]);
    let chain = |name: &str, of: &str| format!("{name}: {{chain: {{middlewares: [{of}]}}}}");
    let prefix = |name: &str| format!("{name}: {{addPrefix: {{prefix: /x}}}}");
    let before = [prefix("q"), chain("z", "q"), chain("x", "z"), prefix("n"), prefix("n2")].join(", ");
    let (good, said) = resolve(&with(&before), &web(), None);
    assert_eq!(said, []);
    // `n` and `n2` contain each other, but for `x`, whose last version falls only when that of `z` has.
    let tangled = with(&[chain("z", "z"), "x: {chain: 7}".to_owned(), chain("n", "n2"), chain("n2", "n, x")].join(", "));
    let (config, said) = resolve(&tangled, &web(), Some(&good));
    let (again, said_again) = resolve(&tangled, &web(), Some(&config));
    for served in [&config, &again] {
        assert_eq!(names(&served.middlewares), ["n2@file", "n@file"]);
        assert!(matches!(served.middlewares["n@file"].kind, MiddlewareKind::Chain { .. }), "as it is written");
    }
    assert_eq!(said, said_again);
}

#[test]
fn a_chain_of_chains_does_not_grow_without_bound() {
    let mut text = "http:\n  middlewares:\n    c0: {addPrefix: {prefix: /x}}\n".to_owned();
    for level in 1..40 {
        text.push_str(&format!("    c{level}: {{chain: {{middlewares: [c{0}, c{0}]}}}}\n", level - 1));
    }
    let (config, rejections) = served(&text);
    assert_eq!(config.middlewares.len(), 9, "2^9 - 1 = 511 fit into a thousand, and 1023 do not");
    assert!(rejections.iter().any(|rejection| rejection.message.contains("written out")), "{rejections:#?}");
}

#[test]
fn a_long_fall_costs_no_more_than_its_length() {
    let mut text = "http:\n  services:\n".to_owned();
    for index in 0..5000 {
        text.push_str(&format!("    s{index}: {{weighted: {{services: [{{name: s{}}}]}}}}\n", index + 1));
    }
    let (config, rejections) = served(&text);
    assert_eq!((names(&config.services).len(), rejections.len()), (0, 5000));
}

#[test]
fn a_cookie_that_picks_servers_goes_with_no_other_strategy() {
    use crate::config::dynamic::{ServiceKind, Strategy};
    let of = |keys: &str| {
        let (config, rejections) = served(&format!("http: {{services: {{s: {{loadBalancer: {{{keys}}}}}}}}}"));
        match config.services.get("s@file").map(|service| &service.kind) {
            Some(ServiceKind::LoadBalancer(balancer)) => Ok((balancer.strategy, balancer.hash_cookie.clone())),
            _ => Err(rejections[0].to_string()),
        }
    };
    assert_eq!(of("hashCookie: session"), Ok((Strategy::Hrw, Some("session".to_owned()))));
    assert_eq!(of("hashCookie: session, strategy: hrw"), Ok((Strategy::Hrw, Some("session".to_owned()))));
    assert_eq!(of("strategy: hrw"), Ok((Strategy::Hrw, None)));
    assert!(
        of("hashCookie: session, strategy: p2c").is_err_and(|text| text.contains("loadBalancer.hashCookie: a cookie's value"))
    );
    assert!(of("hashCookie: 'a b'").is_err_and(|text| text.contains("expected the name of a cookie, found `a b`")));
}

#[test]
fn fairleads_own_middlewares_are_read() {
    let text = "http:
  middlewares:
    info: {infoHeaders: {}}
    off: {infoHeaders: false}
    sockets: {upgradePaths: {prefixes: [/total]}}
    none: {upgradePaths: {}}
    odd: {upgradePaths: {prefixes: [total]}}
";
    let (config, rejections) = served(text);
    assert_eq!(names(&config.middlewares), ["info@file", "none@file", "sockets@file"]);
    let texts: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[1].contains("middlewares.odd.upgradePaths.prefixes: expected paths that begin with /"), "{texts:#?}");
}

#[test]
fn server_urls_are_taken_apart() {
    let of = |text: &str| service::server_url(text).map(|url| (url.scheme, url.host, url.port, url.path));
    assert_eq!(of("http://A.b"), Ok((UpstreamScheme::Http, "a.b".into(), 80, String::new())));
    assert_eq!(of("HTTPS://10.0.0.1/"), Ok((UpstreamScheme::Https, "10.0.0.1".into(), 443, String::new())));
    assert_eq!(of("h2c://[2001:DB8::1]:81/p/q"), Ok((UpstreamScheme::H2c, "2001:db8::1".into(), 81, "/p/q".to_owned())));
    for text in [
        "",
        "a:80",
        "ftp://a",
        "http://",
        "http://:80",
        "http://a:0",
        "http://a:99999",
        "http://u@a",
        "http://a/?q",
        "http://a b",
        "http://[::1",
        "http://::1",
        "http://a#f",
        "http://ä",
    ] {
        assert!(of(text).is_err(), "{text}");
    }
}
