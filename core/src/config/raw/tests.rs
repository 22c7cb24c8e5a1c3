use super::*;
use crate::config::file::{Format, parse};

fn decode_yaml(text: &str) -> (RawDynamic, Vec<Rejection>) {
    decode(&parse(text, Format::Yaml, "f.yaml", 1 << 20).unwrap())
}

#[test]
fn one_bad_unit_never_hides_another() {
    let (raw, rejections) = decode_yaml(
        "http:\n  routers:\n    good: {rule: r, service: s}\n    bad: {rule: r, sevrice: s}\n  services:\n    s: {loadBalancer: {servers: [{url: 'http://a'}]}}\n    t: {loadBalancer: 3}\n  \
         middlewares:\n    c: {compress: {}}\n    a: {addPrefix: {prefix: /x}}\n",
    );
    assert_eq!(rejections, []);
    let served = |units: Vec<(&String, bool)>| {
        units.into_iter().filter(|(_, served)| *served).map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(served(raw.routers.iter().map(|(name, unit)| (name, unit.value.is_some())).collect()), ["good"]);
    assert_eq!(served(raw.services.iter().map(|(name, unit)| (name, unit.value.is_some())).collect()), ["s"]);
    assert_eq!(served(raw.middlewares.iter().map(|(name, unit)| (name, unit.value.is_some())).collect()), ["a"]);
    assert!(raw.middlewares["c"].rejections[0].message.contains("not supported yet"));
}

#[test]
fn sections_of_later_parts_are_warned_of_and_hide_nothing() {
    let (raw, rejections) = decode_yaml(
        "x-common: {a: b}\nudp: {routers: {x: {service: r}}}\ntcp: {}\nhttp: {routers: {good: {rule: r, service: s}}}\n",
    );
    assert_eq!(raw.routers().collect::<Vec<_>>(), ["good"]);
    assert!(rejections.iter().all(|rejection| rejection.severity == Severity::Warning));
    assert_eq!(
        rejections.iter().map(|rejection| rejection.key.as_str()).collect::<Vec<_>>(),
        ["udp"],
        "an empty section says nothing"
    );
}

#[test]
fn what_is_said_twice_counts_once() {
    let (mut raw, _) = decode_yaml("http: {routers: {a: {rule: first, service: s}}}");
    let (other, _) =
        decode(&parse("http: {routers: {a: {rule: second}, b: {rule: r}}}", Format::Yaml, "g.yaml", 1 << 20).unwrap());
    let rejections = raw.merge(other);
    assert_eq!(raw.routers["a"].value.as_ref().unwrap().rule.as_deref(), Some("first"));
    assert_eq!(raw.routers().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rejections.len(), 1);
    assert!(rejections[0].to_string().contains("g.yaml:1: http.routers.a: is declared in f.yaml already"), "{}", rejections[0]);
}
